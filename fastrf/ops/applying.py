"""Operators applied: found by name, called on symbolic tensors, and remembered by what they were called with."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

from fastrf.engine.recipe import Recipe
from fastrf.errors import FastRFError, NetworkError, UnsupportedOpError, did_you_mean
from fastrf.ops.registry import OPERATORS, Attributes, Operator, Shape
from fastrf.ops.rules import RULES, load_packages
from fastrf.ops.truths import Truths, of_lists

__all__ = ["apply", "find", "frozen"]


def find(name: str) -> Operator:
    """The operator of a name: a user's rule, one of fastrf's own, or a package's rule. Raises UnsupportedOpError."""
    found = RULES.get(name) or OPERATORS.get(name)
    if found is None:
        load_packages()
        found = RULES.get(name)
    if found is None:
        hint = did_you_mean(name, [*RULES, *OPERATORS], "fastrf.ops.OPERATORS lists the known ones")
        raise UnsupportedOpError(f"unknown operator {name[:80]!r}; {hint}")
    return found


def apply(name: str, attributes: Attributes, shapes: Sequence[Shape], channel_axes: Sequence[int | None]) -> Recipe:
    """Call an operator on symbolic inputs and return what it does.

    Raises UnsupportedOpError for an unknown name and NetworkError (ShapeError) for what does not fit.
    """
    try:
        plain = frozen(attributes)
        return _apply(find(name), plain, repr(plain), tuple(shapes), tuple(channel_axes))
    except FastRFError:
        raise
    except (TypeError, ValueError, LookupError, AttributeError, ArithmeticError, RecursionError) as error:
        wanted, said = ", ".join(attributes) or "none", " ".join(str(error).split())[:120]
        short = f"{type(error).__name__}: {said}" if said else type(error).__name__
        raise NetworkError(f"an attribute ({wanted}) or a shape does not fit the operator ({short})") from error


@lru_cache(maxsize=1 << 14)
def _apply(
    found: Operator,  # a name that is registered again is another operator
    attributes: tuple[tuple[str, Any], ...],
    shown: str,  # makes 3, 3.0 and True different keys
    shapes: tuple[Shape, ...],
    channel_axes: tuple[int | None, ...],
) -> Recipe:
    return found.recipe(dict(attributes), shapes, channel_axes)


_PLAIN = frozenset((bool, int, float, str))


def frozen(value: Any) -> Any:
    """Lists and mappings as tuples and NumPy's numbers as Python's, so that a recipe can be remembered by them.

    Large tables of truths are one object each, known by its digest.
    """
    kind = type(value)
    if kind in _PLAIN or value is None or kind is Truths:
        return value
    if kind is dict or (kind is not list and kind is not tuple and isinstance(value, Mapping)):
        return tuple([(key, frozen(item)) for key, item in value.items()])
    if isinstance(value, list | tuple):
        if _PLAIN.issuperset(map(type, value)):
            return tuple(value)
        return of_lists(value) or tuple(frozen(item) for item in value)
    if hasattr(value, "tolist"):
        return frozen(value.tolist())
    return value
