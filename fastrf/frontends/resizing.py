"""Axes sampled at other places, whatever the batch is; the arithmetic is that of the operator `resize`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from fastrf.frontends.lowering import GraphWalk, Value

__all__ = ["resize"]

#: By full axis: its new size, inputs per output as a fraction, and where sampling begins and ends.
Way = tuple[int, int, Sequence[int], Sequence[float]]


def resize(walk: GraphWalk, x: Value, ways: Sequence[Way], **how: Any) -> Value:
    """Full axes sampled anew, any of them: the operator leaves its first axis, of which one of 1 is put in front."""
    first = min((axis for axis, *_ in ways), default=None)
    if first is None:
        return x
    value, lead = (x, 2) if first > 1 and x.stripped else (walk.spread(x), 1)
    if first == 0:
        value, lead = walk.emit("unsqueeze", value, axis=0, full=(1, *x.full)), 0
    n = len(value.shape) - 1
    sizes, steps, crops = list(value.shape[1:]), [[1, 1] for _ in range(n)], [[0.0, 1.0] for _ in range(n)]
    full = list(x.full)
    for axis, size, step, crop in ways:
        at = axis - lead
        sizes[at], steps[at], crops[at] = size, list(step), list(crop)
        full[axis] = size
    more: dict[str, Any] = {} if all(crop == [0.0, 1.0] for crop in crops) else {"roi": crops}
    return walk.shaped(walk.emit("resize", value, output_size=sizes, step=steps, **more, **how), tuple(full))
