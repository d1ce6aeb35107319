"""Parameters and multiply-accumulates of a layer, where its channels are known."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

__all__ = ["cost"]

Shape = tuple[int, ...]
Cost = tuple[int, int]
_LEARNED_SCALE = ("batch_norm", "group_norm")


def cost(
    op: str, attributes: Mapping[str, Any], inputs: Sequence[Shape], output: Shape
) -> tuple[int | None, int | None]:
    """`(parameters, macs)` of one layer; None where the layer does not say its channels.

    Convolutions, linear layers, matrix products and attention cost MACs, everything else 0.
    Affine normalisation layers have two parameters a channel.
    """
    if op == "window":
        return None, None
    count = _COSTS.get(op)
    return count(attributes, inputs, output) if count else (0, 0)


def _taps(attributes: Mapping[str, Any], n_axes: int) -> int:
    kernel = attributes["kernel_size"]
    return math.prod(kernel) if isinstance(kernel, list | tuple) else int(kernel) ** n_axes


def _conv(attributes: Mapping[str, Any], inputs: Sequence[Shape], output: Shape) -> Cost:
    weights = output[0] * (inputs[0][0] // attributes.get("groups", 1)) * _taps(attributes, len(output) - 1)
    bias = output[0] if attributes.get("bias", True) else 0
    return weights + bias, weights * math.prod(output[1:])


def _depthwise_conv(attributes: Mapping[str, Any], inputs: Sequence[Shape], output: Shape) -> Cost:
    weights = output[0] * _taps(attributes, len(output) - 1)
    return weights + (output[0] if attributes.get("bias", True) else 0), weights * math.prod(output[1:])


def _conv_transpose(attributes: Mapping[str, Any], inputs: Sequence[Shape], output: Shape) -> Cost:
    weights = inputs[0][0] * (output[0] // attributes.get("groups", 1)) * _taps(attributes, len(output) - 1)
    bias = output[0] if attributes.get("bias", True) else 0
    return weights + bias, weights * math.prod(inputs[0][1:])


def _linear(attributes: Mapping[str, Any], inputs: Sequence[Shape], output: Shape) -> Cost:
    weights = inputs[0][-1] * output[-1]
    return weights + (output[-1] if attributes.get("bias", True) else 0), weights * math.prod(output[:-1])


def _matmul(attributes: Mapping[str, Any], inputs: Sequence[Shape], output: Shape) -> Cost:
    return 0, math.prod(output) * inputs[0][-1]


def _attention(attributes: Mapping[str, Any], inputs: Sequence[Shape], output: Shape) -> Cost:
    pairs = math.prod(output[:-1]) * inputs[1][-2]
    return 0, pairs * (inputs[0][-1] + output[-1])


def _channel_scale(attributes: Mapping[str, Any], inputs: Sequence[Shape], output: Shape) -> Cost:
    return 2 * output[0] if output else 0, 0


def _layer_norm(attributes: Mapping[str, Any], inputs: Sequence[Shape], output: Shape) -> Cost:
    axes = attributes.get("axes", -1)
    axes = range(len(output)) if axes is None else axes
    return 2 * math.prod(output[a] for a in ([axes] if isinstance(axes, int) else axes)), 0


def _squeeze_excitation(attributes: Mapping[str, Any], inputs: Sequence[Shape], output: Shape) -> Cost:
    weights = 2 * output[0] * attributes["squeeze_channels"]
    return weights + output[0] + int(attributes["squeeze_channels"]), weights


def _recurrent(attributes: Mapping[str, Any], inputs: Sequence[Shape], output: Shape) -> Cost:
    gates = {"lstm": 4, "gru": 3, "rnn": 1}[attributes.get("mode", "lstm")]
    ways = 2 if attributes.get("direction") == "bidirectional" else 1
    hidden, features = attributes["hidden_size"], inputs[0][1]
    parameters = macs = 0
    for _ in range(attributes.get("num_layers", 1)):
        weights = ways * gates * hidden * (features + hidden)
        parameters += weights + (2 * ways * gates * hidden if attributes.get("bias", True) else 0)
        macs += weights * inputs[0][0]
        features = ways * hidden
    return parameters, macs


_COSTS: dict[str, Callable[[Mapping[str, Any], Sequence[Shape], Shape], Cost]] = {
    "conv": _conv,
    "deform_conv": _conv,
    "depthwise_conv": _depthwise_conv,
    "conv_transpose": _conv_transpose,
    "linear": _linear,
    "matmul": _matmul,
    "attention": _attention,
    "layer_norm": _layer_norm,
    "squeeze_excitation": _squeeze_excitation,
    "recurrent": _recurrent,
    **dict.fromkeys(_LEARNED_SCALE, _channel_scale),
}
