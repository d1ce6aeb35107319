"""Inception v3 in torchvision's form and names, without the auxiliary head (Szegedy et al. 2015, arXiv 1512.00567).

The node of a whole block is its concatenation (`Mixed_5b`); a convolution's three nodes are `.conv`, `.bn`, `.relu`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeAlias

from fastrf.zoo.builder import Builder

__all__ = ["build"]

# a pool by its operator, or arguments of `_part`: name, out_channels, kernel_size (1), stride (1)
_Part: TypeAlias = str | tuple[Any, ...]

_ROW, _COLUMN = (1, 7), (7, 1)
_DOUBLE: list[_Part] = [("branch3x3dbl_1", 64), ("branch3x3dbl_2", 96, 3)]


def build(name: str, input_shape: tuple[int, ...]) -> dict[str, Any]:
    """Spec of the 1000-class network."""
    net = Builder(name, input_shape)
    _conv(net, "Conv2d_1a_3x3", 32, 3, stride=2)
    _conv(net, "Conv2d_2a_3x3", 32, 3)
    _conv(net, "Conv2d_2b_3x3", 64, 3, padding=1)
    net.add("max_pool", "maxpool1", kernel_size=3, stride=2)
    _conv(net, "Conv2d_3b_1x1", 80, 1)
    _conv(net, "Conv2d_4a_3x3", 192, 3)
    net.add("max_pool", "maxpool2", kernel_size=3, stride=2)
    for block, pool_channels in (("Mixed_5b", 32), ("Mixed_5c", 64), ("Mixed_5d", 64)):
        _block_a(net, block, pool_channels)
    _block_b(net, "Mixed_6a")
    for block, channels in (("Mixed_6b", 128), ("Mixed_6c", 160), ("Mixed_6d", 160), ("Mixed_6e", 192)):
        _block_c(net, block, channels)
    _block_d(net, "Mixed_7a")
    for block in ("Mixed_7b", "Mixed_7c"):
        _block_e(net, block)
    net.add("global_avg_pool", "avgpool")
    net.add("dropout", "dropout")
    net.add("flatten", "flatten")
    net.add("linear", "fc", out_features=1000)
    return net.spec()


def _block_a(net: Builder, block: str, pool_channels: int) -> None:
    """35x35: 1x1, 5x5, double 3x3 and an average pool."""
    five: list[_Part] = [("branch5x5_1", 48), ("branch5x5_2", 64, 5)]
    double = [*_DOUBLE, ("branch3x3dbl_3", 96, 3)]
    _block(net, block, [("branch1x1", 64)], five, double, ["avg_pool", ("branch_pool", pool_channels)])


def _block_b(net: Builder, block: str) -> None:
    """From 35x35 to 17x17: 3x3, double 3x3 and a max pool, all with stride 2."""
    _block(net, block, [("branch3x3", 384, 3, 2)], [*_DOUBLE, ("branch3x3dbl_3", 96, 3, 2)], ["max_pool"])


def _block_c(net: Builder, block: str, channels: int) -> None:
    """17x17: 7x7 as 1x7 and 7x1, once and twice."""
    once: list[_Part] = [("branch7x7_1", channels), ("branch7x7_2", channels, _ROW), ("branch7x7_3", 192, _COLUMN)]
    twice: list[_Part] = [("branch7x7dbl_1", channels)]
    twice += [(f"branch7x7dbl_{k}", channels, kernel) for k, kernel in ((2, _COLUMN), (3, _ROW), (4, _COLUMN))]
    twice.append(("branch7x7dbl_5", 192, _ROW))
    _block(net, block, [("branch1x1", 192)], once, twice, ["avg_pool", ("branch_pool", 192)])


def _block_d(net: Builder, block: str) -> None:
    """From 17x17 to 8x8."""
    name = "branch7x7x3"
    seven: list[_Part] = [(f"{name}_1", 192), (f"{name}_2", 192, _ROW), (f"{name}_3", 192, _COLUMN)]
    three: list[_Part] = [("branch3x3_1", 192), ("branch3x3_2", 320, 3, 2)]
    _block(net, block, three, [*seven, (f"{name}_4", 192, 3, 2)], ["max_pool"])


def _block_e(net: Builder, block: str) -> None:
    """8x8: branches that end in a 1x3 beside a 3x1, so their union is a cross."""
    source = net.last
    single = _branch(net, block, source, ("branch1x1", 320))
    stem = _branch(net, block, source, ("branch3x3_1", 384))
    cross = _cross(net, block, stem, ("branch3x3_2a", "branch3x3_2b"), "branch3x3")
    stem = _branch(net, block, source, ("branch3x3dbl_1", 448), ("branch3x3dbl_2", 384, 3))
    double = _cross(net, block, stem, ("branch3x3dbl_3a", "branch3x3dbl_3b"), "branch3x3dbl")
    pool = _branch(net, block, source, "avg_pool", ("branch_pool", 192))
    net.add("concat", block, inputs=[single, cross, double, pool], axis=0)


def _cross(net: Builder, block: str, source: str, names: tuple[str, str], joined: str) -> str:
    """A 1x3 and a 3x1 side by side; the node `joined` holds both."""
    ends = [_branch(net, block, source, (names[k], 384, kernel)) for k, kernel in enumerate(((1, 3), (3, 1)))]
    return net.add("concat", f"{block}.{joined}", inputs=ends, axis=0)


def _block(net: Builder, block: str, *branches: Sequence[_Part]) -> None:
    """Branches side by side, concatenated."""
    source = net.last
    ends = [_branch(net, block, source, *parts) for parts in branches]
    net.add("concat", block, inputs=ends, axis=0)


def _branch(net: Builder, block: str, source: str, *parts: _Part) -> str:
    """The pools and convolutions of one branch, one after another from `source`."""
    for part in parts:
        if isinstance(part, str):
            window = {"stride": 1, "padding": 1} if part == "avg_pool" else {"stride": 2}
            source = net.add(part, f"{block}.{part}", inputs=source, kernel_size=3, **window)
        else:
            source = _part(net, block, source, *part)
    return source


def _part(
    net: Builder, block: str, source: str, name: str, channels: int, kernel: int | tuple[int, int] = 1, stride: int = 1
) -> str:
    """A convolution; of stride 1 it keeps the size, of stride 2 it is not padded."""
    same = kernel // 2 if isinstance(kernel, int) else (kernel[0] // 2, kernel[1] // 2)
    padding = same if stride == 1 else 0
    return _conv(net, f"{block}.{name}", channels, kernel, inputs=source, padding=padding, stride=stride)


def _conv(net: Builder, label: str, channels: int, kernel_size: int | tuple[int, int], **attrs: Any) -> str:
    """Torchvision's BasicConv2d."""
    return net.conv_bn_act((f"{label}.conv", f"{label}.bn", f"{label}.relu"), channels, kernel_size, **attrs)
