"""Piece: the extents of a box of a tensor, which follow one rule; `nominal` holds a tensor as several of them.

An axis of a box is a list of *factors*, as in `Dependency`, but never fused for convenience: two axes of the grid that
are merged keep what each says. What a factor is decides what gathering it means.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from fastrf.engine import axis_map as maps
from fastrf.engine.axis_map import AxisMap
from fastrf.engine.extent import (
    MAX_TABLE,
    Extent,
    Phase,
    fused,
    gathered,
    irregular,
    mapped,
    read_exactly,
    split,
    united,
)
from fastrf.engine.regular import factored
from fastrf.system.locks import cached_property

__all__ = ["CHANNEL", "FIXED", "GRID", "Piece"]

#: Channels that are written in more stretches than this are taken for one.
MAX_RUNS = 8

#: Factors: windows, repetitions and lists, which do not grow with the input; channels; pixel axes.
FIXED, CHANNEL, GRID = range(3)


@dataclass(frozen=True, eq=False)
class Piece:
    """A box that begins at `offsets`; `axes` are its factors' sizes, `kinds` says what each of them is."""

    offsets: tuple[int, ...]
    axes: tuple[tuple[int, ...], ...]
    kinds: tuple[int, ...]
    extents: tuple[Extent, ...]

    @cached_property
    def sizes(self) -> tuple[int, ...]:
        """Of all factors."""
        return tuple(itertools.chain.from_iterable(self.axes))

    @cached_property
    def lengths(self) -> tuple[int, ...]:
        """The box's shape."""
        return tuple([math.prod(factors) for factors in self.axes])

    @cached_property
    def moving(self) -> frozenset[int]:
        """Factors that matter to some extent."""
        return frozenset(phase.factor for extent in self.extents for phase in extent.phases)

    @cached_property
    def fixed(self) -> frozenset[int]:
        """Factors that do not grow with the input."""
        return frozenset(f for f, kind in enumerate(self.kinds) if kind != GRID)

    def factors(self, axis: int) -> range:
        """The numbers of an axis' factors."""
        first = sum(map(len, self.axes[:axis]))
        return range(first, first + len(self.axes[axis]))

    def matters(self, axis: int) -> bool:
        """Whether anything that is read changes along an axis."""
        return not self.moving.isdisjoint(self.factors(axis))

    def covers(self, axis: int, length: int) -> bool:
        """Whether the box goes over the whole of an axis of this length."""
        return self.offsets[axis] == 0 and self.lengths[axis] == length

    def moved(self, axis: int, offset: int) -> Piece:
        """The box at another place along an axis."""
        return replace(self, offsets=(*self.offsets[:axis], offset, *self.offsets[axis + 1 :]))

    # Factors ---------------------------------------------------------------------------------------------

    def _changed(self, axis: int, factors: Sequence[int], kinds: Sequence[int], extents: Iterable[Extent]) -> Piece:
        """With other factors on an axis, whose extents are numbered accordingly."""
        old = self.factors(axis)
        return Piece(
            self.offsets,
            (*self.axes[:axis], tuple(factors), *self.axes[axis + 1 :]),
            (*self.kinds[: old.start], *kinds, *self.kinds[old.stop :]),
            tuple(extents),
        )

    def _cut_factor(self, axis: int, k: int, inner: int) -> Piece:
        """The `k`-th factor of an axis as two."""
        at, factors = self.factors(axis), self.axes[axis]
        position = at.start + k
        new = [f + (f > position) for f in range(len(self.sizes))]
        kind = self.kinds[position]
        kinds = [*self.kinds[at.start : position], kind, FIXED if kind == GRID else kind]
        return self._changed(
            axis,
            (*factors[:k], factors[k] // inner, inner, *factors[k + 1 :]),
            [*kinds, *self.kinds[position + 1 : at.stop]],
            [split(extent, position, inner, new) for extent in self.extents],
        )

    def _fuse_factors(self, axis: int, k: int) -> Piece:
        """The `k`-th factor of an axis and the next one as one."""
        at, factors = self.factors(axis), self.axes[axis]
        position, inner = at.start + k, factors[k + 1]
        new = [f - (f > position) for f in range(len(self.sizes))]
        kind, within = self.kinds[position], self.kinds[position + 1]
        single = position if factors[k] == 1 else position + 1 if inner == 1 else None
        extents = []
        for extent in self.extents:
            one = (
                fused(extent, position, inner, regular=within != GRID)
                if single is None
                else gathered(extent, single, 1, True)
            )
            extents.append(one.renumbered(new))
        kinds = [*self.kinds[at.start : position], max(kind, within), *self.kinds[position + 2 : at.stop]]
        return self._changed(axis, (*factors[:k], factors[k] * inner, *factors[k + 2 :]), kinds, extents)

    def _drop_factor(self, axis: int, k: int) -> Piece:
        """Without the `k`-th factor of an axis, which has one index."""
        at, factors = self.factors(axis), self.axes[axis]
        position = at.start + k
        new = [f - (f > position) for f in range(len(self.sizes))]
        extents = [gathered(extent, position, 1, True).renumbered(new) for extent in self.extents]
        kinds = [*self.kinds[at.start : position], *self.kinds[position + 1 : at.stop]]
        return self._changed(axis, (*factors[:k], *factors[k + 1 :]), kinds, extents)

    def fused(self, axis: int) -> Piece:
        """An axis as exactly one factor."""
        result = self
        if not self.axes[axis]:
            position = self.factors(axis).start
            new = [f + (f >= position) for f in range(len(self.sizes))]
            return self._changed(axis, (1,), (FIXED,), [extent.renumbered(new) for extent in self.extents])
        if len(self.axes[axis]) > 1 and not self.matters(axis):
            return self.blank(axis, self.lengths[axis])
        while len(result.axes[axis]) > 1:
            result = result._fuse_factors(axis, len(result.axes[axis]) - 2)
        return result

    def blank(self, axis: int, length: int) -> Piece:
        """An axis along which nothing changes, of another length."""
        at = self.factors(axis)
        gone = len(at) - 1
        new = [f if f < at.stop else f - gone for f in range(len(self.sizes))]
        kind = max([self.kinds[f] for f in at if self.sizes[f] > 1], default=FIXED)
        return self._changed(axis, (length,), (kind,), [extent.renumbered(new) for extent in self.extents])

    def settled(self) -> Piece:
        """Pixel axes together with the windows and repetitions that follow them, where a period can say both."""
        result = self
        for axis in range(len(self.axes)):
            k = 0
            while k + 1 < len(result.axes[axis]):
                first = result.factors(axis).start + k
                kinds = result.kinds[first : first + 2]
                if kinds == (GRID, FIXED) or 1 in result.axes[axis][k : k + 2]:
                    tried = result._fuse_factors(axis, k)
                    if sum(bool(e.irregular) for e in tried.extents) == sum(bool(e.irregular) for e in result.extents):
                        result = tried
                        continue
                k += 1
        return result

    def refined(self, axis: int, wanted: Sequence[int]) -> list[tuple[int, ...]] | None:
        """How an axis' factors make up consecutive axes of the `wanted` lengths; None where some must be cut."""
        sizes, found, done = self.axes[axis], [], 0
        for size in wanted:
            first = done
            if size == 1 and done < len(sizes) and sizes[done] == 1:
                done += 1
            while math.prod(sizes[first:done]) < size and done < len(sizes):
                done += 1
            if math.prod(sizes[first:done]) != size:
                return None
            found.append(sizes[first:done])
        if done < len(sizes):
            found[-1] = found[-1] + sizes[done:]
        return found

    def apart(self, axis: int, wanted: Sequence[int], offsets: Sequence[int]) -> Piece:
        """An axis as consecutive axes of the `wanted` lengths, at these offsets."""
        piece = self
        while (groups := piece.refined(axis, wanted)) is None:
            piece = piece._towards(axis, wanted)
        piece = replace(
            piece,
            offsets=(*piece.offsets[:axis], *offsets, *piece.offsets[axis + 1 :]),
            axes=(*piece.axes[:axis], *groups, *piece.axes[axis + 1 :]),
        )
        return piece.absorbed(range(axis, axis + len(wanted)))

    def _towards(self, axis: int, wanted: Sequence[int]) -> Piece:
        """One cut or fusion nearer to factors that make up the `wanted` lengths."""
        need, sizes = iter(wanted), self.axes[axis]
        left = next(need)
        for k, have in enumerate(sizes):
            while left == 1 and have > 1:
                left = next(need)
            if left % have == 0:
                left //= have
            elif have % left == 0:
                return self._cut_factor(axis, k, have // left)
            else:
                return self._fuse_factors(axis, k)
        raise AssertionError((sizes, wanted))

    def merged(self, axis: int, count: int, offset: int) -> Piece:
        """`count` axes as one that begins at `offset`; their factors stay apart."""
        factors = tuple(itertools.chain.from_iterable(self.axes[axis : axis + count]))
        piece = replace(
            self,
            offsets=(*self.offsets[:axis], offset, *self.offsets[axis + count :]),
            axes=(*self.axes[:axis], factors, *self.axes[axis + count :]),
        )
        return piece.absorbed((axis,))

    def absorbed(self, axes: Iterable[int]) -> Piece:
        """Channels that follow the only pixel axis of an axis are phases of it (pixel shuffle), else anchors."""
        kinds = list(self.kinds)
        for axis in axes:
            at = self.factors(axis)
            grid = [f for f in at if kinds[f] == GRID]
            if len(grid) == 1:
                for f in range(grid[0] + 1, at.stop):
                    kinds[f] = FIXED
        return self if tuple(kinds) == self.kinds else replace(self, kinds=tuple(kinds))

    # Steps of a recipe -----------------------------------------------------------------------------------

    def mapped(self, axis: int, axis_map: AxisMap) -> Piece:
        """A whole axis read through a map."""
        pattern = axis_map.pattern
        if not self.matters(axis):
            return self.blank(axis, axis_map.n_out)
        flips = pattern.period == 1 and (pattern.shift, axis_map.n_in) == (-1, axis_map.n_out)
        if len(self.axes[axis]) > 1 and flips and pattern.low[0] == axis_map.n_in - 1:
            return self._each(axis, [maps.flip(size) for size in self.axes[axis]])
        whole = self if len(self.axes[axis]) > 1 and self.crosses(axis) else self.fused(axis)
        if len(whole.axes[axis]) > 1:
            parts = factored(axis_map.relation, self.axes[axis]) if pattern.period > 1 or pattern.irregular else None
            if parts is not None:
                return self._each(axis, [maps.from_relation(part) for part in parts])
            if axis_map.n_out <= MAX_TABLE and int(axis_map.relation.counts.max(initial=0)) < 2:
                return self._picked(axis, axis_map)
            whole = self.fused(axis)
        (factor,) = whole.factors(axis)
        size = whole.sizes[factor]
        exactly = whole.loses(axis, axis_map)
        extents = [
            read_exactly(extent, [factor], [size], axis_map)
            if exactly and extent.is_plain
            else mapped(extent, factor, axis_map, size)
            for extent in whole.extents
        ]
        return whole._changed(axis, (axis_map.n_out,), (whole.kinds[factor],), extents)

    def loses(self, axis: int, axis_map: AxisMap) -> bool:
        """Whether a map leaves out taps of a window: those at its ends are no borders, which a rule would go beyond."""
        kinds = [self.kinds[f] for f in self.factors(axis)]
        window = len(kinds) == 1 and kinds[0] != GRID and self.matters(axis)
        return window and axis_map.n_out <= MAX_TABLE and not axis_map.relation.counts.all()

    def written(self, axis: int, axis_map: AxisMap) -> list[tuple[int, int]] | None:
        """The outputs `[start, stop)` of a map that read anything of an axis of channels that are alike.

        None where every output does, or where an axis is the grid's: what lies outside of it is a border, not nothing.
        """
        kinds = {self.kinds[f] for f in self.factors(axis)}
        if GRID in kinds or self.matters(axis) or axis_map.n_out > MAX_TABLE:
            return None
        counts = axis_map.relation.counts
        edges = np.flatnonzero(np.diff(np.concatenate([[0], counts > 0, [0]]).astype(np.int8)))
        runs = [(int(a), int(b)) for a, b in edges.reshape(-1, 2)]
        return runs if counts.size and not counts.all() and len(runs) <= MAX_RUNS else None

    def _picked(self, axis: int, axis_map: AxisMap) -> Piece:
        """Single indices of an axis of several factors, listed."""
        at = self.factors(axis)
        sizes = self.axes[axis]
        extents = [read_exactly(extent, at, sizes, axis_map) for extent in self.extents]
        new = [f if f < at.stop else f - len(at) + 1 for f in range(len(self.sizes))]
        return self._changed(axis, (axis_map.n_out,), (GRID,), [extent.renumbered(new) for extent in extents])

    def crosses(self, axis: int) -> bool:
        """Whether an axis holds a pixel axis behind another factor, so that no period says both for every length."""
        large = [f for f in self.factors(axis) if self.sizes[f] > 1]
        return any(self.kinds[f] == GRID for f in large[1:])

    def _each(self, axis: int, axis_maps: Sequence[AxisMap]) -> Piece:
        """Every factor of an axis read through its own map."""
        extents = list(self.extents)
        for factor, axis_map in zip(self.factors(axis), axis_maps, strict=True):
            extents = [mapped(extent, factor, axis_map, self.sizes[factor]) for extent in extents]
        at = self.factors(axis)
        return self._changed(axis, self.axes[axis], self.kinds[at.start : at.stop], extents)

    def sliced(self, axis: int, start: int, step: int, n_out: int) -> Piece | None:
        """The part of `n_out` outputs `start + o step` that reads this box, or None where none does."""
        first, length = self.offsets[axis], self.lengths[axis]
        ends = [-(-(first - start) // step), -(-(first + length - start) // step)]
        if step < 0:
            ends = [-(-(start - first - length + 1) // -step), (start - first) // -step + 1]
        low, high = max(ends[0], 0), min(ends[1], n_out)
        if low >= high:
            return None
        begin, count = start + low * step - first, high - low
        if step == 1:
            return self.cut(axis, begin, begin + count).moved(axis, low)
        picked = self.mapped(axis, maps.strided_slice(length, begin, step, count))
        return picked.moved(axis, low)

    def cut(self, axis: int, start: int, stop: int) -> Piece:
        """Indices `start` to `stop` of an axis of the box."""
        length, factors = self.lengths[axis], self.axes[axis]
        if (start, stop) == (0, length):
            return self
        if not self.matters(axis):
            piece = self.blank(axis, stop - start)
        elif len(factors) > 1:
            piece = self._cut_merged(axis, start, stop)
        else:
            piece = self.mapped(axis, maps.strided_slice(length, start, 1, stop - start))
        return piece.moved(axis, self.offsets[axis] + start)

    def _cut_merged(self, axis: int, start: int, stop: int) -> Piece:
        """`cut` of an axis of several factors."""
        factors = self.axes[axis]
        inner = math.prod(factors[1:])
        outer = replace(
            self,
            offsets=(*self.offsets[:axis], 0, *self.offsets[axis:]),
            axes=(*self.axes[:axis], factors[:1], factors[1:], *self.axes[axis + 1 :]),
        )
        if start % inner == 0 and stop % inner == 0:
            return outer.cut(axis, start // inner, stop // inner).merged(axis, 2, 0)
        if start // inner == (stop - 1) // inner:
            one = outer.cut(axis, start // inner, start // inner + 1)
            return one.cut(axis + 1, start % inner, (stop - 1) % inner + 1).merged(axis, 2, 0)._without_ones(axis)
        return self.mapped(axis, maps.strided_slice(self.lengths[axis], start, 1, stop - start))

    def _without_ones(self, axis: int) -> Piece:
        piece = self
        while len(piece.axes[axis]) > 1 and 1 in piece.axes[axis]:
            piece = piece._drop_factor(axis, piece.axes[axis].index(1))
        return piece

    def unknown(self, axis: int, length: int, reason: str, *, force: bool = False) -> Piece:
        """An axis of another length, along which nothing regular is known of what matters there (or, of anything)."""
        at = self.factors(axis)
        gone = len(at) - 1
        new = [f if f < at.start else max(f - gone, at.start) for f in range(len(self.sizes))]
        extents = []
        for extent in self.extents:
            rest = [Phase(new[p.factor], p.period, p.shift) for p in extent.phases if p.factor not in at]
            if force or len(rest) < len(extent.phases):
                phases = sorted([*rest, Phase(at.start, 1, 0)], key=lambda phase: phase.factor)
                extents.append(irregular(extent, phases, reason))
            else:
                extents.append(extent.renumbered(new))
        kind = max([self.kinds[f] for f in at if self.sizes[f] > 1], default=FIXED)
        return self._changed(axis, (length,), (kind,), extents)

    def reduced(self, axis: int) -> Piece:
        """An axis gathered into one index, and dropped."""
        at = self.factors(axis)
        extents = list(self.extents)
        for f in at:
            extents = [gathered(extent, f, self.sizes[f], self.kinds[f] != GRID) for extent in extents]
        new = [f if f < at.start else f - len(at) for f in range(len(self.sizes))]
        return Piece(
            self.offsets[:axis] + self.offsets[axis + 1 :],
            self.axes[:axis] + self.axes[axis + 1 :],
            self.kinds[: at.start] + self.kinds[at.stop :],
            tuple(extent.renumbered(new) for extent in extents),
        )

    def inserted(self, axis: int, size: int) -> Piece:
        """A new axis before `axis`, along which nothing changes."""
        first = sum(map(len, self.axes[:axis]))
        new = [f + (f >= first) for f in range(len(self.sizes))]
        return Piece(
            (*self.offsets[:axis], 0, *self.offsets[axis:]),
            (*self.axes[:axis], (size,), *self.axes[axis:]),
            (*self.kinds[:first], CHANNEL if size > 1 else FIXED, *self.kinds[first:]),
            tuple(extent.renumbered(new) for extent in self.extents),
        )

    def stretched(self, axis: int, size: int) -> Piece:
        """An axis of 1 repeated."""
        one = self.reduced(axis).inserted(axis, 1)
        return replace(one, axes=(*one.axes[:axis], (size,), *one.axes[axis + 1 :]))

    def longer(self, axis: int, length: int) -> Piece:
        """The same rule for an axis of another length, which has one factor or does not matter."""
        if len(self.axes[axis]) != 1:
            return self.blank(axis, length)
        return replace(self, axes=(*self.axes[:axis], (length,), *self.axes[axis + 1 :]))

    def permuted(self, order: tuple[int, ...]) -> Piece:
        """The axes in another order."""
        old = [f for axis in order for f in self.factors(axis)]
        new = [old.index(f) for f in range(len(old))]
        return Piece(
            tuple(self.offsets[axis] for axis in order),
            tuple(self.axes[axis] for axis in order),
            tuple(self.kinds[f] for f in old),
            tuple(extent.renumbered(new) for extent in self.extents),
        )

    # Two boxes -------------------------------------------------------------------------------------------

    def common(self, other: Piece) -> list[tuple[int, int]] | None:
        """Where two boxes overlap, `[start, stop)` per axis, or None."""
        ends = [
            (max(a, b), min(a + m, b + n))
            for a, m, b, n in zip(self.offsets, self.lengths, other.offsets, other.lengths, strict=True)
        ]
        return None if any(low >= high for low, high in ends) else ends

    def carved(self, box: Sequence[tuple[int, int]]) -> tuple[Piece, list[Piece]]:
        """The part inside a box that lies within this one, and the rest."""
        if all(bound == (a, a + n) for bound, a, n in zip(box, self.offsets, self.lengths, strict=True)):
            return self, []
        inside, rest = self, []
        for axis, (low, high) in enumerate(box):
            first, last = inside.offsets[axis], inside.offsets[axis] + inside.lengths[axis]
            rest += [inside.cut(axis, a - first, b - first) for a, b in ((first, low), (high, last)) if a < b]
            inside = inside.cut(axis, low - first, high - first)
        return inside, rest

    def united(self, *others: Piece) -> Piece:
        """What pieces of one box read together."""
        pieces = [self, *others]
        if any(piece.axes != self.axes for piece in others):
            for axis in range(len(self.axes)):
                for _ in range(2):  # the first round makes the first piece as fine as any, the second all the others
                    for k in range(1, len(pieces)):
                        pieces[0], pieces[k] = _matched(pieces[0], pieces[k], axis)
        first = pieces[0]
        if any(piece.kinds != first.kinds for piece in pieces):
            kinds = [max((f in p.moving, p.kinds[f]) for p in pieces)[1] for f in range(len(first.kinds))]
            first = replace(first, kinds=tuple(kinds))
        groups = zip(*(piece.extents for piece in pieces), strict=True)
        return replace(first, extents=tuple([united(group, first.sizes, first.fixed) for group in groups]))


def _matched(left: Piece, right: Piece, axis: int) -> tuple[Piece, Piece]:
    """Two pieces with equal factors of an axis: cut where they nest, fused where they do not."""
    k = 0
    while left.axes[axis] != right.axes[axis]:
        a, b = left.axes[axis], right.axes[axis]
        if k < min(len(a), len(b)) and a[k] == b[k]:
            k += 1
        elif k < len(a) and a[k] == 1:
            left = left._drop_factor(axis, k)
        elif k < len(b) and b[k] == 1:
            right = right._drop_factor(axis, k)
        elif a[k] % b[k] == 0:
            left = left._cut_factor(axis, k, a[k] // b[k])
        elif b[k] % a[k] == 0:
            right = right._cut_factor(axis, k, b[k] // a[k])
        elif a[k] < b[k]:
            left = left._fuse_factors(axis, k)
        else:
            right = right._fuse_factors(axis, k)
    return left, right
