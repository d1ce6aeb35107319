"""Rules of ONNX operators that act element by element."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from fastrf.frontends.hiding import broad, kept, settled
from fastrf.frontends.lowering import Known, Value, compressed
from fastrf.frontends.mixing import reduced
from fastrf.frontends.onnx.calls import Call, Item
from fastrf.frontends.onnx.constants import MAX_FOLDED, Constant
from fastrf.frontends.onnx.walk import Walk, rule
from fastrf.ops.pointwise import N_ARY, UNARY

__all__ = ["combined", "shape_of_all"]

_UNARY = """
    Abs Acos Acosh Asin Asinh Atan Atanh Bernoulli BitwiseNot Cast Ceil Celu Clip Cos Cosh Elu Erf Exp Floor Gelu
    HardSigmoid HardSwish IsInf IsNaN LeakyRelu Log Mish Neg Not Reciprocal Relu Round Selu Shrink Sigmoid Sign Sin Sinh
    Softplus Softsign Sqrt Tan Tanh ThresholdedRelu Swish BitCast
""".split()
_N_ARY = """
    Add Sub Mul Div Pow Mod And Or Xor Equal Greater Less GreaterOrEqual LessOrEqual BitwiseAnd BitwiseOr BitwiseXor
    BitShift Max Min Sum Mean PRelu
""".split()
_PLAIN = {"Div": "div", "Max": "maximum", "Min": "minimum", "Sum": "add", "HardSwish": "hardswish"}

_Function = Callable[..., Any]
#: What known values become; where one operand alone decides is added by `_decided`.
_FUNCTIONS: dict[str, _Function] = {
    "Abs": np.abs,
    "Add": np.add,
    "Cast": np.positive,
    "Div": np.divide,
    "Exp": np.exp,
    "Identity": np.positive,
    "LeakyRelu": lambda x: np.where(x > 0, x, 0.01 * x),
    "Mul": np.multiply,
    "Neg": np.negative,
    "Relu": lambda x: np.maximum(x, 0),
    "Sigmoid": lambda x: 1 / (1 + np.exp(-x)),
    "Sqrt": np.sqrt,
    "Sub": np.subtract,
    "Tanh": np.tanh,
}


def shape_of_all(call: Call, inputs: Sequence[int]) -> tuple[int, ...]:
    """The common shape of some inputs."""
    return tuple(int(n) for n in np.broadcast_shapes(*(call.full(k) for k in inputs)))


@rule(*_UNARY, *_N_ARY)
@rule("Gelu", "FastGelu", "QuickGelu", "BiasGelu", domain="com.microsoft")
def combined(walk: Walk, call: Call) -> Value:
    """A function of the elements at one place; where constants decide the result, nothing is read."""
    if call.version < 7 and (call.get("broadcast", 0) or call.op == "PRelu"):
        call = _aligned(walk, call)
    given = [k for k in range(len(call.inputs)) if call.has(k)]
    full = shape_of_all(call, given)
    values = call.dynamic()
    name = _PLAIN.get(call.op, call.op.lower())
    if len(values) > 1:
        result = walk.lowering.elementwise(name if name in N_ARY else "elementwise", values, full)
    else:
        one = walk.lowering.expanded(values[0], full)
        result = walk.emit(name, one) if name in UNARY else one
    return settled(walk, replace(result, full=full), _known(call, given))


def _aligned(walk: Walk, call: Call) -> Call:
    """The second input with axes of 1 behind: before opset 7 it was aligned at an axis."""
    first, second = call.full(0), call.inputs[1]
    axis = call.get("axis", min(1, len(first) - 1) if call.op == "PRelu" else len(first) - len(call.full(1)))
    full = (*call.full(1), *(1,) * (len(first) - axis - len(call.full(1))))
    if isinstance(second, Value):
        second = walk.lowering.shaped(second, full)
    elif isinstance(second, Constant):
        values = None if second.values is None else second.values.reshape(full)
        second = replace(second, full=full, values=values)
    return replace(call, inputs=(call.inputs[0], second))


def _known(call: Call, given: Sequence[int]) -> Known | None:
    """What is known of the result."""
    tables = [call.known(k) for k in given]
    if call.op not in _FUNCTIONS or all(np.isnan(t).all() for t in tables):
        return None
    with np.errstate(all="ignore"):
        result = np.array(_FUNCTIONS[call.op](*tables), np.float64)
    unknown = np.isnan(tables[0])
    for table in tables[1:]:
        unknown = unknown | np.isnan(table)
    result[np.broadcast_to(unknown, result.shape)] = np.nan
    if call.op == "Add":
        result[np.broadcast_to(np.isneginf(tables[0]) | np.isneginf(tables[1]), result.shape)] = -np.inf
    elif call.op == "Sub":
        result[np.broadcast_to(np.isneginf(tables[0]) | np.isposinf(tables[1]), result.shape)] = -np.inf
    elif call.op == "Mul":
        result[np.broadcast_to((tables[0] == 0) | (tables[1] == 0), result.shape)] = 0
    elif call.op == "Div":
        result[np.broadcast_to(tables[0] == 0, result.shape)] = 0
    return compressed(result)


@rule("Identity", "CastLike")
def same(walk: Walk, call: Call) -> Item:
    """The first input, whatever it is; a constant of the type of the second."""
    first, like = call.inputs[0], call.inputs[-1]
    if isinstance(first, Constant) and first.values is not None and isinstance(like, Value | Constant):
        values = first.values.astype(walk.dtype_of(like))
        return Constant(values.shape, values.dtype, values, first.weight)
    return first


@rule("Where")
def where(walk: Walk, call: Call) -> Value:
    """A choice between two, by a constant or by data."""
    full = shape_of_all(call, [0, 1, 2])
    condition = call.inputs[0]
    if not isinstance(condition, Constant) or condition.values is None or condition.weight:
        either = replace(walk.lowering.elementwise("where", call.dynamic(), full), full=full)
        first, second = (broad(call.known(k), full) for k in (1, 2))
        return settled(walk, either, compressed(np.where(first == second, first, np.nan)))
    table = condition.values.astype(bool)
    parts = [
        kept(walk, walk.lowering.expanded(value, full), chosen)
        for k, chosen in ((1, table), (2, ~table))
        if (value := call.value(k)) is not None
    ]
    result = walk.lowering.elementwise("where", parts, full)
    known = np.where(broad(table, full), *(broad(call.known(k), full) for k in (1, 2)))
    return replace(result, full=full, known=compressed(known))


@rule("Dropout")
def dropout(walk: Walk, call: Call) -> list[Item]:
    """The same values, and a mask that does not depend on them."""
    x = call.operand(walk, 0)
    return [x, Constant(x.full, np.dtype(bool))]


@rule("QuantizeLinear", "DequantizeLinear", domain="")
@rule("QuantizeLinear", "DequantizeLinear", domain="com.microsoft")
def quantized(walk: Walk, call: Call) -> Value | list[Item]:
    """Scaled and rounded, element by element; scales that depend on the input are spread along their axis."""
    x = call.operand(walk, 0)
    parts = [x] if call.value(0) is not None else []
    for k in (1, 2):
        scale = call.value(k)
        if scale is None:
            continue
        if len(scale.full) > 1:
            return walk.opaque(call)
        if len(scale.full) == 1 and scale.full != (1,):
            axis = call.get("axis", 1) % len(x.full)
            scale = walk.lowering.shaped(scale, (*scale.full, *(1,) * (len(x.full) - axis - 1)))
        parts.append(scale)
    return replace(walk.lowering.elementwise("elementwise", parts, x.full), full=x.full, known=None)


@rule("RandomNormalLike", "RandomUniformLike", "EyeLike", "Shape", "Size")
def shaped_like(walk: Walk, call: Call) -> Constant:
    """What looks at a tensor's shape alone."""
    full = call.full(0)
    if call.op == "Shape":
        start, stop, _ = slice(call.get("start", 0), call.get("end"), 1).indices(len(full))
        values = np.array(full[start:stop], np.int64)
        return Constant(values.shape, values.dtype, values)
    if call.op == "Size":
        count = 1
        for n in full:
            count *= n
        return Constant((), np.dtype(np.int64), np.array(count, np.int64))
    if call.op == "EyeLike" and full[0] * full[1] <= MAX_FOLDED:
        diagonal = np.eye(full[0], full[1], k=int(call.get("k", 0)))
        return Constant(full, diagonal.dtype, diagonal)
    return Constant(full, np.dtype(np.float32))


@rule("OneHot")
def one_hot(walk: Walk, call: Call) -> Value:
    """Along a new axis, every element reads the index."""
    index = call.full(0)
    depth = int(call.array(1).ravel()[0])
    axis = call.get("axis", -1) % (len(index) + 1)
    full = (*index[:axis], depth, *index[axis:])
    parts = []
    if call.value(0) is not None:
        parts.append(walk.lowering.shaped(call.operand(walk, 0), (*index[:axis], 1, *index[axis:])))
    if call.value(2) is not None:
        parts.append(reduced(walk, call.operand(walk, 2), "sum", [0], keepdims=True))
    return replace(walk.lowering.elementwise("elementwise", parts, full), full=full, known=None)


@rule("BatchNormalization")
def batch_norm(walk: Walk, call: Call) -> list[Any]:
    """Frozen statistics: pointwise; those of the batch: each channel over batch and positions."""
    x = call.operand(walk, 0)
    training = bool(call.get("training_mode", 0))
    if training:
        result: Value = replace(
            walk.emit("layer_norm", walk.lowering.spread(x), axes=[0, *range(2, len(x.full))]), full=x.full
        )
    else:
        result = replace(walk.emit("batch_norm", x), full=x.full) if call.value(0) is not None else x
    parts = [result] if call.value(0) is not None else []
    parts += [
        walk.lowering.shaped(p, (*p.full, *(1,) * (len(x.full) - 2))) for p in call.dynamic(1, 3 if training else None)
    ]
    whole = replace(walk.lowering.elementwise("elementwise", parts, x.full), full=x.full, known=None)
    return [whole, *[lambda: walk.everything(call, (x.full[1],))] * (len(call.node.output) - 1)]
