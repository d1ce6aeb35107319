"""Rules of ONNX operators that slide windows."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np

from fastrf.errors import FormatError, ShapeError
from fastrf.frontends.hiding import settled
from fastrf.frontends.lowering import Value
from fastrf.frontends.mixing import reduced
from fastrf.frontends.moving import constant, permuted
from fastrf.frontends.onnx.constants import Constant
from fastrf.frontends.onnx.known import gathered
from fastrf.frontends.onnx.registry import Call, Item, Walk, rule
from fastrf.frontends.sliding import folded, windowed
from fastrf.ops.zeros import products

__all__: list[str] = []


def _numbers(call: Call, name: str, n: int, default: int) -> list[int]:
    """One number per spatial axis."""
    values = [int(v) for v in call.get(name) or [default] * n]
    if len(values) != n:
        raise ShapeError(f"{name} {values[:8]} must be {n} numbers, one per spatial axis")
    return values


def _window(call: Call, kernel: Sequence[int], sizes: Sequence[int]) -> dict[str, Any]:
    """What all windows have: kernel, stride, dilation and padding as pairs."""
    n = len(sizes)
    strides, dilations = _numbers(call, "strides", n, 1), _numbers(call, "dilations", n, 1)
    if len(kernel) != n:
        raise ShapeError(f"a window {list(kernel)[:8]} does not fit {n} spatial axes")
    mode = call.get("auto_pad", "NOTSET")
    if mode in ("SAME_UPPER", "SAME_LOWER"):
        pads = [
            _same(*each, upper=mode == "SAME_UPPER") for each in zip(sizes, kernel, strides, dilations, strict=True)
        ]
    elif mode == "VALID":
        pads = [[0, 0] for _ in range(n)]
    elif mode == "NOTSET":
        given = _numbers(call, "pads", 2 * n, 0)
        pads = [[given[k], given[n + k]] for k in range(n)]
    else:
        raise FormatError(f"auto_pad {mode!r} is unknown")
    return {"kernel_size": list(kernel), "stride": strides, "dilation": dilations, "padding": pads}


def _same(n: int, k: int, s: int, d: int, *, upper: bool) -> list[int]:
    """Padding for ceil(n / s) outputs; the odd one comes after where `upper`."""
    total = max((-(-n // s) - 1) * s + d * (k - 1) + 1 - n, 0)
    half = total // 2
    return [half, total - half] if upper else [total - half, half]


@rule("Conv", "ConvInteger", "QLinearConv")
@rule("FusedConv", domain="com.microsoft")
def conv(walk: Walk, call: Call) -> Value | list[Item]:
    """Convolution in all its forms; weights that depend on the input are read where their tap is not padding."""
    at = 3 if call.op == "QLinearConv" else 1
    weight = call.full(at)
    scales = range(1, len(call.inputs)) if call.op == "QLinearConv" else range(2, len(call.inputs))
    others = [v for k in scales if k != at and (v := call.value(k)) is not None and call.op != "Conv"]
    if others:
        return walk.opaque(call)
    x = call.value(0)
    full = call.full(0)
    n = len(weight) - 2
    if len(full) != n + 2:
        raise ShapeError(f"an input of shape {full} does not fit a kernel of shape {weight}")
    attributes = _window(call, weight[2:], full[2:])
    parts = []
    groups = call.get("group", 1)
    if full[1] != weight[1] * groups:
        raise ShapeError(f"{full[1]} channels do not fit a kernel of shape {weight} in {groups} groups")
    if x is not None:
        more = {**attributes, "bias": call.has(2) if call.op == "Conv" else call.has(8)}
        seen = _with_zeros(walk, call, at, more, weight) if call.op == "Conv" else replace
        parts.append(seen(windowed(walk, x, n, "conv", out_channels=weight[0], groups=groups, **more)))
    sizes = [
        (m + sum(p) - d * (k - 1) - 1) // s + 1
        for m, k, s, d, p in zip(
            full[2:], *(attributes[a] for a in ("kernel_size", "stride", "dilation", "padding")), strict=True
        )
    ]
    shape = (full[0], weight[0], *sizes)
    if call.value(at) is not None:
        taken = call.operand(walk, at)
        if call.op == "Conv" and (call.known(0) == 0).any():  # which taps fall on zeros is not followed
            parts.append(walk.emit("opaque", taken, shape=list(shape), full=shape))
        else:
            parts.append(_of_weights(walk, taken, full, shape, attributes))
    return _with_bias(walk, parts, call.value(2) if call.op == "Conv" else None, shape)


def _with_zeros(
    walk: Walk, call: Call, k: int, attributes: dict[str, Any], shape: Sequence[int]
) -> Callable[[Value], Value]:
    """Leave out where weight `k` is zero by definition; what lists the result where these zeros are too many.

    A kernel in a constant node is trained where the file stores no kernel elsewhere, as some converters write it.
    """
    kernel = call.inputs[k]
    trained = isinstance(kernel, Constant) and not kernel.weight and not walk.stores_weights
    used = np.ones((), bool) if trained else call.used(k)
    many = not used.all() and products(np.broadcast_to(used, tuple(shape))) is None
    if not used.all() and not many:
        attributes["used"] = used.tolist()
    return walk.loosened if many else partial(call.loosened, walk, k)


def _of_weights(walk: Walk, weight: Value, full: Sequence[int], shape: tuple[int, ...], a: dict[str, Any]) -> Value:
    """How a convolution reads its weights: place by place the taps that fall inside the image."""
    value = reduced(walk, weight, "sum", [1], keepdims=False)
    for axis in range(len(full) - 2):
        k, s, d, (before, _) = (a[name][axis] for name in ("kernel_size", "stride", "dilation", "padding"))
        place = np.arange(shape[2 + axis])[:, None] * s - before + np.arange(k) * d
        used = (place >= 0) & (place < full[2 + axis])
        ndim = len(value.full)
        turned = permuted(walk, value, [*[i for i in range(ndim) if i != 1], 1])
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
    weight, n = call.full(1), len(call.full(1)) - 2
    kernel, sizes = weight[2:], x.full[2:]
    strides, dilations = _numbers(call, "strides", n, 1), _numbers(call, "dilations", n, 1)
    extra = _numbers(call, "output_padding", n, 0)
    whole = [
        s * (m - 1) + e + d * (k - 1) + 1
        for s, m, e, d, k in zip(strides, sizes, extra, dilations, kernel, strict=True)
    ]
    mode, wanted = call.get("auto_pad", "NOTSET"), call.get("output_shape")
    if wanted or mode in ("SAME_UPPER", "SAME_LOWER"):
        targets = list(wanted)[-n:] if wanted else [m * s for m, s in zip(sizes, strides, strict=True)]
        pads = []
        for total in (w - t for w, t in zip(whole, targets, strict=True)):
            first, second = total // 2, total - total // 2
            pads.append([first, second] if mode == "SAME_UPPER" else [second, first])
            if total < 0:  # outputs beyond the last window: nothing is read there
                pads[-1] = [0, total]
    elif mode == "VALID":
        pads = [[0, 0]] * n
    else:
        given = _numbers(call, "pads", 2 * n, 0)
        pads = [[given[k], given[n + k]] for k in range(n)]
    more = [e + max(-p[1], 0) for e, p in zip(extra, pads, strict=True)]
    zeros: dict[str, Any] = {}
    seen = _with_zeros(walk, call, 1, zeros, weight)
    result = windowed(
        walk,
        x,
        n,
        "conv_transpose",
        out_channels=weight[1] * call.get("group", 1),
        kernel_size=list(kernel),
        stride=strides,
        dilation=dilations,
        padding=[[b, max(a, 0)] for b, a in pads],
        output_padding=more,
        groups=call.get("group", 1),
        bias=call.has(2),
        **zeros,
    )
    return _with_bias(walk, [seen(result)], call.value(2), result.full)


@rule("MaxPool", "AveragePool", "LpPool")
def pool(walk: Walk, call: Call) -> list[Value]:
    """Pooling, and where each maximum was."""
    x = call.operand(walk, 0)
    n = len(x.full) - 2
    attributes = _window(call, call.get("kernel_shape") or [], x.full[2:])
    wider = _cut_windows(attributes, x.full[2:])
    op = {"MaxPool": "max_pool", "AveragePool": "avg_pool", "LpPool": "lp_pool"}[call.op]
    result = windowed(walk, x, n, op, ceil_mode=bool(call.get("ceil_mode", 0)), **attributes)
    if x.known is not None and call.op != "LpPool" and not wider and len(call.node.output) == 1:
        result = replace(result, known=gathered(walk, call))
    return [result, result][: max(len(call.node.output), 1)]


def _cut_windows(attributes: dict[str, Any], sizes: Sequence[int]) -> bool:
    """Whether a window is wider than its axis; if by less than a stride, it reads what there is, as if padded behind.

    So have it the standard's shape inference and onnxruntime, whose division rounds towards zero.
    """
    wider = False
    for axis, n in enumerate(sizes):
        k, s, d, (before, after) = (attributes[a][axis] for a in ("kernel_size", "stride", "dilation", "padding"))
        lacking = d * (k - 1) + 1 - n - before - after
        if 0 < lacking < s:
            attributes["padding"][axis] = [before, after + lacking]
            wider = True
    return wider


@rule("GlobalAveragePool", "GlobalMaxPool", "GlobalLpPool")
def global_pool(walk: Walk, call: Call) -> Value:
    """Each channel over all positions."""
    x = call.operand(walk, 0)
    op = {"GlobalAveragePool": "mean", "GlobalMaxPool": "max", "GlobalLpPool": "norm"}[call.op]
    return reduced(walk, x, op, list(range(2, len(x.full))), keepdims=True)


@rule("LRN")
def response_norm(walk: Walk, call: Call) -> Value:
    """Neighbouring channels of the same pixel: an even window reaches one further up."""
    x, size = call.operand(walk, 0), call.get("size", 1)
    zeros = None if x.zeroed is None else np.where(x.zeroed, 0.0, np.nan)
    if size % 2:
        return settled(walk, windowed(walk, x, len(x.full) - 2, "local_response_norm", size=size), zeros)
    turned = walk.emit("flip", x, axes=[x.axis(1)])
    result = windowed(walk, turned, len(x.full) - 2, "local_response_norm", size=size)
    return settled(walk, walk.emit("flip", result, axes=[result.axis(1)]), zeros)


@rule("Col2Im")
def fold(walk: Walk, call: Call) -> Value:
    """The sum of overlapping windows."""
    x = call.operand(walk, 0)
    image, block = call.integers(1) or [], call.integers(2) or []
    n = len(image)
    pads = _numbers(call, "pads", 2 * n, 0)
    return folded(
        walk,
        x,
        output_size=image,
        kernel_size=block,
        dilation=_numbers(call, "dilations", n, 1),
        padding=[[pads[k], pads[n + k]] for k in range(n)],
        stride=_numbers(call, "strides", n, 1),
    )


@rule("DeformConv")
def deform_conv(walk: Walk, call: Call) -> Value | list[Item]:
    """Deformable convolution, over-approximated: any pixel, and the offsets and mask at the place."""
    x, offset, mask = call.value(0), call.value(2), call.value(4)
    if x is None or call.value(1) is not None or not x.stripped or (offset is not None and not offset.stripped):
        return walk.opaque(call)
    weight = call.full(1)
    extra = [call.operand(walk, 2)] if mask is None else [call.operand(walk, 2), mask]
    attributes = _window(call, weight[2:], x.full[2:])
    result = walk.emit("deform_conv", x, *extra, out_channels=weight[0], groups=call.get("group", 1), **attributes)
    return _with_bias(walk, [result], call.value(3), result.full)


@rule("GridSample")
def grid_sample(walk: Walk, call: Call) -> Value | list[Item]:
    """Sampling at computed places, over-approximated."""
    x, grid = call.operand(walk, 0), call.operand(walk, 1)
    if not x.stripped or not grid.stripped:
        return walk.opaque(call)
    return walk.emit("grid_sample", x, grid)


@rule("RoiAlign", "MaxRoiPool")
def of_regions(walk: Walk, call: Call) -> Value:
    """Regions at computed places, over-approximated: any pixel of the channel, and all regions."""
    x = call.operand(walk, 0)
    sizes = call.get("pooled_shape") or [call.get("output_height", 1), call.get("output_width", 1)]
    full = (call.full(1)[0], x.full[1], *sizes)
    regions = [walk.everything(call, full)] if call.dynamic() else [constant(walk, x, full)]
    return regions[0]


@rule("NonMaxSuppression")
def suppression(walk: Walk, call: Call) -> Value:
    """The boxes that are kept: how many depends on the data, so there are rows for all that may be."""
    batch, count = call.full(0)[:2]
    classes = call.full(1)[1]
    most = int(call.array(2).ravel()[0]) if call.has(2) and call.value(2) is None else 0
    return walk.everything(call, (max(batch * classes * min(most, count), 1), 3))


@rule("MaxUnpool")
def unpool(walk: Walk, call: Call) -> Value:
    """Elements put where their index says, over-approximated."""
    full = call.integers(2)
    if full is None:
        sizes = _window(call, call.get("kernel_shape") or [], call.full(0)[2:])
        full = [
            *call.full(0)[:2],
            *[
                (m - 1) * s - sum(p) + k
                for m, s, p, k in zip(
                    call.full(0)[2:], sizes["stride"], sizes["padding"], sizes["kernel_size"], strict=True
                )
            ],
        ]
    return walk.everything(call, tuple(full))
