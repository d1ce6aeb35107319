"""MobileNet v1 with TF-Slim's names and its SAME padding (Howard et al. 2017, arXiv 1704.04861)."""

from __future__ import annotations

from typing import Any

from fastrf.zoo.builder import Builder

__all__ = ["build"]

# strides of the depthwise 3x3 and channels of the pointwise 1x1 of layers 1..13
_STRIDES = (1, 2, 1, 2, 1, 2, 1, 1, 1, 1, 1, 2, 1)
_CHANNELS = (64, 128, 128, 256, 256, 512, 512, 512, 512, 512, 512, 1024, 1024)


def build(name: str, input_shape: tuple[int, ...]) -> dict[str, Any]:
    """Spec of the 1000-class network of width 1.0."""
    net = Builder(name, input_shape)
    net.conv_bn_act(_names("Conv2d_0"), 32, 3, stride=2, padding="same", activation="relu6")
    for index, (stride, channels) in enumerate(zip(_STRIDES, _CHANNELS, strict=True), start=1):
        conv, norm, activation = _names(f"Conv2d_{index}_depthwise")
        net.add("depthwise_conv", conv, kernel_size=3, stride=stride, padding="same", bias=False)
        net.add("batch_norm", norm)
        net.add("relu6", activation)
        net.conv_bn_act(_names(f"Conv2d_{index}_pointwise"), channels, 1, activation="relu6")
    net.add("global_avg_pool", "AvgPool_1a")
    net.add("dropout", "Dropout_1b")
    net.conv("Conv2d_1c_1x1", 1000, 1)
    net.add("flatten", "SpatialSqueeze")
    return net.spec()


def _names(scope: str) -> tuple[str, str, str]:
    """Names of a convolution, its norm and its activation; the scope itself names the convolution."""
    return scope, f"{scope}.BatchNorm", f"{scope}.Relu6"
