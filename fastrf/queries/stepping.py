"""Steps: how the positions along one axis go through the samples of another, and what each of them reads.

Step `o` covers the samples `[o * stride, (o + 1) * stride)`, rounded outwards to whole samples. What it reads is one
relation, whatever the other axes are: a union over all of them. `sequences` asks it how far back and ahead that goes.
"""

from __future__ import annotations

import functools
import math
import operator
from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from fractions import Fraction

import numpy as np
import numpy.typing as npt

from fastrf.engine.dependency import Dependency
from fastrf.engine.memo import remembered
from fastrf.engine.nominal import Nominal, bounds
from fastrf.engine.pieces import Piece
from fastrf.engine.relation import Relation
from fastrf.engine.stretched import Stretched
from fastrf.engine.terms import expand
from fastrf.errors import PositionError, UsageError
from fastrf.network import MAX_AXIS
from fastrf.queries.counting import joined, pieces
from fastrf.system.locks import cached_property

__all__ = ["Steps", "along", "both", "checked_axis", "followed", "minus", "steps_of"]

IntArray = npt.NDArray[np.int64]
FloatArray = npt.NDArray[np.float64]

#: Strides are fractions of at most this denominator.
_FINEST = 1 << 20


@dataclass(frozen=True)
class Steps:
    """The positions along an axis of a map, against the samples along an axis of the input.

    `relation` holds for every step (row) the samples (columns) that any position of it reads. `assumes` says why the
    stride is what it is, where the nominal field does not tell it. `alone` is whether nothing speaks for other steps.
    `offset` is where the first step begins: before the first sample for what a pad puts there.
    """

    axis: int
    stride: Fraction
    relation: Relation
    alone: bool = True
    assumes: tuple[str, ...] = ()
    offset: int = 0

    @cached_property
    def begins(self) -> IntArray:
        """int64[steps]: the first sample of each step."""
        return self.offset + np.arange(self.relation.n_rows) * self.stride.numerator // self.stride.denominator

    @cached_property
    def ends(self) -> IntArray:
        """int64[steps]: the sample behind the last one of each step."""
        past = -np.arange(1, self.relation.n_rows + 1) * self.stride.numerator
        return self.offset - past // self.stride.denominator

    @cached_property
    def short(self) -> Steps:
        """Steps of which as many read as far back and ahead, without the periods that only repeat what others do."""
        whole, stride = self.relation, self.stride
        if not isinstance(whole, Stretched) or whole.step * stride.denominator != whole.period * stride.numerator:
            return self
        return replace(self, relation=whole.unrolled(1))  # of one more period, no row behind it begins at a border

    @property
    def is_causal(self) -> bool:
        """Whether no step reads what comes after it."""
        return bool((self.short.relation.hulls[:, 1] <= self.short.ends).all())

    @property
    def leaking(self) -> Relation:
        """Of what steps read, what comes after them."""
        return remembered(("leaking", self.relation, self.stride, self.offset), self._leaking)

    def _leaking(self) -> Relation:
        indptr, start, stop = self.relation.runs
        first = np.maximum(start, np.repeat(self.ends, np.diff(indptr)))
        kept = np.flatnonzero(first < stop)
        return Relation.from_arrays(self.relation.n_cols, np.searchsorted(kept, indptr), first[kept], stop[kept])

    def bent(self, nominal: Nominal, k: int) -> Relation:
        """Of what steps read, what they would not on an unbounded input: mirrored or circular ends bring it in."""
        n = self.relation.n_cols
        low, high = (_ends(nominal, k, self.axis, high=high) for high in (False, True))
        low, high = np.where(np.isnan(low), 0, low), np.where(np.isnan(high), n, high)
        window = Relation.from_runs(n, np.clip(np.floor(low), 0, n), np.clip(np.ceil(high), 0, n))
        return minus(self.relation, window)

    def back(self, nominal: Nominal, k: int) -> float:
        """How many samples before its first one a step reads, the most of all."""
        low, high = self.short.relation.hulls.T
        far = np.where(high > 0, self.short.begins - low, 0)
        return _farthest(far, low > 0, lambda: self.nominal_back(nominal, k))

    def nominal_back(self, nominal: Nominal, k: int) -> FloatArray:
        """float64[steps]: how many samples before its first one each step reads on an unbounded input."""
        return self.begins - _ends(nominal, k, self.axis, high=False)

    def ahead(self, nominal: Nominal, k: int) -> float:
        """How many samples after its last one a step reads, the most of all."""
        high = self.short.relation.hulls[:, 1]
        free = high < self.short.relation.n_cols
        return _farthest(high - self.short.ends, free, lambda: _ends(nominal, k, self.axis, high=True) - self.ends)


def _farthest(exact: IntArray, free: npt.NDArray[np.bool_], nominal: Callable[[], FloatArray]) -> float:
    """The largest of exact numbers; what is nominal, where a border of the input cuts all that reach so far.

    `free` marks steps that no border cuts.
    """
    most = int(exact.max(initial=0))
    if most == 0 or (exact[free] == most).any():
        return most
    wide = float(nominal().max(initial=0))
    return math.nan if math.isnan(wide) else wide if math.isinf(wide) else max(most, int(wide))


def _ends(nominal: Nominal, k: int, axis: int, *, high: bool) -> FloatArray:
    """float64[steps]: where what a step reads begins or ends on an unbounded input."""
    found = np.full(nominal.shape[axis], -np.inf if high else np.inf)
    for piece in nominal.pieces:
        low, top = bounds(piece, k)
        low, top = np.where(low > top, np.inf, low), np.where(low > top, -np.inf, top)
        others = tuple(f for f in range(len(piece.sizes)) if f not in piece.axes.at(axis))
        each = top.max(axis=others) if high else low.min(axis=others)
        each = np.broadcast_to(each, piece.axes[axis]).ravel()
        place = slice(piece.offsets[axis], piece.offsets[axis] + piece.lengths[axis])
        found[place] = np.maximum(found[place], each) if high else np.minimum(found[place], each)
    return found


def both(one: Relation, other: Relation) -> Relation:
    """What both relations hold."""
    return one if one is other else _where(one, other, 3)


def minus(one: Relation, other: Relation) -> Relation:
    """What the first relation holds and the second does not."""
    return _where(one, other, 1)


def _where(one: Relation, other: Relation, wanted: int) -> Relation:
    """Where the sum of 1 for the first relation and 2 for the second is as wanted."""

    def made() -> Relation:
        indptr, cuts, bits = pieces([one, other])
        held = np.flatnonzero(bits == wanted)
        return Relation.from_arrays(one.n_cols, np.searchsorted(held, indptr), cuts[held], cuts[held + 1])

    return remembered(("where", one, other, wanted), made)


def along(dependency: Dependency, axis: int, column: int) -> Relation:
    """What any position with an index along an axis depends on, of an input axis, whatever the other axes are."""

    def made() -> Relation:
        alone = dependency
        for other in reversed(range(len(dependency.axes))):
            alone = alone if other == axis else alone.reduce(other)
        for other in reversed(range(len(dependency.input_shape))):
            alone = alone if other == column else alone.any_input(other)
        rows = range(len(alone.sizes))
        parts = [expand(joined(term, alone), rows, alone.sizes).relation for term in alone.terms]
        nothing = np.zeros(alone.shape[0], np.int64)
        return (
            functools.reduce(Relation.union, parts)
            if parts
            else Relation.from_runs(alone.input_shape[0], nothing, nothing)
        )

    return remembered(("along", dependency, axis, column), made)


def checked_axis(axis: int, n: int, name: str) -> int:
    """The number of an axis of the input, of which there are `n`. Raises PositionError."""
    try:
        given = operator.index(axis)
    except TypeError:
        given = n
    if not -n <= given < n:
        raise PositionError(f"axis {axis!r} is not one of the {n} pixel axes that {name!r} is measured against")
    return given % n


def steps_of(
    positional: Dependency, nominal: Nominal, axis: int, name: str, stride: float | Fraction | None = None
) -> Steps:
    """The steps along the axis that goes through a pixel axis.

    Which one that is and how far it goes in a step is what the nominal field tells; otherwise it is the axis of
    the same number, one sample a step if both are of the same length. `stride` says it where neither holds. Raises
    PositionError where it is not known which axis or what stride, and UsageError for a stride that is none, or another
    than the network tells.
    """
    axis = checked_axis(axis, len(positional.input_shape), name)
    going = followed(nominal, axis)
    own = next(iter(going)) if len(going) == 1 else axis
    if own >= len(positional.shape) or (going and own not in going):
        several = "several of its axes go" if going else "none of its axes goes"
        raise PositionError(f"{name!r} of positions {positional.shape} has no steps: {several} along axis {axis}")
    relation = along(positional, own, axis)
    known, alone = going.get(own, set()), len(going) < 2
    given = None if stride is None else _checked_stride(stride)
    if len(known) == 1 and (step := next(iter(known))) > 0:
        if given not in (None, step):
            raise UsageError(
                f"a step of {name!r} covers {step} samples, as the network tells; leave out stride {stride}"
            )
        return Steps(own, step, relation, alone)
    if given is not None:
        return Steps(own, given, relation, alone)
    if relation.n_rows != relation.n_cols or 0 in known:
        said = f"{relation.n_rows} steps on {relation.n_cols} samples in no regular stride"
        raise PositionError(f"{name!r} has {said}; say how many samples a step covers with stride=")
    said = f"{name!r}: a step along axis {axis} covers one sample, as there are as many steps"
    return Steps(own, Fraction(1), relation, not going, (said,))


def _checked_stride(stride: float | Fraction) -> Fraction:
    try:
        given = Fraction(stride).limit_denominator(_FINEST)
    except (TypeError, ValueError, OverflowError):
        given = Fraction(0)
    if isinstance(stride, bool) or not 0 < given <= MAX_AXIS:
        raise UsageError(f"stride must be a number of samples above 0 that an input may have, not {stride!r}")
    return given


def followed(nominal: Nominal, k: int) -> dict[int, set[Fraction]]:
    """The axes that go along an input axis, each with the steps of its parts; 0 for a part that has no one step."""
    found: dict[int, set[Fraction]] = defaultdict(set)
    for piece in nominal.pieces:
        ratios = {phase.factor: phase.ratio for phase in piece.followed(k) if phase.shift}
        for axis in {piece.axes.owners[factor] for factor in ratios}:
            found[axis].add(_step(piece, ratios, axis))
    return found


def _step(piece: Piece, ratios: Mapping[int, Fraction], axis: int) -> Fraction:
    """The step along an axis whose factors go by these ratios, where each goes on where the one inside it ends."""
    factors = [f for f in piece.axes.at(axis) if piece.sizes[f] > 1 or f in ratios]
    own = [ratios.get(f, Fraction(0)) for f in factors]
    whole = [ratio * piece.sizes[f] for f, ratio in zip(factors[1:], own[1:], strict=True)]
    return own[-1] if own[:-1] == whole else Fraction(0)
