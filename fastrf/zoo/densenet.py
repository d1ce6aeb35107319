"""DenseNet-121 in torchvision's form and names (Huang et al. 2016, arXiv 1608.06993).

A dense layer reads everything before it in its block; `.concat` appends the layer's own features, so the last
`.concat` of a block is the block's output.
"""

from __future__ import annotations

from typing import Any

from fastrf.zoo.builder import Builder

__all__ = ["build"]

_BLOCKS = (6, 12, 24, 16)
_GROWTH = 32
_STEM_CHANNELS = 64
_BOTTLENECK_CHANNELS = 4 * _GROWTH


def build(name: str, input_shape: tuple[int, ...]) -> dict[str, Any]:
    """Spec of the 1000-class network."""
    net = Builder(name, input_shape)
    net.conv_bn_act(("features.conv0", "features.norm0", "features.relu0"), _STEM_CHANNELS, 7, stride=2, padding=3)
    net.add("max_pool", "features.pool0", kernel_size=3, stride=2, padding=1)
    channels = _STEM_CHANNELS
    for block, layers in enumerate(_BLOCKS, start=1):
        for layer in range(1, layers + 1):
            _dense_layer(net, f"features.denseblock{block}.denselayer{layer}.")
        channels += layers * _GROWTH
        if block < len(_BLOCKS):
            channels //= 2
            _transition(net, f"features.transition{block}.", channels)
    net.add("batch_norm", "features.norm5")
    net.add("relu", "relu")
    net.add("global_avg_pool", "avgpool")
    net.add("flatten", "flatten")
    net.add("linear", "classifier", out_features=1000)
    return net.spec()


def _dense_layer(net: Builder, label: str) -> None:
    """norm, relu, 1x1, norm, relu, 3x3, appended to what it read."""
    source = net.last
    net.add("batch_norm", f"{label}norm1")
    net.add("relu", f"{label}relu1")
    net.conv_bn_act((f"{label}conv1", f"{label}norm2", f"{label}relu2"), _BOTTLENECK_CHANNELS, 1)
    new = net.conv(f"{label}conv2", _GROWTH, 3, padding=1, bias=False)
    net.add("concat", f"{label}concat", inputs=[source, new], axis=0)


def _transition(net: Builder, label: str, channels: int) -> None:
    """Half the channels, half the size."""
    net.add("batch_norm", f"{label}norm")
    net.add("relu", f"{label}relu")
    net.conv(f"{label}conv", channels, 1, bias=False)
    net.add("avg_pool", f"{label}pool", kernel_size=2, stride=2)
