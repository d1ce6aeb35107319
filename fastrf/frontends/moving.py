"""Elements moved: what the rules of every front-end share."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from fastrf.frontends.lowering import GraphWalk, Value, compressed, without_batch

__all__ = ["concat", "constant", "on_axis", "permute", "rearrange"]


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
    picked = walk.emit("gather", walk.flat(x), axis=0, indices=chosen.ravel().tolist())
    return replace(walk.shaped(picked, tuple(chosen.shape)), known=known)


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
    order = [k for follows, _ in parts for k in follows]
    order += [k for k in range(len(shape)) if k not in order]
    used = {k for follows, _ in parts for k in follows}
    sizes = [shape[k] if k in used else 1 for k in range(len(shape))]
    apart = walk.shaped(x, tuple(sizes[k] for k in order))
    back = [order.index(k) for k in range(len(shape))]
    turned = apart if back == sorted(back) else permute(walk, apart, back)
    return walk.expanded(turned, shape)
