"""Halo: the context a tile needs so that inference on tiles equals inference on the whole image.

The alignment cannot be read off a field's phases: a wide branch may hide that a narrow one goes in steps. So
`Aligned` is a third value that recipes are replayed on, next to `Dependency` and `Nominal`; `analysis` does so when
`ReceptiveField.halo` is asked for.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from fastrf.engine.axis_map import AxisMap
from fastrf.engine.dependency import Dependency
from fastrf.engine.nominal import Nominal, bounds
from fastrf.queries import counting, masks

__all__ = ["Aligned", "Halo", "follows", "goes_around", "halo_of"]


@dataclass(frozen=True)
class Halo:
    """Context in pixels before and after a tile, and how far apart tiles may begin, per axis.

    `period` pixels make `positions` positions. For positions `[a * positions, b * positions)`, run the network on
    pixels `[a * period - before, b * period + after)`, both rounded outwards to whole periods (`aligned`) and cut at
    the image's edges. `inf` means that only the whole image will do; `unbounded_at` names the nodes that make it so,
    the first on each way from the input (none where the network is not at hand, as for a loaded field).
    """

    before: tuple[float, ...]
    after: tuple[float, ...]
    period: tuple[int, ...]
    positions: tuple[int, ...]
    unbounded_at: tuple[str, ...] = ()

    @property
    def is_bounded(self) -> bool:
        """Whether tiles need less than the whole image on every axis."""
        return all(math.isfinite(size) for size in (*self.before, *self.after))

    @property
    def aligned(self) -> tuple[tuple[float, float], ...]:
        """Per axis `before` and `after`, rounded up to whole periods."""
        return tuple(
            (_up(low, step), _up(high, step))
            for low, high, step in zip(self.before, self.after, self.period, strict=True)
        )


def _up(size: float, step: int) -> float:
    return size if math.isinf(size) else -(-int(size) // step) * step


def halo_of(nominal: Nominal, periods: tuple[int, ...]) -> Halo:
    """The halo of positions whose nominal field and steps are given, for the axes that positions and pixels share."""
    found = [_along(nominal, axis, period) for axis, period in enumerate(periods[: len(nominal.shape)])]
    before, after, period, positions = zip(*found, strict=True) if found else ((), (), (), ())
    return Halo(before, after, period, positions)


def follows(nominal: Nominal, axis: int, exact: npt.NDArray[np.int64]) -> bool:
    """Whether what is read at the borders, `exact` intervals along an axis, lies inside the nominal field, too."""
    hulls = [[part.ravel() for part in bounds(piece, axis)] for piece in nominal.pieces]
    return all(
        low.size in (1, len(exact))
        and bool((((exact[:, 0] >= low) & (exact[:, 1] <= high)) | (exact[:, 1] == 0)).all())
        for low, high in hulls
    )


def goes_around(positional: Dependency, axis: int, period: int, positions: int) -> bool:
    """Whether an axis is circular: what reads `period` pixels further on, modulo its length, is `positions` further on.

    Both ends included, so that no border shows in what depends on what.
    """
    n_out, n_in = positional.shape[axis], positional.input_shape[axis]
    if n_in % period or n_out != n_in // period * positions:
        return False
    found = masks.to_csr(counting.along(positional, axis)).tocoo()
    row, col = found.row.astype(np.int64), found.col.astype(np.int64)
    moved = (row + positions) % n_out * n_in + (col + period) % n_in
    return np.array_equal(np.sort(row * n_in + col), np.sort(moved))


def _along(nominal: Nominal, axis: int, period: int) -> tuple[float, float, int, int]:
    """Before, after, period and positions along one axis."""
    unknown = math.inf, math.inf, period, 1
    steps = set()
    for piece in nominal.pieces:
        phases = piece.extents[axis].phases
        if len(phases) != 1 or [phases[0].factor] != list(piece.axes.at(axis)) or phases[0].shift <= 0:
            return unknown
        if not piece.covers(axis, nominal.shape[axis]):
            return unknown
        steps.add(phases[0].ratio)
        period = math.lcm(period, phases[0].shift)
    if len(steps) != 1:
        return unknown
    positions = int(period / steps.pop())
    before, after = 0.0, float(period)
    for piece in nominal.pieces:
        tiled = piece.extents[axis].tiled(0, positions)
        if tiled is None or np.isnan(tiled.low).any():
            return unknown
        read = tiled.low <= tiled.high
        before, after = tiled.low[read].min(initial=before), tiled.high[read].max(initial=after)
    return _plain(-before), _plain(after - period), period, positions


def _plain(size: float) -> float:
    return math.inf if math.isinf(size) else int(size)


def _step(kind: str) -> Callable[..., Aligned]:
    """A step of a recipe that moves nothing by itself: the periods are those of its operands together."""

    def step(self: Aligned, *arguments: Any) -> Aligned:
        others = [value for value in arguments if isinstance(value, Aligned)]
        plain = [value.nominal if isinstance(value, Aligned) else value for value in arguments]
        periods = [math.lcm(*each) for each in zip(self.periods, *(other.periods for other in others), strict=True)]
        return Aligned(getattr(self.nominal, kind)(*plain), tuple(periods))

    return step


class Aligned:
    """A Nominal, and per extent the smallest move of the input that moves every value on the way by whole steps."""

    __slots__ = ("nominal", "periods")

    def __init__(self, nominal: Nominal, periods: tuple[int, ...] | None = None) -> None:
        self.nominal = nominal
        self.periods = tuple(
            math.lcm(period, *(abs(p.shift) or 1 for piece in nominal.pieces for p in piece.extents[k].phases))
            for k, period in enumerate(periods or (1,) * nominal.n_extents)
        )

    def map_axis(self, axis: int, axis_map: AxisMap) -> Aligned:
        """Read the axis through the map."""
        shift, periods = axis_map.pattern.shift, list(self.periods)
        for piece in self.nominal.settled().pieces:
            at = piece.axes.at(axis)
            for k, extent in enumerate(piece.extents):
                for phase in extent.phases:
                    if phase.factor in at and shift and phase.shift:
                        turns = phase.period // math.gcd(phase.period, shift)
                        periods[k] = math.lcm(periods[k], turns * shift * phase.shift // phase.period)
        return Aligned(self.nominal.map_axis(axis, axis_map), tuple(periods))

    reduce, insert, stretch = _step("reduce"), _step("insert"), _step("stretch")
    permute, reshape, along = _step("permute"), _step("reshape"), _step("along")
    union, concat = _step("union"), _step("concat")

    def nothing(self) -> Aligned:
        """The same shape, reading nothing."""
        return Aligned(self.nominal.nothing())
