"""Nominal receptive fields: size, stride, padding and start on an unbounded input.

Per spatial axis of the input, the hull of what each output index would read if no border cut it. It is periodic:
output `o + period` reads what `o` reads, moved by `shift` (stride = shift / period); upsampling and misaligned
branches need periods above 1, which is why one size per layer is not enough. `Nominal` has the steps of a recipe
(see `recipe.Value`), so the operators that drive `Dependency` drive it too.

Its law: what it says depends neither on the input's length nor on the order of operands. Concatenated parts stay
apart (`pieces`), merged axes keep their factors, a gate makes the size infinite and leaves the stride, and what
follows no rule is unknown (NaN, with the reason in `irregular`) rather than a number that no position has.

Source: Araujo, Norris, Sim, "Computing Receptive Fields of Convolutional Neural Networks", Distill 2019, for
period 1; the phases extend it.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import replace
from fractions import Fraction
from typing import Any, TypeVar, cast

import numpy as np
import numpy.typing as npt

from fastrf.budget import limits
from fastrf.engine.axis_map import AxisMap
from fastrf.engine.extent import NOTHING, UNBOUNDED, Extent, Phase, opened, share_cut
from fastrf.engine.factors import Factors, aligned, put
from fastrf.engine.joining import (
    continued,
    crossed,
    cut_at,
    extended,
    flat_offset,
    listed,
    parted,
    sliced,
    unknown,
    written,
)
from fastrf.engine.pieces import CHANNEL, GRID, Piece

__all__ = ["Nominal", "bounds"]

FloatArray = npt.NDArray[np.float64]
_Answer = TypeVar("_Answer")

#: A tensor in more pieces than this is not regular.
MAX_PIECES = 1 << 7
_TOO_MANY = f"more than {MAX_PIECES} parts"


class Nominal:
    """What a tensor of `shape` reads of each of `n_extents` input axes; positions in no piece read nothing."""

    __slots__ = ("_answers", "n_extents", "pieces", "shape")

    def __init__(self, shape: tuple[int, ...], pieces: Iterable[Piece], n_extents: int) -> None:
        self.shape, self.n_extents = shape, n_extents
        self._answers: dict[Hashable, Any] = {}  # norms and activations hand one value on, and all of them are asked
        found = [] if 0 in shape else [p for p in pieces if not any(extent.is_nothing for extent in p.extents)]
        self.pieces = tuple(found if len(found) <= MAX_PIECES else [unknown(shape, found, _TOO_MANY)])

    @classmethod
    def of(cls, shape: tuple[int, ...], extents: Sequence[Extent], channel_axis: int | None = None) -> Nominal:
        """One piece; factor `k` is axis `k`."""
        kinds = tuple(CHANNEL if axis == channel_axis else GRID for axis in range(len(shape)))
        piece = Piece((0,) * len(shape), Factors((n,) for n in shape), kinds, tuple(extents))
        return cls(shape, [piece], len(extents))

    @classmethod
    def identity(cls, shape: tuple[int, ...], channel_axis: int | None) -> Nominal:
        """Every element reads itself; one extent per axis that does not hold channels."""
        spatial = [axis for axis in range(len(shape)) if axis != channel_axis]
        one = np.zeros(1)
        return cls.of(shape, [Extent((Phase(axis, 1, 1),), one, one + 1) for axis in spatial], channel_axis)

    @classmethod
    def none(cls, shape: tuple[int, ...], n_extents: int) -> Nominal:
        """Nothing is read."""
        return cls(shape, (), n_extents)

    @classmethod
    def unbounded(cls, shape: tuple[int, ...], n_extents: int) -> Nominal:
        """Everything is read."""
        return cls.of(shape, (UNBOUNDED,) * n_extents)

    @property
    def nbytes(self) -> int:
        """About how much memory it takes."""
        return 2000 + sum(500 + e.low.nbytes + e.high.nbytes for piece in self.pieces for e in piece.extents)

    def __setstate__(self, state: tuple[object, dict[str, Any]]) -> None:
        """Pickles of version 0.1 hold other answers."""
        Nominal.__init__(self, *(state[1][name] for name in ("shape", "pieces", "n_extents")))

    def _once(self, question: Hashable, answer: Callable[[], _Answer]) -> _Answer:
        """The answer to a question, worked out the first time."""
        if question not in self._answers:
            self._answers[question] = answer()
        return cast("_Answer", self._answers[question])

    def _with(self, shape: tuple[int, ...], pieces: Iterable[Piece]) -> Nominal:
        return Nominal(shape, pieces, self.n_extents)

    # The steps of a recipe -------------------------------------------------------------------------------

    def map_axis(self, axis: int, axis_map: AxisMap) -> Nominal:
        """Read the axis through the map's pattern."""
        pattern, n_in = axis_map.pattern, axis_map.n_in
        single = pattern.period == 1 and pattern.high[0] == pattern.low[0] + 1 and pattern.reads is None
        same = single and (pattern.low[0], pattern.shift, axis_map.n_out) == (0, 1, n_in)
        if same and not any(piece.loses(axis, axis_map) for piece in self.pieces):
            return self
        shape = put(self.shape, axis, axis_map.n_out)
        if 0 in shape:
            return self._with(shape, ())
        pieces: list[Piece] = []
        for group in self._lines(axis):
            whole = len(group) == 1 and group[0].covers(axis, n_in)
            if whole and (runs := written(group[0], axis, axis_map)) is not None:
                pieces += [group[0].blank(axis, stop - start).moved(axis, start) for start, stop in runs]
            elif whole and not (single and pattern.shift and group[0].crosses(axis)):
                pieces.append(group[0].mapped(axis, axis_map))
            elif single and pattern.shift:
                cuts = [sliced(p, axis, int(pattern.low[0]), pattern.shift, axis_map.n_out) for p in group]
                pieces += [piece for piece in cuts if piece is not None]
            else:
                joined = extended(group, axis, n_in) or listed(group, axis, n_in) or crossed(group, axis, n_in)
                pieces.append(joined.mapped(axis, axis_map))
        return self._with(shape, pieces)

    def _lines(self, axis: int) -> list[list[Piece]]:
        """Pieces that lie on the same lines along an axis, in order; cut so that lines overlap wholly or not at all."""
        if len(self.pieces) == 1:
            return [list(self.pieces)]
        pieces = list(self.pieces)
        for other in range(len(self.shape)):
            if other != axis and len({(p.offsets[other], p.lengths[other]) for p in pieces}) > 1:
                ends = sorted({end for p in pieces for end in (p.offsets[other], p.offsets[other] + p.lengths[other])})
                pieces = [part for piece in pieces for part in cut_at(piece, other, ends)]
        if len(pieces) > MAX_PIECES:
            return [[unknown(self.shape, pieces, _TOO_MANY)]]
        lines: dict[tuple[object, ...], list[Piece]] = {}
        for piece in sorted(pieces, key=lambda p: p.offsets[axis]):
            lines.setdefault((piece.offsets[:axis], piece.offsets[axis + 1 :]), []).append(piece)
        return list(lines.values())

    def reduce(self, axis: int) -> Nominal:
        """Gather a whole axis into one index, and drop it."""
        shape = put(self.shape, axis)
        return self._once(("reduce", axis), lambda: self._overlaid(shape, [p.reduced(axis) for p in self.pieces]))

    def insert(self, axis: int, size: int) -> Nominal:
        """A new axis before `axis`, along which nothing changes."""
        shape = (*self.shape[:axis], size, *self.shape[axis:])
        return self._with(shape, [piece.inserted(axis, size) for piece in self.pieces])

    def stretch(self, axis: int, size: int) -> Nominal:
        """An axis of 1 repeated `size` times."""
        shape = put(self.shape, axis, size)
        return self._with(shape, [piece.stretched(axis, size) for piece in self.pieces])

    def permute(self, order: tuple[int, ...]) -> Nominal:
        """The axes in another order."""
        return self._with(tuple(self.shape[axis] for axis in order), [p.permuted(order) for p in self.pieces])

    def reshape(self, shape: tuple[int, ...]) -> Nominal:
        """The same elements, row-major, in another shape."""
        if 0 in shape:
            return self._with(shape, ())
        value = self
        for old, new in reversed(aligned(self.shape, shape)):
            first, lengths = old.start, [shape[axis] for axis in new]
            if [self.shape[axis] for axis in old] != lengths:
                value = value._merged(first, len(old))._apart(first, lengths)
        return value

    def _merged(self, first: int, count: int) -> Nominal:
        """Consecutive axes as one, listing what lies side by side on an inner one."""
        if count == 1:
            return self
        if count == 0:
            return self.insert(first, 1)
        lengths = self.shape[first : first + count]
        shape = (*self.shape[:first], math.prod(lengths), *self.shape[first + count :])
        pieces: list[Piece] = []
        for piece in self._contiguous(first, count).pieces:
            offset = flat_offset(piece, first, lengths)
            whole = piece if offset is not None else unknown(self.shape, [piece], "parts of an axis inside another one")
            pieces.append(whole.merged(first, count, offset or 0))
        return self._overlaid(shape, pieces)

    def _contiguous(self, first: int, count: int) -> Nominal:
        """With inner axes of several parts listed, so that every piece is one stretch of the merged axis."""
        value = self
        for axis in range(first + count - 1, first, -1):
            if all(p.covers(axis, self.shape[axis]) for p in value.pieces):
                continue
            if all(math.prod(p.lengths[first:axis]) == 1 for p in value.pieces):
                continue
            lines = value._lines(axis)
            whole = [listed(line, axis, self.shape[axis]) or crossed(line, axis, self.shape[axis]) for line in lines]
            value = value._with(self.shape, whole)
        return value

    def _apart(self, axis: int, lengths: list[int]) -> Nominal:
        """An axis as consecutive ones of these lengths."""
        shape = put(self.shape, axis, *lengths)
        if not lengths:
            return self.reduce(axis)
        return self._with(shape, [part for piece in self.pieces for part in parted(piece, axis, lengths)])

    def union(self, *others: Nominal) -> Nominal:
        """What any of the values reads."""
        return self._overlaid(self.shape, [piece for value in (self, *others) for piece in value.pieces])

    def concat(self, axis: int, *others: Nominal) -> Nominal:
        """One value after another along an axis: the parts stay apart."""
        values = (self, *others)
        starts = [0, *itertools.accumulate(value.shape[axis] for value in values)]
        shape = put(self.shape, axis, starts[-1])
        placed = [
            piece.moved(axis, piece.offsets[axis] + start)
            for value, start in zip(values, starts, strict=False)
            for piece in value.pieces
        ]
        found = self._with(shape, continued(placed, axis))
        if len(placed) > 1 and all(value.shape[axis] == 1 for value in values):
            lines = [(listed(line, axis, starts[-1]), line) for line in found._lines(axis)]
            found = self._with(shape, [p for one, line in lines for p in (line if one is None else [one])])
        return found

    def nothing(self) -> Nominal:
        """The same shape, reading nothing."""
        return self._with(self.shape, ())

    def along(self, other: Nominal) -> Nominal:
        """The same value at the places of another: where it reads everything, it still moves as the other does."""
        wide = [all(piece.extents[k].is_everything for piece in self.pieces) for k in range(self.n_extents)]
        if not self.pieces or not any(wide):
            return self
        steps = [
            replace(piece, extents=tuple(opened(e) if w else NOTHING for e, w in zip(piece.extents, wide, strict=True)))
            for piece in other.pieces
        ]
        return self._overlaid(self.shape, [*self.pieces, *steps])

    def _overlaid(self, shape: tuple[int, ...], pieces: list[Piece]) -> Nominal:
        """Pieces that may overlap, as boxes that do not."""
        boxes: dict[tuple[object, ...], list[Piece]] = {}
        for piece in pieces:
            boxes.setdefault((piece.offsets, piece.lengths), []).append(piece)
        pieces = [group[0].united(*group[1:]) if len(group) > 1 else group[0] for group in boxes.values()]
        placed: list[Piece] = []
        for piece in pieces:
            pending, k = [piece], 0
            while k < len(placed) and pending:
                missed = []
                for part in pending:
                    box = placed[k].common(part)
                    if box is None:
                        missed.append(part)
                        continue
                    (here, rest), (there, left) = placed[k].carved(box), part.carved(box)
                    placed[k] = here.united(there)
                    placed += rest
                    missed += left
                pending, k = missed, k + 1
                if len(placed) > 4 * MAX_PIECES:
                    return self._with(shape, [unknown(shape, pieces, _TOO_MANY)])
            placed += pending
        return self._with(shape, placed)

    # Questions -------------------------------------------------------------------------------------------

    def settled(self) -> Nominal:
        """The same, with pixel axes and the phases that follow them together."""
        if all(len(factors) < 2 for piece in self.pieces for factors in piece.axes):
            return self
        return self._with(self.shape, [piece.settled() for piece in self.pieces])

    def size_range(self, k: int) -> tuple[float, float]:
        """The smallest and the largest size on an input axis, over phases and parts."""
        return self._once(("size", k), lambda: self._size_range(k))

    def _size_range(self, k: int) -> tuple[float, float]:
        sizes = [piece.extents[k].sizes for piece in self.pieces] or [np.zeros(1)]
        return min(float(size.min()) for size in sizes), max(float(size.max()) for size in sizes)

    def stride(self, k: int) -> float:
        """Pixels per step: inf where no position moves, NaN where parts differ, nothing is read or it is unknown."""
        steps, listed = self._steps(k)
        if not self.pieces or len(steps) > 1 or listed:
            return math.nan
        return float(steps[0]) if steps else math.inf

    def irregular(self, k: int) -> str:
        """Why a size or stride on an input axis is unknown, or nothing."""
        reasons = [piece.extents[k].irregular for piece in self.pieces]
        steps, listed = self._steps(k)
        if len(steps) > 1:
            reasons.append(f"parts that move by {' and '.join(map(str, steps))} pixels a step")
        reasons += ["positions listed one by one"] * listed
        return next(filter(None, reasons), "")

    def _steps(self, k: int) -> tuple[list[Fraction], bool]:
        """The steps of all parts along an input axis, and whether some positions are listed one by one."""

        def answer() -> tuple[list[Fraction], bool]:
            steps = {step for piece in self.pieces if (step := _step(piece, k)) is not None}
            listed = any(_stepless(piece, k) for piece in self.pieces) or (not steps and self._differs(k))
            return sorted(steps), listed

        return self._once(("steps", k), answer)

    def _differs(self, k: int) -> bool:
        """Whether parts that read something read different things of an input axis."""
        first, *others = [e for e in (piece.extents[k] for piece in self.pieces) if not e.is_nothing] or [NOTHING]
        return any(not first.same(other) for other in others)

    def phases(self, k: int) -> FloatArray:
        """float64[n, 2]: the intervals of the first positions on an input axis, phase by phase and part by part."""

        def answer() -> FloatArray:
            extents = [piece.extents[k] for piece in sorted(self.pieces, key=lambda piece: piece.offsets)]
            rows = [np.stack([e.low.ravel(), e.high.ravel()], 1) for e in extents]
            return np.concatenate(rows or [np.array([[np.inf, -np.inf]])])

        return self._once(("phases", k), answer).copy()

    def clipped(self, pixels: Sequence[int]) -> npt.NDArray[np.bool_]:
        """bool[*shape]: where what is read reaches beyond `[0, n)` on some axis, or may; `pixels` are the sizes `n`."""
        if len(self.pieces) == 1 and self.pieces[0].lengths == self.shape:
            return np.broadcast_to(_cut(self.pieces[0], pixels), self.pieces[0].sizes).reshape(self.shape)
        found = np.zeros(self.shape, bool)
        for piece in self.pieces:
            place = tuple(slice(a, a + n) for a, n in zip(piece.offsets, piece.lengths, strict=True))
            found[place] = np.broadcast_to(_cut(piece, pixels), piece.sizes).reshape(piece.lengths)
        return found

    def clipped_share(self, pixels: Sequence[int]) -> float:
        """The share of positions that `clipped` marks; NaN where it is unknown."""
        return self._once(("clipped", *pixels), lambda: self._clipped_share(pixels))

    def _clipped_share(self, pixels: Sequence[int]) -> float:
        if any(extent.irregular and not extent.is_everything for p in self.pieces for extent in p.extents):
            return math.nan
        total = sum(_cut_share(piece, pixels) * math.prod(piece.lengths) for piece in self.pieces)
        return total / math.prod(self.shape) if self.pieces else 0.0


def _step(piece: Piece, k: int) -> Fraction | None:
    """How far a piece moves along an input axis per step of the pixel axis it follows; None where it does not.

    Windows that tile their axis are that axis: its step is that of the pixels within them.
    """
    phases = [phase for phase in piece.followed(k) if phase.shift]
    grid = [phase for phase in phases if piece.kinds[phase.factor] == GRID]
    if not phases:
        return None
    step = min((phase.ratio for phase in grid or phases), key=abs)
    for phase in sorted(phases, key=lambda phase: -abs(phase.ratio)):
        if phase.ratio * piece.sizes[phase.factor] == step:
            step = phase.ratio
    return step


def _stepless(piece: Piece, k: int) -> bool:
    """Whether positions are listed along a pixel axis, or where nothing else moves, or move in an unknown way."""
    phases = piece.followed(k)
    still = not any(phase.shift for phase in phases)
    return any(not p.shift and (p.period == 1 or still or piece.kinds[p.factor] == GRID) for p in phases)


def bounds(piece: Piece, k: int) -> tuple[FloatArray, FloatArray]:
    """What each position of a piece reads of an input axis, `[low, high)`: float64 open meshes over the factors."""
    extent, sizes = piece.extents[k], piece.sizes
    used = {phase.factor for phase in extent.phases if phase.matters}
    longest = max((sizes[f] for f in used), default=0)
    limits.require("axis", longest, f"an axis has {longest} indices")
    index = [
        np.arange(n if f in used else 1).reshape([-1 if k == f else 1 for k in range(len(sizes))])
        for f, n in enumerate(sizes)
    ]
    low, high = extent.at(index)
    shape = low.shape if low.ndim == len(sizes) else (1,) * len(sizes)
    return low.reshape(shape), high.reshape(shape)


def _cut_on(piece: Piece, k: int, n: int) -> npt.NDArray[np.bool_]:
    """Where one extent reaches beyond `[0, n)`, or is unknown, as an open mesh over all factors."""
    low, high = bounds(piece, k)
    return ~(low > high) & ~((low >= 0) & (high <= n))


def _cut(piece: Piece, pixels: Sequence[int]) -> npt.NDArray[np.bool_]:
    """Where any extent does."""
    cut = np.zeros((1,) * len(piece.sizes), bool)
    for k in sorted(range(len(pixels)), key=lambda k: len(piece.extents[k].phases)):
        cut = cut | _cut_on(piece, k, pixels[k])
        if cut.all():
            return cut[(slice(0, 1),) * cut.ndim]
    return cut


def _cut_share(piece: Piece, pixels: Sequence[int]) -> float:
    """The share of a piece's positions where any extent does, without marking them where the axes are independent."""
    factors = [phase.factor for extent in piece.extents for phase in extent.phases]
    if len(set(factors)) < len(factors):
        return float(_cut(piece, pixels).mean())
    whole = 1.0
    for k, n in enumerate(pixels):
        share = share_cut(piece.extents[k], piece.sizes, n)
        whole *= 1.0 - (float(_cut_on(piece, k, n).mean()) if share is None else share)
    return 1.0 - whole
