"""Lengths of axes as functions of one input length, and sets of input lengths, both exact.

A chain of layers makes of a length `n` what repeats: from some `n` on, `f(n + period)` is `f(n)` plus a step that
depends on `n` modulo the period alone. Sums, differences, divisions and choices of such functions are such functions,
and where two of them are equal is a set that repeats. Shape rules and what PyTorch is run with compute with them.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from fastrf.errors import LimitError

__all__ = [
    "FARTHEST",
    "Length",
    "NonLinearError",
    "Number",
    "Places",
    "choose",
    "identity",
    "is_fixed",
    "larger",
    "length",
]

IntArray = npt.NDArray[np.int64]
BoolArray = npt.NDArray[np.bool_]

#: Nothing is said of longer axes: what changes after that is taken not to change.
FARTHEST = 1 << 20
#: A start and a period may not be longer in all.
MAX_TABLE = 1 << 21


class Places:
    """A set of whole numbers from 0 on: `inside[n]` up to the table's end, then its last `period` entries repeat."""

    __slots__ = ("inside", "period")

    def __init__(self, inside: BoolArray, period: int) -> None:
        first = len(inside) - period
        period = _shortest(period, lambda k: bool((inside[first : first + period - k] == inside[first + k :]).all()))
        same = inside[: len(inside) - period] == inside[period:]
        first = len(same) - int(np.argmin(same[::-1])) if not same.all() else 0
        self.inside, self.period = inside[: first + period], period

    @property
    def first_repeated(self) -> int:
        """Where the repetition begins."""
        return len(self.inside) - self.period

    def at(self, n: IntArray) -> BoolArray:
        """Whether numbers are in the set."""
        return self.inside[_folded(n, self.first_repeated, self.period)]

    def holds(self, n: int) -> bool:
        """Whether one number is in the set."""
        return bool(self.at(np.array([n]))[0])

    def _with(self, other: Places, function: Callable[[Any, Any], Any]) -> Places:
        period, first = _common(self.period, other.period, self.first_repeated, other.first_repeated)
        n = np.arange(first + period)
        return Places(function(self.at(n), other.at(n)), period)

    def __and__(self, other: Places) -> Places:
        return self._with(other, np.logical_and)

    def __or__(self, other: Places) -> Places:
        return self._with(other, np.logical_or)

    def __invert__(self) -> Places:
        return Places(~self.inside, self.period)

    @property
    def is_empty(self) -> bool:
        """Whether nothing is in the set."""
        return not self.inside.any()

    @property
    def first(self) -> int | None:
        """The smallest number; None of the empty set."""
        return None if self.is_empty else int(np.argmax(self.inside))

    @classmethod
    def between(cls, start: int, stop: int | None = None) -> Places:
        """All numbers from `start` to before `stop`."""
        inside = np.arange(max(start if stop is None else stop, start) + 1) >= start
        inside[-1] = stop is None
        return cls(inside, 1)


class Length:
    """A function of one length: `values[n]` up to the table's end, then `f(n + period) = f(n) + step`."""

    __slots__ = ("period", "steps", "values")

    def __init__(self, values: IntArray, steps: IntArray) -> None:
        self.values, self.steps, self.period = values, steps, len(steps)
        self._shorten()

    def _shorten(self) -> None:
        """The shortest table that says the same."""
        first, old, values, steps = self.first_repeated, self.period, self.values, self.steps

        def repeats(k: int) -> bool:
            part, step = steps.reshape(-1, k), values[first : first + k]
            per = part[0] * k // old if not (part[0] * k % old).any() else None
            rows = np.arange(old // k)[:, None]
            return per is not None and bool(
                (part == part[0]).all() and (values[first:].reshape(-1, k) == step + rows * per).all()
            )

        period = _shortest(old, repeats)
        steps = steps[:period] * period // old
        ahead = values[:first] + np.roll(steps, 0)[(np.arange(first) - first) % period] if first else values[:0]
        wide = np.concatenate([values, self._beyond(len(values), period)]) if first else values
        wrong = np.flatnonzero(ahead != wide[period : period + first]) if first else ahead
        start = int(wrong[-1]) + 1 if wrong.size else 0
        self.values, self.period = values[: start + period], period
        self.steps = steps[(np.arange(start, start + period) - first) % period]

    def _beyond(self, first: int, count: int) -> IntArray:
        return self.at(np.arange(first, first + count))

    @property
    def first_repeated(self) -> int:
        """Where the repetition begins."""
        return len(self.values) - self.period

    def at(self, n: IntArray) -> IntArray:
        """Values at some lengths."""
        first = self.first_repeated
        rounds = np.maximum(n - first, 0) // self.period
        return np.asarray(self.values[_folded(n, first, self.period)] + rounds * self._steps_at(n))

    def of(self, n: int) -> int:
        """The value at one length."""
        return int(self.at(np.array([n]))[0])

    def _steps_at(self, n: IntArray) -> IntArray:
        return self.steps[(n - self.first_repeated) % self.period]

    def spread(self, first: int, period: int) -> tuple[IntArray, IntArray]:
        """Values and steps of a longer start and a multiple of the period."""
        n = np.arange(first + period)
        return self.at(n), self._steps_at(n[first:]) * (period // self.period)

    def __add__(self, other: Number) -> Length:
        return _combined(self, other, lambda a, b: a + b)

    def __radd__(self, other: int) -> Length:
        return self + other

    def __neg__(self) -> Length:
        return Length(-self.values, -self.steps)

    def __sub__(self, other: Number) -> Length:
        return self + -other

    def __rsub__(self, other: int) -> Length:
        return -self + other

    def __mul__(self, other: Number) -> Length:
        one, two, period = _aligned(self, length(other))
        (a, da), (b, db) = one, two
        if (da.astype(bool) & db.astype(bool)).any():
            raise NonLinearError("a product of two lengths")
        return Length(a * b, da * b[-period:] + db * a[-period:])

    def __rmul__(self, other: int) -> Length:
        return self * other

    def __floordiv__(self, other: Number) -> Length:
        return _divided(self, length(other))

    def __mod__(self, other: Number) -> Length:
        return self - (self // other) * length(other)

    def __ge__(self, other: Number) -> Places:
        return _positive(self - other)

    def __le__(self, other: Number) -> Places:
        return _positive(other - self)

    def __gt__(self, other: Number) -> Places:
        return _positive(self - other - 1)

    def __lt__(self, other: Number) -> Places:
        return _positive(other - self - 1)

    def equals(self, other: Number) -> Places:
        """Where both are the same."""
        return (self >= other) & (self <= other)


Number: TypeAlias = int | Length


class NonLinearError(ArithmeticError):
    """A function that is no `Length`, as a product of two."""


def length(value: Number) -> Length:
    """A number as a constant function."""
    return value if isinstance(value, Length) else Length(np.array([value], np.int64), np.zeros(1, np.int64))


def identity() -> Length:
    """The input's own length."""
    return Length(np.zeros(1, np.int64), np.ones(1, np.int64))


def is_fixed(value: Number) -> bool:
    """Whether a length is the same for every input."""
    return not isinstance(value, Length) or (len(value.values) == 1 and not value.steps.any())


def choose(where: Places, one: Number, other: Number) -> Length:
    """One function in a set, another elsewhere."""
    a, b = length(one), length(other)
    period, first = _common(math.lcm(a.period, b.period), where.period, where.first_repeated, 0)
    first = max(first, a.first_repeated, b.first_repeated)
    (va, sa), (vb, sb), n = a.spread(first, period), b.spread(first, period), np.arange(first + period)
    inside = where.at(n)
    return Length(np.where(inside, va, vb), np.where(inside[first:], sa, sb))


def larger(one: Number, other: Number) -> Number:
    """The larger of two lengths everywhere."""
    if isinstance(one, int) and isinstance(other, int):
        return max(one, other)
    return choose(length(one) >= other, one, other)


def _folded(n: IntArray, first: int, period: int) -> IntArray:
    return np.where(n < first, n, first + (n - first) % period)


def _shortest(period: int, repeats: Callable[[int], bool]) -> int:
    """The smallest divisor of a period that is one."""
    for prime in _primes(period):
        while period % prime == 0 and repeats(period // prime):
            period //= prime
    return period


def _primes(n: int) -> Sequence[int]:
    found, k = [], 2
    while n > 1:
        k = k if k * k <= n else n
        if n % k == 0:
            found.append(k)
            while n % k == 0:
                n //= k
        k += 1
    return found


def _common(period: int, other: int, first: int, other_first: int) -> tuple[int, int]:
    """A period and a start of both."""
    both, start = math.lcm(period, other), max(first, other_first)
    if both + start > MAX_TABLE:
        raise LimitError(f"sizes repeat after {both} only, more than {MAX_TABLE}; ask for a smaller network")
    return both, start


def _aligned(a: Length, b: Length) -> tuple[tuple[IntArray, IntArray], tuple[IntArray, IntArray], int]:
    period, first = _common(a.period, b.period, a.first_repeated, b.first_repeated)
    return a.spread(first, period), b.spread(first, period), period


def _combined(a: Length, b: Number, function: Callable[[IntArray, IntArray], IntArray]) -> Length:
    (va, sa), (vb, sb), _ = _aligned(a, length(b))
    return Length(function(va, vb), function(sa, sb))


def _positive(a: Length) -> Places:
    """Where a function is 0 or more."""
    last, step = a.values[-a.period :], a.steps
    with np.errstate(divide="ignore"):
        safe = np.where(step == 0, 1, step)
        rounds = np.where((step > 0) & (last < 0), -(last // safe), 0)
        rounds = np.where((step < 0) & (last >= 0), last // -safe + 1, rounds)
    far = np.where(rounds * a.period > FARTHEST, 0, rounds)  # what changes that late is taken not to change
    first = a.first_repeated + int(far.max(initial=0)) * a.period
    _common(1, a.period, first, 0)
    return Places(a.at(np.arange(first + a.period)) >= 0, a.period)


def _divided(a: Length, b: Length) -> Length:
    """The floor of a quotient; where the divisor is 0, of a quotient by 1."""
    (va, sa), (vb, sb), period = _aligned(a, b)
    if not sb.any():
        divisor = np.where(vb == 0, 1, vb)
        last = np.abs(divisor[-period:])
        times = math.lcm(*(last // np.gcd(sa, last)).tolist())
        period, first = _common(1, period * times, 0, len(va) - period)
        (va, sa), (vb, _) = a.spread(first, period), b.spread(first, period)
        divisor = np.where(vb == 0, 1, vb)
        return Length(va // divisor, sa // divisor[-period:])
    if (sb <= 0).any():
        raise NonLinearError("a quotient of two lengths")
    la, lb = va[-period:], vb[-period:]
    near = sa // sb  # what the quotient comes to, from above or below
    limit = np.where((sa == near * sb) & (la < near * lb), near - 1, near)
    first = len(va) - period
    for rest, growth in ((la - limit * lb, sa - limit * sb), ((limit + 1) * lb - la - 1, (limit + 1) * sb - sa)):
        stable = np.where((rest < 0) & (growth > 0), -(rest // np.maximum(growth, 1)), 0)
        first = max(first, len(va) - period + int(stable.max()) * period)
    first += period * int(max(0, np.ceil((1 - lb) / sb).max()))
    _common(1, period, first, 0)
    (va, _), (vb, _) = a.spread(first, period), b.spread(first, period)
    return Length(va // np.where(vb == 0, 1, vb), np.zeros(period, np.int64))
