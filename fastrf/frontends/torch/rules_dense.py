"""Rules of ATen operators that mix whole axes."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch.fx import Node

from fastrf.frontends import mixing, moving, products
from fastrf.frontends.lowering import Value, compressed
from fastrf.frontends.masking import exclusions, mask_out, masked_fill, note_excluded
from fastrf.frontends.torch.arguments import bound, fake_shape, first_only, for_each, short_name
from fastrf.frontends.torch.known import table_of
from fastrf.frontends.torch.names import NORMS, SOFTMAXES
from fastrf.frontends.torch.registry import Walk, rule
from fastrf.frontends.torch.rules_pointwise import pointwise

__all__ = ["operand"]


@rule("linear")
def linear(walk: Walk, node: Node) -> Value:
    """A fully connected layer over the last axis; its weights may be computed from the input."""
    a = bound(node)
    x, weight = walk.value(a["input"]), walk.value(a["weight"])
    parts = walk.dynamic([a["bias"]])
    if weight is not None:
        other = operand(walk, a["input"], weight)
        parts.append(
            products.matmul(walk, other, products.transpose(walk, weight) if len(weight.full) == 2 else weight)
        )
    elif x is not None:
        shape = fake_shape(a["weight"])
        used = table_of(walk, a["weight"]) != 0
        if len(shape) == 1:
            return products.matmul(walk, x, operand(walk, a["weight"], x))
        parts.append(mixing.linear(walk, x, shape[0], bias=a["bias"] is not None, used=used))
    return parts[0] if len(parts) == 1 else walk.elementwise("add", parts, fake_shape(node))


def operand(walk: Walk, argument: Any, like: Value) -> Value:
    """A value, or a constant with its zeros where they may be looked at."""
    value = walk.tensor(argument, like)
    return value if walk.value(argument) else replace(value, known=compressed(table_of(walk, argument)))


@rule("matmul", "bmm", "mm", "mv", "dot")
def matmul(walk: Walk, node: Node) -> Value:
    """Matrix products; a constant operand is only a shape."""
    first, second = node.args[:2]
    return product(walk, first, second)


@rule("addmm", "baddbmm", "addbmm", "addmv")
def addmm(walk: Walk, node: Node) -> Value:
    """A matrix product plus a term."""
    base, first, second = node.args[:3]
    full = fake_shape(node)
    parts = walk.dynamic([base])
    if walk.dynamic([first, second]):
        result = product(walk, first, second)
        if short_name(node) == "addbmm":
            result = moving.reduce(walk, result, "sum", [0], keepdims=False)
        parts.append(result)
    total = replace(walk.elementwise("add", parts, full), known=None)
    shut = np.isneginf(table_of(walk, base))
    return masked_fill(walk, total, shut) if shut.any() else total


def product(walk: Walk, first: Any, second: Any) -> Value:
    """The matrix product of two arguments of which at least one depends on the input."""
    like = walk.dynamic([first, second])[0]
    return products.matmul(walk, operand(walk, first, like), operand(walk, second, like))


@rule("einsum")
def einsum(walk: Walk, node: Node) -> Value:
    """Einstein sums."""
    a = bound(node)
    like = walk.dynamic(a["tensors"])[0]
    return products.einsum(walk, [operand(walk, t, like) for t in a["tensors"]], a["equation"])


@rule(*SOFTMAXES)
def softmax(walk: Walk, node: Node) -> Value:
    """Softmax; elements that are minus infinity by definition take no part and become zero."""
    x, log = walk.first(node), short_name(node) == "log_softmax"
    return mixing.softmax(walk, x, bound(node)["dim"] % max(len(x.full), 1), log=log)


@rule("scaled_dot_product_attention")
def attention(walk: Walk, node: Node) -> Value:
    """Attention; what a mask excludes must be constant."""
    a = bound(node)
    like = walk.dynamic([a["query"], a["key"], a["value"]])[0]
    q, k, v = (walk.tensor(a[name], like) for name in ("query", "key", "value"))
    if a.get("enable_gqa") and k.full[-3] != q.full[-3]:
        times = q.full[-3] // k.full[-3]
        k, v = (moving.on_axis(walk, t, len(t.full) - 3, "repeat_interleave", repeats=times) for t in (k, v))
    lead = np.broadcast_shapes(q.full[:-2], k.full[:-2], v.full[:-2])
    q, k, v = (walk.expanded(t, (*(int(n) for n in lead), *t.full[-2:])) for t in (q, k, v))
    mask, allowed = walk.value(a["attn_mask"]), _allowed(walk, a["attn_mask"])
    if mask is not None and a["attn_mask"].meta["val"].dtype == torch.bool:
        allowed, mask = table_of(walk, a["attn_mask"]) != 0, replace(mask, known=None)
    return mixing.attention(walk, (q, k, v), mask, allowed, causal=bool(a["is_causal"]))


def _allowed(walk: Walk, mask: Any) -> np.ndarray[Any, Any] | None:
    """Where a constant mask lets attention through; None where it says nothing."""
    if mask is None or walk.value(mask):
        return None
    truths, below = mask.meta["val"].dtype == torch.bool, walk.options.mask_below
    if walk.has_parameters(mask):
        table, added = table_of(walk, mask), walk.added(mask)
        if truths:
            return np.asarray(table != 0)
        shut, said = exclusions(np.where(np.isnan(table), 0.0 if added is None else added, table), -1, below)
        note_excluded(walk, said)
        return ~shut
    table = walk.array(mask)
    if truths:
        return table
    shut, said = walk.once("shut", [table], lambda: exclusions(table.astype(np.float64), -1, below))
    note_excluded(walk, said)
    open_: np.ndarray[Any, Any] = walk.once("open", [shut], lambda: ~shut)
    return open_


@rule(*NORMS)
def norm(walk: Walk, node: Node) -> Any:
    """Normalisation over the last axes, over groups of channels, of each channel, or by the statistics of the batch.

    Frozen statistics make it pointwise.
    """
    x, a = walk.value(node.args[0]), bound(node)
    if x is None:
        return walk.opaque(node)
    axis: int | None = 1
    if "normalized_shape" in a:
        op = "rms_norm" if short_name(node) in ("rms_norm", "_fused_rms_norm") else "layer_norm"
        result, axis = mixing.norm(walk, x, len(a["normalized_shape"]), op), None
    elif groups := a.get("num_groups", a.get("group")):
        result = mixing.group_norm(walk, x, groups)
    elif a.get("use_input_stats"):
        result = mixing.instance_norm(walk, x)
    elif a.get("training"):
        result = mixing.batch_norm(walk, x)
    else:
        result = x if "use_input_stats" in a else walk.emit("batch_norm", x)
    return first_only(node, _scaled(walk, result, a["weight"], axis))


def _scaled(walk: Walk, result: Value, weight: Any, axis: int | None = None) -> Value:
    """What is left where scales, along one axis or the last ones, are zero by definition."""
    used = table_of(walk, weight) != 0
    if weight is None or used.all():
        return replace(result, known=None)
    shape = used.shape if axis is None else [-1 if k == axis else 1 for k in range(len(result.full))]
    return replace(mask_out(walk, result, used.reshape(shape)), known=None)


_REDUCTIONS = {
    **{name: name for name in ("sum", "mean", "prod", "std", "var", "logsumexp", "any", "all", "norm")},
    **{"argmax": "argmax", "argmin": "argmin", "linalg_vector_norm": "norm", "var_mean": "var", "std_mean": "std"},
    **dict.fromkeys(("amax", "max", "median", "nanmedian", "mode", "kthvalue", "aminmax"), "max"),
    **{"amin": "min", "min": "min", "nansum": "sum", "count_nonzero": "sum", "nanmean": "mean"},
}


@rule(*_REDUCTIONS)
def reduction(walk: Walk, node: Node) -> Any:
    """One value per whole axis; the forms with two results give both."""
    a = bound(node)
    if a.get("other") is not None:  # of two tensors, as maximum and minimum
        return pointwise(walk, node)
    x, name, dims = walk.first(node), short_name(node), a.get("dim")
    listed = list(range(len(x.full))) if dims is None or dims == [] else [dims] if isinstance(dims, int) else list(dims)
    listed, keepdims = [d % max(len(x.full), 1) for d in listed], bool(a.get("keepdim", False))
    if name in ("any", "all", "count_nonzero"):  # the only element of an axis is told as a truth
        x = replace(x, known=compressed(np.where(np.isnan(x.table), np.nan, x.table != 0)))
    result = moving.reduce(walk, x, _REDUCTIONS[name], listed, keepdims=keepdims)
    if name in ("var_mean", "std_mean"):
        return [result, moving.reduce(walk, x, "mean", listed, keepdims=keepdims)]
    return for_each(node, result)


@rule("cumsum", "cumprod", "logcumsumexp", "cummax", "cummin")
def cumulation(walk: Walk, node: Node) -> Any:
    """Running totals and extremes along an axis, and where the latter were."""
    return for_each(node, moving.on_axis(walk, walk.first(node), bound(node)["dim"], "cumsum"))


@rule("topk", "sort", "argsort", "msort")
def ordering(walk: Walk, node: Node) -> Any:
    """Elements chosen by their values, over-approximated by the whole axis."""
    a, x = bound(node), walk.first(node)
    if "k" in a:
        return for_each(node, moving.on_axis(walk, x, a["dim"], "topk", k=a["k"]))
    return for_each(node, moving.on_axis(walk, x, a.get("dim", 0), "sort"))


@rule("glu")
def glu(walk: Walk, node: Node) -> Value:
    """One half of an axis gated by the other."""
    a, x = bound(node), walk.first(node)
    half = x.full[a["dim"]] // 2
    parts = [moving.on_axis(walk, x, a["dim"], "slice", start=start, stop=start + half) for start in (0, half)]
    return walk.elementwise("mul", parts, fake_shape(node))


@rule("dist", "cosine_similarity")
def distance(walk: Walk, node: Node) -> Value:
    """Differences of two tensors summed over all axes, or products over one."""
    dim = bound(node).get("dim")
    shape = tuple(int(n) for n in np.broadcast_shapes(*map(fake_shape, node.args[:2])))
    both = walk.elementwise("sub" if dim is None else "mul", walk.dynamic(node.args[:2]), shape)
    dims = list(range(len(shape))) if dim is None else [dim % len(shape)]
    return moving.reduce(walk, both, "sum", dims, keepdims=False)
