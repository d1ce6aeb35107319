"""WaveNet: three stacks of ten causal two-tap layers, dilation 1..512 (van den Oord et al. 2016, arXiv 1609.03499).

Channels as in ibab/tensorflow-wavenet; the input convolution has one tap. `stack1.layer10` is the end of the first
stack: its receptive field is 1024 samples, that of `stack3.layer10` and of the logits 3070.
"""

from __future__ import annotations

from typing import Any

from fastrf.zoo.builder import Builder

__all__ = ["build"]

_STACKS = 3
_LAYERS = 10
_RESIDUAL = 32
_SKIP = 512
_LEVELS = 256


def build(name: str, input_shape: tuple[int, ...]) -> dict[str, Any]:
    """Spec on `(1, samples)` with 256 logits per sample; padding on the left only, so the length is kept."""
    net = Builder(name, input_shape)
    net.conv("causal_conv", _RESIDUAL, 1)
    skips = [
        _layer(net, f"stack{stack}.layer{layer}", 1 << (layer - 1))
        for stack in range(1, _STACKS + 1)
        for layer in range(1, _LAYERS + 1)
    ]
    net.add("add", "skip_sum", inputs=skips)
    net.add("relu", "relu1")
    net.conv_act(("postprocess1", "relu2"), _SKIP, 1)
    net.conv("postprocess2", _LEVELS, 1)
    return net.spec()


def _layer(net: Builder, label: str, dilation: int) -> str:
    """A gated residual layer; it leaves the residual sum as the last node and returns the skip's."""
    source = net.last
    causal: dict[str, Any] = {"inputs": source, "padding": [[dilation, 0]], "dilation": dilation}
    filtered = net.conv_act((f"{label}.filter", f"{label}.tanh"), _RESIDUAL, 2, "tanh", **causal)
    gate = net.conv_act((f"{label}.gate", f"{label}.sigmoid"), _RESIDUAL, 2, "sigmoid", **causal)
    gated = net.add("mul", f"{label}.mul", inputs=[filtered, gate])
    skip = net.conv(f"{label}.skip", _SKIP, 1)
    dense = net.conv(f"{label}.dense", _RESIDUAL, 1, inputs=gated)
    net.add("add", label, inputs=[source, dense])
    return skip
