"""Windows slid over spatial axes, and axes sampled at other places, whatever the batch is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from fastrf.frontends import moving
from fastrf.frontends.lowering import GraphWalk, Value
from fastrf.ops.truths import nested

__all__ = ["fold", "resize", "slide", "window"]

#: What an attribute is along an axis that the window does not touch.
_NEUTRAL: dict[str, Any] = {"padding": [0, 0], "output_padding": 0, "output_size": None, "step": [1, 1]}


def slide(walk: GraphWalk, x: Value, n: int, op: str, *others: Value, **attributes: Any) -> Value:
    """A layer over `n` spatial axes; a batch beyond 1 rides along as one more axis with a window of 1."""
    if len(x.full) == n + 1:
        return walk.emit(op, walk.spread(x), *others, **attributes)
    if x.stripped:
        return walk.emit(op, x, *others, **attributes)
    turned = moving.permute(walk, x, [1, 0, *range(2, n + 2)])
    turned = walk.spread(turned)
    used = attributes.pop("used", None)
    neutral = {**_NEUTRAL, "output_size": x.full[0]} if op == "resize" else _NEUTRAL
    wider: dict[str, Any] = {k: [neutral.get(k, 1), *v] if isinstance(v, list) else v for k, v in attributes.items()}
    if used is not None:
        wider["used"] = nested(np.expand_dims(np.array(used), 2))
    return moving.permute(walk, walk.emit(op, turned, *others, **wider), [1, 0, *range(2, n + 2)])


def fold(walk: GraphWalk, x: Value, **attributes: Any) -> Value:
    """Columns summed where their windows lie; a batch beyond 1 is one more axis of the image with a window of 1."""
    if len(x.full) == 2 or x.stripped:
        return slide(walk, x, 1, "fold", **attributes)
    neutral = {**_NEUTRAL, "output_size": x.full[0]}
    wider: dict[str, Any] = {k: [neutral.get(k, 1), *v] for k, v in attributes.items()}
    columns = walk.shaped(moving.permute(walk, x, [1, 0, 2]), (x.full[1], x.full[0] * x.full[2]))
    image = walk.emit("fold", walk.spread(columns), **wider)
    return moving.permute(walk, image, [1, 0, *range(2, len(image.full))])


def window(walk: GraphWalk, x: Value, kernels: Mapping[int, int]) -> Value:
    """Windows of so many places over full axes, any of them; each axis loses what they do not fit in."""
    value, lead = _after_first(walk, x, min(kernels))
    n = len(value.shape) - 1
    kernel = [kernels.get(axis + lead, 1) for axis in range(n)]
    full = tuple(size - kernels.get(axis, 1) + 1 for axis, size in enumerate(x.full))
    return walk.shaped(walk.emit("avg_pool", value, kernel_size=kernel, stride=[1] * n, padding=[[0, 0]] * n), full)


def _after_first(walk: GraphWalk, x: Value, first: int) -> tuple[Value, int]:
    """The value with some axis before the full axis `first`, and which of its axes is the second's place."""
    if first == 0:
        return walk.emit("unsqueeze", walk.spread(x), axis=0, full=(1, *x.full)), 0
    return (x, 2) if first > 1 and x.stripped else (walk.spread(x), 1)


#: By full axis: its new size, inputs per output as a fraction, and where sampling begins and ends.
Way = tuple[int, int, Sequence[int], Sequence[float]]


def resize(walk: GraphWalk, x: Value, ways: Sequence[Way], **how: Any) -> Value:
    """Full axes sampled anew, any of them: the operator leaves its first axis, of which one of 1 is put in front."""
    if not ways:
        return x
    value, lead = _after_first(walk, x, min(axis for axis, *_ in ways))
    n = len(value.shape) - 1
    sizes, steps, crops = list(value.shape[1:]), [[1, 1] for _ in range(n)], [[0.0, 1.0] for _ in range(n)]
    full = list(x.full)
    for axis, size, step, crop in ways:
        at = axis - lead
        sizes[at], steps[at], crops[at] = size, list(step), list(crop)
        full[axis] = size
    more: dict[str, Any] = {} if all(crop == [0.0, 1.0] for crop in crops) else {"roi": crops}
    return walk.shaped(walk.emit("resize", value, output_size=sizes, step=steps, **more, **how), tuple(full))
