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
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property

import numpy as np
import numpy.typing as npt

from fastrf.axis_map import AxisMap, Pattern

__all__ = ["Extent", "Nominal"]

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]

#: An extent of more phases, all factors together, is called unbounded rather than tabulated.
MAX_TABLE = 1 << 21


@dataclass(frozen=True, eq=False)
class Phase:
    """One output factor's part in an extent: `period` phases, then everything moves by `shift`."""

    factor: int
    period: int
    shift: int


@dataclass(frozen=True, eq=False)
class Extent:
    """What outputs read of one input axis: `[low, high)` over the phases of the factors that matter.

    `low` and `high` are float64 with one axis per entry of `phases`; `-inf, inf` is unbounded and `low > high`
    is nothing at all.
    """

    phases: tuple[Phase, ...]
    low: FloatArray
    high: FloatArray

    @cached_property
    def sizes(self) -> FloatArray:
        """float64[*phases]: the size in pixels at every phase, 0 where nothing is read."""
        with np.errstate(invalid="ignore"):
            return np.where(self.low > self.high, 0.0, self.high - self.low)

    @property
    def stride(self) -> float:
        """Input steps per output step along the factor that this extent follows; inf where it follows none."""
        moving = [Fraction(phase.shift, phase.period) for phase in self.phases if phase.shift]
        if not moving:
            return math.inf
        stride = min(moving, key=abs)
        return int(stride) if stride.denominator == 1 else float(stride)

    @property
    def is_nothing(self) -> bool:
        """Whether no phase reads anything."""
        return bool((self.low > self.high).all())

    def find(self, factor: int) -> int | None:
        """The index in `phases` of a factor, or None where it does not matter."""
        return next((k for k, phase in enumerate(self.phases) if phase.factor == factor), None)

    def renumbered(self, new: Sequence[int]) -> Extent:
        """With factors renumbered and put in ascending order."""
        phases = [Phase(new[phase.factor], phase.period, phase.shift) for phase in self.phases]
        order = sorted(range(len(phases)), key=lambda k: phases[k].factor)
        return Extent(tuple(phases[k] for k in order), self.low.transpose(order), self.high.transpose(order))

    def tiled(self, k: int, period: int) -> Extent:
        """With the `k`-th period a multiple of what it was."""
        phase = self.phases[k]
        times = period // phase.period
        if times == 1:
            return self
        if self.low.size * times > MAX_TABLE:
            return UNBOUNDED
        move = np.repeat(np.arange(times) * float(phase.shift), phase.period)
        move = move.reshape([-1 if axis == k else 1 for axis in range(self.low.ndim)])
        reps = [times if axis == k else 1 for axis in range(self.low.ndim)]
        phases = (*self.phases[:k], Phase(phase.factor, period, phase.shift * times), *self.phases[k + 1 :])
        return Extent(phases, np.tile(self.low, reps) + move, np.tile(self.high, reps) + move)

    def with_factor(self, factor: int) -> Extent:
        """With a factor that does not matter made explicit."""
        if self.find(factor) is not None:
            return self
        k = sum(phase.factor < factor for phase in self.phases)
        phases = (*self.phases[:k], Phase(factor, 1, 0), *self.phases[k:])
        return Extent(phases, np.expand_dims(self.low, k), np.expand_dims(self.high, k))

    def at(self, index: Sequence[npt.NDArray[np.int64]]) -> tuple[FloatArray, FloatArray]:
        """`low` and `high` at output indices: one index array per factor, broadcast together."""
        pick = tuple(index[phase.factor] % phase.period for phase in self.phases)
        move = sum(
            (index[phase.factor] // phase.period * float(phase.shift) for phase in self.phases), start=np.zeros(())
        )
        return self.low[pick] + move, self.high[pick] + move


UNBOUNDED = Extent((), np.array(-np.inf), np.array(np.inf))
NOTHING = Extent((), np.array(np.inf), np.array(-np.inf))


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
        extents = tuple(_mapped(extent, position, axis_map.pattern) for extent in whole.extents)
        axes = (*whole.axes[:axis], (axis_map.n_out,), *whole.axes[axis + 1 :])
        return Nominal(axes, extents, whole.windowed)

    def reduce(self, axis: int) -> Nominal:
        """Gather a whole axis into one index, and drop it."""
        first, count = self._position(axis), len(self.axes[axis])
        extents = list(self.extents)
        for factor, size in enumerate(self.axes[axis], start=first):
            extents = [_gathered(extent, factor, size, factor in self.windowed) for extent in extents]
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
        extents = tuple(_gathered(extent, position, 1, True) for extent in whole.extents)
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
        whole = [value._all_fused() for value in (self, *others)]
        sizes = [math.prod(factors) for factors in whole[0].axes]
        extents = []
        for group in zip(*(value.extents for value in whole), strict=True):
            united = group[0]
            for extent in group[1:]:
                united = _united(united, extent, sizes)
            extents.append(united)
        unbounded = {f for value in whole for extent in value.extents for f in value._unbounded(extent)}
        windowed = frozenset.union(*(value.windowed for value in whole)) - unbounded
        return Nominal(whole[0].axes, tuple(extents), windowed)

    def concat(self, axis: int, *others: Nominal) -> Nominal:
        """One value after another along an axis: read as if they lay on top of each other."""
        values = (self, *others)
        total = sum(math.prod(value.axes[axis]) for value in values)
        axes = tuple((math.prod(factors),) for factors in self.axes)
        fused = [value._all_fused() for value in values]
        united = Nominal(axes, fused[0].extents, fused[0].windowed).union(
            *(Nominal(axes, value.extents, value.windowed) for value in fused[1:])
        )
        return Nominal((*axes[:axis], (total,), *axes[axis + 1 :]), united.extents, united.windowed)

    def _unbounded(self, extent: Extent) -> list[int]:
        """Factors that matter to an extent and are no window."""
        return [phase.factor for phase in extent.phases if phase.factor not in self.windowed]

    def nothing(self) -> Nominal:
        """The same shape, reading nothing."""
        return Nominal(self.axes, (NOTHING,) * len(self.extents), self.windowed)

    def clipped(self, pixels: Sequence[int]) -> npt.NDArray[np.bool_]:
        """bool[*shape]: where what is read reaches beyond `[0, n)` on some axis, `pixels` being the sizes `n`."""
        sizes = [n for factors in self.axes for n in factors]
        cut = np.zeros((1,) * len(sizes), bool)
        for axis, n in enumerate(pixels):
            cut = cut | self._cut(axis, n)
        return np.broadcast_to(cut, sizes).reshape(self.shape)

    def clipped_share(self, pixels: Sequence[int]) -> float:
        """The share of positions that `clipped` marks, without marking them where the axes are independent."""
        factors = [phase.factor for extent in self.extents for phase in extent.phases]
        if len(set(factors)) < len(factors):
            cut = self.clipped(pixels)
            return float(cut.mean()) if cut.size else 0.0
        whole = 1.0
        for axis, n in enumerate(pixels):
            cut = self._cut(axis, n)
            whole *= 1.0 - float(cut.mean()) if cut.size else 1.0
        return 1.0 - whole

    def bounds(self, axis: int) -> tuple[FloatArray, FloatArray]:
        """What each position reads of one pixel axis, `[low, high)`: two float64 open meshes over the factors."""
        extent = self.extents[axis]
        sizes = [size for factors in self.axes for size in factors]
        index = [np.arange(s).reshape([-1 if k == f else 1 for k in range(len(sizes))]) for f, s in enumerate(sizes)]
        low, high = extent.at(index)
        shape = low.shape if low.ndim == len(sizes) else (1,) * len(sizes)
        return low.reshape(shape), high.reshape(shape)

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
            (), tuple(_gathered(e, p.factor, 1, True) for e in self.extents for p in e.phases[:1]) or self.extents
        )

    def _all_fused(self) -> Nominal:
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
            fused = self._fuse_factors(position, len(factors))
            extents, windowed = fused.extents, fused.windowed
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
                (_fused_extent(e, first, inner) if single is None else _gathered(e, single, 1, True)).renumbered(new)
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
        extents = tuple(_split_extent(extent, position, inner, new) for extent in self.extents)
        windowed = {new[f] for f in self.windowed} | {position + 1}
        return Nominal((tuple(flat),), extents, frozenset(windowed))


def _mapped(extent: Extent, factor: int, pattern: Pattern) -> Extent:
    """An extent read through a pattern along one factor."""
    k = extent.find(factor)
    if k is None:
        return extent
    phase = extent.phases[k]
    turns = phase.period // math.gcd(phase.period, pattern.shift) if pattern.shift else 1
    period = pattern.period * turns
    if period * extent.low.size > MAX_TABLE * phase.period:
        return UNBOUNDED
    low, high = np.moveaxis(extent.low, k, 0), np.moveaxis(extent.high, k, 0)
    new_low, new_high = np.empty((period, *low.shape[1:])), np.empty((period, *low.shape[1:]))
    for o in range(period):
        move = o // pattern.period * pattern.shift
        if pattern.reads is not None:
            new_low[o], new_high[o] = _hull(low, high, phase, pattern.reads(o % pattern.period) + move)
            continue
        first, last = pattern.low[o % pattern.period] + move, pattern.high[o % pattern.period] + move
        new_low[o], new_high[o] = _window(low, high, phase, first, last)
    shift = turns * pattern.shift * phase.shift // phase.period
    phases = (*extent.phases[:k], Phase(factor, period, shift), *extent.phases[k + 1 :])
    return _reduced(Extent(phases, np.moveaxis(new_low, 0, k), np.moveaxis(new_high, 0, k)), k)


def _window(
    low: FloatArray, high: FloatArray, phase: Phase, first: float, last: float
) -> tuple[FloatArray, FloatArray]:
    """The hull over indices `first <= i < last` of an extent whose first axis is `phase`."""
    if first >= last:
        return np.full(low.shape[1:], np.inf), np.full(low.shape[1:], -np.inf)
    if math.isinf(first) or math.isinf(last):
        if math.isinf(first) and math.isinf(last):
            return np.full(low.shape[1:], -np.inf), np.full(low.shape[1:], np.inf)
        edge = int(last if math.isinf(first) else first)
        span = np.arange(edge - phase.period, edge) if math.isinf(first) else np.arange(edge, edge + phase.period)
    else:
        begin, end = int(first), int(last)
        span = (
            np.arange(begin, end)
            if end - begin <= 2 * phase.period
            else np.r_[begin : begin + phase.period, end - phase.period : end]
        )
    lows, highs = _hull(low, high, phase, span)
    if math.isinf(first):
        return np.full_like(lows, -np.inf), highs
    return (lows, np.full_like(highs, np.inf)) if math.isinf(last) else (lows, highs)


def _hull(low: FloatArray, high: FloatArray, phase: Phase, indices: IntArray) -> tuple[FloatArray, FloatArray]:
    """The hull over some indices of an extent whose first axis is `phase`."""
    if indices.size == 0:
        return np.full(low.shape[1:], np.inf), np.full(low.shape[1:], -np.inf)
    move = (indices // phase.period * float(phase.shift)).reshape(-1, *[1] * (low.ndim - 1))
    pick = indices % phase.period
    return (low[pick] + move).min(axis=0), (high[pick] + move).max(axis=0)


def _gathered(extent: Extent, factor: int, size: int, windowed: bool) -> Extent:
    """An extent after its factor is gathered into one index: a window's hull, or unbounded."""
    k = extent.find(factor)
    if k is None:
        return extent
    if not windowed:
        return UNBOUNDED if (extent.low <= extent.high).any() else NOTHING
    phases = extent.phases[:k] + extent.phases[k + 1 :]
    low, high = _window(np.moveaxis(extent.low, k, 0), np.moveaxis(extent.high, k, 0), extent.phases[k], 0, size)
    return Extent(phases, low, high)


def _united(left: Extent, right: Extent, sizes: Sequence[int]) -> Extent:
    """The hull of two extents over single-factor axes."""
    if NOTHING in (left, right):
        return right if left is NOTHING else left
    if UNBOUNDED in (left, right):
        return UNBOUNDED
    for factor in {phase.factor for phase in (*left.phases, *right.phases)}:
        left, right = left.with_factor(factor), right.with_factor(factor)
        k = left.find(factor)
        assert k is not None
        a, b = left.phases[k], right.phases[k]
        period = math.lcm(a.period, b.period)
        if a.shift * b.period != b.shift * a.period:
            period = math.lcm(period, max(sizes[factor], 1))
        left, right = left.tiled(k, period), right.tiled(k, period)
        if UNBOUNDED in (left, right):
            return UNBOUNDED
    united = Extent(left.phases, np.minimum(left.low, right.low), np.maximum(left.high, right.high))
    for k in range(len(united.phases)):
        united = _reduced(united, k)
    return united


def _reduced(extent: Extent, k: int) -> Extent:
    """The `k`-th period divided by the largest number that leaves the extent as it is."""
    phase = extent.phases[k]
    for times in range(phase.period, 1, -1):
        if phase.period % times or phase.shift % times:
            continue
        short = phase.period // times
        low, high = (np.moveaxis(part, k, 0)[:short] for part in (extent.low, extent.high))
        phases = (*extent.phases[:k], Phase(phase.factor, short, phase.shift // times), *extent.phases[k + 1 :])
        candidate = Extent(phases, np.moveaxis(low, 0, k), np.moveaxis(high, 0, k))
        again = candidate.tiled(k, phase.period)
        if again is not UNBOUNDED and np.array_equal(again.low, extent.low) and np.array_equal(again.high, extent.high):
            return candidate
    return extent


def _fused_extent(extent: Extent, first: int, inner: int) -> Extent:
    """Factors `first` and `first + 1` (of `inner` indices) as one, still numbered `first`."""
    if extent.find(first) is None and extent.find(first + 1) is None:
        return extent
    extent = extent.with_factor(first).with_factor(first + 1)
    k = extent.find(first)
    assert k is not None
    period = extent.phases[k + 1].period
    extent = extent.tiled(k + 1, math.lcm(period, inner))
    if extent is UNBOUNDED:
        return extent
    low, high = (np.take(part, range(inner), axis=k + 1) for part in (extent.low, extent.high))
    outer = extent.phases[k]
    shape = (*low.shape[:k], low.shape[k] * inner, *low.shape[k + 2 :])
    phases = (*extent.phases[:k], Phase(first, outer.period * inner, outer.shift), *extent.phases[k + 2 :])
    return _reduced(Extent(phases, low.reshape(shape), high.reshape(shape)), k)


def _split_extent(extent: Extent, position: int, inner: int, new: Sequence[int]) -> Extent:
    """A factor as `(outer, inner)`, the later factors renumbered."""
    k = extent.find(position)
    if k is None:
        return extent.renumbered(new)
    phase = extent.phases[k]
    period = math.lcm(phase.period, inner)
    extent = extent.tiled(k, period)
    if extent is UNBOUNDED:
        return extent
    shift = extent.phases[k].shift
    shape = (*extent.low.shape[:k], period // inner, inner, *extent.low.shape[k + 1 :])
    others = [Phase(new[p.factor], p.period, p.shift) for p in extent.phases]
    phases = (*others[:k], Phase(position, period // inner, shift), Phase(position + 1, inner, 0), *others[k + 1 :])
    return _straightened(Extent(phases, extent.low.reshape(shape), extent.high.reshape(shape)), k + 1)


def _straightened(extent: Extent, k: int) -> Extent:
    """One phase along a factor whose indices follow each other in equal steps, so that it goes on beyond its end."""
    phase = extent.phases[k]
    if phase.period < 2 or not np.isfinite(extent.low).all() or not np.isfinite(extent.high).all():
        return extent
    steps = np.concatenate([np.diff(part, axis=k).ravel() for part in (extent.low, extent.high)])
    if not (steps == steps[0]).all() or steps[0] == 0:
        return extent
    phases = (*extent.phases[:k], Phase(phase.factor, 1, int(steps[0])), *extent.phases[k + 1 :])
    low, high = (part.take([0], axis=k) for part in (extent.low, extent.high))
    return Extent(phases, low, high)
