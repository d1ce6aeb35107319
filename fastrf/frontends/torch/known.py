"""Values that no input and no weight changes, and what constants add to others, followed through ATen operators.

Zeros and minus infinities decide what a product or a softmax reads. An operator's result is known where applying it to
tensors that hold NaN for all that is not known gives a number. What is added is followed until a softmax reads it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
import torch.utils._pytree as pytree
from torch.fx import Node

from fastrf.budget import require_memory
from fastrf.errors import UnsupportedOpError
from fastrf.frontends.known import choice, elementwise
from fastrf.frontends.lowering import Known, Value, compressed, real
from fastrf.frontends.masking import lowest_limit, offset, set_added, set_known
from fastrf.frontends.torch.arguments import bound, fake_shape, operator_name, short_name
from fastrf.frontends.torch.names import CONVOLUTIONS, COPIES, JOINS, MOVES, OF_SEVERAL, PERMUTES, SHAPES, ZERO_OF_ZEROS
from fastrf.frontends.torch.registry import Walk
from fastrf.frontends.vanishing import vanishing

__all__ = [
    "added_to_weight",
    "applied",
    "chosen_from",
    "computed",
    "moved",
    "sloped",
    "table_of",
    "with_added",
    "with_zeros",
]

#: Operators that put truths at places, which are not followed.
_PUTS = JOINS - {"cat", "stack", "where", "masked_fill"}

#: What is said of `where` with a condition alone.
_PLACES = (
    "torch.where with a condition alone selects by values, which is not followed; give capture='record', which follows "
    "up to there, or give the module a rule (fastrf.rule)"
)

#: Operators that make zeros of nothing.
_CREATES = frozenset(("tril", "triu", "pad", "constant_pad_nd", "diag", "diag_embed", "block_diag", "im2col"))


def table_of(walk: Walk, argument: Any) -> Known:
    """What is known of an argument, as a table broadcastable to it."""
    if not isinstance(argument, Node):
        return real(np.asarray(np.nan if argument is None else argument)).astype(np.float64)
    value = walk.value(argument)
    if value is not None:
        found = value.known
    elif walk.has_parameters(argument):
        found = walk.decided(argument)
    else:
        found = walk.known(argument)
    if found is None:
        return np.full((1,) * len(fake_shape(argument)), np.nan)
    return found if value is not None else walk.table(found)


# Elements moved ------------------------------------------------------------------------------------------


def moved(walk: Walk, node: Node, kind: str = "known") -> Any:
    """What is known of (or `added` to) the result, or each of several, where an operator moves elements; or None."""
    fake, name = node.meta["val"], short_name(node)
    several = fake if isinstance(fake, list | tuple) else [fake]
    truths = all(t.dtype == torch.bool for t in several)
    if not (truths and name not in _PUTS) and not all(t.is_floating_point() for t in several):
        return None
    if name in ("where", "masked_fill"):
        return _chosen(walk, node, kind)
    known, sources = kind == "known", node.all_input_nodes
    tables: dict[Node, Known | None] = {}
    for n in sources:
        if (value := walk.value(n)) is not None:
            tables[n] = getattr(value, kind)
        elif walk.has_parameters(n):
            tables[n] = walk.decided(n) if known else walk.added(n)
    fresh = known and (name in _CREATES or (name in JOINS and len(tables) < len(sources)))
    if not fresh and all(table is None for table in tables.values()):
        return None
    if not all(_is_number(n.meta["val"], truths) for n in tables):
        return None
    return _applied(walk, node, tables, known, truths)


def _is_number(tensor: torch.Tensor, truths: bool) -> bool:
    return tensor.is_floating_point() or (truths and tensor.dtype == torch.bool)


def _applied(walk: Walk, node: Node, tables: dict[Node, Known | None], known: bool, truths: bool) -> Any:
    """The operator on tables; of what is a constant altogether, nothing is added and everything known."""

    def table(argument: Node) -> Any:
        if argument not in tables:
            constant = walk.constant(argument)
            number = _is_number(constant, truths)
            if known or not number:
                return constant.detach().cpu().double() if number else constant.cpu()
        full, found = fake_shape(argument), tables.get(argument)
        blank = np.full((1,) * len(full), np.nan if known else 0.0)
        return torch.from_numpy(blank if found is None else found.copy()).expand(full)

    schema = getattr(node.target, "_schema", None)
    if schema is None or not any(made.alias_info for made in schema.returns):  # what is a view takes nothing
        made = node.meta["val"] if isinstance(node.meta["val"], list | tuple) else [node.meta["val"]]
        what = f"node {walk.node!r}: numbers of which some are constant by position"
        require_memory(8 * sum(one.numel() for one in made), what, "use a smaller input_shape")
    result = applied(node, table)
    if isinstance(result, torch.Tensor):
        return compressed(result.double().numpy())
    return [compressed(one.double().numpy()) for one in result]


def applied(node: Node, table: Any, **changed: Any) -> Any:
    """The node's operator on other tensors: `table` gives one for each node that it takes."""
    arguments, named = pytree.tree_map_only(Node, table, (node.args, {**node.kwargs, **changed}))
    assert callable(node.target)
    return node.target(*arguments, **named)


def chosen_from(a: dict[str, Any]) -> tuple[Any, Any, Any]:
    """The condition of `where` or `masked_fill`, what is taken where it is true, and what elsewhere."""
    if "condition" in a and "self" not in a:  # the places where it is true: how many, depends on values
        raise UnsupportedOpError(_PLACES)
    return (a["condition"], a["self"], a["other"]) if "condition" in a else (a["mask"], a["value"], a["self"])


def _chosen(walk: Walk, node: Node, kind: str) -> Known | None:
    """The same of a choice between two, where its condition is known."""
    condition, *sides = chosen_from(bound(node))
    if kind == "known":
        tables, blank = [table_of(walk, side) for side in sides], np.nan
    else:
        tables, blank = [np.zeros(()) if (t := walk.added(side)) is None else t for side in sides], 0.0
    given = [table_of(walk, condition), *tables]
    found: Known | None = walk.once(("choice", kind), given, lambda: choice(*given, blank=blank))
    return found


# Operators of single elements ----------------------------------------------------------------------------


def computed(walk: Walk, node: Node) -> Known | None:
    """What is known of the result of an operator between elements, broadcastable to it."""
    sources = node.all_input_nodes
    if (
        node.meta["val"].is_complex() and short_name(node) == "mul" and walk.dynamic(sources)
    ):  # zeros alone are followed
        zero = [np.asarray(table_of(walk, factor) == 0) for factor in node.args[:2]]
        return compressed(np.where(zero[0] | zero[1], 0.0, np.nan))
    if not _is_number(node.meta["val"], truths=True):
        return None
    if short_name(node) == "imag":  # tables are of one number an element, which tells both parts where it is zero
        return compressed(np.where(table_of(walk, sources[0]) == 0, 0.0, np.nan))
    alone = short_name(node) == "pow" or (short_name(node) in OF_SEVERAL and 0 in node.args)
    if not alone and all(_is_open(walk, n) for n in sources):
        return None

    def run(arrays: Sequence[np.ndarray[Any, Any]]) -> np.ndarray[Any, Any]:
        tensors = dict(zip(sources, map(torch.from_numpy, arrays), strict=True))
        return np.asarray(applied(node, tensors.__getitem__))

    tables, dtypes = [table_of(walk, n) for n in sources], [_dtype(n) for n in sources]
    shown = pytree.tree_map_only(Node, lambda n: f"#{sources.index(n)}", (node.args, node.kwargs))
    key = operator_name(node), str(shown), str(dtypes)
    found: Known | None = walk.once(key, tables, lambda: elementwise(run, tables, dtypes, alone=alone))
    return found


def _is_open(walk: Walk, node: Node) -> bool:
    """Whether nothing is known of a tensor."""
    value = walk.value(node)
    return value.known is None if value is not None else walk.has_parameters(node) and walk.decided(node) is None


def _dtype(node: Node) -> np.dtype[Any]:
    """The type to calculate in: that of integers and truths, double precision for all others."""
    dtype = getattr(node.meta["val"], "dtype", torch.float64)
    return np.dtype("float64" if dtype.is_floating_point or dtype.is_complex else str(dtype).removeprefix("torch."))


def sloped(walk: Walk, node: Node) -> Known | None:
    """What is known of a PReLU's result: zero stays zero."""
    return compressed(np.where(table_of(walk, node.args[0]) == 0, 0.0, np.nan))


def with_zeros(walk: Walk, node: Node, result: Any, start: int) -> Any:
    """A rule's result, its first tensor with the zeros that it has because of those that it reads."""
    several = isinstance(result, list)
    first = result[0] if several and result else result
    x, name = walk.value(node.args[0]) if node.args else None, short_name(node)
    if x is None or x.known is None or not x.zeroed.any() or not isinstance(first, Value):
        return result
    if name in ("prod", "cumprod"):
        factors = torch.from_numpy(np.where(x.zeroed, 0.0, 1.0)).expand(x.full)
        product = applied(node, lambda _: factors, dtype=torch.float64)
        first = set_known(walk, first, compressed(np.where(product.numpy() == 0, 0.0, np.nan)))
    elif name in ZERO_OF_ZEROS and bound(node).get("other") is None:
        bias = bound(node).get("bias")
        zero = _no_bias(walk, node, bias)
        if bias is None or zero.any():
            first = vanishing(walk, x, first, start)
            first = (
                first if zero.all() else set_known(walk, first, compressed(np.where(first.zeroed & zero, 0.0, np.nan)))
            )
    return [first, *result[1:]] if several else first


def _no_bias(walk: Walk, node: Node, bias: Any) -> np.ndarray[Any, Any]:
    """Where a layer adds no bias, as a table that its result broadcasts."""
    if bias is None:
        return np.ones((), bool)
    name = short_name(node)
    if (name != "linear" and name not in CONVOLUTIONS) or walk.value(bias) is not None:
        return np.zeros((), bool)
    behind = 0 if name == "linear" else len(fake_shape(bound(node)["weight"])) - 2
    return np.asarray(table_of(walk, bias) == 0).reshape(-1, *(1,) * behind)


# What constants add --------------------------------------------------------------------------------------

#: Operators of numbers at one place, as `masking.offset` names them.
_KINDS = {
    **{name: name for name in ("add", "sub", "mul", "div", "maximum", "minimum")},
    **dict.fromkeys(("max", "fmax", "clamp_min"), "maximum"),
    **dict.fromkeys(("min", "fmin", "clamp_max"), "minimum"),
}

#: Operators of a tensor and a product, which is added to it.
_SUMS = frozenset(("addmm", "baddbmm", "addbmm", "addmv"))

#: Operators whose rules keep what is added to their first argument.
_KEEP = COPIES | SHAPES | PERMUTES | {"expand", "expand_as", "broadcast_to"}


def with_added(walk: Walk, node: Node, result: Value) -> Value:
    """The result with what constants add to it, for a softmax that may read it."""
    name = short_name(node)
    if not node.meta["val"].is_floating_point():  # a number that is compared or rounded is not as low any more
        return set_added(walk, result, None)
    if name in _KEEP:
        return result
    return set_added(walk, result, moved(walk, node, "added") if name in MOVES else _added(walk, node))


def added_to_weight(walk: Walk, node: Node) -> Known | None:
    """What constants add to a tensor that parameters make, where that is so low that a softmax leaves it out."""
    sources, fake = node.all_input_nodes, node.meta.get("val")
    if not isinstance(fake, torch.Tensor) or not fake.is_floating_point() or node.op != "call_function":
        return None
    name, limit = short_name(node), lowest_limit(walk.options.mask_below)
    if all(walk.has_parameters(n) and walk.added(n) is None for n in sources):
        return None
    if name in _KEEP:
        found = _applied(walk, node, {n: walk.added(n) for n in sources}, False, False)
    else:
        found = moved(walk, node, "added") if name in MOVES else _added(walk, node)
    return found if isinstance(found, np.ndarray) and (found <= limit).any() else None


def _added(walk: Walk, node: Node) -> Known | None:
    """What constants add to the result of an operator between elements."""
    name = short_name(node)
    if name not in _KINDS and name not in _SUMS and name != "clamp":
        return None
    a = bound(node) if isinstance(node.target, torch._ops.OpOverload) else {}
    if name in _SUMS:
        return _offset(walk, "mul", [_operand(walk, a["self"]), (np.asarray(float(a["beta"])), np.zeros(()))])
    if name == "clamp":
        found = _operand(walk, a["self"])
        for edge, kind in ((a["min"], "maximum"), (a["max"], "minimum")):
            if edge is not None:
                found = np.full((), np.nan), _offset(walk, kind, [found, _operand(walk, edge)])
        return found[1]
    first, second = a.get("self"), a.get("other", a.get("min", a.get("max")))
    if name not in _KINDS or second is None:
        return None
    operands = [_operand(walk, first), _operand(walk, second)]
    if a.get("alpha", 1) != 1:
        operands[1] = (operands[1][0] * float(a["alpha"]), None)
    return _offset(walk, _KINDS[name], operands)


def _offset(walk: Walk, kind: str, operands: Sequence[tuple[Known, Known | None]]) -> Known | None:
    found: Known | None = walk.once(
        ("offset", kind), [t for both in operands for t in both], lambda: offset(kind, operands)
    )
    return found


def _operand(walk: Walk, argument: Any) -> tuple[Known, Known | None]:
    """What is known of an argument, and what is added to it."""
    return table_of(walk, argument), walk.added(argument)
