"""Steps of random PyTorch networks: windows, pooling, padding and resampling."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from tests.random_torch.core import Draw, Function, op


def spatial(x: Tensor) -> int:
    """The number of spatial axes, 0 where there are none or too many."""
    return x.ndim - 2 if 3 <= x.ndim <= 5 else 0


def window(d: Draw, x: Tensor, *, pool: bool = False) -> dict[str, Any]:
    """Kernel, stride, padding, dilation that fit every spatial axis."""
    kernel, stride, padding, dilation = [], [], [], []
    for n in x.shape[2:]:
        k = d.between(1, min(4, n + 1))
        p = d.between(0, k // 2 if pool else k) if d.chance() else 0
        k = min(k, n + 2 * p)
        p = min(p, k // 2) if pool else p
        k = min(k, n + 2 * p)
        reach = (n + 2 * p - 1) // (k - 1) if k > 1 else 3
        kernel.append(k)
        padding.append(p)
        dilation.append(d.between(1, min(reach, 3)) if d.chance(0.4) else 1)
        stride.append(d.between(1, 3))
    return {"kernel_size": kernel, "stride": stride, "padding": padding, "dilation": dilation}


def named(prefix: str, dims: int) -> Any:
    return getattr(nn, f"{prefix}{dims}d")


@op
def conv(d: Draw, x: Tensor, y: Tensor) -> Function | None:
    if not spatial(x):
        return None
    c, w = x.shape[1], window(d, x)
    groups = c if d.chance(0.25) else d.divisor(c)
    mode = d.pick(["zeros", "zeros", "reflect", "replicate", "circular"])
    if d.chance(0.25):
        w["padding"], w["stride"] = "same", 1
    elif mode == "reflect":
        w["padding"] = [min(p, n - 1) for p, n in zip(w["padding"], x.shape[2:], strict=True)]
    elif mode == "circular":
        w["padding"] = [min(p, n) for p, n in zip(w["padding"], x.shape[2:], strict=True)]
    if w["padding"] == "same" or mode == "reflect":
        mode = "zeros" if w["padding"] == "same" else mode
        if mode == "reflect":
            w["dilation"] = 1
            w["kernel_size"] = [
                min(k, n + 2 * p) for k, n, p in zip(w["kernel_size"], x.shape[2:], w["padding"], strict=True)
            ]
    out = groups * d.between(1, 2)
    m = d.module(named("Conv", spatial(x))(c, out, groups=groups, bias=d.chance(), padding_mode=mode, **w))
    if x.shape[0] == 1 and d.chance(0.1) and mode == "zeros":
        return lambda x: m(x[0])
    return m


@op
def conv_transpose(d: Draw, x: Tensor, y: Tensor) -> Function | None:
    if not spatial(x):
        return None
    c, dims = x.shape[1], spatial(x)
    groups = d.divisor(c)
    kernel, dilation = ([d.between(1, 3) for _ in range(dims)] for _ in range(2))
    stride = [d.between(1, 3) for _ in range(dims)]
    extra = [d.between(0, max(s, e) - 1) if d.chance(0.4) else 0 for s, e in zip(stride, dilation, strict=True)]
    padding = []
    for n, k, s, e, g in zip(x.shape[2:], kernel, stride, extra, dilation, strict=True):
        whole = (n - 1) * s + g * (k - 1) + e + 1
        padding.append(min(d.between(0, 2), (whole - 1) // 2))
    m = named("ConvTranspose", dims)(
        c, groups * d.between(1, 2), kernel, stride, padding, extra, groups, d.chance(), dilation
    )
    d.module(m)
    return m


@op
def max_pool(d: Draw, x: Tensor, y: Tensor) -> Function | None:
    if not spatial(x):
        return None
    w = window(d, x, pool=True)
    pool, both = getattr(functional, f"max_pool{spatial(x)}d"), d.chance(0.3)
    ceil = d.chance()
    if both:
        return lambda x: torch.cat([v.to(x.dtype) for v in pool(x, **w, ceil_mode=ceil, return_indices=True)], 1)
    return lambda x: pool(x, **w, ceil_mode=ceil)


@op
def avg_pool(d: Draw, x: Tensor, y: Tensor) -> Function | None:
    if not spatial(x):
        return None
    w = window(d, x, pool=True)
    del w["dilation"]
    w["kernel_size"] = [min(k, n) for k, n in zip(w["kernel_size"], x.shape[2:], strict=True)]  # in 3-D torch insists
    w["padding"] = [min(p, k // 2) for p, k in zip(w["padding"], w["kernel_size"], strict=True)]
    pool, ceil, count = getattr(functional, f"avg_pool{spatial(x)}d"), d.chance(), d.chance()
    return lambda x: pool(x, **w, ceil_mode=ceil, count_include_pad=count)


@op
def lp_pool(d: Draw, x: Tensor, y: Tensor) -> Function | None:
    if spatial(x) not in (1, 2):
        return None
    pool, k = getattr(functional, f"lp_pool{spatial(x)}d"), d.between(1, min(3, *x.shape[2:], 3))
    s, ceil = d.between(1, 3), d.chance()
    return lambda x: pool(x, 2.0, k, s, ceil)


@op
def adaptive_pool(d: Draw, x: Tensor, y: Tensor) -> Function | None:
    if not spatial(x):
        return None
    dims, kind = spatial(x), d.pick(["avg", "max", "both"])
    sizes = [None if dims > 1 and d.chance(0.15) else d.between(1, n + 2) for n in x.shape[2:]]
    average, largest = (getattr(functional, f"adaptive_{k}_pool{dims}d") for k in ("avg", "max"))
    if kind == "both":
        return lambda x: average(x, sizes) + largest(x, sizes, return_indices=True)[0]
    return lambda x: (average if kind == "avg" else largest)(x, sizes)


@op
def pad(d: Draw, x: Tensor, y: Tensor) -> Function | None:
    mode = d.pick(["constant", "constant", "reflect", "replicate", "circular"])
    if mode != "constant" and not spatial(x):
        return None
    axes = spatial(x) if mode != "constant" else d.between(1, x.ndim - 1) if x.ndim > 1 else 1
    widths: list[int] = []
    for n in x.shape[::-1][:axes]:
        most = {"reflect": n - 1, "circular": n}.get(mode, 3)
        pair = [d.between(-1 if mode == "constant" and n > 2 else 0, min(most, 3)) for _ in range(2)]
        widths += pair
    value = d.pick([0.0, 0.0, 1.5]) if mode == "constant" else None
    return lambda x: functional.pad(x, widths, mode, value)


@op
def im2col(d: Draw, x: Tensor, y: Tensor) -> Function | None:
    if x.ndim != 4:
        return None
    w = window(d, x)
    if d.chance():
        return lambda x: functional.unfold(x, **w)
    size, turn = tuple(x.shape[2:]), d.pick([1, -1])
    return lambda x: functional.fold(functional.unfold(x, **w).roll(turn, 1), size, **w)


@op
def unfold(d: Draw, x: Tensor, y: Tensor) -> Function | None:
    axis = d.axis(x)
    size, step = d.between(1, min(x.shape[axis], 4)), d.between(1, 3)
    return lambda x: x.unfold(axis, size, step)


@op
def upsample(d: Draw, x: Tensor, y: Tensor) -> Function | None:
    dims = spatial(x)
    if not dims:
        return None
    smooth = {1: ["linear"], 2: ["bilinear", "bicubic"], 3: ["trilinear"]}[dims]
    mode = d.pick(["nearest", "nearest-exact", "area", *smooth, *smooth])
    options: dict[str, Any] = {"mode": mode}
    if mode in smooth:
        options["align_corners"] = d.chance()
        options["antialias"] = dims == 2 and d.chance(0.3)
    if d.chance():
        options["size"] = [d.between(1, 2 * n) for n in x.shape[2:]]
    else:
        factors = [d.pick([0.5, 0.75, 1.0, 1.5, 2.0, 3.0, 1.3, 2.4, 0.6]) for _ in range(dims)]
        options["scale_factor"] = [f if n * f >= 1 else 1.0 for f, n in zip(factors, x.shape[2:], strict=True)]
        if mode != "area" and d.chance(0.3):
            options["recompute_scale_factor"] = True
    return lambda x: functional.interpolate(x, **options)


@op
def shuffles(d: Draw, x: Tensor, y: Tensor) -> Function | None:
    if x.ndim != 4:
        return None
    c, h, w = x.shape[1:]
    options: list[Function] = [lambda x: functional.channel_shuffle(x, groups)]
    groups = d.divisor(c)
    if c % 4 == 0:
        options.append(lambda x: functional.pixel_shuffle(x, 2))
    if h % 2 == w % 2 == 0:
        options.append(lambda x: functional.pixel_unshuffle(x, 2))
    if h % 3 == w % 3 == 0:
        options.append(lambda x: functional.pixel_unshuffle(x, 3))
    return d.pick(options)
