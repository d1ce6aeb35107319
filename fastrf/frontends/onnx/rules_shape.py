"""Rules of ONNX operators that move elements: axes, stretches, and whatever indices say, constant or computed."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
from onnx import numpy_helper

from fastrf.budget import limits
from fastrf.errors import FormatError, ShapeError, UnsupportedOpError
from fastrf.frontends import choosing, moving
from fastrf.frontends.lowering import Value, compressed
from fastrf.frontends.masking import mask_out
from fastrf.frontends.onnx.constants import MAX_FOLDED, Constant, evaluate, from_tensor, holding
from fastrf.frontends.onnx.known import moved
from fastrf.frontends.onnx.registry import Call, Item, Walk, rule
from fastrf.frontends.onnx.schemas import elements

__all__ = ["pieces"]


@rule("Reshape")
def reshape(walk: Walk, call: Call) -> Value:
    """A new shape: 0 keeps a size (unless `allowzero`), one -1 takes what is left."""
    x = call.operand(walk, 0)
    wanted = call.integers(1, "shape") or []
    sizes = [
        x.full[k] if n == 0 and not call.get("allowzero", 0) and k < len(x.full) else n for k, n in enumerate(wanted)
    ]
    if sizes.count(-1) == 1:
        rest = math.prod(n for n in sizes if n != -1)
        sizes[sizes.index(-1)] = math.prod(x.full) // rest if rest else 0
    if any(n < 0 for n in sizes) or math.prod(sizes) != math.prod(x.full):
        raise ShapeError(
            f"shape {x.full} of {math.prod(x.full)} elements cannot be reshaped to {tuple(wanted)}; "
            "was the model exported for another input size?"
        )
    return walk.shaped(x, tuple(sizes))


@rule("Flatten", "Squeeze", "Unsqueeze", "Expand")
def regrouped(walk: Walk, call: Call) -> Value:
    """Two axes of all, axes of 1 left out, put in or stretched; the standard's shape inference says which."""
    (result,) = walk.inferred(call, needed=True)
    change = walk.expanded if call.op == "Expand" else walk.shaped
    return change(call.operand(walk, 0), result.full)


@rule("Transpose")
def transpose(walk: Walk, call: Call) -> Value:
    """Axes in another order."""
    x = call.operand(walk, 0)
    order = call.get("perm") or list(range(len(x.full)))[::-1]
    if sorted(order) != list(range(len(x.full))):
        raise ShapeError(f"perm {list(order)[:8]} is no order of the axes of shape {x.full}")
    return moving.permute(walk, x, order)


@rule("Concat")
def concat(walk: Walk, call: Call) -> Value:
    """One after another; constants depend on nothing."""
    parts = [call.operand(walk, k) for k in range(len(call.inputs))]
    axis = call.get("axis", 1) % max(len(parts[0].full), 1)
    several = [part for part in parts if part.full[axis]] or parts[:1]
    return replace(moving.concat(walk, several, axis), known=moved(walk, call))


@rule("Split")
def split(walk: Walk, call: Call) -> list[Callable[[], Value]]:
    """Pieces of an axis, each made when it is read."""
    x = call.operand(walk, 0)
    axis = call.get("axis", 0) % len(x.full)
    n = x.full[axis]
    sizes = call.integers(1, "split")
    if sizes is None:
        count = call.get("num_outputs") or len(call.node.output)
        width = -(-n // count)
        sizes = [max(min(width, n - k * width), 0) for k in range(count)]
    return pieces(walk, x, axis, sizes)


def pieces(walk: Walk, x: Value, axis: int, sizes: Sequence[int]) -> list[Callable[[], Value]]:
    """An axis cut into pieces of these sizes, each made when it is read."""
    if sum(sizes) != x.full[axis]:
        raise ShapeError(f"pieces {list(sizes[:8])} do not add up to {x.full[axis]}, the size of axis {axis}")

    def piece(start: int, stop: int) -> Value:
        part = moving.on_axis(walk, x, axis, "slice", start=start, stop=stop)
        if x.known is None:
            return part
        return replace(part, known=compressed(np.broadcast_to(x.known, x.full).take(range(start, stop), axis)))

    stops = list(itertools.accumulate(sizes))
    return [partial(piece, start, stop) for start, stop in zip([0, *stops], stops, strict=False)]


@rule("Slice")
def slice_(walk: Walk, call: Call) -> Value:
    """Stretches of axes, forward or backward."""
    x = call.operand(walk, 0)
    starts, stops = call.integers(1, "starts") or [], call.integers(2, "ends") or []
    axes = call.integers(3, "axes", range(len(starts))) or []
    steps = call.integers(4) or [1] * len(starts)
    result = x
    for start, stop, axis, step in zip(starts, stops, axes, steps, strict=True):
        result = choosing.slice_axis(walk, result, axis, range(*slice(start, stop, step).indices(x.full[axis])))
    return replace(result, known=moved(walk, call))


@rule("Pad")
def pad(walk: Walk, call: Call) -> Value | list[Item]:
    """Padding in all modes; negative widths crop."""
    x = call.operand(walk, 0)
    widths = call.integers(1, "pads", call.get("paddings")) or []
    axes = [a % len(x.full) for a in call.integers(3) or range(len(x.full))]
    pairs = [(0, 0)] * len(x.full)
    for axis, before, after in zip(axes, widths[: len(axes)], widths[len(axes) :], strict=True):
        pairs[axis] = (before, after)
    fill = call.inputs[2] if call.has(2) else None
    if isinstance(fill, Value):
        return walk.opaque(call)
    mode = call.get("mode", "constant")
    unread = isinstance(fill, Constant) and fill.values is None
    number = np.nan if unread else float(call.number(2, call.get("value", 0.0)))
    return moving.pad(walk, x, pairs, {"edge": "replicate", "wrap": "circular"}.get(mode, mode), number)


@rule("Tile")
def tile(walk: Walk, call: Call) -> Value:
    """Axes repeated."""
    x = call.operand(walk, 0)
    times = call.integers(1) or []
    if len(times) != len(x.full):
        raise ShapeError(f"{len(times)} repeats for the {len(x.full)} axes of shape {x.full}")
    return replace(walk.emit("repeat", walk.spread(x), repeats=times), known=moved(walk, call))


@rule("DepthToSpace", "SpaceToDepth")
def blocks(walk: Walk, call: Call) -> Value:
    """Channels to pixels and back, in both orders."""
    x, b = call.operand(walk, 0), call.get("blocksize", 0)
    n, c, h, w = x.full
    if b < 1 or (c % (b * b) if call.op == "DepthToSpace" else h % b or w % b):
        raise ShapeError(f"blocks of {b} do not divide shape {x.full}")
    crd = call.get("mode", "DCR") == "CRD"
    if call.op == "SpaceToDepth":
        apart, order = (n, c, h // b, b, w // b, b), [0, 1, 3, 5, 2, 4] if crd else [0, 3, 5, 1, 2, 4]
        after = (n, c * b * b, h // b, w // b)
    else:
        rest = c // (b * b)
        apart, order = (
            ((n, rest, b, b, h, w), [0, 1, 4, 2, 5, 3]) if crd else ((n, b, b, rest, h, w), [0, 3, 4, 1, 5, 2])
        )
        after = (n, rest, h * b, w * b)
    return walk.shaped(moving.permute(walk, walk.shaped(x, apart), order), after)


@rule("Trilu")
def triangle(walk: Walk, call: Call) -> Value:
    """One side of a diagonal, the other side zero."""
    x = call.operand(walk, 0)
    side = (np.triu if call.get("upper", 1) else np.tril)(np.ones(x.full[-2:], bool), call.number(1, 0))
    return replace(mask_out(walk, x, side), known=compressed(np.where(side, x.table, 0.0)))


@rule("Constant")
def stored(walk: Walk, call: Call) -> Constant:
    """A tensor, number or list in the node itself."""
    ((name, value),) = call.attributes.items()
    if name == "value":
        return from_tensor(value, weight=False)
    if name == "sparse_value":
        return Constant(tuple(value.dims), np.dtype(np.float32))
    if name not in _NUMBERS:
        raise UnsupportedOpError(
            "operator Constant that holds text is not supported: only numbers have receptive fields"
        )
    return holding(np.array(value, _NUMBERS[name]))


_NUMBERS: dict[str, Any] = {
    **dict.fromkeys(("value_float", "value_floats"), np.float32),
    **dict.fromkeys(("value_int", "value_ints"), np.int64),
}


@rule("ConstantOfShape")
def constant_of_shape(walk: Walk, call: Call) -> Value | Constant:
    """One number everywhere: trained weights where it is no integer, as converters write them."""
    full = tuple(int(n) for n in call.array(0).ravel())
    if any(n < 0 for n in full):
        raise ShapeError(f"a negative size in shape {full}")
    tensor = call.attributes.get("value")
    given = np.zeros(1, np.float32) if tensor is None else numpy_helper.to_array(tensor)
    if given.size != 1:
        raise FormatError(f"value holds {given.size} numbers, not one")
    number = given.reshape(())
    values = np.broadcast_to(number, full) if math.prod(full) <= MAX_FOLDED else None
    return Constant(full, number.dtype, values, weight=number.dtype.kind == "f" and bool(number != 0))


@rule("Range")
def numbers(walk: Walk, call: Call) -> Constant:
    """Numbers in even steps; how many may not depend on the input."""
    start, stop, step = (call.number(k) for k in range(3))
    count, dtype = max(math.ceil((stop - start) / step), 0), call.array(0).dtype
    return (
        holding((start + np.arange(count) * step).astype(dtype)) if count <= MAX_FOLDED else Constant((count,), dtype)
    )


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
        if (axis, len(full)) == (0, 2):  # rows of a table
            return walk.expanded(walk.featured(chosen), after)
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
        places = choosing.take_along(numbers, index, call.get("axis", 0))
    return choosing.put(walk, below, above, places, adds=True)


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
