"""Products of lengths: functions of one length that are polynomials from some length on, for each rest by itself.

Attention has as many scores as the square of its positions, and whatever runs it compares such numbers. They are exact,
as lengths are; what has no squares any more is a length again.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from fastrf.errors import LimitError
from fastrf.queries.sizes.lengths import FARTHEST, Length, NonLinearError, Number, Places, length

__all__ = ["Polynomial", "Power", "chosen", "computed", "is_least", "is_same"]

IntArray = npt.NDArray[np.int64]
#: Tables may not be longer, and values not larger.
MAX_TABLE, MAX_VALUE = 1 << 17, float(1 << 62)


@dataclass(frozen=True, eq=False)
class Polynomial:
    """Values up to `first`, and of as many periods after it as tell the rest: one more than the degree."""

    first: int
    period: int
    values: IntArray

    @property
    def degree(self) -> int:
        """The highest power."""
        return (len(self.values) - self.first) // self.period - 1

    def differences(self, rounds: int = 0) -> IntArray:
        """The value after some periods and its differences of every order, a row each, for each rest."""
        n = self.first + np.arange((self.degree + 1) * self.period) + rounds * self.period
        rows = (self.at(n) if rounds else self.values[self.first :]).reshape(-1, self.period)
        return np.array([np.diff(rows, order, axis=0)[0] for order in range(len(rows))])

    def at(self, n: IntArray) -> IntArray:
        """Values at some lengths, by Newton's forward differences. Raises LimitError for very large ones."""
        rest, rounds = (n - self.first) % self.period, np.maximum(n - self.first, 0) // self.period
        found, times = np.zeros(n.shape, np.int64), np.ones(n.shape, np.int64)
        for order, row in enumerate(self.differences()):
            _require_small(times, row)
            found, times = found + times * row[rest], times * (rounds - order) // (order + 1)
        return np.where(n < self.first, self.values[np.minimum(n, len(self.values) - 1)], found)


Power: TypeAlias = Length | Polynomial


def _require_small(one: IntArray, other: IntArray) -> None:
    if float(np.abs(one).max(initial=0)) * float(np.abs(other).max(initial=0)) > MAX_VALUE:
        raise LimitError("numbers beyond 2**62 are made of the size; give a smaller input_shape")


def _parts(value: Number | Polynomial) -> tuple[Power, int, int, int]:
    """A value, where it repeats from and after how many, and its degree."""
    if isinstance(value, Polynomial):
        return value, value.first, value.period, value.degree
    a = length(value)
    return a, a.first_repeated, a.period, int(a.steps.any())


def _made(first: int, period: int, values: IntArray) -> Power:
    """A function by its values: a length where it has no squares."""
    found = Polynomial(first, period, values)
    rows = found.differences()
    degree = max((order for order, row in enumerate(rows) if row.any()), default=0)
    if degree > 1:
        return Polynomial(first, period, values[: first + (degree + 1) * period])
    return Length(values[: first + period], rows[1] if degree else np.zeros(period, np.int64))


def _table(a: Number | Polynomial, b: Number | Polynomial, degree: int, times: int = 1) -> tuple[int, int, Any, Any]:
    (a, first, period, _), (b, first_b, period_b, _) = _parts(a), _parts(b)
    first, period = max(first, first_b), math.lcm(period, period_b) * times
    if first + period * (degree + 1) > MAX_TABLE:
        raise NonLinearError("a product of lengths that repeats late")
    n = np.arange(first + period * (degree + 1))
    return first, period, a.at(n), b.at(n)


def computed(name: str, a: Number | Polynomial, b: Number | Polynomial) -> Power:
    """`add`, `sub`, `mul`, `floordiv` or `mod`. Raises NonLinearError for a quotient that is no such function."""
    high, low = _parts(a)[3], _parts(b)[3]
    if name == "mod":
        return computed("sub", a, computed("mul", computed("floordiv", a, b), b))
    if name == "floordiv":
        return _quotient(a, b, high)
    first, period, x, y = _table(a, b, high + low if name == "mul" else max(high, low))
    if name == "mul":
        _require_small(x, y)
    return _made(first, period, ARRAYS[name](x, y))


def _quotient(a: Number | Polynomial, b: Number | Polynomial, degree: int) -> Power:
    """A quotient without a rest, or by a number, or of lengths; where the divisor is 0, by 1."""
    first, period, x, y = _table(a, b, degree + 1)
    zeros = np.flatnonzero(y == 0)
    start = max(first, int(zeros[-1]) + 1 if zeros.size else 0)  # where all divisors begin
    y = np.where(y == 0, 1, y)
    if not (x % y).any() and start <= first + period:
        found = _made(start, period, (x // y)[: start + (degree + 1) * period])
        if (is_same(computed("mul", found, b), a) | is_same(b, 0)).inside.all():
            return found
    if isinstance(a, int | Length) and isinstance(b, int | Length):
        return length(a) // b
    if not isinstance(b, int) or b < 1:
        raise NonLinearError("a quotient of products")
    first, period, x, y = _table(a, b, degree, b * math.factorial(degree))
    return _made(first, period, x // y)


def chosen(where: Places, a: Number | Polynomial, b: Number | Polynomial) -> Power:
    """One function in a set, another elsewhere."""
    inside = Length(where.inside.astype(np.int64), np.zeros(where.period, np.int64))
    return computed("add", computed("mul", inside, a), computed("mul", computed("sub", 1, inside), b))


def is_least(a: Number | Polynomial, b: Number | Polynomial) -> Places:
    """Where one function is not more than another."""
    found = computed("sub", b, a)
    if isinstance(found, Length):
        return found >= 0
    rounds = 1  # from where on no difference changes its sign
    while True:
        rows = found.differences(rounds)
        up, down = (rows >= 0).all(axis=0), (rows[0] < 0) & (rows <= 0).all(axis=0)
        if (up | down).all():
            break
        rounds *= 2
        if rounds * found.period > FARTHEST:
            raise NonLinearError("products of lengths that are compared late")
    return Places(found.at(np.arange(found.first + (rounds + 1) * found.period)) >= 0, found.period)


def is_same(a: Number | Polynomial, b: Number | Polynomial) -> Places:
    """Where two functions are the same."""
    return is_least(a, b) & is_least(b, a)


#: What makes a number of two, as NumPy has it.
ARRAYS: dict[str, Callable[[Any, Any], Any]] = {
    "add": np.add,
    "sub": np.subtract,
    "mul": np.multiply,
    "floordiv": lambda a, b: a // np.where(np.equal(b, 0), 1, b),
    "mod": lambda a, b: a % np.where(np.equal(b, 0), 1, b),
}
