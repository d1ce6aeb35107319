"""What constants add to numbers that the input reaches, followed through ATen operators until a softmax reads it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch.fx import Node

from fastrf.frontends.lowering import Known, Value
from fastrf.frontends.masking import offset, shifted
from fastrf.frontends.torch.arguments import bound, operator_name, short_name
from fastrf.frontends.torch.known import moved, table_of
from fastrf.frontends.torch.names import COPIES, MOVES, PERMUTES, SHAPES

if TYPE_CHECKING:
    from fastrf.frontends.torch.walk import Walk

__all__ = ["with_added"]

#: Operators of numbers at one place, as `masking.offset` names them.
_KINDS = {
    **{"add": "add", "sub": "sub", "mul": "mul", "multiply": "mul", "div": "div", "divide": "div"},
    **{"subtract": "sub", "true_divide": "div", "maximum": "maximum", "minimum": "minimum", "max": "maximum"},
    **{"min": "minimum", "fmax": "maximum", "fmin": "minimum", "clamp_min": "maximum", "clamp_max": "minimum"},
}

#: Operators whose rules keep what is added to their first argument.
_KEEP = COPIES | SHAPES | PERMUTES | {"aten::expand", "aten::expand_as", "aten::broadcast_to", "aten::expand_copy"}


def with_added(walk: Walk, node: Node, result: Value) -> Value:
    """The result with what constants add to it, for a softmax that may read it."""
    name = operator_name(node)
    if name in _KEEP or not node.meta["val"].is_floating_point():
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
