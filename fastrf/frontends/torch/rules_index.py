"""Rules of ATen operators that pick or put elements at constant places."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch.fx import Node

from fastrf.frontends import choosing, moving
from fastrf.frontends.lowering import Value
from fastrf.frontends.masking import mask_out
from fastrf.frontends.torch.arguments import bound, fake_shape, short_name
from fastrf.frontends.torch.registry import Walk, rule

__all__: list[str] = []


@rule("index_select")
def index_select(walk: Walk, node: Node) -> Value:
    """Listed indices along an axis."""
    a, x = bound(node), walk.value(node.args[0])
    if x is not None:
        return _indexed(walk, x, a["dim"], a["index"])
    return _anywhere(walk, None, fake_shape(a["self"]), [(a["dim"] % len(fake_shape(node)), a["index"])], node)


def _indexed(walk: Walk, x: Value, axis: int, index: Any) -> Value:
    """A static gather, or a sound over-approximation where the index depends on the input."""
    chosen = walk.value(index)
    if chosen is None:
        return moving.on_axis(walk, x, axis, "gather", indices=walk.places(index).ravel().tolist())
    return walk.emit("dynamic_gather", walk.spread(x), walk.flat(chosen), axis=axis % len(x.full))


@rule("index")
def index(walk: Walk, node: Node) -> Any:
    """Indexing by constant arrays: along one axis, or elementwise along several."""
    x = walk.value(node.args[0])
    indices = list(node.args[1])  # type: ignore[arg-type]
    used = [(axis, i) for axis, i in enumerate(indices) if i is not None]
    if x is None or walk.dynamic([i for _, i in used]):
        if x is not None and len(used) == 1 and len(fake_shape(used[0][1])) == 1:
            return _indexed(walk, x, *used[0])
        return _anywhere(walk, x, fake_shape(node.args[0]), used, node)
    if len(used) == 1 and used[0][1].meta["val"].dtype != torch.bool:
        return _indexed(walk, x, *used[0])
    return moving.rearrange(walk, x, lambda numbers: numbers[_numpy_index(walk, indices)])


def _numpy_index(walk: Walk, indices: Sequence[Any]) -> tuple[Any, ...]:
    return tuple(slice(None) if i is None else walk.places(i) for i in indices)


@rule("gather")
def gather(walk: Walk, node: Node) -> Any:
    """Elements picked by a constant index of the output's shape."""
    a, full = bound(node), fake_shape(node)
    x = walk.value(a["self"])
    if x is None or walk.value(a["index"]) is not None:
        return choosing.gather(walk, x, walk.dynamic([a["index"]]), a["dim"] % max(len(full), 1), full)
    places = walk.places(a["index"])
    return moving.rearrange(walk, x, lambda numbers: choosing.take_along(numbers, places, a["dim"]))


def _anywhere(walk: Walk, x: Value | None, before: Sequence[int], used: Sequence[tuple[int, Any]], node: Node) -> Value:
    """Indexing by computed places: all along the indexed axes, unless that is a constant, and the places themselves."""
    axes = [axis for axis, _ in used]
    shapes = [fake_shape(index_) for _, index_ in used]
    if any(index_.meta["val"].dtype == torch.bool for _, index_ in used):
        raise walk.no_rule("aten::index", exist=True)
    wide = tuple(int(n) for n in np.broadcast_shapes(*shapes))
    together = axes == list(range(axes[0], axes[-1] + 1))
    first = axes[0] if together else 0
    rest = [n for k, n in enumerate(before) if k not in axes]
    behind = len(rest) - first
    parts = []
    if x is not None:
        read = moving.reduce(walk, x, "sum", axes, keepdims=False)
        parts = [walk.shaped(read, (*rest[:first], *(1,) * len(wide), *rest[first:]))]
    asked = walk.dynamic([i for _, i in used])
    if x is None and (len(axes), first, behind) == (1, 0, 1):  # rows of a table
        parts += map(walk.featured, asked)
    else:
        parts += [walk.shaped(value, (*value.full, *(1,) * behind)) for value in asked]
    if x is None:
        return (
            walk.elementwise("add", parts, fake_shape(node))
            if len(parts) > 1
            else walk.expanded(parts[0], fake_shape(node))
        )
    return choosing.union(walk, parts, fake_shape(node))


def _put_anywhere(walk: Walk, a: dict[str, Any], updates: Any, full: tuple[int, ...]) -> Value:
    """Elements put at computed places along one axis: each may be that of every update along it."""
    axis, shape = a["dim"] % max(len(full), 1), fake_shape(a["index"])
    parts = walk.dynamic([a["self"]])
    for value in walk.dynamic([a["index"], updates]):
        if len(value.full) < len(full):  # a vector of places, or one number
            whole = moving.reduce(walk, value, "sum", list(range(len(value.full))), keepdims=False)
            parts.append(walk.expanded(walk.shaped(whole, (1,) * len(full)), full))
            continue
        part = value
        for k, n in enumerate(shape if len(shape) == len(full) else value.full):
            part = part if k == axis else choosing.slice_axis(walk, part, k, range(n))
        parts.append(choosing.scatter(walk, part, axis, full))
    return choosing.union(walk, parts, full)


@rule("as_strided")
def as_strided(walk: Walk, node: Node) -> Value:
    """A view of a contiguous tensor by strides."""
    a = bound(node)
    memory = node.args[0].meta["val"]  # type: ignore[union-attr]
    start = int(memory.storage_offset())
    offset = start if a["storage_offset"] is None else a["storage_offset"]

    def choose(numbers: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
        stored = start + _offsets(memory.shape, memory.stride())
        storage = np.full(int(stored.max(initial=0)) + 1, -1)
        storage[stored] = numbers
        places = offset + _offsets(a["size"], a["stride"])
        if places.size and (places.max() >= storage.size or (storage[places] < 0).any()):
            raise walk.unsupported(node)
        return np.asarray(storage[places])

    return moving.rearrange(walk, walk.first(node), choose)


def _offsets(sizes: Sequence[int], steps: Sequence[int]) -> np.ndarray[Any, Any]:
    """Where in memory each element lies."""
    indices = np.indices([int(n) for n in sizes], sparse=True)
    return np.asarray(sum(index * step for index, step in zip(indices, steps, strict=True)))


@rule("rot90", "take_along_dim", "take", "diag", "diag_embed", "diagonal", "index_fill")
def moved(walk: Walk, node: Node) -> Any:
    """Any movement of elements with constant arguments, found by applying the operator to the elements' numbers."""
    x = walk.first(node)
    if walk.dynamic(node.all_input_nodes) != [x]:
        return walk.opaque(node)
    numbers = torch.arange(1, math.prod(x.full) + 1).reshape(x.full)
    walk.note_places(node.all_input_nodes[1:])
    arguments, named = walk.constant((node.args[1:], node.kwargs))
    if short_name(node) == "index_fill":
        arguments = (*arguments[:2], 0)
    assert callable(node.target)
    chosen = node.target(numbers, *arguments, **named).numpy()
    picked = moving.rearrange(walk, x, lambda _: _without_blanks(chosen) - 1)
    return picked if (chosen > 0).all() else mask_out(walk, picked, chosen > 0)


def _without_blanks(numbers: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """Numbers from 1 with zeros replaced by one of those near, so that axes still tell what they follow."""
    for axis in reversed(range(numbers.ndim)):
        if numbers.size and not numbers.all():
            numbers = np.where(numbers > 0, numbers, numbers.max(axis=axis, keepdims=True))
    return np.asarray(np.maximum(numbers, 1))


@rule("unfold")
def unfold(walk: Walk, node: Node) -> Value:
    """Sliding windows of an axis, their taps as a new last axis."""
    x, a = walk.first(node), bound(node)
    axis = a["dimension"] % len(x.full)
    count = (x.full[axis] - a["size"]) // a["step"] + 1
    indices = (np.arange(count)[:, None] * a["step"] + np.arange(a["size"])).ravel().tolist()
    windows = moving.on_axis(walk, x, axis, "gather", indices=indices)
    apart = walk.shaped(windows, (*x.full[:axis], count, a["size"], *x.full[axis + 1 :]))
    order = [k for k in range(len(apart.full)) if k != axis + 1]
    return moving.permute(walk, apart, [*order, axis + 1])


@rule("select_scatter", "slice_scatter")
def slice_scatter(walk: Walk, node: Node) -> Value:
    """One index, or a stretch, of an axis replaced; the base or the updates may be a constant."""
    a, full = bound(node), fake_shape(node)
    axis = a["dim"] % len(full)
    replaced = [a["index"] % full[axis]] if "index" in a else range(full[axis])[a["start"] : a["end"] : a["step"]]
    shape = (*full[:axis], len(replaced), *full[axis + 1 :])
    like = walk.dynamic([a["self"], a["src"]])[0]
    below = walk.tensor(a["self"], like)
    above = walk.value(a["src"]) or moving.constant(walk, like, shape)
    above = walk.shaped(above, shape) if math.prod(above.full) == math.prod(shape) else walk.expanded(above, shape)
    return walk.emit("scatter", walk.spread(below), walk.spread(above), axis=axis, indices=list(replaced))


_SCATTERS = ("scatter", "scatter_add", "scatter_reduce")


@rule("index_put", "index_copy", "index_add", *_SCATTERS)
def index_put(walk: Walk, node: Node) -> Any:
    """Elements replaced (or increased) at constant places."""
    a = bound(node)
    full = fake_shape(node)
    indices = a.get("indices", a.get("index"))
    updates = a.get("values", a.get("src", a.get("source", a.get("value"))))
    if walk.dynamic(indices if isinstance(indices, list | tuple) else [indices]):
        return _put_anywhere(walk, a, updates, full) if "dim" in a else walk.opaque(node)
    numbers = np.arange(math.prod(full)).reshape(full)
    places = _places(walk, node, numbers, a, indices)
    like = walk.dynamic([a["self"], updates])[0]
    below = walk.tensor(a["self"], like)
    above = walk.value(updates) or moving.constant(walk, like, places.shape)
    if math.prod(above.full) != places.size or short_name(node) in _SCATTERS:
        above = _fitted(walk, above, places.shape)
    adds = bool(a.get("accumulate")) or short_name(node) in ("index_add", "scatter_add", "scatter_reduce")
    if a.get("include_self") is False:
        below = mask_out(walk, below, ~np.isin(numbers, places))
    return choosing.put(walk, below, above, places, adds=adds)


def _fitted(walk: Walk, updates: Value, shape: tuple[int, ...]) -> Value:
    """Updates broadcast, or cut, to the shape of their places."""
    if (
        len(updates.full) == len(shape)
        and all(have >= want for have, want in zip(updates.full, shape, strict=True))
        and 0 not in shape
    ):
        return moving.rearrange(walk, updates, lambda numbers: numbers[tuple(slice(0, n) for n in shape)])
    return walk.expanded(updates, shape)


def _places(
    walk: Walk, node: Node, numbers: np.ndarray[Any, Any], a: dict[str, Any], indices: Any
) -> np.ndarray[Any, Any]:
    if isinstance(indices, list | tuple):
        return np.asarray(numbers[_numpy_index(walk, indices)])
    chosen, axis = walk.places(indices), a["dim"] % numbers.ndim
    if short_name(node) in ("index_copy", "index_add"):
        return np.take(numbers, chosen, axis=axis)
    return choosing.take_along(numbers, chosen, axis)
