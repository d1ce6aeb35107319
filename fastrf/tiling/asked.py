"""What is asked of a plan, checked, and what follows for every axis and every output."""

from __future__ import annotations

import math
import operator
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from fastrf.analysis import Analysis, analyze
from fastrf.errors import FastRFError, ShapeError, UsageError, a_kind
from fastrf.field import ReceptiveField
from fastrf.queries.halo import Halo, goes_around
from fastrf.tiling.places import require_free, taken
from fastrf.tiling.tiles import Axis, cut

__all__ = ["Sizes", "Wanted", "require_analysis", "whole"]

Sizes = int | Sequence[int | None] | None


@dataclass(frozen=True)
class Wanted:
    """An image, the tiles that it is to be read in, and the fields and halos of the outputs asked for."""

    analysis: Analysis | ReceptiveField
    known: tuple[tuple[ReceptiveField, Halo], ...]
    image_shape: tuple[int, ...]
    tile: tuple[int | None, ...]
    wrap: tuple[int, ...]
    circular: tuple[int, ...]  # those of `wrap` that every output goes around by itself, so that tiles equal the whole

    @classmethod
    def of(
        cls,
        analysis: Analysis | ReceptiveField,
        tile: Sizes,
        wrap: Sequence[int] | int,
        outputs: Sequence[str] | str | None,
        image_shape: Sequence[int] | None,
    ) -> Wanted:
        """What `fastrf.tiling.plan` was given. Raises ShapeError, UsageError, UnknownNodeError and PositionError."""
        require_analysis(analysis)
        fields = _fields(analysis, outputs)
        n = len(fields[0].pixel_shape)
        around, shape, sizes = _axes(wrap, n), _image_shape(fields[0], image_shape), tuple(_tile(tile, n))
        known = tuple((field, field.halo(around)) for field in fields)
        circular = tuple(k for k in around if _all_go_around(analysis, known, k))
        return cls(analysis, known, shape, sizes, around, circular)

    @property
    def names(self) -> list[str]:
        """Those of the outputs."""
        return [field.name for field, _ in self.known]

    @property
    def channel_axis(self) -> int | None:
        """That of the image."""
        return self.known[0][0].input_channel_axis

    @property
    def sizes(self) -> tuple[int, ...]:
        """Pixels per axis."""
        return tuple(n for k, n in enumerate(self.image_shape) if k != self.channel_axis)

    @property
    def analysed(self) -> tuple[int, ...]:
        """Pixels per axis of the image that was analysed."""
        return self.known[0][0].pixel_shape

    def axis(self, k: int) -> Axis:
        """How an axis is cut so that it serves every output. Raises ShapeError."""
        halos = [halo for _, halo in self.known if k < len(halo.before)]
        period = math.lcm(*(halo.period[k] for halo in halos))
        before = max((halo.before[k] for halo in halos), default=0)
        after = max((halo.after[k] for halo in halos), default=0)
        size, tile, wrapped = self.sizes[k], self.tile[k], k in self.wrap
        whole = tile is None or tile >= size
        if wrapped and whole and k in self.circular:
            wrapped = False  # the network itself goes around
        if wrapped or not whole or size != self.analysed[k]:
            self._require_bounded(k)
            require_free(self.analysis, self.names, k)
        self._require_fit(k, period, wrapped)
        if tile is None:
            context = sum(-(-int(reach) // period) * period for reach in (before, after)) if wrapped else 0
            tile = size + context
        axis = Axis(size, period, before, after, wrapped, tile, ())
        return replace(axis, spans=cut(axis, f"axis {k}"))

    def is_free(self, k: int) -> bool:
        """Whether tiles may cut an axis, as far as places on it go."""
        try:
            require_free(self.analysis, self.names, k)
        except ShapeError:
            return False
        return True

    def _require_bounded(self, k: int) -> None:
        """Raises ShapeError where an output reads an axis whole, or has none such, with what makes it so."""
        for field, halo in self.known:
            if _is_bounded(halo, k):
                continue
            told = f"{field.name!r} can only be had from the whole of axis {k}"
            if halo.unbounded_at:
                told = f"{told}, which {', '.join(map(repr, halo.unbounded_at[:3]))} reads"
            raise ShapeError(f"{told}; {self._remedy(k, field)}")

    def _remedy(self, k: int, field: ReceptiveField) -> str:
        """What helps where an axis is read whole: to leave something out, or not to cut it."""
        around = field.halo((*self.wrap, k))
        if _is_bounded(around, k) and _goes_around(field, around, k):
            return f"the network goes around it: take wrap={k}"
        for ignore in ("statistics", "gates"):
            if isinstance(self.analysis, Analysis) and self._is_bounded_without(ignore, k, field):
                return f"analyse with ignore={ignore!r}, which tiles then do not share, or take None for its tile"
        return "take None for its tile (and analyse at the image's shape), or analyse with ignore= what may stay behind"

    def _is_bounded_without(self, ignore: str, k: int, field: ReceptiveField) -> bool:
        assert isinstance(self.analysis, Analysis)
        try:
            without = analyze(self.analysis.network, wrt=self.analysis.wrt, targets=[field.name], ignore=[ignore])
            return _is_bounded(without[field.name].halo(self.wrap), k)
        except FastRFError:
            return False

    def _require_fit(self, k: int, period: int, wrapped: bool) -> None:
        """Raises ShapeError for an image that is not the one analysed, give or take whole periods."""
        size, analysed = self.sizes[k], self.analysed[k]
        if wrapped and size % period:
            told = f"axis {k} has {size} pixels and goes in steps of {period}"
            raise ShapeError(f"{told}; an axis that is wrapped must be whole steps, such as {size - size % period}")
        if (size - analysed) % period:
            told = f"axis {k} has {size} pixels, {analysed} were analysed, and the network goes in steps of {period}"
            raise ShapeError(f"{told}; analyse at the image's shape, {'x'.join(map(str, self.image_shape))}")

    def given(self, field: ReceptiveField, halo: Halo) -> tuple[int, ...]:
        """Positions per axis that the network makes of the whole image. Raises ShapeError where there are none."""
        found = list(field.position_shape)
        for k, (period, positions) in enumerate(zip(halo.period, halo.positions, strict=True)):
            found[k] += (self.sizes[k] - self.analysed[k]) // period * positions
        if min(found, default=1) < 1:
            raise ShapeError(f"{field.name!r} has no positions for an image of {self.image_shape}; take a larger one")
        return tuple(found)

    def output_shape(self, field: ReceptiveField, halo: Halo) -> tuple[int, ...]:
        """The shape of an output of the whole image; around an axis that is wrapped, every block is there."""
        found = list(self.given(field, halo))
        for k in set(self.wrap).difference(self.circular):
            found[k] = self.sizes[k] // halo.period[k] * halo.positions[k]
        if field.channel_axis is not None:
            found.insert(field.channel_axis, field.shape[field.channel_axis])
        return tuple(found)

    @staticmethod
    def blocks(halo: Halo, axes: Sequence[Axis]) -> tuple[int, ...]:
        """Positions to a block of the plan, per axis."""
        every = zip(halo.period, halo.positions, axes, strict=False)
        return tuple(axis.period // period * positions for period, positions, axis in every)

    def assumes(self) -> tuple[str, ...]:
        """What the plan takes for granted."""
        found = dict.fromkeys(told for field, _ in self.known for told in field.assumes)
        for k in self.wrap:
            if k not in self.circular:
                told = f"axis {k} is read around, though not all of the network goes around it"
                found[f"{told}: its ends are those of a ring"] = None
        return (*found, *taken(self.analysis, self.names))


def _is_bounded(halo: Halo, axis: int) -> bool:
    return axis < len(halo.before) and math.isfinite(halo.before[axis] + halo.after[axis])


def _goes_around(field: ReceptiveField, halo: Halo, axis: int) -> bool:
    return axis < len(halo.before) and goes_around(field.positional, axis, halo.period[axis], halo.positions[axis])


def _all_go_around(
    analysis: Analysis | ReceptiveField, known: Sequence[tuple[ReceptiveField, Halo]], axis: int
) -> bool:
    """Whether outputs go around an axis, and so does every node before them that has a whole one.

    What one node loses at an end, such as a weight of a resize, another may hide in what depends on what.
    """
    if not all(_goes_around(field, halo, axis) for field, halo in known):
        return False
    names = [field.name for field, _ in known]
    nodes = [node.name for node in analysis.network.needed(names)] if isinstance(analysis, Analysis) else []
    if isinstance(analysis, ReceptiveField) or any(name not in analysis for name in nodes):
        return False  # not to be seen
    for field in (analysis[name] for name in nodes):
        if not field.dependency.terms or not field.position_shape:
            continue
        halo = field.halo((axis,))
        whole = axis < len(halo.before) and field.position_shape[axis] * halo.period[axis] == (
            field.pixel_shape[axis] * halo.positions[axis]
        )
        if whole and _is_bounded(halo, axis) and not _goes_around(field, halo, axis):
            return False
    return True


def _fields(analysis: Analysis | ReceptiveField, outputs: Sequence[str] | str | None) -> list[ReceptiveField]:
    """The fields of the outputs asked for."""
    if isinstance(analysis, ReceptiveField):
        return [analysis]
    names = analysis.network.outputs if outputs is None else _listed(outputs)
    if not all(isinstance(name, str) for name in names):
        raise UsageError(f"outputs must be names of nodes, not {outputs!r}")
    if not names:
        raise ShapeError("outputs names no node; name some, or leave it out")
    return [analysis[name] for name in names]


def _axes(wrap: Sequence[int] | int, n: int) -> tuple[int, ...]:
    """Pixel axes by number, from 0."""
    found = set()
    for given in _listed(wrap):
        axis = whole(given)
        if axis is None or not -n <= axis < n:
            raise ShapeError(f"wrap names axis {given!r}; the image has {n} pixel axes, counted from 0")
        found.add(axis % n)
    return tuple(sorted(found))


def _tile(tile: Sizes, n: int) -> list[int | None]:
    """A size per pixel axis, None for one that is not cut."""
    given = list(tile) if _is_listed(tile) else [tile] * n  # type: ignore[arg-type]
    if len(given) != n:
        raise ShapeError(f"tile {tuple(given)} has {len(given)} sizes; give one for each of the {n} pixel axes")
    sizes = [whole(size) for size in given]
    if any(asked is not None and (size is None or size < 1) for asked, size in zip(given, sizes, strict=True)):
        raise ShapeError(f"tile {tuple(given)} must hold whole numbers of 1 or more, or None for a whole axis")
    return sizes


def require_analysis(given: Any) -> None:
    """Raises UsageError for what is neither an analysis nor a field."""
    if not isinstance(given, Analysis | ReceptiveField):
        told = "tiles and streams are those of an analysis or one of its fields"
        raise UsageError(f"{told}, not of {a_kind(given)}; give fastrf.analyze(network, input_shape)")


def whole(value: Any) -> int | None:
    """A whole number of Python's or NumPy's as an int; None for what is none."""
    try:
        return None if isinstance(value, bool) else operator.index(value)
    except TypeError:
        return None


def _is_listed(value: Any) -> bool:
    return isinstance(value, Iterable) and not isinstance(value, str) and getattr(value, "ndim", 1) > 0


def _listed(value: Any) -> list[Any]:
    return list(value) if _is_listed(value) else [value]


def _image_shape(field: ReceptiveField, given: Sequence[int] | None) -> tuple[int, ...]:
    """The shape of the whole image; sizes of the pixel axes alone will do."""
    if given is None:
        return field.input_shape
    channel = field.input_channel_axis
    asked = _listed(given)
    shape = [whole(n) or 0 for n in asked]
    if channel is not None and len(shape) == len(field.pixel_shape):
        shape.insert(channel, field.input_shape[channel])
    if len(shape) != len(field.input_shape) or min(shape, default=1) < 1:
        raise ShapeError(f"image_shape {tuple(asked)} does not fit an input of shape {field.input_shape}")
    if channel is not None and shape[channel] != field.input_shape[channel]:
        told = f"image_shape {tuple(shape)} has {shape[channel]} channels"
        raise ShapeError(f"{told}, but the network takes {field.input_shape[channel]} on axis {channel}")
    return tuple(shape)
