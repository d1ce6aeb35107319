"""What a field says of sequences: how far back and ahead its steps read, and which of them read the future."""

from __future__ import annotations

import math
from abc import abstractmethod
from fractions import Fraction

import numpy as np
import numpy.typing as npt

from fastrf.engine.dependency import Dependency
from fastrf.queries.context import Context, Kept, checked_rate
from fastrf.queries.leaks import listed
from fastrf.queries.stepping import Steps, checked_axis, steps_of
from fastrf.queries.unbounded import Unbounded

__all__ = ["Sequential"]


class Sequential(Unbounded):
    """The part of a ReceptiveField that speaks of steps along an axis (see `fastrf.queries.stepping`).

    `axis` is an axis of the pixels, 0 the first one; steps are the positions along the axis that goes through it. Step
    `o` covers the samples `[o * stride, (o + 1) * stride)`, rounded outwards to whole samples. `stride` says how many
    samples a step covers where the nominal field does not; without it, one, where there are as many steps as samples.
    All raise PositionError for an axis without steps or of no known stride, and UsageError for a stride that is none.
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
        return listed(self._steps(axis, stride).leaking, runs=runs)

    def context(
        self, sample_rate: float | None = None, axis: int = 0, *, stride: float | Fraction | None = None
    ) -> Context:
        """Look-back, look-ahead, latency, step and period as one record; in seconds, too, given samples per second.

        Raises UsageError for a rate that is none.
        """
        rate, k = checked_rate(sample_rate), self._pixel_axis(axis)
        steps = self._steps(axis, stride)
        back, ahead, step = steps.back(self.nominal, k), steps.ahead(self.nominal, k), _plain(steps.stride)
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
        return checked_axis(axis, len(self.pixel_shape), self.name)

    def _steps(self, axis: int, stride: float | Fraction | None) -> Steps:
        return steps_of(self.positional, self.nominal, axis, self.name, stride)


def _plain(value: float | Fraction) -> float:
    """An integer where it is one."""
    return int(value) if value == int(value) else float(value)
