"""S3FD, the single-shot scale-invariant face detector (Zhang et al. 2017, arXiv 1708.05237).

VGG16 up to pool5, then fc6 as 3x3 and fc7 as 1x1, then two more strided 3x3. The features of the first three levels
are L2-normalised over channels, which is an rms norm up to a scale. Each level's two prediction convolutions (boxes and
scores, both 3x3 of the same input) are one node here, `<level>_head`, with their channels one after another.
"""

from __future__ import annotations

from typing import Any

from fastrf.zoo.builder import Builder

__all__ = ["build"]

# convolutions and channels of VGG16's five stages
_STAGES = ((2, 64), (2, 128), (3, 256), (3, 512), (3, 512))
_NORMALISED = ("conv3_3", "conv4_3", "conv5_3")
_BOX = 4
_SCORES = 2
# max-out background: conv3_3 scores the background three times
_FIRST_SCORES = 4


def build(name: str, input_shape: tuple[int, ...]) -> dict[str, Any]:
    """Spec whose outputs are the six heads, from stride 4 to stride 128."""
    net = Builder(name, input_shape)
    features: dict[str, str] = {}
    for stage, (convs, channels) in enumerate(_STAGES, start=1):
        for index in range(1, convs + 1):
            _conv(net, f"{stage}_{index}", channels, 3, padding=1)
        features[f"conv{stage}_{convs}"] = net.last
        # ceil at pool3 alone, as in S3FD.pytorch; it matters only where a size is not a multiple of 8
        net.add("max_pool", f"pool{stage}", kernel_size=2, stride=2, ceil_mode=stage == 3)
    _conv(net, "_fc6", 1024, 3, padding=1)
    features["conv_fc7"] = _conv(net, "_fc7", 1024, 1)
    for stage, channels in ((6, 512), (7, 256)):
        _conv(net, f"{stage}_1", channels // 2, 1)
        features[f"conv{stage}_2"] = _conv(net, f"{stage}_2", channels, 3, stride=2, padding=1)
    levels = [*_NORMALISED, "conv_fc7", "conv6_2", "conv7_2"]
    return net.spec([_head(net, level, features[level]) for level in levels])


def _conv(net: Builder, suffix: str, channels: int, kernel_size: int, **attrs: Any) -> str:
    """`conv<suffix>` and `relu<suffix>`."""
    return net.conv_act((f"conv{suffix}", f"relu{suffix}"), channels, kernel_size, **attrs)


def _head(net: Builder, level: str, feature: str) -> str:
    """The 3x3 prediction of one level."""
    if level in _NORMALISED:
        feature = net.add("rms_norm", f"{level}_norm", inputs=feature, axes=[0])
    channels = _BOX + (_FIRST_SCORES if level == "conv3_3" else _SCORES)
    return net.conv(f"{level}_head", channels, 3, inputs=feature, padding=1)
