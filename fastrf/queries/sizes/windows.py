"""Shape rules of operators that slide a window, resize, or rearrange blocks."""

from __future__ import annotations

import math
from collections.abc import Sequence
from fractions import Fraction
from typing import Any

import numpy as np

from fastrf.errors import ShapeError
from fastrf.ops.arguments import Window, per_axis, windows
from fastrf.queries.sizes.lengths import Length, Number, choose, larger, length
from fastrf.queries.sizes.trace import Attributes, Shape, Trace, plain, product, rule

__all__ = ["count"]


def _windows(attributes: Attributes, n: int, *, pool: bool = False) -> list[Window]:
    """The window of each axis, without padding where that follows the input."""
    kernel, padding = attributes["kernel_size"], attributes.get("padding", 0)
    stride = attributes.get("stride", None if pool else 1)
    padding = 0 if _follows(padding) or padding in ("same", "same_lower") else padding
    return windows([1] * n, kernel, kernel if stride is None else stride, padding, attributes.get("dilation", 1))


def _follows(padding: Any) -> bool:
    """Whether padding holds lengths that follow the input."""
    if isinstance(padding, list | tuple):
        return any(map(_follows, padding))
    return isinstance(padding, Length)


def _around(attributes: Attributes, axis: int, n: Number, w: Window) -> tuple[Number, Number]:
    """Padding before and after an axis."""
    padding = attributes.get("padding", 0)
    if _follows(padding):
        before, after = padding[axis] if isinstance(padding[axis], list | tuple) else (padding[axis], padding[axis])
        return before, after
    if padding not in ("same", "same_lower"):
        return w.before, w.after
    total = larger((-(-length(n) // w.stride) - 1) * w.stride + w.reach - n, 0)
    less = length(total) // 2
    return (less, total - less) if padding == "same" else (total - less, less)


def count(trace: Trace, n: Number, w: Window, around: tuple[Number, Number], *, ceil: bool = False) -> Number:
    """How many windows fit an axis."""
    before, after = around
    room = length(n) + before + after - w.reach
    told = (
        f"kernel {w.kernel}{f' with dilation {w.dilation}' * (w.dilation > 1)} does not fit input {{}} padded by {{}}"
    )
    trace.require(room > -w.stride if ceil else room >= 0, told, n, plain(length(before) + after))
    if not ceil:
        return plain(room // w.stride + 1)
    found = -(-room // w.stride) + 1
    return plain(choose((found - 1) * w.stride >= length(n) + before, found - 1, found))


def _slide(trace: Trace, attributes: Attributes, shape: Shape, *, pool: bool = False) -> list[Number]:
    """The spatial axes after windows slid along them."""
    mode, sizes = attributes.get("padding_mode", "zeros"), []
    for axis, (n, w) in enumerate(zip(shape[1:], _windows(attributes, len(shape) - 1, pool=pool), strict=True)):
        before, after = _around(attributes, axis, n, w)
        trace.stride(w.stride, trace.bare[axis + 1])
        size: Number = n
        if mode != "zeros":
            size, before, after = padded_axis(trace, n, (before, after), mode), 0, 0
        sizes.append(count(trace, size, w, (before, after), ceil=attributes.get("ceil_mode", False)))
    return sizes


def padded_axis(trace: Trace, n: Number, pair: tuple[Number, Number], mode: str) -> Number:
    """An axis with other elements of it before and after, or cropped."""
    before, after = pair
    whole = length(n) + before + after
    if mode == "constant":
        trace.require(whole >= 0, "cropping leaves nothing of an axis of {}; crop less", n)
        return plain(whole)
    if before == 0 and after == 0:
        return n
    most = larger(before, after)
    room = {"reflect": length(n) - 1, "replicate": length(most)}.get(mode, length(n))
    met = (length(before) >= 0) & (length(after) >= 0) & (length(n) >= 1) & (room >= most)
    trace.require(met, f"{mode} padding of {{}} does not fit an axis of {{}}; pad less", most, n)
    return plain(whole)


@rule("conv", "deform_conv")
def conv(trace: Trace, attributes: Attributes, shapes: list[Shape]) -> Sequence[Number]:
    """Windows along every axis; offsets of a deformable one lie at its places."""
    sizes = _slide(trace, attributes, shapes[0])
    for extra in shapes[1:]:
        for one, other in zip(extra[1:], sizes, strict=True):
            trace.same(one, other, "offsets or a mask of {} do not fit {} output positions")
    return [attributes["out_channels"], *sizes]


@rule("depthwise_conv")
def depthwise_conv(trace: Trace, attributes: Attributes, shapes: list[Shape]) -> Sequence[Number]:
    """Windows along every axis."""
    return [shapes[0][0] * attributes.get("multiplier", 1), *_slide(trace, attributes, shapes[0])]


@rule("max_pool", "avg_pool", "lp_pool")
def pool(trace: Trace, attributes: Attributes, shapes: list[Shape]) -> Sequence[Number]:
    """Windows along every axis, by default side by side."""
    return [shapes[0][0], *_slide(trace, attributes, shapes[0], pool=True)]


@rule("window")
def window(trace: Trace, attributes: Attributes, shapes: list[Shape]) -> Sequence[Number]:
    """A row of the classic table."""
    return [shapes[0][0], *_slide(trace, attributes, shapes[0])]


@rule("conv_transpose")
def conv_transpose(trace: Trace, attributes: Attributes, shapes: list[Shape]) -> Sequence[Number]:
    """Every input writes a window."""
    (_, *axes), sizes = shapes[0], []
    extra = per_axis(attributes.get("output_padding", 0), len(axes), "output_padding", 0)
    for n, w, more in zip(axes, _windows(attributes, len(axes)), extra, strict=True):
        whole = (length(n) - 1) * w.stride + w.reach + more
        whole = choose(length(n) >= 1, whole, w.before + w.after)
        trace.require(whole >= w.before + w.after, "padding removes more than the {} outputs; pad less", whole)
        sizes.append(plain(whole - w.before - w.after))
    return [attributes["out_channels"], *sizes]


@rule("adaptive_avg_pool", "adaptive_max_pool")
def adaptive_pool(_: Trace, attributes: Attributes, shapes: list[Shape]) -> Sequence[Number]:
    """A given size, or the axis as it is."""
    wanted, axes = attributes["output_size"], shapes[0][1:]
    listed = list(wanted) if isinstance(wanted, list | tuple) else [wanted] * len(axes)
    return [shapes[0][0], *(n if m is None else m for n, m in zip(axes, listed, strict=True))]


@rule("global_avg_pool", "global_max_pool")
def global_pool(_: Trace, attributes: Attributes, shapes: list[Shape]) -> Sequence[Number]:
    """One position, or none."""
    return [shapes[0][0], *[1] * (len(shapes[0]) - 1) * attributes.get("keepdims", True)]


@rule("unfold")
def unfold(trace: Trace, attributes: Attributes, shapes: list[Shape]) -> Sequence[Number]:
    """Taps by windows."""
    taps = math.prod(w.kernel for w in _windows(attributes, len(shapes[0]) - 1))
    return [shapes[0][0] * taps, product(_slide(trace, attributes, shapes[0]))]


@rule("fold")
def fold(trace: Trace, attributes: Attributes, shapes: list[Shape]) -> Sequence[Number]:
    """Windows put together: as many as a given size takes."""
    wanted = attributes["output_size"]
    sizes = [wanted] if isinstance(wanted, int | Length) else list(wanted)
    found = _windows(attributes, len(sizes))
    around = [_around(attributes, k, n, w) for k, (n, w) in enumerate(zip(sizes, found, strict=True))]
    counts = [count(trace, n, w, pair) for n, w, pair in zip(sizes, found, around, strict=True)]
    trace.same(shapes[0][1], product(counts), "{} windows are not the {} that the output size takes")
    taps = math.prod(w.kernel for w in found)
    return [divided(trace, shapes[0][0], taps), *sizes]


def divided(trace: Trace, n: Number, parts: int) -> Number:
    """A length cut into parts of one size."""
    told = f"{{}} is not a multiple of {parts}; pad first, or choose another size"
    trace.require((length(n) % parts).equals(0), told, n)
    return plain(length(n) // parts)


@rule("resize")
def resize(trace: Trace, attributes: Attributes, shapes: list[Shape]) -> Sequence[Number]:
    """A given size, or axes times a factor."""
    (channels, *axes), scale = shapes[0], attributes.get("scale")
    if scale is None:
        wanted = attributes["output_size"]
        return [channels, *(wanted if isinstance(wanted, list | tuple) else [wanted] * len(axes))]
    factors = list(scale) if isinstance(scale, list | tuple) else [scale] * len(axes)
    ratios = list(map(_ratio, factors))
    for n, ratio in zip(axes, ratios, strict=True):
        if ratio < 1:
            trace.stride(ratio.denominator, n, ratio.numerator)
    return [channels, *(plain(length(n) * r.numerator // r.denominator) for n, r in zip(axes, ratios, strict=True))]


def _ratio(factor: float) -> Fraction:
    """A factor of lengths as double precision has their product's floor. Raises ShapeError where that is irregular."""
    tries = np.arange(1 << 16)
    rounded = np.floor(tries * factor).astype(np.int64)
    for limit in (1 << 10, 1 << 20):
        near = Fraction(factor).limit_denominator(limit)
        if (tries * near.numerator // near.denominator == rounded).all():
            return near
    raise ShapeError(
        f"sizes that a scale of {factor!r} gives are not regular; give output_size, or a ratio of integers"
    )


@rule("pixel_shuffle", "depth_to_space")
def depth_to_space(trace: Trace, attributes: Attributes, shapes: list[Shape]) -> Sequence[Number]:
    """Channels to pixels."""
    (channels, *axes), b = shapes[0], _block(attributes)
    return [divided(trace, channels, b ** len(axes)), *(plain(n * b) for n in axes)]


@rule("channel_shuffle", "group_norm")
def grouped(trace: Trace, attributes: Attributes, shapes: list[Shape]) -> Sequence[Number]:
    """The input's shape, of channels in groups."""
    divided(trace, shapes[0][0], attributes["groups"])
    return shapes[0]


@rule("pixel_unshuffle", "space_to_depth")
def space_to_depth(trace: Trace, attributes: Attributes, shapes: list[Shape]) -> Sequence[Number]:
    """Pixels to channels."""
    (channels, *axes), b = shapes[0], _block(attributes)
    return [channels * b ** len(axes), *(divided(trace, n, b) for n in axes)]


def _block(attributes: Attributes) -> int:
    found: Any = attributes["factor"] if "factor" in attributes else attributes["block"]
    return int(found)


@rule("window_partition")
def window_partition(trace: Trace, attributes: Attributes, shapes: list[Shape]) -> Sequence[Number]:
    """Windows side by side, one after another."""
    (channels, *axes) = shapes[0]
    sizes = per_axis(attributes["window"], len(axes), "window", 1)
    return [product([divided(trace, n, w) for n, w in zip(axes, sizes, strict=True)]), channels, *sizes]


@rule("window_reverse")
def window_reverse(trace: Trace, attributes: Attributes, shapes: list[Shape]) -> Sequence[Number]:
    """Windows put together to a given size."""
    wanted, n = attributes["output_size"], len(shapes[0]) - 2
    full = list(wanted) if isinstance(wanted, list | tuple) else [wanted] * n
    sizes = per_axis(attributes["window"], n, "window", 1)
    counts = [divided(trace, f, w) for f, w in zip(full, sizes, strict=True)]
    for one, w in zip(shapes[0][2:], sizes, strict=True):
        trace.same(one, w, "a window has {} positions along an axis, not {}")
    trace.same(shapes[0][0], product(counts), "{} windows are not the {} that make up the output size")
    return [shapes[0][1], *full]
