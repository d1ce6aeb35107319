"""Elements chosen: by conditions, in stretches of axes, and at computed places."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from fastrf.frontends import moving
from fastrf.frontends.lowering import GraphWalk, Known, Mask, Value
from fastrf.frontends.masking import mask_out, set_known

__all__ = ["any_along", "gather", "put", "scatter", "slice_axis", "take_along", "union", "where"]


def slice_axis(walk: GraphWalk, x: Value, axis: int, chosen: range) -> Value:
    """A stretch of a full axis in steps, forward or backward."""
    if not chosen:
        return moving.on_axis(walk, x, axis, "slice", start=0, stop=0)
    if chosen == range(x.full[axis]):
        return x
    forward = chosen if chosen.step > 0 else chosen[::-1]
    part = moving.on_axis(walk, x, axis, "slice", start=forward[0], stop=forward[-1] + 1, step=forward.step)
    return part if chosen.step > 0 or len(chosen) == 1 else walk.emit("flip", part, axes=[part.axis(axis)])


def any_along(walk: GraphWalk, x: Value, axes: Sequence[int]) -> Value:
    """Axes of 1 in the place of full axes along which any element may be meant."""
    return replace(moving.reduce(walk, x, "sum", list(axes), keepdims=True), known=None, added=None)


def union(walk: GraphWalk, parts: Sequence[Value], full: tuple[int, ...]) -> Value:
    """What any of the values reads, broadcast to a full shape and listed as approximate."""
    return walk.loosened(replace(walk.elementwise("elementwise", parts, full), known=None, added=None))


def gather(walk: GraphWalk, x: Value | None, index: Sequence[Value], axis: int, full: tuple[int, ...]) -> Value:
    """One element along an axis for each of a tensor of indices, which (or the elements) the input reaches."""
    parts = list(index)
    if x is not None:
        for k, n in enumerate(full):
            x = x if k == axis else slice_axis(walk, x, k, range(n))
        parts.append(any_along(walk, x, [axis]))
    return union(walk, parts, full)


def scatter(walk: GraphWalk, updates: Value, axis: int, full: tuple[int, ...]) -> Value:
    """What updates (or their indices) may bring to each element of a full shape, put anywhere along an axis."""
    line = any_along(walk, updates, [axis])
    missing = [[0, 0 if k == axis else n - m] for k, (n, m) in enumerate(zip(full, line.full, strict=True))]
    if any(map(any, missing)):
        line = walk.emit("pad", walk.spread(line), padding=missing)
    return walk.expanded(line, full)


def where(
    walk: GraphWalk, condition: Known, values: Sequence[Value | None], known: Known | None, full: tuple[int, ...]
) -> Value:
    """A choice between two: each side is read where it may be taken, the condition where it is not known (NaN).

    `values` are the condition, what is taken where it is true, and what elsewhere, those that the input reaches;
    `known` is what is known of the result.
    """
    parts = []
    reads = walk.once("chosen", [condition], lambda: _chosen(condition))
    for value, read in zip(values, reads, strict=True):
        if value is not None and read.any():
            parts.append(value if read.all() else mask_out(walk, walk.expanded(value, full), read))
    if not parts:
        return replace(moving.constant(walk, next(v for v in values if v is not None), full), known=known)
    return set_known(walk, walk.elementwise("where", parts, full), known)


def _chosen(condition: Known) -> tuple[Mask, Mask, Mask]:
    """Where a condition is not known, where the first side may be taken, and where the second."""
    unsure = np.isnan(condition)
    return unsure, condition != 0, unsure | (condition == 0)


Numbers = np.ndarray[Any, Any]


def take_along(numbers: Numbers, index: Numbers, axis: int) -> Numbers:
    """Elements that an index names along an axis; it may be shorter along the others."""
    axis %= max(index.ndim, 1)
    window = tuple(slice(None) if k == axis else slice(0, n) for k, n in enumerate(index.shape))
    return np.take_along_axis(numbers[window], index, axis)


def put(walk: GraphWalk, below: Value, above: Value, places: Numbers, *, adds: bool) -> Value:
    """Elements, by their numbers, replaced by others, or combined with them."""
    indices, reduce = places.ravel().tolist(), "add" if adds else "none"
    return walk.emit("scatter", below, above, indices=indices, reduce=reduce, full=below.full)
