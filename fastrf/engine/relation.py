"""Relation: which input indices of one axis each output index of one axis depends on.

For every row (output index) a set of columns (input indices), stored as sorted, disjoint, non-touching
half-open runs in CSR form. That form is canonical, so relations are interned: two equal relations are the
same object, comparison is a pointer check, and compositions are remembered. `dependency` builds products of
relations; nothing here knows about networks.
"""

from __future__ import annotations

import weakref
from collections.abc import Hashable, Iterable, Sequence
from typing import TYPE_CHECKING, cast

import numpy as np
import numpy.typing as npt

from fastrf.budget import limits
from fastrf.engine import kernels
from fastrf.engine.fingerprints import fingerprint
from fastrf.engine.memo import remembered
from fastrf.errors import LimitError
from fastrf.system.locks import cached_property, process_lock

if TYPE_CHECKING:
    from scipy.sparse import csr_array

__all__ = ["Relation", "check_size", "intern_as"]

IntArray = npt.NDArray[np.int64]

_interned: weakref.WeakValueDictionary[Hashable, Relation] = weakref.WeakValueDictionary()
_lock = process_lock()


def check_size(rows: int, runs: int, indices: int = 0) -> None:
    """LimitError for more rows or runs than allowed, or indices that do not fit 64 bits."""
    if indices > np.iinfo(np.int64).max:
        raise LimitError(
            f"a relation of {rows} rows needs {indices} indices, more than fit 64 bits; analyse a smaller input_shape"
        )
    most = max(rows, runs)
    if most > limits.runs:
        limits.require("runs", most, f"a relation of {rows} rows may need {runs} runs", "analyse a smaller input_shape")


def _allocate(rows: int, runs: int) -> kernels.Runs:
    check_size(rows, runs)
    return np.empty(rows + 1, np.int64), np.empty(runs, np.int64), np.empty(runs, np.int64)


def intern_as(key: Hashable, relation: Relation) -> Relation:
    """The relation that is known by this key: the given one where none is."""
    with _lock:
        return _interned.setdefault(key, relation)


class Relation:
    """An interned relation of `n_rows` output indices to `n_cols` input indices.

    `indptr` int64[n_rows + 1], `start` and `stop` int64[n_runs]: row `i` is the union of the half-open runs
    `[start[k], stop[k])` for `indptr[i] <= k < indptr[i + 1]`. Arrays are read-only. Build one with
    `Relation.identity`, `full`, `from_runs`, `from_points`, `from_mask` or `from_scipy`; equal ones are
    identical, so `==` and `hash` are those of the object.
    """

    __slots__ = ("__dict__", "__weakref__", "indptr", "n_cols", "start", "stop")

    #: Whether the three arrays are there, rather than made when asked for (`stretched`).
    is_whole = True
    n_cols: int
    indptr: IntArray
    start: IntArray
    stop: IntArray

    @classmethod
    def _intern(cls, n_cols: int, indptr: IntArray, start: IntArray, stop: IntArray) -> Relation:
        marks = (fingerprint(indptr), fingerprint(start), fingerprint(stop))
        salt = 0
        with _lock:
            while True:
                key = (indptr.size, n_cols, start.size, *marks, salt)
                found = _interned.get(key)
                if found is None:
                    break
                if (found.start == start).all() and (found.stop == stop).all() and (found.indptr == indptr).all():
                    return found
                salt += 1
            new = object.__new__(Relation)
            new.n_cols = n_cols
            for name, array in (("indptr", indptr), ("start", start), ("stop", stop)):
                array.flags.writeable = False
                setattr(new, name, array)
            _interned[key] = new
            return new

    @classmethod
    def _filled(cls, n_cols: int, out: kernels.Runs, n: int) -> Relation:
        """Intern what a kernel wrote: the first `n` runs of `out`."""
        indptr, start, stop = out
        if n < start.size:
            start, stop = start[:n].copy(), stop[:n].copy()
        return cls._intern(n_cols, indptr, start, stop)

    @classmethod
    def identity(cls, n: int) -> Relation:
        """Row `i` holds column `i`."""

        def make() -> Relation:
            check_size(n, n)
            return cls.from_runs(n, np.arange(n), np.arange(1, n + 1))

        return remembered(("identity", n), make)

    @classmethod
    def full(cls, n_rows: int, n_cols: int) -> Relation:
        """Every row holds every column."""

        def make() -> Relation:
            check_size(n_rows, n_rows)
            return cls.from_runs(n_cols, np.zeros(n_rows), np.full(n_rows, n_cols))

        return remembered(("full", n_rows, n_cols), make)

    @classmethod
    def from_runs(cls, n_cols: int, start: npt.ArrayLike, stop: npt.ArrayLike) -> Relation:
        """One run per row, int[n_rows] each, clipped to `[0, n_cols)`; an empty or reversed run is an empty row."""
        low = np.maximum(np.asarray(start, np.int64), 0)
        high = np.minimum(np.asarray(stop, np.int64), n_cols)
        keep = high > low
        indptr = np.zeros(low.size + 1, np.int64)
        np.cumsum(keep, out=indptr[1:])
        if indptr[-1] < low.size:
            low, high = low[keep], high[keep]
        return cls._intern(n_cols, indptr, low, high)

    @classmethod
    def from_arrays(cls, n_cols: int, indptr: IntArray, start: IntArray, stop: IntArray) -> Relation:
        """From the three arrays of the run form, which must be canonical; they become read-only."""
        return cls._intern(n_cols, indptr, start, stop)

    @classmethod
    def from_points(cls, n_rows: int, n_cols: int, rows: npt.ArrayLike, columns: npt.ArrayLike) -> Relation:
        """The pairs `(rows[k], columns[k])`, in any order, repeated or not; columns outside are dropped."""
        check_size(n_rows, 0, n_rows * n_cols)
        row, column = np.asarray(rows, np.int64).ravel(), np.asarray(columns, np.int64).ravel()
        keep = (column >= 0) & (column < n_cols)
        flat = np.unique(row[keep] * n_cols + column[keep])
        indptr = np.searchsorted(flat, np.arange(n_rows + 1, dtype=np.int64) * n_cols).astype(np.int64)
        out = _allocate(n_rows, flat.size)
        return cls._filled(n_cols, out, kernels.runs_of_points(indptr, flat % max(n_cols, 1), out))

    @classmethod
    def from_mask(cls, mask: npt.ArrayLike) -> Relation:
        """From `bool[n_rows, n_cols]`."""
        dense = np.asarray(mask, bool)
        n_rows, n_cols = dense.shape
        wide = np.zeros((n_rows, n_cols + 2), bool)
        wide[:, 1:-1] = dense
        row, column = np.nonzero(wide[:, 1:] != wide[:, :-1])  # where runs start and stop, in turn
        check_size(n_rows, row.size // 2)
        indptr = np.searchsorted(row[::2], np.arange(n_rows + 1, dtype=np.int64)).astype(np.int64)
        return cls._intern(n_cols, indptr, column[::2].copy(), column[1::2].copy())

    @classmethod
    def from_scipy(cls, matrix: csr_array) -> Relation:
        """From the non-zero pattern of a `scipy.sparse` matrix."""
        coo = matrix.tocoo()
        rows, columns = coo.row, coo.col
        used = coo.data != 0
        return cls.from_points(*matrix.shape, rows[used], columns[used])

    @classmethod
    def from_rows(cls, n_cols: int, rows: Sequence[Iterable[tuple[int, int]]]) -> Relation:
        """From a list of half-open runs per row, e.g. `[[(0, 2)], [(1, 3), (5, 6)]]`."""
        pairs = [(i, c) for i, row in enumerate(rows) for start, stop in row for c in range(start, stop)]
        index, columns = zip(*pairs, strict=True) if pairs else ((), ())
        return cls.from_points(len(rows), n_cols, index, columns)

    def __repr__(self) -> str:
        return f"Relation({self.n_rows} rows, {self.n_cols} columns, {self.n_runs} runs)"

    def __reduce__(self) -> tuple[object, ...]:
        return Relation.from_arrays, (self.n_cols, self.indptr.copy(), self.start.copy(), self.stop.copy())

    @property
    def n_rows(self) -> int:
        """Number of output indices."""
        return self.indptr.size - 1

    @property
    def n_runs(self) -> int:
        """Number of runs."""
        return self.start.size

    @property
    def nbytes(self) -> int:
        """Memory held by the three arrays."""
        return self.indptr.nbytes + self.start.nbytes + self.stop.nbytes

    @property
    def runs(self) -> kernels.Runs:
        """The three arrays, as the kernels take them."""
        return self.indptr, self.start, self.stop

    @cached_property
    def is_chain(self) -> bool:
        """Rows of at most one run, each touching or overlapping the one before: composes in O(rows)."""
        start, stop = self.start, self.stop
        if start.size > self.n_rows or np.any(self.indptr[1:] - self.indptr[:-1] > 1):
            return False
        return not np.any((start[1:] < start[:-1]) | (stop[1:] < stop[:-1]) | (start[1:] > stop[:-1]))

    @cached_property
    def is_empty(self) -> bool:
        """No row holds anything."""
        return self.start.size == 0

    @cached_property
    def is_identity(self) -> bool:
        """Every row holds the column of its own number."""
        if not self.n_rows == self.n_cols == self.start.size:
            return False
        own = np.arange(self.n_rows + 1)
        return all(map(np.array_equal, self.runs, (own, own[:-1], own[1:])))

    @cached_property
    def is_full(self) -> bool:
        """Every row holds every column."""
        whole = self.start.size == self.n_rows
        return bool(whole and self.n_cols and np.all(self.stop - self.start == self.n_cols))

    @cached_property
    def is_constant(self) -> bool:
        """All rows are equal."""
        return self.is_constant_along(1, self.n_rows, 1)

    @cached_property
    def occupied(self) -> Relation:
        """Which rows hold anything, as a relation to a single column."""
        return Relation.from_runs(1, np.zeros(self.n_rows), self.indptr[1:] > self.indptr[:-1])

    def is_constant_along(self, before: int, middle: int, after: int) -> bool:
        """With rows `(before, middle, after)`: whether they do not depend on the middle."""
        if before == after == 1:
            each, rest = divmod(self.start.size, max(self.n_rows, 1))
            if rest or not np.array_equal(self.indptr, np.arange(self.n_rows + 1) * each):
                return False
            first = slice(each)
            return all((part.reshape(-1, max(each, 1)) == part[first]).all() for part in (self.start, self.stop))
        return remembered(
            ("constant", self, before, after),
            lambda: bool(kernels.constant_along(self.runs, before, middle, after)),
        )

    @cached_property
    def n_points(self) -> int:
        """Number of pairs of a row and a column that it holds."""
        return int(np.sum(self.stop - self.start))

    @cached_property
    def counts(self) -> IntArray:
        """int64[n_rows]: how many columns each row holds."""
        total = np.zeros(self.start.size + 1, np.int64)
        np.cumsum(self.stop - self.start, out=total[1:])
        return cast("IntArray", total[self.indptr[1:]] - total[self.indptr[:-1]])

    @cached_property
    def hulls(self) -> IntArray:
        """int64[n_rows, 2]: the smallest run around each row; `[0, 0)` for an empty row."""
        hull = np.zeros((self.n_rows, 2), np.int64)
        used = self.indptr[1:] > self.indptr[:-1]
        hull[used, 0] = self.start[self.indptr[:-1][used]]
        hull[used, 1] = self.stop[self.indptr[1:][used] - 1]
        return hull

    def row(self, index: int) -> list[tuple[int, int]]:
        """The half-open runs of one row."""
        begin, end = self.indptr[index], self.indptr[index + 1]
        return list(zip(self.start[begin:end].tolist(), self.stop[begin:end].tolist(), strict=True))

    def row_mask(self, index: int) -> npt.NDArray[np.bool_]:
        """bool[n_cols]: one row, dense."""
        mask = np.zeros(self.n_cols, bool)
        for start, stop in self.row(index):
            mask[start:stop] = True
        return mask

    def compose(self, inner: Relation, before: int = 1, after: int = 1) -> Relation:
        """Rows of `self` through `inner`: row `i` is the union of the inner rows that `self` row `i` holds.

        With `before` and `after`, the inner rows are `(before, self.n_cols, after)` and `self` acts on the middle.
        """
        key = (self, inner, before, after)
        return remembered(key, lambda: inner.read_by(self, before, after) or self._compose(inner, before, after))

    def read_by(self, outer: Relation, before: int, after: int) -> Relation | None:
        """`outer.compose(self, before, after)` where the form that this one is kept in tells it, otherwise None."""

    def _compose(self, inner: Relation, before: int, after: int) -> Relation:
        if before == after == 1 and not inner.is_whole and self.n_runs:
            if self.n_rows == self.n_points and bool((self.counts == 1).all()):  # rows that are picked
                return inner.take(self.start)
            low, high = int(self.start.min()), int(self.stop.max())
            if high - low < inner.n_rows:
                outer = Relation.from_arrays(high - low, self.indptr, self.start - low, self.stop - low)
                return outer.compose(inner.take(np.arange(low, high)))
        if before == after == 1 and inner.is_chain:
            out = _allocate(self.n_rows, self.start.size)
            return self._filled(inner.n_cols, out, kernels.compose_chain(self.runs, inner.runs, out))
        row_limit = (inner.n_cols + 1) // 2
        capacity = kernels.compose_capacity(self.runs, inner.indptr, before, after, row_limit)
        out = _allocate(before * self.n_rows * after, capacity)
        delta = np.zeros(inner.n_cols + 1, np.int64)
        n = kernels.compose_rows(self.runs, inner.runs, before, after, delta, out)
        return self._filled(inner.n_cols, out, n)

    def joins(self, _: Relation) -> bool:
        """Whether a union with the other is worth having: not where it alone would be kept whole."""
        return True

    def union(self, other: Relation) -> Relation:
        """Row by row, what either holds; both have the same rows and columns."""
        if self is other:
            return self
        return remembered(("union", self, other), lambda: self._union(other))

    def _union(self, other: Relation) -> Relation:
        out = _allocate(self.n_rows, self.start.size + other.start.size)
        return self._filled(self.n_cols, out, kernels.union_rows(self.runs, other.runs, out))

    def contains(self, other: Relation) -> bool:
        """Whether every row of `other` is a subset of the same row here."""
        if self is other or self.n_points < other.n_points:
            return self is other
        return remembered(("contains", self, other), lambda: bool(kernels.rows_contain(self.runs, other.runs)))

    @cached_property
    def transpose(self) -> Relation:
        """Rows and columns exchanged."""
        counts = np.zeros(self.n_cols, np.int64)
        kernels.count_transposed(self.runs, np.full(self.n_cols, -2, np.int64), counts)
        out = _allocate(self.n_cols, int(counts.sum()))
        out[0][0] = 0
        np.cumsum(counts, out=out[0][1:])
        kernels.fill_transposed(self.runs, np.zeros(self.n_cols, np.int64), out)
        return self._intern(self.n_rows, *out)

    def kron(self, other: Relation) -> Relation:
        """Product: row `(i, j)` holds column `(c, d)` where `self` row `i` holds `c` and `other` row `j` holds `d`."""
        return remembered(("kron", self, other), lambda: self._kron(other))

    def _kron(self, other: Relation) -> Relation:
        points = self.n_points
        check_size(self.n_rows * other.n_rows, points * other.start.size, self.n_cols * other.n_cols)
        out = _allocate(self.n_rows * other.n_rows, points * other.start.size)
        n = kernels.kron_rows(self.runs, other.runs, other.n_cols, out)
        return self._filled(self.n_cols * other.n_cols, out, n)

    def project(self, before: int, middle: int, after: int) -> Relation:
        """With columns `(before, middle, after)`: which middle indices each row touches."""
        if before == after == 1:
            return self
        return remembered(("project", self, before, after), lambda: self._project(middle, after))

    def _project(self, middle: int, after: int) -> Relation:
        out = _allocate(self.n_rows, min(2 * self.start.size, self.n_rows * ((middle + 1) // 2)))
        delta = np.zeros(middle + 1, np.int64)
        return self._filled(middle, out, kernels.project_rows(self.runs, middle, after, delta, out))

    def take(self, index: npt.ArrayLike) -> Relation:
        """The rows named by `index`, in its order, repeated or not."""
        rows = np.ascontiguousarray(index, np.int64)
        widths = self.indptr[1:] - self.indptr[:-1]
        out = _allocate(rows.size, int(widths[rows].sum()))
        return self._filled(self.n_cols, out, kernels.take_rows(self.runs, rows, out))

    def reorder_rows(self, sizes: Sequence[int], order: Sequence[int]) -> Relation:
        """Rows `sizes` (row-major) put into the axis order `order`."""
        if list(order) == sorted(order):
            return self
        key = ("reorder", self, tuple(sizes), tuple(order))
        return remembered(key, lambda: self.take(np.arange(self.n_rows).reshape(sizes).transpose(order).ravel()))

    def reorder_columns(self, sizes: Sequence[int], order: Sequence[int]) -> Relation:
        """Columns `sizes` (row-major) put into the axis order `order`."""
        if list(order) == sorted(order):
            return self
        check_size(self.n_rows, self.n_cols)
        new_index = np.empty(self.n_cols, np.int64)
        new_index[np.arange(self.n_cols).reshape(sizes).transpose(order).ravel()] = np.arange(self.n_cols)
        rows, columns = self.pairs()
        return self.from_points(self.n_rows, self.n_cols, rows, new_index[columns])

    def points(self) -> IntArray:
        """int64[n_points]: the columns of every row, one row after another."""
        out = np.empty(self.n_points, np.int64)
        kernels.points_of_runs(self.runs, out)
        return out

    def pairs(self) -> tuple[IntArray, IntArray]:
        """int64[n_points] twice: the row and the column of every pair, one row after another."""
        return np.repeat(np.arange(self.n_rows), self.counts), self.points()

    def to_scipy(self) -> csr_array:
        """As a boolean `scipy.sparse.csr_array` of shape `(n_rows, n_cols)`."""
        from scipy.sparse import csr_array

        indptr = np.zeros(self.n_rows + 1, np.int64)
        np.cumsum(self.counts, out=indptr[1:])
        data = np.ones(int(indptr[-1]), bool)
        return csr_array((data, self.points(), indptr), shape=(self.n_rows, self.n_cols))

    def to_mask(self) -> npt.NDArray[np.bool_]:
        """bool[n_rows, n_cols]."""
        mask = np.zeros((self.n_rows, self.n_cols), bool)
        kernels.fill_rows(self.runs, np.arange(self.n_rows), mask.view(np.uint8))
        return mask
