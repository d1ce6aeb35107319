"""Extent: what the outputs of a layer read of one input axis on an unbounded input, phase by phase.

The arithmetic of `nominal`, with `reading`: uniting, fusing and splitting. Every table is bounded by MAX_TABLE; what
would need more, or follows no rule that holds for every length of the input, is *irregular*: its bounds are NaN and
`irregular` says why.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
import numpy.typing as npt

from fastrf.engine.factors import put
from fastrf.system.locks import cached_property

__all__ = [
    "MAX_TABLE",
    "NOTHING",
    "UNBOUNDED",
    "Extent",
    "Phase",
    "fits",
    "flat",
    "fused",
    "irregular",
    "moveaxis",
    "opened",
    "reduced",
    "share_cut",
    "split",
    "too_many",
    "united",
]

FloatArray = npt.NDArray[np.float64]

#: An extent of more phases, all factors together, is not regular.
MAX_TABLE = 1 << 14


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
        if kept == self.phases and order == sorted(order):  # not so where factors of equal phases change places
            return self
        moved = self.changed(kept, lambda table: table.transpose(order))
        for name in ("is_nothing", "is_everything"):
            if name in self.__dict__:
                moved.__dict__[name] = self.__dict__[name]
        return moved

    def changed(self, phases: tuple[Phase, ...], change: Callable[[FloatArray], FloatArray | np.float64]) -> Extent:
        """With other phases, and both tables changed alike."""
        return Extent(phases, np.asarray(change(self.low)), np.asarray(change(self.high)), self.irregular)

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
        times = period // phase.period
        return self if times == 1 else self._read(k, Phase(phase.factor, period, phase.shift * times))

    def listed(self, k: int, size: int) -> Extent | None:
        """With what each of the `size` indices of the `k`-th factor reads, or None beyond MAX_TABLE."""
        return self._read(k, Phase(self.phases[k].factor, size, 0))

    def _read(self, k: int, phase: Phase) -> Extent | None:
        """With as many indices of the `k`-th factor as a phase has in its table."""
        if not fits(self.low.size // self.phases[k].period * phase.period):
            return None
        index, old = np.arange(phase.period), self.phases[k]
        move = index // old.period * float(old.shift)
        move = move.reshape([-1 if axis == k else 1 for axis in range(self.low.ndim)])
        return self.changed(put(self.phases, k, phase), lambda table: table.take(index % old.period, axis=k) + move)

    def with_factor(self, factor: int) -> Extent:
        """With a factor that does not matter made explicit."""
        if self.find(factor) is not None:
            return self
        k = sum(phase.factor < factor for phase in self.phases)
        phases = (*self.phases[:k], Phase(factor, 1, 0), *self.phases[k:])
        return self.changed(phases, lambda table: np.expand_dims(table, k))

    def first(self, k: int) -> Extent:
        """The `k`-th factor's first index only; it matters no more."""
        return self.changed(put(self.phases, k), lambda table: table.take(0, axis=k))


UNBOUNDED = Extent((), np.array(-np.inf), np.array(np.inf))
NOTHING = Extent((), np.array(np.inf), np.array(-np.inf))


def fits(n: int) -> bool:
    """Whether a table may have so many entries."""
    return n <= MAX_TABLE


def moveaxis(table: FloatArray, source: int, target: int) -> FloatArray:
    """`numpy.moveaxis` of one axis, which is mostly there already."""
    return table if source == target else np.moveaxis(table, source, target)


def flat(phases: Iterable[Phase], low: float, high: float, reason: str) -> Extent:
    """An extent of one interval everywhere, which knows how its factors move; listed ones do not."""
    kept = [_ratio(p.factor, p.ratio) if p.shift else p for p in phases if p.shift or p.period == 1]
    kept.sort(key=lambda phase: phase.factor)
    if not fits(math.prod(p.period for p in kept)):
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
    return flat(phases, -math.inf, math.inf, reason) if extent.is_everything else flat(phases, np.nan, np.nan, reason)


def opened(extent: Extent) -> Extent:
    """Everything, at the steps of an extent; a gate multiplies the map, so that the stride stays."""
    if extent.is_nothing:
        return extent
    return flat(extent.phases, -math.inf, math.inf, extent.irregular)


def too_many(extent: Extent, phases: Iterable[Phase]) -> Extent:
    """An extent of which a table would be too large."""
    return irregular(extent, phases, f"more than {MAX_TABLE} phases")


def share_cut(extent: Extent, sizes: Sequence[int], n: int) -> float | None:
    """The share of the indices of an only factor that reach beyond `[0, n)`, or may; None for more factors, or none.

    Turns go on by the same step, so those inside are counted without a look at each.
    """
    if len(extent.phases) != 1:
        return None
    phase, inside = extent.phases[0], 0
    size = sizes[phase.factor]
    for row in range(min(phase.period, size)):
        low, high, turns = float(extent.low[row]), float(extent.high[row]), -((row - size) // phase.period)
        if low > high:
            inside += turns
        elif math.isfinite(low) and math.isfinite(high):
            inside += _between(-Fraction(low), n - Fraction(high), phase.shift, turns)
    return (size - inside) / size


def _between(first: Fraction, last: Fraction, step: int, turns: int) -> int:
    """How many of the first multiples of a step lie in `[first, last]`."""
    if step == 0:
        return turns if first <= 0 <= last else 0
    begin, end = (first / step, last / step) if step > 0 else (last / step, first / step)
    return max(min(math.floor(end), turns - 1) - max(math.ceil(begin), 0) + 1, 0)


# Uniting -----------------------------------------------------------------------------------------------


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
    return flat(phases, *bounds, reason)


def _common(left: Extent, right: Extent, factor: int, size: int) -> list[Phase]:
    """How a factor moves in the union of two extents: as in those that move, unknown where they differ.

    One position does not move, whatever it is united with: otherwise the order of operands would tell.
    """
    found = [e.phases[k] for e in (left, right) if (k := e.find(factor)) is not None]
    if any(not phase.matters for phase in found):
        return [Phase(factor, 1, 0)]
    steps = {phase.ratio for phase in found if phase.shift}
    if size == 1:
        return []
    if len(steps) > 1:
        return [Phase(factor, 1, 0)]
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
        low, high = moveaxis(extent.low, k, 0), moveaxis(extent.high, k, 0)
        for short in range(1, phase.period // 2 + 1):
            if phase.period % short or phase.shift * short % phase.period:
                continue
            step = phase.shift * short // phase.period
            if all(np.array_equal(t[short:], t[:-short] + float(step)) for t in (low, high)):
                phase = Phase(phase.factor, short, step)
                low, high = low[:short], high[:short]
                break
        extent = Extent(put(extent.phases, k, phase), moveaxis(low, 0, k), moveaxis(high, 0, k))
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
        return extent.changed(put(phases, k, whole), lambda table: table.take(0, axis=k))
    if not regular:
        return irregular(extent, phases, "several axes of the grid are read as one")
    if not extent.is_plain:
        step = outer.ratio / inner if known else Fraction(0)
        phases = put(phases, k, _ratio(first, step)) if step or not known else put(phases, k)
        return irregular(extent, phases, extent.irregular)
    table = extent.listed(k + 1, inner)
    if table is None:
        return too_many(extent, phases)
    shape = (*table.low.shape[:k], outer.period * inner, *table.low.shape[k + 2 :])
    whole = Phase(first, outer.period * inner, outer.shift)
    return reduced(table.changed(put(phases, k, whole), lambda part: part.reshape(shape)), [k])


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
        return extent.changed((*before, *pair, *after), lambda table: np.expand_dims(table, k))
    period = math.lcm(phase.period, inner)
    table = extent.tiled(k, period)
    steps = Phase(position, period // inner, phase.shift * (period // phase.period))
    phases = (*before, steps, Phase(position + 1, inner, 0), *after)
    if table is None:
        return too_many(extent, (*before, _ratio(position, phase.ratio * inner), _ratio(position + 1, phase.ratio)))
    shape = (*table.low.shape[:k], period // inner, inner, *table.low.shape[k + 1 :])
    return reduced(table.changed(phases, lambda part: part.reshape(shape)), [k, k + 1])
