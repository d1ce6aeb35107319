"""Levels: where the neurons of each detection level look, by nominal parameters, phase by phase, and path weights."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from fastrf.erf.maps import effective, moments
from fastrf.errors import NetworkError, UnknownNodeError, UsageError

if TYPE_CHECKING:
    from fastrf.analysis import Analysis
    from fastrf.field import ReceptiveField

__all__ = ["Level", "Spread", "levels_of", "spreads"]

Pair = tuple[float, float]


@dataclass(frozen=True)
class Level:
    """One level; pairs are (rows, columns).

    `name` is as the user wrote it and `node` the node's own, `grid` the map's shape, `size_range` per axis the smallest
    and largest receptive field over phases in pixels, `centers` per axis and phase the centre of the receptive field of
    position `o` less `o * stride`, as a pixel index (0 is the centre of pixel 0; NaN where unbounded), `clipped` the
    share of positions that a border cuts.
    """

    name: str
    node: str
    grid: tuple[int, int]
    stride: Pair
    size_range: tuple[Pair, Pair]
    centers: tuple[tuple[float, ...], tuple[float, ...]]
    clipped: float
    exact: bool

    @property
    def limit(self) -> Pair:
        """(width, height) of the largest box that every position sees whole: the smallest receptive field."""
        (rows, _), (columns, _) = self.size_range
        return columns, rows

    @property
    def center(self) -> Pair | None:
        """(x, y) of position 0's centre in continuous coordinates (0.5 is the centre of pixel 0), the mean over phases.

        None where the receptive field is unbounded.
        """
        y, x = (float(np.mean(axis)) + 0.5 for axis in self.centers)
        return (x, y) if math.isfinite(x) and math.isfinite(y) else None


def levels_of(analysis: Analysis, names: Sequence[str] | str) -> tuple[Level, ...]:
    """The levels of these nodes, in the order given; a name may differ in case where that leaves one node.

    Raises UnknownNodeError, UsageError for no names or a name twice, and NetworkError for a node that is no
    two-dimensional feature map.
    """
    given = [names] if isinstance(names, str) else list(names)
    if not given:
        raise UsageError("no levels; name the nodes that the anchors stand on, e.g. P3,P4,P5")
    fields = [analysis[_resolved(analysis, name)] for name in given]
    twice = {field.name for field in fields if [other.name for other in fields].count(field.name) > 1}
    if twice:
        raise UsageError(f"level {sorted(twice)[0]!r} is named twice")
    return tuple(_level(field, name) for field, name in zip(fields, given, strict=True))


def _resolved(analysis: Analysis, name: str) -> str:
    if name in analysis or not isinstance(name, str):
        return name
    alike = [node for node in analysis if node.lower() == name.lower()]
    if len(alike) > 1:
        raise UnknownNodeError(f"level {name!r} could be any of {', '.join(alike)}; write it as it is")
    return alike[0] if alike else name


def _level(field: ReceptiveField, name: str) -> Level:
    if len(field.position_shape) != 2 or len(field.pixel_shape) != 2:
        raise NetworkError(
            f"level {name!r}: output {field.shape} of input {field.input_shape} is no two-dimensional feature map"
        )
    if 0 in field.position_shape or math.isnan(sum(field.stride)):
        raise NetworkError(f"level {name!r}: its positions see nothing of {field.pixel_shape}")
    # behind global pooling, as in squeeze-and-excitation, nothing moves; frameworks then divide image by map
    shares = [pixels / cells for pixels, cells in zip(field.pixel_shape, field.position_shape, strict=True)]
    stride = [step if math.isfinite(step) else share for step, share in zip(field.stride, shares, strict=True)]
    (height, width), (rows, columns) = field.position_shape, field.size_range
    centers = _centers(field, 0), _centers(field, 1)
    return Level(
        name, field.name, (height, width), _pair(stride), (rows, columns), centers, field.clipped_share, field.exact
    )


def _centers(field: ReceptiveField, axis: int) -> tuple[float, ...]:
    """Per phase, the pixel index of the centre less the steps taken to it."""
    bounds = field.phases(axis)
    if not np.isfinite(bounds).all():
        return (math.nan,)
    middle = bounds.mean(axis=1) - 0.5 - field.stride[axis] * np.arange(len(bounds))
    return tuple(middle.tolist())


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
    found = moments(analysis, [level.node for level in levels])
    rows = []
    for level in levels:
        middle, means = effective(analysis, level.node), found[level.node].mean
        row, column = level.grid[0] // 2, level.grid[1] // 2
        center = _center(level, means[:, column, 0], 0), _center(level, means[row, :, 1], 1)
        rows.append(Spread(_pair(middle.sigma), _pair(middle.radius()), _pair(middle.fraction), center))
    return tuple(rows)


def _pair(values: Iterable[float]) -> Pair:
    y, x = values
    return float(y), float(x)


def _center(level: Level, means: npt.NDArray[np.float64], axis: int) -> float:
    """The mean on one axis less the steps, over a period in the middle of the map."""
    n = level.grid[axis]
    period = min(max(len(level.centers[axis]), 1), n)
    first = (n - period) // 2
    steps = np.arange(first, first + period) * level.stride[axis]
    return float((means[first : first + period] - steps).mean())
