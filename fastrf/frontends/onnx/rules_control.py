"""Rules of ONNX operators that hold bodies or sequences: branches, loops, scans, lists of tensors."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import onnx

from fastrf.budget import limits
from fastrf.errors import FastRFError, FormatError, UnsupportedOpError
from fastrf.frontends import moving
from fastrf.frontends.lowering import Value
from fastrf.frontends.onnx.constants import Constant, holding
from fastrf.frontends.onnx.registry import Call, Item, Walk, rule
from fastrf.frontends.onnx.rules_shape import pieces

__all__: list[str] = []


@rule("If")
def branch(walk: Walk, call: Call) -> list[Item]:
    """The branch that a constant chooses; with a computed condition either may be taken."""
    condition = call.inputs[0]
    if isinstance(condition, Constant):
        taken = "then_branch" if call.number(0) else "else_branch"
        return walk.body(call.attributes[taken], call.scope, [])
    assert isinstance(condition, Value)
    results: list[Item] = []
    try:
        branches = [walk.body(call.attributes[name], call.scope, []) for name in ("then_branch", "else_branch")]
    except FastRFError as error:
        raise type(error)(f"{error}{_steered(walk)}") from error
    for one, other in zip(*branches, strict=True):
        shapes = {item.full for item in (one, other) if isinstance(item, Value | Constant)}
        if len(shapes) != 1:
            what = "operator If with branches of different shapes and a condition from the input"
            raise UnsupportedOpError(f"{what}{_steered(walk)}")
        full = shapes.pop()
        choice = walk.shaped(condition, (1,) * len(full))
        parts = [item for item in (one, other) if isinstance(item, Value)]
        result = walk.elementwise("where", [walk.expanded(choice, full), *parts], full)
        results.append(replace(result, known=None))
    return results


def _steered(walk: Walk) -> str:
    """The remedy where an input may decide which branch is taken."""
    if not walk.switches:
        return ""
    name = walk.switches[0]
    return (
        f"; if input {name!r} decides what is computed, give its value: --value {name}=... or values={{{name!r}: ...}}"
    )


@rule("Loop")
def loop(walk: Walk, call: Call) -> list[Item]:
    """A loop that runs a constant number of times, unrolled."""
    body = call.attributes["body"]
    trips = call.number(0)
    going = call.number(1, True)
    carried, step = list(call.inputs[2:]), 0
    scanned: list[list[Item]] = [[] for _ in body.output[1 + len(carried) :]]
    within = _entered(walk, min(trips or 1, limits.iterations), body)
    while going and (trips is None or step < trips):
        if step >= limits.iterations:
            limits.require("iterations", step + 1, f"a loop of {step + 1} iterations or more", "make it shorter")
        condition, *results = walk.body(body, call.scope, [holding(np.int64(step)), holding(True), *carried])
        if not isinstance(condition, Constant) or condition.values is None:
            raise UnsupportedOpError(f"operator Loop whose condition depends on the input{_steered(walk)}")
        going = bool(condition.values.ravel()[0])
        carried = results[: len(carried)]
        for kept, item in zip(scanned, results[len(carried) :], strict=True):
            kept.append(item)
        step += 1
    walk.times = within
    return [*carried, *(_stacked(walk, items, 0) for items in scanned)]


@rule("Scan")
def scan(walk: Walk, call: Call) -> list[Item]:
    """A body over slices of its inputs, unrolled."""
    body, count = call.attributes["body"], call.attributes.get("num_scan_inputs", 0)
    if call.version < 9:
        raise UnsupportedOpError("operator Scan before opset 9")
    first = len(call.inputs) - count
    carried, scanned = list(call.inputs[:first]), call.inputs[first:]
    axes = call.get("scan_input_axes") or [0] * count
    backward = call.get("scan_input_directions") or [0] * count
    lengths = {call.full(first + k)[axis] for k, axis in enumerate(axes)}
    if len(lengths) != 1:
        raise FormatError(f"scanned inputs of lengths {sorted(lengths)[:8]}, not one")
    steps = lengths.pop()
    limits.require("iterations", steps, f"a scan of {steps} iterations")
    results: list[list[Item]] = [[] for _ in body.output[first:]]
    within = _entered(walk, steps, body)
    for step in range(steps):
        given = [
            _selected(walk, item, axis, steps - 1 - step if back else step)
            for item, axis, back in zip(scanned, axes, backward, strict=True)
        ]
        made = walk.body(body, call.scope, [*carried, *given])
        carried = made[:first]
        for kept, item in zip(results, made[first:], strict=True):
            kept.append(item)
    walk.times = within
    out_axes = call.get("scan_output_axes") or [0] * len(results)
    reverse = call.get("scan_output_directions") or [0] * len(results)
    stacks = [
        _stacked(walk, items[::-1] if back else items, axis)
        for items, axis, back in zip(results, out_axes, reverse, strict=True)
    ]
    return [*carried, *stacks]


def _entered(walk: Walk, trips: int, body: onnx.GraphProto) -> int:
    """Begin a loop: how often its body will run in all is counted before it does. How often what is around it runs."""
    walk.expect(max(trips, 1), body.node)
    within, walk.times = walk.times, walk.times * max(trips, 1)
    return within


def _selected(walk: Walk, item: Item, axis: int, index: int) -> Item:
    if isinstance(item, Value):
        return moving.on_axis(walk, item, axis, "select", index=index)
    assert isinstance(item, Constant)
    rest = tuple(n for k, n in enumerate(item.full) if k != axis % len(item.full))
    values = None if item.values is None else item.values.take(index, axis)
    return Constant(rest, item.dtype, values, item.weight)


def _stacked(walk: Walk, items: Sequence[Item], axis: int) -> Item:
    """Tensors of one shape along a new axis."""
    tensors = [item for item in items if isinstance(item, Value | Constant)]
    if not tensors or len(tensors) != len(items):
        raise UnsupportedOpError("a loop that makes no tensor, or sequences, in every round")
    at = axis % (len(tensors[0].full) + 1)
    return _concatenated(walk, tensors, at, new=True)


def _concatenated(walk: Walk, tensors: Sequence[Value | Constant], axis: int, *, new: bool) -> Item:
    if not any(isinstance(t, Value) for t in tensors):
        constants = [t for t in tensors if isinstance(t, Constant)]
        arrays = [t.values for t in constants if t.values is not None]
        if len(arrays) == len(constants):
            values = np.stack(arrays, axis) if new else np.concatenate(arrays, axis)
            return holding(values, weight=any(t.weight for t in constants))
    parts = [t if isinstance(t, Value) else moving.constant(walk, walk.anything, t.full) for t in tensors]
    parts = [walk.shaped(part, (*part.full[:axis], 1, *part.full[axis:])) if new else part for part in parts]
    return moving.concat(walk, parts, axis)


# Sequences -----------------------------------------------------------------------------------------------


@rule("SequenceConstruct", "SequenceEmpty")
def sequence(walk: Walk, call: Call) -> list[Item]:
    """A list of tensors."""
    return [list(call.inputs)]


@rule("SplitToSequence")
def split_to_sequence(walk: Walk, call: Call) -> list[Item]:
    """Pieces of an axis as a list."""
    x = call.operand(walk, 0)
    axis = call.get("axis", 0) % len(x.full)
    n = x.full[axis]
    given = call.array(1) if call.has(1) else np.ones(n, np.int64)
    sizes = [int(v) for v in given.ravel()]
    if given.ndim == 0:
        sizes = [min(sizes[0], n - k) for k in range(0, n, max(sizes[0], 1))]
    limits.require("iterations", len(sizes), f"a list of {len(sizes)} pieces")
    parts = [make() for make in pieces(walk, x, axis, sizes)]
    if not call.has(1) and not call.get("keepdims", 1):
        parts = [walk.shaped(part, (*x.full[:axis], *x.full[axis + 1 :])) for part in parts]
    return [parts]


@rule("ConcatFromSequence")
def join_sequence(walk: Walk, call: Call) -> Item:
    """The tensors of a list one after another, or along a new axis."""
    items = _listed(call, 0)
    new = bool(call.get("new_axis", 0))
    axis = call.get("axis", 0) % (len(items[0].full) + new)
    return _concatenated(walk, items, axis, new=new)


@rule("SequenceAt", "SequenceInsert", "SequenceErase", "SequenceLength")
def of_sequence(walk: Walk, call: Call) -> Item | list[Item]:
    """One of a list, a list with one more or one less, or how many there are."""
    items = list(_listed(call, 0))
    if call.op == "SequenceLength":
        return holding(np.int64(len(items)))
    at = 2 if call.op == "SequenceInsert" else 1
    place = call.number(at, len(items) - (call.op == "SequenceErase"))
    if call.op == "SequenceAt":
        chosen: Item = items[place]
        return chosen
    if call.op == "SequenceInsert":
        items.insert(place if place >= 0 else len(items) + place, call.inputs[1])
    else:
        del items[place]
    return [items]


def _listed(call: Call, k: int) -> list[Any]:
    found = call.inputs[k]
    if not isinstance(found, list):
        raise FormatError(f"input {k} is no sequence")
    return found


@rule("Identity", "Optional", "OptionalGetElement")
def same(walk: Walk, call: Call) -> list[Item]:
    """The input, whatever it is; one that is optional may be absent."""
    return [call.inputs[0] if call.inputs else None]


@rule("OptionalHasElement")
def has_element(walk: Walk, call: Call) -> Constant:
    """Whether it is there."""
    return holding(call.has(0))
