"""What a picture needs of a field, at the resolution of the picture: never what cannot be drawn.

An axis is cut into *cells* of as many indices each. What one position sees, or what any does, is a Dependency without
axes; `raster` says of every cell whether any of it is seen, in time of runs and cells, and `unseen` whether any is not.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from fastrf.engine import axis_map as maps
from fastrf.engine.dependency import Dependency
from fastrf.engine.nominal import Nominal
from fastrf.engine.relation import Relation
from fastrf.engine.terms import Group, normal_term
from fastrf.errors import LimitError
from fastrf.queries import counting
from fastrf.queries.masks import dense_row

__all__ = ["Cells", "anywhere", "at", "clipped_shares", "n_seen", "picked", "raster", "unseen"]

Mask = npt.NDArray[np.bool_]
IntArray = npt.NDArray[np.int64]
FloatArray = npt.NDArray[np.float64]

#: Positions that are looked at together.
BATCH = 1 << 22
#: Its multiples are spread most evenly between whole numbers.
_GOLDEN = (math.sqrt(5) - 1) / 2


class Cells(NamedTuple):
    """`n` indices of an axis, from the `first` one on, in cells of `step` each; the last cell may have fewer."""

    n: int
    step: int
    first: int = 0

    @classmethod
    def of(cls, n: int, most: int, few: int = 0) -> Cells:
        """One for each index of an axis of at most so many; of a longer one as many (or as few), or somewhat less."""
        return cls(n, 1 if n <= most else -(-n // (few or most)))

    @property
    def number(self) -> int:
        """Number of cells."""
        return -(-self.n // self.step)

    @property
    def begins(self) -> IntArray:
        """int64[count]: the first index of each."""
        return self.first + np.arange(self.number, dtype=np.int64) * self.step

    @property
    def chosen(self) -> IntArray:
        """int64[number]: an index of each, now here, now there, so that what repeats does not look constant."""
        sizes = np.minimum(self.step, self.first + self.n - self.begins)
        return np.asarray(self.begins + (np.arange(1, self.number + 1) * _GOLDEN % 1 * sizes).astype(np.int64))


# What is seen ------------------------------------------------------------------------------------------------


def at(dependency: Dependency, index: Sequence[int]) -> Dependency:
    """What one output index depends on, without axes."""
    place = counting.factor_index(dependency, index)
    terms = []
    for term in dependency.terms:
        rows = [counting.group_rows(group, dependency.sizes, place).ravel() for group in term]
        groups = [Group((), g.cols, g.relation.take(row)) for g, row in zip(term, rows, strict=True)]
        terms.append(normal_term(groups, (), dependency.input_shape))
    return Dependency(dependency.input_shape, (), list(dict.fromkeys(t for t in terms if t is not None)))


def anywhere(dependency: Dependency) -> Dependency:
    """What any output index depends on, without axes."""
    for _ in dependency.axes:
        dependency = dependency.reduce(0)
    return dependency


def n_seen(seen: Dependency) -> int:
    """How many input indices something without axes depends on."""
    try:
        return int(counting.areas(seen))
    except LimitError:  # more terms than can be counted by bits
        return int(dense_row(seen, ()).sum())


def picked(dependency: Dependency, indices: Sequence[Cells | int]) -> Dependency:
    """Per axis, an index of each cell or one alone."""
    for axis, wanted in enumerate(indices):
        index = [wanted] if isinstance(wanted, int) else wanted.chosen.tolist()
        if len(index) != dependency.shape[axis]:
            dependency = dependency.map_axis(axis, _listed(dependency.shape[axis], index))
    return dependency


def _listed(n: int, index: Sequence[int]) -> maps.AxisMap:
    """Output `o` reads `index[o]`."""
    rows = np.array(index, np.int64)
    first = maps.strided_slice(n, index[0], 1, len(index))
    return maps.AxisMap(n, len(index), lambda: Relation.from_runs(n, rows, rows + 1), lambda: first.pattern)


# Cells -------------------------------------------------------------------------------------------------------


def raster(seen: Dependency, shown: Mapping[int, Cells], fixed: Mapping[int, int] | None = None) -> Mask:
    """bool[cells of the shown axes, in ascending order]: where any index is seen.

    `fixed` holds the index on axes of which one is looked at; of those in neither, any will do.
    """
    found = np.zeros([cells.number for _, cells in sorted(shown.items())], bool)
    for term in seen.terms:
        part = np.ones((1,) * found.ndim, bool)
        for group in term:
            part = part & _cells_of(group, seen.input_shape, shown, fixed or {})
            if not part.any():
                break
        found |= part
    return found


def _cells_of(group: Group, shape: Sequence[int], shown: Mapping[int, Cells], fixed: Mapping[int, int]) -> Mask:
    """The cells that one group holds, as an open mesh over the shown axes."""
    outer, low, high = _lines(group, shape)
    if not group.cols:
        return np.full((1,) * len(shown), low.size > 0)
    *others, last = group.cols
    keep, cell, size = np.ones(low.size, bool), np.zeros(low.size, np.int64), 1
    for axis, index in zip(others, outer, strict=True):
        keep &= index == fixed.get(axis, index)
        if axis in shown:
            n, step, first = shown[axis]
            keep &= (index >= first) & (index < first + n)
            cell, size = cell * shown[axis].number + (index - first) // step, size * shown[axis].number
    n, step, first = shown.get(last, Cells(shape[last], 1)) if last not in fixed else Cells(1, 1, fixed[last])
    low, high = np.maximum(low - first, 0), np.minimum(high - first, n)
    keep &= low < high
    low, high, cell = low[keep], high[keep], cell[keep]
    mesh = [shown[axis].number if axis in group.cols else 1 for axis in sorted(shown)]
    if last not in shown:
        return (np.bincount(cell, minlength=size) > 0).reshape(mesh)
    return filled(cell, low // step, (high - 1) // step, (size, shown[last].number)).reshape(mesh)


def filled(row: IntArray, first: IntArray, last: IntArray, shape: tuple[int, int]) -> Mask:
    """bool[*shape]: in each row, from the first to the last column of its runs."""
    wide, size = shape[1] + 1, shape[0] * (shape[1] + 1)
    change = np.bincount(row * wide + first, minlength=size) - np.bincount(row * wide + last + 1, minlength=size)
    return np.asarray(change.reshape(shape[0], wide).cumsum(axis=1)[:, :-1] > 0)


def _lines(group: Group, shape: Sequence[int]) -> tuple[Sequence[IntArray], IntArray, IntArray]:
    """The runs of a group of one row, cut at the ends of its last axis: the index on the others, and both ends."""
    start, stop = group.relation.start, group.relation.stop
    if len(group.cols) < 2:
        return (), start, stop
    widths = [shape[axis] for axis in group.cols]
    width = widths[-1]
    first, count = start // width, (stop - 1) // width - start // width + 1
    own = np.repeat(np.arange(start.size), count)
    line = first[own] + np.arange(own.size) - (np.cumsum(count) - count)[own]
    low, high = np.maximum(start[own] - line * width, 0), np.minimum(stop[own] - line * width, width)
    return np.unravel_index(line, widths[:-1]), low, high


def unseen(seen: Dependency, shown: Sequence[Cells]) -> Mask:
    """bool[cells]: where any index is not seen; of all axes of the input.

    Indices of an axis that the same terms hold are alike. Raises LimitError where terms entangle axes, so that it takes
    the whole mask, and that does not fit the memory.
    """
    if any(len(group.cols) > 1 for term in seen.terms for group in term):
        blind = ~dense_row(seen, ())
        for axis, cells in enumerate(shown):
            blind = np.logical_or.reduceat(blind, cells.begins, axis=axis)
        return blind
    found = np.zeros([cells.number for cells in shown], bool)
    kinds = [_kinds(seen, axis, cells) for axis, cells in enumerate(shown)]
    for chosen in np.ndindex(*(len(sets) for sets, _ in kinds)):
        held = functools.reduce(np.bitwise_and, [sets[k] for (sets, _), k in zip(kinds, chosen, strict=True)])
        if not held.any():
            found |= functools.reduce(np.multiply.outer, [has[k] for (_, has), k in zip(kinds, chosen, strict=True)])
    return found


def _kinds(seen: Dependency, axis: int, cells: Cells) -> tuple[Mask, Mask]:
    """The sets of terms that hold an index of an axis, bool[kinds, terms], and which cells have them."""
    held = np.zeros((cells.n, max(len(seen.terms), 1)), bool)
    for k, term in enumerate(seen.terms):
        for group in term:
            if group.cols == (axis,):
                held[:, k] = group.relation.row_mask(0)
    sets, kind = np.unique(np.packbits(held, axis=1), axis=0, return_inverse=True)
    has = np.zeros((len(sets), cells.number), bool)
    has[kind.ravel(), np.arange(cells.n) // cells.step] = True
    return np.unpackbits(sets, axis=1).astype(bool), has


def clipped_shares(nominal: Nominal, pixels: Sequence[int], cells: Sequence[Cells]) -> FloatArray:
    """float64[cells]: of the positions in each cell, the share that a border of the input cuts."""
    found = np.zeros([one.number for one in cells])
    if not cells:
        return nominal.clipped(pixels).astype(np.float64)
    if 0 in nominal.shape:
        return found
    per_row = max(math.prod(nominal.shape[1:]), 1)
    many = max(BATCH // (per_row * cells[0].step), 1)  # rows of cells at a time
    for first in range(0, cells[0].number, many):
        begin, end = first * cells[0].step, min((first + many) * cells[0].step, nominal.shape[0])
        part = nominal.map_axis(0, maps.strided_slice(nominal.shape[0], begin, 1, end - begin))
        total = part.clipped(pixels).astype(np.int64)
        for axis, one in enumerate(cells):
            begins = one.begins if axis else one.begins[: -(-(end - begin) // one.step)]
            total = np.add.reduceat(total, begins, axis=axis)
        found[first : first + many] = total
    sizes = [np.diff([*one.begins, one.n]) for one in cells]
    return np.asarray(found / functools.reduce(np.multiply.outer, sizes))
