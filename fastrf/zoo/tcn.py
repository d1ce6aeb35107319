"""Temporal convolutional network with keras-tcn's defaults and names (Bai et al. 2018, arXiv 1803.01271).

One stack of six residual blocks, kernel 3, dilation 1..32, causal: receptive field 1 + 2 * (3 - 1) * 63 = 253.
"""

from __future__ import annotations

from typing import Any

from fastrf.zoo.builder import Builder

__all__ = ["build"]

_DILATIONS = (1, 2, 4, 8, 16, 32)
_KERNEL = 3
_FILTERS = 64


def build(name: str, input_shape: tuple[int, ...]) -> dict[str, Any]:
    """Spec on `(features, steps)` that returns the whole sequence, the sum of the skip connections."""
    net = Builder(name, input_shape)
    skips = []
    for block, dilation in enumerate(_DILATIONS):
        matched = block > 0 or input_shape[0] == _FILTERS
        skips.append(_block(net, f"residual_block_{block}", dilation, matched))
    net.add("add", "Add_Skip_Connections", inputs=skips)
    return net.spec()


def _block(net: Builder, label: str, dilation: int, matched: bool) -> str:
    """A residual block; it leaves the block's output as the last node and returns the skip connection.

    `matched` says that the input already has the block's number of channels.
    """
    source = net.last
    padding = [[(_KERNEL - 1) * dilation, 0]]
    for index in (0, 1):
        names = (f"{label}.conv1D_{index}", f"{label}.Act_Conv1D_{index}")
        net.conv_act(names, _FILTERS, _KERNEL, padding=padding, dilation=dilation)
        net.add("dropout", f"{label}.SDropout_{index}")
    skip = net.add("relu", f"{label}.Act_Conv_Blocks")
    if not matched:
        source = net.conv(f"{label}.matching_conv1D", _FILTERS, 1, inputs=source)
    net.add("add", f"{label}.Add_Res", inputs=[source, skip])
    net.add("relu", f"{label}.Act_Res_Block")
    return skip
