"""Rules of ONNX operators that mix whole axes: products, norms, totals, recurrent layers."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np

from fastrf.errors import ShapeError
from fastrf.frontends import mixing, moving, products
from fastrf.frontends.lowering import Value
from fastrf.frontends.onnx.known import with_total
from fastrf.frontends.onnx.registry import Call, Item, Walk, rule

__all__: list[str] = []


@rule("MatMul", "MatMulInteger", "QLinearMatMul")
def matmul(walk: Walk, call: Call) -> Value | list[Item]:
    """Matrix products, leaving out what either operand is zero at by definition."""
    second = 3 if call.op == "QLinearMatMul" else 1
    if len(call.dynamic()) > (call.value(0) is not None) + (call.value(second) is not None):
        return walk.opaque(call)
    exact = call.op == "MatMul"  # what integers stand for is decided by zero points
    if call.value(second) is None and len(call.full(second)) == 2:
        return _weighted(walk, call, call.operand(walk, 0), second, exact=exact, bias=False)
    a, b = (call.operand(walk, k) for k in (0, second))
    if not exact:
        a, b = replace(a, known=None), replace(b, known=None)
    return call.loosened(walk, second, products.matmul(walk, a, b))


def _weighted(
    walk: Walk, call: Call, x: Value, k: int, *, bias: bool, exact: bool = True, across: bool = False
) -> Value:
    """A product with constant matrix `k`, turned if it lies `across`, leaving out its zeros if they are `exact`."""
    full, used = call.full(k), call.known(k) != 0
    full, used = (full[::-1], used.T) if across else (full, used)
    used = used if exact else np.ones((1, 1), bool)
    result = mixing.linear(walk, x, full[1], bias=bias, used=used.T)
    if exact and len(x.full) > 1 and (x.zeroed.any() or not used.all()):
        weight = Value("", full, full, None, np.where(used, np.nan, 0.0))
        result = replace(result, known=products.zero_products(x, weight))
    return call.loosened(walk, k, replace(result, known=result.known if exact else None))


@rule("Gemm")
def gemm(walk: Walk, call: Call) -> Value:
    """A product of matrices, turned or not, plus a term."""
    a, term, across = call.operand(walk, 0), call.value(2), bool(call.get("transB", 0))
    a = products.transpose(walk, a) if call.get("transA", 0) else a
    full = (a.full[0], call.full(1)[0 if across else 1])
    if a.full[1] * full[1] != math.prod(call.full(1)):
        raise ShapeError(f"shapes {a.full} and {call.full(1)} do not multiply")
    parts = []
    if call.get("alpha", 1.0) != 0 and call.value(1) is None:
        parts.append(_weighted(walk, call, a, 1, bias=call.has(2), across=across))
    elif call.get("alpha", 1.0) != 0:
        b = call.operand(walk, 1)
        parts.append(products.matmul(walk, a, products.transpose(walk, b) if across else b))
    if term is not None and call.get("beta", 1.0) != 0:
        parts.append(walk.expanded(term, full))
    if not parts:
        return moving.constant(walk, a, full)
    return replace(walk.elementwise("add", parts, full), known=None)


@rule("Einsum")
def einsum(walk: Walk, call: Call) -> Value | list[Item]:
    """Einstein sums."""
    return products.einsum(walk, [call.operand(walk, k) for k in range(len(call.inputs))], call.get("equation", ""))


@rule("Softmax", "LogSoftmax", "Hardmax")
def softmax(walk: Walk, call: Call) -> Value:
    """Softmax over an axis; before opset 13 over all axes from it on."""
    x, log = call.operand(walk, 0), call.op == "LogSoftmax"
    if call.version >= 13:
        return mixing.softmax(walk, x, call.get("axis", -1) % len(x.full), log=log)
    axis = call.get("axis", 1)
    axis = axis + len(x.full) if axis < 0 else axis
    flat = walk.shaped(x, (math.prod(x.full[:axis]), math.prod(x.full[axis:])))
    return walk.shaped(mixing.softmax(walk, flat, 1, log=log), x.full)


_REDUCTIONS = {
    **{"ReduceSum": "sum", "ReduceMean": "mean", "ReduceProd": "prod", "ReduceMax": "max", "ReduceMin": "min"},
    **{"ReduceL1": "norm", "ReduceL2": "norm", "ReduceSumSquare": "norm", "ReduceLogSum": "logsumexp"},
    **{"ReduceLogSumExp": "logsumexp", "ArgMax": "argmax", "ArgMin": "argmin"},
    **{"GlobalAveragePool": "mean", "GlobalMaxPool": "max", "GlobalLpPool": "norm"},
}


@rule(*_REDUCTIONS)
def reduction(walk: Walk, call: Call) -> Value:
    """One value per whole axis."""
    x, op = call.operand(walk, 0), _REDUCTIONS[call.op]
    rank = len(x.full)
    if call.op in ("GlobalAveragePool", "GlobalMaxPool", "GlobalLpPool"):
        return moving.reduce(walk, x, op, list(range(2, rank)), keepdims=True)
    axes = [call.get("axis", 0)] if op in ("argmax", "argmin") else call.integers(1, "axes") or []
    if not axes and call.get("noop_with_empty_axes", 0):
        return x
    dims = [a % max(rank, 1) for a in axes] or list(range(rank))
    result = moving.reduce(walk, x, op, dims, keepdims=bool(call.get("keepdims", 1)))
    return result if op in ("argmax", "argmin") else with_total(walk, call, result)


@rule("CumSum", "CumProd")
def cumulation(walk: Walk, call: Call) -> Value:
    """Running totals."""
    x = call.operand(walk, 0)
    axis = call.number(1, call.get("axis", 0))
    flags = {name: bool(call.get(name, 0)) for name in ("exclusive", "reverse")}
    result = moving.on_axis(walk, x, axis % len(x.full), "cumsum", **flags)
    return with_total(walk, call, result)


@rule("TopK")
def largest(walk: Walk, call: Call) -> list[Item]:
    """Elements chosen by their values, over-approximated by the whole axis."""
    x = call.operand(walk, 0)
    count = call.number(1, call.get("k", 1))
    result = moving.on_axis(walk, x, call.get("axis", -1) % len(x.full), "topk", k=count)
    return [result, result]


@rule("LayerNormalization", "RMSNormalization", "SimplifiedLayerNormalization")
def layer_norm(walk: Walk, call: Call) -> list[Item]:
    """Normalisation over the axes from `axis` on; also its mean and deviation."""
    x = call.operand(walk, 0)
    axis = call.get("axis", -1) % len(x.full)
    op = "layer_norm" if call.op == "LayerNormalization" else "rms_norm"
    result = mixing.norm(walk, x, len(x.full) - axis, op)
    whole = _scaled(walk, call, result, axis, broadcast=True)
    if len(call.node.output) < 2:
        return [whole]
    dims = list(range(axis, len(x.full)))
    return [whole, *(moving.reduce(walk, x, name, dims, keepdims=True) for name in ("mean", "std"))]


@rule("InstanceNormalization", "GroupNormalization")
def group_norm(walk: Walk, call: Call) -> Value:
    """Each channel over its positions, or groups of channels over all positions."""
    x = call.operand(walk, 0)
    if call.op == "InstanceNormalization":
        return _scaled(walk, call, mixing.norm(walk, x, len(x.full) - 2), 1)
    result = mixing.group_norm(walk, x, call.get("num_groups", 1))
    per_group = [v for v in call.dynamic(1) if v.full != (x.full[1],)]
    return walk.everything(call, x.full) if per_group else _scaled(walk, call, result, 1)


def _scaled(walk: Walk, call: Call, result: Value, axis: int, *, broadcast: bool = False) -> Value:
    """Scale and bias that depend on the input, along an axis."""
    full, others = result.full, call.dynamic(1)
    if not others:
        return result
    if not broadcast:
        others = [walk.shaped(value, (*value.full, *(1,) * (len(full) - axis - 1))) for value in others]
    parts = [result, *others] if call.value(0) is not None else others
    return replace(walk.elementwise("elementwise", parts, full), known=None)


@rule("LpNormalization", "MeanVarianceNormalization")
def over_axes(walk: Walk, call: Call) -> Value:
    """Normalisation over listed axes."""
    x = call.operand(walk, 0)
    listed: Sequence[int] = [call.get("axis", -1)] if call.op == "LpNormalization" else call.get("axes") or [0, 2, 3]
    axes = sorted(a % len(x.full) for a in listed)
    order = [*(k for k in range(len(x.full)) if k not in axes), *axes]
    op = "rms_norm" if call.op == "LpNormalization" else "layer_norm"
    result = mixing.norm(walk, moving.permute(walk, x, order), len(axes), op)
    return moving.permute(walk, result, [order.index(k) for k in range(len(order))])


@rule("Det")
def determinant(walk: Walk, call: Call) -> Value:
    """Of whole matrices, side by side; zeros may make others of no account."""
    x = call.operand(walk, 0)
    result = moving.reduce(walk, x, "sum", [len(x.full) - 2, len(x.full) - 1], keepdims=False)
    return walk.loosened(result) if x.zeroed.any() else result


@rule("FusedMatMul", domain="com.microsoft")
def fused(walk: Walk, call: Call) -> Value:
    """A product of matrices, turned or not."""
    a, b = call.operand(walk, 0), call.operand(walk, 1)
    a = products.transpose(walk, a) if call.get("transA", 0) else a
    return products.matmul(walk, a, products.transpose(walk, b) if call.get("transB", 0) else b)


@rule("DFT", "RoiAlign", "MaxRoiPool")
def over_approximated(walk: Walk, call: Call) -> list[Item]:
    """Frequencies, which may read every sample, and regions, which may be anywhere: they may read everything."""
    return walk.opaque(call)


@rule("STFT")
def short_fourier(walk: Walk, call: Call) -> Value:
    """Fourier transforms of windows, over-approximated; the standard's shape inference leaves `onesided` out."""
    batch, samples = call.full(0)[:2]
    length = call.number(3) if call.has(3) else call.full(2)[0]
    frames = (samples - length) // call.number(1) + 1
    return walk.everything(call, (batch, frames, length // 2 + 1 if call.get("onesided", 1) else length, 2))


@rule("LSTM", "GRU", "RNN")
def recurrent(walk: Walk, call: Call) -> list[Any]:
    """Recurrent layers over time, either way: every step, and the last ones."""
    full, hidden, x = call.full(0), call.full(2)[-1], call.value(0)
    batch_first = bool(call.get("layout", 0))
    steps, batch = (full[1], full[0]) if batch_first else full[:2]
    directions = {"forward": [False], "reverse": [True], "bidirectional": [False, True]}
    ways = directions[call.get("direction", "forward")]
    if call.full(1)[0] != len(ways):
        raise ShapeError(f"weights of shape {call.full(1)} do not fit {len(ways)} directions")
    lengths = call.array(4) if call.has(4) and call.value(4) is None else None
    computed = any(call.value(k) is not None for k in (1, 2, 3, 4, 7))
    if x is None or computed or (lengths is not None and (lengths != steps).any()):
        output, final = (steps, len(ways), batch, hidden), (len(ways), batch, hidden)
        if batch_first:
            output, final = (batch, steps, len(ways), hidden), (batch, len(ways), hidden)
        return [partial(walk.everything, call, shape) for shape in (output, final, final)]
    x = walk.spread(moving.permute(walk, x, [1, 0, 2]) if batch_first else x)
    states = [call.value(k) for k in ((5, 6) if call.op == "LSTM" else (5,))]
    states = [moving.permute(walk, s, [1, 0, 2]) if s is not None and batch_first else s for s in states]
    found = [mixing.one_way(walk, x, states, k, (hidden, hidden), 0, backward) for k, backward in enumerate(ways)]
    whole = moving.concat(walk, [walk.shaped(f, (steps, 1, batch, hidden)) for f in found], 1)
    last = moving.concat(
        walk, [mixing.last_step(walk, f, 0, backward=back) for f, back in zip(found, ways, strict=True)], 0
    )
    if batch_first:
        whole, last = moving.permute(walk, whole, [2, 0, 1, 3]), moving.permute(walk, last, [1, 0, 2])
    return [whole, last, last][: len(call.node.output)]
