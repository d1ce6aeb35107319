"""Users' rules for operators of foreign graphs: their arguments as layers have them, their results as graphs do."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from inspect import Parameter
from typing import Any

from fastrf.errors import FastRFError, NetworkError, UnsupportedOpError
from fastrf.frontends.lowering import GraphWalk, Value
from fastrf.ops import frozen
from fastrf.ops.rules import FOLDED, RESULT, Rule

__all__ = ["Table", "by_rule", "plain"]

Shape = tuple[int, ...]


@dataclass(frozen=True)
class Table:
    """A tensor that the input does not reach; `values` gives its numbers, None where they may be any."""

    full: Shape
    values: Callable[[], Any]


def by_rule(
    walk: GraphWalk, found: Rule, arguments: Sequence[tuple[str, Any]], fulls: Sequence[Shape | None] = ()
) -> tuple[list[Callable[[], Value]], bool]:
    """Results of an operator, made when read, and whether they are several; `fulls` are their shapes where known.

    `arguments` are names (or "") and a `Value`, a `Table`, a list of those, or a plain value each. Raises
    UnsupportedOpError or NetworkError where the rule does not fit them.
    """
    try:
        tensors, others = _bound(found, arguments)
        reached = [tensor for tensor in tensors if isinstance(tensor, Value)]
        batch = _batch(found, reached)
        more = {FOLDED: [isinstance(tensor, Value) for tensor in tensors]} if batch > 1 else {}
        attributes = dict(frozen({**others, **more}))
        inputs = [_input(walk, found, reached[0], tensor) for tensor in tensors]
        count = found.returned(attributes, [value.shape for value in inputs])
        if fulls and (count or 1) < len(fulls):
            raise NetworkError(f"it makes {count or 1} of {len(fulls)} tensors; return all of them")
    except FastRFError as error:
        raise type(error)(f"node {walk.node!r}: the rule for {found.name} does not fit: {error}") from error

    def make(number: int) -> Value:
        which: dict[str, Any] = {} if count is None else {RESULT: number}
        result = walk.emit(found.name, *inputs, **attributes, **which)
        full = result.shape if batch > 1 or found.batch is False else (1, *result.shape)
        wanted = fulls[number] if number < len(fulls) else None
        if wanted not in (None, full):
            made = f"a tensor of shape {full}, the operator one of {wanted}"
            raise NetworkError(f"node {walk.node!r}: the rule for {found.name} makes {made}; correct the rule")
        return walk.shaped(replace(result, full=full), full)

    return [partial(make, number) for number in range(1 if count is None else count)], count is not None


def _input(walk: GraphWalk, found: Rule, like: Value, tensor: Value | Table) -> Value:
    """A tensor without a batch of 1, or with all of its axes; a constant is whole, and depends on nothing."""
    if isinstance(tensor, Table):
        return walk.emit("constant", like, shape=list(tensor.full), full=tensor.full)
    return walk.spread(tensor) if found.batch is False else walk.shaped(tensor, tensor.full)


def _batch(found: Rule, reached: Sequence[Value]) -> int:
    """How many parts the batch in front of tensors has, each of which the rule is about."""
    sizes = {value.full[:1] for value in reached}
    if found.batch is False or sizes == {(1,)}:
        return 1
    if found.batch and len(sizes) == 1 and sizes != {()}:
        return next(iter(sizes))[0]
    shapes = ", ".join(str(value.full) for value in reached)
    if found.batch:
        raise UnsupportedOpError(f"tensors of shapes {shapes} have no common batch")
    raise UnsupportedOpError(
        f"the first axis of {shapes} is no batch of 1; say batch=True where it is a batch, or batch=False where there "
        "is none"
    )


def _bound(found: Rule, arguments: Sequence[tuple[str, Any]]) -> tuple[list[Value | Table], dict[str, Any]]:
    """Tensors in the order of parameters, and attributes: by name, then what has no parameter's name in order."""
    names = {p.name for p in found.parameters}
    named = {name: given for name, given in arguments if name in names}
    rest: list[Any] = []
    for name, given in arguments:
        if name not in names:
            rest += [None] if given is None and not name else _tensors(given)
    tensors: list[Value | Table] = []
    attributes: dict[str, Any] = {}
    for p in found.parameters:
        if p.kind is p.VAR_POSITIONAL:
            tensors, rest = [*tensors, *_tensors(named.get(p.name)), *rest], []
            continue
        by_position = p.kind is not p.KEYWORD_ONLY
        given = named.get(p.name, p.default)
        if p.name not in named and rest and (by_position or p.default is p.empty):
            given = rest.pop(0)
        if by_position and isinstance(given, Value | Table):
            tensors.append(given)
        elif given is not p.empty:
            attributes[p.name] = _plain(p, given)
    lost = [item for item in rest if isinstance(item, Value)]
    if lost:
        raise UnsupportedOpError(f"no parameter is left for the tensor of shape {lost[0].full} that the input reaches")
    if not any(isinstance(tensor, Value) for tensor in tensors):
        raise UnsupportedOpError("no parameter takes a tensor that the input reaches")
    return tensors, attributes


def _tensors(given: Any) -> list[Value | Table]:
    """The tensors of an argument."""
    items = given if isinstance(given, list | tuple) else [given]
    return [item for item in items if isinstance(item, Value | Table)]


def _plain(parameter: Parameter, given: Any) -> Any:
    """A plain value, or the values of a constant."""
    values = given.values() if isinstance(given, Table) else given
    if isinstance(values, Value) or (values is None and isinstance(given, Table)):
        raise UnsupportedOpError(f"{parameter.name!r} wants values, but the input or training changes them")
    if _tensors(values):
        raise UnsupportedOpError(f"{parameter.name!r} is a list of tensors; take them as *{parameter.name}")
    return plain(values)


def plain(value: Any) -> Any:
    """Numbers, texts, truth values and lists of them as JSON has them; all else as text."""
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    if isinstance(value, list | tuple | dict):
        return [plain(item) for item in (value.values() if isinstance(value, dict) else value)]
    return plain(value.tolist()) if hasattr(value, "tolist") else str(value)
