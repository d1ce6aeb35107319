"""Stretched: a relation of a long axis, kept as its two ends and one period of what lies between.

Far from its borders, an axis of ten million samples is read alike everywhere: row `i + period` holds what row `i`
holds, `step` columns further on. `Relation` and `AxisMap` make these for long axes; they behave as any other
relation, and cost what their ends cost.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from fastrf.engine import kernels
from fastrf.engine.deferred import Deferred
from fastrf.engine.memo import forget
from fastrf.engine.relation import Relation, check_size, intern_as
from fastrf.system.locks import cached_property

__all__ = [
    "MIN_ROWS",
    "Aligned",
    "Stretched",
    "aligned",
    "full",
    "identity",
    "stretched",
    "stretched_family",
    "stretched_from",
]

IntArray = npt.NDArray[np.int64]

#: Relations of fewer rows than this are kept whole.
MIN_ROWS = 1 << 15
#: How often a composition is tried again with more periods left at its ends.
_TRIES = 6


@contextlib.contextmanager
def stretched_from(rows: int) -> Iterator[None]:
    """Within the block, relations of more than `rows` rows (at least 2) are stretched, in every thread.

    What was made with another number is not used again; answers are the same with any.
    """
    global MIN_ROWS
    before, MIN_ROWS = MIN_ROWS, rows
    forget()
    try:
        yield
    finally:
        MIN_ROWS = before
        forget()


class Stretched(Deferred):
    """The relation that `core` becomes when `times` periods are put in before its row `cut`.

    The core's rows `[head, tail)` are periodic: row `i + period` holds what row `i` holds, `step` columns on. The
    rows put in go on with that; the rows behind them are the core's, moved by `times * step` columns. The arrays
    `indptr`, `start` and `stop` are made when they are first asked for.
    """

    __slots__ = ("core", "head", "period", "step", "tail", "times")

    core: Relation
    head: int
    tail: int
    period: int
    step: int
    times: int

    def _rows(self) -> kernels.Runs:
        return _unrolled_runs(self, self.times)

    def __reduce__(self) -> tuple[object, ...]:
        return stretched, (self.core, self.cut, self.period, self.step, self.times)

    @property
    def cut(self) -> int:
        """The core's row before which the periods are put in."""
        return self.head + self.period

    @property
    def n_rows(self) -> int:
        """Number of output indices."""
        return self.core.n_rows + self.times * self.period

    @property
    def n_runs(self) -> int:
        """Number of runs."""
        runs = self.core.indptr
        return self.core.n_runs + self.times * int(runs[self.cut] - runs[self.head])

    @property
    def nbytes(self) -> int:
        """Memory held."""
        return self.core.nbytes

    @cached_property
    def is_chain(self) -> bool:
        """As that of the core, which holds two periods next to each other."""
        return self.core.is_chain

    @cached_property
    def is_empty(self) -> bool:
        """No row holds anything."""
        return self.core.is_empty

    @cached_property
    def is_identity(self) -> bool:
        """Every row holds the column of its own number."""
        return self.step == self.period and self.core.is_identity

    @cached_property
    def is_full(self) -> bool:
        """Every row holds every column."""
        return self.step == 0 and self.core.is_full

    @cached_property
    def occupied(self) -> Relation:
        """Which rows hold anything, as a relation to a single column."""
        return stretched(self.core.occupied, self.cut, self.period, 0, self.times)

    def is_constant_along(self, before: int, middle: int, after: int) -> bool:
        """With rows `(before, middle, after)`: whether they do not depend on the middle."""
        if before == after == 1:
            return self.core.is_empty or (self.step == 0 and self.core.is_constant)
        return super().is_constant_along(before, middle, after)

    @cached_property
    def n_points(self) -> int:
        """Number of pairs of a row and a column that it holds."""
        return self.core.n_points + self.times * int(self.core.counts[self.head : self.cut].sum())

    @cached_property
    def counts(self) -> IntArray:
        """int64[n_rows]: how many columns each row holds."""
        return self._spread(self.core.counts, 0)

    @cached_property
    def hulls(self) -> IntArray:
        """int64[n_rows, 2]: the smallest run around each row; `[0, 0)` for an empty row."""
        hulls = self._spread(self.core.hulls, self.step)
        hulls[self._spread(self.core.counts, 0) == 0] = 0
        return hulls

    def _spread(self, values: IntArray, step: int) -> IntArray:
        """Values of the core's rows as values of all rows, `step` more with every period."""
        period = values[self.head : self.cut]
        middle = np.tile(period, (self.times, *[1] * (values.ndim - 1)))
        moves = np.repeat(np.arange(1, self.times + 1) * step, self.period)
        middle += moves.reshape(-1, *[1] * (values.ndim - 1))
        return np.concatenate([values[: self.cut], middle, values[self.cut :] + self.times * step])

    def take(self, index: npt.ArrayLike) -> Relation:
        """The rows named by `index`, in its order, repeated or not."""
        rows = np.asarray(index, np.int64)
        turn = np.clip((rows - self.cut) // self.period + 1, 0, self.times)
        picked = self.core.take(rows - turn * self.period)
        moves = np.repeat(turn * self.step, np.diff(picked.indptr))
        return Relation.from_arrays(self.n_cols, picked.indptr, picked.start + moves, picked.stop + moves)

    @cached_property
    def transpose(self) -> Relation:
        """Rows and columns exchanged: the columns that periodic rows alone read go on as these do."""
        times, step = 0, self.step
        while step and times < self.times:
            short, tail = self.unrolled(times), self.tail + times * self.period
            low = int(short.stop[: short.indptr[self.cut]].max(initial=0))
            high = int(short.start[short.indptr[tail - self.period] :].min(initial=short.n_cols))
            if low + 2 * step <= high:
                return stretched(short.transpose, low + step, step, self.period, self.times - times)
            times += max((low - high) // step + 2, 1)
        return super().transpose

    def unrolled(self, times: int) -> Relation:
        """The same relation with only `times` periods put in, whole."""
        if times == 0:
            return self.core
        return Relation.from_arrays(self.core.n_cols + times * self.step, *_unrolled_runs(self, times))

    def contains(self, other: Relation) -> bool:
        """Whether every row of `other` is a subset of the same row here."""
        if self is other or self.is_full or other.is_empty:
            return True
        both = aligned(self, other)
        return both.left.contains(both.right) if both else super().contains(other)

    def _union(self, other: Relation) -> Relation:
        both = aligned(self, other)
        if both is None:
            return super()._union(other)
        return stretched(both.left.union(both.right), both.cut, both.period, both.step, both.times)

    def _compose(self, inner: Relation, before: int, after: int) -> Relation:
        if before == after == 1 and self.step == 0:
            return stretched(self.core.compose(inner), self.cut, self.period, 0, self.times)
        if before == after == 1 and isinstance(inner, Stretched):
            composed = _composed(self, inner)
            if composed is not None:
                return composed
        return super()._compose(inner, before, after)


def identity(n: int) -> Relation:
    """Row `i` holds column `i`."""
    return Relation.identity(n) if n <= MIN_ROWS else _repeated(Relation.identity(2), n, 1)


def full(n_rows: int, n_cols: int) -> Relation:
    """Every row holds every column."""
    return Relation.full(n_rows, n_cols) if n_rows <= MIN_ROWS else _repeated(Relation.full(2, n_cols), n_rows, 0)


def _repeated(two: Relation, n_rows: int, step: int) -> Relation:
    """`n_rows` rows that go on as the given two do."""
    check_size(n_rows, n_rows)
    return stretched(two, 1, 1, step, n_rows - 2)


def _unrolled_runs(relation: Stretched, times: int) -> tuple[IntArray, IntArray, IntArray]:
    """`indptr`, `start` and `stop` of a core with `times` periods put in."""
    indptr, start, stop = relation.core.runs
    begin, end = indptr[relation.head], indptr[relation.cut]
    moves = np.repeat(np.arange(1, times + 1) * relation.step, end - begin)
    behind = times * relation.step

    def spread(runs: IntArray) -> IntArray:
        return np.concatenate([runs[:end], np.tile(runs[begin:end], times) + moves, runs[end:] + behind])

    counts = np.diff(indptr)
    middle = np.tile(counts[relation.head : relation.cut], times)
    pointers = np.zeros(relation.core.n_rows + times * relation.period + 1, np.int64)
    np.cumsum(np.concatenate([counts[: relation.cut], middle, counts[relation.cut :]]), out=pointers[1:])
    return pointers, spread(start), spread(stop)


def stretched(core: Relation, cut: int, period: int, step: int, times: int) -> Relation:
    """The core with `times` periods put in before row `cut`: its rows `[cut - period, cut)` are the period.

    The period is made as short as it can be, and all but two periods at the ends are taken from the core, so that
    equal relations become the identical object. One of fewer than MIN_ROWS rows is made whole.
    """
    for part in range(1, period):
        if period % part == 0 and step * part % period == 0:
            rows = core.take(np.arange(cut - period, cut))
            if _repeats(rows, part, step * part // period).all():
                times, period, step = times * (period // part), part, step * part // period
                break
    new = _bare(core, cut, period, step, times)
    if times == 0 or new.n_rows <= MIN_ROWS:
        return new.unrolled(times)
    lacking = -((new.tail - new.head) // period - 2)
    if lacking >= times:
        return new.unrolled(times)
    if lacking > 0:
        new = _bare(new.unrolled(lacking), new.cut, period, step, times - lacking)
    spare = _spare_periods(new)
    if spare:
        new = _bare(_without(new, spare), new.cut, period, step, new.times + spare)
    return intern_as(("stretched", new.core, new.head, period, step, new.times), new)


def _without(relation: Stretched, periods: int) -> Relation:
    """The core with some of its periods taken out."""
    core, cut = relation.core, relation.cut
    kept = core.take(np.r_[:cut, cut + periods * relation.period : core.n_rows])
    shift = np.zeros(kept.n_runs, np.int64)
    shift[kept.indptr[cut] :] = periods * relation.step
    columns = core.n_cols - periods * relation.step
    return Relation.from_arrays(columns, kept.indptr, kept.start - shift, kept.stop - shift)


def _bare(core: Relation, cut: int, period: int, step: int, times: int) -> Stretched:
    """One that is not canonical yet."""
    new = object.__new__(Stretched)
    new.core = core
    new.head, new.tail = _periodic_rows(core, cut, period, step)
    new.period, new.step, new.times = period, step, times
    new.n_cols = core.n_cols + times * step
    return new


def _repeats(relation: Relation, period: int, step: int) -> npt.NDArray[np.bool_]:
    """bool[n_rows - period]: whether row `i + period` is row `i` moved by `step`."""
    counts = np.diff(relation.indptr)
    same: npt.NDArray[np.bool_] = counts[period:] == counts[:-period]
    widest = int(counts.max(initial=0))
    for k in range(widest):
        used = np.flatnonzero(same & (counts[:-period] > k))
        here, there = relation.indptr[used] + k, relation.indptr[used + period] + k
        same[used] = (relation.start[there] == relation.start[here] + step) & (
            relation.stop[there] == relation.stop[here] + step
        )
    return same


def _periodic_rows(core: Relation, cut: int, period: int, step: int) -> tuple[int, int]:
    """The largest `[head, tail)` around the period before `cut` whose rows go on periodically."""
    broken = np.flatnonzero(~_repeats(core, period, step))
    before, after = broken[broken < cut - period], broken[broken >= cut - period]
    head = int(before[-1]) + 1 if before.size else 0
    tail = int(after[0]) + period if after.size else core.n_rows
    return head, tail


def _spare_periods(relation: Stretched) -> int:
    """How many periods the core can do without, two of them kept."""
    core, step = relation.core, relation.step
    spare = (relation.tail - relation.head) // relation.period - 2
    if step:
        before, behind = core.indptr[relation.cut], core.indptr[relation.tail]
        spare = min(spare, (core.n_cols - int(core.stop[:before].max(initial=0))) // step)
        if behind < core.n_runs:
            spare = min(spare, int(core.start[behind:].min()) // step)
    return max(spare, 0)


class Aligned(NamedTuple):
    """Two relations with the same periods left out, so that row answers to row."""

    left: Relation
    right: Relation
    cut: int
    period: int
    step: int
    times: int


def aligned(left: Relation, right: Relation) -> Aligned | None:
    """Both relations shortened alike; None where they do not move alike, or are not stretched."""
    if not isinstance(left, Stretched) or not isinstance(right, Stretched):
        return None
    period = math.lcm(left.period, right.period)
    step = left.step * (period // left.period)
    if step != right.step * (period // right.period):
        return None
    head = max(left.head, right.head)
    behind = max(part.core.n_rows - part.tail for part in (left, right))
    times = min((left.n_rows - head - behind) // period - 1, *(p.times * p.period // period for p in (left, right)))
    if times < 1:
        return None
    short = [part.unrolled(part.times - times * (period // part.period)) for part in (left, right)]
    return Aligned(short[0], short[1], head + period, period, step, times)


def _composed(outer: Stretched, inner: Stretched) -> Relation | None:
    """`outer` through `inner`, both shortened until a period of `outer` reads only periodic rows of `inner`."""
    shift = math.lcm(outer.step, inner.period)
    period, step = outer.period * (shift // outer.step), inner.step * (shift // inner.period)
    times = min(outer.times * outer.step // shift, inner.times * inner.period // shift)
    for _ in range(_TRIES):
        if times < 1:
            return None
        short = outer.unrolled(outer.times - times * (shift // outer.step))
        below = inner.unrolled(inner.times - times * (shift // inner.period))
        rows = (outer.head, short.n_rows - (outer.core.n_rows - outer.tail))
        columns = (inner.head, below.n_rows - (inner.core.n_rows - inner.tail))
        cut, missing = _cut(short, rows, columns, period)
        if not missing:
            return stretched(short.compose(below), cut, period, step, times)
        times -= -(-missing // shift)
    return None


def _cut(outer: Relation, rows: tuple[int, int], columns: tuple[int, int], period: int) -> tuple[int, int]:
    """Where to put periods into a composition, and how many columns are missing for it to be right.

    The rows before the cut must read nothing behind `columns`, those from one period before it on nothing before
    them, and that period must lie within `rows`.
    """
    hulls = outer.hulls.copy()
    hulls[outer.counts == 0] = [outer.n_cols, 0]
    first = np.minimum.accumulate(hulls[::-1, 0])[::-1]
    last = np.maximum.accumulate(hulls[:, 1])
    begin = max(rows[0], int(np.searchsorted(first, columns[0])))
    cut = begin + period
    if cut > rows[1]:
        return cut, max(columns[0] - int(first[max(rows[1] - period, 0)]), 0) + period
    return cut, max(int(last[cut - 1]) - columns[1], 0)


def stretched_family(
    shape: tuple[int, int],
    period: int,
    step: int,
    hulls: IntArray,
    shorter: Callable[[int], Relation],
    shortest: int = 0,
) -> Relation | None:
    """A relation of `shape` (rows, columns) from a shorter one of its kind; None where that does not tell.

    `shorter(times)` is the relation with `times` periods less, for as long as `shortest` columns are left, and
    `hulls` what the rows `0 .. period - 1` read on an unbounded axis, int64[period, 2], reversed where nothing.
    """
    used = hulls[:, 0] < hulls[:, 1]
    if step <= 0 or not used.any():
        return None
    low, high = int(hulls[used, 0].min()), int(hulls[used, 1].max())
    margin = 3 + -(-(high - low) // step)
    # The turns that read only inside, from the first behind the padding to the last before it.
    first, last = max(-(low // step), 0), min(shape[0] // period, (shape[1] - high) // step + 1)
    times = min(last - first - 4 * margin, (shape[1] - shortest) // step)
    if times < 1:
        return None
    core = shorter(times)
    turn = first + 2 * margin
    rows = np.arange(turn * period, (turn + 1) * period)
    found = core.hulls[rows] - turn * step
    if not np.array_equal(found[used], hulls[used]) or core.counts[rows][~used].any():
        return None
    return stretched(core, (turn + 1) * period, period, step, times)
