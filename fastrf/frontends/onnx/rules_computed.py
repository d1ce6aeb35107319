"""What ONNX operators that move elements by computed indices may read: all of the axes that the indices run along."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

from fastrf.frontends.lowering import Value
from fastrf.frontends.mixing import reduced
from fastrf.frontends.moving import on_axis
from fastrf.frontends.onnx.registry import Call, Walk

__all__ = ["by_computed_indices"]


def by_computed_indices(walk: Walk, call: Call) -> Value | None:
    """Elements gathered, scattered or reversed at computed places; None for operators of which nothing is known."""
    if call.op == "GatherElements":
        return _gathered(walk, call)
    if call.op == "GatherND":
        return _gathered_rows(walk, call)
    if call.op in ("ScatterElements", "Scatter"):
        return _scattered(walk, call)
    if call.op == "ScatterND":
        return _scattered_rows(walk, call)
    return _reversed(walk, call) if call.op == "ReverseSequence" else None


def _any_of(walk: Walk, x: Value, axes: Sequence[int]) -> Value:
    """One element for whole axes, each of which may be meant."""
    for axis in axes:
        one = on_axis(walk, x, axis, "sort")
        x = on_axis(walk, one, axis, "slice", start=0, stop=1)
    return replace(x, known=None, added=None)


def _joint(walk: Walk, parts: Sequence[Value], full: tuple[int, ...]) -> Value:
    return replace(walk.elementwise("elementwise", parts, full), known=None, added=None)


def _gathered(walk: Walk, call: Call) -> Value:
    """Each element reads its index, and may read any of the axis of the data at its place."""
    full, axis = call.full(1), call.get("axis", 0) % len(call.full(0))
    parts, data = call.dynamic(1, 2), call.value(0)
    if data is not None:
        for k, n in enumerate(full):
            if k != axis and n < data.full[k]:
                data = on_axis(walk, data, k, "slice", start=0, stop=n)
        parts.append(walk.expanded(_any_of(walk, data, [axis]), full))
    return _joint(walk, parts, full)


def _gathered_rows(walk: Walk, call: Call) -> Value:
    """Each row reads its index, and may read any place of the axes that are indexed."""
    data, index, batch = call.full(0), call.full(1), call.get("batch_dims", 0)
    last = batch + index[-1]
    rows, rest = index[batch:-1], data[last:]
    full = (*index[:-1], *rest)
    parts = []
    for value in call.dynamic(0, 1):
        one = _any_of(walk, value, range(batch, last))
        one = walk.shaped(one, (*data[:batch], *(1,) * len(rows), *rest))
        parts.append(walk.expanded(one, full))
    for value in call.dynamic(1, 2):
        one = reduced(walk, value, "sum", [len(index) - 1], keepdims=True)
        one = walk.shaped(one, (*index[:-1], *(1,) * len(rest)))
        parts.append(walk.expanded(one, full))
    return _joint(walk, parts, full)


def _scattered(walk: Walk, call: Call) -> Value:
    """Each element is its own, or any update along the axis at its place, as any index there says."""
    full, axis = call.full(0), call.get("axis", 0) % len(call.full(0))
    parts = call.dynamic(0, 1)
    for value in call.dynamic(1, 3):
        one = walk.spread(_any_of(walk, value, [axis]))
        missing = [[0, 0 if k == axis else n - m] for k, (n, m) in enumerate(zip(full, one.full, strict=True))]
        if any(after for _, after in missing):
            one = walk.emit("pad", one, padding=missing)
        parts.append(walk.expanded(walk.shaped(one, one.full), full))
    return _joint(walk, parts, full)


def _scattered_rows(walk: Walk, call: Call) -> Value:
    """Each element is its own, or that of any update, as any index says."""
    full, index = call.full(0), call.full(1)
    rest = full[index[-1] :]
    parts = call.dynamic(0, 1)
    for k, kept in ((1, ()), (2, rest)):
        for value in call.dynamic(k, k + 1):
            one = _any_of(walk, value, range(len(value.full) - len(kept)))
            one = walk.shaped(one, (*(1,) * (len(full) - len(kept)), *kept))
            parts.append(walk.expanded(one, full))
    return _joint(walk, parts, full)


def _reversed(walk: Walk, call: Call) -> Value:
    """Each step reads the length of its sequence, and may read any step of it."""
    full, time, batch = call.full(0), call.get("time_axis", 0), call.get("batch_axis", 1)
    parts = [walk.expanded(_any_of(walk, value, [time]), full) for value in call.dynamic(0, 1)]
    for value in call.dynamic(1, 2):
        lengths = walk.shaped(value, (math.prod(value.full), *(1,) * (len(full) - batch - 1)))
        parts.append(walk.expanded(lengths, full))
    return _joint(walk, parts, full)
