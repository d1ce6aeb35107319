"""What a field says of an unbounded input: nominal size, stride, start, and which positions a border cuts.

And of sequences: how far back and ahead the steps along an axis read, and which of them read the future.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from fractions import Fraction
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from fastrf.budget import require_memory
from fastrf.engine.nominal import Nominal
from fastrf.queries.centers import centers

if TYPE_CHECKING:
    from fastrf.engine.dependency import Dependency
    from fastrf.queries.context import Context, Kept
    from fastrf.queries.stepping import Steps

__all__ = ["Sequential", "Unbounded"]

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


class Sequential(Unbounded):
    """The part of a ReceptiveField that speaks of steps along an axis (see `fastrf.queries.stepping`).

    `axis` is an axis of the pixels, 0 the first one; steps are the positions along the axis that goes through it. Step
    `o` covers the samples `[o * stride, (o + 1) * stride)`, rounded outwards to whole samples. `stride` says how many
    samples a step covers where the nominal field does not; without it, one, where there are as many steps as samples.
    All raise PositionError for an axis without steps or of no known stride, and UsageError for a stride that is none or
    another than the network tells.
    """

    name: str
    assumes: tuple[str, ...]

    @property
    @abstractmethod
    def positional(self) -> Dependency:
        """Which pixels, in any channel, any channel at each position depends on."""

    @property
    @abstractmethod
    def periods(self) -> tuple[int, ...]:
        """Per pixel axis, the smallest move of the input that moves every value on the way here by whole steps."""

    @property
    @abstractmethod
    def exact(self) -> bool:
        """Whether every step from the input to here was exact."""

    @abstractmethod
    def _kept(self, axis: int) -> Kept | None:
        """What keeps state along a pixel axis; None where the network is not at hand."""

    def lookback(self, axis: int = 0, *, stride: float | Fraction | None = None) -> float:
        """How many samples before its own first one a step reads, the most of all steps.

        Exact over all steps. Where the beginning of the input cuts all those that reach so far, it is what they would
        read on an unbounded input: `inf` behind attention or recurrence, NaN where that is unknown.
        """
        return self._steps(axis, stride).back(self.nominal, self._pixel_axis(axis))

    def lookahead(self, axis: int = 0, *, stride: float | Fraction | None = None) -> float:
        """How many samples after its own last one a step reads, the most of all steps; as `lookback`."""
        return self._steps(axis, stride).ahead(self.nominal, self._pixel_axis(axis))

    def is_causal(self, axis: int = 0, *, stride: float | Fraction | None = None) -> bool:
        """Whether no step reads a sample after its own last one: looked at for all steps at once.

        A proof where it is true; a field that is not `exact` may read less than it says, so false may be a false alarm.
        """
        return self._steps(axis, stride).is_causal

    def leaks(
        self, axis: int = 0, *, stride: float | Fraction | None = None, runs: bool = False
    ) -> npt.NDArray[np.int64]:
        """int64[n, 2]: every pair of a step and a later sample that it reads, in order.

        With `runs`, int64[n, 3]: a step, and the half-open interval of later samples, which is all of them in few rows.
        Raises LimitError where the pairs would not fit into memory.
        """
        from fastrf.queries.leaks import listed

        return listed(self._steps(axis, stride).leaking, runs=runs)

    def context(
        self, sample_rate: float | None = None, axis: int = 0, *, stride: float | Fraction | None = None
    ) -> Context:
        """Look-back, look-ahead, latency, step and period as one record; in seconds, too, given samples per second.

        Raises UsageError for a rate that is none.
        """
        from fastrf.queries.context import Context, Kept, checked_rate

        rate, k = checked_rate(sample_rate), self._pixel_axis(axis)
        steps = self._steps(axis, stride)
        back, ahead, step = steps.back(self.nominal, k), steps.ahead(self.nominal, k), _plain(float(steps.stride))
        kept = Kept((), self.nominal) if math.isfinite(back) else self._kept(k)
        bounded = back
        if kept is not None and not math.isfinite(back):
            bounded = max(float(steps.nominal_back(kept.nominal, k).max(initial=0)), 0)
        return Context(
            lookback=back,
            lookahead=ahead,
            latency=ahead + step,
            step=step,
            period=self.periods[k],
            is_causal=steps.is_causal,
            bounded_lookback=_plain(bounded) if math.isfinite(bounded) else math.nan,
            unbounded_at=() if kept is None else kept.nodes,
            sample_rate=rate,
            exact=self.exact,
            assumes=(*self.assumes, *steps.assumes),
        )

    def _pixel_axis(self, axis: int) -> int:
        from fastrf.queries.stepping import checked_axis

        return checked_axis(axis, len(self.pixel_shape), self.name)

    def _steps(self, axis: int, stride: float | Fraction | None) -> Steps:
        from fastrf.queries.stepping import steps_of

        return steps_of(self.positional, self.nominal, axis, self.name, stride)


def _plain(value: float) -> float:
    """An integer where it is one."""
    return int(value) if math.isfinite(value) and float(value).is_integer() else float(value)
