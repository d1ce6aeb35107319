"""Operators whose reads depend on data: the whole axis is read, soundly, and the node is listed as approximate."""

from __future__ import annotations

from fastrf.engine.recipe import Tensor
from fastrf.errors import ShapeError
from fastrf.ops.arguments import Ints, Padding, integer, integers, spatial_axes, windows
from fastrf.ops.registry import operator
from fastrf.ops.windows import conv_cost, kernel_of_group

__all__: list[str] = []


@operator(paths="data", cost=conv_cost, fan_in=kernel_of_group, channel_axis=0, convolution=True)
def deform_conv(
    x: Tensor,
    offsets: Tensor,
    mask: Tensor | None = None,
    *,
    out_channels: int,
    kernel_size: Ints,
    stride: Ints = 1,
    padding: Padding = 0,
    dilation: Ints = 1,
    groups: int = 1,
    bias: bool = True,
) -> Tensor:
    """Deformable convolution: reads the offsets (and mask) at its place, and may read any pixel.

    Source: torchvision.ops.deform_conv2d.
    """
    sizes = [x.shape[a] for a in spatial_axes(x)]
    place = tuple(
        w.count(n) for w, n in zip(windows(sizes, kernel_size, stride, padding, dilation), sizes, strict=True)
    )
    out, _ = integer(out_channels, "out_channels", 0), integer(groups, "groups", 1)
    parts = [x.reduce(keepdims=True).broadcast_to((out, *place))]
    for extra in (offsets, mask):
        if extra is not None:
            if extra.shape[1:] != place:
                raise ShapeError(f"offsets or mask of shape {extra.shape} do not fit the output positions {place}")
            parts.append(extra.reduce(0).insert(0, out))
    return parts[0].union(*parts[1:]).with_channel(0).approximate()


@operator(paths="data", channel_axis=0)
def grid_sample(x: Tensor, grid: Tensor) -> Tensor:
    """`(C, *n)` at places that a grid `(*m, dims)` computes. Source: torch.nn.functional.grid_sample."""
    spatial_axes(x)
    shape = (x.shape[0], *grid.shape[:-1])
    if grid.ndim != x.ndim or grid.shape[-1] != x.ndim - 1:
        raise ShapeError(f"a grid of shape {grid.shape} does not address {x.ndim - 1} axes of shape {x.shape}")
    sampled = x.reduce(list(spatial_axes(x)), keepdims=True).broadcast_to(shape)
    return sampled.union(grid.reduce(-1).insert(0, x.shape[0])).with_channel(0).approximate()


@operator(paths="data")
def dynamic_gather(x: Tensor, index: Tensor, *, axis: int) -> Tensor:
    """Indices along an axis chosen by data: each output reads its index, and may read any of the axis."""
    if index.ndim != 1:
        raise ShapeError(f"an index of shape {index.shape} is not a vector; flatten it")
    at = x.axis(axis)
    picked = x.reduce(at).insert(at, index.size)
    chosen = index
    for k in range(x.ndim):
        if k != at:
            chosen = chosen.insert(k, x.shape[k])
    return picked.union(chosen).with_channel(x.channel_axis).approximate()


@operator(paths="data")
def topk(x: Tensor, *, axis: int, k: int) -> Tensor:
    """The `k` largest along an axis: each may be any of it."""
    at, count = x.axis(axis), integer(k, "k", 0)
    if count > x.shape[at]:
        raise ShapeError(f"k = {count} is more than the {x.shape[at]} elements of axis {axis}")
    return x.reduce(at).insert(at, count).with_channel(x.channel_axis).approximate()


@operator(paths="data")
def sort(x: Tensor, *, axis: int) -> Tensor:
    """Values along an axis in order: each may be any of it."""
    return x.couple(axis).approximate()


@operator(paths="data")
def loosened(x: Tensor) -> Tensor:
    """The same values, of which a superset of what they read is known, as behind weights whose zeros are lost."""
    return x.approximate()


@operator(paths="data")
def opaque(*parts: Tensor, shape: Ints) -> Tensor:
    """An operator that nothing is known of but its output shape: it may read everything."""
    sizes = integers(shape, "shape", 0)
    whole = [part.reduce().broadcast_to(sizes) for part in parts]
    return whole[0].union(*whole[1:]).with_channel(0 if len(sizes) > 1 else None).approximate()
