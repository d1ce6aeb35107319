"""Figures of dense assignment and of effective receptive fields, for `bench.report`."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator

import numpy as np

import fastrf
from bench.autograd import position_seconds
from bench.figure import Figure
from bench.test_assignment import LEVELS, assigned, plainly, retinanet, some_boxes
from bench.timing import alternating, median_seconds
from fastrf.erf.maps import sigmas

__all__ = ["assignment", "effective_fields"]


def assignment(repeats: int, smoke: bool) -> Iterator[Figure]:
    """All levels of RetinaNet beside NumPy, which is timed on part of the boxes."""
    side, n, part = (128, 200, 20) if smoke else (640, 10_000, 500)
    analysis, boxes = retinanet(side), some_boxes(n, side)
    plain, ours = alternating(
        lambda: plainly(analysis, boxes[:part]), lambda: assigned(analysis, boxes), max(1, repeats // 3)
    )
    plain *= n / part
    what = (
        f"dense assignment of {n:,} boxes to {len(LEVELS)} levels of RetinaNet at {side}: counts, and both maps packed"
    )
    measured = f"{ours * 1e3:.0f} ms, NumPy {plain * 1e3:,.0f} ms: {plain / ours:.0f} times"
    yield Figure(what, "50 times faster than NumPy box by box", measured, plain / ours >= 50)


def effective_fields(repeats: int, smoke: bool) -> Iterator[Figure]:
    """Deviations of all positions beside a gradient for each."""
    side = 64 if smoke else 224
    analysis = fastrf.analyze("resnet50", (3, side, side))
    ours = median_seconds(lambda: sigmas(analysis, "layer4"), repeats)
    n = int(np.prod(analysis["layer4"].position_shape))
    what = f"effective receptive fields of all {n} positions of resnet50 layer4 at {side}: deviations, exactly"
    if importlib.util.find_spec("torchvision") is None:
        yield Figure(what, "", f"{ours * 1e3:.1f} ms", None)
        return
    plain = n * position_seconds("resnet50", side, 1 if smoke else 3)
    measured = f"{ours * 1e3:.1f} ms, autograd {plain:,.1f} s (from a few positions): {plain / ours:,.0f} times"
    yield Figure(what, "faster than autograd", measured, plain > ours)
