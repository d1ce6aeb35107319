"""K-means and small random changes of box sizes on 1 - shape IoU, within what each level sees.

Deterministic by seed; beyond `SAMPLE` boxes it looks at a sample of them.
Source of the mutation: ultralytics/yolov5, utils/autoanchor.py, whose fitness is another one.
"""

from __future__ import annotations

import warnings

import numpy as np
import numpy.typing as npt
from scipy.cluster.vq import kmeans2

from fastrf.anchors import kernels
from fastrf.errors import FormatError

__all__ = ["clustered", "factors", "sampled"]

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]

#: At most so many boxes are clustered.
SAMPLE = 10_000
#: Independent starts, and how many of the best are refined.
STARTS, REFINED = 24, 4
#: Steps of k-means, at most.
STEPS = 60
#: Steps of the k-means on logarithms that each start begins with.
LOG_STEPS = 30
#: Spread of the random factors, from the first generation to the last.
SPREAD = (0.1, 0.005)


def clustered(
    sizes: FloatArray,
    limits: FloatArray,
    per_level: int,
    generations: int,
    seed: int,
    order: IntArray | None = None,
) -> tuple[list[FloatArray], int]:
    """Widths and heights of each level's anchors, smallest first, and how many boxes no level may span.

    `sizes` is float64[n, 2], `limits` float64[levels, 2] the largest anchor of each level. Anchors go to levels in
    this order, the smallest to the first; without it, in the order of their limits. Raises FormatError where no box is
    left.
    """
    used, left_out, rng = sampled(sizes, limits, seed, SAMPLE)
    order = np.argsort(limits.prod(axis=1), kind="stable") if order is None else order
    bounds = np.repeat(limits[order], per_level, axis=0)
    starts = [_k_means(used, bounds, rng, by_median=start % 3 > 0) for start in range(STARTS)]
    starts.sort(key=lambda pair: -pair[0])
    refined = []
    for _, anchors in starts[:REFINED]:
        changed, changes = np.ascontiguousarray(anchors), factors(rng, generations, len(anchors))
        refined.append((kernels.evolve(used, changed, bounds, changes, np.empty_like(changed)), changed))
    found = _ordered(max(refined, key=lambda pair: pair[0])[1], bounds)
    by_level = found.reshape(len(limits), per_level, 2)[np.argsort(order)]
    return [own[np.argsort(own.prod(axis=1), kind="stable")] for own in by_level], left_out


def sampled(sizes: FloatArray, limits: FloatArray, seed: int, most: int) -> tuple[FloatArray, int, np.random.Generator]:
    """The boxes that some level may span, at most so many; how many none may; and what chance comes from.

    Raises FormatError where no box is left.
    """
    fits = np.all(sizes[:, None, :] <= limits, axis=2).any(axis=1)
    left_out = int((~fits).sum())
    if left_out == len(sizes):
        raise FormatError("no level sees any of the boxes whole; nothing to cluster")
    rng = np.random.default_rng(seed)
    used = sizes[fits]
    if len(used) > most:
        used = used[np.sort(rng.choice(len(used), most, replace=False))]
    return np.ascontiguousarray(used), left_out, rng


def _k_means(
    sizes: FloatArray, bounds: FloatArray, rng: np.random.Generator, *, by_median: bool
) -> tuple[float, FloatArray]:
    """The best anchors on the way of one k-means, with their mean best IoU."""
    # from plain k-means on the logarithms of the sizes, begun by k-means++
    with warnings.catch_warnings(), np.errstate(invalid="ignore"):
        warnings.simplefilter("ignore", UserWarning)  # where sizes are fewer than centres, some have none
        centres, _ = kmeans2(np.log(sizes), len(bounds), LOG_STEPS, minit="++", seed=rng)
    anchors = _ordered(np.exp(centres), bounds)
    best, kept = -1.0, anchors
    iou, above = np.zeros((len(sizes), len(anchors))), np.zeros((len(sizes), len(anchors)), np.int64)
    for _ in range(STEPS):
        kernels.match_levels(sizes, anchors, np.arange(len(anchors) + 1), 1.0, iou, above)
        which, reached = iou.argmax(axis=1), float(iou.max(axis=1).mean())
        if reached <= best:
            break
        best, kept = reached, anchors
        anchors = anchors.copy()
        for k in np.unique(which):
            own = sizes[which == k]
            anchors[k] = np.median(own, axis=0) if by_median else own.mean(axis=0)
        anchors = _ordered(anchors, bounds)
    return best, kept


def _ordered(anchors: FloatArray, bounds: FloatArray) -> FloatArray:
    """By area, each within the bounds of its place."""
    return np.minimum(anchors[np.argsort(anchors.prod(axis=1), kind="stable")], bounds)


def factors(rng: np.random.Generator, generations: int, count: int) -> FloatArray:
    """float64[generations, count, 2]: random factors about 1, ever smaller and on ever fewer sides."""
    shape = (generations, count, 2)
    left = np.linspace(1.0, 0.0, generations)[:, None, None]
    spread = SPREAD[1] * (SPREAD[0] / SPREAD[1]) ** left
    changed = rng.random(shape) < 0.1 + 0.8 * left
    return np.asarray(np.clip(1 + changed * spread * rng.standard_normal(shape), 0.3, 3.0))
