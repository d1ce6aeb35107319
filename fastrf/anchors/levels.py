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
    from fastrf.network import Network

__all__ = ["Level", "Spread", "levels_of", "spreads", "through_coarser"]

Pair = tuple[float, float]

#: At most so many names are told.
N_TOLD = 16


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

    Names that are no nodes may be keys of what one module returns: torchvision's "0", "1", "p6", "pool".
    Raises UnknownNodeError, UsageError for no names or a name twice, and NetworkError for a node that is no
    two-dimensional feature map.
    """
    given = [names] if isinstance(names, str) else list(names)
    if not given:
        raise UsageError("no levels; name the nodes that the anchors stand on, e.g. P3,P4,P5")
    names = [_resolved(analysis, name) for name in given]
    keyed = _by_keys(analysis, [name for name in names if name not in analysis])
    fields = [analysis[keyed.get(name, name)] for name in names]
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


def _by_keys(analysis: Analysis, keys: Sequence[str]) -> dict[str, str]:
    """The nodes of keys, all of one module: the outermost that returns feature maps by just these, and maybe others.

    Raises UnknownNodeError where no module does, or several at the same depth differ.
    """
    if not all(isinstance(key, str) for key in keys):
        return {}  # told by whoever asks for them
    maps = _returned_maps(analysis) if keys else {}
    found = {
        module: {key: nodes[key.lower()] for key in keys}
        for module, nodes in maps.items()
        if all(key.lower() in nodes for key in keys)
    }
    depth = min((module.count(".") for module in found), default=0)
    outermost = {module: nodes for module, nodes in found.items() if module.count(".") == depth}
    first = next(iter(outermost), None)
    if first is None and keys:
        raise UnknownNodeError(_unknown_level(analysis, keys, maps))
    if any(nodes != outermost[first or ""] for nodes in outermost.values()):
        raise UnknownNodeError(f"levels {', '.join(keys)} could be of {', '.join(outermost)}; write {first}[{keys[0]}]")
    return outermost[first] if first is not None else {}


def _returned_maps(analysis: Analysis) -> dict[str, dict[str, str]]:
    """Of every module whose last call returned several feature maps by keys, these by their keys in small letters."""
    found = {}
    for module, calls in analysis.network.returned.items():
        items = calls[max(calls)].items()
        maps = {
            item[1:-1].lower(): node
            for item, node in items
            if item.count("[") == 1 and node in analysis and len(_grid(analysis.network, node)) == 2
        }
        if len(maps) > 1:
            found[module] = maps
    return found


def _unknown_level(analysis: Analysis, keys: Sequence[str], maps: dict[str, dict[str, str]]) -> str:
    """What is wrong with levels that are not known, and what modules return by keys."""
    known = [key for nodes in maps.values() for key in nodes]
    wrong = next((key for key in keys if key.lower() not in known), keys[0])
    told = [f"level {wrong!r} is not one"]
    try:
        analysis[wrong]
    except UnknownNodeError as error:
        told = [str(error).replace("node", "level", 1)]
    for module in sorted(maps, key=lambda name: name.count("."))[:2]:
        sizes = {key: _grid(analysis.network, node) for key, node in maps[module].items()}
        keys = sorted(sizes, key=lambda key: sizes[key], reverse=True)
        told.append(f"{module!r} returns {', '.join(keys[:N_TOLD])}")
    return "; ".join(told)


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


def through_coarser(network: Network, node: str) -> tuple[int, int] | None:
    """The smallest map, of more than one position, that a level's way leads through and that is coarser than it.

    Its own stride then says nothing of how much it sees. Single positions are gates, which pyramids do not pass.
    """
    found = None
    grid = _grid(network, node)
    for before in network.needed([node]):
        other = _grid(network, before.name)
        if len(other) == len(grid) == 2 and all(1 < n < own for n, own in zip(other, grid, strict=True)):
            found = min(found or other, other)
    return None if found is None else (found[0], found[1])


def _grid(network: Network, name: str) -> tuple[int, ...]:
    axis = network.channel_axis_of(name)
    return tuple(n for k, n in enumerate(network.shape_of(name)) if k != axis)


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
