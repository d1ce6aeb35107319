"""Surrogates of contractions, recurrences, windows and interpolations, for `linearise`."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from tests.autograd.core import (
    Args,
    UnknownOperatorError,
    dependent,
    finite,
    first,
    handles,
    mixed,
    multilinear,
    settle,
    support,
)
from tests.autograd.resize import resize_matrices

# --------------------------------------------------------------------------------------------- contractions


def add_bias(y: Tensor, bias: Any, axis: int) -> Tensor:
    """Add a bias, computed or not."""
    if bias is None:
        return y
    bias = bias if dependent(bias) else support(bias)
    return y + bias.reshape([-1 if a == axis % y.ndim else 1 for a in range(y.ndim)])


@handles("linear")
def linear(op: Any, args: Args) -> Tensor:
    """Dense over the last axis."""
    x, weight = args["input"], args["weight"]
    if dependent(weight) or not bool(weight.all()):
        y = multilinear(torch.nn.functional.linear, x, weight)
    else:
        y = finite(x).sum(-1, keepdim=True).expand(*x.shape[:-1], weight.shape[0])
    return add_bias(y, args["bias"], -1)


@handles("conv1d", "conv2d", "conv3d", "convolution", "conv_transpose1d", "conv_transpose2d", "conv_transpose3d")
def convolution(op: Any, args: Args) -> Tensor:
    """Taps of weight zero do not count; where none is zero, channels are summed first (the same map, faster)."""
    x, weight, groups = args["input"], args["weight"], args["groups"]
    channel = x.ndim - (weight.ndim - 2) - 1

    def run(x: Tensor, weight: Tensor) -> Tensor:
        return op(**{**args, "input": x, "weight": weight, "bias": None})

    if dependent(weight) or not bool(weight.all()):
        return add_bias(multilinear(run, x, weight), args["bias"], channel)
    summed = finite(x).unflatten(channel, (groups, -1)).sum(channel + 1)
    y = run(summed, torch.ones(groups, 1, *weight.shape[2:], dtype=torch.float64))
    transposed = "transpose" in op._schema.name or args.get("transposed", False)
    repeats = weight.shape[1] if transposed else weight.shape[0] // groups
    return add_bias(y.repeat_interleave(repeats, channel), args["bias"], channel)


@handles("matmul", "bmm", "mm", "mv", "dot", "outer", "einsum", "bilinear", "kron")
def product(op: Any, args: Args) -> Tensor:
    """Any multilinear operator of its tensors."""
    if "equation" in args:
        return multilinear(lambda *t: op(args["equation"], list(t)), *args["tensors"])
    operands = [v for k, v in args.items() if k != "bias"]
    y = multilinear(lambda *t: op(*t, None) if "bias" in args else op(*t), *operands)
    return add_bias(y, args.get("bias"), -1)


@handles("addmm", "baddbmm", "addbmm", "addmv")
def add_product(op: Any, args: Args) -> Tensor:
    """A product of matrices and a summand."""
    start, a, b = list(args.values())[:3]
    y = multilinear(torch.matmul, a, b)
    y = y.sum(0) if op._schema.name == "aten::addbmm" else y
    return y + (start if dependent(start) else support(start))


@handles("scaled_dot_product_attention")
def attention(op: Any, args: Args) -> Tensor:
    """Scores, mask, softmax and mixture by their own surrogates."""
    q, k, v, mask = (args[n] for n in ("query", "key", "value", "attn_mask"))
    if args["enable_gqa"]:
        k, v = (t.repeat_interleave(q.shape[-3] // t.shape[-3], -3) for t in (k, v))
    scores = settle(multilinear(torch.matmul, q, k.transpose(-2, -1)))
    if args["is_causal"]:
        scores = scores.masked_fill(~torch.ones(scores.shape[-2:], dtype=torch.bool).tril(), -torch.inf)
    if mask is not None and mask.dtype == torch.bool:
        scores = scores.masked_fill(~mask, -torch.inf)
    elif mask is not None:
        scores = scores + (mask if dependent(mask) else support(mask))
    weights = settle(mixed(settle(scores), -1, logarithm=False))
    return multilinear(torch.matmul, weights, v)


@handles("lstm", "gru", "rnn_tanh", "rnn_relu")
def recurrent(op: Any, args: Args) -> Any:
    """Every step reads all features of its own and all earlier steps of its direction."""
    states = args["hx"] if isinstance(args["hx"], (list, tuple)) else [args["hx"]]
    if "input" not in args or any(dependent(s) for s in states):
        raise UnknownOperatorError(f"{op}: packed sequence or computed initial state")
    x = args["input"].transpose(0, 1) if args["batch_first"] else args["input"]
    last: list[Tensor] = []
    for _ in range(args["num_layers"]):
        total = settle(x).sum(-1, keepdim=True)
        ways = [total.cumsum(0)] + ([total.flip(0).cumsum(0).flip(0)] if args["bidirectional"] else [])
        last += [way[-1 if i == 0 else 0] for i, way in enumerate(ways)]
        x = torch.cat([way.expand(*way.shape[:-1], states[0].shape[-1]) for way in ways], -1) + 1
    y = x.transpose(0, 1) if args["batch_first"] else x
    finals = torch.stack(last)
    return (y, *(finals.expand(s.shape) for s in states))


# --------------------------------------------------------------------------------------------- windows, resizing


def output_shape(op: Any, args: Args) -> tuple[int, ...]:
    """The shape of an operator's (first) result."""
    result = op(**{k: v.detach().to("meta") if isinstance(v, Tensor) else v for k, v in args.items()})
    return tuple((result[0] if isinstance(result, tuple) else result).shape)


@handles(*(f"max_pool{n}d{s}" for n in (1, 2, 3) for s in ("", "_with_indices")))
def max_pool(op: Any, args: Args) -> Any:
    """The sum of the window, padding left out."""
    x, count = finite(args["self"]), len(op._schema.returns)
    shape = output_shape(op, args)
    dims = int(op._schema.name.partition("pool")[2][0])

    def each(value: Any) -> list[int]:
        return list(value) * dims if len(value) == 1 else list(value)

    kernel, padding, dilation = (each(args[n]) for n in ("kernel_size", "padding", "dilation"))
    stride = each(args["stride"]) if args["stride"] else kernel
    margins: list[int] = []
    for i in reversed(range(dims)):
        needed = (shape[i - dims] - 1) * stride[i] + dilation[i] * (kernel[i] - 1) + 1
        margins += [padding[i], needed - x.shape[i - dims] - padding[i]]
    padded = torch.nn.functional.pad(x, margins)
    convolve = (torch.conv1d, torch.conv2d, torch.conv3d)[dims - 1]
    flat = padded.reshape(-1, 1, *padded.shape[-dims:])
    y = convolve(flat, torch.ones(1, 1, *kernel, dtype=torch.float64), None, stride, 0, dilation).reshape(shape)
    return (y, y * 1) if count == 2 else y


@handles("adaptive_max_pool1d", "adaptive_max_pool2d", "adaptive_max_pool3d")
def adaptive_max_pool(op: Any, args: Args) -> Any:
    """The mean of the window."""
    mean = getattr(torch.nn.functional, op._schema.name.removeprefix("aten::").replace("max", "avg"))
    y = mean(finite(args["self"]), args["output_size"])
    return (y, y * 1) if len(op._schema.returns) == 2 else y


@handles("upsample_linear1d", "upsample_bilinear2d", "upsample_trilinear3d", "upsample_bicubic2d",
         "_upsample_bilinear2d_aa", "_upsample_bicubic2d_aa")  # fmt: skip
def resize(op: Any, args: Args) -> Tensor:
    """One matrix per axis with ones where the interpolation weight, a rational number, is not zero."""
    x = finite(first(args))
    for axis, matrix in enumerate(resize_matrices(op, args, tuple(x.shape), output_shape(op, args)), start=2):
        x = torch.tensordot(x, torch.from_numpy(matrix), dims=([axis], [1])).movedim(-1, axis)
    return x


@handles("grid_sampler", "grid_sampler_2d", "grid_sampler_3d")
def grid_sampler(op: Any, args: Args) -> Tensor:
    """A constant grid samples for real; a computed one may point anywhere (over-approximated)."""
    x, grid = args["input"], args["grid"]
    if not dependent(grid):
        return op(**{**args, "grid": grid.double()})
    places = list(range(2, x.ndim))
    total = finite(x).sum(places, keepdim=True) if dependent(x) else torch.ones(*x.shape[:2], *[1 for _ in places])
    return total + grid.sum(-1).unsqueeze(1)
