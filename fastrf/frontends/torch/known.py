"""Values that no input and no weight changes, followed through ATen operators.

Zeros and minus infinities decide what a product or a softmax reads. An operator's result is known where applying it to
tensors that hold NaN for all that is not known gives a number.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch
import torch.utils._pytree as pytree
from torch.fx import Node

from fastrf.frontends.lowering import Known, compressed
from fastrf.frontends.torch.arguments import fake_shape

if TYPE_CHECKING:
    from fastrf.frontends.torch.walk import Walk

__all__ = ["JOINS", "MOVES", "computed", "moved", "table_of"]

#: Operators that put constants beside, or in the place of, what the input reaches.
JOINS = frozenset(
    f"aten::{name}"
    for name in (
        *("cat", "concat", "concatenate", "stack", "where", "masked_fill", "copy", "slice_scatter", "select_scatter"),
        *("index_put", "_unsafe_index_put", "index_copy", "index_add", "scatter", "scatter_add", "tril", "triu"),
    )
)

#: Operators that only move elements; those that change no more than the shape look after themselves.
MOVES = JOINS | {
    f"aten::{name}"
    for name in (
        *("select", "slice", "slice_copy", "narrow", "flip", "roll", "repeat", "tile", "repeat_interleave"),
        *("split", "split_with_sizes", "chunk", "tensor_split", "unsafe_split", "unsafe_chunk", "unbind"),
        *("unsafe_split_with_sizes", "split_copy", "split_with_sizes_copy", "unbind_copy", "index_select", "unfold"),
        *("pixel_shuffle", "pixel_unshuffle", "channel_shuffle", "native_channel_shuffle"),
    )
}


def moved(walk: Walk, node: Node) -> Any:
    """What is known of the result, or of each of several, where an operator moves elements; None if nothing is."""
    fake = node.meta["val"]
    if not all(t.is_floating_point() for t in (fake if isinstance(fake, list | tuple) else [fake])):
        return None
    sources = node.all_input_nodes
    values = [value for value in map(walk.value, sources) if value is not None]
    joins = [n for n in sources if walk.value(n) is None and not walk.has_parameters(n)]
    name = str(node.target).split(".")[1]
    triangle = name in ("tril", "triu")
    if all(v.known is None for v in values) and not triangle and not (f"aten::{name}" in JOINS and joins):
        return None
    if any(not n.meta["val"].is_floating_point() for n in sources if walk.value(n) is not None):
        return None

    def table(argument: Node) -> Any:
        value = walk.value(argument)
        full = fake_shape(argument)
        if value is None and not walk.has_parameters(argument):
            found = walk.constant(argument)
            return found.detach().cpu().double() if found.is_floating_point() else found.cpu()
        known = None if value is None else value.known
        return torch.from_numpy(np.full((1,) * len(full), np.nan) if known is None else known.copy()).expand(full)

    arguments, named = pytree.tree_map_only(Node, table, (node.args, node.kwargs))
    assert callable(node.target)
    result = node.target(*arguments, **named)
    if isinstance(result, torch.Tensor):
        return compressed(result.double().numpy())
    return [compressed(one.double().numpy()) for one in result]


def table_of(walk: Walk, argument: Any) -> Known:
    """What is known of an argument, as a table broadcastable to it."""
    if not isinstance(argument, Node):
        return np.asarray(np.nan if argument is None else argument, np.float64)
    value = walk.value(argument)
    if value is not None:
        return np.full((1,) * len(value.full), np.nan) if value.known is None else value.known
    found = walk.known(argument)
    return np.full((1,) * len(fake_shape(argument)), np.nan) if found is None else found.astype(np.float64)


def computed(walk: Walk, node: Node) -> Known | None:
    """What is known of an operator's result that acts element by element."""
    if not node.meta["val"].is_floating_point():
        return None
    tables = [table_of(walk, n) for n in node.all_input_nodes]
    if all(np.isnan(t).all() for t in tables) and "pow" not in str(node.target) and 0 not in node.args:
        return None
    replaced = dict(zip(node.all_input_nodes, map(torch.from_numpy, tables), strict=True))
    arguments, named = pytree.tree_map_only(Node, lambda n: replaced[n], (node.args, node.kwargs))
    assert callable(node.target)
    result = node.target(*arguments, **named).double().numpy().copy()
    unknown = np.zeros((), bool)
    for table in tables:
        unknown = unknown | np.isnan(table)
    result[np.broadcast_to(unknown, result.shape)] = np.nan
    decided = _decided(walk, node)
    for value, where in decided:
        result[np.broadcast_to(where, result.shape)] = value
    return compressed(result)


def _decided(walk: Walk, node: Node) -> list[tuple[float, np.ndarray[Any, Any]]]:
    """Results that one operand alone decides, and where."""
    name = str(node.target).split(".")[1]
    if name not in ("add", "sub", "mul", "multiply", "div", "divide", "true_divide", "pow"):
        return []
    first, second = (table_of(walk, argument) for argument in node.args[:2])
    if name == "add":
        return [(-np.inf, np.isneginf(first) | np.isneginf(second))]
    if name == "sub":
        return [(-np.inf, np.isneginf(first) | np.isposinf(second))]
    if name == "pow":
        return [(1.0, second == 0)]
    if name in ("mul", "multiply"):
        return [(0.0, (first == 0) | (second == 0))]
    return [(0.0, first == 0)]
