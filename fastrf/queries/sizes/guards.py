"""Conditions on one whole number in SymPy's terms, as PyTorch notes them, as sets; and its expressions as lengths."""

from __future__ import annotations

import math
from collections.abc import Callable
from fractions import Fraction
from functools import reduce
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from fastrf.queries.sizes.lengths import Length, NonLinearError, Number, Places, choose, identity, larger, length

__all__ = ["LIMIT", "UnreadError", "number_of", "places_of"]

#: Where rounding is compared with what double precision gives.
_LOOKED_AT = np.arange(1, 1 << 16)
#: Conditions on products of lengths are not looked at beyond.
LIMIT = 1 << 12
_EVERYWHERE, _NOWHERE = Places.between(0), Places.between(0, 0)


class UnreadError(Exception):
    """An expression that is no length, or not known to be one."""


class Real(NamedTuple):
    """A quotient of a length and a number, and what double precision makes of it."""

    over: Length
    under: int
    floats: npt.NDArray[np.float64]

    def rounded(self, *, up: bool = False) -> Length:
        """The floor or the ceiling. Raises UnreadError where double precision has another."""
        found = -(-self.over // self.under) if up else self.over // self.under
        if (found.at(_LOOKED_AT) != (np.ceil if up else np.floor)(self.floats)).any():
            raise UnreadError("rounding")
        return found


def places_of(condition: Any) -> Places:
    """The numbers for which a condition holds; of one on products of lengths, those below LIMIT. Raises UnreadError."""
    try:
        return _places_of(condition)
    except NonLinearError:
        name = type(condition).__name__
        if name not in _COMPARED_FLOATS:
            raise UnreadError(name) from None
        inside = _COMPARED_FLOATS[name](*(_listed(arg, np.arange(LIMIT)) for arg in condition.args))
        return Places(np.append(np.broadcast_to(inside, LIMIT), False), 1)


def _places_of(condition: Any) -> Places:
    name, args = type(condition).__name__, list(getattr(condition, "args", ()))
    if name in ("BooleanTrue", "BooleanFalse", "bool"):
        return _EVERYWHERE if condition else _NOWHERE
    if name == "Not":
        return ~places_of(args[0])
    if name in ("And", "Or"):
        parts = map(places_of, args)
        return reduce(Places.__and__ if name == "And" else Places.__or__, parts)
    if name not in _COMPARED:
        raise UnreadError(name)
    one, other = map(_value, args)
    if isinstance(one, Real) or isinstance(other, Real):
        a, b = _real(one), _real(other)
        found = _COMPARED[name](a.over * b.under, b.over * a.under)
        if (found.at(_LOOKED_AT) != _COMPARED_FLOATS[name](a.floats, b.floats)).any():
            raise UnreadError("rounding")
        return found
    return _COMPARED[name](length(one), other)


_COMPARED: dict[str, Callable[[Length, Number], Places]] = {
    "Equality": lambda a, b: a.equals(b),
    "Unequality": lambda a, b: ~a.equals(b),
    "GreaterThan": lambda a, b: a >= b,
    "LessThan": lambda a, b: a <= b,
    "StrictGreaterThan": lambda a, b: a > b,
    "StrictLessThan": lambda a, b: a < b,
}
_COMPARED_FLOATS: dict[str, Callable[[Any, Any], Any]] = {
    "Equality": np.equal,
    "Unequality": np.not_equal,
    "GreaterThan": np.greater_equal,
    "LessThan": np.less_equal,
    "StrictGreaterThan": np.greater,
    "StrictLessThan": np.less,
}


def number_of(expression: Any) -> Number:
    """An expression of whole numbers. Raises UnreadError."""
    try:
        found = _value(expression)
    except NonLinearError as error:
        raise UnreadError(str(error)) from error
    if isinstance(found, Real):
        raise UnreadError("a real number")
    return found


def _value(expression: Any) -> Number | Real:
    """An expression by the name of its class, from its parts."""
    if isinstance(expression, int) or getattr(expression, "is_Integer", False):
        return int(expression)
    if getattr(expression, "is_Symbol", False):
        return identity()
    if (
        getattr(expression, "is_Float", False)
        or getattr(expression, "is_Rational", False)
        or isinstance(expression, float)
    ):
        return _constant(float(expression))
    name, args = type(expression).__name__, [_value(arg) for arg in expression.args]
    if any(isinstance(arg, Real) for arg in args) or name in _OF_REALS:
        return _of_reals(name, args)
    if name not in _OF_LENGTHS:
        raise UnreadError(name)
    return _OF_LENGTHS[name](*args)


def _ratio(base: Number, divisor: Number, modulus: Number) -> Number:
    return length(base) // divisor % modulus


def _power(base: Number, exponent: Number) -> Number:
    if not isinstance(exponent, int) or exponent < 0:
        raise UnreadError("a power")
    found: Number = 1
    for _ in range(exponent):
        found = found * base
    return found


def _smaller(one: Number, other: Number) -> Number:
    return choose(length(one) <= other, one, other)


_OF_LENGTHS: dict[str, Callable[..., Number]] = {
    "Add": lambda *args: reduce(lambda a, b: a + b, args),
    "Mul": lambda *args: reduce(lambda a, b: a * b, args),
    "Pow": _power,
    "PowByNatural": _power,
    **dict.fromkeys(("FloorDiv", "CleanDiv"), lambda a, b: length(a) // b),
    "CeilDiv": lambda a, b: -(-length(a) // b),
    **dict.fromkeys(("Mod", "PythonMod"), lambda a, b: length(a) % b),
    "ModularIndexing": _ratio,
    "Max": lambda *args: reduce(larger, args),
    "Min": lambda *args: reduce(_smaller, args),
    **dict.fromkeys(("Identity", "FloorToInt", "CeilToInt", "TruncToInt"), lambda a: a),
}

_OF_REALS = ("ToFloat", "IntTrueDiv", "FloatTrueDiv")


def _listed(expression: Any, n: npt.NDArray[np.int64]) -> Any:
    """An expression of whole numbers at some."""
    if isinstance(expression, int) or getattr(expression, "is_Integer", False):
        return int(expression)
    if getattr(expression, "is_Symbol", False):
        return n
    name, args = type(expression).__name__, [_listed(arg, n) for arg in expression.args]
    if name not in _OF_ARRAYS:
        raise UnreadError(name)
    return reduce(_OF_ARRAYS[name], args)


def _nonzero(divisor: Any) -> Any:
    return np.where(np.equal(divisor, 0), 1, divisor)


_OF_ARRAYS: dict[str, Callable[[Any, Any], Any]] = {
    "Add": lambda a, b: a + b,
    "Mul": lambda a, b: a * b,
    **dict.fromkeys(("Pow", "PowByNatural"), lambda a, b: a**b),
    **dict.fromkeys(("FloorDiv", "CleanDiv"), lambda a, b: a // _nonzero(b)),
    **dict.fromkeys(("Mod", "PythonMod"), lambda a, b: a % _nonzero(b)),
    "Max": np.maximum,
    "Min": np.minimum,
}


def _constant(value: float) -> Real:
    for limit in (1 << 10, 1 << 30):
        near = Fraction(value).limit_denominator(limit)
        if float(near) == value:
            break
    return Real(length(near.numerator), near.denominator, np.full(_LOOKED_AT.size, value))


def _real(value: Number | Real) -> Real:
    return value if isinstance(value, Real) else Real(length(value), 1, length(value).at(_LOOKED_AT).astype(float))


def _of_reals(name: str, args: list[Number | Real]) -> Number | Real:
    """What is made of real numbers, as double precision makes it."""
    parts = list(map(_real, args))
    if name in ("FloorToInt", "CeilToInt", "TruncToInt"):
        if name == "TruncToInt" and (parts[0].floats < 0).any():
            raise UnreadError("rounding towards 0")
        return parts[0].rounded(up=name == "CeilToInt")
    if name in ("ToFloat", "Identity"):
        return parts[0]
    operation = _ARITHMETIC.get(name)
    if operation is None:
        raise UnreadError(name)
    return reduce(operation, parts)


def _plus(a: Real, b: Real) -> Real:
    under = math.lcm(a.under, b.under)
    return Real(a.over * (under // a.under) + b.over * (under // b.under), under, a.floats + b.floats)


def _times(a: Real, b: Real) -> Real:
    return Real(a.over * b.over, a.under * b.under, a.floats * b.floats)


def _over(a: Real, b: Real) -> Real:
    if len(b.over.values) > 1 or b.over.steps.any() or b.over.values[0] <= 0:
        raise UnreadError("a quotient")
    return Real(a.over * b.under, a.under * int(b.over.values[0]), a.floats / b.floats)


_ARITHMETIC: dict[str, Callable[[Real, Real], Real]] = {
    "Add": _plus,
    "Mul": _times,
    "IntTrueDiv": _over,
    "FloatTrueDiv": _over,
}
