"""Whole axes mixed: softmax, attention, norms, reductions and recurrences, with what constants hide."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from fastrf.errors import ShapeError
from fastrf.frontends import moving, products
from fastrf.frontends.hiding import mask_out, masked_fill, set_known, uniform
from fastrf.frontends.lowering import GraphWalk, Mask, Value, compressed
from fastrf.frontends.masking import excluded, levels, set_added

__all__ = [
    "attention",
    "batch_norm",
    "group_norm",
    "linear",
    "norm",
    "reduce",
    "softmax",
]


def softmax(walk: GraphWalk, x: Value, axis: int) -> Value:
    """A softmax over a full axis; what constants exclude takes no part."""
    shut = excluded(walk, levels(x), axis)
    if shut is None:
        return moving.on_axis(walk, x, axis, "softmax")
    shown = x if x.added is None else mask_out(walk, x, ~shut)
    result = moving.on_axis(walk, shown, axis, "softmax")
    open_ = np.broadcast_to(
        ~shut, np.broadcast_shapes(shut.shape, tuple(n if k == axis else 1 for k, n in enumerate(x.full)))
    )
    several = open_.sum(axis=axis, keepdims=True) > 1
    return replace(mask_out(walk, result, open_ & several), known=compressed(np.where(shut, 0, np.nan)))


def attention(
    walk: GraphWalk, qkv: tuple[Value, Value, Value], mask: Value | None, allowed: Any, *, causal: bool
) -> Value:
    """Attention of query, key and value with equal leading axes.

    `mask` is added to the scores and depends on the input; `allowed` (bool, broadcastable to the scores, or None) says
    which keys a query may read.
    """
    q, k, v = qkv
    scores_shape = (*q.full[:-1], k.full[-2])
    table = None if allowed is None or allowed.all() else uniform(allowed, scores_shape)
    if mask is not None or (table is None and not (allowed is None or allowed.all())):
        return _spelled_out(walk, qkv, mask, allowed, causal=causal)
    both = q.stripped and len(q.full) > 2
    values = [q, k, v] if both else [walk.spread(t) for t in (q, k, v)]
    attributes = {} if table is None else {"mask": table.tolist()}
    return walk.emit("attention", *values, causal=causal, **attributes)


def _spelled_out(
    walk: GraphWalk, qkv: tuple[Value, Value, Value], mask: Value | None, allowed: Any, *, causal: bool
) -> Value:
    """Attention as product, mask, softmax, product, for masks that differ by head or depend on the input."""
    q, k, v = qkv
    order = [*range(len(k.full) - 2), len(k.full) - 1, len(k.full) - 2]
    scores = products.matmul(walk, q, moving.permute(walk, k, order))
    open_ = np.ones((1, 1), bool) if allowed is None else allowed
    if mask is not None:
        total = walk.elementwise("add", [scores, mask], scores.full)
        scores = set_added(walk, total, levels(mask))
        open_ = open_ if mask.blocked is None else ~mask.blocked
    if causal:
        open_ = open_ & np.tril(np.ones(scores.full[-2:], bool))
    if not open_.all():
        scores = masked_fill(walk, scores, ~open_)
    return products.matmul(walk, softmax(walk, scores, len(scores.full) - 1), v)


def linear(walk: GraphWalk, x: Value, out: int, *, bias: bool, used: Mask | None = None) -> Value:
    """A fully connected layer over the last axis; `used` (out, in) says where its weights are not zero."""
    value = x if x.shape and len(x.full) > 1 else walk.spread(x)
    more = {} if used is None or used.all() else {"used": used.tolist()}
    return walk.emit("linear", value, out_features=out, bias=bias, **more)


def norm(walk: GraphWalk, x: Value, count: int, op: str = "layer_norm") -> Value:
    """Normalisation over the last `count` axes."""
    value = x if len(x.shape) >= count else walk.spread(x)
    result = walk.emit(op, value, axes=list(range(-count, 0)))
    if op != "rms_norm" or x.zeroed is None:
        return result
    return set_known(walk, result, np.where(x.zeroed, 0, np.nan))


def group_norm(walk: GraphWalk, x: Value, groups: int) -> Value:
    """Normalisation over groups of channels and all positions."""
    if groups < 1 or x.full[1] % groups:
        raise ShapeError(f"{groups} groups do not divide {x.full[1]} channels")
    apart = walk.shaped(x, (x.full[0], groups, x.full[1] // groups, *x.full[2:]))
    return walk.shaped(norm(walk, apart, len(apart.full) - 2), x.full)


def batch_norm(walk: GraphWalk, x: Value) -> Value:
    """Each channel normalised over the batch and all positions."""
    if x.full[0] == 1:
        return norm(walk, x, len(x.full) - 2)
    return walk.emit("layer_norm", x, axes=[0, *range(2, len(x.full))])


def reduce(walk: GraphWalk, x: Value, op: str, dims: list[int], *, keepdims: bool) -> Value:
    """A reduction over full axes."""
    full = tuple(1 if k in dims else n for k, n in enumerate(x.full) if keepdims or k not in dims)
    axes = [x.axis(d) for d in dims if x.full and x.axis(d) >= 0]
    if op in ("argmax", "argmin"):
        op = "std"  # like it, constant over a single element and otherwise reading all
    if not axes:
        result = walk.emit_nothing(x) if op in ("std", "var") else x
        return walk.shaped(result, full)
    return walk.shaped(walk.emit(op, x, axes=axes, keepdims=False), full)
