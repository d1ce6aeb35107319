"""LFFD v1, a light and fast face detector of eight scales: 25 convolutions of 3x3 (He et al. 2019, arXiv 1904.10633).

A residual unit is two convolutions added to the value before the activation that feeds them. A tap's score and box
branches are 1x1 convolutions (`conv8_3_score`, `conv8_3_bbox`), joined in `conv8_head`.
"""

from __future__ import annotations

from typing import Any

from fastrf.zoo.builder import Builder

__all__ = ["build"]

_CONVS = 25
_STRIDED = (1, 2, 11, 16, 19)
_WIDE_FROM = 16
# the second convolution of every residual unit
_RESIDUAL = (4, 6, 8, 10, 13, 15, 18, 21, 23, 25)
_TAPS = (8, 10, 13, 15, 18, 21, 23, 25)


def build(name: str, input_shape: tuple[int, ...]) -> dict[str, Any]:
    """Spec whose outputs are the eight heads `conv8_head` .. `conv25_head`, smallest faces first."""
    net = Builder(name, input_shape)
    skip = ""
    features: dict[int, str] = {}
    for index in range(1, _CONVS + 1):
        strided = index in _STRIDED
        window = {"stride": 2, "padding": 0} if strided else {"stride": 1, "padding": 1}
        value = net.conv(f"conv{index}", 128 if index >= _WIDE_FROM else 64, 3, **window)
        if index in _RESIDUAL:
            value = net.add("add", f"conv{index}_add", inputs=[skip, value])
        if strided or index in _RESIDUAL:
            skip = value
        features[index] = net.add("relu", f"relu_conv{index}")
    return net.spec([_head(net, f"conv{tap}", features[tap]) for tap in _TAPS])


def _head(net: Builder, label: str, feature: str) -> str:
    """Score (face, background) and box (two corners) of one tap."""
    shared = net.conv_act((f"{label}_1", f"relu_{label}_1"), 128, 1, inputs=feature)
    ends = []
    for kind, channels in (("score", 2), ("bbox", 4)):
        net.conv_act((f"{label}_2_{kind}", f"relu_{label}_2_{kind}"), 128, 1, inputs=shared)
        ends.append(net.conv(f"{label}_3_{kind}", channels, 1))
    return net.add("concat", f"{label}_head", inputs=ends, axis=0)
