"""Rules of ATen operators that slide windows or resample."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import numpy as np
import torch
from torch.fx import Node

from fastrf.frontends.lowering import Value
from fastrf.frontends.moving import permuted
from fastrf.frontends.sliding import folded, windowed
from fastrf.frontends.torch.arguments import bound, fake_shape, short_name
from fastrf.frontends.torch.known import table_of
from fastrf.frontends.torch.walk import Walk, rule
from fastrf.ops.zeros import products

__all__: list[str] = []


def _spread_out(value: Any, n: int, default: Any = None) -> list[int]:
    """One number per spatial axis."""
    values = [value] if isinstance(value, int) else list(value or [])
    values = values or list(default)
    return values * n if len(values) == 1 else values


@rule("aten::conv1d", "aten::conv2d", "aten::conv3d", "aten::convolution", "aten::_convolution")
@rule("aten::conv_transpose1d", "aten::conv_transpose2d", "aten::conv_transpose3d")
def conv(walk: Walk, node: Node) -> Value:
    """Convolutions, plain and transposed: the weight's shape matters, and where it is zero by definition."""
    a = bound(node)
    x = walk.value(a["input"])
    if x is None or walk.dynamic([a["weight"], a["bias"]]):
        return walk.opaque(node)
    weight = fake_shape(a["weight"])
    n = len(weight) - 2
    stride, dilation = _spread_out(a["stride"], n, [1]), _spread_out(a["dilation"], n, [1])
    common = {"kernel_size": list(weight[2:]), "stride": stride, "dilation": dilation, "groups": a["groups"]}
    common["bias"] = a["bias"] is not None
    used = table_of(walk, a["weight"]) != 0
    many = not used.all() and _too_many(walk, np.broadcast_to(used, weight))
    if not used.all() and not many:
        common["used"] = used.tolist()
    if short_name(node).startswith("conv_transpose") or a.get("transposed"):
        extra = _spread_out(a["output_padding"], n, [0])
        pads = [[p, p] for p in _spread_out(a["padding"], n, [0])]
        out = weight[1] * a["groups"]
        result = windowed(walk, x, n, "conv_transpose", out_channels=out, padding=pads, output_padding=extra, **common)
    else:
        pads = _padding(a["padding"], weight, dilation)
        result = windowed(walk, x, n, "conv", out_channels=weight[0], padding=pads, **common)
    return walk.loosened(result) if many else result


#: Kernels without a structure multiply their products of channels and taps along a network; no more than this.
MAX_COMBINED = 256


def _too_many(walk: Walk, used: np.ndarray[Any, Any]) -> bool:
    """Whether a kernel's zeros make more products, by themselves or after those before it, than are worth it."""
    found = products(used)
    if found is None:
        return True
    if len({table.tobytes() for table, _ in found if not table.all()}) <= 2:  # structured: few tables of channels
        return False
    if walk.combined * len(found) > MAX_COMBINED:
        return True
    walk.combined *= len(found)
    return False


def _padding(padding: Any, weight: tuple[int, ...], dilation: list[int]) -> list[list[int]]:
    """Pairs per axis, from numbers or torch's "same" and "valid"."""
    if padding == "valid":
        return [[0, 0] for _ in dilation]
    if padding == "same":
        totals = [d * (k - 1) for d, k in zip(dilation, weight[2:], strict=True)]
        return [[total // 2, total - total // 2] for total in totals]
    return [[p, p] for p in _spread_out(padding, len(dilation), [0])]


def _rank(name: str) -> int:
    """How many axes a pooling is over: the digit before the "d" of its name."""
    return int(name[name.index("d", name.index("pool")) - 1])


@rule(
    "aten::max_pool1d",
    "aten::max_pool2d",
    "aten::max_pool3d",
    "aten::avg_pool1d",
    "aten::avg_pool2d",
    "aten::avg_pool3d",
)
def pool(walk: Walk, node: Node) -> Value:
    """Max and average pooling."""
    a = bound(node)
    name = short_name(node)
    n = _rank(name)
    kernel = _spread_out(a["kernel_size"], n)
    attributes = {
        "kernel_size": kernel,
        "stride": _spread_out(a["stride"], n, kernel),
        "padding": [[p, p] for p in _spread_out(a["padding"], n, [0])],
        "dilation": _spread_out(a.get("dilation"), n, [1]),
        "ceil_mode": bool(a["ceil_mode"]),
    }
    return windowed(walk, _input(walk, node), n, "max_pool" if name.startswith("max") else "avg_pool", **attributes)


@rule("aten::max_pool1d_with_indices", "aten::max_pool2d_with_indices", "aten::max_pool3d_with_indices")
def pool_with_indices(walk: Walk, node: Node) -> list[Value]:
    """Max pooling, and where each maximum was: both read the whole window."""
    result = pool(walk, node)
    return [result, result]


@rule(*[f"aten::adaptive_avg_pool{n}d" for n in (1, 2, 3)], *[f"aten::_adaptive_avg_pool{n}d" for n in (2, 3)])
def adaptive_pool(walk: Walk, node: Node) -> Value:
    """Adaptive average pooling."""
    a = bound(node)
    n = _rank(short_name(node))
    return windowed(walk, _input(walk, node), n, "adaptive_avg_pool", output_size=_spread_out(a["output_size"], n))


@rule("aten::adaptive_max_pool1d", "aten::adaptive_max_pool2d", "aten::adaptive_max_pool3d")
def adaptive_max_pool(walk: Walk, node: Node) -> list[Value]:
    """Adaptive max pooling, and where each maximum was."""
    result = adaptive_pool(walk, node)
    return [result, result]


@rule("aten::im2col")
def im2col(walk: Walk, node: Node) -> Value:
    """Windows as columns; a batch rides along as one more axis with a window of 1."""
    a, x = bound(node), _input(walk, node)
    attributes = {k: _spread_out(a[k], 2) for k in ("kernel_size", "dilation", "padding", "stride")}
    if len(x.full) == 3 or x.stripped:
        return windowed(walk, x, 2, "unfold", **attributes)
    wider: dict[str, Any] = {k: [int(k != "padding"), *v] for k, v in attributes.items()}
    columns = walk.emit("unfold", permuted(walk, x, [1, 0, 2, 3]), **wider)
    apart = walk.shaped(columns, (columns.shape[0], x.full[0], columns.shape[1] // x.full[0]))
    return permuted(walk, apart, [1, 0, 2])


@rule("aten::col2im")
def col2im(walk: Walk, node: Node) -> Value:
    """The sum of overlapping windows, with a batch as above."""
    a, x = bound(node), _input(walk, node)
    attributes = {k: _spread_out(a[k], 2) for k in ("output_size", "kernel_size", "dilation", "padding", "stride")}
    return folded(walk, x, **{k: [[p, p] for p in v] if k == "padding" else v for k, v in attributes.items()})


@rule(*[f"aten::upsample_nearest{n}d" for n in (1, 2, 3)], *[f"aten::_upsample_nearest_exact{n}d" for n in (1, 2, 3)])
def upsample_nearest(walk: Walk, node: Node) -> Value:
    """Nearest upsampling; torch rounds in single precision, so its own function is asked which index it takes."""
    x = _input(walk, node)
    spatial = fake_shape(node)[2:]
    for axis, m in enumerate(spatial, start=2):
        x = _nearest_axis(walk, node, x, axis, m)
    return x


def _nearest_axis(walk: Walk, node: Node, x: Value, axis: int, m: int) -> Value:
    n = x.full[axis]
    factors = bound(node).get("scale_factors")
    scale = [factors[axis - 2]] if factors else None
    exact = short_name(node).startswith("_upsample_nearest_exact")
    function = torch.ops.aten._upsample_nearest_exact1d if exact else torch.ops.aten.upsample_nearest1d
    numbers = torch.arange(n, dtype=torch.float64).reshape(1, 1, n)
    taken = function.vec(numbers, None if scale else [m], scale).ravel().to(torch.int64).numpy()
    if n == m and np.array_equal(taken, np.arange(n)):
        return x
    index = x.axis(axis)
    value = x
    if np.array_equal(taken, np.arange(m) * n // m):
        sizes = list(value.shape[1:] if value.stripped else value.shape[2:])
        sizes[axis - 2] = m
        return windowed(walk, value, len(value.full) - 2, "resize", output_size=sizes)
    return walk.emit("gather", value, axis=index, indices=taken.tolist())


#: What interpolates how, and whether without aliasing.
_INTERPOLATIONS = {
    "upsample_linear1d": ("linear", False),
    "upsample_bilinear2d": ("linear", False),
    "upsample_trilinear3d": ("linear", False),
    "upsample_bicubic2d": ("cubic", False),
    "_upsample_bilinear2d_aa": ("linear", True),
    "_upsample_bicubic2d_aa": ("cubic", True),
}


@rule(*(f"aten::{name}" for name in _INTERPOLATIONS))
def upsample(walk: Walk, node: Node) -> Value:
    """Linear and cubic interpolation, with and without antialiasing."""
    a = bound(node)
    x = _input(walk, node)
    sizes = list(fake_shape(node)[2:])
    mode, antialias = _INTERPOLATIONS[short_name(node)]
    attributes: dict[str, Any] = {
        "output_size": sizes,
        "mode": mode,
        "coordinates": "align_corners" if a["align_corners"] else "half_pixel",
        "antialias": antialias,
    }
    factors = a.get("scale_factors") or [a.get(k) for k in ("scales", "scales_d", "scales_h", "scales_w") if k in a]
    if factors and len(factors) == len(sizes) and not a["align_corners"]:
        steps = [_step(n, m, f) for n, m, f in zip(x.full[2:], sizes, factors, strict=True)]
        if any(Fraction(*step) != Fraction(n, m) for step, n, m in zip(steps, x.full[2:], sizes, strict=True)):
            attributes["step"] = steps
    return windowed(walk, x, len(sizes), "resize", **attributes)


def _step(n: int, m: int, factor: float | None) -> list[int]:
    """Inputs per output: the inverse of a given factor, otherwise the ratio of the sizes."""
    if not factor:
        return [n, m]
    ratio = 1 / Fraction(factor).limit_denominator(1 << 20)
    return [ratio.numerator, ratio.denominator]


@rule("aten::grid_sampler", "aten::grid_sampler_2d", "aten::grid_sampler_3d")
def grid_sample(walk: Walk, node: Node) -> Value:
    """Sampling at computed places, over-approximated."""
    return walk.opaque(node)


@rule("torchvision::deform_conv2d")
def deform_conv(walk: Walk, node: Node) -> Value:
    """Deformable convolution, over-approximated: any pixel, and the offsets and mask at the place."""
    a = bound(node)
    x, offset = walk.value(a["input"]), walk.value(a["offset"])
    mask = walk.value(a["mask"]) if a["use_mask"] else None
    if x is None or offset is None or not x.stripped or not offset.stripped:
        return walk.opaque(node)
    weight = fake_shape(a["weight"])
    extra = [offset] if mask is None else [offset, mask]
    return walk.emit(
        "deform_conv",
        x,
        *extra,
        out_channels=weight[0],
        kernel_size=list(weight[2:]),
        stride=[a["stride_h"], a["stride_w"]],
        padding=[[a["pad_h"]] * 2, [a["pad_w"]] * 2],
        dilation=[a["dilation_h"], a["dilation_w"]],
        groups=a["groups"],
    )


def _input(walk: Walk, node: Node) -> Value:
    x = walk.value(node.args[0])
    if x is None:
        raise walk.unsupported(node)
    return x
