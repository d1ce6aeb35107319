"""What tiles cost: how many pixels they read, how many of them again, and the memory that one of them takes.

`costs` is a table of sizes, `best` the size that reads the fewest pixels within a limit of memory.
"""

from __future__ import annotations

import bisect
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from fastrf.analysis import Analysis
from fastrf.budget import Limits
from fastrf.errors import LimitError, UsageError
from fastrf.field import ReceptiveField
from fastrf.system.tables import Column, Shown, Table, brief_count, count, document, share
from fastrf.tiling.asked import Sizes, Wanted
from fastrf.tiling.memory import activations, parameters
from fastrf.tiling.plans import plan
from fastrf.tiling.tiles import Axis, counted

__all__ = ["Cost", "Costs", "best", "costs"]

#: More tiles than these are not compared with each other.
MOST = 1 << 22


@dataclass(frozen=True)
class Cost:
    """What an image costs in tiles of one size; pixels are those of one channel.

    `tile` is how many pixels each tile reads per axis, `pixels_read` how many all of them read, `pixels` how many the
    image has. `activations` estimates the bytes that the network holds at most while it runs on a tile, `parameters`
    those of its weights (`fastrf.tiling.memory` says what is counted); None where no network is at hand.
    """

    tile: tuple[int, ...]
    n_tiles: int
    pixels_read: int
    pixels: int
    activations: int | None = None
    parameters: int | None = None

    @property
    def pixels_again(self) -> int:
        """Pixels that were read before, every further time counted."""
        return self.pixels_read - self.pixels

    @property
    def waste(self) -> float:
        """Their share of all pixels that are read, and so of the work."""
        return self.pixels_again / self.pixels_read

    @property
    def memory(self) -> int | None:
        """Bytes of activations and parameters together."""
        return None if self.activations is None or self.parameters is None else self.activations + self.parameters


_COLUMNS = (
    Column("tile", lambda r: "x".join(map(str, r["tile"]))),
    Column("tiles", lambda r: count(r["n_tiles"])),
    Column("pixels read", lambda r: count(r["pixels_read"]), lambda r: brief_count(r["pixels_read"])),
    Column("read again", lambda r: count(r["pixels_again"]), lambda r: brief_count(r["pixels_again"])),
    Column("waste", lambda r: share(r["waste"], 1)),
    Column("memory", lambda r: "-" if r["memory"] is None else f"{brief_count(r['memory'])}B"),
)
_KEYS = ("tile", "n_tiles", "pixels_read", "pixels", "pixels_again", "waste", "activations", "parameters", "memory")
_NOTE = "memory: float32 activations at their peak and parameters, without the framework's workspace"


class Costs(tuple[Cost, ...], Shown):
    """Costs of several sizes of tiles. `str()` is a table; `table` has the other forms."""

    __slots__ = ()

    @property
    def table(self) -> Table:
        """The table that all forms are made of."""
        records = [{key: getattr(cost, key) for key in _KEYS} for cost in self]
        notes = [_NOTE] if any(cost.memory for cost in self) else []
        return Table(records, _COLUMNS, notes=notes, keys=_KEYS, head=document("costs", units="pixels", costs=None))


def costs(
    analysis: Analysis | ReceptiveField,
    image_shape: Sequence[int] | None = None,
    tiles: Sequence[Sizes] | None = None,
    wrap: Sequence[int] | int = (),
    outputs: Sequence[str] | str | None = None,
) -> Costs:
    """What an image costs in tiles of several sizes, a row each.

    `tiles` are sizes as `fastrf.tiling.plan` takes them; without it, those that double from the smallest one on that
    has room for context and a period. The other arguments and the errors are those of `plan`.
    """
    asked = _doubling(analysis, image_shape, wrap, outputs) if tiles is None else list(tiles)
    if not asked:
        raise UsageError("tiles names no size; give some, such as [256, 512], or leave it out")
    plans = [plan(analysis, size, wrap, outputs, image_shape) for size in asked]
    shapes = list(dict.fromkeys((made.tile_shape, made.n_tiles, made.pixels_read, made.pixels) for made in plans))
    return _with_memory(analysis, outputs, [Cost(*shape) for shape in shapes])


def best(
    analysis: Analysis,
    image_shape: Sequence[int] | None = None,
    memory: int | str | None = "8GB",
    wrap: Sequence[int] | int = (),
    outputs: Sequence[str] | str | None = None,
) -> Cost:
    """The tiles that read the fewest pixels of all that take at most `memory` (bytes, or a text such as "8GB").

    Of several, the fewest and then the smallest tiles. `plan(analysis, best(...).tile, image_shape=...)` has them. The
    memory is an estimate: activations of one tile at their peak and parameters, in float32, without any workspace.

    Raises LimitError where not even the smallest tiles fit, UsageError for a size that cannot be read or a field, whose
    network is not at hand, and the errors of `fastrf.tiling.plan`.
    """
    if not isinstance(analysis, Analysis):
        raise UsageError("memory needs the network; give the analysis that the field is from")
    allowed = Limits.memory.checked("8GB" if memory is None else memory)
    axes = [_choices(*axis) for axis in _axes(analysis, image_shape, wrap, outputs)]
    if math.prod(map(len, axes)) > MOST:
        raise LimitError(f"more than {MOST:,} tiles would have to be compared; compare some, with costs(tiles=...)")
    pixels = math.prod(choices[0].pixels for choices in axes)
    tried, counts = (_together([[one[k] for one in choices] for choices in axes]) for k in (0, 1))
    held = activations(analysis, _names(analysis, outputs), tried) + parameters(analysis)
    fits = np.flatnonzero(held <= allowed)
    if not len(fits):
        least = "x".join(map(str, tried[held.argmin()]))
        told = f"the smallest tiles, {least}, take {brief_count(int(held.min()))}B"
        raise LimitError(f"{told}, and memory allows {brief_count(allowed)}B; give more")
    n_tiles = counts.prod(axis=1)
    reads = n_tiles * tried.prod(axis=1)
    at = min(fits[reads[fits] == reads[fits].min()], key=lambda k: (n_tiles[k], held[k]))
    found = Cost(tuple(map(int, tried[at])), int(n_tiles[at]), int(reads[at]), pixels)
    return _with_memory(analysis, outputs, [found])[0]


def _together(per_axis: Sequence[Sequence[int]]) -> npt.NDArray[np.int64]:
    """int64[n, ndim]: every combination of numbers of all axes."""
    return np.stack(np.meshgrid(*per_axis, indexing="ij"), axis=-1).reshape(-1, len(per_axis))


class _Choice(NamedTuple):
    """A way to cut an axis: pixels that a tile reads along it, and how many tiles there are; of how many pixels."""

    length: int
    n_tiles: int
    pixels: int


def _axes(
    analysis: Analysis | ReceptiveField,
    image_shape: Sequence[int] | None,
    wrap: Sequence[int] | int,
    outputs: Sequence[str] | str | None,
) -> list[tuple[Axis, bool]]:
    """The axes of the image, not cut, and whether tiles would read around each; what no tile may cut has no end."""
    wanted = Wanted.of(analysis, None, wrap, outputs, image_shape)
    axes = [wanted.axis(k) for k in range(len(wanted.sizes))]
    able = [axis if wanted.is_free(k) else replace(axis, before=math.inf) for k, axis in enumerate(axes)]
    return [(axis, k in wanted.wrap) for k, axis in enumerate(able)]


def _choices(whole: Axis, wrapped: bool) -> list[_Choice]:
    """For every number of tiles along an axis that there can be, the shortest ones."""
    found = [_Choice(whole.read, len(whole.spans), whole.size)]
    if not math.isfinite(whole.before + whole.after):
        return found
    axis = replace(whole, wrapped=wrapped)
    length = _least(axis)
    while length < whole.read:
        found.append(_Choice(length, counted(axis, length), axis.size))
        length = _with_fewer(axis, length, whole.read)
    return found


def _with_fewer(axis: Axis, length: int, longest: int) -> int:
    """The shortest tile of which an axis takes fewer than of a given one."""
    n, longer = counted(axis, length), range(length + axis.period, longest, axis.period)
    k = bisect.bisect_left(longer, True, key=lambda tried: counted(axis, tried) < n)
    return length + (k + 1) * axis.period


def _least(axis: Axis) -> int:
    """The shortest tile that has room for its context and a period."""
    before, after = (-(-int(size) // axis.period) for size in (axis.before, axis.after))
    if axis.wrapped:
        return (before + 1 + after) * axis.period
    least = (before + 1) * axis.period + int(axis.after)
    return least + (axis.size - least) % axis.period


def _doubling(
    analysis: Analysis | ReceptiveField,
    image_shape: Sequence[int] | None,
    wrap: Sequence[int] | int,
    outputs: Sequence[str] | str | None,
) -> Iterator[list[int | None]]:
    """Powers of two that have room for the context, on all axes that can be cut, then the whole image."""
    given = _axes(analysis, image_shape, wrap, outputs)
    axes = [replace(axis, wrapped=wrapped, tile=axis.read) for axis, wrapped in given]
    able = [axis for axis in axes if math.isfinite(axis.before + axis.after) and _least(axis) < axis.tile]
    size = 1 << (max(map(_least, able), default=1) - 1).bit_length()
    while any(size < axis.tile for axis in able):
        if all(size >= axis.tile or _fitting(axis, size) >= _least(axis) for axis in able):
            yield [size if axis in able and size < axis.tile else None for axis in axes]
        size *= 2
    yield [None] * len(axes)


def _fitting(axis: Axis, size: int) -> int:
    """The longest tile of at most a size."""
    return size - (size if axis.wrapped else size - axis.size) % axis.period


def _names(analysis: Analysis, outputs: Sequence[str] | str | None) -> list[str]:
    """The nodes that are asked for."""
    given = analysis.network.outputs if outputs is None else [outputs] if isinstance(outputs, str) else outputs
    return [analysis[name].name for name in given]


def _with_memory(
    analysis: Analysis | ReceptiveField, outputs: Sequence[str] | str | None, found: Sequence[Cost]
) -> Costs:
    """Costs with the memory that a tile takes, where the network is at hand."""
    if not isinstance(analysis, Analysis):
        return Costs(found)
    held = activations(analysis, _names(analysis, outputs), [cost.tile for cost in found])
    weights = parameters(analysis)
    return Costs(replace(cost, activations=int(n), parameters=weights) for cost, n in zip(found, held, strict=True))
