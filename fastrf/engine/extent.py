"""Extent: what the outputs of a layer read of one input axis on an unbounded input, phase by phase.

The arithmetic of `nominal`, its only caller beside `sweeps.states`: reading through a pattern, gathering, uniting,
fusing and splitting. Every table is bounded by MAX_TABLE; what would need more, or follows no rule that holds for
every length of the input, is *irregular*: its bounds are NaN and `irregular` says why.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
import numpy.typing as npt

from fastrf.engine.axis_map import AxisMap, Pattern
from fastrf.system.locks import cached_property

__all__ = [
    "MAX_TABLE",
    "NOTHING",
    "UNBOUNDED",
    "Extent",
    "Phase",
    "fused",
    "gathered",
    "irregular",
    "mapped",
    "opened",
    "read_exactly",
    "reduced",
    "split",
    "united",
]

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]

#: An extent of more phases, all factors together, is not regular.
MAX_TABLE = 1 << 14
#: A step that looks up more numbers than this gives an extent that is not regular.
MAX_WORK = 1 << 20


@dataclass(frozen=True)
class Phase:
    """One output factor's part in an extent: `period` phases, then everything moves by `shift`.

    A shift of 0 with several phases lists what each index of the factor reads. In an extent that is not regular or
    reads everything, a period of 1 with a shift of 0 is a factor that nothing is known of.
    """

    factor: int
    period: int
    shift: int

    @property
    def matters(self) -> bool:
        """Whether outputs differ along the factor."""
        return self.period > 1 or self.shift != 0

    @property
    def ratio(self) -> Fraction:
        """Pixels per step."""
        return Fraction(self.shift, self.period)


@dataclass(frozen=True, eq=False)
class Extent:
    """What outputs read of one input axis: `[low, high)` over the phases of the factors that matter.

    `low` and `high` are float64 with one axis per entry of `phases`; `-inf, inf` is unbounded, `low > high` is nothing
    at all, and NaN is unknown.
    """

    phases: tuple[Phase, ...]
    low: FloatArray
    high: FloatArray
    irregular: str = ""

    @cached_property
    def sizes(self) -> FloatArray:
        """float64[*phases]: the size in pixels at every phase, 0 where nothing is read."""
        with np.errstate(invalid="ignore"):
            return np.where(self.low > self.high, 0.0, self.high - self.low)

    @cached_property
    def is_nothing(self) -> bool:
        """Whether no phase reads anything."""
        return bool((self.low > self.high).all())

    @cached_property
    def is_everything(self) -> bool:
        """Whether every phase reads the whole unbounded axis."""
        return bool(np.isneginf(self.low).all() and np.isposinf(self.high).all())

    @property
    def is_plain(self) -> bool:
        """Whether the table says more than the steps of the factors: neither unknown nor everything."""
        return not self.irregular and not self.is_everything

    def find(self, factor: int) -> int | None:
        """The index in `phases` of a factor, or None where it does not matter."""
        return next((k for k, phase in enumerate(self.phases) if phase.factor == factor), None)

    def renumbered(self, new: Sequence[int]) -> Extent:
        """With factors renumbered and put in ascending order."""
        phases = [Phase(new[phase.factor], phase.period, phase.shift) for phase in self.phases]
        order = sorted(range(len(phases)), key=lambda k: phases[k].factor)
        kept = tuple(phases[k] for k in order)
        if kept == self.phases:
            return self
        moved = Extent(kept, self.low.transpose(order), self.high.transpose(order), self.irregular)
        for name in ("is_nothing", "is_everything"):
            if name in self.__dict__:
                moved.__dict__[name] = self.__dict__[name]
        return moved

    def same(self, other: Extent) -> bool:
        """Whether both say the same."""
        return self is other or (
            (self.phases, self.irregular) == (other.phases, other.irregular)
            and np.array_equal(self.low, other.low, equal_nan=True)
            and np.array_equal(self.high, other.high, equal_nan=True)
        )

    def at(self, index: Sequence[npt.NDArray[np.int64]]) -> tuple[FloatArray, FloatArray]:
        """`low` and `high` at output indices: one index array per factor, broadcast together."""
        pick = tuple(index[phase.factor] % phase.period for phase in self.phases)
        move = sum(
            (index[phase.factor] // phase.period * float(phase.shift) for phase in self.phases), start=np.zeros(())
        )
        return self.low[pick] + move, self.high[pick] + move

    def tiled(self, k: int, period: int) -> Extent | None:
        """With the `k`-th period a multiple of what it was, or None beyond MAX_TABLE."""
        phase = self.phases[k]
        if period == phase.period:
            return self
        if self.low.size // phase.period * period > MAX_TABLE:
            return None
        low, high = self.at_indices(k, np.arange(period))
        changed = Phase(phase.factor, period, phase.shift * (period // phase.period))
        return Extent((*self.phases[:k], changed, *self.phases[k + 1 :]), low, high)

    def at_indices(self, k: int, index: IntArray) -> tuple[FloatArray, FloatArray]:
        """`low` and `high` with the `k`-th axis read at these indices of its factor."""
        phase = self.phases[k]
        move = (index // phase.period * float(phase.shift)).reshape([-1 if a == k else 1 for a in range(self.low.ndim)])
        pick = index % phase.period
        return self.low.take(pick, axis=k) + move, self.high.take(pick, axis=k) + move

    def listed(self, k: int, size: int) -> Extent | None:
        """With what each of the `size` indices of the `k`-th factor reads, or None beyond MAX_TABLE."""
        if self.low.size // self.phases[k].period * size > MAX_TABLE:
            return None
        low, high = self.at_indices(k, np.arange(size))
        return Extent(_with(self.phases, k, Phase(self.phases[k].factor, size, 0)), low, high)

    def with_factor(self, factor: int) -> Extent:
        """With a factor that does not matter made explicit."""
        if self.find(factor) is not None:
            return self
        k = sum(phase.factor < factor for phase in self.phases)
        phases = (*self.phases[:k], Phase(factor, 1, 0), *self.phases[k:])
        return Extent(phases, np.expand_dims(self.low, k), np.expand_dims(self.high, k), self.irregular)

    def first(self, k: int) -> Extent:
        """The `k`-th factor's first index only; it matters no more."""
        phases = self.phases[:k] + self.phases[k + 1 :]
        low, high = (np.asarray(part.take(0, axis=k)) for part in (self.low, self.high))
        return Extent(phases, low, high, self.irregular)


UNBOUNDED = Extent((), np.array(-np.inf), np.array(np.inf))
NOTHING = Extent((), np.array(np.inf), np.array(-np.inf))


def _moveaxis(table: FloatArray, source: int, target: int) -> FloatArray:
    return table if source == target else np.moveaxis(table, source, target)


def _with(phases: tuple[Phase, ...], k: int, phase: Phase) -> tuple[Phase, ...]:
    return (*phases[:k], phase, *phases[k + 1 :])


def _flat(phases: Iterable[Phase], low: float, high: float, reason: str) -> Extent:
    """An extent of one interval everywhere, which knows how its factors move; listed ones do not."""
    kept = [_ratio(p.factor, p.ratio) if p.shift else p for p in phases if p.shift or p.period == 1]
    if math.prod(p.period for p in kept) > MAX_TABLE:
        kept = [Phase(p.factor, 1, 0) for p in kept]
    shape = [p.period for p in kept]
    unknown = math.isnan(low) or any(not p.matters for p in kept)
    return Extent(tuple(kept), np.full(shape, low), np.full(shape, high), reason if unknown else "")


def _ratio(factor: int, ratio: Fraction) -> Phase:
    return Phase(factor, ratio.denominator, ratio.numerator)


def irregular(extent: Extent, phases: Iterable[Phase], reason: str) -> Extent:
    """An extent of which no more than the steps of its factors is known; one that is everything stays so."""
    if extent.is_nothing:
        return extent
    reason = extent.irregular or reason
    return _flat(phases, -math.inf, math.inf, reason) if extent.is_everything else _flat(phases, np.nan, np.nan, reason)


def opened(extent: Extent) -> Extent:
    """Everything, at the steps of an extent; a gate multiplies the map, so that the stride stays."""
    if extent.is_nothing:
        return extent
    return _flat(extent.phases, -math.inf, math.inf, extent.irregular)


def _too_many(extent: Extent, phases: Iterable[Phase]) -> Extent:
    return irregular(extent, phases, f"more than {MAX_TABLE} phases")


# Reading through a pattern -------------------------------------------------------------------------------------------


def mapped(extent: Extent, factor: int, axis_map: AxisMap, size: int) -> Extent:
    """An extent read through a map along one factor of `size` indices."""
    k = extent.find(factor)
    if k is None or extent.is_nothing:
        return extent
    phase, pattern = extent.phases[k], axis_map.pattern
    if pattern.is_everything and (phase.shift or not extent.is_plain):
        return _flat(_without(extent.phases, k), -math.inf, math.inf, extent.irregular)
    if pattern.irregular or (phase.shift == 0 and phase.period == size > 1):
        return read_exactly(extent, [factor], [size], axis_map)
    turns = phase.period // math.gcd(phase.period, pattern.shift) if pattern.shift else 1
    moved = Phase(factor, pattern.period * turns, turns * pattern.shift * phase.shift // phase.period)
    phases = _with(extent.phases, k, moved if phase.matters else phase)
    if not extent.is_plain:
        moving = phases if moved.shift or not phase.matters else _without(phases, k)
        if np.isinf(pattern.low).any() or np.isinf(pattern.high).any():
            return _flat(moving, -math.inf, math.inf, extent.irregular)
        return irregular(extent, moving, extent.irregular)
    rest = extent.low.size // phase.period
    if moved.period * rest > MAX_TABLE:
        return _too_many(extent, phases)
    bounds = _through(_moveaxis(extent.low, k, 0), _moveaxis(extent.high, k, 0), phase, pattern, moved.period)
    if bounds is None:
        return _too_many(extent, phases)
    low, high = bounds
    return reduced(Extent(phases, _moveaxis(low, 0, k), _moveaxis(high, 0, k)), [k])


def _without(phases: tuple[Phase, ...], k: int) -> tuple[Phase, ...]:
    return phases[:k] + phases[k + 1 :]


def _through(
    low: FloatArray, high: FloatArray, phase: Phase, pattern: Pattern, period: int
) -> tuple[FloatArray, FloatArray] | None:
    """What `period` outputs of a pattern read of a table whose first axis is `phase`; None where that takes long."""
    o = np.arange(period)
    part, move = o % pattern.period, o // pattern.period * pattern.shift
    if pattern.reads is None:
        return _windows(low, high, phase, pattern.low[part] + move, pattern.high[part] + move)
    reads = [pattern.reads(t) for t in range(pattern.period)]
    if sum(map(len, reads)) * (period // pattern.period) * low[0].size > MAX_WORK:
        return None
    rows = [reads[t] + shift for t, shift in zip(part.tolist(), move.tolist(), strict=True)]
    return _hulls(low, high, phase, np.array([len(row) for row in rows]), np.concatenate(rows).astype(np.int64))


def _windows(
    low: FloatArray, high: FloatArray, phase: Phase, first: FloatArray, last: FloatArray
) -> tuple[FloatArray, FloatArray] | None:
    """The hulls over indices `first <= i < last`, one per output, of a table whose first axis is `phase`."""
    period, empty = phase.period, first >= last
    endless, open_ = np.isinf(first), np.isinf(last)
    start = np.where(endless, np.where(open_, 0, last - period), first)
    stop = np.where(open_, start + period, last)
    begin, end = np.where(empty, 0, start).astype(np.int64), np.where(empty, 1, stop).astype(np.int64)
    widest = int((end - begin).max())
    # what moves along repeats after a period, so that the outermost ones at either end are enough
    steps = np.arange(min(widest, period))
    if len(first) * len(steps) * 2 * low[0].size > MAX_WORK:
        return None
    near = np.minimum(begin[:, None] + steps, end[:, None] - 1)
    index = (
        near if widest <= period else np.concatenate([near, np.maximum(end[:, None] - 1 - steps, begin[:, None])], 1)
    )
    lows, highs = _hulls(low, high, phase, np.full(len(first), index.shape[1]), index.ravel())
    if phase.shift < 0:
        endless, open_ = open_, endless
    if phase.shift:
        lows[endless & (lows <= highs).reshape(len(first), -1).any(axis=1)] = -np.inf
        highs[open_ & (lows <= highs).reshape(len(first), -1).any(axis=1)] = np.inf
    lows[empty], highs[empty] = np.inf, -np.inf
    return lows, highs


def _hulls(
    low: FloatArray, high: FloatArray, phase: Phase, counts: IntArray, index: IntArray
) -> tuple[FloatArray, FloatArray]:
    """The hulls over runs of `counts` indices each, of a table whose first axis is `phase`."""
    move = (index // phase.period * float(phase.shift)).reshape(-1, *[1] * (low.ndim - 1))
    pick = index % phase.period
    return _runs(low[pick] + move, high[pick] + move, counts)


def _runs(low: FloatArray, high: FloatArray, counts: IntArray) -> tuple[FloatArray, FloatArray]:
    """The hulls over consecutive runs of `counts` rows."""
    lows, highs = np.full((len(counts), *low.shape[1:]), np.inf), np.full((len(counts), *low.shape[1:]), -np.inf)
    some = counts > 0
    if some.any():
        begin = np.concatenate([[0], np.cumsum(counts[some])[:-1]])
        lows[some], highs[some] = np.minimum.reduceat(low, begin), np.maximum.reduceat(high, begin)
    return lows, highs


def read_exactly(extent: Extent, factors: Sequence[int], sizes: Sequence[int], axis_map: AxisMap) -> Extent:
    """An extent of which every output of a map of consecutive factors is listed, under the number of their first.

    The map's own relation is read, since no rule holds beyond it.
    """
    whole, first = Phase(factors[0], axis_map.n_out, 0), factors[0]
    mine = [k for k, phase in enumerate(extent.phases) if phase.factor in factors]
    rest = [phase for phase in extent.phases if phase.factor not in factors]
    k = sum(phase.factor < first for phase in rest)
    reason = axis_map.pattern.irregular or "indices in no regular order"
    if not mine or extent.is_nothing:
        return extent
    n_rest = math.prod(phase.period for phase in rest)
    relation = axis_map.relation if extent.is_plain and 0 < axis_map.n_out * n_rest <= MAX_TABLE else None
    if relation is None or relation.n_points * n_rest > MAX_WORK:
        known = all(phase.matters and not phase.shift for phase in (extent.phases[k] for k in mine))
        unknown = [] if known and not extent.is_plain else [Phase(first, 1, 0)]
        return irregular(extent, [*rest[:k], *unknown, *rest[k:]], reason)
    index = np.unravel_index(relation.points(), tuple(sizes))
    low, high = np.moveaxis(extent.low, mine, range(len(mine))), np.moveaxis(extent.high, mine, range(len(mine)))
    phases = [extent.phases[k] for k in mine]
    at = [index[list(factors).index(phase.factor)] for phase in phases]
    pick = tuple(i % phase.period for i, phase in zip(at, phases, strict=True))
    move = sum((i // phase.period * float(phase.shift) for i, phase in zip(at, phases, strict=True)), start=np.zeros(1))
    shift = move.reshape(-1, *[1] * len(rest))
    lows, highs = _runs(low[pick] + shift, high[pick] + shift, relation.counts)
    moved = Extent((*rest[:k], whole, *rest[k:]), _moveaxis(lows, 0, k), _moveaxis(highs, 0, k))
    return reduced(moved, [k])


# Gathering and uniting -----------------------------------------------------------------------------------------------


def gathered(extent: Extent, factor: int, size: int, fixed: bool) -> Extent:
    """An extent after its factor is gathered into one index: the hull of a fixed number, else unbounded."""
    k = extent.find(factor)
    if k is None or extent.is_nothing:
        return extent
    phase, rest = extent.phases[k], _without(extent.phases, k)
    if not extent.is_plain or (size > 1 and phase.shift and not fixed):
        unknown = bool(extent.irregular) and not extent.is_everything and (fixed or size == 1)
        low, high = (np.nan, np.nan) if unknown else (-math.inf, math.inf)
        return _flat(rest, low, high, extent.irregular)
    ends = np.array([0.0]), np.array([float(size)])
    bounds = _windows(_moveaxis(extent.low, k, 0), _moveaxis(extent.high, k, 0), phase, *ends)
    return _too_many(extent, rest) if bounds is None else Extent(rest, bounds[0][0], bounds[1][0])


def united(extents: Sequence[Extent], sizes: Sequence[int], fixed: Collection[int] = ()) -> Extent:
    """The hull of extents over factors of these sizes, of which the `fixed` ones do not grow with the input."""
    some = [e for k, e in enumerate(extents) if not e.is_nothing and all(e is not other for other in extents[:k])]
    if len(some) < 2:
        return some[0] if some else extents[0]
    phases = some[0].phases
    if all(extent.phases == phases and extent.is_plain for extent in some):
        low = np.minimum.reduce([extent.low for extent in some])
        high = np.maximum.reduce([extent.high for extent in some])
        return reduced(Extent(phases, low, high), [k for k, phase in enumerate(phases) if phase.period > 1])
    whole = some[0]
    for extent in some[1:]:
        whole = _united(whole, extent, sizes, fixed)
    return whole


def _united(left: Extent, right: Extent, sizes: Sequence[int], fixed: Collection[int]) -> Extent:
    factors = sorted({phase.factor for phase in (*left.phases, *right.phases)})
    if left.is_plain and right.is_plain:
        both: tuple[Extent, Extent] | str = (left, right)
        for factor in factors:
            if not isinstance(both, str):
                both = _agreed(*both, factor, sizes[factor], factor in fixed)
        if not isinstance(both, str):
            left, right = both
            hull = Extent(left.phases, np.minimum(left.low, right.low), np.maximum(left.high, right.high))
            return reduced(hull, range(len(factors)))
        reason = both
    else:
        reason = max(left.irregular, right.irregular) or "branches move by different steps"
    phases = [phase for factor in factors for phase in _common(left, right, factor, sizes[factor])]
    bounds = (-math.inf, math.inf) if left.is_everything or right.is_everything else (math.nan, math.nan)
    return _flat(phases, *bounds, reason)


def _common(left: Extent, right: Extent, factor: int, size: int) -> list[Phase]:
    """How a factor moves in the union of two extents: as in those that move, unknown where they differ."""
    found = [e.phases[k] for e in (left, right) if (k := e.find(factor)) is not None]
    if any(not phase.matters for phase in found):
        return [Phase(factor, 1, 0)]
    steps = {phase.ratio for phase in found if phase.shift}
    if len(steps) > 1:
        return [] if size == 1 else [Phase(factor, 1, 0)]
    return [_ratio(factor, step) for step in steps]


def _agreed(left: Extent, right: Extent, factor: int, size: int, fixed: bool) -> tuple[Extent, Extent] | str:
    """Both extents with equal phases of a factor, or why there are none."""
    left, right = left.with_factor(factor), right.with_factor(factor)
    k = left.find(factor)
    assert k is not None
    a, b = left.phases[k], right.phases[k]
    period = math.lcm(a.period, b.period)
    if a.ratio == b.ratio:
        tables = left.tiled(k, period), right.tiled(k, period)
    elif fixed or size == 1:
        tables = left.listed(k, size), right.listed(k, size)
    else:
        slow, fast = sorted([a.ratio, b.ratio], key=lambda step: (abs(step), step))
        return f"branches that move by {slow} and by {fast} pixels a step drift apart"
    first, second = tables
    return (first, second) if first and second else f"more than {MAX_TABLE} phases"


def reduced(extent: Extent, which: Iterable[int]) -> Extent:
    """Some periods divided by the largest number that leaves the extent as it is, and dropped where nothing is left."""
    for k in sorted(which, reverse=True):
        phase = extent.phases[k]
        if phase.period == 1:
            extent = extent if phase.matters else extent.first(k)
            continue
        low, high = _moveaxis(extent.low, k, 0), _moveaxis(extent.high, k, 0)
        for short in range(1, phase.period // 2 + 1):
            if phase.period % short or phase.shift * short % phase.period:
                continue
            step = phase.shift * short // phase.period
            if all(np.array_equal(t[short:], t[:-short] + float(step)) for t in (low, high)):
                phase = Phase(phase.factor, short, step)
                low, high = low[:short], high[:short]
                break
        extent = Extent(_with(extent.phases, k, phase), _moveaxis(low, 0, k), _moveaxis(high, 0, k))
        if not phase.matters:
            extent = extent.first(k)
    return extent


# Fusing and splitting ------------------------------------------------------------------------------------------------


def fused(extent: Extent, first: int, inner: int, *, regular: bool = True) -> Extent:
    """Factors `first` and `first + 1` (of `inner` indices) as one, still numbered `first`.

    Without `regular` the inner factor grows with the input: no period of the two together holds for every length.
    """
    if extent.find(first) is None and extent.find(first + 1) is None:
        return extent
    known = all(phase.matters for phase in extent.phases if first <= phase.factor <= first + 1)
    extent = extent.with_factor(first).with_factor(first + 1)
    k = extent.find(first)
    assert k is not None
    outer, within = extent.phases[k], extent.phases[k + 1]
    phases = (*extent.phases[:k], Phase(first, 1, 0), *extent.phases[k + 2 :])
    if within.shift and outer.period == 1 and inner % within.period == 0 and outer.ratio == within.ratio * inner:
        # windows that tile the axis are the axis
        whole = Phase(first, within.period, within.shift)
        low, high = (np.asarray(part.take(0, axis=k)) for part in (extent.low, extent.high))
        return Extent(_with(phases, k, whole), low, high, extent.irregular)
    if not regular:
        return irregular(extent, phases, "several axes of the grid are read as one")
    if not extent.is_plain:
        step = outer.ratio / inner if known else Fraction(0)
        phases = _with(phases, k, _ratio(first, step)) if step or not known else _without(phases, k)
        return irregular(extent, phases, extent.irregular)
    table = extent.listed(k + 1, inner)
    if table is None:
        return _too_many(extent, phases)
    shape = (*table.low.shape[:k], outer.period * inner, *table.low.shape[k + 2 :])
    whole = Phase(first, outer.period * inner, outer.shift)
    return reduced(Extent(_with(phases, k, whole), table.low.reshape(shape), table.high.reshape(shape)), [k])


def split(extent: Extent, position: int, inner: int) -> Extent:
    """A factor as `(outer, inner)`; the number after it is free for the inner one."""
    k = extent.find(position)
    if k is None:
        return extent
    phase, before, after = extent.phases[k], extent.phases[:k], extent.phases[k + 1 :]
    if phase.period == 1 or not extent.is_plain:
        pair = (_ratio(position, phase.ratio * inner), _ratio(position + 1, phase.ratio))
        if not extent.is_plain:
            return irregular(extent, (*before, *pair, *after), extent.irregular)
        low, high = np.expand_dims(extent.low, k), np.expand_dims(extent.high, k)
        return Extent((*before, *pair, *after), low, high)
    period = math.lcm(phase.period, inner)
    table = extent.tiled(k, period)
    steps = Phase(position, period // inner, phase.shift * (period // phase.period))
    phases = (*before, steps, Phase(position + 1, inner, 0), *after)
    if table is None:
        return _too_many(extent, (*before, _ratio(position, phase.ratio * inner), _ratio(position + 1, phase.ratio)))
    shape = (*table.low.shape[:k], period // inner, inner, *table.low.shape[k + 1 :])
    return reduced(Extent(phases, table.low.reshape(shape), table.high.reshape(shape)), [k, k + 1])
