"""Rules of ATen operators that move elements."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from torch.fx import Node

from fastrf.frontends.lowering import Value
from fastrf.frontends.moving import constant, joined, on_axis, permuted
from fastrf.frontends.padding import padded
from fastrf.frontends.torch.arguments import bound, fake_shape, short_name
from fastrf.frontends.torch.names import PERMUTES, SHAPES
from fastrf.frontends.torch.walk import Walk, rule

__all__ = ["concatenated", "first_value"]

Thunks = list[Callable[[], Value]]


@rule(*SHAPES)
def reshape(walk: Walk, node: Node) -> Value:
    """Any change of shape that keeps the order of elements."""
    return walk.shaped(first_value(walk, node), fake_shape(node))


@rule("aten::expand", "aten::expand_as", "aten::broadcast_to", "aten::expand_copy")
def expand(walk: Walk, node: Node) -> Value:
    """Broadcast to the node's shape."""
    return walk.expanded(first_value(walk, node), fake_shape(node))


@rule(*PERMUTES)
def permute(walk: Walk, node: Node) -> Value:
    """Axes in another order, found by applying the operator to a small tensor."""
    x = first_value(walk, node)
    return permuted(walk, x, _axis_order(node, len(x.full)))


def _axis_order(node: Node, ndim: int) -> list[int]:
    import torch

    probe = torch.empty(tuple(range(2, 2 + ndim)), device="meta")
    assert callable(node.target)
    return [n - 2 for n in node.target(probe, *node.args[1:], **node.kwargs).shape]


@rule("aten::cat", "aten::concat", "aten::concatenate")
def cat(walk: Walk, node: Node) -> Value:
    """Concatenation; constant parts depend on nothing."""
    arguments = bound(node)
    parts = [part for part in arguments["tensors"] if fake_shape(part) != (0,)]
    return concatenated(walk, parts, arguments["dim"] % len(fake_shape(node)))


@rule("aten::stack")
def stack(walk: Walk, node: Node) -> Value:
    """Concatenation along a new axis."""
    arguments = bound(node)
    axis = arguments["dim"] % len(fake_shape(node))
    like = walk.dynamic(arguments["tensors"])[0]
    parts = []
    for tensor in arguments["tensors"]:
        value = walk.value(tensor) or constant(walk, like, fake_shape(tensor))
        parts.append(walk.shaped(value, (*value.full[:axis], 1, *value.full[axis:])))
    return joined(walk, parts, axis)


def concatenated(walk: Walk, tensors: Sequence[Any], axis: int) -> Value:
    """Values and constants one after another along a full axis."""
    like = walk.dynamic(tensors)[0]
    return joined(walk, [walk.value(t) or constant(walk, like, fake_shape(t)) for t in tensors], axis)


@rule("aten::select")
def select(walk: Walk, node: Node) -> Value:
    """One index along an axis, which is dropped."""
    a = bound(node)
    return on_axis(walk, first_value(walk, node), a["dim"], "select", index=a["index"])


@rule("aten::slice", "aten::slice_copy")
def slice_(walk: Walk, node: Node) -> Value:
    """A stretch of an axis."""
    a = bound(node)
    x = first_value(walk, node)
    start, stop, _ = slice(a["start"], a["end"], a["step"]).indices(x.full[a["dim"]])
    return on_axis(walk, x, a["dim"], "slice", start=start, stop=max(stop, start), step=a["step"])


@rule("aten::narrow")
def narrow(walk: Walk, node: Node) -> Value:
    """A stretch of an axis, by its length."""
    a = bound(node)
    x = first_value(walk, node)
    start = a["start"] % max(x.full[a["dim"]], 1)
    return on_axis(walk, x, a["dim"], "slice", start=start, stop=start + a["length"])


@rule(
    *[
        "aten::split",
        "aten::split_with_sizes",
        "aten::chunk",
        "aten::tensor_split",
        "aten::unsafe_split",
        "aten::unsafe_chunk",
    ]
)
@rule("aten::unsafe_split_with_sizes", "aten::split_copy", "aten::split_with_sizes_copy")
def split(walk: Walk, node: Node) -> Thunks:
    """Pieces of an axis, each made when asked for."""
    x = first_value(walk, node)
    axis = bound(node).get("dim", 0) % len(x.full)
    sizes = [fake.shape[axis] for fake in node.meta["val"]]
    starts = [sum(sizes[:k]) for k in range(len(sizes))]

    def piece(start: int, size: int) -> Callable[[], Value]:
        return lambda: on_axis(walk, x, axis, "slice", start=start, stop=start + size)

    return [piece(start, size) for start, size in zip(starts, sizes, strict=True)]


@rule("aten::unbind", "aten::unbind_copy")
def unbind(walk: Walk, node: Node) -> Thunks:
    """Every index of an axis, each made when asked for."""
    x = first_value(walk, node)
    axis = bound(node)["dim"] % len(x.full)

    def one(index: int) -> Callable[[], Value]:
        return lambda: on_axis(walk, x, axis, "select", index=index)

    return [one(index) for index in range(x.full[axis])]


@rule("aten::flip")
def flip(walk: Walk, node: Node) -> Value:
    """Axes reversed."""
    x = first_value(walk, node)
    axes = [x.axis(d) for d in bound(node)["dims"] if x.full[d] > 1]
    if not axes:
        return x
    return walk.emit("flip", x, axes=axes)


@rule("aten::roll")
def roll(walk: Walk, node: Node) -> Value:
    """Axes rotated; without axes the flattened tensor is."""
    x, a = first_value(walk, node), bound(node)
    if not a["dims"]:
        return walk.emit("roll", walk.flat(x), shifts=list(a["shifts"]), axes=[0])
    moves = [(s, x.axis(d)) for s, d in zip(a["shifts"], a["dims"], strict=True) if x.full[d] > 1]
    return walk.emit("roll", x, shifts=[s for s, _ in moves], axes=[d for _, d in moves])


@rule("aten::repeat", "aten::tile")
def repeat(walk: Walk, node: Node) -> Value:
    """Axes tiled; new ones come in front."""
    x = first_value(walk, node)
    times = list(bound(node).get("repeats") or bound(node)["dims"])
    times = [1] * (len(x.full) - len(times)) + times
    wide = walk.spread(walk.shaped(x, (1,) * (len(times) - len(x.full)) + x.full))
    return walk.emit("repeat", wide, repeats=times)


@rule("aten::repeat_interleave")
def repeat_interleave(walk: Walk, node: Node) -> Value:
    """Each index along an axis repeated."""
    x, a = first_value(walk, node), bound(node)
    if not isinstance(a.get("repeats"), int):
        raise walk.unsupported(node)
    if a["dim"] is None:
        return walk.emit("repeat_interleave", walk.flat(x), axis=0, repeats=a["repeats"])
    return on_axis(walk, x, a["dim"], "repeat_interleave", repeats=a["repeats"])


#: Paddings by their own names; `pad` says its mode.
_PAD_MODES = {
    "constant_pad_nd": "constant",
    **{f"reflection_pad{n}d": "reflect" for n in (1, 2, 3)},
    **{f"replication_pad{n}d": "replicate" for n in (1, 2, 3)},
    "_pad_circular": "circular",
}


@rule("aten::pad", *(f"aten::{name}" for name in _PAD_MODES))
def pad(walk: Walk, node: Node) -> Value:
    """Padding in all modes; negative padding crops."""
    x, a = first_value(walk, node), bound(node)
    mode = _PAD_MODES.get(short_name(node)) or a["mode"]
    widths = list(a.get("pad") or a.get("padding") or [])
    pairs = [(0, 0)] * (len(x.full) - len(widths) // 2) + [
        (widths[k], widths[k + 1]) for k in range(0, len(widths), 2)
    ][::-1]
    return padded(walk, x, pairs, mode, a.get("value") or 0.0)


@rule("aten::pixel_shuffle")
def pixel_shuffle(walk: Walk, node: Node) -> Value:
    """Channels to pixels."""
    x, r = first_value(walk, node), bound(node)["upscale_factor"]
    lead, (c, h, w) = x.full[:-3], x.full[-3:]
    if _one_map(x):
        return _on_map(walk, x, "pixel_shuffle", factor=r)
    return _reordered(walk, x, (*lead, c // r**2, r, r, h, w), (0, 3, 1, 4, 2), fake_shape(node))


@rule("aten::pixel_unshuffle")
def pixel_unshuffle(walk: Walk, node: Node) -> Value:
    """Pixels to channels."""
    x, r = first_value(walk, node), bound(node)["downscale_factor"]
    lead, (c, h, w) = x.full[:-3], x.full[-3:]
    if _one_map(x):
        return _on_map(walk, x, "pixel_unshuffle", factor=r)
    return _reordered(walk, x, (*lead, c, h // r, r, w // r, r), (0, 2, 4, 1, 3), fake_shape(node))


@rule("aten::channel_shuffle", "aten::native_channel_shuffle")
def channel_shuffle(walk: Walk, node: Node) -> Value:
    """Channels of groups interleaved."""
    x, groups = first_value(walk, node), bound(node)["groups"]
    if x.stripped and len(x.full) > 2:
        return walk.emit("channel_shuffle", x, groups=groups)
    batch, channels, *places = x.full
    rest = tuple(range(2, 2 + len(places)))
    return _reordered(walk, x, (batch, groups, channels // groups, *places), (1, 0, *rest), x.full)


def _one_map(x: Value) -> bool:
    """Whether a value is a map of channels, its batch of 1 left out of its shape or not there."""
    return (x.stripped and len(x.full) == 4) or len(x.full) == 3


def _on_map(walk: Walk, x: Value, op: str, **attributes: Any) -> Value:
    return walk.emit(op, walk.spread(x) if len(x.full) == 3 else x, **attributes)


def _reordered(walk: Walk, x: Value, apart: tuple[int, ...], order: tuple[int, ...], full: tuple[int, ...]) -> Value:
    """A value reshaped, its last axes reordered, and reshaped."""
    first = len(apart) - len(order)
    turned = permuted(walk, walk.shaped(x, apart), [*range(first), *(first + k for k in order)])
    return walk.shaped(turned, full)


def first_value(walk: Walk, node: Node) -> Value:
    """The value of the first argument; every rule here needs it to depend on the input."""
    x = walk.value(node.args[0])
    if x is None:
        raise walk.unsupported(node)
    return x
