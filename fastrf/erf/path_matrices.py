"""Axis maps as weighted sparse matrices, and the same on axes whose neighbouring indices are alike."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt
from scipy.sparse import csr_array

from fastrf.budget import require_memory
from fastrf.engine.axis_map import AxisMap

__all__ = ["Matrix", "folded", "matrix_of"]

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Matrix:
    """A CSR matrix of weights: `indptr` int64[rows + 1], `indices` int64[k], `values` float64[k]."""

    indptr: IntArray
    indices: IntArray
    values: FloatArray
    n_columns: int

    @classmethod
    def of(cls, matrix: csr_array) -> Matrix:
        """From a `scipy.sparse.csr_array`."""
        indptr, indices = (part.astype(np.int64) for part in (matrix.indptr, matrix.indices))
        return cls(indptr, indices, matrix.data.astype(np.float64), int(matrix.shape[1]))

    @property
    def n_rows(self) -> int:
        """Number of output indices."""
        return self.indptr.size - 1

    def to_scipy(self) -> csr_array:
        """As a `scipy.sparse.csr_array`."""
        return csr_array((self.values, self.indices, self.indptr), shape=(self.n_rows, self.n_columns))


@lru_cache(maxsize=1024)
def matrix_of(axis_map: AxisMap, average: bool, transposed: bool) -> Matrix:
    """The matrix of an axis map, `n_out` rows by `n_in` columns, or (`transposed`) the other way round.

    Weights are 1 but where the map has its own. With `average`, rows that read anything sum to 1.
    """
    relation = axis_map.relation
    points = relation.n_points
    require_memory(48 * points, f"path weights between {points} pairs of indices", "use a smaller input_shape")
    if axis_map.weigh is None:
        indptr = np.zeros(relation.n_rows + 1, np.int64)
        np.cumsum(relation.counts, out=indptr[1:])
        matrix = csr_array((np.ones(points), relation.points(), indptr), shape=(axis_map.n_out, axis_map.n_in))
    else:
        matrix = axis_map.weigh()
    if average:
        sums: FloatArray = np.asarray(matrix.sum(axis=1))
        matrix = csr_array(matrix.multiply(1 / np.where(sums > 0, sums, 1.0)[:, None]))
    return Matrix.of(csr_array(matrix.T) if transposed else matrix)


def folded(matrix: Matrix, widths: IntArray) -> tuple[Matrix, IntArray]:
    """The matrix for an axis stored once per stretch of like indices, and the stretches of its outputs.

    `widths` int64[stretches] says how many indices each holds. Neighbouring outputs that read alike are one.
    """
    if widths.size == matrix.n_columns:
        return matrix, np.ones(matrix.n_rows, np.int64)
    return _folded(matrix, widths.tobytes())


@lru_cache(maxsize=1024)
def _folded(matrix: Matrix, stretches: bytes) -> tuple[Matrix, IntArray]:
    widths = np.frombuffer(stretches, np.int64)
    which = np.repeat(np.arange(widths.size), widths)
    parts = (matrix.values.copy(), which[matrix.indices], matrix.indptr.copy())
    joined = csr_array(parts, shape=(matrix.n_rows, widths.size))
    joined.sum_duplicates()
    first = np.nonzero(~_like_the_row_before(joined))[0]
    return Matrix.of(csr_array(joined[first])), np.diff(np.append(first, matrix.n_rows))


def _like_the_row_before(matrix: csr_array) -> npt.NDArray[np.bool_]:
    """bool[rows]: whether a row equals the one before it."""
    counts = np.diff(matrix.indptr)
    before = np.arange(matrix.indices.size) - np.repeat(counts, counts)
    same = (matrix.indices == matrix.indices[before]) & (matrix.data == matrix.data[before])
    rows = np.repeat(np.arange(counts.size), counts)
    alike = np.bincount(rows[same], minlength=counts.size) == counts
    alike[1:] &= counts[1:] == counts[:-1]
    alike[:1] = False
    return np.asarray(alike)
