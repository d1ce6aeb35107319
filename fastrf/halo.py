"""Halo: the context a tile needs so that inference on tiles equals inference on the whole image.

The alignment cannot be read off a field's phases: a wide branch may hide that a narrow one goes in steps. So
`Aligned` is a third value that recipes are replayed on, next to `Dependency` and `Nominal`; `analysis` does so when
`ReceptiveField.halo` is asked for.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from fastrf.axis_map import AxisMap
from fastrf.nominal import Nominal

__all__ = ["Aligned", "Halo", "halo_of"]


@dataclass(frozen=True)
class Halo:
    """Context in pixels before and after a tile, and how far apart tiles may begin, per axis.

    `period` pixels make `positions` positions. For positions `[a * positions, b * positions)`, run the network on
    pixels `[a * period - before, b * period + after)`, both rounded outwards to whole periods (`aligned`) and cut at
    the image's edges. `inf` means that only the whole image will do.
    """

    before: tuple[float, ...]
    after: tuple[float, ...]
    period: tuple[int, ...]
    positions: tuple[int, ...]

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
    found = [_along(nominal, axis, period) for axis, period in enumerate(periods[: len(nominal.axes)])]
    before, after, period, positions = zip(*found, strict=True) if found else ((), (), (), ())
    return Halo(before, after, period, positions)


def _along(nominal: Nominal, axis: int, period: int) -> tuple[float, float, int, int]:
    """Before, after, period and positions along one axis."""
    whole = nominal.fused()
    extent = whole.extents[axis]
    if len(extent.phases) != 1 or extent.phases[0].factor != axis or extent.phases[0].shift <= 0:
        return math.inf, math.inf, period, 1
    phase = extent.phases[0]
    period = math.lcm(period, phase.shift)
    extent = extent.tiled(0, period // phase.shift * phase.period)
    if not extent.phases:
        return math.inf, math.inf, period, 1
    read = extent.low <= extent.high
    low, high = extent.low[read].min(initial=0), extent.high[read].max(initial=period)
    return _plain(-low), _plain(high - period), period, extent.phases[0].period


def _plain(size: float) -> float:
    return math.inf if math.isinf(size) else int(size)


class Aligned:
    """A Nominal, and per extent the smallest move of the input that moves every value on the way by whole steps."""

    __slots__ = ("nominal", "periods")

    def __init__(self, nominal: Nominal, periods: tuple[int, ...] | None = None) -> None:
        self.nominal = nominal
        self.periods = tuple(
            math.lcm(period, *(phase.shift or 1 for phase in extent.phases))
            for period, extent in zip(periods or (1,) * len(nominal.extents), nominal.extents, strict=True)
        )

    def map_axis(self, axis: int, axis_map: AxisMap) -> Aligned:
        """Read the axis through the map."""
        whole = self.nominal.fused()
        factor, shift = axis, axis_map.pattern.shift
        periods = list(self.periods)
        for k, extent in enumerate(whole.extents):
            at = extent.find(factor)
            if at is not None and shift and extent.phases[at].shift:
                phase = extent.phases[at]
                turns = phase.period // math.gcd(phase.period, shift)
                periods[k] = math.lcm(periods[k], turns * shift * phase.shift // phase.period)
        return Aligned(self.nominal.map_axis(axis, axis_map), tuple(periods))

    def reduce(self, axis: int) -> Aligned:
        """Gather a whole axis into one index, and drop it."""
        return Aligned(self.nominal.reduce(axis), self.periods)

    def insert(self, axis: int, size: int) -> Aligned:
        """A new axis before `axis`, along which nothing changes."""
        return Aligned(self.nominal.insert(axis, size), self.periods)

    def stretch(self, axis: int, size: int) -> Aligned:
        """An axis of 1 repeated `size` times."""
        return Aligned(self.nominal.stretch(axis, size), self.periods)

    def permute(self, order: tuple[int, ...]) -> Aligned:
        """The axes in another order."""
        return Aligned(self.nominal.permute(order), self.periods)

    def reshape(self, shape: tuple[int, ...]) -> Aligned:
        """The same elements, row-major, in another shape."""
        return Aligned(self.nominal.reshape(shape), self.periods)

    def union(self, *others: Aligned) -> Aligned:
        """What any of the values reads."""
        return Aligned(self.nominal.union(*(other.nominal for other in others)), self._common(others))

    def concat(self, axis: int, *others: Aligned) -> Aligned:
        """One value after another along an axis."""
        return Aligned(self.nominal.concat(axis, *(other.nominal for other in others)), self._common(others))

    def nothing(self) -> Aligned:
        """The same shape, reading nothing."""
        return Aligned(self.nominal.nothing())

    def _common(self, others: tuple[Aligned, ...]) -> tuple[int, ...]:
        return tuple(math.lcm(*periods) for periods in zip(*(v.periods for v in (self, *others)), strict=True))
