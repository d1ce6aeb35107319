"""The registry of operators: a name, a function on symbolic tensors, and the attributes it takes."""

from __future__ import annotations

import difflib
import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from fastrf.engine.recipe import Recipe, Tensor, record
from fastrf.errors import FastRFError, NetworkError, UnsupportedOpError

__all__ = ["OPERATORS", "Operator", "apply", "frozen", "operator"]

OperatorFunction = Callable[..., Tensor]


@dataclass(frozen=True)
class Operator:
    """An operator: its function takes tensors by position and attributes by keyword, and returns a tensor."""

    name: str
    function: OperatorFunction
    min_inputs: int
    max_inputs: int | None
    attributes: tuple[str, ...]
    required: tuple[str, ...]
    flags: tuple[str, ...]


#: Every operator by name.
OPERATORS: dict[str, Operator] = {}


def operator(*names: str) -> Callable[[OperatorFunction], OperatorFunction]:
    """Register a function as one operator, or as several that depend alike."""

    def register(function: OperatorFunction) -> OperatorFunction:
        parameters = inspect.signature(function).parameters.values()
        inputs = [p for p in parameters if p.kind is p.POSITIONAL_OR_KEYWORD]
        attributes = [p for p in parameters if p.kind is p.KEYWORD_ONLY]
        n_ary = any(p.kind is p.VAR_POSITIONAL for p in parameters)
        for name in names or (function.__name__,):
            OPERATORS[name] = Operator(
                name,
                function,
                sum(p.default is p.empty for p in inputs) or int(n_ary),
                None if n_ary else len(inputs),
                tuple(p.name for p in attributes),
                tuple(p.name for p in attributes if p.default is p.empty),
                tuple(p.name for p in attributes if isinstance(p.default, bool)),
            )
        return function

    return register


def apply(
    name: str, attributes: Mapping[str, Any], shapes: Sequence[tuple[int, ...]], channel_axes: Sequence[int | None]
) -> Recipe:
    """Call an operator on symbolic inputs and return what it does.

    Raises UnsupportedOpError for an unknown name and NetworkError (ShapeError) for what does not fit.
    """
    try:
        plain = frozen(attributes)
        return _apply(name, plain, _types(plain), tuple(shapes), tuple(channel_axes))
    except FastRFError:
        raise
    except (TypeError, ValueError, LookupError, AttributeError, ArithmeticError, RecursionError) as error:
        wanted = ", ".join(attributes) or "none"
        raise NetworkError(f"an attribute ({wanted}) or a shape does not fit the operator ({_short(error)})") from error


@lru_cache(maxsize=1 << 14)
def _apply(
    name: str,
    attributes: tuple[tuple[str, Any], ...],
    types: tuple[Any, ...],  # makes 3, 3.0 and True different keys
    shapes: tuple[tuple[int, ...], ...],
    channel_axes: tuple[int | None, ...],
) -> Recipe:
    found = OPERATORS.get(name)
    if found is None:
        raise UnsupportedOpError(f"unknown operator {name[:80]!r}{_suggestion(name, OPERATORS)}")
    _check_inputs(found, len(shapes))
    _check_attributes(found, dict(attributes))
    tensors, notes = record(shapes, channel_axes)
    return notes.finish(found.function(*tensors, **dict(attributes)))


def _check_inputs(found: Operator, count: int) -> None:
    low, high = found.min_inputs, found.max_inputs
    if count < low or (high is not None and count > high):
        wanted = (
            f"{low} or more inputs" if high is None else f"{low} inputs" if low == high else f"{low} to {high} inputs"
        )
        raise NetworkError(f"it has {count} inputs but needs {wanted}; list them in 'inputs'")


def _check_attributes(found: Operator, given: Mapping[str, Any]) -> None:
    for attribute in given:
        if attribute not in found.attributes:
            known = ", ".join(found.attributes) or "none"
            raise NetworkError(f"unknown attribute {attribute!r}; it takes {known}")
    for attribute, value in given.items():
        if attribute in found.flags and not isinstance(value, bool):
            raise NetworkError(f"{attribute} must be true or false, not {value!r}")
    missing = [attribute for attribute in found.required if attribute not in given]
    if missing:
        raise NetworkError(f"attribute {missing[0]!r} is missing; give it a value")


def _suggestion(name: str, known: Mapping[str, object]) -> str:
    close = difflib.get_close_matches(name, known, n=3)
    return f"; did you mean {', '.join(close)}?" if close else "; fastrf.ops.OPERATORS lists the known ones"


def frozen(value: Any) -> Any:
    """Lists and mappings as tuples and NumPy's numbers as Python's, so that a recipe can be remembered by them."""
    if isinstance(value, Mapping):
        return tuple((key, frozen(item)) for key, item in value.items())
    if isinstance(value, list | tuple):
        return tuple(frozen(item) for item in value)
    if hasattr(value, "tolist"):
        return frozen(value.tolist())
    return value


def _types(value: Any) -> Any:
    return tuple(_types(item) for item in value) if isinstance(value, tuple) else type(value)


def _short(error: Exception) -> str:
    text = " ".join(str(error).split())
    return f"{type(error).__name__}: {text[:120]}" if text else type(error).__name__
