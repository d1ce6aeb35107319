"""DeepLab v3 on ResNet-50 at output stride 8, torchvision's form and names (Chen et al. 2017, arXiv 1706.05587)."""

from __future__ import annotations

from typing import Any

from fastrf.zoo.builder import Builder
from fastrf.zoo.resnet import add_trunk, trunk_sizes

__all__ = ["build"]

_RATES = (12, 24, 36)
_CHANNELS = 256
_CLASSES = 21
_ASPP = "classifier.0"


def build(name: str, input_shape: tuple[int, ...]) -> dict[str, Any]:
    """Spec with 21 classes at the input's size; the auxiliary head, used in training only, is left out."""
    net = Builder(name, input_shape)
    end = add_trunk(net, "resnet50", prefix="backbone.", dilate=(True, True))[-1]
    _aspp(net, end, trunk_sizes(input_shape[1:])[1])
    net.conv_bn_act(("classifier.1", "classifier.2", "classifier.3"), _CHANNELS, 3, padding=1)
    net.conv("classifier.4", _CLASSES, 1)
    net.add("resize", "out", output_size=list(input_shape[1:]), mode="linear")
    return net.spec()


def _aspp(net: Builder, source: str, sizes: list[int]) -> None:
    """1x1, three dilated 3x3 and the global mean side by side, then a 1x1."""
    ends = [net.conv_bn_act(_names(f"{_ASPP}.convs.0"), _CHANNELS, 1, inputs=source)]
    for index, rate in enumerate(_RATES, start=1):
        names = _names(f"{_ASPP}.convs.{index}")
        ends.append(net.conv_bn_act(names, _CHANNELS, 3, inputs=source, padding=rate, dilation=rate))
    pooling = f"{_ASPP}.convs.{len(_RATES) + 1}"
    net.add("global_avg_pool", f"{pooling}.0", inputs=source)
    net.conv_bn_act((f"{pooling}.1", f"{pooling}.2", f"{pooling}.3"), _CHANNELS, 1)
    ends.append(net.add("resize", f"{pooling}.resize", output_size=sizes, mode="linear"))
    net.add("concat", f"{_ASPP}.concat", inputs=ends, axis=0)
    net.conv_bn_act(_names(f"{_ASPP}.project"), _CHANNELS, 1)
    net.add("dropout", f"{_ASPP}.project.3")


def _names(label: str) -> tuple[str, str, str]:
    """Names of a convolution, its norm and its activation in a torch Sequential."""
    return f"{label}.0", f"{label}.1", f"{label}.2"
