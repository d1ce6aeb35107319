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

from fastrf.frontends.lowering import Known, Value, compressed
from fastrf.frontends.masking import offset, shifted
from fastrf.frontends.torch.arguments import bound, fake_shape, operator_name, short_name

if TYPE_CHECKING:
    from fastrf.frontends.torch.walk import Walk

__all__ = ["JOINS", "MOVES", "computed", "moved", "table_of", "with_added"]

#: Operators that put constants beside, or in the place of, what the input reaches.
JOINS = frozenset(
    f"aten::{name}"
    for name in (
        *("cat", "concat", "concatenate", "stack", "where", "masked_fill", "copy", "slice_scatter", "select_scatter"),
        *("index_put", "_unsafe_index_put", "index_copy", "index_add", "scatter", "scatter_add", "tril", "triu"),
    )
)

_TRIANGLES = ("aten::tril", "aten::triu")

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


#: Operators whose rules keep what constants add to their first argument.
_KEEPS = frozenset(
    f"aten::{name}"
    for name in (
        *("alias", "clone", "contiguous", "detach", "dropout", "lift_fresh_copy", "lift_fresh", "to", "_to_copy"),
        *("type_as", "float", "double", "half", "view", "reshape", "_unsafe_view", "_reshape_alias", "unflatten"),
        *("flatten", "squeeze", "unsqueeze", "reshape_as", "view_as", "ravel", "view_copy", "expand", "expand_as"),
        *("broadcast_to", "expand_copy", "permute", "transpose", "t", "swapaxes", "swapdims", "movedim", "numpy_T"),
        *("mT", "adjoint", "permute_copy", "moveaxis"),
    )
)

#: Operators of numbers at one place, as `masking.offset` names them.
_KINDS = {
    **{"add": "add", "sub": "sub", "mul": "mul", "multiply": "mul", "div": "div", "divide": "div"},
    **{"subtract": "sub", "true_divide": "div", "maximum": "maximum", "minimum": "minimum", "max": "maximum"},
    **{"min": "minimum", "fmax": "maximum", "fmin": "minimum", "clamp_min": "maximum", "clamp_max": "minimum"},
}


def with_added(walk: Walk, node: Node, result: Value) -> Value:
    """The result with what constants add to it, for a softmax that may read it."""
    name = operator_name(node)
    if name in _KEEPS or not node.meta["val"].is_floating_point():
        return result
    return shifted(walk, result, moved(walk, node, "added") if name in MOVES else _added(walk, node))


def _added(walk: Walk, node: Node) -> Known | None:
    """What constants add to the result of an operator between elements."""
    name, a = short_name(node), bound(node) if isinstance(node.target, torch._ops.OpOverload) else {}
    if name in ("addmm", "baddbmm", "addbmm", "addmv"):
        base = _operand(walk, a["self"])
        return offset("mul", [base, (np.asarray(float(a["beta"])), np.zeros(()))])
    if name in ("clamp", "clip"):
        low, high = (_operand(walk, a[key]) if a[key] is not None else None for key in ("min", "max"))
        found = _operand(walk, a["self"])
        for edge, kind in ((low, "maximum"), (high, "minimum")):
            found = found if edge is None else (np.full((), np.nan), offset(kind, [found, edge]))
        return found[1]
    first, second = a.get("self"), a.get("other", a.get("min", a.get("max")))
    if name not in _KINDS or second is None:
        return None
    operands = [_operand(walk, first), _operand(walk, second)]
    if a.get("alpha", 1) != 1:
        operands[1] = (operands[1][0] * float(a["alpha"]), None)
    return offset(_KINDS[name], operands)


def _operand(walk: Walk, argument: Any) -> tuple[Known, Known | None]:
    """What is known of an argument, and what is added to it."""
    value = walk.value(argument)
    return table_of(walk, argument), None if value is None else value.added


def moved(walk: Walk, node: Node, kind: str = "known") -> Any:
    """What is known of (or `added` to) the result, or each of several, where an operator moves elements; or None."""
    fake = node.meta["val"]
    if not all(t.is_floating_point() for t in (fake if isinstance(fake, list | tuple) else [fake])):
        return None
    sources = node.all_input_nodes
    tables = {n: getattr(value, kind) for n in sources if (value := walk.value(n)) is not None}
    joins = any(walk.value(n) is None and not walk.has_parameters(n) for n in sources)
    name, known = operator_name(node), kind == "known"
    fresh = known and (name in _TRIANGLES or (name in JOINS and joins))
    if not fresh and all(table is None for table in tables.values()):
        return None
    if any(not n.meta["val"].is_floating_point() for n in tables):
        return None
    blank = np.nan if known else 0.0

    def table(argument: Node) -> Any:
        full = fake_shape(argument)
        found = tables.get(argument)
        if argument not in tables and not walk.has_parameters(argument):
            constant = walk.constant(argument)
            if known or not constant.is_floating_point():
                return constant.detach().cpu().double() if constant.is_floating_point() else constant.cpu()
        return torch.from_numpy(np.full((1,) * len(full), blank) if found is None else found.copy()).expand(full)

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
