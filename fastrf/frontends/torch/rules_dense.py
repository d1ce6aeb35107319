"""Rules of ATen operators that mix whole axes."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch.fx import Node

from fastrf.frontends.hiding import blocked, kept
from fastrf.frontends.lowering import Value, compressed
from fastrf.frontends.masking import closed
from fastrf.frontends.mixing import attended, connected, normed, reduced, softened
from fastrf.frontends.moving import constant, on_axis
from fastrf.frontends.products import contracted, multiplied, turned, without_ellipsis
from fastrf.frontends.torch.arguments import bound, fake_shape, operator_name, short_name
from fastrf.frontends.torch.known import table_of
from fastrf.frontends.torch.names import LOG_SOFTMAXES, SOFTMAXES
from fastrf.frontends.torch.rules_pointwise import n_ary
from fastrf.frontends.torch.walk import Walk, rule

__all__ = ["operand"]


@rule("aten::linear")
def linear(walk: Walk, node: Node) -> Value:
    """A fully connected layer over the last axis; its weights may be computed from the input."""
    a = bound(node)
    x, weight = walk.value(a["input"]), walk.value(a["weight"])
    parts = walk.dynamic([a["bias"]])
    if weight is not None:
        other = operand(walk, a["input"], weight)
        parts.append(multiplied(walk, other, turned(walk, weight) if len(weight.full) == 2 else weight))
    elif x is not None:
        shape = fake_shape(a["weight"])
        used = table_of(walk, a["weight"]) != 0
        if len(shape) == 1:
            return multiplied(walk, x, operand(walk, a["weight"], x))
        parts.append(connected(walk, x, shape[0], bias=a["bias"] is not None, used=used))
    return parts[0] if len(parts) == 1 else walk.elementwise("add", parts, fake_shape(node))


def operand(walk: Walk, argument: Any, like: Value) -> Value:
    """A value, or a constant with its zeros where they may be looked at."""
    value = walk.value(argument)
    if value is not None:
        return value
    return replace(constant(walk, like, fake_shape(argument)), known=compressed(table_of(walk, argument)))


@rule("aten::matmul", "aten::bmm", "aten::mm", "aten::mv", "aten::dot", "aten::__rmatmul__")
def matmul(walk: Walk, node: Node) -> Value:
    """Matrix products; a constant operand is only a shape."""
    first, second = node.args[:2]
    return product(walk, first, second)


@rule("aten::addmm", "aten::baddbmm", "aten::addbmm", "aten::addmv")
def addmm(walk: Walk, node: Node) -> Value:
    """A matrix product plus a term."""
    base, first, second = node.args[:3]
    full = fake_shape(node)
    parts = walk.dynamic([base])
    if walk.dynamic([first, second]):
        result = product(walk, first, second)
        if short_name(node) == "addbmm":
            result = reduced(walk, result, "sum", [0], keepdims=False)
        parts.append(result)
    total = replace(walk.elementwise("add", parts, full), known=None)
    shut = np.isneginf(table_of(walk, base))
    return blocked(walk, total, shut) if shut.any() else total


def product(walk: Walk, first: Any, second: Any) -> Value:
    """The matrix product of two arguments of which at least one depends on the input."""
    like = walk.dynamic([first, second])[0]
    return multiplied(walk, operand(walk, first, like), operand(walk, second, like))


@rule("aten::einsum")
def einsum(walk: Walk, node: Node) -> Value:
    """Einstein sums without ellipsis; with one, the letters are written out."""
    a = bound(node)
    tensors = a["tensors"]
    equation = without_ellipsis(a["equation"].replace(" ", ""), [len(fake_shape(t)) for t in tensors])
    like = walk.dynamic(tensors)[0]
    return contracted(walk, [operand(walk, t, like) for t in tensors], equation)


@rule(*SOFTMAXES)
def softmax(walk: Walk, node: Node) -> Value:
    """Softmax; elements that are minus infinity by definition take no part and become zero."""
    a = bound(node)
    x = walk.value(a["self"])
    assert x is not None
    result = softened(walk, x, a["dim"] % max(len(x.full), 1))
    if operator_name(node) not in LOG_SOFTMAXES or result.known is None:
        return result
    return replace(result, known=np.where(result.known == 0, -np.inf, result.known))


@rule("aten::scaled_dot_product_attention")
def attention(walk: Walk, node: Node) -> Value:
    """Attention; what a mask excludes must be constant."""
    a = bound(node)
    like = walk.dynamic([a["query"], a["key"], a["value"]])[0]
    q, k, v = (walk.value(a[name]) or constant(walk, like, fake_shape(a[name])) for name in ("query", "key", "value"))
    if a.get("enable_gqa") and k.full[-3] != q.full[-3]:
        times = q.full[-3] // k.full[-3]
        k, v = (on_axis(walk, t, len(t.full) - 3, "repeat_interleave", repeats=times) for t in (k, v))
    lead = np.broadcast_shapes(q.full[:-2], k.full[:-2], v.full[:-2])
    q, k, v = (walk.expanded(t, (*(int(n) for n in lead), *t.full[-2:])) for t in (q, k, v))
    mask = walk.value(a["attn_mask"])
    allowed = None if mask is not None or a["attn_mask"] is None else _allowed(walk, a["attn_mask"])
    if mask is not None and a["attn_mask"].meta["val"].dtype == torch.bool:
        allowed, mask = table_of(walk, a["attn_mask"]) != 0, replace(mask, known=None)
    return attended(walk, (q, k, v), mask, allowed, causal=bool(a["is_causal"]))


def _allowed(walk: Walk, mask: Any) -> np.ndarray[Any, Any]:
    """Where a constant mask lets attention through."""
    if walk.has_parameters(mask):
        return np.ones((1, 1), bool)
    table = walk.array(mask)
    if table.dtype == bool:
        return table
    shut = closed(walk, table.astype(np.float64), -1)
    return np.ones((1, 1), bool) if shut is None else ~shut


@rule("aten::layer_norm", "aten::rms_norm", "aten::_fused_rms_norm")
def layer_norm(walk: Walk, node: Node) -> Value:
    """Normalisation over the last axes."""
    a = bound(node)
    x = walk.value(a["input"])
    if x is None:
        return walk.opaque(node)
    op = "rms_norm" if short_name(node) in ("rms_norm", "_fused_rms_norm") else "layer_norm"
    return _scaled(walk, normed(walk, x, len(a["normalized_shape"]), op), a["weight"])


@rule("aten::native_layer_norm")
def native_layer_norm(walk: Walk, node: Node) -> list[Value]:
    """Layer norm, with the statistics that training uses."""
    return [layer_norm(walk, node)]


@rule("aten::group_norm", "aten::native_group_norm")
def group_norm(walk: Walk, node: Node) -> Any:
    """Normalisation over groups of channels and all positions."""
    a = bound(node)
    x = walk.value(a["input"])
    if x is None:
        return walk.opaque(node)
    groups = a.get("num_groups") or a["group"]
    apart = walk.shaped(x, (x.full[0], groups, x.full[1] // groups, *x.full[2:]))
    result = walk.shaped(normed(walk, apart, len(apart.full) - 2), x.full)
    result = _scaled(walk, result, a["weight"], 1)
    return [result] if short_name(node) == "native_group_norm" else result


@rule("aten::instance_norm")
def instance_norm(walk: Walk, node: Node) -> Value:
    """Normalisation of each channel over its positions."""
    x = walk.value(node.args[0])
    if x is None:
        return walk.opaque(node)
    a = bound(node)
    if a["use_input_stats"]:
        whole = walk.emit("instance_norm", x) if x.stripped else normed(walk, x, len(x.full) - 2)
        return _scaled(walk, whole, a["weight"], 1)
    return _scaled(walk, x, a["weight"], 1)


@rule("aten::batch_norm")
def batch_norm(walk: Walk, node: Node) -> Value:
    """Frozen statistics: pointwise; with those of the batch of one: each channel over its positions."""
    a = bound(node)
    x = walk.value(a["input"])
    if x is None:
        return walk.opaque(node)
    result = _by_batch(walk, x) if a["training"] else walk.emit("batch_norm", x)
    return _scaled(walk, result, a["weight"], 1)


def _scaled(walk: Walk, result: Value, weight: Any, axis: int | None = None) -> Value:
    """What is left where scales, along one axis or the last ones, are zero by definition."""
    used = table_of(walk, weight) != 0
    if weight is None or used.all():
        return replace(result, known=None)
    shape = used.shape if axis is None else [-1 if k == axis else 1 for k in range(len(result.full))]
    return replace(kept(walk, result, used.reshape(shape)), known=None)


def _by_batch(walk: Walk, x: Value) -> Value:
    """Each channel normalised over the batch, if windows were merged into it, and all positions."""
    if x.full[0] == 1:
        return normed(walk, x, len(x.full) - 2)
    return walk.emit("layer_norm", x, axes=[0, *range(2, len(x.full))])


@rule("aten::_native_batch_norm_legit_no_training", "aten::native_batch_norm", "aten::_native_batch_norm_legit")
@rule("aten::_batch_norm_no_update", "aten::cudnn_batch_norm")
def native_batch_norm(walk: Walk, node: Node) -> list[Value]:
    """The forms of batch norm that also return statistics."""
    x, a = walk.value(node.args[0]), bound(node)
    if x is None:
        raise walk.unsupported(node)
    frozen = short_name(node) in _FROZEN or not a.get("training", True)
    result = walk.emit("batch_norm", x) if frozen else _by_batch(walk, x)
    return [_scaled(walk, result, a.get("weight"), 1)]


#: Forms of batch norm that use the statistics they are given.
_FROZEN = ("_native_batch_norm_legit_no_training", "_batch_norm_no_update")


_REDUCTIONS = {
    **{name: name for name in ("sum", "mean", "prod", "std", "var", "logsumexp", "any", "all", "norm")},
    **{"amax": "max", "amin": "min", "max": "max", "min": "min", "linalg_vector_norm": "norm", "nansum": "sum"},
    **{
        "nanmean": "mean",
        "argmax": "argmax",
        "argmin": "argmin",
        "median": "max",
        "count_nonzero": "sum",
        "mode": "max",
    },
    **{"var_mean": "var", "std_mean": "std", "kthvalue": "max", "nanmedian": "max", "aminmax": "max"},
}


@rule(*[f"aten::{name}" for name in _REDUCTIONS])
def reduction(walk: Walk, node: Node) -> Any:
    """One value per whole axis; the forms with two results give both."""
    a = bound(node)
    if a.get("other") is not None:  # of two tensors, as maximum and minimum
        return n_ary(walk, node)
    x = walk.value(node.args[0])
    assert x is not None
    name = short_name(node)
    dims = a.get("dim")
    listed = list(range(len(x.full))) if dims is None or dims == [] else [dims] if isinstance(dims, int) else list(dims)
    listed, keepdims = [d % max(len(x.full), 1) for d in listed], bool(a.get("keepdim", False))
    result = reduced(walk, x, _REDUCTIONS[name], listed, keepdims=keepdims)
    if isinstance(node.meta["val"], tuple | list):
        return [result, reduced(walk, x, "mean", listed, keepdims=keepdims) if "mean" in name else result]
    return result


@rule(*[f"aten::{name}" for name in ("cumsum", "cumprod", "logcumsumexp")])
def cumulation(walk: Walk, node: Node) -> Value:
    """Running totals along an axis."""
    x = walk.value(node.args[0])
    assert x is not None
    return on_axis(walk, x, bound(node)["dim"], "cumsum")


@rule("aten::cummax", "aten::cummin")
def cumulative_extreme(walk: Walk, node: Node) -> list[Value]:
    """Running extremes, and where they were."""
    result = cumulation(walk, node)
    return [result, result]


@rule("aten::topk", "aten::sort", "aten::argsort", "aten::msort")
def ordering(walk: Walk, node: Node) -> Any:
    """Elements chosen by their values, over-approximated by the whole axis."""
    a = bound(node)
    x = walk.value(a["self"])
    assert x is not None
    axis = a.get("dim", 0)
    count = {"k": a["k"]} if "k" in a else {}
    result = on_axis(walk, x, axis, "topk" if count else "sort", **count)
    return [result, result] if isinstance(node.meta["val"], tuple | list) else result


@rule("aten::glu")
def glu(walk: Walk, node: Node) -> Value:
    """One half of an axis gated by the other."""
    a = bound(node)
    x = walk.value(a["self"])
    assert x is not None
    half = x.full[a["dim"]] // 2
    parts = [on_axis(walk, x, a["dim"], "slice", start=start, stop=start + half) for start in (0, half)]
    return walk.elementwise("mul", parts, fake_shape(node))


@rule("aten::dist")
def distance(walk: Walk, node: Node) -> Value:
    """The norm of a difference."""
    shape = tuple(int(n) for n in np.broadcast_shapes(*(fake_shape(t) for t in node.args[:2])))
    both = walk.elementwise("sub", walk.dynamic(node.args[:2]), shape)
    return reduced(walk, both, "sum", list(range(len(shape))), keepdims=False)


@rule("aten::cosine_similarity")
def cosine_similarity(walk: Walk, node: Node) -> Value:
    """Products and norms over an axis of both inputs."""
    a = bound(node)
    values = walk.dynamic([a["x1"], a["x2"]])
    shape = tuple(np.broadcast_shapes(*(fake_shape(t) for t in (a["x1"], a["x2"]))))
    both = walk.elementwise("mul", values, tuple(int(n) for n in shape))
    return reduced(walk, both, "sum", [a["dim"] % len(shape)], keepdims=False)
