"""Rules of ONNX operators that pick or put elements by indices, constant or computed."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np

from fastrf.budget import limits
from fastrf.frontends import choosing, moving
from fastrf.frontends.hiding import mask_out
from fastrf.frontends.lowering import Value
from fastrf.frontends.onnx.constants import evaluate
from fastrf.frontends.onnx.known import moved
from fastrf.frontends.onnx.registry import Call, Item, Walk, rule
from fastrf.frontends.onnx.schemas import elements
from fastrf.frontends.placing import put, take_along

__all__: list[str] = []


@rule("Gather")
def gather(walk: Walk, call: Call) -> Value:
    """Listed indices along an axis; those that depend on the input may be any."""
    full, axis = call.full(0), call.get("axis", 0)
    axis %= max(len(full), 1)
    x, chosen, index = call.value(0), call.value(1), call.full(1)
    after = (*full[:axis], *index, *full[axis + 1 :])
    if chosen is None:
        picked = moving.on_axis(walk, call.operand(walk, 0), axis, "gather", indices=call.array(1).ravel().tolist())
        return replace(walk.shaped(picked, after), known=moved(walk, call))
    if x is None:
        rows = walk.shaped(chosen, (*(1,) * axis, *index, *(1,) * (len(full) - axis - 1)))
        return walk.expanded(rows, after)
    return walk.shaped(walk.emit("dynamic_gather", walk.spread(x), walk.flat(chosen), axis=axis), after)


@rule("GatherElements", "GatherND", "ReverseSequence", "Compress")
@rule("Scatter", "ScatterElements", "ScatterND", "TensorScatter")
def rearranged(walk: Walk, call: Call) -> Value | list[Item]:
    """Any movement by constant indices, found by applying the operator to the elements' numbers."""
    sources = elements(call)
    if any(call.value(k) is not None for k in range(len(call.inputs)) if k not in sources):
        return _by_computed_indices(walk, call)
    if len(sources) > 1 and call.get("reduction", "none") != "none":
        return _accumulated(walk, call)
    numbers, parts, first = [], [], 1
    for k in range(len(call.inputs)):
        if k not in sources:
            numbers.append(call.array(k) if call.has(k) else None)
            continue
        size = math.prod(call.full(k))
        limits.require("axis", size, f"{size} elements to move one by one", "use a smaller input")
        value = call.value(k)
        own = np.arange(first, first + size) if value is not None else np.zeros(size, np.int64)
        numbers.append(own.reshape(call.full(k)))
        if value is not None:
            parts.append(walk.flat(value))
            first += size
    chosen = evaluate(call.node, call.version, numbers)[0].astype(np.int64)
    together = walk.emit("concat", *parts, axis=0) if len(parts) > 1 else parts[0]
    picked = moving.rearrange(walk, together, lambda _: np.maximum(chosen - 1, 0))
    return replace(mask_out(walk, picked, chosen > 0), known=moved(walk, call))


def _accumulated(walk: Walk, call: Call) -> Value:
    """Updates added to (or multiplied with, or compared with) elements at constant places."""
    below, above = (call.operand(walk, k) for k in (0, 2))
    numbers, index = np.arange(math.prod(below.full)).reshape(below.full), call.array(1)
    if call.op == "ScatterND":
        places = numbers[tuple(np.moveaxis(index, -1, 0))]
    else:
        places = take_along(numbers, index, call.get("axis", 0))
    return put(walk, below, above, places, adds=True)


def _by_computed_indices(walk: Walk, call: Call) -> Value | list[Item]:
    """What elements gathered, scattered or reversed at computed places may read: all of the axes indexed along."""
    full = call.full(0)
    axis = call.get("axis", 0) % max(len(full), 1)
    if call.op == "GatherElements":
        return choosing.gather(walk, call.value(0), call.dynamic(1, 2), axis, call.full(1))
    if call.op == "GatherND":
        return _gathered_rows(walk, call)
    if call.op in ("ScatterElements", "Scatter"):
        return choosing.union(
            walk, [*call.dynamic(0, 1), *(choosing.scatter(walk, v, axis, full) for v in call.dynamic(1, 3))], full
        )
    if call.op == "ScatterND":  # each element is its own, or that of any update, as any index says
        rest = full[call.full(1)[-1] :]
        parts = [_over(walk, call, k, range(len(call.full(k)) - len(tail)), tail) for k, tail in ((1, ()), (2, rest))]
        return choosing.union(walk, [*call.dynamic(0, 1), *(part for part in parts if part is not None)], full)
    if call.op == "ReverseSequence":  # each step reads the length of its sequence, and may read any step of it
        time, batch = call.get("time_axis", 0), call.get("batch_axis", 1)
        lengths = _over(walk, call, 1, (), (*call.full(1), *(1,) * (len(full) - batch - 1)))
        steps = [choosing.any_along(walk, value, [time]) for value in call.dynamic(0, 1)]
        return choosing.union(walk, [*steps, *([] if lengths is None else [lengths])], full)
    return walk.opaque(call)


def _over(walk: Walk, call: Call, k: int, axes: range | tuple[()], shape: tuple[int, ...]) -> Value | None:
    """Input `k`, if it is computed, with any element along axes in the place of all, in a shape."""
    value = call.value(k)
    return None if value is None else walk.shaped(choosing.any_along(walk, value, axes) if axes else value, shape)


def _gathered_rows(walk: Walk, call: Call) -> Value:
    """Each row reads its index, and may read any place of the axes that are indexed."""
    data, index, batch = call.full(0), call.full(1), call.get("batch_dims", 0)
    last = batch + index[-1]
    rest = data[last:]
    before = (*data[:batch], *(1,) * (len(index) - batch - 1), *rest)
    parts = [
        _over(walk, call, 0, range(batch, last), before),
        _over(walk, call, 1, range(len(index) - 1, len(index)), (*index[:-1], *(1,) * len(rest))),
    ]
    return choosing.union(walk, [part for part in parts if part is not None], (*index[:-1], *rest))
