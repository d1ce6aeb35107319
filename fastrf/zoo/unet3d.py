"""3-D U-Net: three poolings, channels doubled before each (Cicek et al. 2016, arXiv 1606.06650), same padding."""

from __future__ import annotations

from typing import Any

from fastrf.zoo.builder import Builder

__all__ = ["build"]

_LEVELS = 3
_CHANNELS = 32
_CLASSES = 3


def build(name: str, input_shape: tuple[int, ...]) -> dict[str, Any]:
    """Spec with three classes; ValueError unless every spatial size is a multiple of 8."""
    if any(size % (1 << _LEVELS) for size in input_shape[1:]):
        raise ValueError(f"network {name!r} needs spatial sizes that are multiples of 8, got {input_shape[1:]}")
    net = Builder(name, input_shape)
    skips = []
    for level in range(1, _LEVELS + 1):
        skips.append(_two_convs(net, f"enc{level}", (_CHANNELS << (level - 1), _CHANNELS << level)))
        net.add("max_pool", f"pool{level}", kernel_size=2)
    _two_convs(net, "bottom", (_CHANNELS << _LEVELS, _CHANNELS << (_LEVELS + 1)))
    for level in range(_LEVELS, 0, -1):
        channels = _CHANNELS << (level + 1)
        up = net.add("conv_transpose", f"up{level}", out_channels=channels, kernel_size=2, stride=2, bias=False)
        net.add("concat", f"concat{level}", inputs=[skips[level - 1], up], axis=0)
        _two_convs(net, f"dec{level}", (channels // 2, channels // 2))
    net.conv("head", _CLASSES, 1)
    return net.spec()


def _two_convs(net: Builder, label: str, channels: tuple[int, int]) -> str:
    """Two 3x3x3 convolutions, each with its norm and activation."""
    for index, out_channels in enumerate(channels, start=1):
        names = (f"{label}.conv{index}", f"{label}.bn{index}", f"{label}.relu{index}")
        net.conv_bn_act(names, out_channels, 3, padding=1)
    return net.last
