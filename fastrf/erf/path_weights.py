"""PathWeights: how much weight the paths through a network carry to or from every element of a tensor.

A value that recipes are replayed on, like `Dependency`, but linear: each step adds up weights instead of uniting sets.
`path_walks` carries it through a network forwards and, step by step transposed, backwards.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from fastrf.budget import require_memory
from fastrf.engine.axis_map import AxisMap
from fastrf.engine.factors import aligned, put
from fastrf.erf.path_kernels import apply_rows
from fastrf.erf.path_matrices import folded, matrix_of

__all__ = ["PathWeights"]

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]
Widths = tuple[IntArray, ...]

#: Weights are brought back to about 1 when they leave 2 ** -LARGE .. 2 ** LARGE.
LARGE = 256


class PathWeights:
    """A batch of weighted tensors: `data` float64[batch, *stretches] times `2 ** exponent`.

    An axis is stored once per stretch of neighbouring indices that are alike; `widths`, int64[stretches] per axis, says
    how many indices each holds. So channels that all carry the same weight cost one. `average` says that rows of
    axis maps and reductions are means, not sums. Counts of paths exceed float64 in deep networks: the exponent is
    common to the whole tensor, so all ratios are kept.
    """

    __slots__ = ("average", "data", "exponent", "widths")

    def __init__(self, data: FloatArray, widths: Widths, exponent: int = 0, *, average: bool = False) -> None:
        self.data, self.widths, self.exponent, self.average = data, widths, exponent, average

    @classmethod
    def of(cls, images: FloatArray, shape: Sequence[int]) -> PathWeights:
        """From float64[batch, *sizes] where a size of 1 stands for an axis of `shape` along which nothing changes."""
        widths = tuple(
            np.ones(n, np.int64) if stored == n else np.array([n], np.int64)
            for stored, n in zip(images.shape[1:], shape, strict=True)
        )
        return cls(images, widths)

    @classmethod
    def none(cls, batch: int, shape: Sequence[int]) -> PathWeights:
        """A tensor that no path leads to."""
        return cls(np.zeros((batch, *[1] * len(shape))), tuple(np.array([n], np.int64) for n in shape))

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the tensor, without the batch."""
        return tuple(int(width.sum()) for width in self.widths)

    def _new(self, data: FloatArray, widths: Sequence[IntArray]) -> PathWeights:
        return PathWeights(data, tuple(widths), self.exponent, average=self.average)

    def averaging(self, average: bool) -> PathWeights:
        """The same weights, to be averaged by the steps that follow."""
        return PathWeights(self.data, self.widths, self.exponent, average=average)

    def scaled(self, factor: float) -> PathWeights:
        """All weights times a factor, brought back to about 1 where they have become very large or small."""
        data = self.data if factor == 1 else self.data * factor
        largest = float(np.abs(data).max(initial=0.0))
        if largest == 0 or abs(math.frexp(largest)[1]) < LARGE:
            return PathWeights(data, self.widths, self.exponent, average=self.average)
        power = math.frexp(largest)[1]
        return PathWeights(np.ldexp(data, -power), self.widths, self.exponent + power, average=self.average)

    def dense(self) -> FloatArray:
        """float64[batch, *shape]: the weights without their common power of two."""
        data = self.data
        require_memory(
            8 * len(data) * math.prod(self.shape), f"weights of shape {self.shape}", "ask for fewer positions"
        )
        for axis, width in enumerate(self.widths):
            if data.shape[axis + 1] != width.sum():
                data = np.repeat(data, width, axis=axis + 1)
        return data

    # The steps of a recipe -------------------------------------------------------------------------------

    def map_axis(self, axis: int, axis_map: AxisMap) -> PathWeights:
        """Read the axis through the map: weights of what is read add up."""
        if axis_map.is_identity and axis_map.weigh is None:
            return self
        return self._applied(axis, axis_map, transposed=False)

    def unmap_axis(self, axis: int, axis_map: AxisMap) -> PathWeights:
        """`map_axis` transposed: every output's weight goes to all that it reads."""
        if axis_map.is_identity and axis_map.weigh is None:
            return self
        return self._applied(axis, axis_map, transposed=True)

    def _applied(self, axis: int, axis_map: AxisMap, *, transposed: bool) -> PathWeights:
        matrix, width = folded(matrix_of(axis_map, self.average, transposed), self.widths[axis])
        shape = self.data.shape
        before, after = math.prod(shape[: axis + 1]), math.prod(shape[axis + 2 :])
        require_memory(8 * before * matrix.n_rows * after, "path weights of a layer", "ask for fewer positions at once")
        source = np.ascontiguousarray(self.data).reshape(before, shape[axis + 1], after)
        out = np.empty((before, matrix.n_rows, after))
        apply_rows(matrix.indptr, matrix.indices, matrix.values, source, out)
        data = out.reshape(put(shape, axis + 1, matrix.n_rows))
        return self._new(data, put(self.widths, axis, width))

    def reduce(self, axis: int) -> PathWeights:
        """Add up (or average) a whole axis, and drop it."""
        total = self.total(axis)
        return total.scaled(1 / max(int(self.widths[axis].sum()), 1)) if self.average else total

    def insert(self, axis: int, size: int) -> PathWeights:
        """A new axis before `axis`, along which nothing changes."""
        width = np.array([size], np.int64)
        return self._new(np.expand_dims(self.data, axis + 1), [*self.widths[:axis], width, *self.widths[axis:]])

    def stretch(self, axis: int, size: int) -> PathWeights:
        """An axis of 1 repeated `size` times."""
        return self._new(self.data, put(self.widths, axis, np.array([size], np.int64)))

    def permute(self, order: tuple[int, ...]) -> PathWeights:
        """The axes in another order."""
        return self._new(self.data.transpose(0, *(a + 1 for a in order)), [self.widths[a] for a in order])

    def reshape(self, shape: tuple[int, ...]) -> PathWeights:
        """The same elements, row-major, in another shape; only axes that change are stored index by index."""
        if math.prod(shape) == 0:
            return self.none(len(self.data), shape)
        sizes, widths, spread = list[int](), list[IntArray](), self
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
            sizes += [width.size for width in widths[len(sizes) :]]
        data = np.ascontiguousarray(spread.data).reshape(len(self.data), *sizes)
        result = self._new(data, widths)
        for axis in range(len(shape)):
            result = result._joined(axis)
        return result

    def union(self, *others: PathWeights) -> PathWeights:
        """The sum of values of one shape."""
        values = _common((self, *others))
        data = values[0].data
        for value in values[1:]:
            data = data + value.data
        return PathWeights(data, values[0].widths, values[0].exponent, average=self.average)

    def concat(self, axis: int, *others: PathWeights) -> PathWeights:
        """One value after another along an axis."""
        values = _common((self, *others), but=axis)
        widths = np.concatenate([value.widths[axis] for value in values])
        data = np.concatenate([value.data for value in values], axis=axis + 1)
        joined = put(values[0].widths, axis, widths)
        return PathWeights(data, joined, values[0].exponent, average=self.average)._joined(axis)

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
        index = np.searchsorted(np.cumsum(own), np.cumsum(width))
        return self._new(np.take(self.data, index, axis=axis + 1), put(self.widths, axis, width))

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
    power = max(value.exponent for value in values if value.data.any()) if any(v.data.any() for v in values) else 0
    common = []
    for value in values:
        data = value.data if value.exponent == power else np.ldexp(value.data, min(value.exponent - power, 0))
        common.append(PathWeights(data, value.widths, power, average=value.average))
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
