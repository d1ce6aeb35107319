"""Anchors in the layout of a head: scales times ratios that all levels share, each level with a base of its own.

A pretrained head has an output for each scale and ratio, and is the same for every level; so products keep it usable.
"""

from __future__ import annotations

import re

import numpy as np
import numpy.typing as npt

from fastrf.anchors import kernels, kmeans
from fastrf.errors import UsageError

__all__ = ["fitted_products", "octaves", "parse_layout", "products", "shrunk"]

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]

#: More scales or ratios no head has.
MOST = 20
#: At most so many boxes are looked at: a layout has few numbers, and many anchors.
SAMPLE = 3000


def parse_layout(layout: object) -> tuple[int, int]:
    """How many scales and ratios: "3x3" or a pair. Raises UsageError."""
    parts = re.fullmatch(r"\s*(\d{1,3})\s*[xX]\s*(\d{1,3})\s*", layout) if isinstance(layout, str) else None
    pair = tuple(map(int, parts.groups())) if parts else layout
    good = isinstance(pair, tuple | list) and len(pair) == 2 and all(type(n) is int and 1 <= n <= MOST for n in pair)
    if not good or not isinstance(pair, tuple | list):
        raise UsageError(f"layout {layout!r} is not scales times ratios such as 3x3, each from 1 to {MOST}")
    return pair[0], pair[1]


def octaves(layout: tuple[int, int]) -> tuple[list[float], list[float]]:
    """Scales within an octave and ratios about 1 from 1/2 to 2, as RetinaNet has them."""
    scales, ratios = layout
    spread = np.linspace(-1, 1, ratios).tolist() if ratios > 1 else [0.0]
    return [2 ** (k / scales) for k in range(scales)], [2**exponent for exponent in spread]


def products(bases: FloatArray, scales: FloatArray, ratios: FloatArray) -> list[FloatArray]:
    """float64[k, 2] by level: widths and heights, ratio by ratio, as frameworks number them."""
    root = np.repeat(np.sqrt(ratios), len(scales))
    sides = np.tile(scales, len(ratios))
    return [np.stack([base * sides / root, base * sides * root], axis=1) for base in bases]


def shrunk(levels: list[FloatArray], limits: FloatArray) -> list[FloatArray]:
    """Each level's anchors, all made smaller alike where one is larger than its level's limit."""
    return [sizes * min(1.0, float((limit / sizes).min())) for sizes, limit in zip(levels, limits, strict=True)]


def fitted_products(
    sizes: FloatArray, limits: FloatArray, layout: tuple[int, int], generations: int, seed: int, order: IntArray
) -> tuple[list[FloatArray], int]:
    """As `kmeans.clustered`, for products: small changes of bases, scales and ratios, as long as they help."""
    used, left_out, rng = kmeans.sampled(sizes, limits, seed, min(SAMPLE, kmeans.SAMPLE))
    done = []
    for start in _starts(used, order, layout):
        changes = kmeans.factors(rng, generations, len(start))[..., 0]
        done.append(_evolved(used, limits, layout, start, changes))
    return max(done, key=lambda pair: pair[1])[0], left_out


def _starts(sizes: FloatArray, order: IntArray, layout: tuple[int, int]) -> list[FloatArray]:
    """Bases, scales and ratios one after the other, from bases at quantiles of the boxes, and from bases that double.

    Larger ones are of the later levels in the order.
    """
    scales, ratios = octaves(layout)
    roots, n, rank = np.sqrt(sizes.prod(axis=1)), len(order), np.argsort(order)
    middle = np.median(sizes[:, 1] / sizes[:, 0])
    by_share = np.quantile(roots, (np.arange(n) + 0.5) / n)
    doubling = np.median(roots) * 2.0 ** (np.arange(n) - n / 2)
    return [np.concatenate([bases[rank], scales, np.array(ratios) * middle]) for bases in (by_share, doubling)]


def _evolved(
    sizes: FloatArray, limits: FloatArray, layout: tuple[int, int], values: FloatArray, changes: FloatArray
) -> tuple[list[FloatArray], float]:
    """The anchors after changes that raise the mean best IoU, and that mean."""
    n, scales = len(limits), layout[0]
    iou, above = np.zeros((len(sizes), 1)), np.zeros((len(sizes), 1), np.int64)
    reached, kept = -1.0, list[FloatArray]()
    for change in [np.ones(len(values)), *changes]:
        trial = values * change
        levels = products(trial[:n], np.sort(trial[n : n + scales]), np.sort(trial[n + scales :]))
        levels = shrunk(levels, limits)
        flat = np.concatenate(levels)
        kernels.match_levels(sizes, flat, np.array([0, len(flat)]), 2.0, iou, above)
        mean = float(iou.mean())
        if mean > reached:
            reached, kept, values = mean, levels, trial
    return kept, reached
