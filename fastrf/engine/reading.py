"""Reading: an extent read through an axis map, or gathered whole."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from fastrf.engine.axis_map import AxisMap, Pattern
from fastrf.engine.extent import Extent, Phase, fits, flat, irregular, moveaxis, reduced, too_many
from fastrf.engine.factors import put

__all__ = ["gathered", "mapped", "read_exactly"]

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]

#: A step that looks up more numbers than this gives an extent that is not regular.
MAX_WORK = 1 << 20


def mapped(extent: Extent, factor: int, axis_map: AxisMap, size: int) -> Extent:
    """An extent read through a map along one factor of `size` indices."""
    k = extent.find(factor)
    if k is None or extent.is_nothing:
        return extent
    phase, pattern = extent.phases[k], axis_map.pattern
    if pattern.is_everything and (phase.shift or not extent.is_plain):
        return flat(put(extent.phases, k), -math.inf, math.inf, extent.irregular)
    if pattern.irregular or (phase.shift == 0 and phase.period == size > 1):
        return read_exactly(extent, [factor], [size], axis_map)
    turns = phase.period // math.gcd(phase.period, pattern.shift) if pattern.shift else 1
    moved = Phase(factor, pattern.period * turns, turns * pattern.shift * phase.shift // phase.period)
    phases = put(extent.phases, k, moved if phase.matters else phase)
    if not extent.is_plain:
        moving = phases if moved.shift or not phase.matters else put(phases, k)
        if np.isinf(pattern.low).any() or np.isinf(pattern.high).any():
            return flat(moving, -math.inf, math.inf, extent.irregular)
        return irregular(extent, moving, extent.irregular)
    rest = extent.low.size // phase.period
    if not fits(moved.period * rest):
        return too_many(extent, phases)
    bounds = _through(moveaxis(extent.low, k, 0), moveaxis(extent.high, k, 0), phase, pattern, moved.period)
    if bounds is None:
        return too_many(extent, phases)
    low, high = bounds
    return reduced(Extent(phases, moveaxis(low, 0, k), moveaxis(high, 0, k)), [k])


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
        read = lows <= highs  # entry by entry: other factors have phases in which nothing is read
        lows[(read.T & endless).T], highs[(read.T & open_).T] = -np.inf, np.inf
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
    known = extent.is_plain and axis_map.n_out * n_rest > 0 and fits(axis_map.n_out * n_rest)
    relation = axis_map.relation if known else None
    if relation is None or relation.n_points * n_rest > MAX_WORK:
        listed = all(phase.matters and not phase.shift for phase in (extent.phases[k] for k in mine))
        unknown = [] if listed and not extent.is_plain else [Phase(first, 1, 0)]
        return irregular(extent, [*rest, *unknown], reason)
    index = np.unravel_index(relation.points(), tuple(sizes))
    low, high = np.moveaxis(extent.low, mine, range(len(mine))), np.moveaxis(extent.high, mine, range(len(mine)))
    phases = [extent.phases[k] for k in mine]
    at = [index[list(factors).index(phase.factor)] for phase in phases]
    pick = tuple(i % phase.period for i, phase in zip(at, phases, strict=True))
    move = sum((i // phase.period * float(phase.shift) for i, phase in zip(at, phases, strict=True)), start=np.zeros(1))
    shift = move.reshape(-1, *[1] * len(rest))
    lows, highs = _runs(low[pick] + shift, high[pick] + shift, relation.counts)
    moved = Extent((*rest[:k], whole, *rest[k:]), moveaxis(lows, 0, k), moveaxis(highs, 0, k))
    return reduced(moved, [k])


def gathered(extent: Extent, factor: int, size: int, fixed: bool) -> Extent:
    """An extent after its factor is gathered into one index: the hull of a fixed number, else unbounded."""
    k = extent.find(factor)
    if k is None or extent.is_nothing:
        return extent
    phase, rest = extent.phases[k], put(extent.phases, k)
    if not extent.is_plain or (size > 1 and phase.shift and not fixed):
        unknown = bool(extent.irregular) and not extent.is_everything and (fixed or size == 1)
        low, high = (np.nan, np.nan) if unknown else (-math.inf, math.inf)
        return flat(rest, low, high, extent.irregular)
    ends = np.array([0.0]), np.array([float(size)])
    bounds = _windows(moveaxis(extent.low, k, 0), moveaxis(extent.high, k, 0), phase, *ends)
    return too_many(extent, rest) if bounds is None else Extent(rest, bounds[0][0], bounds[1][0])
