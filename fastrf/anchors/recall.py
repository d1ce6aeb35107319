"""Counting how boxes and anchors agree, chunk by chunk, so that memory is bounded however many boxes there are."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from fastrf.anchors import kernels
from fastrf.anchors.forms.anchor_set import Anchors
from fastrf.anchors.levels import Level
from fastrf.system.terminal import Progress, silent

__all__ = ["EDGES", "LARGE", "SMALL", "Counts", "count"]

FloatArray = npt.NDArray[np.float64]

#: COCO's bounds on the root of the area: small below, large from there on.
SMALL, LARGE = 32.0, 96.0
#: Boxes at a time.
CHUNK = 1 << 16
#: Bins of the root of the area, half an octave each; the first and last are open.
EDGES = 2.0 ** np.arange(1, 12.5, 0.5)


class Counts(NamedTuple):
    """Sums over boxes; the last of `[levels + 1]` stands for all levels together, `[5]` are the columns of a size."""

    above: FloatArray  # [levels + 1]: anchors above the threshold
    reached: FloatArray  # [levels + 1]: boxes with one such anchor
    recalled: FloatArray  # [thresholds, levels + 1]: boxes whose best IoU is the threshold or more
    iou: FloatArray  # [levels + 1]: best IoU
    best: FloatArray  # [levels]: boxes that have their best anchor here
    seen: FloatArray  # [levels]: boxes that fit into the receptive field
    in_range: FloatArray  # [levels]: boxes in the range of the level
    classes: FloatArray  # [3, 5]: small, medium, large: boxes, reached, recalled (first threshold), best IoU, unseen
    bins: FloatArray  # [bins, 5]: the same by bin

    @property
    def n(self) -> int:
        """How many boxes were counted."""
        return int(self.classes[:, 0].sum())

    @property
    def unseen(self) -> int:
        """How many of them are larger than any receptive field."""
        return int(self.classes[:, 4].sum())


def count(
    sizes: FloatArray,
    levels: Sequence[Level],
    anchors: Anchors | None,
    threshold: float,
    recall_at: Sequence[float],
    progress: Progress | None = None,
) -> Counts:
    """Count boxes of `sizes` (float64[n, 2], width and height) against levels and anchors; see `Counts`."""
    per_level = [np.empty((0, 2))] * len(levels) if anchors is None else anchors.sizes
    flat, starts = np.concatenate(per_level), np.cumsum([0, *map(len, per_level)])
    limits = np.array([level.limit for level in levels])
    ranges = None if anchors is None or anchors.ranges is None else np.array(anchors.ranges)
    parts = []
    for begin in range(0, len(sizes), CHUNK):
        chunk = np.ascontiguousarray(sizes[begin : begin + CHUNK])
        iou, above = np.zeros((len(chunk), len(levels))), np.zeros((len(chunk), len(levels)), np.int64)
        kernels.match_levels(chunk, flat, starts, threshold, iou, above)
        parts.append(_sums(chunk, limits, ranges, iou, above, recall_at))
        (progress or silent)(min(begin + CHUNK, len(sizes)), len(sizes))
    return Counts(*(np.sum(values, axis=0) for values in zip(*parts, strict=True)))


def _sums(
    sizes: FloatArray,
    limits: FloatArray,
    ranges: FloatArray | None,
    iou: FloatArray,
    above: npt.NDArray[np.int64],
    recall_at: Sequence[float],
) -> Counts:
    fits = np.all(sizes[:, None, :] <= limits, axis=2)
    longer, root = sizes.max(axis=1)[:, None], np.sqrt(sizes.prod(axis=1))
    best = iou.max(axis=1)
    nearest = np.bincount(iou.argmax(axis=1)[best > 0], minlength=iou.shape[1]).astype(np.float64)
    iou = np.column_stack([iou, best])
    above = np.column_stack([above, above.sum(axis=1)])
    columns = [np.ones(len(sizes)), above[:, -1] > 0, best >= recall_at[0], best, ~fits.any(axis=1)]
    values = np.stack(columns, axis=1).astype(np.float64)
    seen = fits.sum(axis=0, dtype=np.float64)
    tables: list[FloatArray] = [
        np.stack([np.bincount(index, column, n) for column in values.T], axis=1)
        for index, n in ((np.digitize(root, [SMALL, LARGE]), 3), (np.digitize(root, EDGES), len(EDGES) + 1))
    ]
    return Counts(
        above.sum(axis=0),
        (above > 0).sum(axis=0),
        np.array([(iou >= least).sum(axis=0) for least in recall_at]),
        iou.sum(axis=0),
        nearest,
        seen,
        seen if ranges is None else ((longer >= ranges[:, 0]) & (longer < ranges[:, 1])).sum(axis=0),
        *tables,
    )
