"""Nominal receptive fields: size, stride, padding and start on an unbounded input.

Per spatial axis of the input, the hull of what each output index would read if no border cut it. It is periodic:
output `o + period` reads what `o` reads, moved by `shift` (stride = shift / period); upsampling and misaligned
branches need periods above 1, which is why one size per layer is not enough. `Nominal` has the steps of a recipe
(see `recipe.Value`), so the operators that drive `Dependency` drive it too.

Source: Araujo, Norris, Sim, "Computing Receptive Fields of Convolutional Neural Networks", Distill 2019, for
period 1; the phases extend it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from fastrf.axis_map import MAX_LENGTH, AxisMap
from fastrf.errors import LimitError
from fastrf.extent import NOTHING, UNBOUNDED, Extent, Phase, fused, gathered, mapped, split, united

__all__ = ["Nominal"]

FloatArray = npt.NDArray[np.float64]


class Nominal:
    """Extents of a tensor in the spatial axes of its input; `axes` are factor sizes as in `Dependency`.

    `windowed` holds the factors that a split made the inner part: gathering one reads a window, gathering any
    other reads the whole unbounded axis.
    """

    __slots__ = ("axes", "extents", "windowed")

    def __init__(
        self, axes: tuple[tuple[int, ...], ...], extents: tuple[Extent, ...], windowed: frozenset[int] = frozenset()
    ) -> None:
        self.axes, self.extents, self.windowed = axes, extents, windowed

    @classmethod
    def identity(cls, shape: tuple[int, ...], channel_axis: int | None) -> Nominal:
        """Every element reads itself; one extent per axis that does not hold channels."""
        spatial = [axis for axis in range(len(shape)) if axis != channel_axis]
        one = np.zeros(1)
        extents = [Extent((Phase(axis, 1, 1),), one, one + 1) for axis in spatial]
        return cls(tuple((n,) for n in shape), tuple(extents))

    @property
    def shape(self) -> tuple[int, ...]:
        """The tensor's shape."""
        return tuple(math.prod(factors) for factors in self.axes)

    @classmethod
    def none(cls, shape: tuple[int, ...], n_extents: int) -> Nominal:
        """Nothing is read."""
        return cls(tuple((n,) for n in shape), (NOTHING,) * n_extents)

    @classmethod
    def unbounded(cls, shape: tuple[int, ...], n_extents: int) -> Nominal:
        """Everything is read."""
        return cls(tuple((n,) for n in shape), (UNBOUNDED,) * n_extents)

    def map_axis(self, axis: int, axis_map: AxisMap) -> Nominal:
        """Read the axis through the map's pattern."""
        whole = self._fused(axis)
        position = whole._position(axis)
        extents = tuple(mapped(extent, position, axis_map.pattern) for extent in whole.extents)
        axes = (*whole.axes[:axis], (axis_map.n_out,), *whole.axes[axis + 1 :])
        return Nominal(axes, extents, whole.windowed)

    def reduce(self, axis: int) -> Nominal:
        """Gather a whole axis into one index, and drop it."""
        first, count = self._position(axis), len(self.axes[axis])
        extents = list(self.extents)
        for factor, size in enumerate(self.axes[axis], start=first):
            extents = [gathered(extent, factor, size, factor in self.windowed) for extent in extents]
        new = [f if f < first else f - count for f in range(self._n_factors)]
        axes = self.axes[:axis] + self.axes[axis + 1 :]
        gone = range(first, first + count)
        windowed = frozenset(new[f] for f in self.windowed if f not in gone)
        return Nominal(axes, tuple(extent.renumbered(new) for extent in extents), windowed)

    def insert(self, axis: int, size: int) -> Nominal:
        """A new axis before `axis`, along which nothing changes."""
        first = self._position(axis)
        new = [f + (f >= first) for f in range(self._n_factors)]
        axes = (*self.axes[:axis], (size,), *self.axes[axis:])
        extents = tuple(extent.renumbered(new) for extent in self.extents)
        return Nominal(axes, extents, frozenset(new[f] for f in self.windowed))

    def stretch(self, axis: int, size: int) -> Nominal:
        """An axis of 1 repeated `size` times."""
        whole = self._fused(axis)
        position = whole._position(axis)
        extents = tuple(gathered(extent, position, 1, True) for extent in whole.extents)
        return Nominal((*whole.axes[:axis], (size,), *whole.axes[axis + 1 :]), extents, whole.windowed)

    def permute(self, order: tuple[int, ...]) -> Nominal:
        """The axes in another order."""
        starts = [self._position(axis) for axis in order]
        old = [start + k for start, axis in zip(starts, order, strict=True) for k in range(len(self.axes[axis]))]
        new = [old.index(f) for f in range(len(old))]
        extents = tuple(extent.renumbered(new) for extent in self.extents)
        return Nominal(tuple(self.axes[axis] for axis in order), extents, frozenset(new[f] for f in self.windowed))

    def reshape(self, shape: tuple[int, ...]) -> Nominal:
        """The same elements, row-major, in another shape."""
        sizes = [n for factors in self.axes for n in factors]
        if 0 in shape:
            return Nominal.none(shape, len(self.extents))
        result = self
        axes: list[tuple[int, ...]] = []
        done = 0
        for size in shape:
            factors: list[int] = []
            while (need := size // math.prod(factors)) > 1 or (not factors and done < len(sizes) and sizes[done] == 1):
                have = sizes[done]
                if need % have and have % need:
                    result = result._fuse_factors(done, 2)
                    sizes[done : done + 2] = [have * sizes[done + 1]]
                    continue
                if have > need:
                    result = result._split_factor(done, need, have // need)
                    sizes[done : done + 1] = [need, have // need]
                factors.append(sizes[done])
                done += 1
            axes.append(tuple(factors))
        axes[-1:] = [axes[-1] + tuple(sizes[done:])] if axes else []
        return Nominal(tuple(axes), result.extents, result.windowed) if axes else result._scalar()

    def union(self, *others: Nominal) -> Nominal:
        """What any of the values reads."""
        whole = [value.fused() for value in (self, *others)]
        sizes = [math.prod(factors) for factors in whole[0].axes]
        extents = []
        for group in zip(*(value.extents for value in whole), strict=True):
            whole_extent = group[0]
            for extent in group[1:]:
                whole_extent = united(whole_extent, extent, sizes)
            extents.append(whole_extent)
        unbounded = {f for value in whole for extent in value.extents for f in value._unbounded(extent)}
        windowed = frozenset.union(*(value.windowed for value in whole)) - unbounded
        return Nominal(whole[0].axes, tuple(extents), windowed)

    def concat(self, axis: int, *others: Nominal) -> Nominal:
        """One value after another along an axis: read as if they lay on top of each other."""
        values = (self, *others)
        total = sum(math.prod(value.axes[axis]) for value in values)
        axes = tuple((math.prod(factors),) for factors in self.axes)
        first, *rest = (Nominal(axes, v.extents, v.windowed) for v in (value.fused() for value in values))
        both = first.union(*rest)
        return Nominal((*axes[:axis], (total,), *axes[axis + 1 :]), both.extents, both.windowed)

    def _unbounded(self, extent: Extent) -> list[int]:
        """Factors that matter to an extent and are no window."""
        return [phase.factor for phase in extent.phases if phase.factor not in self.windowed]

    def nothing(self) -> Nominal:
        """The same shape, reading nothing."""
        return Nominal(self.axes, (NOTHING,) * len(self.extents), self.windowed)

    def clipped(self, pixels: Sequence[int]) -> npt.NDArray[np.bool_]:
        """bool[*shape]: where what is read reaches beyond `[0, n)` on some axis, `pixels` being the sizes `n`."""
        sizes = [n for factors in self.axes for n in factors]
        return np.broadcast_to(self._cut_anywhere(pixels), sizes).reshape(self.shape)

    def clipped_share(self, pixels: Sequence[int]) -> float:
        """The share of positions that `clipped` marks, without marking them where the axes are independent."""
        factors = [phase.factor for extent in self.extents for phase in extent.phases if phase.matters]
        if len(set(factors)) < len(factors):
            return float(self._cut_anywhere(pixels).mean()) if 0 not in self.shape else 0.0
        whole = 1.0
        for axis, n in enumerate(pixels):
            cut = self._cut(axis, n)
            whole *= 1.0 - float(cut.mean()) if cut.size else 1.0
        return 1.0 - whole

    def bounds(self, axis: int) -> tuple[FloatArray, FloatArray]:
        """What each position reads of one pixel axis, `[low, high)`: two float64 open meshes over the factors."""
        extent = self.extents[axis]
        sizes = [size for factors in self.axes for size in factors]
        used = {phase.factor for phase in extent.phases if phase.matters}
        longest = max((sizes[f] for f in used), default=0)
        if longest > MAX_LENGTH:
            raise LimitError(f"an axis of {longest} is longer than fastrf.axis_map.MAX_LENGTH = {MAX_LENGTH}; raise it")
        index = [
            np.arange(n if f in used else 1).reshape([-1 if k == f else 1 for k in range(len(sizes))])
            for f, n in enumerate(sizes)
        ]
        low, high = extent.at(index)
        shape = low.shape if low.ndim == len(sizes) else (1,) * len(sizes)
        return low.reshape(shape), high.reshape(shape)

    def _cut_anywhere(self, pixels: Sequence[int]) -> npt.NDArray[np.bool_]:
        """Where any extent reaches beyond its pixels, as an open mesh over all factors."""
        cut = np.zeros((1,) * self._n_factors, bool)
        for axis in sorted(range(len(pixels)), key=lambda axis: len(self.extents[axis].phases)):
            cut = cut | self._cut(axis, pixels[axis])
            if cut.all():
                return cut[(slice(0, 1),) * cut.ndim]
        return cut

    def _cut(self, axis: int, n: int) -> npt.NDArray[np.bool_]:
        """Where one extent reaches beyond `[0, n)`, as an open mesh over all factors."""
        low, high = self.bounds(axis)
        return (low <= high) & ((low < 0) | (high > n))

    @property
    def _n_factors(self) -> int:
        return sum(map(len, self.axes))

    def _position(self, axis: int) -> int:
        return sum(map(len, self.axes[:axis]))

    def _scalar(self) -> Nominal:
        return Nominal(
            (), tuple(gathered(e, p.factor, 1, True) for e in self.extents for p in e.phases[:1]) or self.extents
        )

    def fused(self) -> Nominal:
        """Every axis as exactly one factor."""
        result = self
        for axis in range(len(self.axes)):
            result = result._fused(axis)
        return result

    def _fused(self, axis: int) -> Nominal:
        """The axis as exactly one factor."""
        factors = self.axes[axis]
        if len(factors) == 1:
            return self
        position = self._position(axis)
        if factors:
            merged = self._fuse_factors(position, len(factors))
            extents, windowed = merged.extents, merged.windowed
        else:
            new = [f + (f >= position) for f in range(self._n_factors)]
            extents = tuple(extent.renumbered(new) for extent in self.extents)
            windowed = frozenset(new[f] for f in self.windowed)
        return Nominal((*self.axes[:axis], (math.prod(factors),), *self.axes[axis + 1 :]), extents, windowed)

    def _fuse_factors(self, first: int, count: int) -> Nominal:
        result = self
        flat = [n for factors in self.axes for n in factors]
        for _ in range(count - 1):
            inner = flat[first + 1]
            new = [f - (f > first) for f in range(len(flat))]
            single = first if flat[first] == 1 else first + 1 if inner == 1 else None
            extents = tuple(
                (fused(e, first, inner) if single is None else gathered(e, single, 1, True)).renumbered(new)
                for e in result.extents
            )
            both = first in result.windowed and first + 1 in result.windowed
            windowed = frozenset(new[f] for f in result.windowed if f not in (first, first + 1) or both)
            flat[first : first + 2] = [flat[first] * inner]
            result = Nominal((tuple(flat),), extents, windowed)
        return result

    def _split_factor(self, position: int, outer: int, inner: int) -> Nominal:
        flat = [n for factors in self.axes for n in factors]
        flat[position : position + 1] = [outer, inner]
        new = [f + (f > position) for f in range(len(flat) - 1)]
        extents = tuple(split(extent, position, inner, new) for extent in self.extents)
        windowed = {new[f] for f in self.windowed} | {position + 1}
        return Nominal((tuple(flat),), extents, frozenset(windowed))
