"""Whole axes mixed: softmax, attention, norms, reductions and recurrences, with what constants hide."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from fastrf.errors import ShapeError
from fastrf.frontends import moving, products
from fastrf.frontends.lowering import GraphWalk, Known, Mask, Value, compressed
from fastrf.frontends.masking import (
    exclusions,
    levels,
    mask_out,
    masked_fill,
    note_excluded,
    set_added,
    set_known,
    uniform,
)
from fastrf.ops.truths import nested

__all__ = [
    "attention",
    "batch_norm",
    "group_norm",
    "instance_norm",
    "last_step",
    "linear",
    "norm",
    "one_way",
    "softmax",
]


def softmax(walk: GraphWalk, x: Value, axis: int, *, log: bool = False) -> Value:
    """A softmax over a full axis, or its logarithm; what constants exclude takes no part and becomes zero."""
    key = "softmax", axis, x.full[axis], log, walk.options.mask_below
    tables = walk.once(key, [x.known, x.added], lambda: _softmax_tables(x, axis, log, walk.options.mask_below))
    if tables is None:
        return moving.on_axis(walk, x, axis, "softmax")
    open_, read, known, said = tables
    note_excluded(walk, said)
    shown = x if x.added is None else mask_out(walk, x, open_)
    result = moving.on_axis(walk, shown, axis, "softmax")
    return replace(mask_out(walk, result, read), known=known)


def _softmax_tables(x: Value, axis: int, log: bool, mask_below: float) -> tuple[Mask, Mask, Known | None, str] | None:
    """Where a softmax reads, where its result does, what is known of that, and what is taken for granted.

    None where it leaves out nothing; a place that alone is left has the constant weight 1.
    """
    shut, said = exclusions(levels(x), axis, mask_below)
    if not shut.any():
        return None
    along = tuple(n if k == axis else 1 for k, n in enumerate(x.full))
    open_ = np.broadcast_to(~shut, np.broadcast_shapes(shut.shape, along))
    several = open_.sum(axis=axis, keepdims=True) > 1
    return ~shut, open_ & several, compressed(np.where(shut, -np.inf if log else 0.0, np.nan)), said


def attention(
    walk: GraphWalk, qkv: tuple[Value, Value, Value], mask: Value | None, allowed: Any, *, causal: bool
) -> Value:
    """Attention of query, key and value with equal leading axes.

    `mask` is added to the scores and depends on the input; `allowed` (bool, broadcastable to the scores, or None) says
    which keys a query may read.
    """
    q, k, v = qkv
    scores_shape = (*q.full[:-1], k.full[-2])
    table = None
    if allowed is not None:
        allowed, table = walk.once(("keys", scores_shape), [allowed], lambda: _keys(allowed, scores_shape))
    if mask is not None or (allowed is not None and table is None):
        return _spelled_out(walk, qkv, mask, allowed, causal=causal)
    both = q.stripped and len(q.full) > 2
    values = [q, k, v] if both else [walk.spread(t) for t in (q, k, v)]
    attributes = {} if table is None else {"mask": table}
    return walk.emit("attention", *values, causal=causal, **attributes)


def _keys(allowed: Mask, full: tuple[int, ...]) -> tuple[Mask | None, Any]:
    """A mask, None where it hides nothing, and what is the same for all heads as an attribute, None where none is."""
    table = None if allowed.all() else uniform(allowed, full)
    return None if allowed.all() else allowed, None if table is None else nested(table)


def _spelled_out(
    walk: GraphWalk, qkv: tuple[Value, Value, Value], mask: Value | None, allowed: Any, *, causal: bool
) -> Value:
    """Attention as product, mask, softmax, product, for masks that differ by head or depend on the input."""
    q, k, v = qkv
    scores = products.matmul(walk, q, products.transpose(walk, k))
    open_ = np.ones((1, 1), bool) if allowed is None else allowed
    if mask is not None:
        total = walk.elementwise("add", [scores, mask], scores.full)
        scores = set_added(walk, total, levels(mask))
        open_ = open_ & ~np.isneginf(mask.table)
    if causal:
        open_ = open_ & np.tril(np.ones(scores.full[-2:], bool))
    if not open_.all():
        scores = masked_fill(walk, scores, ~open_)
    return products.matmul(walk, softmax(walk, scores, len(scores.full) - 1), v)


def linear(walk: GraphWalk, x: Value, out: int, *, bias: bool, used: Mask | None = None) -> Value:
    """A fully connected layer over the last axis; `used` (out, in) says where its weights are not zero."""
    value = x if x.shape and len(x.full) > 1 else walk.spread(x)
    more = {} if used is None or used.all() else {"used": nested(used)}
    return walk.emit("linear", value, out_features=out, bias=bias, **more)


def norm(walk: GraphWalk, x: Value, count: int, op: str = "layer_norm") -> Value:
    """Normalisation over the last `count` axes."""
    value = x if len(x.shape) >= count else walk.spread(x)
    result = walk.emit(op, value, axes=list(range(-count, 0)))
    return set_known(walk, result, np.where(x.zeroed, 0, np.nan)) if op == "rms_norm" and x.zeroed.any() else result


def group_norm(walk: GraphWalk, x: Value, groups: int) -> Value:
    """Normalisation over groups of channels and all positions."""
    if groups < 1 or x.full[1] % groups:
        raise ShapeError(f"{groups} groups do not divide {x.full[1]} channels")
    apart = walk.shaped(x, (x.full[0], groups, x.full[1] // groups, *x.full[2:]))
    return walk.shaped(norm(walk, apart, len(apart.full) - 2), x.full)


def instance_norm(walk: GraphWalk, x: Value) -> Value:
    """Each channel of each image normalised over its positions."""
    return walk.emit("instance_norm", x) if x.stripped else norm(walk, x, len(x.full) - 2)


def batch_norm(walk: GraphWalk, x: Value) -> Value:
    """Each channel normalised over the batch and all positions."""
    if x.full[0] == 1:
        return instance_norm(walk, x)
    return walk.emit("layer_norm", x, axes=[0, *range(2, len(x.full))])


def last_step(walk: GraphWalk, states: Value, time: int, *, backward: bool) -> Value:
    """What the last step gave, along an axis of 1."""
    at = 0 if backward else states.shape[time] - 1
    return walk.emit("slice", states, axis=time, start=at, stop=at + 1)


def one_way(
    walk: GraphWalk,
    x: Value,
    initial: Sequence[Value | None],
    index: int,
    sizes: tuple[int, int],
    time: int,
    backward: bool,
) -> Value:
    """One layer in one direction: `sizes` are those of its result and of its cell."""
    seen = walk.emit("linear", x, out_features=sizes[0])
    seen = walk.emit("flip", seen, axes=[time]) if backward else seen
    total = walk.emit("cumsum", seen, axis=time)
    steps = total.shape[time]
    for kind, state in enumerate(initial):
        if state is None:
            continue
        own = walk.emit("slice", walk.spread(state), axis=0, start=index, stop=index + 1)
        own = walk.emit("permute", own, order=[1, 0, 2]) if time == 1 else own
        dense = walk.emit("linear", own, out_features=sizes[0])
        shape = [*total.shape]
        if kind == 0 or sizes[0] != sizes[1]:
            total = walk.emit("add", total, walk.emit("expand", dense, shape=shape))
            continue
        shape[time] = steps - 1  # a cell adds to itself at the first step, and through the gates to all after
        later = [walk.emit("expand", dense, shape=shape)] if steps > 1 else []
        total = walk.emit("add", total, walk.emit("concat", own, *later, axis=time))
    return walk.emit("flip", total, axes=[time]) if backward else total
