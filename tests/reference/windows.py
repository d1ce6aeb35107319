"""Operators that slide a window over the spatial axes, and those that cut an image into windows."""

from collections.abc import Callable, Iterator
from itertools import product

import numpy as np

from tests.reference.core import (
    ALL,
    Dep,
    Reads,
    assemble,
    border,
    check_border,
    operator,
    per_axis,
    rank,
    require,
    shape_of,
    table_of,
)
from tests.reference.reductions import reduce


def pads_of(padding: int | str | list, sizes: tuple, kernel: list, stride: list, dilation: list) -> list:
    """[(before, after) per spatial axis]."""
    if padding == "valid":
        padding = 0
    if padding == "causal":
        return [(d * (k - 1), 0) for k, d in zip(kernel, dilation, strict=True)]
    if len(sizes) == 1 and isinstance(padding, list) and len(padding) == 2:
        return [tuple(padding)]
    if padding not in ("same", "same_lower"):
        return [(p, p) if isinstance(p, int) else tuple(p) for p in per_axis(padding, len(sizes))]
    pads = []
    for n, k, s, d in zip(sizes, kernel, stride, dilation, strict=True):
        total = max((-(-n // s) - 1) * s + d * (k - 1) + 1 - n, 0)
        small = total // 2
        pads.append((small, total - small) if padding == "same" else (total - small, small))
    return pads


class Window:
    """A window sliding over the spatial axes of x."""

    def __init__(self, attrs: dict, sizes: tuple, default_stride: int | list | None = 1) -> None:
        """Read the window attributes for spatial input sizes."""
        self.sizes, self.ndim = sizes, len(sizes)
        require(self.ndim >= 1, "a window needs a spatial axis")
        self.kernel = per_axis(attrs["kernel_size"], self.ndim)
        stride = attrs.get("stride")
        self.stride = per_axis(default_stride if stride is None else stride, self.ndim)
        self.dilation = per_axis(attrs.get("dilation", 1), self.ndim)
        self.pads = pads_of(attrs.get("padding", 0), sizes, self.kernel, self.stride, self.dilation)
        self.mode = attrs.get("padding_mode", "zeros")
        self.ceil_mode = attrs.get("ceil_mode", False)
        for n, (before, after) in zip(sizes, self.pads, strict=True):
            check_border(n, before, after, self.mode)

    def taps(self) -> list[tuple]:
        """All kernel offsets, row-major."""
        return list(product(*(range(k) for k in self.kernel)))

    def out(self) -> tuple[int, ...]:
        """Number of window positions per axis."""
        return tuple(self.out_axis(a) for a in range(self.ndim))

    def out_axis(self, a: int) -> int:
        """Number of window positions on one axis."""
        n, s, (before, after) = self.sizes[a], self.stride[a], self.pads[a]
        room = n + before + after - self.dilation[a] * (self.kernel[a] - 1) - 1
        require(room >= 0, "the window is larger than the padded input")
        out = (-(-room // s) if self.ceil_mode else room // s) + 1
        return out - 1 if self.ceil_mode and (out - 1) * s >= n + before else out

    def source(self, position: tuple, tap: tuple) -> tuple | None:
        """The spatial index a tap of the window at a position reads; None in the padding."""
        index = tuple(
            border(position[a] * self.stride[a] - self.pads[a][0] + tap[a] * self.dilation[a], self.sizes[a], self.mode)
            for a in range(self.ndim)
        )
        return None if None in index else index


def slide(x: Dep, window: Window, out_channels: int, channels: Callable[[int], slice]) -> Dep:
    """Output channel c at p reads the input channels channels(c) at every tap of the window at p."""

    def reads(o: tuple) -> Iterator[tuple[Dep, tuple]]:
        for tap in window.taps():
            index = window.source(o[1:], tap)
            if index is not None:
                yield x, (channels(o[0]), *index)

    return assemble((out_channels, *window.out()), x.shape[-1], reads)


def group_of(c_in: int, c_out: int, groups: int) -> Callable[[int], slice]:
    """The input channels that output channel c reads in a grouped convolution."""
    require(groups > 0 and c_in % groups == 0 and c_out % groups == 0, "channels must be multiples of groups")
    size_in, size_out = c_in // groups, c_out // groups
    return lambda c: slice(c // size_out * size_in, (c // size_out + 1) * size_in)


@operator("conv")
def conv(attrs: dict, x: Dep) -> Dep:
    """Grouped, dilated, strided convolution: each tap of each channel that is used."""
    window, out = Window(attrs, shape_of(x)[1:]), attrs["out_channels"]
    channels = group_of(x.shape[0], out, attrs.get("groups", 1))
    used = table_of(attrs, (out, x.shape[0] // attrs.get("groups", 1), *window.kernel))

    def reads(o: tuple) -> Iterator[tuple[Dep, tuple]]:
        for tap in window.taps():
            index = window.source(o[1:], tap)
            if index is not None:
                yield x, (np.arange(x.shape[0])[channels(o[0])][used[(o[0], slice(None), *tap)]], *index)

    return assemble((out, *window.out()), x.shape[-1], reads)


@operator("depthwise_conv")
def depthwise_conv(attrs: dict, x: Dep) -> Dep:
    """Convolution with one group per input channel."""
    return conv({**attrs, "groups": x.shape[0], "out_channels": x.shape[0] * attrs.get("multiplier", 1)}, x)


@operator("window")
def any_window(attrs: dict, x: Dep) -> Dep:
    """A window over all channels that keeps the channel count."""
    return slide(x, Window(attrs, shape_of(x)[1:]), x.shape[0], lambda _: ALL)


@operator("max_pool", "avg_pool", "lp_pool")
def pool(attrs: dict, x: Dep) -> Dep:
    """Pooling within a channel; the stride defaults to the kernel size."""
    window = Window(attrs, shape_of(x)[1:], default_stride=attrs["kernel_size"])
    return slide(x, window, x.shape[0], lambda c: slice(c, c + 1))


@operator("conv_transpose")
def conv_transpose(attrs: dict, x: Dep) -> Dep:
    """Output position o reads input i through tap k iff o = i*stride - before + k*dilation."""
    window = Window(attrs, shape_of(x)[1:])
    extra = per_axis(attrs.get("output_padding", 0), window.ndim)
    channels = group_of(x.shape[0], attrs["out_channels"], attrs.get("groups", 1))
    out = tuple(
        (n - 1) * s - before - after + d * (k - 1) + e + 1
        for n, s, (before, after), d, k, e in zip(
            window.sizes, window.stride, window.pads, window.dilation, window.kernel, extra, strict=True
        )
    )

    groups = attrs.get("groups", 1)
    used = table_of(attrs, (x.shape[0], attrs["out_channels"] // groups, *window.kernel))

    def reads_axis(a: int, o: int) -> list[tuple[int, int]]:
        before, s, d = window.pads[a][0], window.stride[a], window.dilation[a]
        ks = range(window.kernel[a])
        return [(i, k) for i in range(window.sizes[a]) for k in ks if o == i * s - before + k * d]

    def reads(o: tuple) -> Iterator[tuple[Dep, tuple]]:
        column = o[0] % (attrs["out_channels"] // groups)
        for pairs in product(*(reads_axis(a, p) for a, p in enumerate(o[1:]))):
            rows = np.arange(x.shape[0])[channels(o[0])]
            yield x, (rows[used[(rows, column, *(k for _, k in pairs))]], *(i for i, _ in pairs))

    return assemble((attrs["out_channels"], *out), x.shape[-1], reads)


@operator("adaptive_avg_pool", "adaptive_max_pool")
def adaptive_pool(attrs: dict, x: Dep) -> Dep:
    """Output position o of `out` reads floor(o*n/out) .. ceil((o+1)*n/out) - 1 on every axis."""
    sizes = shape_of(x)[1:]
    out = [n if o is None else o for n, o in zip(sizes, per_axis(attrs.get("output_size"), len(sizes)), strict=True)]

    def reads(o: tuple) -> Reads:
        parts = [slice(i * n // m, -(-(i + 1) * n // m)) for i, n, m in zip(o[1:], sizes, out, strict=True)]
        return [(x, (o[0], *parts))]

    return assemble((x.shape[0], *out), x.shape[-1], reads)


@operator("global_avg_pool", "global_max_pool")
def global_pool(attrs: dict, x: Dep) -> Dep:
    """One value per channel."""
    return reduce({"axes": list(range(1, rank(x))), "keepdims": attrs.get("keepdims", True)}, x)


@operator("unfold")
def unfold(attrs: dict, x: Dep) -> Dep:
    """im2col: row c*K + tap, column = window position."""
    window = Window(attrs, shape_of(x)[1:])
    taps, positions = window.taps(), list(np.ndindex(*window.out()))

    def reads(o: tuple) -> Reads:
        index = window.source(positions[o[1]], taps[o[0] % len(taps)])
        return [] if index is None else [(x, (o[0] // len(taps), *index))]

    return assemble((x.shape[0] * len(taps), len(positions)), x.shape[-1], reads)


@operator("fold")
def fold(attrs: dict, x: Dep) -> Dep:
    """col2im: pixel p of channel c reads every (row, column) that unfold would have copied from it."""
    size = attrs["output_size"]
    count = len(size) if isinstance(size, (list, tuple)) else spatial_count(attrs)
    window = Window(attrs, tuple(per_axis(size, count)))
    taps, positions = window.taps(), list(np.ndindex(*window.out()))
    require(rank(x) == 2 and x.shape[0] % len(taps) == 0 and x.shape[1] == len(positions), "fold: shape")
    sources: dict[tuple, list] = {}
    for (t, tap), (column, position) in product(enumerate(taps), enumerate(positions)):
        sources.setdefault(window.source(position, tap), []).append((t, column))

    def reads(o: tuple) -> Reads:
        return [(x, (o[0] * len(taps) + t, column)) for t, column in sources.get(o[1:], [])]

    return assemble((x.shape[0] // len(taps), *window.sizes), x.shape[-1], reads)


def spatial_count(attrs: dict) -> int:
    """Number of spatial axes told by list attributes (2, as in torch, when there is none)."""
    lists = [attrs.get(name) for name in ("kernel_size", "stride", "padding", "dilation")]
    return next((len(value) for value in lists if isinstance(value, (list, tuple))), 2)


@operator("window_partition")
def window_partition(attrs: dict, x: Dep) -> Dep:
    """(C, *spatial) -> (windows row-major, C, *window)."""
    sizes = shape_of(x)[1:]
    window = per_axis(attrs["window"], len(sizes))
    require(all(n % w == 0 for n, w in zip(sizes, window, strict=True)), "window_partition: size must divide")
    cells = list(np.ndindex(*(n // w for n, w in zip(sizes, window, strict=True))))

    def reads(o: tuple) -> Reads:
        return [(x, (o[1], *(i * w + j for i, w, j in zip(cells[o[0]], window, o[2:], strict=True))))]

    return assemble((len(cells), x.shape[0], *window), x.shape[-1], reads)


@operator("window_reverse")
def window_reverse(attrs: dict, x: Dep) -> Dep:
    """(windows row-major, C, *window) -> (C, *output_size)."""
    sizes = per_axis(attrs["output_size"], rank(x) - 2)
    window = per_axis(attrs["window"], len(sizes))
    require(shape_of(x)[2:] == tuple(window), "window_reverse: window")
    require(all(n % w == 0 for n, w in zip(sizes, window, strict=True)), "window_reverse: size must divide")
    cells = list(np.ndindex(*(n // w for n, w in zip(sizes, window, strict=True))))
    require(len(cells) == x.shape[0], "window_reverse: number of windows")

    def reads(o: tuple) -> Reads:
        cell = tuple(p // w for p, w in zip(o[1:], window, strict=True))
        return [(x, (cells.index(cell), o[0], *(p % w for p, w in zip(o[1:], window, strict=True))))]

    return assemble((x.shape[1], *sizes), x.shape[-1], reads)
