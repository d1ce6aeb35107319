"""Dense assignment of boxes to all levels of RetinaNet, beside NumPy written plainly: one box, one level at a time."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

import fastrf
from fastrf.anchors.assignment.dense import assign
from fastrf.erf.maps import moments

LEVELS = ("p3", "p4", "p5", "p6", "p7")
Answers = tuple[npt.NDArray[np.int64], list[npt.NDArray[np.int64]], list[list[npt.NDArray[np.uint8]]]]


def retinanet(side: int = 640) -> fastrf.Analysis:
    """The five levels of an FPN on ResNet-50."""
    return fastrf.analyze("fpn_resnet50", (3, side, side), targets=list(LEVELS))


def some_boxes(n: int, side: int = 640) -> npt.NDArray[np.float64]:
    """Boxes of all sizes, log-uniform, centred anywhere."""
    rng = np.random.default_rng(0)
    centre = rng.uniform(0, side, (n, 2))
    half = np.exp(rng.uniform(np.log(2), np.log(side / 2), (n, 2)))
    return np.concatenate([centre - half, centre + half], axis=1)


def assigned(analysis: fastrf.Analysis, boxes: npt.NDArray[np.float64]) -> Answers:
    """Positions that contain each box, boxes at each position, and both answers for all, bit-packed."""
    found = assign(analysis, LEVELS, boxes)
    maps = [[c, o] for level in found.values() for _, c, o in level.chunks(packed=True)]
    return found.counts, [level.position_counts for level in found.values()], maps


def plainly(analysis: fastrf.Analysis, boxes: npt.NDArray[np.float64]) -> Answers:
    """The same with NumPy; the masks of these levels are boxes, so that comparing their ends is exact."""
    counts = np.zeros((len(boxes), len(LEVELS)), np.int64)
    at_positions, maps = [], []
    height, width = analysis[LEVELS[0]].pixel_shape
    low, high = np.floor(boxes[:, :2]), np.ceil(boxes[:, 2:])
    covered = np.concatenate([np.maximum(low, 0), np.minimum(high, (width, height))], axis=1).astype(np.int64)
    for column, level in enumerate(LEVELS):
        ends = analysis[level].boxes()
        (top, bottom), (left, right) = np.moveaxis(ends, (-2, -1), (0, 1))
        here = np.zeros(top.shape, np.int64)
        packed = [np.empty((len(boxes), len(top), (len(top[0]) + 7) // 8), np.uint8) for _ in range(2)]
        for number, (x0, y0, x1, y1) in enumerate(covered):
            contains = (top <= y0) & (bottom >= y1) & (left <= x0) & (right >= x1)
            overlaps = (top < y1) & (bottom > y0) & (left < x1) & (right > x0)
            counts[number, column] = contains.sum()
            here += contains
            packed[0][number] = np.packbits(contains, axis=-1)
            packed[1][number] = np.packbits(overlaps, axis=-1)
        at_positions.append(here)
        maps.append(packed)
    return counts, at_positions, maps


@pytest.mark.benchmark(group="assignment")
def test_assignment(benchmark: Any) -> None:
    analysis, boxes = retinanet(), some_boxes(10_000)
    benchmark(assigned, analysis, boxes)


@pytest.mark.benchmark(group="assignment")
def test_plainly_for_comparison(benchmark: Any) -> None:
    analysis, boxes = retinanet(), some_boxes(200)
    plain = benchmark.pedantic(plainly, (analysis, boxes), rounds=3, warmup_rounds=1)
    ours = assigned(analysis, boxes)
    np.testing.assert_array_equal(ours[0], plain[0])
    flat = ([*answers[1], *itertools.chain.from_iterable(answers[2])] for answers in (ours, plain))
    for mine, theirs in zip(*flat, strict=True):
        np.testing.assert_array_equal(mine, theirs)


@pytest.mark.benchmark(group="effective")
def test_sigmas_of_all_positions(benchmark: Any) -> None:
    analysis = retinanet()
    benchmark(moments, analysis, LEVELS)
