"""Numbers that no input and no weight changes, followed through operators by their own reference implementations."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx

from fastrf.errors import FastRFError
from fastrf.frontends.known import check_size, choice, elementwise
from fastrf.frontends.lowering import Known, Value, compressed
from fastrf.frontends.masking import lowest_limit, offset, set_added, set_known
from fastrf.frontends.onnx.constants import MAX_FOLDED, Constant, evaluate
from fastrf.frontends.onnx.registry import Call, Walk
from fastrf.frontends.onnx.schemas import elements
from fastrf.frontends.vanishing import vanishing

__all__ = [
    "ELEMENTWISE",
    "MOVES",
    "chosen",
    "computed",
    "loses",
    "moved",
    "of_weights",
    "with_added",
    "with_total",
    "with_zeros",
    "zeros_are_missed",
]

Array = npt.NDArray[Any]

#: Operators between elements at one place.
_ELEMENTWISE_NAMES = """
    Abs Acos Acosh Asin Asinh Atan Atanh Bernoulli BitwiseNot Cast Ceil Celu Clip Cos Cosh Elu Erf Exp Floor
    Gelu HardSigmoid HardSwish IsInf IsNaN LeakyRelu Log Mish Neg Not Reciprocal Relu Round Selu Shrink Sigmoid
    Sign Sin Sinh Softplus Softsign Sqrt Tan Tanh ThresholdedRelu Swish BitCast Add Sub Mul Div Pow Mod And Or
    Xor Equal Greater Less GreaterOrEqual LessOrEqual BitwiseAnd BitwiseOr BitwiseXor BitShift Max Min Sum Mean
    PRelu
"""
ELEMENTWISE = frozenset(_ELEMENTWISE_NAMES.split())

#: Operators that put constants beside, or in the place of, what the input reaches.
_JOINS = frozenset(("Concat", "Scatter", "ScatterElements", "ScatterND", "TensorScatter"))

#: Operators that only move elements, or put numbers beside them.
_MOVES_NAMES = """
    Reshape Flatten Squeeze Unsqueeze Transpose Expand Identity Split Slice Pad Tile Gather GatherElements
    GatherND ReverseSequence Compress DepthToSpace SpaceToDepth Trilu CenterCropPad
"""
MOVES = _JOINS | frozenset(_MOVES_NAMES.split())

#: Those that put numbers of their own beside what they move, so that something is known even where nothing was.
_FILLS = frozenset(("Pad", "Trilu", "CenterCropPad"))

#: Operators whose results are zero where all that they read is, and the input that would be added to them.
_ZERO_OF_ZEROS = {
    **dict.fromkeys(("Conv", "ConvTranspose", "Gemm"), 2),
    **dict.fromkeys(("Resize", "Upsample", "MaxPool", "AveragePool", "LpPool", "Col2Im", "TopK"), 9),
    **dict.fromkeys(("GlobalAveragePool", "GlobalMaxPool", "GlobalLpPool"), 9),
}

#: How operators combine their inputs, as `masking.offset` calls it.
_KINDS = {
    **{"Add": ("add",), "Sum": ("add",), "Sub": ("sub",), "Mul": ("mul",), "Div": ("div",)},
    **{"Max": ("maximum",), "Min": ("minimum",), "Clip": ("maximum", "minimum"), "Cast": ()},
}

#: Operators whose rules keep what constants add to their input.
_KEEPS_NAMES = """
    Reshape Flatten Squeeze Unsqueeze Transpose Expand Identity Dropout DepthToSpace SpaceToDepth Pad
"""
_KEEPS = frozenset(_KEEPS_NAMES.split())


def computed(walk: Walk, call: Call) -> Known | None:
    """What is known of the result of an operator between elements, broadcastable to it."""
    if call.op == "Bernoulli":
        return None
    given = [k for k in range(len(call.inputs)) if call.has(k)]
    dtypes = [walk.dtype_of(call.inputs[k]) for k in given]  # type: ignore[arg-type]
    return elementwise(lambda a: _evaluated(call, given, a), [_multiplier(walk, call, k) for k in given], dtypes)


def _multiplier(walk: Walk, call: Call, k: int) -> Known:
    """What is known of an operand; a stored table of 0 and 1 that is multiplied is a mask, and said to be."""
    item = call.inputs[k]
    if call.op == "Mul" and isinstance(item, Constant) and item.is_mask:
        walk.suppose(f"{item.name or 'a stored tensor'} holds 0 and 1 alone and is multiplied: a mask, not weights")
        return np.asarray(item.values, np.float64)
    return call.known(k)


#: Microsoft's operators as those of the standard, their attributes and version.
_MICROSOFT: dict[str, tuple[str, dict[str, Any], int]] = {
    "Gelu": ("Gelu", {}, 20),
    "BiasGelu": ("Gelu", {}, 20),
    "FastGelu": ("Gelu", {"approximate": "tanh"}, 20),
    "QuickGelu": ("Swish", {"alpha": 1.702}, 24),
}


def _evaluated(call: Call, given: Sequence[int], arrays: Sequence[Array]) -> Array:
    """The operator's reference on arrays."""
    if call.domain == "com.microsoft":
        op, attributes, version = _MICROSOFT[call.op]
        attributes = {**attributes, **{name: call.get(name) for name in attributes if call.get(name) is not None}}
        node = onnx.helper.make_node(op, ["x"], ["y"], **attributes)
        return evaluate(node, version, [np.asarray(sum(arrays))])[0]
    slots: list[Array | None] = [None] * len(call.inputs)
    for k, array in zip(given, arrays, strict=True):
        slots[k] = array
    return evaluate(call.node, max(call.version, 7), slots)[0]


def moved(walk: Walk, call: Call, kind: str = "known") -> Known | None:
    """What is known of (or `added` to) the result after elements move: the operator applied to the tables before."""
    sources = elements(call)
    if any(call.value(k) is not None for k in range(len(call.inputs)) if k not in sources):
        return None
    tables = {k: _moving(walk, call, k, kind) for k in sources if call.has(k)}
    limit = math.inf if kind == "known" else lowest_limit(walk.options.mask_below)
    fills = kind == "known" and call.op in _FILLS and math.prod(call.full(0)) <= MAX_FOLDED
    if not fills and not any((table <= limit).any() for table in tables.values()):
        return None
    check_size(max(math.prod(call.full(k)) for k in range(len(call.inputs)) if call.has(k)))
    arrays = [item.values if isinstance(item, Constant) else None for item in call.inputs]
    for k, table in tables.items():
        arrays[k] = np.broadcast_to(table, call.full(k)).copy()
    return compressed(evaluate(call.node, call.version, arrays)[0].astype(np.float64))


def with_total(walk: Walk, call: Call, result: Value) -> Value:
    """A total of an input, with what is known of it; where the reference fails, the result is said to be a bound."""
    try:
        known = _total(walk, call)
    except FastRFError:
        raise
    except Exception:
        return walk.loosened(replace(result, known=None))
    return set_known(walk, result, known)


def _total(walk: Walk, call: Call) -> Known | None:
    """What is known of totals (reductions, running sums, pools): the total of what is known, where all of it is."""
    table = call.known(0)
    if np.isnan(table).all() and not call.get("exclusive", 0):
        return None
    check_size(math.prod(call.full(0)))
    table, dtype = np.broadcast_to(table, call.full(0)), walk.dtype_of(call.inputs[0])  # type: ignore[arg-type]
    others = [item.values if isinstance(item, Constant) else None for item in call.inputs[1:]]
    open_ = np.isnan(table)
    found = evaluate(call.node, call.version, [np.where(open_, 0, table).astype(dtype), *others])[0]
    flags = evaluate(_flagging(call), call.version, [open_.astype(np.float32), *others])[0]
    known = np.where(flags > 0, np.nan, found.astype(np.float64))
    settles = _SETTLES.get(call.op)
    if settles is not None:
        alone = evaluate(_flagging(call), call.version, [(table == settles).astype(np.float32), *others])[0]
        known = np.where(alone > 0, settles, known)
    return compressed(known)


#: By operator, the number of which one among many decides the total.
_SETTLES = {
    **dict.fromkeys(("ReduceProd", "CumProd"), 0.0),
    **dict.fromkeys(("ReduceSum", "ReduceMean", "ReduceMin", "CumSum"), -math.inf),
}


def _flagging(call: Call) -> onnx.NodeProto:
    """The node as one that is positive where any of what it reads is."""
    node = onnx.NodeProto()
    node.CopyFrom(call.node)
    node.op_type = _FLAGGING.get(call.op, call.op)
    return node


#: Totals of which the largest of flags says what their sum does, and that of products.
_FLAGGING = {
    **dict.fromkeys(("ReduceMean", "ReduceProd", "ReduceMax", "ReduceMin", "ReduceL1", "ReduceL2"), "ReduceMax"),
    **dict.fromkeys(("ReduceSumSquare", "ReduceLogSum", "ReduceLogSumExp"), "ReduceMax"),
    "CumProd": "CumSum",
}


def _moving(walk: Walk, call: Call, k: int, kind: str) -> Known:
    """The table of an input whose elements move."""
    if kind == "known":
        return call.known(k)
    known, added = _operand(walk, call, k)
    return np.where(np.isnan(known), 0.0 if added is None else added, known)


def chosen(call: Call) -> Known | None:
    """What is known of a choice between two, where the condition is or both are the same."""
    return choice(*(call.known(k) for k in range(3)))


def of_weights(walk: Walk, call: Call) -> Known | None:
    """What constants decide of a tensor that weights make: the zeros of masked ones. None where nothing is."""
    if call.op in ELEMENTWISE and call.domain == "":
        return computed(walk, call)
    if call.op == "Where":
        return chosen(call)
    return moved(walk, call) if call.op in MOVES and len(call.node.output) == 1 else None


def loses(call: Call) -> bool:
    """Whether constants may decide more of what weights and they make than can be followed."""
    constants = [item for item in call.inputs if isinstance(item, Constant)]
    if any(item.lost for item in constants):
        return True
    if call.domain or call.op not in ELEMENTWISE | MOVES | {"Where"}:
        return any(item.decided is not None for item in constants)
    if call.op in _FILLS and math.prod(call.full(0)) > MAX_FOLDED:
        return True
    unread = [item for item in constants if item.values is None and item.decided is None]
    return any(not item.weight for item in unread) or (call.op == "Mul" and len(unread) > 1)


#: Operators whose rules look at the zeros of constant operands.
_LOOKS = ELEMENTWISE | MOVES | {"Where", "Conv", "ConvTranspose", "MatMul", "Gemm", "Einsum"}


def zeros_are_missed(call: Call) -> bool:
    """Whether a rule that does not look at zeros of weights reads some that constants made."""
    weights = [item for item in call.inputs if isinstance(item, Constant) and item.weight]
    masked = any(w.lost or (w.decided is not None and (w.decided == 0).any()) for w in weights)
    return masked and (bool(call.domain) or call.op not in _LOOKS)


def with_zeros(walk: Walk, call: Call, results: list[Any], start: int) -> list[Any]:
    """The results, the first with the zeros that it has where all that it reads is zero."""
    x, result, bias = call.value(0), results[0] if results else None, _ZERO_OF_ZEROS.get(call.op)
    shifted = call.get("coordinate_transformation_mode") == "tf_crop_and_resize" and call.get("extrapolation_value")
    if call.domain or bias is None or call.has(bias) or shifted or x is None or not isinstance(result, Value):
        return results
    first = vanishing(walk, x, result, start)
    return [first, *results[1:]]


def with_added(walk: Walk, call: Call, result: Value) -> Value:
    """The result with what constants add to it, for a softmax that may read it."""
    if call.domain or walk.dtype_of(result).kind in "iub":  # a number that is compared is not as low any more
        return set_added(walk, result, None)
    if call.op in _KEEPS:
        return result
    return set_added(walk, result, _added(walk, call))


def _added(walk: Walk, call: Call) -> Known | None:
    if call.op == "Where":
        return choice(call.known(0), *(_moving(walk, call, k, "added") for k in (1, 2)), blank=0.0)
    if call.op in MOVES:
        several = len(call.node.output) > 1 or call.get("reduction", "none") != "none"
        return None if several else moved(walk, call, "added")
    if call.op not in _KINDS:
        return None
    first, *others = (_operand(walk, call, k) if call.has(k) else None for k in range(len(call.inputs)))
    kinds = _KINDS[call.op] * (1 if call.op == "Clip" else len(others))
    found = first
    for kind, other in zip(kinds, others, strict=False):
        if found is not None and other is not None:
            found = np.full((), np.nan), offset(kind, [found, other])
    return found and found[1]


def _operand(walk: Walk, call: Call, k: int) -> tuple[Known, Known | None]:
    """What is known of an input, and what is added to it; stored numbers as low as masks are known."""
    item, known = call.inputs[k], call.known(k)
    if isinstance(item, Value):
        return known, item.added
    assert isinstance(item, Constant)
    if item.weight and item.values is not None and item.values.dtype.kind not in "OSUc":
        values = item.values.astype(np.float64)
        known = np.where(values <= lowest_limit(walk.options.mask_below), values, known)
    return known, None
