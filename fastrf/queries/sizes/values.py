"""What a program computes of one length, operation by operation: whole numbers, real ones and truths, all exact.

Whole numbers are lengths or products of them, real ones quotients with what double precision makes of them, and truths
the sets of lengths for which they hold.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Callable
from fractions import Fraction
from typing import Any, NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt

from fastrf.queries.sizes.lengths import Length, NonLinearError, Places, identity, length
from fastrf.queries.sizes.polynomials import ARRAYS, Polynomial, chosen, computed, is_least, is_same

__all__ = ["LIMIT", "Real", "Unread", "UnreadError", "Value", "Values"]

#: Where rounding is compared with what double precision gives.
_LOOKED_AT = np.arange(1, 1 << 16)
#: What is neither a length nor a product of them is looked at below this.
LIMIT = 1 << 12
_EVERYWHERE, _HUGE = Places.between(0), 1 << 50


class UnreadError(Exception):
    """A value that is not known for all lengths."""


class Real(NamedTuple):
    """A quotient of a length and a number, and what double precision makes of it."""

    over: Length
    under: int
    floats: npt.NDArray[np.float64]

    def rounded(self, *, up: bool = False) -> Length:
        """The floor or the ceiling. Raises UnreadError where double precision has another."""
        found = -(-self.over // self.under) if up else self.over // self.under
        if (found.at(_LOOKED_AT) != (np.ceil if up else np.floor)(self.floats)).any():
            raise UnreadError("rounding of a real number is not as exact arithmetic has it")
        return found


class Unread(NamedTuple):
    """What is not known, which is no matter until somebody asks for it."""

    told: str


Value: TypeAlias = int | float | Length | Polynomial | Real | Places | Unread


class Values:
    """The values of one run. Equal ones are one object, and nothing is computed twice.

    `known` holds the lengths for which they are right: below LIMIT where an operation gives no function of ours.
    """

    def __init__(self) -> None:
        self.known, self.size = Places.between(1), identity()
        self._values: dict[object, Value] = {}
        self._made: dict[tuple[object, ...], Value] = {}

    def of(self, name: str, *values: Value) -> Value:
        """What an operation makes of values. Raises LimitError for very large tables."""
        key = (name, *((type(value), value if isinstance(value, int | float) else id(value)) for value in values))
        if key not in self._made:
            unread = next((value for value in values if isinstance(value, Unread)), None)
            try:
                found = unread or self._computed(name, values)
            except UnreadError as error:
                found = Unread(str(error))
            self._made[key] = self._values.setdefault(_key(found), found)
        return self._made[key]

    def _computed(self, name: str, values: tuple[Value, ...]) -> Value:
        if name in _COMPARED:  # 2**63 - 1 stands for no end
            values = tuple(max(min(v, _HUGE), -_HUGE) if isinstance(v, int) else v for v in values)
        if name not in _OPERATIONS and name not in ARRAYS:
            raise UnreadError(f"{name} of a size")
        if any(isinstance(value, float | Real) for value in values):
            return _of_reals(name, [_real(value) for value in values])
        if name in _OPERATIONS:
            return _OPERATIONS[name](*values)
        try:
            return computed(name, *values)  # type: ignore[arg-type]
        except NonLinearError:
            n = np.arange(LIMIT)
            one, other = (np.int64(value) if isinstance(value, int) else value.at(n) for value in values)  # type: ignore[union-attr]
            self.known = self.known & Places.between(1, LIMIT)
            return Length(np.broadcast_to(ARRAYS[name](one, other), LIMIT).copy(), np.zeros(1, np.int64))


def _key(value: Value) -> object:
    if isinstance(value, Length):
        return ("length", value.values.tobytes(), value.steps.tobytes())
    if isinstance(value, Places):
        return ("places", value.inside.tobytes(), value.period)
    if isinstance(value, Polynomial):
        return ("polynomial", value.first, value.period, value.values.tobytes())
    return ("real", id(value)) if isinstance(value, Real) else (type(value), value)


def _whole(value: Any) -> Length:
    if isinstance(value, Polynomial):
        raise UnreadError("a real number of a product of sizes")
    return length(value)


def _real(value: Value) -> Real:
    if isinstance(value, Real):
        return value
    if isinstance(value, float):
        if not math.isfinite(value):
            raise UnreadError(f"{value} beside a size")
        near = next((f for k in (10, 30) if float(f := Fraction(value).limit_denominator(1 << k)) == value), None)
        near = near or Fraction(value).limit_denominator(1 << 30)
        return Real(length(near.numerator), near.denominator, np.full(_LOOKED_AT.size, value))
    whole = _whole(value)
    return Real(whole, 1, whole.at(_LOOKED_AT).astype(float))


def _of_reals(name: str, parts: list[Real]) -> Value:
    """What is made of real numbers, as double precision makes it."""
    if name not in _OF_REALS:
        raise UnreadError(f"{name} of a real number")
    return _OF_REALS[name](*parts)


def _sum(a: Real, b: Real, sign: int = 1) -> Real:
    under = math.lcm(a.under, b.under)
    over = a.over * (under // a.under) + b.over * (under // b.under) * sign
    return Real(over, under, a.floats + sign * b.floats)


def _product(a: Real, b: Real) -> Real:
    return Real(a.over * b.over, a.under * b.under, a.floats * b.floats)


def _over(a: Real, b: Real) -> Real:
    if len(b.over.values) > 1 or b.over.steps.any() or b.over.values[0] <= 0:
        raise UnreadError("a quotient of real numbers")
    return Real(a.over * b.under, a.under * int(b.over.values[0]), a.floats / b.floats)


def _truncated(a: Real) -> Length:
    if (a.floats < 0).any():
        raise UnreadError("rounding towards 0")
    return a.rounded()


def _compared(holds: Callable[[Any, Any], Places], floats: Callable[[Any, Any], Any]) -> Callable[[Real, Real], Places]:
    """A comparison of real numbers. Raises UnreadError where double precision has another answer."""

    def compare(a: Real, b: Real) -> Places:
        found = holds(a.over * b.under, b.over * a.under)
        if (found.at(_LOOKED_AT) != floats(a.floats, b.floats)).any():
            raise UnreadError("rounding of a real number is not as exact arithmetic has it")
        return found

    return compare


_COMPARED: dict[str, Callable[[Any, Any], Places]] = {
    "eq": is_same,
    "ne": lambda a, b: ~is_same(a, b),
    "ge": lambda a, b: is_least(b, a),
    "le": is_least,
    "gt": lambda a, b: ~is_least(a, b),
    "lt": lambda a, b: ~is_least(b, a),
}
_OF_REALS: dict[str, Callable[..., Value]] = {
    "add": _sum,
    "sub": lambda a, b: _sum(a, b, -1),
    "mul": _product,
    "truediv": _over,
    "floor": lambda a: a.rounded(),
    "ceil": lambda a: a.rounded(up=True),
    "trunc": _truncated,
    "neg": lambda a: Real(-a.over, a.under, -a.floats),
    "real": lambda a: a,
    **{name: _compared(holds, getattr(operator, name)) for name, holds in _COMPARED.items()},
}


def _truth(value: Any) -> Places:
    return value if isinstance(value, Places) else _EVERYWHERE if value else ~_EVERYWHERE


_OPERATIONS: dict[str, Callable[..., Value]] = {
    **_COMPARED,
    "and": lambda a, b: _truth(a) & _truth(b),
    "or": lambda a, b: _truth(a) | _truth(b),
    "not": lambda a: ~_truth(a),
    "neg": lambda a: computed("sub", 0, a),
    "max": lambda a, b: chosen(is_least(b, a), a, b),
    "min": lambda a, b: chosen(is_least(a, b), a, b),
    "choose": lambda where, a, b: chosen(_truth(where), a, b),
    "truediv": lambda a, b: _over(_real(a), _real(b)),
    "real": _real,
    **dict.fromkeys(("floor", "ceil", "trunc"), lambda a: a),
}
