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

from fastrf.frontends.hiding import settled
from fastrf.frontends.lowering import Known, Value, compressed
from fastrf.frontends.torch.arguments import bound, fake_shape, operator_name, short_name
from fastrf.frontends.torch.names import JOINS, ZERO_OF_ZEROS
from fastrf.frontends.vanishing import vanishing

if TYPE_CHECKING:
    from fastrf.frontends.torch.walk import Walk

__all__ = ["computed", "moved", "table_of", "with_zeros"]

#: Operators that put truths at places, which are not followed.
_PUTS = frozenset(name.removeprefix("aten::") for name in JOINS) - {"cat", "concat", "stack", "where", "masked_fill"}

#: Operators that make zeros of nothing.
_CREATES = frozenset(
    f"aten::{name}" for name in ("tril", "triu", "pad", "constant_pad_nd", "diag", "diag_embed", "block_diag", "im2col")
)


def moved(walk: Walk, node: Node, kind: str = "known") -> Any:
    """What is known of (or `added` to) the result, or each of several, where an operator moves elements; or None."""
    fake, name = node.meta["val"], short_name(node)
    several = fake if isinstance(fake, list | tuple) else [fake]
    truths = all(t.dtype == torch.bool for t in several)
    if not (truths and name not in _PUTS) and not all(t.is_floating_point() for t in several):
        return None
    if name in ("where", "masked_fill"):
        return _selected(walk, node, kind)
    known, sources = kind == "known", node.all_input_nodes
    tables: dict[Node, Known | None] = {}
    for n in sources:
        if (value := walk.value(n)) is not None:
            tables[n] = getattr(value, kind)
        elif walk.has_parameters(n):
            tables[n] = walk.decided(n) if known else None
    fresh = known and (operator_name(node) in _CREATES or (operator_name(node) in JOINS and len(tables) < len(sources)))
    if not fresh and all(table is None for table in tables.values()):
        return None
    if not all(n.meta["val"].is_floating_point() or (truths and n.meta["val"].dtype == torch.bool) for n in tables):
        return None

    def table(argument: Node) -> Any:
        found = tables.get(argument)
        if argument not in tables:
            constant = walk.constant(argument)
            number = constant.is_floating_point() or (truths and constant.dtype == torch.bool)
            if known or not number:
                return constant.detach().cpu().double() if number else constant.cpu()
        full = fake_shape(argument)
        blank = np.full((1,) * len(full), np.nan if known else 0.0)
        return torch.from_numpy(blank if found is None else found.copy()).expand(full)

    arguments, named = pytree.tree_map_only(Node, table, (node.args, node.kwargs))
    assert callable(node.target)
    result = node.target(*arguments, **named)
    if isinstance(result, torch.Tensor):
        return compressed(result.double().numpy())
    return [compressed(one.double().numpy()) for one in result]


def _selected(walk: Walk, node: Node, kind: str) -> Known | None:
    """The same of a choice between two, where its condition is known."""
    a = bound(node)
    condition, first, second = (
        (a["condition"], a["self"], a["other"]) if "condition" in a else (a["mask"], a["value"], a["self"])
    )

    def table(argument: Any) -> Known:
        value = walk.value(argument)
        if kind == "known":
            found = table_of(walk, argument)
        else:
            found = np.zeros(()) if value is None or value.added is None else value.added
        return found.reshape((1,) * (len(fake_shape(node)) - found.ndim) + found.shape)

    chosen = table_of(walk, condition)
    chosen = chosen.reshape((1,) * (len(fake_shape(node)) - chosen.ndim) + chosen.shape)
    blank = np.nan if kind == "known" else 0.0
    sides = table(first), table(second)
    open_ = np.where(sides[0] == sides[1], sides[0], blank)
    return compressed(np.where(np.isnan(chosen), open_, np.where(chosen == 0, sides[1], sides[0])))


def table_of(walk: Walk, argument: Any) -> Known:
    """What is known of an argument, as a table broadcastable to it."""
    if not isinstance(argument, Node):
        return np.asarray(np.nan if argument is None else argument, np.float64)
    value = walk.value(argument)
    if value is not None:
        found = value.known
    elif walk.has_parameters(argument):
        found = walk.decided(argument)
    else:
        found = walk.known(argument)
    return np.full((1,) * len(fake_shape(argument)), np.nan) if found is None else found.astype(np.float64)


def computed(walk: Walk, node: Node) -> Known | None:
    """What is known of an operator's result that acts element by element."""
    if node.meta["val"].dtype == torch.bool:
        return _truth(walk, node)
    if not node.meta["val"].is_floating_point():
        return None
    tables = [table_of(walk, n) for n in node.all_input_nodes]
    if all(np.isnan(t).all() for t in tables) and short_name(node) != "pow" and 0 not in node.args:
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


#: What one truth decides of a connective, whatever the other is.
_DECIDES = {
    **dict.fromkeys(("logical_and", "bitwise_and", "__and__", "mul", "multiply"), 0.0),
    **dict.fromkeys(("logical_or", "bitwise_or", "__or__"), 1.0),
}


def _truth(walk: Walk, node: Node) -> Known | None:
    """What is known of a connective of truths."""
    name = short_name(node)
    if name not in _DECIDES and name not in ("logical_not", "bitwise_not"):
        return None
    tables = [table_of(walk, argument) for argument in node.args[: 2 if name in _DECIDES else 1]]
    tables = [np.where(np.isnan(t), np.nan, t != 0) for t in tables]
    if name not in _DECIDES:
        return compressed(1.0 - tables[0])
    first, second = tables
    value = _DECIDES[name]
    unknown = np.isnan(first) | np.isnan(second)
    return compressed(np.where((first == value) | (second == value), value, np.where(unknown, np.nan, 1.0 - value)))


def _decided(walk: Walk, node: Node) -> list[tuple[float, np.ndarray[Any, Any]]]:
    """Results that one operand alone decides, and where."""
    name = short_name(node)
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


def with_zeros(walk: Walk, node: Node, result: Any, start: int) -> Any:
    """A rule's result, its first tensor with the zeros that it has because of those that it reads."""
    several = isinstance(result, list)
    first = result[0] if several and result else result
    x, name = walk.value(node.args[0]) if node.args else None, operator_name(node)
    if x is None or x.zeroed is None or not isinstance(first, Value):
        return result
    if name in ("aten::prod", "aten::cumprod"):
        factors = torch.from_numpy(np.where(x.zeroed, 0.0, 1.0)).expand(x.full)
        assert callable(node.target)
        product = node.target(factors, *node.args[1:], **{**node.kwargs, "dtype": torch.float64})
        first = settled(walk, first, compressed(np.where(product.numpy() == 0, 0.0, np.nan)))
    elif name in ZERO_OF_ZEROS and bound(node).get("bias") is None and bound(node).get("other") is None:
        first = vanishing(walk, x, first, start)
    return [first, *result[1:]] if several else first
