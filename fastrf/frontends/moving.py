"""Elements moved, put beside each other, and reduced along full axes, whatever the batch is."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from fastrf.frontends.lowering import GraphWalk, Known, Value, compressed, without_batch

__all__ = ["concat", "constant", "on_axis", "pad", "permute", "rearrange", "reduce"]


def permute(walk: GraphWalk, x: Value, order: Sequence[int]) -> Value:
    """A value with its full axes reordered."""
    if x.stripped and order[0] == 0:
        result = walk.emit("permute", x, order=[a - 1 for a in order[1:]])
    else:
        result = walk.emit("permute", walk.spread(x), order=list(order))
    known, added = (None if t is None else t.transpose(order) for t in (x.known, x.added))
    return replace(result, known=known, added=added)


def concat(walk: GraphWalk, parts: Sequence[Value], axis: int) -> Value:
    """Values one after another along a full axis."""
    if len(parts) == 1:
        return parts[0]
    if axis and all(part.full[0] == 1 for part in parts):
        return walk.emit("concat", *parts, axis=axis - 1)
    return walk.emit("concat", *[walk.spread(part) for part in parts], axis=axis)


def reduce(walk: GraphWalk, x: Value, op: str, dims: list[int], *, keepdims: bool) -> Value:
    """A reduction over full axes."""
    full = tuple(1 if k in dims else n for k, n in enumerate(x.full) if keepdims or k not in dims)
    axes = [x.axis(d) for d in dims if x.full and x.axis(d) >= 0]
    if op in ("argmax", "argmin"):
        op = "std"  # like it, constant over a single element and otherwise reading all
    if not axes:
        same = replace(x, known=None) if op == "norm" else x
        return walk.shaped(walk.emit_nothing(x) if op in ("std", "var") else same, full)
    return walk.shaped(walk.emit(op, x, axes=axes, keepdims=keepdims), full)


def constant(walk: GraphWalk, like: Value, full: tuple[int, ...]) -> Value:
    """A tensor of a full shape that depends on nothing."""
    return walk.emit("constant", like, shape=list(without_batch(full)), full=full)


def on_axis(walk: GraphWalk, x: Value, axis: int, op: str, **attributes: Any) -> Value:
    """A layer with an `axis` attribute, on a full axis that may be the batch's."""
    at = x.axis(axis)
    return walk.emit(op, x if at >= 0 else walk.spread(x), axis=max(at, 0), **attributes)


def rearrange(walk: GraphWalk, x: Value, choose: Callable[[np.ndarray[Any, Any]], np.ndarray[Any, Any]]) -> Value:
    """Elements chosen by any static rule, found by applying it to the elements' numbers.

    Axis by axis where the rule goes axis by axis (views by strides, rotations, frames): what is regular stays so.
    """
    size = math.prod(x.full)
    chosen = np.asarray(choose(np.arange(size).reshape(x.full)))
    known = None if x.known is None else compressed(np.broadcast_to(x.known, x.full).ravel()[chosen])
    parts = _by_axis(chosen, x.full)
    if parts is not None:
        return replace(_picked_by_axis(walk, replace(x, known=None), chosen.shape, parts), known=known)
    full = tuple(chosen.shape)
    picked = walk.emit("gather", x, indices=chosen.ravel().tolist(), shape=list(without_batch(full)), full=full)
    return replace(picked, known=known)


_Part = tuple[list[int], np.ndarray[Any, Any]]


def _by_axis(chosen: np.ndarray[Any, Any], full: tuple[int, ...]) -> list[_Part] | None:
    """Per axis, which axes of the result its index follows, and that index over them; None where two follow one."""
    if chosen.size == 0 or not full:
        return None
    parts: list[_Part] = []
    for axis, index in enumerate(np.unravel_index(chosen, full)):
        follows = [k for k in range(index.ndim) if not (index == index.take([0], axis=k)).all()]
        if not follows and index.shape[axis : axis + 1] == (1,):
            follows = [axis]  # an axis of 1, such as the batch, stays where it is
        small = index[tuple(slice(None) if k in follows else 0 for k in range(index.ndim))]
        parts.append((follows, small.ravel()))
    used = [k for follows, _ in parts for k in follows]
    return parts if len(set(used)) == len(used) else None


def _picked_by_axis(walk: GraphWalk, x: Value, shape: tuple[int, ...], parts: Sequence[_Part]) -> Value:
    """Indices along every axis, brought into the result's order."""
    for axis, (_, index) in enumerate(parts):
        n = x.full[axis]
        if not np.array_equal(index, np.arange(n)):
            x = on_axis(walk, x, axis, "gather", indices=index.tolist())
    used = [k for follows, _ in parts for k in follows]
    order = used + [k for k in range(len(shape)) if k not in used]
    sizes = [shape[k] if k in used else 1 for k in range(len(shape))]
    apart = walk.shaped(x, tuple(sizes[k] for k in order))
    back = [order.index(k) for k in range(len(shape))]
    turned = apart if back == sorted(back) else permute(walk, apart, back)
    return walk.expanded(turned, shape)


Pairs = Sequence[tuple[int, int]]

#: Modes as the operator `pad` and NumPy call them.
_MODES = {"replicate": "edge", "circular": "wrap"}


def pad(walk: GraphWalk, x: Value, pairs: Pairs, mode: str = "constant", fill: float = 0.0) -> Value:
    """A value with elements put before and after along its full axes; negative widths crop.

    `mode` is constant (with `fill`, NaN where that may be any number), reflect, replicate or circular.
    """
    known = None if x.known is None and mode != "constant" else _padded(x.table, x.full, pairs, mode, fill)
    added = None if x.added is None else _padded(x.added, x.full, pairs, mode, 0.0)
    value = x if x.stripped and not any(pairs[0]) else walk.spread(x)
    mine = pairs[1:] if value.stripped else pairs
    if mode == "constant":
        result = walk.emit("pad", value, padding=[list(pair) for pair in mine])
    else:
        cut = [[min(before, 0), min(after, 0)] for before, after in mine]
        value = walk.emit("pad", value, padding=cut) if any(map(any, cut)) else value
        grown = [[max(before, 0), max(after, 0)] for before, after in mine]
        result = walk.emit("pad", value, padding=grown, mode=mode)
    return replace(result, known=known, added=added)


def _padded(table: Known, full: Sequence[int], pairs: Pairs, mode: str, fill: float) -> Known | None:
    """A table padded as the tensor is."""
    wide = tuple(n if any(pair) else m for n, m, pair in zip(full, table.shape, pairs, strict=True))
    cropped = tuple(slice(max(-b, 0), n - max(-a, 0)) for n, (b, a) in zip(wide, pairs, strict=True))
    grown = [(max(b, 0), max(a, 0)) for b, a in pairs]
    how: Any = _MODES.get(mode, mode)
    options: dict[str, Any] = {"constant_values": fill} if mode == "constant" else {}
    return compressed(np.pad(np.broadcast_to(table, wide)[cropped], grown, how, **options))
