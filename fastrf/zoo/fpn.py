"""Feature pyramid on ResNet-50, P2..P7, torchvision's form (Lin et al. 2016, arXiv 1612.03144).

P2..P5 as in torchvision's Faster R-CNN, P6 and P7 by strided convolutions from P5 as in its RetinaNet. Nodes are named
as `BackboneWithFPN` does (`body.layer4.2.relu3`, `fpn.inner_blocks.3.0`), save the levels: `p2` .. `p7`.
"""

from __future__ import annotations

from typing import Any

from fastrf.zoo.builder import Builder
from fastrf.zoo.resnet import add_trunk, trunk_sizes

__all__ = ["build"]

_CHANNELS = 256


def build(name: str, input_shape: tuple[int, ...]) -> dict[str, Any]:
    """Spec with the outputs p2, p3, p4, p5, p6, p7."""
    net = Builder(name, input_shape)
    trunk = add_trunk(net, "resnet50", prefix="body.")
    sizes = trunk_sizes(input_shape[1:])
    merged = ""
    for index in range(len(trunk) - 1, -1, -1):
        lateral = f"fpn.inner_blocks.{index}.0"
        net.conv(lateral, _CHANNELS, 1, inputs=trunk[index])
        if merged:
            up = net.add("resize", f"fpn.upsample.{index}", inputs=merged, output_size=sizes[index], mode="nearest")
            net.add("add", f"fpn.add.{index}", inputs=[lateral, up])
        merged = net.last
        net.conv(f"p{index + 2}", _CHANNELS, 3, padding=1)
    net.conv("p6", _CHANNELS, 3, inputs="p5", stride=2, padding=1)
    net.add("relu", "p6.relu")
    net.conv("p7", _CHANNELS, 3, stride=2, padding=1)
    return net.spec([f"p{level}" for level in range(2, 8)])
