"""Random layers that slide a window or cut an image into windows."""

import math

import numpy as np

from fastrf.ops.zeros import products
from tests.reference import output_shape
from tests.reference.core import per_axis
from tests.strategies.builder import Builder, UnfitError, is_full, is_image, keep_shape, maker


def window_attrs(b: Builder, ndim: int, *, pool: bool = False, pairs: bool = True, stride: int = 3) -> dict:
    """Random kernel, stride, dilation and padding (for pools at most half a window, as torch asks)."""
    kernel = b.spatial(1, 3 if ndim > 1 else 4, ndim)
    dilation = b.spatial(1, 3, ndim) if b.chance(0.35) else 1
    attrs = {"kernel_size": kernel, **b.optional(0.7, stride=b.spatial(1, stride, ndim))}
    attrs |= {"dilation": dilation} if dilation != 1 or b.chance(0.1) else {}
    most = [k // 2 if pool else 2 for k in per_axis(kernel, ndim)]
    kind = b.choice(["none", "int", "list", "pairs", "pairs", "same", "same_lower", "valid"])
    if kind in ("same", "same_lower", "valid", "pairs") and not pairs:
        kind = "list"
    if kind == "int":
        attrs["padding"] = b.integer(0, min(most))
    elif kind == "list":
        attrs["padding"] = [b.integer(0, m) for m in most]
    elif kind == "pairs":
        attrs["padding"] = [[b.integer(0, m), b.integer(0, m)] for m in most]
    elif kind != "none":
        attrs["padding"] = kind
    return attrs


def conv_attrs(b: Builder, ndim: int) -> dict:
    """Window attributes of a convolution."""
    modes = b.optional(0.4, padding_mode=b.choice(["zeros", "reflect", "replicate", "circular"]))
    return {**window_attrs(b, ndim), **modes, **b.optional(0.2, bias=b.chance(0.5))}


def grouped(b: Builder, channels: int) -> dict:
    """Random groups and a number of output channels that goes with them."""
    groups = b.divisor(channels) if b.chance(0.5) else 1
    return {"out_channels": groups * b.integer(1, 3), **({"groups": groups} if groups > 1 or b.chance(0.2) else {})}


def used(b: Builder, *shape: int) -> dict:
    """Where a weight of this shape is not zero, perhaps alike along some axes; never too mixed to be exact."""
    table = b.rng.random([n if b.chance(0.7) else 1 for n in shape]) < b.choice([0.3, 0.6, 0.9])
    exact = len(shape) < 3 or products(np.broadcast_to(table, shape)) is not None
    return b.optional(0.3, used=table.tolist()) if exact else {}


@maker("windows", "conv", weight=2)
def make_conv(b: Builder, op: str) -> None:
    """Convolution."""
    x = b.pick(is_image)
    c, *sizes = b.shapes[x]

    def draw() -> dict:
        attrs = {**grouped(b, c), **conv_attrs(b, len(sizes))}
        kernel = per_axis(attrs["kernel_size"], len(sizes))
        return {**attrs, **used(b, attrs["out_channels"], c // attrs.get("groups", 1), *kernel)}

    b.attempt("conv", x, draw)


@maker("windows", "depthwise_conv")
def make_depthwise(b: Builder, op: str) -> None:
    """Depthwise convolution."""
    x = b.pick(is_image)
    ndim = len(b.shapes[x]) - 1
    b.attempt(op, x, lambda: {**conv_attrs(b, ndim), **b.optional(multiplier=b.integer(1, 2))})


@maker("windows", "conv_transpose")
def make_conv_transpose(b: Builder, op: str) -> None:
    """Transposed convolution; output_padding below the stride, as torch asks."""
    x = b.pick(is_image)
    c, *sizes = b.shapes[x]

    def draw() -> dict:
        attrs = {**grouped(b, c), **window_attrs(b, len(sizes))}
        if isinstance(attrs.get("padding"), str):
            del attrs["padding"]
        if b.chance(0.4):
            strides = per_axis(attrs.get("stride", 1), len(sizes))
            attrs["output_padding"] = [b.integer(0, s - 1) for s in strides]
        kernel = per_axis(attrs["kernel_size"], len(sizes))
        attrs |= used(b, c, attrs["out_channels"] // attrs.get("groups", 1), *kernel)
        shape = output_shape(op, attrs, [b.shapes[x]])
        return attrs if is_full(shape) else draw()

    def safe_draw() -> dict:
        try:
            return draw()
        except (ValueError, RecursionError) as error:
            raise UnfitError from error

    b.attempt(op, x, safe_draw)


@maker("windows", "max_pool", "avg_pool", "lp_pool")
def make_pool(b: Builder, op: str) -> None:
    """Pooling."""
    x = b.pick(is_image)
    ndim = len(b.shapes[x]) - 1
    b.attempt(op, x, lambda: {**window_attrs(b, ndim, pool=True), **b.optional(0.5, ceil_mode=b.chance(0.8))})


@maker("windows", "adaptive_avg_pool", "adaptive_max_pool")
def make_adaptive(b: Builder, op: str) -> None:
    """Adaptive pooling."""
    x = b.pick(is_image)
    ndim = len(b.shapes[x]) - 1
    size = b.spatial(1, 5, ndim)
    if isinstance(size, list):
        size = [None if b.chance(0.2) else n for n in size]
    b.add(op, x, output_size=size)


@maker("windows", "global_avg_pool", "global_max_pool")
def make_global_pool(b: Builder, op: str) -> None:
    """Global pooling."""
    b.add(op, b.pick(is_image), **b.optional(0.5, keepdims=b.chance(0.5)))


@maker("windows", "window")
def make_window(b: Builder, op: str) -> None:
    """The unknown window."""
    x = b.pick(is_image)
    b.attempt(op, x, lambda: window_attrs(b, len(b.shapes[x]) - 1))


@maker("windows", "unfold", "fold")
def make_unfold(b: Builder, op: str) -> None:
    """im2col, and for fold something on the columns and col2im."""
    x = b.pick(is_image)
    sizes = list(b.shapes[x][1:])
    drawn: dict = {}

    def draw() -> dict:
        drawn.clear()
        drawn.update(window_attrs(b, len(sizes), pairs=False))
        return drawn

    columns = b.attempt("unfold", x, draw)
    if op == "fold":
        if b.chance(0.6):
            columns = keep_shape(b, columns)
        b.add("fold", columns, output_size=sizes, **drawn)


@maker("windows", "local_response_norm")
def make_lrn(b: Builder, op: str) -> None:
    """Local response normalisation."""
    b.add(op, b.pick(is_image), size=b.integer(1, 5))


@maker("windows", "window_partition")
def make_window_partition(b: Builder, op: str) -> None:
    """Window partition of a (C, H, W)."""
    x = b.pick(lambda s: len(s) == 3 and is_full(s))
    _, h, w = b.shapes[x]
    window = b.divisor(math.gcd(h, w)) if b.chance(0.4) else [b.divisor(h), b.divisor(w)]
    b.add(op, x, window=window)


@maker("windows", "window_reverse")
def make_window_reverse(b: Builder, op: str) -> None:
    """Any (N, C, wh, ww) seen as windows."""
    if not b.nodes(lambda s: len(s) == 4 and is_full(s)) or b.chance(0.3):
        make_window_partition(b, "window_partition")
        if b.chance(0.5):
            keep_shape(b, list(b.shapes)[-1])
    x = b.pick(lambda s: len(s) == 4 and is_full(s))
    n, _, h, w = b.shapes[x]
    down, across = b.factors(n, 2)
    b.add(op, x, window=h if h == w and b.chance(0.5) else [h, w], output_size=[down * h, across * w])
