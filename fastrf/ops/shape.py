"""Operators that move elements: reshape, pad, slice, gather, scatter, concat, shuffles and windows."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from fastrf.budget import limits
from fastrf.engine import axis_map as maps
from fastrf.engine.recipe import Tensor
from fastrf.engine.relation import Relation
from fastrf.errors import NetworkError, ShapeError
from fastrf.ops.arguments import Ints, in_groups, integer, integers, one_of, per_axis, rearranged, spatial_axes
from fastrf.ops.registry import operator

__all__: list[str] = []

IntArray = npt.NDArray[np.int64]


@operator(paths="sum", role="view")
def flatten(x: Tensor, *, start_axis: int = 0, end_axis: int = -1) -> Tensor:
    """Axes `start_axis` to `end_axis` as one. Source: torch.flatten."""
    if x.ndim == 0:
        return x.reshape([1])
    first, last = x.axis(start_axis), x.axis(end_axis)
    if last < first:
        raise ShapeError(f"start_axis {start_axis} comes after end_axis {end_axis} in shape {x.shape}")
    return x.reshape([*x.shape[:first], math.prod(x.shape[first : last + 1]), *x.shape[last + 1 :]])


@operator(paths="sum", role="view")
def reshape(x: Tensor, *, shape: Ints, channel_axis: int | None = None) -> Tensor:
    """The same elements, row-major, in another shape; one size may be -1.

    Without channels, an axis of 1 put in front is theirs. `channel_axis` says which axis of the result holds
    channels, where that is not so, nor the one that holds them already.
    """
    result = x.reshape(integers(shape, "shape", -1))
    return result if channel_axis is None else result.with_channel(result.axis(integer(channel_axis, "channel_axis")))


@operator(paths="sum", role="view")
def permute(x: Tensor, *, order: Ints) -> Tensor:
    """The axes in another order."""
    return x.permute(integers(order, "order"))


@operator(paths="sum", role="view")
def transpose(x: Tensor, *, axis0: int, axis1: int) -> Tensor:
    """Two axes exchanged."""
    order = list(range(x.ndim))
    first, second = x.axis(axis0), x.axis(axis1)
    order[first], order[second] = second, first
    return x.permute(order)


@operator(paths="sum", role="view")
def squeeze(x: Tensor, *, axes: Ints | None = None) -> Tensor:
    """Axes of 1 dropped (default: all of them)."""
    listed = (
        [a for a, n in enumerate(x.shape) if n == 1] if axes is None else [x.axis(a) for a in integers(axes, "axes")]
    )
    if any(x.shape[a] != 1 for a in listed):
        raise ShapeError(f"axes {listed} of shape {x.shape} are not all 1; only those can be squeezed")
    return x.reshape([n for a, n in enumerate(x.shape) if a not in listed])


@operator(paths="sum", role="view")
def unsqueeze(x: Tensor, *, axis: int) -> Tensor:
    """A new axis of 1; in front of what has no channels, it is their axis."""
    if not -x.ndim - 1 <= axis <= x.ndim:
        raise ShapeError(f"axis {axis} is out of range for a new axis of shape {x.shape}")
    at = axis % (x.ndim + 1)
    return x.reshape([*x.shape[:at], 1, *x.shape[at:]]) if x.channel_axis is None else x.insert(at, 1)


@operator(paths="sum", role="view")
def expand(x: Tensor, *, shape: Ints) -> Tensor:
    """Axes of 1 repeated to a shape; -1 keeps an axis. Source: torch.Tensor.expand."""
    sizes = integers(shape, "shape", -1)
    kept = [1] * (len(sizes) - x.ndim) + list(x.shape)
    return x.broadcast_to([old if new == -1 else new for new, old in zip(sizes, kept, strict=False)])


@operator(paths="sum")
def pad(x: Tensor, *, padding: Sequence[Sequence[int]], mode: str = "constant") -> Tensor:
    """Each axis lengthened before and after (negative: cropped).

    `constant` adds values that depend on nothing; `reflect`, `symmetric` (the edge twice), `replicate` and
    `circular` repeat the input's. Source: torch.nn.functional.pad, with one pair per axis in order; numpy.pad.
    """
    if len(padding) != x.ndim:
        raise ShapeError(
            f"padding has {len(padding)} pairs for the {x.ndim} axes of shape {x.shape}; give one per axis"
        )
    one_of(mode, ("constant", "reflect", "symmetric", "replicate", "circular"), "pad mode")
    for axis, pair in enumerate(padding):
        before, after = per_axis(pair, 2, "padding")
        if before or after:
            x = x.map_axis(axis, maps.pad(x.shape[axis], before, after, mode))
    return x


@operator(paths="sum", channel_axis=0)
def center_crop(x: Tensor, like: Tensor) -> Tensor:
    """The centre of `x`, as large along the spatial axes as `like`, which gives its shape and no value.

    Of `n` places, `m` are kept from `(n - m) / 2` on, rounded to the nearest, a half to the even one: 1 of 2 from 0,
    1 of 4 from 2. Where `n` is less than `m`, it is an error. Source: torchvision.transforms.CenterCrop, which pads
    then.
    """
    axes = spatial_axes(x)
    if x.ndim != like.ndim or any(x.shape[a] < like.shape[a] for a in axes):
        raise ShapeError(f"the centre of shape {x.shape} cannot be as large as shape {like.shape}; pad it first")
    for axis in axes:
        n, m = x.shape[axis], like.shape[axis]
        if n != m:
            x = x.map_axis(axis, maps.strided_slice(n, round((n - m) / 2), 1, m))
    return x


@operator("slice", paths="sum", role="view")
def slice_(x: Tensor, *, axis: int, start: int | None = None, stop: int | None = None, step: int = 1) -> Tensor:
    """Every `step`-th index from `start` to `stop`, as Python slices; `step` may be negative."""
    for name, value in (("start", start), ("stop", stop), ("step", step)):
        if value is not None:
            integer(value, name)
    if step == 0:
        raise NetworkError("step must not be 0")
    picked = range(*slice(start, stop, step).indices(x.shape[x.axis(axis)]))
    return x.map_axis(axis, maps.strided_slice(x.shape[x.axis(axis)], picked.start, picked.step, len(picked)))


@operator(paths="sum", role="view")
def select(x: Tensor, *, axis: int, index: int) -> Tensor:
    """One index along an axis, which is dropped."""
    at = x.axis(integer(axis, "axis"))
    (place,) = _listed(x, at, integer(index, "index"))
    return x.map_axis(at, maps.strided_slice(x.shape[at], place, 1, 1)).reshape([*x.shape[:at], *x.shape[at + 1 :]])


@operator(paths="sum")
def flip(x: Tensor, *, axes: Ints) -> Tensor:
    """Axes reversed."""
    for axis in integers(axes, "axes"):
        x = x.map_axis(axis, maps.flip(x.shape[x.axis(axis)]))
    return x


@operator(paths="sum")
def roll(x: Tensor, *, shifts: Ints, axes: Ints) -> Tensor:
    """Axes rotated: output `(i + shift) mod n` reads `i`. Source: torch.roll."""
    moves, listed = integers(shifts, "shifts"), integers(axes, "axes")
    if len(moves) != len(listed):
        raise NetworkError(f"{len(moves)} shifts for {len(listed)} axes; give one each")
    for move, axis in zip(moves, listed, strict=True):
        x = x.map_axis(axis, maps.roll(x.shape[x.axis(axis)], move))
    return x


@operator(paths="sum")
def gather(x: Tensor, *, axis: int | None = None, indices: Ints, shape: Ints | None = None) -> Tensor:
    """The listed indices along an axis, in their order, repeated or not.

    Without an axis, elements by their row-major numbers, brought into a shape. Source: numpy.take.
    """
    if axis is not None and shape is None:
        return x.map_axis(axis, maps.take(x.shape[x.axis(axis)], _listed(x, axis, indices)))
    if axis is not None:
        raise NetworkError("gather takes a shape only where it has no axis")
    line = _in_a_line(x)
    places = _listed(line, 0, indices)
    sizes = [len(places)] if shape is None else integers(shape, "shape", -1)
    result = line.map_axis(0, maps.take(line.shape[0], places)).reshape(sizes)
    return result.with_channel(_channel_followed(x, np.array(places), result.shape))


@operator(paths="sum")
def scatter(x: Tensor, updates: Tensor, *, axis: int | None = None, indices: Ints, reduce: str = "none") -> Tensor:
    """`x` with the listed indices along an axis replaced by, or (`reduce="add"`) increased by, the updates.

    Without an axis, elements by their row-major numbers. A repeated index keeps the last update. Source:
    torch.index_copy, torch.index_add, numpy.put.
    """
    one_of(reduce, ("none", "add"), "reduce")
    if axis is None:
        line = _in_a_line(x)
        written = scatter(line, _in_a_line(updates), axis=0, indices=indices, reduce=reduce).reshape(x.shape)
        if x.channel_axis is not None:
            return written.with_channel(x.channel_axis)
        sources = np.full(line.shape[0], -1)
        sources[_listed(line, 0, indices)] = np.arange(math.prod(updates.shape))
        return written.with_channel(_channel_followed(updates, sources, x.shape))
    n = x.shape[x.axis(axis)]
    limits.require("axis", n, f"an axis has {n} indices")
    index = np.array(_listed(x, axis, indices), np.int64)
    if updates.shape != (*x.shape[: x.axis(axis)], index.size, *x.shape[x.axis(axis) + 1 :]):
        raise ShapeError(
            f"updates of shape {updates.shape} do not fit {index.size} indices along axis {axis} of {x.shape}"
        )
    if reduce == "add":
        source = Relation.from_points(n, index.size, index, np.arange(index.size))
        return x.union(updates.map_axis(axis, maps.from_relation(source)))
    last = np.full(n, -1, np.int64)
    np.maximum.at(last, index, np.arange(index.size))
    kept = np.where(last < 0, np.arange(n), -1)
    return x.map_axis(axis, maps.take(n, kept)).union(updates.map_axis(axis, maps.take(index.size, last)))


@operator(paths="sum")
def concat(*parts: Tensor, axis: int) -> Tensor:
    """One input after another along an axis."""
    length = sum(part.shape[part.axis(axis)] for part in parts)
    limits.require("parts", len(parts) * length, f"{len(parts)} parts of {length} indices in all", "concatenate fewer")
    return parts[0].concat(axis, *parts[1:])


@operator(paths="sum")
def stack(*parts: Tensor, axis: int) -> Tensor:
    """Inputs of one shape along a new axis."""
    raised = [unsqueeze(part, axis=axis) for part in parts]
    return raised[0].concat(axis if axis >= 0 else raised[0].ndim + axis, *raised[1:])


@operator(paths="sum", role="view")
def split(x: Tensor, *, axis: int, sections: Ints, index: int) -> Tensor:
    """Part `index` of an axis cut into pieces of one size (the last may be shorter) or of listed sizes.

    Source: torch.split.
    """
    n = x.shape[x.axis(axis)]
    if isinstance(sections, int):
        width = integer(sections, "sections", 1)
        count = max(-(-n // width), 1)
    else:
        sizes = integers(sections, "sections", 0)
        count = len(sizes)
        if sum(sizes) != n:
            raise ShapeError(f"sections {sizes} do not add up to {n}, the length of axis {axis}")
    if not -count <= index < count:
        raise ShapeError(f"part {index} is outside the {count} parts")
    at = index % count
    start, length = (
        (at * width, min(width, n - at * width)) if isinstance(sections, int) else (sum(sizes[:at]), sizes[at])
    )
    return x.map_axis(axis, maps.strided_slice(n, start, 1, length))


@operator(paths="sum", role="view")
def chunk(x: Tensor, *, axis: int, chunks: int, index: int) -> Tensor:
    """Part `index` of an axis cut into `chunks` equal pieces (the last may be shorter). Source: torch.chunk."""
    width = -(-x.shape[x.axis(axis)] // integer(chunks, "chunks", 1))
    return split(x, axis=axis, sections=max(width, 1), index=index)


@operator(paths="sum")
def repeat(x: Tensor, *, repeats: Ints) -> Tensor:
    """Each axis tiled as often as listed. Source: numpy.tile."""
    times = per_axis(repeats, x.ndim, "repeats", 0)
    for axis, count in enumerate(times):
        if count != 1:
            x = x.map_axis(axis, maps.tile(x.shape[axis], count))
    return x


@operator(paths="sum")
def repeat_interleave(x: Tensor, *, axis: int, repeats: int) -> Tensor:
    """Each index along an axis repeated. Source: torch.repeat_interleave."""
    n, times = x.shape[x.axis(axis)], integer(repeats, "repeats", 0)
    return x.map_axis(axis, maps.nearest(n, n * times) if n and times else maps.take(n, []))


@operator(paths="sum", channel_axis=0)
def pixel_shuffle(x: Tensor, *, factor: int) -> Tensor:
    """`(C r r, H, W)` to `(C, H r, W r)`. Source: torch.nn.PixelShuffle."""
    return depth_to_space(x, block=factor, mode="CRD")


@operator(paths="sum", channel_axis=0)
def pixel_unshuffle(x: Tensor, *, factor: int) -> Tensor:
    """`(C, H r, W r)` to `(C r r, H, W)`, channels slowest. Source: torch.nn.PixelUnshuffle."""
    return _space_to_depth(x, factor, channels_first=True)


@operator(paths="sum", channel_axis=0)
def space_to_depth(x: Tensor, *, block: int) -> Tensor:
    """`(C, H b, W b)` to `(b b C, H, W)`, block offsets slowest. Source: ONNX SpaceToDepth."""
    return _space_to_depth(x, block, channels_first=False)


@operator(paths="sum", channel_axis=0)
def depth_to_space(x: Tensor, *, block: int, mode: str = "DCR") -> Tensor:
    """`(b b C, H, W)` to `(C, H b, W b)`; the channel axis holds offsets then channels (DCR) or reversed (CRD).

    Source: ONNX DepthToSpace.
    """
    n, b, spatial = len(spatial_axes(x)), integer(block, "block", 1), x.shape[1:]
    one_of(mode, ("DCR", "CRD"), "mode")
    if x.shape[0] % b**n:
        raise ShapeError(f"{x.shape[0]} channels do not divide into blocks of {b**n}")
    channels, blocks = x.shape[0] // b**n, [b] * n
    first, channel, factors = (0, n, [*blocks, channels]) if mode == "DCR" else (1, 0, [channels, *blocks])
    order = [[channel], *([n + 1 + i, first + i] for i in range(n))]
    return rearranged(x, [factors, spatial], order).with_channel(0)


def _space_to_depth(x: Tensor, block: int, *, channels_first: bool) -> Tensor:
    n, b = len(spatial_axes(x)), integer(block, "block", 1)
    if any(size % b for size in x.shape[1:]):
        raise ShapeError(f"blocks of {b} do not divide shape {x.shape}")
    blocks, places = range(2, 2 * n + 1, 2), range(1, 2 * n, 2)
    depth = [0, *blocks] if channels_first else [*blocks, 0]
    factors = [[x.shape[0]], *([size // b, b] for size in x.shape[1:])]
    return rearranged(x, factors, [depth, *([k] for k in places)]).with_channel(0)


@operator(paths="sum", channel_axis=0)
def channel_shuffle(x: Tensor, *, groups: int) -> Tensor:
    """Channels of `groups` groups interleaved. Source: ShuffleNet, torch.nn.ChannelShuffle."""
    order = [[1, 0], *([k] for k in range(2, x.ndim + 1))]
    return rearranged(x, [in_groups(x, groups), x.shape[1:]], order).with_channel(0)


@operator(paths="sum", channel_axis=0)
def window_partition(x: Tensor, *, window: Ints) -> Tensor:
    """`(C, H, W)` to `(windows, C, h, w)`, windows row-major. Source: Swin Transformer."""
    n = len(spatial_axes(x))
    sizes = per_axis(window, n, "window", 1)
    if any(size % w for size, w in zip(x.shape[1:], sizes, strict=True)):
        raise ShapeError(f"windows of {sizes} do not divide shape {x.shape}; pad first")
    factors = [[x.shape[0]], *([size // w, w] for size, w in zip(x.shape[1:], sizes, strict=True))]
    return rearranged(x, factors, [range(1, 2 * n, 2), [0], *([k] for k in range(2, 2 * n + 1, 2))]).with_channel(1)


@operator(paths="sum")
def window_reverse(x: Tensor, *, window: Ints, output_size: Ints) -> Tensor:
    """`window_partition` undone: `(windows, C, h, w)` to `(C, H, W)`."""
    n = x.ndim - 2
    sizes, full = per_axis(window, n, "window", 1), per_axis(output_size, n, "output_size", 0)
    counts = [size // w for size, w in zip(full, sizes, strict=True)]
    whole = all(f % w == 0 for f, w in zip(full, sizes, strict=True))
    if n < 1 or not whole or x.shape != (math.prod(counts), x.shape[1], *sizes):
        raise ShapeError(f"shape {x.shape} is not windows of {sizes} that make up {full}")
    order = [[n], *([i, n + 1 + i] for i in range(n))]
    return rearranged(x, [counts, x.shape[1:]], order).with_channel(0)


def _in_a_line(x: Tensor) -> Tensor:
    return x.reshape([math.prod(x.shape)])


def _channel_followed(x: Tensor, places: IntArray, shape: Sequence[int]) -> int | None:
    """The axis of what is taken at some places (-1: nothing) along which channels change most often; None without."""
    if x.channel_axis is None or not places.size:
        return None
    inner, count = math.prod(x.shape[x.channel_axis + 1 :]), x.shape[x.channel_axis]
    channel = np.where(places < 0, np.nan, places // inner % count).reshape(shape)
    steps = [np.diff(channel, axis=axis) for axis in range(channel.ndim)]
    changes = [np.count_nonzero(np.nan_to_num(step)) / max(step.size, 1) for step in steps]
    if not any(changes):
        stays = count == 1 and tuple(shape[x.channel_axis : x.channel_axis + 1]) == (1,)
        return x.channel_axis if stays else None
    return int(np.argmax(changes))


def _listed(x: Tensor, axis: int, indices: Ints) -> list[int]:
    n, values = x.shape[x.axis(axis)], integers(indices, "indices")
    for value in values:
        if not -n <= value < n:
            raise ShapeError(f"index {value} is outside axis {axis} of shape {x.shape}")
    return [value % n for value in values]
