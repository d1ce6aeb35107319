"""Crossed: a relation of which every row is a product of rows of other relations, kept as these and their numbers.

A feature map whose rows and columns become one axis, as heads of detectors are joined, has a row for every anchor,
and in it a run for every line of pixels. Kept as a number of a row of the map and one of a column, an anchor costs
two numbers, and maps of several levels are joined by putting their rows below each other.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from fastrf.engine import kernels, stretched
from fastrf.engine.deferred import Deferred
from fastrf.engine.memo import remembered
from fastrf.engine.relation import Relation, check_size, intern_as
from fastrf.system.locks import cached_property

__all__ = ["Crossed", "cross", "crossed", "product_of_rows"]

IntArray = npt.NDArray[np.int64]

#: Relations of so few rows, or runs, are as well made whole.
_FEW, _FEW_RUNS = 1 << 7, 1 << 14
#: A relation of more rows is no part: each of its rows is looked at.
_MANY = 1 << 16


class _Rows(NamedTuple):
    """Per row: its columns, its runs, its first and last column, and whether it touches both ends."""

    counts: IntArray
    runs: IntArray
    first: IntArray
    last: IntArray
    both_ends: npt.NDArray[np.bool_]


class Crossed(Deferred):
    """Row `r` is the product of rows `index[p, r]` of the parts `p`; it holds nothing where these are -1.

    The columns are those of all parts, the first one's outermost. Rows of parts are distinct, none is empty, and they
    are numbered as they first occur, so equal relations of parts of the same widths are the same object.
    """

    __slots__ = ("index", "parts")

    parts: tuple[Relation, ...]
    index: IntArray

    def _rows(self) -> kernels.Runs:
        return product_of_rows(self.parts, [*self.index])

    def __reduce__(self) -> tuple[object, ...]:
        return crossed, (self.parts, self.index)

    @property
    def n_rows(self) -> int:
        """Number of output indices."""
        return len(self.index[0])

    @property
    def nbytes(self) -> int:
        """Memory held."""
        return self.index.nbytes + sum(part.nbytes for part in self.parts)

    @cached_property
    def _each(self) -> _Rows:
        one = np.ones(self.n_rows, np.int64)
        total = _Rows(one, one, one * 0, one * 0, one > 0)
        for part, index in zip(self.parts, self.index, strict=True):
            hulls, counts, runs = part.hulls[index], part.counts[index], np.diff(part.indptr)[index]
            ends = (hulls[:, 0] == 0) & (hulls[:, 1] == part.n_cols)
            total = _Rows(
                total.counts * counts,
                total.counts * runs - ends * (total.counts - total.runs),
                total.first * part.n_cols + hulls[:, 0],
                total.last * part.n_cols + hulls[:, 1] - 1,
                total.both_ends & ends,
            )
        return _Rows(*(np.where(self._used, values, 0) for values in total))

    @cached_property
    def _used(self) -> npt.NDArray[np.bool_]:
        return np.asarray(self.index[0] >= 0)

    @cached_property
    def n_runs(self) -> int:
        """Number of runs."""
        return int(self._each.runs.sum())

    @cached_property
    def n_points(self) -> int:
        """Number of pairs of a row and a column that it holds."""
        return int(self.counts.sum())

    @property
    def counts(self) -> IntArray:
        """int64[n_rows]: how many columns each row holds."""
        return self._each.counts

    @cached_property
    def hulls(self) -> IntArray:
        """int64[n_rows, 2]: the smallest run around each row; `[0, 0)` for an empty row."""
        return np.stack([self._each.first, self._each.last + self._used], axis=1)

    @cached_property
    def is_chain(self) -> bool:
        """Never told, which costs time alone."""
        return False

    @property
    def is_empty(self) -> bool:
        """No row holds anything, which is kept whole."""
        return False

    @cached_property
    def is_identity(self) -> bool:
        """Every row holds the column of its own number."""
        return self.n_rows == self.n_cols == self.n_runs and super().is_identity

    @cached_property
    def is_full(self) -> bool:
        """Every row holds every column."""
        return bool(self._used.all()) and all(part.is_full for part in self.parts)

    @cached_property
    def occupied(self) -> Relation:
        """Which rows hold anything, as a relation to a single column."""
        return Relation.from_runs(1, np.zeros(self.n_rows), self._used)

    def is_constant_along(self, before: int, middle: int, after: int) -> bool:
        """With rows `(before, middle, after)`: whether they do not depend on the middle."""
        index = self.index.reshape(-1, before, middle, after)
        return bool((index == index[:, :, :1]).all())

    def take(self, index: npt.ArrayLike) -> Relation:
        """The rows named by `index`, in its order, repeated or not."""
        return crossed(self.parts, self.index[:, np.asarray(index, np.int64)])

    def contains(self, other: Relation) -> bool:
        """Whether every row of `other` is a subset of the same row here."""
        if not isinstance(other, Crossed) or not self._alike(other):
            return super().contains(other)
        used = other._used
        if not self._used[used].all():
            return False
        for part, more, own, its in zip(self.parts, other.parts, self.index, other.index, strict=True):
            pairs = np.unique(np.stack([own[used], its[used]]), axis=1)
            if not _whole(part.take(pairs[0])).contains(_whole(more.take(pairs[1]))):
                return False
        return True

    def read_by(self, outer: Relation, before: int, after: int) -> Relation | None:
        """`outer` over the middle of the rows, where each of its rows reads one at most."""
        counts = outer.counts
        if counts.max(initial=0) > 1 or not outer.n_cols:
            return None
        read = np.full(outer.n_rows, -1)
        read[counts > 0] = outer.start
        middle = self.index.reshape(len(self.parts), before, outer.n_cols, after)
        found = np.where(read[:, None] < 0, -1, middle[:, :, read])
        return crossed(self.parts, found.reshape(len(self.parts), -1))

    def _alike(self, other: Crossed) -> bool:
        return [part.n_cols for part in self.parts] == [part.n_cols for part in other.parts]

    def joins(self, other: Relation) -> bool:
        """Whether a union with the other is of few runs, too."""
        if isinstance(other, Crossed) and self._alike(other) and not (self._used & other._used).any():
            return True
        return self.n_runs <= _FEW_RUNS

    def _union(self, other: Relation) -> Relation:
        if not isinstance(other, Crossed) or not self._alike(other) or (self._used & other._used).any():
            return super()._union(other)
        lengths = [[part.n_rows] for part in self.parts]
        index = np.where(other._used, other.index + lengths, self.index)
        return crossed([_stacked(*both) for both in zip(self.parts, other.parts, strict=True)], index)

    def _project(self, middle: int, after: int) -> Relation:
        below = 1
        for part, index in zip(self.parts[::-1], self.index[::-1], strict=True):
            within = after // below
            if below * within == after and part.n_cols % (middle * within) == 0:
                found = part.project(part.n_cols // (middle * within), middle, within)
                return Relation.from_arrays(middle, *_taken(found, index))
            below *= part.n_cols
        return super()._project(middle, after)


def cross(
    groups: Sequence[tuple[tuple[int, ...], tuple[int, ...], Relation]], wanted: Sequence[int], sizes: Sequence[int]
) -> tuple[tuple[int, ...], Relation] | None:
    """Groups over all wanted factors as one: its input axes and relation; None where that is as well made whole."""
    shape = [sizes[f] for f in wanted]
    ordered = sorted(groups, key=lambda group: group[1])
    cols = tuple(axis for _, axes, _ in ordered for axis in axes)
    apart = len(groups) > 1 or any(isinstance(relation, Crossed) for _, _, relation in groups)
    if not apart or cols != tuple(sorted(cols)) or math.prod(shape) <= min(stretched.MIN_ROWS, _FEW):
        return None
    parts: list[Relation] = []
    index: list[IntArray] = []
    for rows, _, relation in ordered:
        own = isinstance(relation, Crossed)
        if any(f not in wanted for f in rows) or (relation.n_rows > _MANY and not own):
            return None
        at = np.arange(relation.n_rows).reshape([sizes[f] if f in rows else 1 for f in wanted])
        place = np.broadcast_to(at, shape).ravel()
        parts += relation.parts if isinstance(relation, Crossed) else [relation]
        index += [*relation.index[:, place]] if isinstance(relation, Crossed) else [place]
    return cols, crossed(parts, np.stack(index))


def product_of_rows(parts: Sequence[Relation], index: Sequence[IntArray]) -> kernels.Runs:
    """Row by row, the product of the rows of the parts that an index names, -1 for none."""
    result, width = _taken(parts[0], index[0]), parts[0].n_cols
    for part, own in zip(parts[1:], index[1:], strict=True):
        more, width = _taken(part, own), width * part.n_cols
        runs = int(_counts(result) @ np.diff(more[0]))
        check_size(own.size, runs, width)
        out = np.empty(own.size + 1, np.int64), np.empty(runs, np.int64), np.empty(runs, np.int64)
        n = kernels.product_rows(result, more, part.n_cols, out)
        result = out[0], out[1][:n].copy(), out[2][:n].copy()
    return result


def crossed(parts: Sequence[Relation], index: IntArray) -> Relation:
    """The canonical relation of products of rows; one of few rows, or of none that holds anything, is made whole."""
    found = np.where((index < 0).any(axis=0), -1, index)
    for p, part in enumerate(parts):
        found[p] = np.where(found[p] < 0, -1, _distinct(part)[found[p]] if part.n_rows else -1)
    found = np.where((found < 0).any(axis=0), -1, found)
    kept = []
    for p, part in enumerate(parts):
        rows, first, place = np.unique(found[p], return_index=True, return_inverse=True)
        order = np.argsort(np.where(rows < 0, -1, first), kind="stable")
        missing = int(rows.size > 0 and rows[0] < 0)
        number = np.empty(rows.size, np.int64)
        number[order] = np.arange(rows.size) - missing
        found[p] = number[place.ravel()]
        kept.append(_whole(part.take(rows[order][missing:])))
    new = object.__new__(Crossed)
    new.parts, new.index, new.n_cols = tuple(kept), found, math.prod(part.n_cols for part in kept)
    new.index.flags.writeable = False
    if new.n_rows <= min(stretched.MIN_ROWS, _FEW) or not new._used.any():
        return new.whole()
    digest = hashlib.blake2b(new.index.tobytes(), digest_size=16).digest()
    return intern_as(("crossed", new.parts, new.index.shape, digest), new)


def _whole(relation: Relation) -> Relation:
    return relation.whole() if isinstance(relation, Deferred) else relation


def _distinct(part: Relation) -> IntArray:
    """Per row the first one that is equal, -1 for an empty one."""

    def make() -> IntArray:
        first: dict[tuple[bytes, bytes], int] = {}
        indptr, start, stop = part.runs
        ends = zip(indptr[:-1].tolist(), indptr[1:].tolist(), strict=True)
        found = [
            first.setdefault((start[low:high].tobytes(), stop[low:high].tobytes()), row) if high > low else -1
            for row, (low, high) in enumerate(ends)
        ]
        return np.array(found, np.int64)

    return remembered(("distinct", part), make)


def _taken(part: Relation, index: IntArray) -> kernels.Runs:
    """The rows of a part that an index names, none where it is -1."""
    used = index >= 0
    picked = _whole(part.take(index[used]))
    indptr = np.zeros(index.size + 1, np.int64)
    indptr[1:][used] = np.diff(picked.indptr)
    return np.cumsum(indptr), picked.start.copy(), picked.stop.copy()


def _counts(runs: kernels.Runs) -> IntArray:
    """How many columns each row of runs holds."""
    total = np.zeros(runs[1].size + 1, np.int64)
    np.cumsum(runs[2] - runs[1], out=total[1:])
    return np.diff(total[runs[0]])


def _stacked(upper: Relation, lower: Relation) -> Relation:
    """The rows of one relation below those of another."""
    indptr = np.concatenate([upper.indptr, lower.indptr[1:] + upper.n_runs])
    runs = [np.concatenate([getattr(upper, name), getattr(lower, name)]) for name in ("start", "stop")]
    return Relation.from_arrays(upper.n_cols, indptr, runs[0], runs[1])
