"""Context: how much a stream has to hold back and wait for, as one record; and which nodes keep all that came before.

A node keeps state where what it reads of an axis has no end, though what each of its inputs reads has: attention over
all earlier steps, recurrence, statistics. `kept` walks a network with those nodes taken step by step, so that what the
rest reads, its convolutions, is a number.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from fastrf.engine.nominal import Nominal
from fastrf.engine.recipe import Recipe
from fastrf.errors import UsageError
from fastrf.queries.stepping import followed

__all__ = ["Context", "Kept", "StepByStep", "checked_rate"]


@dataclass(frozen=True)
class Context:
    """What the steps along an axis read, in samples: of input pixels along that axis.

    A step covers `step` samples; `lookback` and `lookahead` are how far before and after them it reads, the most of all
    steps, `inf` where that has no end. It can be worked out `latency` samples after its own first one came in, which is
    `lookahead + step`; tiles and chunks may begin every `period` samples. `unbounded_at` names the nodes on the way
    that keep state, whose look-back has no end, and `bounded_lookback` is that of all others together, NaN where it is
    not known. `seconds` has the same by name, divided by `sample_rate`; it is empty without a rate.
    """

    lookback: float
    lookahead: float
    latency: float
    step: float
    period: float
    is_causal: bool
    bounded_lookback: float
    unbounded_at: tuple[str, ...] = ()
    sample_rate: float | None = None
    exact: bool = True
    assumes: tuple[str, ...] = field(default=(), repr=False)

    @property
    def seconds(self) -> Mapping[str, float]:
        """`lookback`, `lookahead`, `latency`, `step`, `period` and `bounded_lookback` in seconds."""
        if self.sample_rate is None:
            return {}
        names = ("lookback", "lookahead", "latency", "step", "period", "bounded_lookback")
        return {name: getattr(self, name) / self.sample_rate for name in names}


def checked_rate(rate: float | None) -> float | None:
    """Samples per second, or None. Raises UsageError for what is no rate."""
    if rate is None:
        return None
    try:
        given = float(rate)
    except (TypeError, ValueError):
        given = math.nan
    if not 0 < given < math.inf:
        raise UsageError(f"sample_rate must be a number of samples per second above 0, not {rate!r}")
    return given


class Kept(NamedTuple):
    """The nodes on the way to one that keep state along an axis, and its nominal field with these step by step."""

    nodes: tuple[str, ...]
    nominal: Nominal


class StepByStep:
    """How recipes are carried out along a network, nodes that keep state along an axis taken step by step.

    `carry` and `finish` are called in turn, node by node; `nodes` lists those that keep state.
    """

    def __init__(
        self,
        axis: int,
        carry: Callable[[Recipe, Sequence[Nominal]], Nominal],
        finish: Callable[[str, Nominal], Nominal],
    ) -> None:
        self.axis, self._carry, self._finish = axis, carry, finish
        self.nodes: list[str] = []
        self._read: Sequence[Nominal] = ()
        self._scores: dict[int, tuple[Nominal, ...]] = {}  # of pairs of steps: what they are made of
        self._held: list[Nominal] = []  # their numbers are no others'

    def carry(self, recipe: Recipe, values: Sequence[Nominal]) -> Nominal:
        """Carry the steps of a recipe out."""
        self._read = values
        return self._carry(recipe, values)

    def finish(self, name: str, value: Nominal) -> Nominal:
        """The value of the node whose recipe was carried out last."""
        value = self._finish(name, value)
        read = [each for one in self._read for each in self._scores.get(id(one), (one,))]
        if _is_plain(value, self.axis) or not all(_is_plain(one, self.axis) for one in read):
            return value
        if len(followed(value.settled(), self.axis)) > 1:
            self._scores[id(value)] = tuple(read)
            self._held.append(value)
            return value
        self.nodes.append(name)
        return _each_step(value, read, self.axis) or value


def _is_plain(nominal: Nominal, k: int) -> bool:
    """Whether it is known how far every position reads along an axis, and has an end."""
    return all(np.isfinite(e.sizes).all() for piece in nominal.pieces for e in [piece.extents[k]])


def _each_step(value: Nominal, read: Sequence[Nominal], k: int) -> Nominal | None:
    """A value of the same shape of which every step reads its own step of the inputs; None where it is not known."""
    axes = list(followed(value.settled(), k))
    parts = [part for part in (_alone(one, k) for one in read if one.pieces) if part is not None]
    whole = parts[0].union(*parts[1:]) if parts and len({part.shape for part in parts}) == 1 else None
    if whole is None or len(axes) != 1 or whole.shape != (value.shape[axes[0]],):
        return None
    for axis, size in enumerate(value.shape):
        whole = whole if axis == axes[0] else whole.insert(axis, size)
    return whole


def _alone(nominal: Nominal, k: int) -> Nominal | None:
    """What the one axis that goes along an input axis reads, whatever the others are."""
    axes = list(followed(nominal.settled(), k))
    if len(axes) != 1:
        return None
    for axis in reversed(range(len(nominal.shape))):
        nominal = nominal if axis == axes[0] else nominal.reduce(axis)
    return nominal
