"""Rules of ONNX operators that slide windows."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from fastrf.errors import FormatError, ShapeError
from fastrf.frontends import mixing, moving, sliding
from fastrf.frontends.hiding import set_known
from fastrf.frontends.lowering import Value
from fastrf.frontends.onnx.constants import Constant
from fastrf.frontends.onnx.known import with_total
from fastrf.frontends.onnx.registry import Call, Item, Walk, rule
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


def _window(call: Call, kernel: Sequence[int], sizes: Sequence[int]) -> dict[str, Any]:
    """What all windows have: kernel, stride, dilation and padding as pairs."""
    n, mode = len(sizes), call.get("auto_pad", "NOTSET")
    if len(kernel) != n:
        raise ShapeError(f"a window {list(kernel)[:8]} does not fit {n} spatial axes")
    if mode not in ("NOTSET", "VALID", "SAME_UPPER", "SAME_LOWER"):
        raise FormatError(f"auto_pad {mode!r} is unknown")
    strides, dilations = _numbers(call, "strides", n, 1), _numbers(call, "dilations", n, 1)
    pads = _pads(call, n) if mode == "NOTSET" else [[0, 0] for _ in range(n)]
    if mode in ("SAME_UPPER", "SAME_LOWER"):  # for ceil(m / s) outputs
        totals = [
            max((-(-m // s) - 1) * s + d * (k - 1) + 1 - m, 0)
            for m, k, s, d in zip(sizes, kernel, strides, dilations, strict=True)
        ]
        pads = [_halves(total, upper=mode == "SAME_UPPER") for total in totals]
    return {"kernel_size": list(kernel), "stride": strides, "dilation": dilations, "padding": pads}


def _halves(total: int, *, upper: bool) -> list[int]:
    """A padding in two parts; the odd one comes after where `upper`."""
    half = total // 2
    return [half, total - half] if upper else [total - half, half]


def _axes(attributes: dict[str, Any], sizes: Sequence[int]) -> Iterator[tuple[int, int, int, int, int, int]]:
    """Per spatial axis: its size, kernel, stride, dilation, and padding before and after."""
    listed = (attributes[name] for name in ("kernel_size", "stride", "dilation", "padding"))
    for n, k, s, d, (before, after) in zip(sizes, *listed, strict=True):
        yield n, k, s, d, before, after


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
    attributes = _window(call, weight[2:], full[2:])
    sizes = [
        (n + before + after - d * (k - 1) - 1) // s + 1 for n, k, s, d, before, after in _axes(attributes, full[2:])
    ]
    shape = (full[0], weight[0], *sizes)
    parts = []
    if call.value(0) is not None:
        bias = call.has(2 if exact else 8)
        parts.append(_convolved(walk, call, at, "conv", out_channels=weight[0], groups=groups, bias=bias, **attributes))
    taken = call.value(at)
    if taken is not None and exact and (call.known(0) == 0).any():  # which taps fall on zeros is not followed
        parts.append(walk.emit("opaque", taken, shape=list(shape), full=shape))
    elif taken is not None:
        parts.append(_of_weights(walk, taken, full, shape, attributes))
    return _with_bias(walk, parts, call.value(2) if exact else None, shape)


def _convolved(walk: Walk, call: Call, at: int, op: str, **attributes: Any) -> Value:
    """A convolution of input 0 that leaves out where weight `at` is zero by definition; listed if that is too much.

    A kernel in a constant node is trained where the file stores no kernel elsewhere, as some converters write it.
    """
    kernel, shape = call.inputs[at], call.full(at)
    trained = isinstance(kernel, Constant) and not kernel.weight and not walk.stores_weights
    exact = call.op in ("Conv", "ConvTranspose")
    used = call.used(at) if exact and not trained else np.ones((), bool)
    many = not used.all() and products(np.broadcast_to(used, shape)) is None
    zeros = {} if used.all() or many else {"used": used.tolist()}
    result = sliding.slide(walk, call.operand(walk, 0), len(shape) - 2, op, **attributes, **zeros)
    if many:
        return walk.loosened(result)
    return call.loosened(walk, at, result) if exact else result


def _of_weights(walk: Walk, weight: Value, full: Sequence[int], shape: tuple[int, ...], a: dict[str, Any]) -> Value:
    """How a convolution reads its weights: place by place the taps that fall inside the image."""
    value = mixing.reduce(walk, weight, "sum", [1], keepdims=False)
    for axis, (n, k, s, d, before, _) in enumerate(_axes(a, full[2:])):
        place = np.arange(shape[2 + axis])[:, None] * s - before + np.arange(k) * d
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
    attributes = {
        "kernel_size": list(weight[2:]),
        "stride": _numbers(call, "strides", n, 1),
        "dilation": _numbers(call, "dilations", n, 1),
        "padding": [[0, 0] for _ in range(n)],
    }
    pads = _pads_of_transposed(call, attributes, x.full[2:], extra)
    attributes["padding"] = [[before, max(after, 0)] for before, after in pads]
    attributes["output_padding"] = [e + max(-after, 0) for e, (_, after) in zip(extra, pads, strict=True)]
    out, bias = weight[1] * groups, call.has(2)
    result = _convolved(walk, call, 1, "conv_transpose", out_channels=out, groups=groups, bias=bias, **attributes)
    return _with_bias(walk, [result], call.value(2), result.full)


def _pads_of_transposed(
    call: Call, attributes: dict[str, Any], sizes: Sequence[int], extra: Sequence[int]
) -> list[list[int]]:
    """What is cut off before and after each axis; less than nothing where outputs lie beyond the last window."""
    mode, wanted = call.get("auto_pad", "NOTSET"), call.get("output_shape")
    if not wanted and mode not in ("SAME_UPPER", "SAME_LOWER"):
        return attributes["padding"] if mode == "VALID" else _pads(call, len(sizes))
    pads = []
    for axis, (n, k, s, d, _, _) in enumerate(_axes(attributes, sizes)):
        target = wanted[axis - len(sizes)] if wanted else n * s
        total = s * (n - 1) + extra[axis] + d * (k - 1) + 1 - target
        pads.append([0, total] if total < 0 else _halves(total, upper=mode == "SAME_UPPER"))
    return pads


@rule("MaxPool", "AveragePool", "LpPool")
def pool(walk: Walk, call: Call) -> list[Value]:
    """Pooling, and where each maximum was."""
    x = call.operand(walk, 0)
    n = len(x.full) - 2
    attributes = _window(call, call.get("kernel_shape") or [], x.full[2:])
    wider = _cut_windows(attributes, x.full[2:])
    op = {"MaxPool": "max_pool", "AveragePool": "avg_pool", "LpPool": "lp_pool"}[call.op]
    result = sliding.slide(walk, x, n, op, ceil_mode=bool(call.get("ceil_mode", 0)), **attributes)
    if x.known is not None and call.op != "LpPool" and not wider and len(call.node.output) == 1:
        result = with_total(walk, call, result)
    return [result, result][: max(len(call.node.output), 1)]


def _cut_windows(attributes: dict[str, Any], sizes: Sequence[int]) -> bool:
    """Whether a window is wider than its axis; if by less than a stride, it reads what there is, as if padded behind.

    So have it the standard's shape inference and onnxruntime, whose division rounds towards zero.
    """
    lacking = [d * (k - 1) + 1 - n - before - after for n, k, _, d, before, after in _axes(attributes, sizes)]
    wider = [axis for axis, more in enumerate(lacking) if 0 < more < attributes["stride"][axis]]
    for axis in wider:
        attributes["padding"][axis][1] += lacking[axis]
    return bool(wider)


@rule("GlobalAveragePool", "GlobalMaxPool", "GlobalLpPool")
def global_pool(walk: Walk, call: Call) -> Value:
    """Each channel over all positions."""
    x = call.operand(walk, 0)
    op = {"GlobalAveragePool": "mean", "GlobalMaxPool": "max", "GlobalLpPool": "norm"}[call.op]
    return mixing.reduce(walk, x, op, list(range(2, len(x.full))), keepdims=True)


@rule("LRN")
def response_norm(walk: Walk, call: Call) -> Value:
    """Neighbouring channels of the same pixel: an even window reaches one further up."""
    x, size = call.operand(walk, 0), call.get("size", 1)
    zeros = None if x.zeroed is None else np.where(x.zeroed, 0.0, np.nan)
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
    return walk.everything(call, full) if call.dynamic() else moving.constant(walk, x, full)


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
