"""The effective receptive field of each level, away from borders, as reports and suggestions use it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from fastrf.analysis import Analysis
from fastrf.anchors.levels import Level
from fastrf.erf.maps import effective, moments

__all__ = ["Spread", "spreads"]

Pair = tuple[float, float]


@dataclass(frozen=True)
class Spread:
    """How path weights spread at the middle of a level; pairs are (rows, columns), in pixels.

    `sigma` is the standard deviation, `radius` holds 95.45 % of the weight on either side of the mean, both at the
    middle position; `fraction` is four sigma as a share of the theoretical size (of the box where that is unbounded).
    `center` is the mean as a pixel index less the steps taken to it, averaged over a period of phases.
    """

    sigma: Pair
    radius: Pair
    fraction: Pair
    center: Pair


def spreads(analysis: Analysis, levels: Sequence[Level]) -> tuple[Spread, ...]:
    """The effective receptive field of every level. Raises UnsupportedOpError where weights depend on data."""
    names = [level.node for level in levels]
    found = moments(analysis, names)
    rows = []
    for level, name in zip(levels, names, strict=True):
        middle = effective(analysis, name)
        rows.append(
            Spread(
                _pair(middle.sigma),
                _pair(middle.radius()),
                _pair(middle.fraction),
                (_center(level, found[name].mean[..., 0], 0), _center(level, found[name].mean[..., 1], 1)),
            )
        )
    return tuple(rows)


def _pair(values: np.ndarray[tuple[int, ...], np.dtype[np.float64]]) -> Pair:
    return float(values[0]), float(values[1])


def _center(level: Level, means: np.ndarray[tuple[int, ...], np.dtype[np.float64]], axis: int) -> float:
    """The mean on one axis less the steps, over a period in the middle of the map."""
    n, other = level.grid[axis], level.grid[1 - axis]
    along = means[:, other // 2] if axis == 0 else means[other // 2]
    period = min(max(len(level.centers[axis]), 1), n)
    first = (n - period) // 2
    steps = np.arange(first, first + period) * level.stride[axis]
    return float((along[first : first + period] - steps).mean())
