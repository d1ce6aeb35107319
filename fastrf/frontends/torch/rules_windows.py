"""Rules of ATen operators that slide windows or resample."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import numpy as np
import torch
from torch.fx import Node

from fastrf.frontends import choosing, moving, sliding
from fastrf.frontends.lowering import Value
from fastrf.frontends.torch.arguments import bound, fake_shape, for_each, short_name
from fastrf.frontends.torch.known import table_of
from fastrf.frontends.torch.names import CONVOLUTIONS
from fastrf.frontends.torch.registry import Walk, rule
from fastrf.ops.truths import nested
from fastrf.ops.zeros import products

__all__: list[str] = []


def _per_axis(value: Any, n: int, default: Any = None) -> list[int]:
    """One number per spatial axis."""
    values = [value] if isinstance(value, int) else list(value or [])
    values = values or list(default)
    return values * n if len(values) == 1 else values


@rule(*CONVOLUTIONS)
def conv(walk: Walk, node: Node) -> Any:
    """Convolutions, plain and transposed: the weight's shape matters, and where it is zero by definition."""
    a = bound(node)
    x = walk.value(a["input"])
    if x is None or walk.dynamic([a["weight"], a["bias"]]):
        return walk.opaque(node)
    weight = fake_shape(a["weight"])
    n = len(weight) - 2
    stride, dilation = _per_axis(a["stride"], n, [1]), _per_axis(a["dilation"], n, [1])
    common = {"kernel_size": list(weight[2:]), "stride": stride, "dilation": dilation, "groups": a["groups"]}
    common["bias"] = a["bias"] is not None
    used = table_of(walk, a["weight"]) != 0
    many = not used.all() and _too_many(walk, np.broadcast_to(used, weight))
    if not used.all() and not many:
        common["used"] = nested(used)
    if a.get("transposed", "output_padding" in a):
        common["output_padding"] = _per_axis(a["output_padding"], n, [0])
        op, out = "conv_transpose", weight[1] * a["groups"]
    else:
        op, out = "conv", weight[0]
    pads = _padding(a["padding"], weight, dilation)
    result = sliding.slide(walk, x, n, op, out_channels=out, padding=pads, **common)
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
    return [[p, p] for p in _per_axis(padding, len(dilation), [0])]


#: Poolings: the layer, and how many axes it is over.
_POOLS = {
    **{f"{kind}_pool{n}d": (f"{kind}_pool", n) for kind in ("max", "avg") for n in (1, 2, 3)},
    **{f"max_pool{n}d_with_indices": ("max_pool", n) for n in (1, 2, 3)},
}


@rule(*_POOLS)
def pool(walk: Walk, node: Node) -> Any:
    """Max and average pooling; where each maximum was reads the whole window, too."""
    a = bound(node)
    op, n = _POOLS[short_name(node)]
    kernel = _per_axis(a["kernel_size"], n)
    attributes = {
        "kernel_size": kernel,
        "stride": _per_axis(a["stride"], n, kernel),
        "padding": [[p, p] for p in _per_axis(a["padding"], n, [0])],
        "dilation": _per_axis(a.get("dilation"), n, [1]),
        "ceil_mode": bool(a["ceil_mode"]),
    }
    return for_each(node, sliding.slide(walk, walk.first(node), n, op, **attributes))


_ADAPTIVE = {f"adaptive_{kind}_pool{n}d": n for kind in ("avg", "max") for n in (1, 2, 3)}


@rule(*_ADAPTIVE)
def adaptive_pool(walk: Walk, node: Node) -> Any:
    """Adaptive pooling, and where each maximum was."""
    n = _ADAPTIVE[short_name(node)]
    sizes = _per_axis(bound(node)["output_size"], n)
    return for_each(node, sliding.slide(walk, walk.first(node), n, "adaptive_avg_pool", output_size=sizes))


@rule("max_unpool2d", "max_unpool3d")
def unpool(walk: Walk, node: Node) -> Value:
    """Maxima put back where they were: each place may hold any of its channel, as any of its indices says."""
    a, full = bound(node), fake_shape(node)
    axes = list(range(len(full) - (3 if short_name(node) == "max_unpool3d" else 2), len(full)))
    parts = [choosing.any_along(walk, value, axes) for value in walk.dynamic([a["self"], a["indices"]])]
    return choosing.union(walk, [walk.expanded(part, full) for part in parts], full)


@rule("im2col")
def im2col(walk: Walk, node: Node) -> Value:
    """Windows as columns; a batch rides along as one more axis with a window of 1."""
    a, x = bound(node), walk.first(node)
    attributes = {k: _per_axis(a[k], 2) for k in ("kernel_size", "dilation", "padding", "stride")}
    if len(x.full) == 3 or x.stripped:
        return sliding.slide(walk, x, 2, "unfold", **attributes)
    wider: dict[str, Any] = {k: [int(k != "padding"), *v] for k, v in attributes.items()}
    columns = walk.emit("unfold", moving.permute(walk, x, [1, 0, 2, 3]), **wider)
    apart = walk.shaped(columns, (columns.shape[0], x.full[0], columns.shape[1] // x.full[0]))
    return moving.permute(walk, apart, [1, 0, 2])


@rule("col2im")
def col2im(walk: Walk, node: Node) -> Value:
    """The sum of overlapping windows, with a batch as above."""
    a, x = bound(node), walk.first(node)
    attributes = {k: _per_axis(a[k], 2) for k in ("output_size", "kernel_size", "dilation", "padding", "stride")}
    return sliding.fold(walk, x, **{k: [[p, p] for p in v] if k == "padding" else v for k, v in attributes.items()})


#: Torch's own function along one axis.
_NEAREST = {
    **dict.fromkeys((f"upsample_nearest{n}d" for n in (1, 2, 3)), torch.ops.aten.upsample_nearest1d.vec),
    **dict.fromkeys((f"_upsample_nearest_exact{n}d" for n in (1, 2, 3)), torch.ops.aten._upsample_nearest_exact1d.vec),
}


@rule(*_NEAREST)
def upsample_nearest(walk: Walk, node: Node) -> Value:
    """Nearest upsampling; torch rounds in single precision, so its own function is asked which index it takes."""
    x, spatial, factors = walk.first(node), fake_shape(node)[2:], bound(node).get("scale_factors")
    for k, (n, m) in enumerate(zip(x.full[2:], spatial, strict=True)):
        numbers = torch.arange(n, dtype=torch.float64).reshape(1, 1, n)
        size, scale = (None, [factors[k]]) if factors else ([m], None)
        indices = _NEAREST[short_name(node)](numbers, size, scale).ravel().to(torch.int64).numpy()
        if np.array_equal(indices, np.arange(m) * n // m):
            sizes = [*spatial[: k + 1], *x.full[k + 3 :]]
            x = x if n == m else sliding.slide(walk, x, len(spatial), "resize", output_size=sizes)
        else:
            x = walk.emit("gather", x, axis=x.axis(k + 2), indices=indices.tolist())
    return x


#: What interpolates how, and whether without aliasing.
_INTERPOLATIONS = {
    "upsample_linear1d": ("linear", False),
    "upsample_bilinear2d": ("linear", False),
    "upsample_trilinear3d": ("linear", False),
    "upsample_bicubic2d": ("cubic", False),
    "_upsample_bilinear2d_aa": ("linear", True),
    "_upsample_bicubic2d_aa": ("cubic", True),
}


@rule(*_INTERPOLATIONS)
def upsample(walk: Walk, node: Node) -> Value:
    """Linear and cubic interpolation, with and without antialiasing."""
    a = bound(node)
    x = walk.first(node)
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
        even = [Fraction(n, m) for n, m in zip(x.full[2:], sizes, strict=True)]
        steps = [1 / Fraction(f).limit_denominator(1 << 20) if f else e for f, e in zip(factors, even, strict=True)]
        if steps != even:
            attributes["step"] = [list(step.as_integer_ratio()) for step in steps]
    return sliding.slide(walk, x, len(sizes), "resize", **attributes)


@rule("torchvision::deform_conv2d")
def deform_conv(walk: Walk, node: Node) -> Any:
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
