"""Halo: the context a tile needs so that inference on tiles equals inference on the whole image.

The alignment cannot be read off a field's phases: a wide branch may hide that a narrow one goes in steps. Nor can it be
seen there that a map was cropped and padded again: a tile then has padding where the whole has values of pixels that
the tile holds, too. So `Aligned` is a third value that recipes are replayed on, next to `Dependency` and `Nominal`;
`analysis` does so when `ReceptiveField.halo` is asked for.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from fastrf.engine.axis_map import AxisMap
from fastrf.engine.dependency import Dependency
from fastrf.engine.nominal import Nominal, bounds
from fastrf.engine.recipe import Recipe, replay
from fastrf.queries import counting, masks
from fastrf.queries.reach import bounded, filled, kept, spread

__all__ = ["FAR", "Aligned", "Halo", "follows", "goes_around", "halo_of", "margins"]

#: A margin of no bound, as an integer that files hold.
FAR = 1 << 53


@dataclass(frozen=True)
class Halo:
    """Context in pixels before and after a tile, and how far apart tiles may begin, per axis.

    `period` pixels make `positions` positions. For positions `[a * positions, b * positions)`, run the network on
    pixels `[a * period - before, b * period + after)`, both rounded outwards to whole periods (`aligned`) and cut at
    the image's edges. `inf` means that only the whole image will do; `unbounded_at` names the nodes that make it so,
    the first on each way from the input (none where the network is not at hand, as for a loaded field).
    """

    before: tuple[float, ...]
    after: tuple[float, ...]
    period: tuple[int, ...]
    positions: tuple[int, ...]
    unbounded_at: tuple[str, ...] = ()

    @property
    def is_bounded(self) -> bool:
        """Whether tiles need less than the whole image on every axis."""
        return all(math.isfinite(size) for size in (*self.before, *self.after))

    @property
    def aligned(self) -> tuple[tuple[float, float], ...]:
        """Per axis `before` and `after`, rounded up to whole periods."""
        return tuple(
            (_up(low, step), _up(high, step))
            for low, high, step in zip(self.before, self.after, self.period, strict=True)
        )


def _up(size: float, step: int) -> float:
    return size if math.isinf(size) else -(-int(size) // step) * step


def halo_of(nominal: Nominal, periods: tuple[int, ...]) -> Halo:
    """The halo of positions whose nominal field and steps are given, for the axes that positions and pixels share."""
    found = [_along(nominal, axis, period) for axis, period in enumerate(periods[: len(nominal.shape)])]
    before, after, period, positions = zip(*found, strict=True) if found else ((), (), (), ())
    return Halo(before, after, period, positions)


def follows(nominal: Nominal, axis: int, exact: npt.NDArray[np.int64]) -> bool:
    """Whether what is read at the borders, `exact` intervals along an axis, lies inside the nominal field, too."""
    hulls = [[part.ravel() for part in bounds(piece, axis)] for piece in nominal.pieces]
    return all(
        low.size in (1, len(exact))
        and bool((((exact[:, 0] >= low) & (exact[:, 1] <= high)) | (exact[:, 1] == 0)).all())
        for low, high in hulls
    )


def goes_around(positional: Dependency, axis: int, period: int, positions: int) -> bool:
    """Whether an axis is circular: what reads `period` pixels further on, modulo its length, is `positions` further on.

    Both ends included, so that no border shows in what depends on what.
    """
    n_out, n_in = positional.shape[axis], positional.input_shape[axis]
    if n_in % period or n_out != n_in // period * positions:
        return False
    found = masks.to_csr(counting.along(positional, axis)).tocoo()
    row, col = found.row.astype(np.int64), found.col.astype(np.int64)
    moved = (row + positions) % n_out * n_in + (col + period) % n_in
    return np.array_equal(np.sort(row * n_in + col), np.sort(moved))


def _along(nominal: Nominal, axis: int, period: int) -> tuple[float, float, int, int]:
    """Before, after, period and positions along one axis."""
    unknown = math.inf, math.inf, period, 1
    steps = set()
    for piece in nominal.pieces:
        phases = piece.extents[axis].phases
        if len(phases) != 1 or [phases[0].factor] != list(piece.axes.at(axis)) or phases[0].shift <= 0:
            return unknown
        if not piece.covers(axis, nominal.shape[axis]):
            return unknown
        steps.add(phases[0].ratio)
        period = math.lcm(period, phases[0].shift)
    if len(steps) != 1:
        return unknown
    positions = int(period / steps.pop())
    before, after = 0.0, float(period)
    for piece in nominal.pieces:
        tiled = piece.extents[axis].tiled(0, positions)
        if tiled is None or np.isnan(tiled.low).any():
            return unknown
        read = tiled.low <= tiled.high
        before, after = tiled.low[read].min(initial=before), tiled.high[read].max(initial=after)
    return _plain(-before), _plain(after - period), period, positions


def _plain(size: float) -> float:
    return math.inf if math.isinf(size) else int(size)


def margins(aligned: Aligned, channel_axis: int | None) -> tuple[tuple[int, int], ...]:
    """Context before and after, per axis, without which values on the way to a node would be missing in a tile.

    FAR stands for the whole image.
    """
    reach = aligned.reach if channel_axis is None else aligned.reach.reduce(channel_axis)
    halo = halo_of(reach.settled(), aligned.periods)
    sides = zip(halo.before, halo.after, strict=True)
    return tuple((int(low), int(high)) if math.isfinite(low + high) else (FAR, FAR) for low, high in sides)


def _step(kind: str) -> Callable[..., Aligned]:
    """A step of a recipe that moves nothing by itself: the periods are those of its operands together."""

    def step(self: Aligned, *arguments: Any) -> Aligned:
        others = [value for value in arguments if isinstance(value, Aligned)]
        plain = [value.nominal if isinstance(value, Aligned) else value for value in arguments]
        periods = [math.lcm(*each) for each in zip(self.periods, *(other.periods for other in others), strict=True)]
        nominal = getattr(self.nominal, kind)(*plain)
        if all(value.reach is value.nominal for value in (self, *others)):
            return self.after(nominal, periods, nominal)
        reached = [value.reach if isinstance(value, Aligned) else value for value in arguments]
        return self.after(nominal, periods, getattr(self.reach, kind)(*reached))

    return step


class Aligned:
    """A Nominal, and per extent the smallest move of the input that moves every value on the way by whole steps.

    `reach` is the nominal field with what tiles need so that no value on the way is missing; `pixels` is the input's
    length per extent.
    """

    __slots__ = ("nominal", "periods", "pixels", "reach")

    def __init__(
        self,
        nominal: Nominal,
        pixels: tuple[int, ...],
        periods: Sequence[int] | None = None,
        reach: Nominal | None = None,
    ) -> None:
        self.nominal, self.pixels = nominal, pixels
        self.reach = nominal if reach is None else reach
        self.periods = tuple(
            math.lcm(period, *(abs(p.shift) or 1 for piece in nominal.pieces for p in piece.extents[k].phases))
            for k, period in enumerate(periods or (1,) * nominal.n_extents)
        )

    def after(self, nominal: Nominal, periods: Sequence[int], reach: Nominal) -> Aligned:
        """What a step makes of it."""
        return Aligned(nominal, self.pixels, periods, reach)

    def finished(self, finish: Callable[[Nominal], Nominal]) -> Aligned:
        """With the last word on both fields; positions that read nothing are where the pixels around them are."""
        nominal = finish(self.nominal)
        reach = nominal if self.reach is self.nominal else finish(self.reach)
        return self.after(nominal, self.periods, filled(reach, self.pixels))

    @staticmethod
    def carry(recipe: Recipe, inputs: Sequence[Aligned]) -> Aligned:
        """Carry a recipe out; a constant map is taken for one that is made from place to place of what it reads."""
        found = replay(recipe, inputs)
        if found.reach.pieces or not recipe.steps or recipe.steps[-1].kind != "nothing":
            return found
        for read in inputs:
            reach = spread(bounded(read.reach), recipe.channel_axis, found.nominal.shape)
            if reach.pieces:
                return found.after(found.nominal, read.periods, reach)
        return found

    def map_axis(self, axis: int, axis_map: AxisMap) -> Aligned:
        """Read the axis through the map."""
        shift, periods = axis_map.pattern.shift, list(self.periods)
        for piece in self.nominal.settled().pieces:
            at = piece.axes.at(axis)
            for k, extent in enumerate(piece.extents):
                for phase in extent.phases:
                    if phase.factor in at and shift and phase.shift:
                        turns = phase.period // math.gcd(phase.period, shift)
                        periods[k] = math.lcm(periods[k], turns * shift * phase.shift // phase.period)
        nominal = self.nominal.map_axis(axis, axis_map)
        reach = nominal if self.reach is self.nominal else self.reach.map_axis(axis, axis_map)
        return self.after(nominal, periods, kept(reach, axis, self.pixels))

    reduce, insert, stretch = _step("reduce"), _step("insert"), _step("stretch")
    permute, reshape, along = _step("permute"), _step("reshape"), _step("along")
    union, concat = _step("union"), _step("concat")

    def nothing(self) -> Aligned:
        """The same shape, reading nothing; what is constant is there only where the map is, so the reach stays."""
        reach = bounded(self.reach)
        return Aligned(self.nominal.nothing(), self.pixels, self.periods if reach.pieces else None, reach)
