"""What a field says of an unbounded input: nominal size, stride, start, and which positions a border cuts."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod

import numpy as np
import numpy.typing as npt

from fastrf.budget import require_memory
from fastrf.engine.nominal import Nominal
from fastrf.queries.centers import centers

__all__ = ["Unbounded"]

Mask = npt.NDArray[np.bool_]


class Unbounded(ABC):
    """The part of a ReceptiveField that its nominal field answers (see `fastrf.engine.nominal`)."""

    @property
    @abstractmethod
    def position_shape(self) -> tuple[int, ...]:
        """The shape of the map without channels."""

    @property
    @abstractmethod
    def pixel_shape(self) -> tuple[int, ...]:
        """The shape of the input without channels."""

    @property
    @abstractmethod
    def nominal(self) -> Nominal:
        """The unbounded field of the positions, per pixel axis."""

    @property
    def size(self) -> tuple[float, ...]:
        """Nominal size per pixel axis in pixels: the largest over output phases and parts.

        `inf` where unbounded, NaN where it is not regular (see `irregular`). It depends neither on the input's length
        nor on the order of operands. A map of concatenated parts, such as the levels of a detector, has several sizes.
        """
        return tuple(high for _, high in self.size_range)

    @property
    def size_range(self) -> tuple[tuple[float, float], ...]:
        """Per pixel axis, the smallest and largest nominal size over output phases and parts; NaN as in `size`."""
        ranges = [self.nominal.size_range(k) for k in range(len(self.pixel_shape))]
        return tuple((_plain(low), _plain(high)) for low, high in ranges)

    @property
    def stride(self) -> tuple[float, ...]:
        """Effective stride (jump) per pixel axis: pixels per step of the position along the axis that follows it.

        Where several pixel axes are merged into one (tokens), it is the step of each on its own grid. A gate, norm or
        attention that reads everything leaves it. `inf` where no position follows the axis; NaN where parts of an axis
        have different strides, where positions are listed in no order, or where nothing is read: see `irregular`.
        """
        return tuple(_plain(self.nominal.stride(k)) for k in range(len(self.pixel_shape)))

    @property
    def irregular(self) -> tuple[str, ...]:
        """Per pixel axis, why `size` or `stride` is NaN; empty where neither is, or where nothing is read."""
        return tuple(self.nominal.irregular(k) for k in range(len(self.pixel_shape)))

    @property
    def padding(self) -> tuple[float, ...]:
        """Effective padding per pixel axis: how far the first field that is not empty begins before the input."""
        return tuple(math.nan if low > high else _plain(-low) for low, high in self._first)

    @property
    def start(self) -> tuple[float, ...]:
        """Centre of the field of the first position that reads anything, per pixel axis; 0.5 is the centre of pixel 0.

        NaN where unbounded or not regular. Where `size_range` has two sizes, other phases may lie elsewhere: see
        `phases`.
        """
        return tuple(math.nan if math.isinf(low) or math.isinf(high) else (low + high) / 2 for low, high in self._first)

    def phases(self, axis: int) -> npt.NDArray[np.float64]:
        """float64[period, 2]: the nominal intervals `[low, high)` of the first positions along a pixel axis.

        They repeat from there on, moved by `period * stride`; one row where every position has the same size. Those of
        concatenated parts follow each other.
        """
        return self.nominal.phases(axis)

    @property
    def center(self) -> tuple[float, ...]:
        """`start - 0.5`: the pixel index of the centre (Araujo et al. 2019)."""
        return tuple(start - 0.5 for start in self.start)

    def centers(self) -> npt.NDArray[np.float64]:
        """float64[*out, ndim]: `center` of every position; NaN where it reads nothing, without end or by no rule."""
        return centers(self.nominal)

    @property
    def _first(self) -> list[tuple[float, float]]:
        return [(float(low), float(high)) for low, high in (self.phases(k)[0] for k in range(len(self.pixel_shape)))]

    def clipped(self) -> Mask:
        """bool[*out]: whether a border of the input cuts the nominal field of each position.

        A position that sees nothing is not cut; an unbounded field, and one that is not regular, always is.
        """
        n = math.prod(self.position_shape)
        require_memory(2 * n, f"marks of {n} positions", "use clipped_share")
        return self.nominal.clipped(self.pixel_shape)

    @property
    def clipped_share(self) -> float:
        """The share of positions that `clipped` marks, from 0 to 1; NaN where the field is not regular."""
        return self.nominal.clipped_share(self.pixel_shape)


def _plain(value: float) -> float:
    """An integer where it is one."""
    return int(value) if math.isfinite(value) and float(value).is_integer() else float(value)
