"""Arguments of a captured node, by the names of its operator's schema."""

from __future__ import annotations

from typing import Any

import torch
from torch.fx import Node

from fastrf.errors import UnsupportedOpError

__all__ = ["bound", "fake_shape", "operator_name", "short_name"]


def bound(node: Node) -> dict[str, Any]:
    """Every argument by its name, defaults filled in."""
    assert isinstance(node.target, torch._ops.OpOverload)
    values: dict[str, Any] = {}
    for position, argument in enumerate(node.target._schema.arguments):
        if position < len(node.args):
            values[argument.name] = node.args[position]
        else:
            values[argument.name] = node.kwargs.get(
                argument.name, argument.default_value if argument.has_default_value() else None
            )
    return values


def fake_shape(node: Any) -> tuple[int, ...]:
    """The full shape of a node's result."""
    shape = node.meta["val"].shape
    if not all(isinstance(n, int) for n in shape):
        raise UnsupportedOpError(f"node {node.name!r}: its shape {tuple(shape)} depends on values; use fixed indices")
    return tuple(shape)


def operator_name(node: Node) -> str:
    """The operator's name without overload, such as "aten::conv2d"."""
    target = node.target
    if isinstance(target, torch._ops.OpOverload):
        return target._schema.name
    return getattr(target, "__name__", str(target))


def short_name(node: Node) -> str:
    """The operator's name without namespace and overload, such as "conv2d"."""
    return operator_name(node).rpartition("::")[2]
