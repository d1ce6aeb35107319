"""Rules of ONNX operators that act element by element."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import onnx

from fastrf.frontends import choosing, mixing, moving
from fastrf.frontends.lowering import Value
from fastrf.frontends.masking import set_known, to_rank
from fastrf.frontends.onnx.constants import MAX_FOLDED, Constant, evaluate, holding
from fastrf.frontends.onnx.known import ELEMENTWISE, chosen, computed, of_weights
from fastrf.frontends.onnx.registry import Call, Item, Walk, rule
from fastrf.ops.pointwise import N_ARY, UNARY

__all__ = ["combined", "shape_of_all"]

_PLAIN = {"Div": "div", "Max": "maximum", "Min": "minimum", "Sum": "add", "HardSwish": "hardswish"}


def shape_of_all(call: Call, inputs: Sequence[int]) -> tuple[int, ...]:
    """The common shape of some inputs."""
    return tuple(int(n) for n in np.broadcast_shapes(*(call.full(k) for k in inputs)))


@rule(*ELEMENTWISE)
@rule("Gelu", "FastGelu", "QuickGelu", "BiasGelu", domain="com.microsoft")
def combined(walk: Walk, call: Call) -> Value:
    """A function of the elements at one place; where constants decide the result, nothing is read."""
    if call.version < 7 and (call.get("broadcast", 0) or call.op == "PRelu"):
        call = _aligned(walk, call)
    full = shape_of_all(call, [k for k in range(len(call.inputs)) if call.has(k)])
    values = call.dynamic()
    name = _PLAIN.get(call.op, call.op.lower())
    if len(values) > 1:
        result = walk.elementwise(name if name in N_ARY else "elementwise", values, full)
    else:
        one = walk.expanded(values[0], full)
        result = walk.emit(name, one) if name in UNARY else one
    return set_known(walk, result, computed(walk, call))


def _aligned(walk: Walk, call: Call) -> Call:
    """The second input with axes of 1 behind: before opset 7 it was aligned at an axis."""
    first, second = call.full(0), call.inputs[1]
    axis = call.get("axis", min(1, len(first) - 1) if call.op == "PRelu" else len(first) - len(call.full(1)))
    full = (*call.full(1), *(1,) * (len(first) - axis - len(call.full(1))))
    if isinstance(second, Value):
        second = walk.shaped(second, full)
    elif isinstance(second, Constant):
        values = None if second.values is None else second.values.reshape(full)
        second = replace(second, full=full, values=values)
    return replace(call, inputs=(call.inputs[0], second))


@rule("CastLike")
def cast_like(walk: Walk, call: Call) -> Value | Constant:
    """The first input as the type of the second."""
    like = call.inputs[1]
    assert isinstance(like, Value | Constant)
    dtype = walk.dtype_of(like)
    node = onnx.helper.make_node("Cast", ["x"], ["y"], to=onnx.helper.np_dtype_to_tensor_dtype(dtype))
    cast = replace(call, node=node, op="Cast", version=max(call.version, 13), inputs=call.inputs[:1])
    first = call.inputs[0]
    if isinstance(first, Constant):
        values = None if first.values is None else first.values.astype(dtype)
        return Constant(first.full, dtype, values, first.weight, of_weights(walk, cast), first.lost)
    result: Value = combined(walk, cast)
    return result


@rule("Where")
def where(walk: Walk, call: Call) -> Value:
    """A choice between two, by a constant or by data."""
    full = shape_of_all(call, [0, 1, 2])
    values = [call.value(k) for k in range(3)]
    return choosing.where(walk, to_rank(call.known(0), full), values, chosen(call), full)


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
            scale = walk.shaped(scale, (*scale.full, *(1,) * (len(x.full) - axis - 1)))
        parts.append(scale)
    result = replace(walk.elementwise("elementwise", parts, x.full), known=None)
    single = all(math.prod(call.full(k)) == 1 for k in (1, 2) if call.has(k))
    return set_known(walk, result, computed(walk, call)) if single and not call.domain else result


@rule("RandomNormalLike", "RandomUniformLike", "EyeLike", "Shape", "Size")
def shaped_like(walk: Walk, call: Call) -> Constant:
    """What looks at a tensor's shape alone: the operator is asked, on a tensor that takes no memory."""
    full = call.full(0)
    if call.op in ("Shape", "Size") or (call.op == "EyeLike" and math.prod(full) <= MAX_FOLDED):
        return holding(evaluate(call.node, call.version, [np.broadcast_to(np.float32(0), full)])[0])
    return Constant(full, np.dtype(np.float32))


@rule("OneHot")
def one_hot(walk: Walk, call: Call) -> Value:
    """Along a new axis, every element reads the index."""
    index = call.full(0)
    depth = int(call.number(1))
    axis = call.get("axis", -1) % (len(index) + 1)
    full = (*index[:axis], depth, *index[axis:])
    parts = []
    if call.value(0) is not None:
        chosen = call.operand(walk, 0)
        last = axis == len(index)
        parts.append(walk.featured(chosen) if last else walk.shaped(chosen, (*index[:axis], 1, *index[axis:])))
    if call.value(2) is not None:
        parts.append(moving.reduce(walk, call.operand(walk, 2), "sum", [0], keepdims=True))
    return replace(walk.elementwise("elementwise", parts, full), known=None)


@rule("BatchNormalization")
def batch_norm(walk: Walk, call: Call) -> list[Any]:
    """Frozen statistics: pointwise; those of the batch: each channel over batch and positions."""
    x = call.operand(walk, 0)
    training = bool(call.get("training_mode", 0))
    parts = []
    if call.value(0) is not None:
        parts.append(mixing.batch_norm(walk, x) if training else walk.emit("batch_norm", x))
    parts += [walk.shaped(p, (*p.full, *(1,) * (len(x.full) - 2))) for p in call.dynamic(1, 3 if training else None)]
    whole = replace(walk.elementwise("elementwise", parts, x.full), known=None)
    return [whole, *[lambda: walk.everything(call, (x.full[1],))] * (len(call.node.output) - 1)]
