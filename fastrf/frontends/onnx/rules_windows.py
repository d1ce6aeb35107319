"""Rules of ONNX operators that slide windows over positions, or sample them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction
from typing import Any

import numpy as np

from fastrf.errors import FormatError, ShapeError
from fastrf.frontends import moving, sliding
from fastrf.frontends.lowering import Value
from fastrf.frontends.masking import set_known
from fastrf.frontends.onnx.constants import Constant
from fastrf.frontends.onnx.known import with_total
from fastrf.frontends.onnx.registry import Call, Item, Walk, rule
from fastrf.network import MAX_AXIS
from fastrf.ops.arguments import Window, windows
from fastrf.ops.truths import nested
from fastrf.ops.zeros import products

__all__: list[str] = []


def _numbers(call: Call, name: str, n: int, default: int) -> list[int]:
    """One number per spatial axis."""
    values = [int(v) for v in call.get(name) or [default] * n]
    if len(values) != n:
        raise ShapeError(f"{name} {values[:8]} must be {n} numbers, one per spatial axis")
    return values


def _pads(call: Call, n: int) -> list[list[int]]:
    """Padding before and after each spatial axis."""
    given = _numbers(call, "pads", 2 * n, 0)
    return [list(pair) for pair in zip(given[:n], given[n:], strict=True)]


#: Padding by name, as operators of fastrf call it.
_AUTO_PADS = {"NOTSET": None, "VALID": "valid", "SAME_UPPER": "same", "SAME_LOWER": "same_lower"}


def _windows(call: Call, kernel: Sequence[int], sizes: Sequence[int]) -> list[Window]:
    """How the window of an operator slides along each spatial axis."""
    n, mode = len(sizes), call.get("auto_pad", "NOTSET")
    if len(kernel) != n:
        raise ShapeError(f"a window {list(kernel)[:8]} does not fit {n} spatial axes")
    if mode not in _AUTO_PADS:
        raise FormatError(f"auto_pad {mode!r} is unknown")
    padding = _AUTO_PADS[mode] or _pads(call, n)
    return windows(sizes, kernel, _numbers(call, "strides", n, 1), padding, _numbers(call, "dilations", n, 1))


def _attributes(found: Sequence[Window]) -> dict[str, Any]:
    """What a layer says of its windows."""
    return {
        "kernel_size": [w.kernel for w in found],
        "stride": [w.stride for w in found],
        "dilation": [w.dilation for w in found],
        "padding": [[w.before, w.after] for w in found],
    }


@rule("Conv", "ConvInteger", "QLinearConv")
@rule("FusedConv", domain="com.microsoft")
def conv(walk: Walk, call: Call) -> Value | list[Item]:
    """Convolution in all its forms; weights that depend on the input are read where their tap is not padding."""
    at, exact = 3 if call.op == "QLinearConv" else 1, call.op == "Conv"
    full, weight, groups = call.full(0), call.full(at), call.get("group", 1)
    if not exact and any(call.value(k) is not None for k in range(1, len(call.inputs)) if k != at):
        return walk.opaque(call)
    if len(full) != len(weight):
        raise ShapeError(f"an input of shape {full} does not fit a kernel of shape {weight}")
    if full[1] != weight[1] * groups:
        raise ShapeError(f"{full[1]} channels do not fit a kernel of shape {weight} in {groups} groups")
    found = _windows(call, weight[2:], full[2:])
    shape = (full[0], weight[0], *(w.count(n) for w, n in zip(found, full[2:], strict=True)))
    parts = []
    if call.value(0) is not None:
        more = {"groups": groups, "bias": call.has(2 if exact else 8), **_attributes(found)}
        parts.append(_convolved(walk, call, at, "conv", out_channels=weight[0], **more))
    taken = call.value(at)
    if taken is not None and exact and (call.known(0) == 0).any():  # which taps fall on zeros is not followed
        parts.append(walk.emit("opaque", taken, shape=list(shape), full=shape))
    elif taken is not None:
        parts.append(_of_weights(walk, taken, full, shape, found))
    return _with_bias(walk, parts, call.value(2) if exact else None, shape)


def _convolved(walk: Walk, call: Call, at: int, op: str, **attributes: Any) -> Value:
    """A convolution of input 0 that leaves out where weight `at` is zero by definition; listed if that is too much."""
    kernel, shape = call.inputs[at], call.full(at)
    # a kernel in a constant node is trained where the file stores no kernel elsewhere, as some converters write it
    trained = isinstance(kernel, Constant) and not kernel.weight and not walk.stores_weights
    exact = call.op in ("Conv", "ConvTranspose")
    used = np.asarray(call.known(at) != 0) if exact and not trained else np.ones((), bool)
    many = not used.all() and products(np.broadcast_to(used, shape)) is None
    zeros = {} if used.all() or many else {"used": nested(used)}
    result = sliding.slide(walk, call.operand(walk, 0), len(shape) - 2, op, **attributes, **zeros)
    if many:
        return walk.loosened(result)
    return call.loosened(walk, at, result) if exact else result


def _of_weights(
    walk: Walk, weight: Value, full: Sequence[int], shape: tuple[int, ...], found: Sequence[Window]
) -> Value:
    """How a convolution reads its weights: place by place the taps that fall inside the image."""
    value = moving.reduce(walk, weight, "sum", [1], keepdims=False)
    for n, m, w in zip(full[2:], shape[2:], found, strict=True):
        place = np.arange(m)[:, None] * w.stride - w.before + np.arange(w.kernel) * w.dilation
        used = (place >= 0) & (place < n)
        turned = moving.permute(walk, value, [*(i for i in range(len(value.full)) if i != 1), 1])
        spread = walk.spread(turned)
        column = walk.emit("reshape", spread, shape=[*spread.shape, 1])
        table = walk.emit("constant", column, shape=list(used.shape))
        result = walk.emit("matmul", table, column, used=used.tolist())
        value = walk.shaped(result, (*turned.full[:-1], used.shape[0]))
    return walk.expanded(value, shape)


def _with_bias(walk: Walk, parts: list[Value], bias: Value | None, shape: tuple[int, ...]) -> Value:
    """A sum with a bias per channel, if that depends on the input."""
    if bias is not None:
        parts = [*parts, walk.shaped(bias, (shape[1], *(1,) * (len(shape) - 2)))]
    return replace(walk.elementwise("add", parts, shape), known=None)


@rule("ConvTranspose")
def conv_transpose(walk: Walk, call: Call) -> Value | list[Item]:
    """Transposed convolution, its size given by padding or by `output_shape`."""
    x = call.value(0)
    if x is None or call.value(1) is not None:
        return walk.opaque(call)
    weight, groups, n = call.full(1), call.get("group", 1), len(call.full(1)) - 2
    extra = _numbers(call, "output_padding", n, 0)
    found = windows(x.full[2:], weight[2:], _numbers(call, "strides", n, 1), 0, _numbers(call, "dilations", n, 1))
    pads = _pads_of_transposed(call, found, x.full[2:], extra)
    out, bias = weight[1] * groups, call.has(2)
    more = {
        **_attributes(found),
        "padding": [[before, max(after, 0)] for before, after in pads],
        "output_padding": [e + max(-after, 0) for e, (_, after) in zip(extra, pads, strict=True)],
    }
    result = _convolved(walk, call, 1, "conv_transpose", out_channels=out, groups=groups, bias=bias, **more)
    return _with_bias(walk, [result], call.value(2), result.full)


def _pads_of_transposed(
    call: Call, found: Sequence[Window], sizes: Sequence[int], extra: Sequence[int]
) -> list[list[int]]:
    """What is cut off before and after each axis; less than nothing where outputs lie beyond the last window."""
    mode, wanted = call.get("auto_pad", "NOTSET"), call.get("output_shape")
    if not wanted and mode not in ("SAME_UPPER", "SAME_LOWER"):
        return [[0, 0] for _ in sizes] if mode == "VALID" else _pads(call, len(sizes))
    targets = wanted[-len(sizes) :] if wanted else [n * w.stride for n, w in zip(sizes, found, strict=True)]
    pads = []
    for n, w, more, target in zip(sizes, found, extra, targets, strict=True):
        total = w.stride * (n - 1) + more + w.reach - target
        less = total // 2 if mode == "SAME_UPPER" else total - total // 2
        pads.append([0, total] if total < 0 else [less, total - less])
    return pads


@rule("MaxPool", "AveragePool", "LpPool")
def pool(walk: Walk, call: Call) -> list[Value]:
    """Pooling, and where each maximum was."""
    x = call.operand(walk, 0)
    n = len(x.full) - 2
    found = _windows(call, call.get("kernel_shape") or [], x.full[2:])
    cut = [_cut(w, size) for w, size in zip(found, x.full[2:], strict=True)]
    op = {"MaxPool": "max_pool", "AveragePool": "avg_pool", "LpPool": "lp_pool"}[call.op]
    result = sliding.slide(walk, x, n, op, ceil_mode=bool(call.get("ceil_mode", 0)), **_attributes(cut))
    if x.known is not None and call.op != "LpPool" and cut == found and len(call.node.output) == 1:
        result = with_total(walk, call, result)
    return [result, result][: max(len(call.node.output), 1)]


def _cut(w: Window, size: int) -> Window:
    """A window that is wider than its axis by less than a stride reads what there is, as if padded behind."""
    # so have it the standard's shape inference and onnxruntime, whose division rounds towards zero
    lacking = w.reach - size - w.before - w.after
    return w._replace(after=w.after + lacking) if 0 < lacking < w.stride else w


@rule("LRN")
def response_norm(walk: Walk, call: Call) -> Value:
    """Neighbouring channels of the same pixel: an even window reaches one further up."""
    x, size = call.operand(walk, 0), call.get("size", 1)
    zeros = np.where(x.zeroed, 0.0, np.nan) if x.zeroed.any() else None
    turned = x if size % 2 else walk.emit("flip", x, axes=[x.axis(1)])
    result = sliding.slide(walk, turned, len(x.full) - 2, "local_response_norm", size=size)
    result = result if size % 2 else walk.emit("flip", result, axes=[result.axis(1)])
    return set_known(walk, result, zeros)


@rule("Col2Im")
def fold(walk: Walk, call: Call) -> Value:
    """The sum of overlapping windows."""
    image, block = call.integers(1) or [], call.integers(2) or []
    strides, dilations = (_numbers(call, name, len(image), 1) for name in ("strides", "dilations"))
    more = {"stride": strides, "dilation": dilations, "padding": _pads(call, len(image))}
    return sliding.fold(walk, call.operand(walk, 0), output_size=image, kernel_size=block, **more)


@rule("DeformConv")
def deform_conv(walk: Walk, call: Call) -> Value | list[Item]:
    """Deformable convolution, over-approximated: any pixel, and the offsets and mask at the place."""
    x, offset, mask = call.value(0), call.value(2), call.value(4)
    if x is None or call.value(1) is not None or not x.stripped or (offset is not None and not offset.stripped):
        return walk.opaque(call)
    weight = call.full(1)
    extra = [call.operand(walk, 2)] if mask is None else [call.operand(walk, 2), mask]
    more = {"groups": call.get("group", 1), **_attributes(_windows(call, weight[2:], x.full[2:]))}
    result = walk.emit("deform_conv", x, *extra, out_channels=weight[0], **more)
    return _with_bias(walk, [result], call.value(3), result.full)


@rule("GridSample")
def grid_sample(walk: Walk, call: Call) -> Value | list[Item]:
    """Sampling at computed places, over-approximated."""
    x, grid = call.operand(walk, 0), call.operand(walk, 1)
    if not x.stripped or not grid.stripped:
        return walk.opaque(call)
    return walk.emit("grid_sample", x, grid)


@rule("NonMaxSuppression")
def suppression(walk: Walk, call: Call) -> Value:
    """The boxes that are kept: how many depends on the data, so there are rows for all that may be."""
    batch, count = call.full(0)[:2]
    classes = call.full(1)[1]
    most = call.number(2, 0) if call.value(2) is None else 0
    return walk.everything(call, (max(batch * classes * min(most, count), 1), 3))


@rule("MaxUnpool")
def unpool(walk: Walk, call: Call) -> Value | list[Item]:
    """Elements put where their index says, over-approximated."""
    full = call.integers(2)
    return walk.opaque(call) if full is None else walk.everything(call, tuple(full))


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
    result = sliding.resize(
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
