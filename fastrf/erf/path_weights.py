"""PathWeights: how much weight the paths through a network carry to or from every element of a tensor.

A value that recipes are replayed on, like `Dependency`, but linear: each step adds up weights instead of uniting sets.
`path_walks` carries it through a network forwards and, step by step transposed, backwards.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt
from scipy.sparse import csr_array

from fastrf.budget import require_memory
from fastrf.engine.axis_map import AxisMap
from fastrf.engine.factors import aligned, put

__all__ = ["PathWeights"]

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]

#: Weights are brought back to about 1 when they leave 2 ** -LARGE .. 2 ** LARGE.
LARGE = 256


@dataclass(eq=False, slots=True)
class PathWeights:
    """A batch of weighted tensors: `data` float64[batch, *stretches] times `2 ** exponent`.

    An axis is stored once per stretch of neighbouring indices that are alike; `widths`, int64[stretches] per axis, says
    how many indices each holds. So channels that all carry the same weight cost one. `average` says that rows of
    axis maps and reductions are means, not sums. Counts of paths exceed float64 in deep networks: the exponent is
    common to the whole tensor, so all ratios are kept.
    """

    data: FloatArray
    widths: tuple[IntArray, ...]
    exponent: int = 0
    average: bool = False

    @classmethod
    def of(cls, images: FloatArray, shape: Sequence[int]) -> PathWeights:
        """From float64[batch, *sizes] where a size of 1 stands for an axis of `shape` along which nothing changes."""
        stored = zip(images.shape[1:], shape, strict=True)
        return cls(images, tuple(np.ones(n, np.int64) if size == n else np.array([n]) for size, n in stored))

    @classmethod
    def none(cls, batch: int, shape: Sequence[int]) -> PathWeights:
        """A tensor that no path leads to."""
        return cls.of(np.zeros((batch, *[1] * len(shape))), shape)

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the tensor, without the batch."""
        return tuple(int(width.sum()) for width in self.widths)

    def _new(self, data: FloatArray, widths: Iterable[IntArray]) -> PathWeights:
        """Other weights of the same kind; `dataclasses.replace` would take a good part of a walk's time."""
        return PathWeights(data, tuple(widths), self.exponent, self.average)

    def averaging(self, average: bool) -> PathWeights:
        """The same weights, to be averaged by the steps that follow."""
        return PathWeights(self.data, self.widths, self.exponent, average)

    def scaled(self, factor: float) -> PathWeights:
        """All weights times a factor, brought back to about 1 where they have become very large or small."""
        data = self.data if factor == 1 else self.data * factor
        power = math.frexp(float(np.abs(data).max(initial=0.0)))[1]
        if abs(power) < LARGE:
            return self if factor == 1 else self._new(data, self.widths)
        return PathWeights(np.ldexp(data, -power), self.widths, self.exponent + power, self.average)

    def dense(self) -> FloatArray:
        """float64[batch, *shape]: the weights without their common power of two."""
        n_bytes = 8 * len(self.data) * math.prod(self.shape)
        require_memory(n_bytes, f"weights of shape {self.shape}", "ask for fewer positions")
        data = self.data
        for axis, width in enumerate(self.widths):
            if data.shape[axis + 1] != width.sum():
                data = np.repeat(data, width, axis=axis + 1)
        return data

    # The steps of a recipe -------------------------------------------------------------------------------

    def map_axis(self, axis: int, axis_map: AxisMap, *, transposed: bool = False) -> PathWeights:
        """Read the axis through the map: weights of what is read add up.

        `transposed`, every output's weight goes to all that it reads.
        """
        if axis_map.is_identity and axis_map.weigh is None:
            return self
        matrix, width = _folded(axis_map, self.average, transposed, self.widths[axis].tobytes())
        source = np.moveaxis(self.data, axis + 1, 0)
        after = math.prod(source.shape[1:])
        require_memory(8 * width.size * after, "path weights of a layer", "ask for fewer positions at once")
        out = (matrix @ source.reshape(len(source), after)).reshape(width.size, *source.shape[1:])
        return self._new(np.moveaxis(out, 0, axis + 1), put(self.widths, axis, width))

    def reduce(self, axis: int) -> PathWeights:
        """Add up (or average) a whole axis, and drop it."""
        total = self.total(axis)
        return total.scaled(1 / max(int(self.widths[axis].sum()), 1)) if self.average else total

    def insert(self, axis: int, size: int) -> PathWeights:
        """A new axis before `axis`, along which nothing changes."""
        widths = (*self.widths[:axis], np.array([size], np.int64), *self.widths[axis:])
        return self._new(np.expand_dims(self.data, axis + 1), widths)

    def stretch(self, axis: int, size: int) -> PathWeights:
        """An axis of 1 repeated `size` times."""
        return self._new(self.data, put(self.widths, axis, np.array([size], np.int64)))

    def permute(self, order: tuple[int, ...]) -> PathWeights:
        """The axes in another order."""
        data = self.data.transpose(0, *(a + 1 for a in order))
        return self._new(data, (self.widths[a] for a in order))

    def reshape(self, shape: tuple[int, ...]) -> PathWeights:
        """The same elements, row-major, in another shape; only axes that change are stored index by index."""
        if math.prod(shape) == 0:
            return self.none(len(self.data), shape)
        widths, spread = list[IntArray](), self
        for old, new in aligned(self.shape, shape):
            stored = [self.data.shape[a + 1] for a in old]
            if len(old) == len(new) == 1:
                widths.append(self.widths[old[0]])
            elif all(n == 1 for n in stored):
                widths += [np.array([shape[a]], np.int64) for a in new]
            else:
                for a in old:
                    spread = spread._refined(a, np.ones(self.shape[a], np.int64))
                widths += [np.ones(shape[a], np.int64) for a in new]
        data = np.ascontiguousarray(spread.data).reshape(len(self.data), *(width.size for width in widths))
        result = self._new(data, widths)
        for axis in range(len(shape)):
            result = result._joined(axis)
        return result

    def union(self, *others: PathWeights) -> PathWeights:
        """The sum of values of one shape."""
        first, *rest = _common((self, *others))
        return first._new(sum((value.data for value in rest), first.data), first.widths)

    def concat(self, axis: int, *others: PathWeights) -> PathWeights:
        """One value after another along an axis."""
        values = _common((self, *others), but=axis)
        widths = np.concatenate([value.widths[axis] for value in values])
        data = np.concatenate([value.data for value in values], axis=axis + 1)
        return values[0]._new(data, put(values[0].widths, axis, widths))._joined(axis)

    def along(self, _: PathWeights) -> PathWeights:
        """The same value."""
        return self

    def nothing(self) -> PathWeights:
        """The same shape, without any path."""
        return self.none(len(self.data), self.shape)

    # What the transposed steps need besides --------------------------------------------------------------

    def total(self, axis: int) -> PathWeights:
        """Add up a whole axis, and drop it: `insert` transposed."""
        data = np.tensordot(self.data, self.widths[axis].astype(np.float64), axes=(axis + 1, 0))
        return self._new(data, put(self.widths, axis))

    def cut(self, axis: int, start: int, length: int) -> PathWeights:
        """A part of an axis: `concat` transposed."""
        stop = np.cumsum(self.widths[axis])
        width = np.minimum(stop, start + length) - np.maximum(stop - self.widths[axis], start)
        kept = width > 0
        data = np.compress(kept, self.data, axis=axis + 1)
        return self._new(data, put(self.widths, axis, width[kept]))

    def _refined(self, axis: int, width: IntArray) -> PathWeights:
        """The axis in stretches that are parts of its own."""
        own = self.widths[axis]
        if own.size == width.size:
            return self
        data = np.take(self.data, np.searchsorted(np.cumsum(own), np.cumsum(width)), axis=axis + 1)
        return self._new(data, put(self.widths, axis, width))

    def _joined(self, axis: int) -> PathWeights:
        """Neighbouring stretches of one axis that carry the same weights as one."""
        data = np.moveaxis(self.data, axis + 1, 0)
        if len(data) < 2 or data.size == 0:
            return self
        flat = data.reshape(len(data), -1)
        first = np.nonzero(np.append(True, (flat[1:] != flat[:-1]).any(axis=1)))[0]
        if first.size == len(data):
            return self
        width = np.add.reduceat(self.widths[axis], first)
        return self._new(np.take(self.data, first, axis=axis + 1), put(self.widths, axis, width))


def _common(values: Sequence[PathWeights], but: int | None = None) -> list[PathWeights]:
    """The values with the same stretches on every axis (`but` one) and the same power of two."""
    power = max((value.exponent for value in values if value.data.any()), default=0)
    common = [
        value
        if value.exponent == power
        else PathWeights(np.ldexp(value.data, min(value.exponent - power, 0)), value.widths, power, value.average)
        for value in values
    ]
    for axis in range(len(values[0].widths)):
        if axis == but:
            continue
        ends = [np.cumsum(value.widths[axis]) for value in common]
        if all(np.array_equal(end, ends[0]) for end in ends[1:]):
            continue
        edges = np.unique(np.concatenate([[0], *ends])).astype(np.int64)
        width = edges[1:] - edges[:-1]
        common = [value._refined(axis, width) for value in common]
    return common


@lru_cache(maxsize=1024)
def _matrix(axis_map: AxisMap, average: bool, transposed: bool) -> csr_array:
    """The matrix of an axis map, `n_out` rows by `n_in` columns, or (`transposed`) the other way round.

    Weights are 1 but where the map has its own. With `average`, rows that read anything sum to 1.
    """
    relation = axis_map.relation
    points = relation.n_points
    require_memory(48 * points, f"path weights between {points} pairs of indices", "use a smaller input_shape")
    matrix = relation.to_scipy().astype(np.float64) if axis_map.weigh is None else axis_map.weigh()
    if average:
        sums: FloatArray = np.asarray(matrix.sum(axis=1))
        matrix = csr_array(matrix.multiply(1 / np.where(sums > 0, sums, 1.0)[:, None]))
    return csr_array(matrix.T if transposed else matrix)


@lru_cache(maxsize=1024)
def _folded(axis_map: AxisMap, average: bool, transposed: bool, stretches: bytes) -> tuple[csr_array, IntArray]:
    """The matrix for an axis stored once per stretch of like indices, and the stretches of its outputs.

    `stretches` are int64 widths as bytes. Neighbouring outputs that read alike are one.
    """
    matrix, widths = _matrix(axis_map, average, transposed), np.frombuffer(stretches, np.int64)
    n_rows, n_columns = matrix.shape
    if widths.size == n_columns:
        return matrix, np.ones(n_rows, np.int64)
    which = np.repeat(np.arange(widths.size), widths)
    joined = matrix @ csr_array((np.ones(n_columns), which, np.arange(n_columns + 1)), shape=(n_columns, widths.size))
    changes = abs(joined[1:] - joined[:-1]).sum(axis=1)
    first = np.flatnonzero(np.append(1.0, changes)[:n_rows])
    return joined[first], np.diff(np.append(first, n_rows))
