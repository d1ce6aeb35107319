"""Operators that act on every element by itself, with one input or several."""

from __future__ import annotations

from fastrf.ops.dense import broadcast_shape
from fastrf.ops.registry import operator
from fastrf.recipe import Tensor

__all__ = ["elementwise", "pointwise"]

UNARY = (
    "relu relu6 leaky_relu prelu rrelu elu selu celu gelu silu hardswish hardsigmoid hardtanh sigmoid "
    "tanh softplus softsign mish glu_gate exp log sqrt rsqrt square abs neg clip dropout identity pow "
    "sign floor ceil round erf sin cos tan reciprocal logical_not cast batch_norm "
).split()
N_ARY = ("add sub mul div maximum minimum where elementwise compare logical_and logical_or ").split()


@operator(*UNARY)
def pointwise(x: Tensor) -> Tensor:
    """A function of one element: it reads the element itself.

    `batch_norm` is one: its statistics are frozen when a network is used.
    """
    return x


@operator(*N_ARY)
def elementwise(*parts: Tensor) -> Tensor:
    """A function of elements at one place, broadcast by NumPy's rules: it reads all of its inputs there."""
    shape = broadcast_shape([part.shape for part in parts])
    channel = next((part.channel_axis for part in parts if part.shape == shape), None)
    same = [part.broadcast_to(shape) for part in parts]
    result = same[0].union(*same[1:])
    return result if channel is None else result.with_channel(channel)
