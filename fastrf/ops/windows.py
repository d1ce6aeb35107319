"""Operators that slide a window: convolution, pooling, unfold and fold, local response normalisation."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

from fastrf.engine import axis_map as maps
from fastrf.engine.recipe import Tensor
from fastrf.engine.relation import Relation
from fastrf.errors import NetworkError, ShapeError
from fastrf.ops.arguments import Ints, Padding, Window, integer, one_of, per_axis, rearranged, spatial_axes, windows
from fastrf.ops.registry import Attributes, Cost, Shape, operator, unknown
from fastrf.ops.zeros import Mask, Taps, over_products, spread_groups

__all__ = ["conv_cost", "kernel_of_group"]


def slide(
    x: Tensor,
    kernel_size: Ints,
    stride: Ints,
    padding: Padding,
    dilation: Ints,
    *,
    ceil_mode: bool = False,
    padding_mode: str = "zeros",
    taps: Taps | None = None,
) -> Tensor:
    """Read every spatial axis through a window: output `o` reads `o s - p + t d` for `0 <= t < k`, or `taps` alone."""
    axes = spatial_axes(x)
    one_of(padding_mode, ("zeros", "reflect", "replicate", "circular"), "padding_mode")
    found = windows([x.shape[a] for a in axes], kernel_size, stride, padding, dilation)
    for axis, wanted in zip(axes, found, strict=True):
        w = wanted if padding_mode == "zeros" else wanted._replace(before=0, after=0)
        if w != wanted:
            x = x.map_axis(axis, maps.pad(x.shape[axis], wanted.before, wanted.after, padding_mode))
        size, n_out = x.shape[axis], w.count(x.shape[axis], ceil=ceil_mode)
        first, gap, count = (0, 1, w.kernel) if taps is None else taps[axis - 1]
        x = x.map_axis(axis, maps.window(size, n_out, count, w.stride, w.before - first * w.dilation, gap * w.dilation))
    return x


def mix_channels(x: Tensor, out_channels: int, groups: int, table: Mask | None = None) -> Tensor:
    """Every output channel of a group reads every input channel of that group, or those in a table (out, in)."""
    channels, out, parts = x.shape[0], integer(out_channels, "out_channels", 0), integer(groups, "groups", 1)
    if channels % parts or out % parts:
        raise ShapeError(f"{parts} groups do not divide {channels} input and {out} output channels")
    if table is not None:
        return x.map_axis(0, maps.from_relation(Relation.from_mask(table))).with_channel(0)
    if parts == 1:
        return x.reduce(0).insert(0, out).with_channel(0)
    return x.map_axis(0, maps.blocks(channels, out, parts)).with_channel(0)


def _product(value: Any, n_axes: int) -> int:
    """The product of one number, or of one per axis, over the spatial axes."""
    return math.prod(value) if isinstance(value, list | tuple) else int(value) ** n_axes


def _taps(attributes: Attributes, _: Sequence[Shape], output: Shape) -> int:
    return _product(attributes["kernel_size"], len(output) - 1)


def kernel_of_group(attributes: Attributes, inputs: Sequence[Shape], output: Shape) -> int:
    """Inputs that a convolution's output reads: taps times channels of its group."""
    return _taps(attributes, inputs, output) * (inputs[0][0] // int(attributes.get("groups", 1)))


def _transposed_fan_in(attributes: Attributes, inputs: Sequence[Shape], output: Shape) -> float:
    return kernel_of_group(attributes, inputs, output) / _product(attributes.get("stride", 1), len(output) - 1)


def _cost(per_channel: Callable[[Attributes, Sequence[Shape], Shape], int], *, transposed: bool = False) -> Cost:
    """Weights per output channel and biases; the weights multiply at every place of the output, or of the input."""

    def cost(attributes: Attributes, inputs: Sequence[Shape], output: Shape) -> tuple[int, int]:
        weights, places = output[0] * per_channel(attributes, inputs, output), inputs[0] if transposed else output
        return weights + output[0] * attributes.get("bias", True), weights * math.prod(places[1:])

    return cost


conv_cost = _cost(kernel_of_group)


@operator(paths="sum", cost=conv_cost, fan_in=kernel_of_group, channel_axis=0, convolution=True)
def conv(
    x: Tensor,
    *,
    out_channels: int,
    kernel_size: Ints,
    stride: Ints = 1,
    padding: Padding = 0,
    dilation: Ints = 1,
    groups: int = 1,
    padding_mode: str = "zeros",
    bias: bool = True,
    used: Sequence[Any] | None = None,
) -> Tensor:
    """Convolution in any number of spatial axes.

    Maths: `y[c, o] = sum over i in group(c), t of w[c, i, t] x[i, o s - p + t d]`. `used` says where `w` is not 0 by
    definition: nested lists of booleans of its shape `(out, in / groups, *kernel)`, an axis of 1 standing for all.
    Example: kernel 3, stride 2, padding 1 on 5 pixels gives 3 outputs that read `[0, 2)`, `[1, 4)`, `[3, 5)`.
    Source: torch.nn.Conv2d; "same" as TensorFlow's SAME (ONNX SAME_UPPER), "same_lower" as ONNX SAME_LOWER, "causal"
    as Keras: all of `(k - 1) d` before.
    """
    n, parts = len(spatial_axes(x)), integer(groups, "groups", 1)
    shape = (integer(out_channels, "out_channels", 0), x.shape[0] // parts, *per_axis(kernel_size, n, "kernel_size", 1))

    def part(table: Mask | None, taps: Taps | None) -> Tensor:
        mixed = mix_channels(x, out_channels, parts, None if table is None else spread_groups(table, parts))
        return slide(mixed, kernel_size, stride, padding, dilation, padding_mode=padding_mode, taps=taps)

    return over_products(part, used, shape)


@operator(paths="sum", cost=_cost(_taps), fan_in=_taps, channel_axis=0, convolution=True)
def depthwise_conv(
    x: Tensor,
    *,
    kernel_size: Ints,
    stride: Ints = 1,
    padding: Padding = 0,
    dilation: Ints = 1,
    multiplier: int = 1,
    padding_mode: str = "zeros",
    bias: bool = True,
) -> Tensor:
    """Convolution with one group per channel, `multiplier` outputs each.

    Source: keras.layers.DepthwiseConv2D; torch.nn.Conv2d with groups = channels.
    """
    spatial_axes(x)
    mixed = mix_channels(x, x.shape[0] * integer(multiplier, "multiplier", 1), max(x.shape[0], 1))
    return slide(mixed, kernel_size, stride, padding, dilation, padding_mode=padding_mode)


@operator(
    paths="sum",
    cost=_cost(kernel_of_group, transposed=True),
    fan_in=_transposed_fan_in,
    channel_axis=0,
    convolution=True,
)
def conv_transpose(
    x: Tensor,
    *,
    out_channels: int,
    kernel_size: Ints,
    stride: Ints = 1,
    padding: Padding = 0,
    output_padding: Ints = 0,
    dilation: Ints = 1,
    groups: int = 1,
    bias: bool = True,
    used: Sequence[Any] | None = None,
) -> Tensor:
    """Transposed convolution: input `i` writes outputs `i s - p + t d`.

    `used` is as for `conv`, of the shape `(in, out / groups, *kernel)`.
    Example: kernel 2, stride 2 on 3 pixels gives 6 outputs that read 0 0 1 1 2 2.
    Source: torch.nn.ConvTranspose2d.
    """
    axes = spatial_axes(x)
    if isinstance(padding, str) and padding != "valid":
        raise NetworkError(f"padding {padding!r} has no one meaning for a transposed convolution; give numbers")
    found = windows([1] * len(axes), kernel_size, stride, padding, dilation)
    extra = per_axis(output_padding, len(axes), "output_padding", 0)
    parts = integer(groups, "groups", 1)
    shape = (x.shape[0], integer(out_channels, "out_channels", 0) // parts, *(w.kernel for w in found))

    def part(table: Mask | None, taps: Taps | None) -> Tensor:
        y = x
        for axis, w, more in zip(axes, found, extra, strict=True):
            first, gap, count = (0, 1, w.kernel) if taps is None else taps[axis - 1]
            n_out, before = _transposed_size(x.shape[axis], w, more), w.before - first * w.dilation
            y = y.map_axis(
                axis, maps.transposed_window(x.shape[axis], n_out, count, w.stride, before, gap * w.dilation)
            )
        return mix_channels(y, out_channels, parts, None if table is None else spread_groups(table, parts).T)

    return over_products(part, used, shape)


def _transposed_size(size: int, w: Window, more: int) -> int:
    """How many outputs inputs write to, of which padding removes some."""
    whole = (size - 1) * w.stride + w.reach + more if size else w.before + w.after
    if whole < w.before + w.after:
        raise ShapeError(f"padding {(w.before, w.after)} removes more than the {whole} outputs; pad less")
    return whole - w.before - w.after


@operator("max_pool", "avg_pool", "lp_pool", paths="sum", fan_in=_taps, channel_axis=0)
def pool(
    x: Tensor,
    *,
    kernel_size: Ints,
    stride: Ints | None = None,
    padding: Padding = 0,
    dilation: Ints = 1,
    ceil_mode: bool = False,
) -> Tensor:
    """Max, average or Lp pooling: every channel by itself reads its whole window.

    `stride` defaults to the kernel. With `ceil_mode` a last, incomplete window counts if it starts inside the
    input or the padding before it.
    Example: kernel 3, stride 2 on 6 pixels gives 2 windows, with `ceil_mode` 3.
    Source: torch.nn.MaxPool2d.
    """
    steps = kernel_size if stride is None else stride
    return slide(x, kernel_size, steps, padding, dilation, ceil_mode=ceil_mode)


@operator("adaptive_avg_pool", "adaptive_max_pool", paths="mean", channel_axis=0, role="pool")
def adaptive_pool(x: Tensor, *, output_size: int | list[int | None] | None) -> Tensor:
    """Pooling to a given size: output `o` reads `[floor(o n / m), ceil((o + 1) n / m))`.

    Example: 7 pixels to 3 read `[0, 3)`, `[2, 5)`, `[4, 7)`. A size of None keeps the axis.
    Source: torch.nn.AdaptiveAvgPool2d.
    """
    axes = spatial_axes(x)
    wanted = list(output_size) if isinstance(output_size, list | tuple) else [output_size] * len(axes)
    kept = [x.shape[a] if m is None else m for a, m in zip(axes, wanted, strict=False)]
    sizes = per_axis([*kept, *wanted[len(axes) :]], len(axes), "output_size", 0)
    for axis, m in zip(axes, sizes, strict=True):
        if m == 1:
            x = x.reduce(axis, keepdims=True)
        elif m != x.shape[axis]:
            x = x.map_axis(axis, maps.adaptive(x.shape[axis], m))
    return x


@operator("global_avg_pool", "global_max_pool", paths="mean", channel_axis=0, role="pool")
def global_pool(x: Tensor, *, keepdims: bool = True) -> Tensor:
    """Pooling of each channel over all positions, to one (`keepdims`) or to a vector of channels."""
    return x.reduce(list(spatial_axes(x)), keepdims=keepdims)


@operator(paths="sum", cost=unknown, fan_in=kernel_of_group, channel_axis=0)
def window(x: Tensor, *, kernel_size: Ints, stride: Ints = 1, padding: Padding = 0, dilation: Ints = 1) -> Tensor:
    """A row of the classic table: convolution or pooling, it does not say which.

    The channel count stays, and every output channel reads every input channel.
    """
    return slide(x, kernel_size, stride, padding, dilation).couple(0)


@operator(paths="sum", channel_axis=0)
def unfold(x: Tensor, *, kernel_size: Ints, dilation: Ints = 1, padding: Padding = 0, stride: Ints = 1) -> Tensor:
    """Windows as columns: `(C, *n)` to `(C prod(k), L)`; channel slowest, then taps, both row-major.

    Source: torch.nn.Unfold (im2col).
    """
    axes = spatial_axes(x)
    found = windows(x.shape[1:], kernel_size, stride, padding, dilation)
    counts = [w.count(x.shape[a]) for a, w in zip(axes, found, strict=True)]
    for axis, count, w in zip(axes, counts, found, strict=True):
        x = x.map_axis(axis, maps.windows(x.shape[axis], count, w.kernel, w.stride, w.before, w.dilation))
    factors = [[x.shape[0]], *([count, w.kernel] for count, w in zip(counts, found, strict=True))]
    return rearranged(x, factors, [[0, *range(2, 2 * len(axes) + 1, 2)], range(1, 2 * len(axes), 2)]).with_channel(0)


@operator(paths="sum")
def fold(
    x: Tensor, *, output_size: Ints, kernel_size: Ints, dilation: Ints = 1, padding: Padding = 0, stride: Ints = 1
) -> Tensor:
    """The sum of overlapping windows, `unfold` reversed: `(C prod(k), L)` to `(C, *output_size)`.

    Source: torch.nn.Fold (col2im).
    """
    sizes = [output_size] if isinstance(output_size, int) else list(output_size)
    n, found = len(sizes), windows(sizes, kernel_size, stride, padding, dilation)
    counts, kernel = [w.count(m) for m, w in zip(sizes, found, strict=True)], [w.kernel for w in found]
    if x.ndim != 2 or x.shape[0] % math.prod(kernel) or x.shape[1] != math.prod(counts):
        raise ShapeError(
            f"shape {x.shape} is not {math.prod(kernel)} taps by {math.prod(counts)} windows; check the sizes"
        )
    order = [[0], *([1 + n + i, 1 + i] for i in range(n))]
    x = rearranged(x, [[x.shape[0] // math.prod(kernel), *kernel], counts], order)
    for axis, size, count, w in zip(range(1, n + 1), sizes, counts, found, strict=True):
        x = x.map_axis(axis, maps.overlap(count, size, w.kernel, w.stride, w.before, w.dilation))
    return x.with_channel(0)


@operator(paths="through", channel_axis=0)
def local_response_norm(x: Tensor, *, size: int) -> Tensor:
    """Division by a sum over neighbouring channels, `c - size // 2` to `c + (size - 1) // 2`, of the same pixel.

    Source: torch.nn.LocalResponseNorm.
    """
    spatial_axes(x)
    width = integer(size, "size", 1)
    return x.map_axis(0, maps.window(x.shape[0], x.shape[0], width, 1, width // 2, 1))
