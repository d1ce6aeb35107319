"""Paired: a relation of the pairs of two axes whose rows follow one of the two, kept as two relations of single axes.

Scores of attention have a row for every query and key; those of 2,048 tokens have four million, of which each reads
what its key reads, or its query, and nothing where a mask hides it. Such a relation costs what its axes cost.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from fastrf.engine import kernels, stretched
from fastrf.engine.deferred import Deferred
from fastrf.engine.memo import remembered
from fastrf.engine.relation import Relation, intern_as
from fastrf.system.locks import cached_property

__all__ = ["Paired", "SomePairs", "everywhere", "paired", "some_pairs"]

IntArray = npt.NDArray[np.int64]


class Paired(Deferred):
    """Row `(i, j)` holds what row `i` (`own` 0) or `j` (`own` 1) of `inner` holds, where row `i` of `guard` holds `j`.

    The guard holds only pairs whose row holds anything, and `inner` only rows that a pair has. The arrays `indptr`,
    `start` and `stop` are made when they are first asked for.
    """

    __slots__ = ("guard", "inner", "own")

    guard: Relation
    inner: Relation
    own: int

    def _rows(self) -> kernels.Runs:
        return _runs(self)

    def __reduce__(self) -> tuple[object, ...]:
        return paired, (self.guard, self.inner, self.own)

    @property
    def n_rows(self) -> int:
        """Number of output indices."""
        return self.guard.n_rows * self.guard.n_cols

    @cached_property
    def n_runs(self) -> int:
        """Number of runs."""
        return int(np.diff(self.inner.indptr) @ _lines(self.guard, self.own).counts)

    @property
    def nbytes(self) -> int:
        """Memory held."""
        return self.guard.nbytes + self.inner.nbytes

    @cached_property
    def n_points(self) -> int:
        """Number of pairs of a row and a column that it holds."""
        return int(self.inner.counts @ _lines(self.guard, self.own).counts)

    @cached_property
    def is_chain(self) -> bool:
        """Never told, which costs time alone."""
        return False

    @cached_property
    def is_empty(self) -> bool:
        """No row holds anything."""
        return self.guard.is_empty

    @cached_property
    def is_identity(self) -> bool:
        """Every row holds the column of its own number."""
        return self.n_rows == self.n_cols == self.n_runs and super().is_identity

    @cached_property
    def is_full(self) -> bool:
        """Every row holds every column."""
        return self.guard.is_full and self.inner.is_full

    @cached_property
    def occupied(self) -> Relation:
        """Which rows hold anything, as a relation to a single column."""
        return paired(self.guard, self.inner.occupied, self.own)

    def is_constant_along(self, before: int, middle: int, after: int) -> bool:
        """With rows `(before, middle, after)`: whether they do not depend on the middle."""
        n, m = self.guard.n_rows, self.guard.n_cols
        if before == after == 1:
            return self._constant(0) and self._constant(1)
        if (before, middle, after) in ((1, n, m), (n, m, 1)):
            return self._constant(0 if (before, middle) == (1, n) else 1)
        return super().is_constant_along(before, middle, after)

    def _constant(self, axis: int) -> bool:
        """Whether all rows along the first or second axis of the pairs are equal."""
        counts = _lines(self.guard, 1 - axis).counts
        used = counts > 0
        whole = (self.guard.n_rows, self.guard.n_cols)[axis]
        return bool((counts[used] == whole).all()) and (axis != self.own or not used.any() or self.inner.is_constant)

    def take(self, index: npt.ArrayLike) -> Relation:
        """The rows named by `index`, in its order, repeated or not."""
        rows = np.asarray(index, np.int64) % max(self.n_rows, 1)
        pair = np.divmod(rows, self.guard.n_cols)
        at = np.repeat(np.arange(self.guard.n_rows), np.diff(self.guard.indptr)) * self.guard.n_cols
        k = np.searchsorted(at + self.guard.start, rows, "right") - 1
        open_ = (k >= 0) & (rows < (at + self.guard.stop)[k]) if at.size else np.zeros(rows.shape, bool)
        picked = self.inner.take(pair[self.own][open_])
        indptr = np.zeros(rows.size + 1, np.int64)
        indptr[1:][open_] = np.diff(picked.indptr)
        return Relation.from_arrays(self.n_cols, np.cumsum(indptr), picked.start.copy(), picked.stop.copy())

    def contains(self, other: Relation) -> bool:
        """Whether every row of `other` is a subset of the same row here."""
        if not isinstance(other, Paired) or self.guard.n_rows != other.guard.n_rows:
            return super().contains(other)
        if not self.guard.contains(other.guard):
            return False
        if self.own == other.own:
            return self.inner.contains(other.inner)
        return self.inner.contains(_lines(other.guard, self.own).compose(other.inner))

    def reorder_rows(self, sizes: Any, order: Any) -> Relation:
        """Rows `sizes` (row-major) put into the axis order `order`."""
        if tuple(sizes) == (self.guard.n_rows, self.guard.n_cols) and tuple(order) == (1, 0):
            return paired(self.guard.transpose, self.inner, 1 - self.own)
        return super().reorder_rows(sizes, order)

    def read_by(self, outer: Relation, before: int, after: int) -> Relation | None:
        """`outer` along one axis of the pairs, or over both where it only keeps some; None for all else."""
        n, m = self.guard.n_rows, self.guard.n_cols
        if before == after == 1:
            kept = _kept(outer, n, m)
            return None if kept is None else paired(_both(self.guard, kept), self.inner, self.own)
        if (before, after) not in ((1, m), (n, 1)):
            return None
        axis = 0 if (before, after) == (1, m) else 1
        lines = _lines(self.guard, axis)
        if axis == self.own and outer.n_rows == 1:
            return _only(outer.row_mask(0)).compose(lines).transpose.compose(self.inner)
        if axis == self.own and outer.counts.max(initial=0) > 1:
            return None
        inner = outer.compose(self.inner) if axis == self.own else self.inner
        return paired(_lines(outer.compose(lines), axis), inner, self.own)

    def joins(self, other: Relation) -> bool:
        """Whether a union with the other is of few runs, too."""
        if not isinstance(other, Paired):
            return True
        same_axes = (self.own, self.guard.n_rows) == (other.own, other.guard.n_rows)
        return same_axes and (self.guard is other.guard or self.inner is other.inner)

    def _union(self, other: Relation) -> Relation:
        if not isinstance(other, Paired) or not self.joins(other):
            return super()._union(other)
        return paired(self.guard.union(other.guard), self.inner.union(other.inner), self.own)

    def _project(self, middle: int, after: int) -> Relation:
        before = self.n_cols // max(middle * after, 1)
        return paired(self.guard, self.inner.project(before, middle, after), self.own)


class SomePairs(Deferred):
    """Row `(i, j)` holds the column of its own number, where row `i` of `guard` holds `j`: a mask over two axes."""

    __slots__ = ("guard",)

    guard: Relation

    def _rows(self) -> kernels.Runs:
        own = self.points()
        indptr = np.zeros(self.n_rows + 1, np.int64)
        indptr[own + 1] = 1
        return np.cumsum(indptr, out=indptr), own, own + 1

    def __reduce__(self) -> tuple[object, ...]:
        return some_pairs, (self.guard,)

    @property
    def n_rows(self) -> int:
        """Number of output indices."""
        return self.guard.n_rows * self.guard.n_cols

    @property
    def n_runs(self) -> int:
        """Number of runs."""
        return self.guard.n_points

    n_points = n_runs

    @property
    def nbytes(self) -> int:
        """Memory held."""
        return self.guard.nbytes

    @property
    def is_chain(self) -> bool:
        """Rows of one column each do not touch each other."""
        return False

    @property
    def is_empty(self) -> bool:
        """No row holds anything."""
        return self.guard.is_empty

    @property
    def is_identity(self) -> bool:
        """Every row holds the column of its own number."""
        return self.guard.is_full

    @property
    def is_full(self) -> bool:
        """Every row holds every column, which none of several does."""
        return False

    @cached_property
    def occupied(self) -> Relation:
        """Which rows hold anything, as a relation to a single column."""
        return paired(self.guard, Relation.full(self.guard.n_rows, 1), 0)

    def points(self) -> IntArray:
        """int64[n_points]: the columns of every row, one row after another."""
        first, second = self.guard.pairs()
        return first * self.guard.n_cols + second

    def pairs(self) -> tuple[IntArray, IntArray]:
        """int64[n_points] twice: the row and the column of every pair, which are the same."""
        return (own := self.points()), own


def some_pairs(guard: Relation) -> Relation:
    """The identity of pairs, where the guard holds them; one of few rows is made whole."""
    new = object.__new__(SomePairs)
    new.guard, new.n_cols = guard, guard.n_rows * guard.n_cols
    return new.whole() if new.n_rows <= stretched.MIN_ROWS else intern_as(("some pairs", guard), new)


def everywhere(inner: Relation, own: int, sizes: tuple[int, int]) -> Relation | None:
    """The rows of a relation for all pairs of two axes; None where these are few, and as well kept whole."""
    few = sizes[0] * sizes[1] <= stretched.MIN_ROWS
    return None if few else paired(stretched.full(*sizes), inner, own)


def paired(guard: Relation, inner: Relation, own: int) -> Relation:
    """The canonical relation of pairs; one of few rows is made whole."""
    occupied = inner.counts > 0
    if not occupied.all():
        guard = _lines(_only(occupied).compose(_lines(guard, own)), own)
    used = _lines(guard, own).counts > 0
    new = object.__new__(Paired)
    new.guard, new.inner, new.own = guard, inner if used.all() else _only(used).compose(inner), own
    new.n_cols = inner.n_cols
    if new.n_rows <= stretched.MIN_ROWS:
        return Relation.from_arrays(new.n_cols, *_runs(new))
    return intern_as(("paired", new.guard, new.inner, own), new)


def _lines(guard: Relation, axis: int) -> Relation:
    """The guard with this axis as its rows; the same turns it back."""
    return guard.transpose if axis else guard


def _only(rows: npt.NDArray[np.bool_]) -> Relation:
    """The identity where a row is wanted."""
    index = np.arange(rows.size)
    return Relation.from_runs(rows.size, index, index + rows)


def _kept(outer: Relation, n: int, m: int) -> Relation | None:
    """Which pairs an identity with some rows left out keeps; None for any other relation."""
    if isinstance(outer, SomePairs) and (outer.guard.n_rows, outer.guard.n_cols) == (n, m):
        return outer.guard
    if not outer.is_whole or not outer.n_rows == outer.n_cols == n * m:
        return None

    def make() -> tuple[Relation | None]:
        used = np.diff(outer.indptr) > 0
        own = np.flatnonzero(used)
        if own.size != outer.n_runs or (outer.start != own).any() or (outer.stop != own + 1).any():
            return (None,)
        return (Relation.from_mask(used.reshape(n, m)),)

    return remembered(("kept", outer, n), make)[0]


def _both(left: Relation, right: Relation) -> Relation:
    """What two guards both hold."""
    if left.is_full or right.is_full:
        return right if left.is_full else left
    if left is right:
        return left
    return remembered(("both", left, right), lambda: Relation.from_mask(left.to_mask() & right.to_mask()))


def _runs(relation: Paired) -> kernels.Runs:
    """`indptr`, `start` and `stop` of all rows."""
    guard, inner = relation.guard, relation.inner
    first, second = guard.pairs()
    own = second if relation.own else first
    widths = np.diff(inner.indptr)[own]
    indptr = np.zeros(relation.n_rows + 1, np.int64)
    indptr[first * guard.n_cols + second + 1] = widths
    picked = inner.take(own)
    return np.cumsum(indptr), picked.start.copy(), picked.stop.copy()
