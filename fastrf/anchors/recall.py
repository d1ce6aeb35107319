"""Counting how boxes and anchors agree, chunk by chunk, so that memory is bounded however many boxes there are.

`reporting` turns the counts into shares.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from fastrf.anchors import iou_kernels as kernels
from fastrf.anchors.forms.anchor_set import Anchors
from fastrf.anchors.levels import Level

__all__ = ["LARGE", "SMALL", "Counts", "count"]

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]

#: COCO's bounds on the root of the area: small below, large from there on.
SMALL, LARGE = 32.0, 96.0
#: Boxes at a time.
CHUNK = 1 << 16
#: Bins of the root of the area, half an octave each; the first and last are open.
EDGES = 2.0 ** np.arange(1, 12.5, 0.5)


@dataclass
class Counts:
    """Sums over boxes; `[levels]`, `[thresholds]`, `[classes]` (small, medium, large) and `[bins]` are axes."""

    n: int
    above: FloatArray  # [levels]: anchors above the threshold
    reached: FloatArray  # [levels]: boxes with one such anchor
    recalled: FloatArray  # [thresholds, levels]: boxes whose best IoU is the threshold or more
    iou: FloatArray  # [levels]: best IoU
    best: FloatArray  # [levels]: boxes that have their best anchor here
    seen: FloatArray  # [levels]: boxes that fit into the receptive field
    in_range: FloatArray  # [levels]: boxes in the range of the level
    all_reached: int
    all_recalled: FloatArray  # [thresholds]
    all_iou: float
    unseen: int  # boxes larger than any receptive field
    classes: FloatArray  # [classes, 5]: boxes, reached, recalled (first threshold), best IoU, unseen
    bins: FloatArray = field(default_factory=lambda: np.zeros((len(EDGES) + 1, 5)))  # the same by bin

    @classmethod
    def zeros(cls, n: int, levels: int, thresholds: int) -> Counts:
        """Nothing counted yet."""
        rows = [np.zeros(levels) for _ in range(6)]
        above, reached, iou, best, seen, in_range = rows
        recalled = np.zeros((thresholds, levels))
        nothing = np.zeros((3, 5))
        return cls(n, above, reached, recalled, iou, best, seen, in_range, 0, np.zeros(thresholds), 0.0, 0, nothing)


def count(
    sizes: FloatArray,
    levels: Sequence[Level],
    anchors: Anchors | None,
    threshold: float,
    recall_at: Sequence[float],
    progress: Callable[[int, int], None] | None = None,
) -> Counts:
    """Count boxes of `sizes` (float64[n, 2], width and height) against levels and anchors; see `Counts`."""
    found = Counts.zeros(len(sizes), len(levels), len(recall_at))
    flat = np.ones((0, 2)) if anchors is None else np.ascontiguousarray(anchors.flat)
    per_level = [0] * len(levels) if anchors is None else [len(level) for level in anchors.sizes]
    starts = np.concatenate([[0], np.cumsum(per_level)]).astype(np.int64)
    limits = np.array([level.limit for level in levels])
    ranges = None if anchors is None or anchors.ranges is None else np.array(anchors.ranges)
    for begin in range(0, len(sizes), CHUNK):
        chunk = np.ascontiguousarray(sizes[begin : begin + CHUNK])
        iou = np.zeros((len(chunk), len(levels)))
        above = np.zeros((len(chunk), len(levels)), np.int64)
        kernels.match_levels(chunk, flat, starts, threshold, iou, above)
        _add_chunk(found, chunk, limits, ranges, iou, above, recall_at)
        if progress is not None:
            progress(min(begin + CHUNK, len(sizes)), len(sizes))
    return found


def _add_chunk(
    found: Counts,
    sizes: FloatArray,
    limits: FloatArray,
    ranges: FloatArray | None,
    iou: FloatArray,
    above: IntArray,
    recall_at: Sequence[float],
) -> None:
    fits = np.all(sizes[:, None, :] <= limits, axis=2)
    longer = sizes.max(axis=1)[:, None]
    best = iou.max(axis=1)
    reached = above.any(axis=1)
    unseen = ~fits.any(axis=1)
    found.above += above.sum(axis=0)
    found.reached += (above > 0).sum(axis=0)
    found.iou += iou.sum(axis=0)
    found.best += np.bincount(iou.argmax(axis=1)[best > 0], minlength=iou.shape[1])
    found.seen += fits.sum(axis=0)
    found.in_range += (
        fits.sum(axis=0) if ranges is None else ((longer >= ranges[:, 0]) & (longer < ranges[:, 1])).sum(0)
    )
    found.all_reached += int(reached.sum())
    found.all_iou += float(best.sum())
    found.unseen += int(unseen.sum())
    for k, least in enumerate(recall_at):
        found.recalled[k] += (iou >= least).sum(axis=0)
        found.all_recalled[k] += (best >= least).sum()
    values = np.stack([np.ones(len(sizes)), reached, best >= recall_at[0], best, unseen], axis=1)
    root = np.sqrt(sizes.prod(axis=1))
    for table, index in ((found.classes, np.digitize(root, [SMALL, LARGE])), (found.bins, np.digitize(root, EDGES))):
        for k in range(values.shape[1]):
            table[:, k] += np.bincount(index, values[:, k], minlength=len(table))
