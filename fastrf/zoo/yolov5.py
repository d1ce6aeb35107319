"""YOLOv5s, release 6.0: CSP backbone with a 6x6 stem, SPPF, and a two-way pyramid.

Modules are numbered as in the release (`model.0` .. `model.24`): the node of that name is the module's output, the
nodes inside it are `model.2.cv1.conv` and so on. The heads `p3`, `p4`, `p5` have 255 channels (3 anchors of 85 values).
"""

from __future__ import annotations

from typing import Any

from fastrf.zoo.builder import Builder

__all__ = ["build"]

_PREDICTIONS = 3 * 85


def build(name: str, input_shape: tuple[int, ...]) -> dict[str, Any]:
    """Spec whose outputs are p3, p4, p5; ValueError unless both sizes are multiples of 32."""
    if any(size % 32 for size in input_shape[1:]):
        raise ValueError(f"network {name!r} needs spatial sizes that are multiples of 32, got {input_shape[1:]}")
    net = Builder(name, input_shape)
    _backbone(net)
    _pyramid(net)
    for index, source in enumerate(("model.17", "model.20", "model.23")):
        net.conv(f"model.24.m.{index}", _PREDICTIONS, 1, inputs=source)
        net.add("sigmoid", f"p{index + 3}")
    return net.spec(["p3", "p4", "p5"])


def _backbone(net: Builder) -> None:
    """Modules 0 to 9: four times (strided convolution, CSP block), then SPPF."""
    _conv(net, "model.0", 32, 6, stride=2, padding=2)
    for index, channels, depth in ((1, 64, 1), (3, 128, 2), (5, 256, 3), (7, 512, 1)):
        _conv(net, f"model.{index}", channels, 3, stride=2, padding=1)
        _c3(net, f"model.{index + 1}", channels, depth, shortcut=True)
    _sppf(net, "model.9", 512)


def _pyramid(net: Builder) -> None:
    """Modules 10 to 23: top-down to stride 8, then bottom-up to stride 32."""
    for index, channels, skip in ((10, 256, "model.6"), (14, 128, "model.4")):
        _conv(net, f"model.{index}", channels, 1)
        net.add("resize", f"model.{index + 1}", scale=2, mode="nearest")
        net.add("concat", f"model.{index + 2}", inputs=[f"model.{index + 1}", skip], axis=0)
        _c3(net, f"model.{index + 3}", channels, 1, shortcut=False)
    for index, channels, skip in ((18, 128, "model.14"), (21, 256, "model.10")):
        _conv(net, f"model.{index}", channels, 3, stride=2, padding=1)
        net.add("concat", f"model.{index + 1}", inputs=[f"model.{index}", skip], axis=0)
        _c3(net, f"model.{index + 2}", 2 * channels, 1, shortcut=False)


def _conv(net: Builder, label: str, channels: int, kernel_size: int, part: str = "", **attrs: Any) -> str:
    """Convolution, norm, silu, of a `part` of a module if given; the last of them carries the module's name."""
    names = (f"{label}{part}.conv", f"{label}{part}.bn", label)
    return net.conv_bn_act(names, channels, kernel_size, activation="silu", **attrs)


def _c3(net: Builder, label: str, channels: int, depth: int, *, shortcut: bool) -> None:
    """CSP block of three 1x1 convolutions: `depth` bottlenecks on one half, nothing on the other."""
    source = net.last
    half = channels // 2
    _conv(net, f"{label}.cv1", half, 1)
    for block in range(depth):
        start = net.last
        _conv(net, f"{label}.m.{block}.cv1", half, 1)
        end = _conv(net, f"{label}.m.{block}.cv2", half, 3, padding=1)
        if shortcut:
            net.add("add", f"{label}.m.{block}", inputs=[start, end])
    deep = net.last
    shallow = _conv(net, f"{label}.cv2", half, 1, inputs=source)
    net.add("concat", f"{label}.concat", inputs=[deep, shallow], axis=0)
    _conv(net, label, channels, 1, ".cv3")


def _sppf(net: Builder, label: str, channels: int) -> None:
    """Three 5x5 max pools in a row, all four maps joined."""
    ends = [_conv(net, f"{label}.cv1", channels // 2, 1)]
    ends += [net.add("max_pool", f"{label}.m{index}", kernel_size=5, stride=1, padding=2) for index in (1, 2, 3)]
    net.add("concat", f"{label}.concat", inputs=ends, axis=0)
    _conv(net, label, channels, 1, ".cv2")
