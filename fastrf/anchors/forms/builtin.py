"""Anchors of published detectors by name, each with its source."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from fastrf.anchors.forms.anchor_set import Anchors, make_anchors
from fastrf.errors import FormatError

if TYPE_CHECKING:
    from fastrf.anchors.levels import Level

__all__ = ["LFFD_LIMITS", "NAMES", "build", "by_ratio"]

NAMES = ("yolov5", "retinanet", "s3fd", "lffd", "ssd")

#: ultralytics/yolov5, models/yolov5s.yaml: P3, P4, P5.
_YOLOV5 = (
    ((10, 13), (16, 30), (33, 23)),
    ((30, 61), (62, 45), (59, 119)),
    ((116, 90), (156, 198), (373, 326)),
)
#: torchvision.models.detection.retinanet: sizes of P3..P7, each with the ratios (height / width) below.
_RETINANET = ((32, 40, 50), (64, 80, 101), (128, 161, 203), (256, 322, 406), (512, 645, 812))
_RATIOS = (0.5, 1.0, 2.0)
#: Zhang et al., "S3FD", ICCV 2017, table 1: conv3_3 .. conv7_2.
_S3FD = (16, 32, 64, 128, 256, 512)
#: He et al., "LFFD", 2019, 8 scales: continuous face scales of each branch, and the receptive fields that serve them.
_LFFD = ((10, 15), (15, 20), (20, 40), (40, 70), (70, 110), (110, 250), (250, 400), (400, 560))
_LFFD_FIELDS = (55, 71, 111, 143, 223, 383, 511, 639)
_LFFD_STRIDES = (4, 4, 8, 8, 16, 32, 32, 32)
#: Receptive field, and the largest face that LFFD gives to it.
LFFD_LIMITS = tuple((field, high) for field, (_, high) in zip(_LFFD_FIELDS, _LFFD, strict=True))


def build(name: str, levels: Sequence[Level] = (), input_size: tuple[int, int] = (640, 640)) -> Anchors:
    """The anchors of that name; "ssd" needs `levels` and the input's size. Raises FormatError."""
    if name == "yolov5":
        return make_anchors(name, _YOLOV5, center_offset=0.5)
    if name == "retinanet":
        sizes = [[by_ratio(size, ratio) for ratio in _RATIOS for size in level] for level in _RETINANET]
        return make_anchors(name, sizes, center_offset=0.0)
    if name == "s3fd":
        return make_anchors(name, [[size] for size in _S3FD], center_offset=0.5)
    if name == "lffd":
        ranges = tuple((float(low), float(high)) for low, high in _LFFD)
        # its branches regress from the centre of the receptive field, stride - 1 as a pixel index
        centers = tuple((stride - 0.5, stride - 0.5) for stride in _LFFD_STRIDES)
        middles = [[(low + high) / 2] for low, high in ranges]
        return make_anchors(name, middles, centers=centers, ranges=ranges)
    return _ssd(levels, input_size)


def by_ratio(size: float, ratio: float) -> tuple[float, float]:
    """Width and height of an area `size ** 2` with `ratio` = height / width, as both frameworks have it."""
    root = math.sqrt(ratio)
    return float(size / root), float(size * root)


def _ssd(levels: Sequence[Level], input_size: tuple[int, int]) -> Anchors:
    """Liu et al., "SSD", 2016, section 2.2: scales from 0.2 to 0.9 of the input, six boxes a position."""
    n_levels = len(levels)
    if n_levels < 2:
        raise FormatError("anchors 'ssd' spread their scales over two levels or more; name the levels")
    scales = [0.2 + 0.7 * k / (n_levels - 1) for k in range(n_levels + 1)]
    side = min(input_size)
    # (i + 0.5) / map of the input, which is no half stride on the last maps
    centers = [(input_size[1] / level.grid[1] / 2, input_size[0] / level.grid[0] / 2) for level in levels]
    sizes = []
    for low, high in itertools.pairwise(scales):
        level = [by_ratio(low * side, ratio) for ratio in (1, 2, 1 / 2, 3, 1 / 3)]
        sizes.append([*level, by_ratio(math.sqrt(low * high) * side, 1)])
    return make_anchors("ssd", sizes, centers=tuple(centers))
