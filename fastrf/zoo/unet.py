"""2-D U-Net, four levels (Ronneberger et al. 2015, arXiv 1505.04597).

`unet_valid` is the paper's: convolutions without padding, skips cropped at the centre (572 -> 388). `unet` pads its
convolutions by 1 and so keeps the size; where a size is odd, the upsampled map is padded to the skip's.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from fastrf.zoo.builder import Builder

__all__ = ["build"]

_LEVELS = 4
_CHANNELS = 64
_CLASSES = 2
# least size of the bottom map from which every level still has a pixel, and the input it comes from
_SMALLEST = {"unet": (1, 16), "unet_valid": (4, 188)}


def build(name: str, input_shape: tuple[int, ...]) -> dict[str, Any]:
    """Spec of `unet` or `unet_valid` with two classes; ValueError when a level has no pixel left."""
    net = Builder(name, input_shape)
    cut = 0 if name == "unet" else 4  # what two convolutions take of every size
    sizes = [n - cut for n in input_shape[1:]]
    skips: list[tuple[str, list[int]]] = []
    for level in range(1, _LEVELS + 1):
        skips.append((_two_convs(net, f"enc{level}", _CHANNELS << (level - 1)), sizes))
        net.add("max_pool", f"pool{level}", kernel_size=2)
        sizes = [n // 2 - cut for n in sizes]
    _two_convs(net, "bottom", _CHANNELS << _LEVELS)
    at_bottom, smallest = _SMALLEST[name]
    if min(sizes) < at_bottom:
        raise ValueError(f"network {name!r} needs an input of at least {smallest} per axis, got {input_shape[1:]}")
    for level in range(_LEVELS, 0, -1):
        sizes = [n - cut for n in _up(net, level, sizes, *skips[level - 1])]
        _two_convs(net, f"dec{level}", _CHANNELS << (level - 1))
    net.conv("head", _CLASSES, 1)
    return net.spec()


def _two_convs(net: Builder, label: str, channels: int) -> str:
    """Two 3x3 convolutions, each with its activation."""
    for index in (1, 2):
        names = (f"{label}.conv{index}", f"{label}.relu{index}")
        net.conv_act(names, channels, 3, padding=1 if net.name == "unet" else 0)
    return net.last


def _up(net: Builder, level: int, sizes: Sequence[int], skip: str, skip_sizes: Sequence[int]) -> list[int]:
    """Double the size, join with the skip, and return the spatial sizes of the result.

    A map smaller than the skip is met by cropping the skip (no padding: the paper) or by padding the map.
    """
    channels = _CHANNELS << (level - 1)
    up = net.add("conv_transpose", f"up{level}", out_channels=channels, kernel_size=2, stride=2)
    doubled = [2 * size for size in sizes]
    missing = [wanted - size for wanted, size in zip(skip_sizes, doubled, strict=True)]
    before = [amount // 2 for amount in missing]
    if any(missing) and net.name == "unet":
        margins = [[first, amount - first] for first, amount in zip(before, missing, strict=True)]
        up = net.add("pad", f"pad{level}", padding=[[0, 0], *margins])
        doubled = list(skip_sizes)
    elif any(missing):
        margins = [[-first, first - amount] for first, amount in zip(before, missing, strict=True)]
        skip = net.add("pad", f"crop{level}", inputs=skip, padding=[[0, 0], *margins])
    net.add("concat", f"concat{level}", inputs=[skip, up], axis=0)
    return doubled
