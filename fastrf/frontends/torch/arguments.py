"""A captured node: its operator's name, its arguments by the names of the operator's schema, its shape."""

from __future__ import annotations

from typing import Any

import torch
from torch.fx import Node

from fastrf.errors import UnsupportedOpError
from fastrf.frontends.torch.names import plain_name

__all__ = ["bound", "fake_shape", "first_only", "for_each", "operator_name", "short_name"]


def bound(node: Node) -> dict[str, Any]:
    """Every argument by its name, defaults filled in."""
    assert isinstance(node.target, torch._ops.OpOverload)
    values = _of(node.target)[2]
    return {**values, **dict(zip(values, node.args, strict=False)), **node.kwargs}


#: Of overloads, which stay alive while they stand here, by their places in memory: themselves, the name in tables, and
#: arguments with defaults.
_ABOUT: dict[int, tuple[Any, str, dict[str, Any]]] = {}


def _of(overload: Any) -> tuple[Any, str, dict[str, Any]]:
    found = _ABOUT.get(id(overload))
    if found is None:
        schema = overload._schema
        values = {a.name: a.default_value if a.has_default_value() else None for a in schema.arguments}
        found = _ABOUT[id(overload)] = overload, plain_name(schema.name), values
    return found


def fake_shape(node: Any) -> tuple[int, ...]:
    """The full shape of a node's result."""
    value = node.meta["val"]
    shape = value.shape
    if type(value) is not torch.Tensor and not all(isinstance(n, int) for n in shape):
        raise UnsupportedOpError(f"node {node.name!r}: its shape {tuple(shape)} depends on values; use fixed indices")
    return tuple(shape)


def for_each(node: Node, result: Any) -> Any:
    """A result for each that the node has, all of them reading the same."""
    several = node.meta["val"]
    return [result] * len(several) if isinstance(several, tuple | list) else result


def first_only(node: Node, result: Any) -> Any:
    """The first result of a node that may have others, of which no rule knows anything."""
    return [result] if isinstance(node.meta["val"], tuple | list) else result


def operator_name(node: Node) -> str:
    """The operator as users write it, without overload, such as "aten::conv2d"."""
    target = node.target
    if isinstance(target, torch._ops.OpOverload):
        return target._schema.name
    return getattr(target, "__name__", str(target))


def short_name(node: Node) -> str:
    """The operator as rules and tables name it, such as "conv2d" (see `names`)."""
    if isinstance(node.target, torch._ops.OpOverload):
        return _of(node.target)[1]
    return plain_name(operator_name(node))
