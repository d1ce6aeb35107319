"""ResNets in torchvision's form and names (the stride of a bottleneck is in its 3x3), and caffe's (in its first 1x1).

He et al. 2015, arXiv 1512.03385. A block's activations, one shared module in torchvision, are `relu1`..`relu3` here and
its sum is `add`: `layer4.2.relu3` is C5 of the 50-layer network.
"""

from __future__ import annotations

import math
from typing import Any

from fastrf.zoo.builder import Builder, halved

__all__ = ["add_trunk", "build", "trunk_sizes"]

_BASIC = {"resnet18": (2, 2, 2, 2), "resnet34": (3, 4, 6, 3)}
_BOTTLENECK = {
    "resnet50": (3, 4, 6, 3),
    "resnet50_caffe": (3, 4, 6, 3),
    "resnet101": (3, 4, 23, 3),
    "resnet152": (3, 8, 36, 3),
}


def build(name: str, input_shape: tuple[int, ...]) -> dict[str, Any]:
    """Spec of the classifier `name`: trunk, global pool, 1000 classes."""
    net = Builder(name, input_shape)
    add_trunk(net, name)
    net.add("global_avg_pool", "avgpool")
    net.add("flatten", "flatten")
    net.add("linear", "fc", out_features=1000)
    return net.spec()


def add_trunk(net: Builder, name: str, *, prefix: str = "", dilate: tuple[bool, bool] = (False, False)) -> list[str]:
    """Append the convolutional part of ResNet `name` and return the nodes C2, C3, C4, C5.

    `prefix` goes before every node's name. `dilate` says for layer3 and layer4 whether their stride is replaced
    with dilation, as torchvision's `replace_stride_with_dilation` does.
    """
    net.conv_bn_act((f"{prefix}conv1", f"{prefix}bn1", f"{prefix}relu"), 64, 7, stride=2, padding=3)
    net.add("max_pool", f"{prefix}maxpool", kernel_size=3, stride=2, padding=1)
    depths = {**_BASIC, **_BOTTLENECK}[name]
    ends = []
    dilation = 1
    for stage, depth in enumerate(depths):
        stride = 1 if stage == 0 else 2
        first_dilation = dilation  # torchvision: the first block of a dilated stage still has the stage before's
        if stage >= 2 and dilate[stage - 2]:
            dilation *= 2
            stride = 1
        for block in range(depth):
            label = f"{prefix}layer{stage + 1}.{block}."
            step, channels = (1 if block else stride), 64 << stage
            if name in _BASIC:
                convs = [(channels, 3, step, 1), (channels, 3, 1, 1)]
            else:
                first, second = (step, 1) if name == "resnet50_caffe" else (1, step)
                spread = dilation if block else first_dilation
                convs = [(channels, 1, first, 1), (channels, 3, second, spread), (4 * channels, 1, 1, 1)]
            _block(net, label, convs, block == 0 and (name in _BOTTLENECK or step > 1))
        ends.append(net.last)
    return ends


def _block(net: Builder, label: str, convs: list[tuple[int, int, int, int]], project: bool) -> None:
    """Convolutions of (channels, kernel, stride, dilation) and a shortcut, which is projected where shapes differ."""
    source, last = net.last, len(convs)
    for k, (channels, kernel, stride, dilation) in enumerate(convs, start=1):
        window = {"stride": stride, "padding": kernel // 2 * dilation, "dilation": dilation}
        body = net.conv_bn((f"{label}conv{k}", f"{label}bn{k}"), channels, kernel, **window)
        if k < last:
            net.add("relu", f"{label}relu{k}")
    if project:
        names, stride = (f"{label}downsample.0", f"{label}downsample.1"), math.prod(conv[2] for conv in convs)
        source = net.conv_bn(names, convs[-1][0], 1, inputs=source, stride=stride)
    net.add("add", f"{label}add", inputs=[body, source])
    net.add("relu", f"{label}relu{last}")


def trunk_sizes(spatial: tuple[int, ...]) -> list[list[int]]:
    """Spatial sizes of C2, C3, C4, C5 of a trunk without dilation on an input of size `spatial`."""
    sizes = [halved(halved(spatial))]
    for _ in range(3):
        sizes.append(halved(sizes[-1]))
    return sizes
