"""Which positions see a box of pixels wholly, and which see some of it: three exact ways, the first that fits.

Ranges where masks are solid boxes that move along with the position; tables where they are unions of products; counts
of covered pixels otherwise.
"""

from __future__ import annotations

import itertools
import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from fastrf.anchors.kernels import box_sets, fill_ranges, fill_table
from fastrf.budget import require_memory
from fastrf.engine.dependency import Dependency
from fastrf.engine.relation import Relation
from fastrf.engine.terms import Group
from fastrf.queries.counting import MAX_COUNTED_TERMS, common_parts, pieces
from fastrf.queries.masks import dense

__all__ = ["Answer", "Areas", "Ranges", "Tables", "answer"]

BoolArray = npt.NDArray[np.bool_]
Bytes = npt.NDArray[np.uint8]
IntArray = npt.NDArray[np.int64]

#: More kinds of columns than this are not told apart by bit masks.
MAX_KINDS = 62
#: More sets of kinds along one part than this, or combinations of them over all parts, are not tabulated.
MAX_SETS = 128
MAX_TABLE = 1 << 16
#: Boxes that one product of float32 matrices counts, exactly.
MATRIX_ROWS = 1 << 14
#: Elements that a chunk of positions by pixels may have.
CHUNK = 1 << 24


class Answer(ABC):
    """What is known of `n` boxes on a map of `shape`; `whole` asks for positions that see all of a box, else some."""

    def __init__(self, n: int, shape: tuple[int, ...]) -> None:
        self.n, self.shape = n, shape

    @abstractmethod
    def dense(self, whole: bool, boxes: slice) -> BoolArray:
        """bool[boxes, *map]."""

    def packed(self, whole: bool, boxes: slice) -> Bytes:
        """uint8[boxes, *map[:-1], ceil(map[-1] / 8)]: eight along the last axis a byte, as `numpy.packbits`."""
        return np.packbits(self.dense(whole, boxes), axis=-1)

    def counts(self, whole: bool) -> tuple[IntArray, IntArray]:
        """The number of positions per box, int64[n], and of boxes per position, int64[*map]: chunk by chunk."""
        boxes, positions = np.zeros(self.n, np.int64), np.zeros(self.shape, np.int64)
        step = max(CHUNK // max(math.prod(self.shape), 1), 1)
        for first in range(0, self.n, step):
            seen = self.dense(whole, slice(first, first + step))
            boxes[first : first + step] = np.count_nonzero(seen.reshape(len(seen), -1), axis=1)
            positions += seen.sum(axis=0)
        return boxes, positions


def answer(positional: Dependency, pixels: IntArray) -> Answer:
    """The answer for boxes of pixels (int64[n, ndim, 2], half-open); an empty box is seen by none."""
    return Ranges.of(positional, pixels) or Tables.of(positional, pixels) or Areas(positional, pixels)


class Ranges(Answer):
    """Masks are one run per axis, in the order of positions: the positions that see a box are ranges."""

    def __init__(self, shape: tuple[int, ...], whole: IntArray, part: IntArray) -> None:
        super().__init__(whole.shape[2], shape)
        self.ranges = {True: whole, False: part}

    @classmethod
    def of(cls, positional: Dependency, pixels: IntArray) -> Ranges | None:
        """None where masks are not so simple."""
        if not positional.shape or len(positional.terms) != 1 or any(len(factors) > 1 for factors in positional.axes):
            return None
        term = positional.terms[0]
        if any(len(g.cols) != 1 or len(g.rows) > 1 or not _moves_along(g.relation) for g in term):
            return None
        shape = positional.shape
        found = []
        for whole in (True, False):
            ranges = np.zeros((len(shape), 2, len(pixels)), np.int64)
            ranges[:, 1] = np.array(shape)[:, None]
            seen = pixels[:, 0, 0] < pixels[:, 0, 1]
            for group in term:
                first, stop = _rows_that_see(group.relation, pixels[:, group.cols[0]], whole)
                if group.rows:
                    ranges[positional.axes.owners[group.rows[0]]] = first, np.maximum(stop, first)
                else:
                    seen &= stop > first
            ranges[:, :, ~seen] = 0
            found.append(ranges)
        return cls(shape, *found)

    def dense(self, whole: bool, boxes: slice) -> BoolArray:
        """bool[boxes, *map]."""
        if len(self.shape) == 2:
            return self._plane(whole, boxes, packed=False).view(bool)
        inside: Any = True
        for axis, (n, ends) in enumerate(zip(self.shape, self.ranges[whole][:, :, boxes], strict=True)):
            index = np.arange(n).reshape(n, *[1] * (len(self.shape) - 1 - axis))
            low, high = ends.reshape(2, -1, *[1] * len(self.shape))
            inside = inside & (index >= low) & (index < high)
        return np.asarray(inside)

    def packed(self, whole: bool, boxes: slice) -> Bytes:
        """uint8[boxes, *map[:-1], ceil(map[-1] / 8)]."""
        return self._plane(whole, boxes, packed=True) if len(self.shape) == 2 else super().packed(whole, boxes)

    def _plane(self, whole: bool, boxes: slice, *, packed: bool) -> Bytes:
        """Either of them on a map of two axes."""
        (top, bottom), (left, right) = np.ascontiguousarray(self.ranges[whole][:, :, boxes])
        height, width = self.shape
        out = np.empty((len(top), height, (width + 7) // 8 if packed else width), np.uint8)
        fill_ranges(top, bottom, left, right, packed, out)
        return out

    def counts(self, whole: bool) -> tuple[IntArray, IntArray]:
        """Every box marks the corners of its range, and the sums over them are the counts per position."""
        ranges = self.ranges[whole]
        wider = tuple(n + 1 for n in self.shape)
        marks: IntArray = np.zeros(wider, np.int64)
        for ends in itertools.product((0, 1), repeat=len(wider)):
            corner = np.ravel_multi_index([ranges[axis, end] for axis, end in enumerate(ends)], wider)
            marks += (-1) ** sum(ends) * np.bincount(corner, minlength=marks.size).reshape(wider)
        for axis in range(marks.ndim):
            marks = marks.cumsum(axis=axis)
        return (ranges[:, 1] - ranges[:, 0]).prod(axis=0), marks[tuple(map(slice, self.shape))]


def _moves_along(relation: Relation) -> bool:
    """One run per row, whose ends never move back."""
    ends_move_on = all((np.diff(ends) >= 0).all() for ends in (relation.start, relation.stop))
    return ends_move_on and bool((np.diff(relation.indptr) == 1).all())


def _rows_that_see(relation: Relation, pixels: IntArray, whole: bool) -> tuple[IntArray, IntArray]:
    """The first row, and the one after the last, that see each interval (int64[n, 2]) wholly or in part."""
    low, high = pixels[:, 0], pixels[:, 1]
    ends: tuple[Literal["left", "right"], ...] = ("left", "right") if whole else ("right", "left")
    first = _places(relation.stop, high if whole else low, ends[0], relation.n_cols)
    return first, _places(relation.start, low if whole else high, ends[1], relation.n_cols)


def _places(ordered: IntArray, values: IntArray, side: Literal["left", "right"], largest: int) -> IntArray:
    """`numpy.searchsorted`, by a table of all values where there are many of them."""
    if values.size < largest:
        return ordered.searchsorted(values, side)
    return ordered.searchsorted(np.arange(largest + 1), side)[values]


class Tables(Answer):
    """Masks are unions of products: what a box meets along each part of the axes, and what that means together.

    A column's kind is the set of terms that hold it. Along one part, a box meets a set of kinds on each row; a position
    sees the box wholly if every combination of kinds, one from each part, has a term in common, and a part of the box
    if some combination has one.
    """

    def __init__(
        self,
        shape: tuple[int, ...],
        sizes: tuple[int, ...],
        parts: Sequence[tuple[tuple[int, ...], Bytes]],
        whole: BoolArray,
        part: BoolArray,
    ) -> None:
        super().__init__(len(parts[0][1]), shape)
        self.sizes, self.parts = sizes, parts
        self.tables = {True: whole, False: part}

    @classmethod
    def of(cls, positional: Dependency, pixels: IntArray) -> Tables | None:
        """None where the kinds are too many, or parts of the axes mix several pixel axes."""
        if not positional.terms or len(positional.terms) > MAX_COUNTED_TERMS:
            return None
        parts, sets = [], []
        for groups in common_parts(positional):
            cols = groups[0].cols
            if len(cols) > 1:
                return None
            found = _sets_met(groups, pixels[:, cols[0]] if cols else np.tile([0, 1], (len(pixels), 1)))
            if found is None:
                return None
            sets.append(found[0])
            parts.append((groups[0].rows, found[1]))
        if math.prod(map(len, sets)) > MAX_TABLE:
            return None
        return cls(positional.shape, positional.sizes, parts, *_meanings(sets))

    def dense(self, whole: bool, boxes: slice) -> BoolArray:
        """bool[boxes, *map]."""
        table, n = self.tables[whole], len(range(*boxes.indices(self.n)))
        met = [np.ascontiguousarray(sets[boxes]) for _, sets in self.parts]
        if self._is_plane:
            out = np.empty((n, *self.sizes), bool)
            fill_table(table.view(np.uint8), met[0], met[1], out.view(np.uint8))
            return out.reshape(n, *self.shape)
        index = tuple(
            sets.reshape(n, *(size if f in rows else 1 for f, size in enumerate(self.sizes)))
            for (rows, _), sets in zip(self.parts, met, strict=True)
        )
        return np.broadcast_to(table[index], (n, *self.sizes)).reshape(n, *self.shape)

    @property
    def _is_plane(self) -> bool:
        """Two axes, each a part of its own."""
        return len(self.sizes) == 2 and [rows for rows, _ in self.parts] == [(0,), (1,)]

    def counts(self, whole: bool) -> tuple[IntArray, IntArray]:
        """On a plane as products of matrices, set by set of the first axis."""
        if not self._is_plane:
            return super().counts(whole)
        boxes, positions = np.zeros(self.n, np.int64), np.zeros(self.sizes)
        for begin in range(0, self.n, MATRIX_ROWS):
            part = slice(begin, begin + MATRIX_ROWS)
            first, second = (sets[part] for _, sets in self.parts)
            for own, values in enumerate(self.tables[whole]):
                if values.any():
                    rows, columns = (first == own).astype(np.float32), values[second].astype(np.float32)
                    boxes[part] += (rows.sum(axis=1) * columns.sum(axis=1)).astype(np.int64)
                    positions += rows.T @ columns
        return boxes, positions.astype(np.int64).reshape(self.shape)


def _sets_met(groups: Sequence[Group], along: IntArray) -> tuple[list[list[int]], Bytes] | None:
    """Sets of kinds of columns, each kind the bits of its terms; and uint8[boxes, rows] which set is met."""
    indptr, start, bits = pieces([group.relation for group in groups])
    kinds, which = np.unique(bits, return_inverse=True)
    if kinds.size > MAX_KINDS:
        return None
    known, met = np.empty(MAX_SETS, np.int64), np.empty((len(along), indptr.size - 1), np.uint8)
    low, high = np.ascontiguousarray(along.T)
    count = box_sets((indptr, start, which.astype(np.int64)), low, high, known, met)
    if count < 0:
        return None
    held = [(kinds[chosen >> np.arange(kinds.size) & 1 > 0]).tolist() for chosen in known[:count].tolist()]
    return held, met


def _meanings(sets: Sequence[list[list[int]]]) -> tuple[BoolArray, BoolArray]:
    """Per combination of sets, one from each part: whether the box is seen wholly, and whether at all."""
    shape = [len(part) for part in sets]
    whole, some = np.zeros(shape, bool), np.zeros(shape, bool)
    for index in itertools.product(*map(range, shape)):
        common = {-1}
        for part, k in zip(sets, index, strict=True):
            common = {held & kind for held in common for kind in part[k]}
        whole[index] = bool(common) and 0 not in common
        some[index] = any(common)
    return whole, some


class Areas(Answer):
    """Any masks: how many pixels of each box each position sees, from running sums over dense masks."""

    def __init__(self, positional: Dependency, pixels: IntArray) -> None:
        super().__init__(len(pixels), positional.shape)
        count = math.prod(self.shape)
        require_memory(self.n * count, f"{self.n} boxes at {count} positions", "assign fewer boxes at once")
        wanted = np.prod(pixels[:, :, 1] - pixels[:, :, 0], axis=1)
        self._seen = {whole: np.zeros((self.n, (count + 7) // 8), np.uint8) for whole in (True, False)}
        step = max(CHUNK // math.prod(positional.input_shape), 1) * 8
        for first in range(0, count, step):
            rows = np.arange(first, min(first + step, count))
            covered = _covered(dense(positional, rows, packed=False, out=None), pixels)
            part = np.s_[:, first // 8 : (first + len(rows) + 7) // 8]
            self._seen[True][part] = np.packbits((covered == wanted) & (wanted > 0), axis=0).T
            self._seen[False][part] = np.packbits(covered > 0, axis=0).T

    def dense(self, whole: bool, boxes: slice) -> BoolArray:
        """bool[boxes, *map]."""
        bits = self._seen[whole][boxes]
        return np.unpackbits(bits, axis=1, count=math.prod(self.shape)).view(bool).reshape(len(bits), *self.shape)


def _covered(masks: npt.NDArray[np.bool_] | npt.NDArray[np.uint8], pixels: IntArray) -> IntArray:
    """int64[masks, boxes]: how many pixels of each box each mask holds."""
    sums: IntArray = np.zeros([len(masks), *[n + 1 for n in masks.shape[1:]]], np.int64)
    sums[(slice(None), *[slice(1, None)] * (masks.ndim - 1))] = masks
    for axis in range(1, masks.ndim):
        np.cumsum(sums, axis=axis, out=sums)
    covered = np.zeros((len(masks), len(pixels)), np.int64)
    for ends in itertools.product((0, 1), repeat=masks.ndim - 1):
        corner: Any = [slice(None), *(pixels[:, axis, end] for axis, end in enumerate(ends))]
        covered += (-1) ** (len(ends) - sum(ends)) * sums[tuple(corner)]
    return covered
