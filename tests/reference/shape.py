"""Operators that move elements: reshapes, pads, slices, gathers, concatenations, blocks."""

import math
from collections.abc import Iterable

import numpy as np

from tests.reference.core import (
    ALL,
    Dep,
    Reads,
    assemble,
    axes_of,
    axis_of,
    border,
    check_border,
    operator,
    rank,
    replaced,
    require,
    shape_of,
)


def drop_axes(x: Dep, axes: list[int]) -> Dep:
    """The tensor without the axes, which have size 1."""
    require(all(x.shape[a] == 1 for a in axes), "only an axis of size 1 can be dropped")
    return to_shape(x, [n for a, n in enumerate(shape_of(x)) if a not in axes])


def to_shape(x: Dep, shape: Iterable[int]) -> Dep:
    """Row-major reshape."""
    shape = tuple(shape)
    require(math.prod(shape) == math.prod(shape_of(x)), f"cannot reshape {shape_of(x)} to {shape}")
    return x.reshape((*shape, x.shape[-1]))


@operator("flatten")
def flatten(attrs: dict, x: Dep) -> Dep:
    """Axes start..end (inclusive) become one."""
    shape = shape_of(x)
    start, end = axis_of(attrs.get("start_axis", 0), rank(x)), axis_of(attrs.get("end_axis", -1), rank(x))
    return to_shape(x, (*shape[:start], math.prod(shape[start : end + 1]), *shape[end + 1 :]))


@operator("reshape")
def reshape(attrs: dict, x: Dep) -> Dep:
    """Row-major reshape, one -1 allowed."""
    shape = list(attrs["shape"])
    require(shape.count(-1) <= 1, "reshape: more than one -1")
    if -1 in shape:
        known = math.prod(s for s in shape if s != -1)
        require(known > 0, "reshape: -1 is undetermined")
        shape[shape.index(-1)] = math.prod(shape_of(x)) // known
    return to_shape(x, shape)


@operator("permute")
def permute(attrs: dict, x: Dep) -> Dep:
    """Output axis a is input axis order[a]."""
    order = [axis_of(a, rank(x)) for a in attrs["order"]]
    require(sorted(order) == list(range(rank(x))), "permute: not a permutation")
    return x.transpose([*order, rank(x)])


@operator("transpose")
def transpose(attrs: dict, x: Dep) -> Dep:
    """Two axes swapped."""
    return x.swapaxes(axis_of(attrs["axis0"], rank(x)), axis_of(attrs["axis1"], rank(x)))


@operator("squeeze")
def squeeze(attrs: dict, x: Dep) -> Dep:
    """Axes of size 1 dropped (None: all of them)."""
    axes = attrs.get("axes")
    return drop_axes(x, [a for a, n in enumerate(shape_of(x)) if n == 1] if axes is None else axes_of(axes, rank(x)))


@operator("unsqueeze")
def unsqueeze(attrs: dict, x: Dep) -> Dep:
    """An axis of size 1 put in (axis counts in the output)."""
    return np.expand_dims(x, axis_of(attrs["axis"], rank(x) + 1))


@operator("expand")
def expand(attrs: dict, x: Dep) -> Dep:
    """Broadcast to a shape; -1 keeps a size; new axes at the front."""
    shape = list(attrs["shape"])
    new = len(shape) - rank(x)
    shape = [x.shape[a - new] if s == -1 and a >= new else s for a, s in enumerate(shape)]
    return np.broadcast_to(x, (*shape, x.shape[-1])).copy()


@operator("pad")
def pad(attrs: dict, x: Dep) -> Dep:
    """Position o reads position o - before, or what the border mode puts there."""
    mode, pads = attrs.get("mode", "constant"), attrs["padding"]
    require(len(pads) == rank(x), "pad: one [before, after] per axis")
    for n, (before, after) in zip(shape_of(x), pads, strict=True):
        check_border(n, before, after, mode)

    def reads(o: tuple) -> Reads:
        index = tuple(border(i - p[0], n, mode) for i, p, n in zip(o, pads, shape_of(x), strict=True))
        return [] if None in index else [(x, index)]

    return assemble([n + b + a for n, (b, a) in zip(shape_of(x), pads, strict=True)], x.shape[-1], reads)


@operator("center_crop")
def center_crop(attrs: dict, x: Dep, like: Dep) -> Dep:
    """The middle of the first, as large as the second along all axes but the first."""
    starts = [round((n - m) / 2.0) for n, m in zip(shape_of(x)[1:], shape_of(like)[1:], strict=True)]
    require(all(start >= 0 for start in starts), "center_crop: the first must be larger")

    def reads(o: tuple) -> Reads:
        return [(x, (o[0], *(i + start for i, start in zip(o[1:], starts, strict=True))))]

    return assemble((x.shape[0], *shape_of(like)[1:]), x.shape[-1], reads)


def take(x: Dep, axis: int, indices: Iterable[int]) -> Dep:
    """Slices of x along an axis; negative indices allowed."""
    chosen = [axis_of(i, x.shape[axis]) for i in indices]
    return (
        np.stack([x[replaced((ALL,) * rank(x), axis, i)] for i in chosen], axis)
        if chosen
        else x[replaced((ALL,) * rank(x), axis, slice(0, 0))]
    )


@operator("slice")
def slice_(attrs: dict, x: Dep) -> Dep:
    """Python slice along one axis."""
    axis = axis_of(attrs["axis"], rank(x))
    step, start = attrs.get("step", 1), attrs.get("start", 0)
    return take(x, axis, range(*slice(start, attrs.get("stop"), step).indices(x.shape[axis])))


@operator("select")
def select(attrs: dict, x: Dep) -> Dep:
    """One slice, its axis dropped."""
    axis = axis_of(attrs["axis"], rank(x))
    return drop_axes(take(x, axis, [attrs["index"]]), [axis])


@operator("flip")
def flip(attrs: dict, x: Dep) -> Dep:
    """Axes reversed."""
    for axis in axes_of(attrs["axes"], rank(x)):
        x = take(x, axis, reversed(range(x.shape[axis])))
    return x


@operator("roll")
def roll(attrs: dict, x: Dep) -> Dep:
    """out[(i + s) % n] = in[i] for each axis in turn."""
    shifts, axes = attrs["shifts"], attrs["axes"]
    shifts, axes = ([shifts] if isinstance(shifts, int) else shifts), ([axes] if isinstance(axes, int) else axes)
    for shift, axis in zip(shifts, axes, strict=True):
        n = x.shape[axis_of(axis, rank(x))]
        x = take(x, axis_of(axis, rank(x)), [(o - shift) % n for o in range(n)])
    return x


@operator("gather")
def gather(attrs: dict, x: Dep) -> Dep:
    """Static indices along one axis."""
    return take(x, axis_of(attrs["axis"], rank(x)), attrs["indices"])


@operator("scatter")
def scatter(attrs: dict, x: Dep, updates: Dep) -> Dep:
    """A copy of x whose slices at the indices are replaced by (or added to) the slices of updates."""
    axis = axis_of(attrs["axis"], rank(x))
    indices = [axis_of(i, x.shape[axis]) for i in attrs["indices"]]
    require(shape_of(updates) == replaced(shape_of(x), axis, len(indices)), "scatter: updates' shape")
    out = x.copy()
    for j, i in enumerate(indices):
        target, source = (replaced((ALL,) * rank(x), axis, at) for at in (i, j))
        out[target] = updates[source] | (out[target] if attrs.get("reduce", "none") == "add" else False)
    return out


@operator("concat")
def concat(attrs: dict, *inputs: Dep) -> Dep:
    """Tensors one after another."""
    return np.concatenate(inputs, axis_of(attrs["axis"], rank(inputs[0])))


@operator("stack")
def stack(attrs: dict, *inputs: Dep) -> Dep:
    """Tensors along a new axis."""
    return np.stack(inputs, axis_of(attrs["axis"], rank(inputs[0]) + 1))


@operator("split")
def split(attrs: dict, x: Dep) -> Dep:
    """One part of a split into chunks of a size, or of listed sizes."""
    axis, sections = axis_of(attrs["axis"], rank(x)), attrs["sections"]
    n = x.shape[axis]
    if isinstance(sections, int):
        parts = [range(i, min(i + sections, n)) for i in range(0, max(n, 1), sections)]
    else:
        require(sum(sections) == n, "split: sizes must add up")
        parts = [range(sum(sections[:i]), sum(sections[: i + 1])) for i in range(len(sections))]
    return take(x, axis, parts[attrs["index"]])


@operator("chunk")
def chunk(attrs: dict, x: Dep) -> Dep:
    """torch.chunk: a split into pieces of size ceil(n / chunks)."""
    n = x.shape[axis_of(attrs["axis"], rank(x))]
    size = max(-(-n // attrs["chunks"]), 1)
    return split({"axis": attrs["axis"], "sections": size, "index": attrs["index"]}, x)


@operator("repeat")
def repeat(attrs: dict, x: Dep) -> Dep:
    """numpy.tile."""
    require(len(attrs["repeats"]) == rank(x), "repeat: one number per axis")
    for axis, times in enumerate(attrs["repeats"]):
        x = take(x, axis, [*range(x.shape[axis])] * times)
    return x


@operator("repeat_interleave")
def repeat_interleave(attrs: dict, x: Dep) -> Dep:
    """Every slice repeated in place."""
    axis = axis_of(attrs["axis"], rank(x))
    return take(x, axis, [i for i in range(x.shape[axis]) for _ in range(attrs["repeats"])])


def blocks_to_space(x: Dep, r: int, crd: bool) -> Dep:
    """(C*r*r, H, W) -> (C, H*r, W*r); crd: channel c*r*r + i*r + j, else (i*r + j)*C + c."""
    require(rank(x) == 3 and x.shape[0] % (r * r) == 0, "channels must be a multiple of the squared block")
    c = x.shape[0] // (r * r)

    def reads(o: tuple) -> Reads:
        k = (o[1] % r) * r + o[2] % r
        return [(x, (o[0] * r * r + k if crd else k * c + o[0], o[1] // r, o[2] // r))]

    return assemble((c, x.shape[1] * r, x.shape[2] * r), x.shape[-1], reads)


def space_to_blocks(x: Dep, r: int, crd: bool) -> Dep:
    """The inverse of blocks_to_space."""
    require(rank(x) == 3 and x.shape[1] % r == 0 and x.shape[2] % r == 0, "size must be a multiple of the block")
    c = x.shape[0]

    def reads(o: tuple) -> Reads:
        channel, k = (o[0] // (r * r), o[0] % (r * r)) if crd else (o[0] % c, o[0] // c)
        return [(x, (channel, o[1] * r + k // r, o[2] * r + k % r))]

    return assemble((c * r * r, x.shape[1] // r, x.shape[2] // r), x.shape[-1], reads)


@operator("pixel_shuffle")
def pixel_shuffle(attrs: dict, x: Dep) -> Dep:
    """torch.pixel_shuffle."""
    return blocks_to_space(x, attrs["factor"], crd=True)


@operator("pixel_unshuffle")
def pixel_unshuffle(attrs: dict, x: Dep) -> Dep:
    """torch.pixel_unshuffle."""
    return space_to_blocks(x, attrs["factor"], crd=True)


@operator("depth_to_space")
def depth_to_space(attrs: dict, x: Dep) -> Dep:
    """ONNX DepthToSpace."""
    return blocks_to_space(x, attrs["block"], crd=attrs.get("mode", "DCR") == "CRD")


@operator("space_to_depth")
def space_to_depth(attrs: dict, x: Dep) -> Dep:
    """ONNX SpaceToDepth, the inverse of DCR (or CRD)."""
    return space_to_blocks(x, attrs["block"], crd=attrs.get("mode", "DCR") == "CRD")


@operator("channel_shuffle")
def channel_shuffle(attrs: dict, x: Dep) -> Dep:
    """Channel i*groups + g is channel g*(C/groups) + i."""
    groups = attrs["groups"]
    require(x.shape[0] % groups == 0, "channel_shuffle: channels must divide")
    return take(x, 0, [g * (x.shape[0] // groups) + i for i in range(x.shape[0] // groups) for g in range(groups)])
