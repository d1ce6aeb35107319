"""Extent: what the outputs of a layer read of one input axis on an unbounded input, phase by phase.

The arithmetic of `nominal`, its only caller: reading through a pattern, gathering, uniting, fusing and splitting.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property

import numpy as np
import numpy.typing as npt

from fastrf.axis_map import Pattern

__all__ = ["MAX_TABLE", "NOTHING", "UNBOUNDED", "Extent", "Phase", "fused", "gathered", "mapped", "split", "united"]

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

    @property
    def matters(self) -> bool:
        """Whether outputs differ along the factor."""
        return self.period > 1 or self.shift != 0


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


def mapped(extent: Extent, factor: int, pattern: Pattern) -> Extent:
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


def gathered(extent: Extent, factor: int, size: int, windowed: bool) -> Extent:
    """An extent after its factor is gathered into one index: a window's hull, or unbounded."""
    k = extent.find(factor)
    if k is None:
        return extent
    if not windowed:
        return UNBOUNDED if (extent.low <= extent.high).any() else NOTHING
    phases = extent.phases[:k] + extent.phases[k + 1 :]
    low, high = _window(np.moveaxis(extent.low, k, 0), np.moveaxis(extent.high, k, 0), extent.phases[k], 0, size)
    return Extent(phases, low, high)


def united(left: Extent, right: Extent, sizes: Sequence[int]) -> Extent:
    """The hull of two extents over single-factor axes."""
    if left.is_nothing or right.is_nothing:
        return right if left.is_nothing else left
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
    hull = Extent(left.phases, np.minimum(left.low, right.low), np.maximum(left.high, right.high))
    for k in range(len(hull.phases)):
        hull = _reduced(hull, k)
    return hull


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


def fused(extent: Extent, first: int, inner: int) -> Extent:
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


def split(extent: Extent, position: int, inner: int, new: Sequence[int]) -> Extent:
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
