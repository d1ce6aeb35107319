"""Jitted loops over boxes and anchors: how well shapes agree, and small changes that make them agree better."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from fastrf.engine.compiling import jit

__all__ = ["evolve", "match_levels"]

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]


@jit
def _iou(w: float, h: float, aw: float, ah: float) -> float:
    """The IoU of a box and an anchor with the same centre."""
    shared = min(w, aw) * min(h, ah)
    return float(shared / (w * h + aw * ah - shared))


@jit
def match_levels(
    sizes: FloatArray,
    anchors: FloatArray,
    starts: IntArray,
    threshold: float,
    best_iou: FloatArray,
    above: IntArray,
) -> None:
    """Per box and level: the best IoU of shapes, and how many anchors no side of which is off by `threshold` times.

    Level `l` owns the anchors `starts[l] <= k < starts[l + 1]`; `best_iou` and `above` are [n, levels].
    """
    least = 1.0 / threshold
    for i in range(sizes.shape[0]):
        w, h = sizes[i, 0], sizes[i, 1]
        for level in range(starts.size - 1):
            best = 0.0
            count = 0
            for k in range(starts[level], starts[level + 1]):
                aw, ah = anchors[k, 0], anchors[k, 1]
                best = max(best, _iou(w, h, aw, ah))
                if min(w / aw, aw / w, h / ah, ah / h) > least:
                    count += 1
            best_iou[i, level] = best
            above[i, level] = count


@jit
def evolve(sizes: FloatArray, anchors: FloatArray, limits: FloatArray, factors: FloatArray, trial: FloatArray) -> float:
    """Multiply anchors by each row of factors in turn, cut to their limits; keep what raises the mean best IoU.

    `anchors` and `limits` are [k, 2], `factors` [generations, k, 2], `trial` is work space like `anchors`, which are
    changed in place. Returns the mean best IoU reached.
    """
    n, count = sizes.shape[0], anchors.shape[0]
    reached = -1.0
    for step in range(-1, factors.shape[0]):
        for k in range(count):
            for axis in range(2):
                factor = 1.0 if step < 0 else factors[step, k, axis]
                trial[k, axis] = min(anchors[k, axis] * factor, limits[k, axis])
        total = 0.0
        for i in range(n):
            best = 0.0
            for k in range(count):
                best = max(best, _iou(sizes[i, 0], sizes[i, 1], trial[k, 0], trial[k, 1]))
            total += best
        if total > reached:
            reached = total
            for k in range(count):
                anchors[k, 0], anchors[k, 1] = trial[k, 0], trial[k, 1]
    return float(reached / n)
