"""Quantised operators, as those of plain numbers that they stand for; packed weights, as parameters.

A quantised tensor is recorded as the numbers that it stands for. What rounds is a node of its own where a model says
so; an operator that rounds its result alone is the plain one, since rounding reads no further.
"""

from __future__ import annotations

import hashlib
import operator
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch.nn import functional

from fastrf.frontends.torch.quantizing import RANGE
from fastrf.frontends.torch.recording.patching import running

__all__ = ["QUANTIZED"]

_Function = Callable[..., Any]


def _plain(x: Any) -> Any:
    """The numbers that a constant stands for; others are so recorded."""
    return x.dequantize() if isinstance(x, torch.Tensor) and x.is_quantized else x


def _parameters(packed: Any, unpack: Any, bias: Any = None) -> list[Any]:
    """What is packed, by its contents, the same tensors each time that a module asks; a bias may lie beside it."""
    run = running()
    both = lambda: [None if t is None else _plain(t).detach().float() for t in unpack(packed)]  # noqa: E731
    weight, own = run.plainly(both)
    bias = own if bias is None else bias.detach()
    key = hashlib.sha256(run.plainly(lambda: weight.contiguous().numpy()).tobytes()).hexdigest()
    return [t if t is None else run.adopted(name, t, key) for name, t in (("weight", weight), ("bias", bias))]


def _convolved(rank: int, transposed: bool) -> _Function:
    kind = "conv_transpose" if transposed else "conv"
    function, told = getattr(functional, f"{kind}{rank}d"), f"{kind}{max(rank, 2)}d"
    quantized, names = torch.ops.quantized, ["stride", "padding", *(["output_padding"] if transposed else [])]

    def convolution(x: torch.Tensor, packed: Any, *_: Any) -> Any:
        weight, bias = _parameters(packed, getattr(quantized, f"{kind}{rank}d_unpack"))
        given = {name: getattr(quantized, f"{told}_{name}")(packed)[-rank:] for name in (*names, "dilation")}
        return function(x, weight, bias, groups=getattr(quantized, f"{told}_groups")(packed), **given)

    return convolution


def _linear(x: torch.Tensor, packed: Any, *_: Any) -> Any:
    return functional.linear(x, *_parameters(packed, torch.ops.quantized.linear_unpack))


def _half_linear(x: torch.Tensor, packed: Any) -> Any:
    return functional.linear(x, *_parameters(packed, torch.ops.quantized.linear_unpack_fp16))


def _cell(packed: Any) -> list[Any]:
    """Weights and biases of a recurrent cell, as plain layers order them."""
    _, biases, _, _, linears = packed.__getstate__()[0]
    return [part for part in _both_parts(linears, biases or [None, None]) if part is not None]


def _table(packed: Any) -> Any:
    """The rows that ids look up."""
    return _parameters(packed, lambda held: (torch.ops.quantized.embedding_bag_unpack(held), None))[0]


def _rowwise(width: str) -> _Function:
    """Bags of rows that a plain tensor holds packed, each with its scale and offset."""

    def bag(packed: Any, *given: Any, **named: Any) -> torch.Tensor:
        unpack = getattr(torch.ops.quantized, f"embedding_bag_{width}_unpack")
        return _bag(packed, *given, rows=_parameters(packed, lambda held: (unpack(held), None))[0], **named)

    return bag


def _embedding(packed: Any, ids: torch.Tensor, *_: Any) -> torch.Tensor:
    return functional.embedding(ids, _table(packed))


def _bag(
    packed: Any, ids: Any, offsets: Any = None, _scaled: bool = False, mode: int = 0, _pruned: bool = False,
    weights: Any = None, _mapping: Any = None, last: bool = False, *, rows: Any = None,
) -> torch.Tensor:  # fmt: skip
    how = ("sum", "mean", "max")[mode]
    table = _table(packed) if rows is None else rows
    return functional.embedding_bag(ids, table, offsets, mode=how, per_sample_weights=weights, include_last_offset=last)


def _both_parts(linears: Sequence[Any], biases: Sequence[Any]) -> list[Any]:
    parts = [_parameters(one, torch.ops.quantized.linear_unpack, b) for one, b in zip(linears, biases, strict=True)]
    return [part for kind in zip(*parts, strict=True) for part in kind]


def _layers(function: _Function, place: int) -> _Function:
    """Recurrent layers, of which every direction is a cell; the argument at a place has these."""

    def layers(*given: Any, **_: Any) -> Any:
        running().assume(RANGE)
        weights = [part for cell in given[place] for part in _cell(cell)]
        return function(*given[:place], weights, *given[place + 1 :])

    return layers


def _one_cell(function: _Function) -> _Function:
    """A recurrent cell by itself, its parts packed one by one."""

    def cell(x: Any, states: Any, ih: Any, hh: Any, *biases: Any) -> Any:
        running().assume(RANGE)
        return function(x, states, *_both_parts((ih, hh), biases))

    return cell


def _dynamic(function: _Function) -> _Function:
    def quantised(*given: Any) -> Any:
        running().assume(RANGE)
        return function(*given)

    return quantised


def _relu(function: _Function) -> _Function:
    return lambda *given: functional.relu(function(*given))


def _added(convolution: _Function) -> _Function:
    return lambda x, other, *given: convolution(x, *given) + other


def _batch_norm(x: Any, weight: Any, bias: Any, mean: Any, var: Any, eps: float, *_: Any) -> torch.Tensor:
    return functional.batch_norm(x, mean, var, weight, bias, eps=eps)


_CONVOLUTIONS = {
    f"conv{'_transpose' * transposed}{rank}d": _convolved(rank, transposed)
    for rank in (1, 2, 3)
    for transposed in (False, True)
}
_SUMS: dict[str, _Function] = {
    "add": lambda a, b, *_: a + b,
    "mul": lambda a, b, *_: a * b,
    "add_scalar": operator.add,
    "mul_scalar": operator.mul,
    "cat": lambda x, dim, *_: torch.cat([*map(_plain, x)], dim),
    **dict.fromkeys(("batch_norm", "batch_norm1d", "batch_norm2d", "batch_norm3d"), _batch_norm),
    **_CONVOLUTIONS,
    "linear": _linear,
}
_NAMED: dict[str, _Function] = {
    **_SUMS,
    **{f"{name}_relu": _relu(function) for name, function in _SUMS.items()},
    **{f"{name}_dynamic": _dynamic(function) for name, function in (*_CONVOLUTIONS.items(), ("linear", _linear))},
    "linear_relu_dynamic": _dynamic(_relu(_linear)),
    "linear_dynamic_fp16": _half_linear,
    "linear_relu_dynamic_fp16": _relu(_half_linear),
    "linear_tanh": lambda *given: torch.tanh(_linear(*given)),
    "linear_leaky_relu": lambda *given: functional.leaky_relu(_linear(*given)),
    "conv2d_add": _added(_CONVOLUTIONS["conv2d"]),
    "conv2d_add_relu": _relu(_added(_CONVOLUTIONS["conv2d"])),
    **{f"embedding_{width}": _embedding for width in ("byte", "4bit")},
    **{f"embedding_bag_{width}": _bag for width in ("byte", "4bit")},
    **{f"embedding_bag_{width}_rowwise_offsets": _rowwise(width) for width in ("byte", "4bit", "2bit")},
    "matmul": lambda a, b, *_: torch.matmul(a, b),
    "softmax": lambda x, dim, *_: functional.softmax(x, dim),
    "layer_norm": lambda x, shape, weight, bias, *_: functional.layer_norm(x, shape, weight, bias),
    "group_norm": lambda x, groups, weight, bias, *_: functional.group_norm(x, groups, weight, bias),
    "instance_norm": lambda x, weight, bias, *_: functional.instance_norm(x, weight=weight, bias=bias),
    "relu6": lambda x, *_: functional.relu6(x),
    "clamp": torch.clamp,
    "threshold": functional.threshold,
    "leaky_relu": lambda x, slope, *_: functional.leaky_relu(x, slope),
    "elu": lambda x, *_: functional.elu(x),
    "celu": lambda x, *_: functional.celu(x),
    "hardswish": lambda x, *_: functional.hardswish(x),
    "sigmoid": lambda x, *_: torch.sigmoid(x),
    "prelu": lambda x, weight, *_: functional.prelu(x, weight),
    "dropout": lambda x, *_: x.clone(),
    **{
        f"quantized_{name}_cell_dynamic": _one_cell(getattr(torch, f"{name}_cell"))
        for name in ("lstm", "gru", "rnn_tanh", "rnn_relu")
    },
    "max_pool1d": functional.max_pool1d,
    "max_pool2d": functional.max_pool2d,
}


def _rounded(x: Any, scale: Any, zero_point: Any, dtype: torch.dtype) -> Any:
    if isinstance(x, list):
        return [_rounded(*each, dtype) for each in zip(x, scale, zero_point, strict=True)]
    if dtype == torch.qint32:  # too many steps for an operator that rounds
        return x.clone()
    low, high = (0, 255) if dtype == torch.quint8 else (-128, 127)
    return torch.fake_quantize_per_tensor_affine(x, float(scale), int(zero_point), low, high)


def _rounded_by_channel(x: torch.Tensor, scales: Any, zeros: Any, axis: int, dtype: torch.dtype) -> torch.Tensor:
    low, high = (0, 255) if dtype == torch.quint8 else (-128, 127)
    return torch.fake_quantize_per_channel_affine(x, scales.float(), zeros.int(), axis, low, high)


def _rounded_by_range(x: torch.Tensor, *_: Any) -> torch.Tensor:
    running().assume(RANGE)
    return x.clone()


def _on_numbers(function: _Function) -> _Function:
    return lambda *given, **named: function(*map(_plain, given), **named)


def _overloads(packet: Any) -> list[Any]:
    if isinstance(packet, torch._ops.OpOverload):
        return [packet]
    names = [name for name in packet.overloads() if "out" not in name]
    return [getattr(packet, name) for name in names]


_ATEN = torch.ops.aten
_FORMS: dict[Any, _Function] = {
    **{
        getattr(torch.ops.quantized, name): _on_numbers(function)
        for name, function in _NAMED.items()
        if hasattr(torch.ops.quantized, name)
    },
    _ATEN.quantize_per_tensor: _rounded,
    _ATEN.quantize_per_channel: _rounded_by_channel,
    _ATEN.quantize_per_tensor_dynamic: _rounded_by_range,
    **{
        getattr(getattr(_ATEN, f"quantized_{name}"), form): _layers(getattr(torch, name), place)
        for name in ("lstm", "gru")
        for form, place in (("input", 2), ("data", 3))
    },
    _ATEN.dequantize: lambda x: [t.clone() for t in x] if isinstance(x, list) else x.clone(),
}

#: Quantised operators by their overloads, each with a function of the same arguments.
QUANTIZED: dict[Any, _Function] = {
    overload: function for packet, function in _FORMS.items() for overload in _overloads(packet)
}
