"""Rules of ATen operators that move elements."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from functools import partial

import numpy as np
import torch
from torch.fx import Node

from fastrf.frontends import moving
from fastrf.frontends.lowering import Value
from fastrf.frontends.torch.arguments import bound, fake_shape, short_name
from fastrf.frontends.torch.known import applied
from fastrf.frontends.torch.names import PERMUTES, SHAPES
from fastrf.frontends.torch.registry import Walk, rule

__all__: list[str] = []

Thunks = list[Callable[[], Value]]


@rule(*SHAPES)
def reshape(walk: Walk, node: Node) -> Value:
    """Any change of shape that keeps the order of elements."""
    return walk.shaped(walk.first(node), fake_shape(node))


@rule("expand", "expand_as", "broadcast_to")
def expand(walk: Walk, node: Node) -> Value:
    """Broadcast to the node's shape."""
    return walk.expanded(walk.first(node), fake_shape(node))


@rule(*PERMUTES)
def permute(walk: Walk, node: Node) -> Value:
    """Axes in another order, found by applying the operator to a small tensor."""
    x = walk.first(node)
    probe = torch.empty(tuple(range(2, 2 + len(x.full))), device="meta")
    return moving.permute(walk, x, [n - 2 for n in applied(node, lambda _: probe).shape])


@rule("cat", "stack")
def cat(walk: Walk, node: Node) -> Value:
    """Concatenation, of `stack` along a new axis; constant parts depend on nothing."""
    a, stacked = bound(node), short_name(node) == "stack"
    axis = a["dim"] % len(fake_shape(node))
    like = walk.dynamic(a["tensors"])[0]
    tensors = [tensor for tensor in a["tensors"] if stacked or fake_shape(tensor) != (0,)]
    parts = [walk.value(tensor) or moving.constant(walk, like, fake_shape(tensor)) for tensor in tensors]
    if stacked:
        parts = [walk.shaped(part, (*part.full[:axis], 1, *part.full[axis:])) for part in parts]
    return moving.concat(walk, parts, axis)


@rule("select")
def select(walk: Walk, node: Node) -> Value:
    """One index along an axis, which is dropped."""
    a = bound(node)
    return moving.on_axis(walk, walk.first(node), a["dim"], "select", index=a["index"])


@rule("slice", "narrow")
def slice_(walk: Walk, node: Node) -> Value:
    """A stretch of an axis, by its end or its length."""
    a, x = bound(node), walk.first(node)
    n = x.full[a["dim"]]
    if "length" in a:
        start = a["start"] % max(n, 1)
        return moving.on_axis(walk, x, a["dim"], "slice", start=start, stop=start + a["length"])
    start, stop, step = slice(a["start"], a["end"], a["step"]).indices(n)
    return moving.on_axis(walk, x, a["dim"], "slice", start=start, stop=max(stop, start), step=step)


@rule("split", "split_with_sizes", "chunk", "tensor_split")
def split(walk: Walk, node: Node) -> Thunks:
    """Pieces of an axis, each made when asked for."""
    x = walk.first(node)
    axis = bound(node).get("dim", 0) % len(x.full)
    stops = list(itertools.accumulate(fake.shape[axis] for fake in node.meta["val"]))
    pieces = zip([0, *stops], stops, strict=False)
    return [partial(moving.on_axis, walk, x, axis, "slice", start=start, stop=stop) for start, stop in pieces]


@rule("unbind")
def unbind(walk: Walk, node: Node) -> Thunks:
    """Every index of an axis, each made when asked for."""
    x = walk.first(node)
    axis = bound(node)["dim"] % len(x.full)
    return [partial(moving.on_axis, walk, x, axis, "select", index=index) for index in range(x.full[axis])]


@rule("flip")
def flip(walk: Walk, node: Node) -> Value:
    """Axes reversed."""
    x = walk.first(node)
    axes = [x.axis(d) for d in bound(node)["dims"] if x.full[d] > 1]
    return walk.emit("flip", x, axes=axes) if axes else x


@rule("roll")
def roll(walk: Walk, node: Node) -> Value:
    """Axes rotated; without axes the flattened tensor is."""
    x, a = walk.first(node), bound(node)
    if not a["dims"]:
        return moving.rearrange(walk, x, lambda numbers: np.roll(numbers, a["shifts"]))
    moves = [(s, x.axis(d)) for s, d in zip(a["shifts"], a["dims"], strict=True) if x.full[d] > 1]
    return walk.emit("roll", x, shifts=[s for s, _ in moves], axes=[d for _, d in moves])


@rule("repeat", "tile")
def repeat(walk: Walk, node: Node) -> Value:
    """Axes tiled; new ones come in front."""
    x = walk.first(node)
    times = list(bound(node).get("repeats") or bound(node)["dims"])
    times = [1] * (len(x.full) - len(times)) + times
    wide = walk.spread(walk.shaped(x, (1,) * (len(times) - len(x.full)) + x.full))
    return walk.emit("repeat", wide, repeats=times)


@rule("repeat_interleave")
def repeat_interleave(walk: Walk, node: Node) -> Value:
    """Each index along an axis repeated."""
    x, a = walk.first(node), bound(node)
    if not isinstance(a.get("repeats"), int):
        raise walk.unsupported(node)
    if a["dim"] is None:
        return walk.emit("repeat_interleave", walk.flat(x), axis=0, repeats=a["repeats"])
    return moving.on_axis(walk, x, a["dim"], "repeat_interleave", repeats=a["repeats"])


#: Paddings by their own names; `pad` says its mode.
_PAD_MODES = {
    "constant_pad_nd": "constant",
    **{f"reflection_pad{n}d": "reflect" for n in (1, 2, 3)},
    **{f"replication_pad{n}d": "replicate" for n in (1, 2, 3)},
    "_pad_circular": "circular",
}


@rule("pad", *_PAD_MODES)
def pad(walk: Walk, node: Node) -> Value:
    """Padding in all modes; negative padding crops."""
    x, a = walk.first(node), bound(node)
    mode = _PAD_MODES.get(short_name(node)) or a["mode"]
    widths = list(a.get("pad") or a.get("padding") or [])
    around = list(zip(widths[::2], widths[1::2], strict=True))[::-1]
    pairs = [(0, 0)] * (len(x.full) - len(around)) + around
    return moving.pad(walk, x, pairs, mode, a.get("value") or 0.0)


@rule("pixel_shuffle", "pixel_unshuffle")
def pixel_shuffle(walk: Walk, node: Node) -> Value:
    """Channels to pixels, or pixels to channels."""
    x, op = walk.first(node), short_name(node)
    *_, r = bound(node).values()
    lead, (c, h, w) = x.full[:-3], x.full[-3:]
    if (x.stripped and len(x.full) == 4) or len(x.full) == 3:  # one map of channels
        return walk.emit(op, walk.spread(x) if len(x.full) == 3 else x, factor=r)
    if op == "pixel_shuffle":
        return _reordered(walk, x, (*lead, c // r**2, r, r, h, w), (0, 3, 1, 4, 2), fake_shape(node))
    return _reordered(walk, x, (*lead, c, h // r, r, w // r, r), (0, 2, 4, 1, 3), fake_shape(node))


@rule("channel_shuffle")
def channel_shuffle(walk: Walk, node: Node) -> Value:
    """Channels of groups interleaved."""
    x, groups = walk.first(node), bound(node)["groups"]
    if x.stripped and len(x.full) > 2:
        return walk.emit("channel_shuffle", x, groups=groups)
    batch, channels, *places = x.full
    rest = tuple(range(2, 2 + len(places)))
    return _reordered(walk, x, (batch, groups, channels // groups, *places), (1, 0, *rest), x.full)


def _reordered(walk: Walk, x: Value, apart: tuple[int, ...], order: tuple[int, ...], full: tuple[int, ...]) -> Value:
    """A value reshaped, its last axes reordered, and reshaped."""
    first = len(apart) - len(order)
    turned = moving.permute(walk, walk.shaped(x, apart), [*range(first), *(first + k for k in order)])
    return walk.shaped(turned, full)
