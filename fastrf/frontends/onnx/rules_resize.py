"""The rule of ONNX operators that resample: every coordinate mode, kernel and policy."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction

import numpy as np

from fastrf.errors import FormatError
from fastrf.frontends import resizing
from fastrf.frontends.lowering import Value
from fastrf.frontends.onnx.registry import Call, Walk, rule
from fastrf.network import MAX_AXIS

__all__: list[str] = []

_MODES = {"bilinear": "linear", "trilinear": "linear", "bicubic": "cubic"}


@rule("Resize", "Upsample")
def resize(walk: Walk, call: Call) -> Value:
    """Each axis sampled at other places."""
    x = call.operand(walk, 0)
    old = call.op == "Upsample" or call.version < 11
    place = "asymmetric" if old else call.get("coordinate_transformation_mode", "half_pixel")
    antialias = bool(call.get("antialias", 0))
    axes = [a % len(x.full) for a in call.get("axes") or range(len(x.full))]
    factors, targets = _targets(call, [x.full[a] for a in axes], 1 if old else 2)
    crops = _crops(call, len(axes)) if place == "tf_crop_and_resize" else [(0.0, 1.0)] * len(axes)
    if place == "align_corners" and antialias:  # the kernel is as wide as for other places, unlike torch's
        place = "tf_crop_and_resize"
        lengths = [scale * x.full[axis] for axis, scale in zip(axes, factors, strict=True)]
        crops = [
            (0.0, float((m - 1) / (length - 1)) if m > 1 else 0.0) for m, length in zip(targets, lengths, strict=True)
        ]
    ways = []
    for axis, scale, size, crop in zip(axes, factors, targets, crops, strict=True):
        ratio = 1 / scale
        if size != x.full[axis] or scale != 1 or crop != (0.0, 1.0) or place == "tf_half_pixel_for_nn":
            ways.append((axis, size, (ratio.numerator, ratio.denominator), crop))
    mode = call.get("mode", "nearest")
    result = resizing.resize(
        walk,
        x,
        ways,
        mode=_MODES.get(mode, mode),
        coordinates=place,
        rounding="floor" if old else call.get("nearest_mode", "round_prefer_floor"),
        antialias=antialias,
        exclude_outside=bool(call.get("exclude_outside", 0)),
        cubic_coeff_a=float(call.get("cubic_coeff_a", -0.75)),
    )
    return replace(result, known=None)


def _crops(call: Call, n: int) -> list[tuple[float, float]]:
    """Where sampling begins and ends along each axis."""
    roi = [float(v) for v in call.array(1).ravel()] if call.has(1) else []
    return [(roi[k], roi[n + k]) for k in range(n)] if len(roi) == 2 * n else [(0.0, 1.0)] * n


def _targets(call: Call, lengths: Sequence[int], k: int) -> tuple[list[Fraction], list[int]]:
    """The scale and the size of each sampled axis; scales are input `k`."""
    found = call.array(k).ravel() if call.has(k) else call.get("scales")
    scales = [] if found is None else [float(s) for s in found]
    sizes = call.integers(3) or [] if k == 2 else []
    if bool(scales) == bool(sizes):
        raise FormatError("it needs either scales or sizes")
    if len(scales or sizes) != len(lengths):
        raise FormatError(f"{len(scales or sizes)} scales or sizes for {len(lengths)} axes")
    if scales:
        if any(not math.isfinite(s) or s <= 0 or s > MAX_AXIS for s in scales):
            raise FormatError(f"scales {scales[:8]} must be positive numbers")
        factors = [Fraction(s).limit_denominator(1 << 20) or Fraction(s) for s in scales]
        return factors, [math.floor(n * np.float32(s)) for n, s in zip(lengths, scales, strict=True)]
    if any(n < 1 for n in (*sizes, *lengths)):
        raise FormatError(f"sizes {sizes[:8]} must be positive")
    policy = call.get("keep_aspect_ratio_policy", "stretch")
    factors = [Fraction(m, n) for m, n in zip(sizes, lengths, strict=True)]
    if policy == "stretch":
        return factors, sizes
    one = (min if policy == "not_larger" else max)(factors)
    return [one] * len(factors), [math.floor(one * n + Fraction(1, 2)) for n in lengths]
