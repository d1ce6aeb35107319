"""Piece: the extents of a box of a tensor, which follow one rule; `nominal` holds a tensor as several of them.

An axis of a box is a list of *factors*, as in `Dependency`, but never fused for convenience: two axes of the grid that
are merged keep what each says. What a factor is decides what gathering it means.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from fastrf.engine import axis_map as maps
from fastrf.engine.axis_map import AxisMap
from fastrf.engine.extent import Extent, Phase, fits, fused, irregular, split, united
from fastrf.engine.factors import Factors, put
from fastrf.engine.reading import gathered, mapped, read_exactly
from fastrf.engine.regular import factored
from fastrf.system.locks import cached_property

__all__ = ["CHANNEL", "FIXED", "GRID", "Piece"]

#: Factors: windows, repetitions and lists, which do not grow with the input; channels; pixel axes.
FIXED, CHANNEL, GRID = range(3)


@dataclass(frozen=True, eq=False)
class Piece:
    """A box that begins at `offsets`; `axes` are its factors, `kinds` says what each of them is."""

    offsets: tuple[int, ...]
    axes: Factors
    kinds: tuple[int, ...]
    extents: tuple[Extent, ...]

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Pickles of version 0.1 hold axes as plain tuples."""
        self.__dict__.update(state, axes=Factors(state["axes"]))

    @property
    def sizes(self) -> tuple[int, ...]:
        """Of all factors."""
        return self.axes.sizes

    @property
    def lengths(self) -> tuple[int, ...]:
        """The box's shape."""
        return self.axes.shape

    @cached_property
    def moving(self) -> frozenset[int]:
        """Factors that matter to some extent."""
        return frozenset(phase.factor for extent in self.extents for phase in extent.phases)

    @cached_property
    def fixed(self) -> frozenset[int]:
        """Factors that do not grow with the input."""
        return frozenset(f for f, kind in enumerate(self.kinds) if kind != GRID)

    def matters(self, axis: int) -> bool:
        """Whether anything that is read changes along an axis."""
        return not self.moving.isdisjoint(self.axes.at(axis))

    def covers(self, axis: int, length: int) -> bool:
        """Whether the box goes over the whole of an axis of this length."""
        return self.offsets[axis] == 0 and self.lengths[axis] == length

    def moved(self, axis: int, offset: int) -> Piece:
        """The box at another place along an axis."""
        return replace(self, offsets=put(self.offsets, axis, offset))

    # Factors ---------------------------------------------------------------------------------------------

    def _changed(
        self, axis: int, k: int, count: int, sizes: tuple[int, ...], kinds: tuple[int, ...], extents: Any = None
    ) -> Piece:
        """Factors of these sizes and kinds in the place of `count` of an axis, from its `k`-th on.

        `extents` are those of the new factors by the old numbers.
        """
        axes, new = self.axes.change(axis, k, count, sizes)
        first = self.axes.at(axis).start + k
        return Piece(
            self.offsets,
            axes,
            (*self.kinds[:first], *kinds, *self.kinds[first + count :]),
            tuple([extent.renumbered(new) for extent in (self.extents if extents is None else extents)]),
        )

    def _cut_factor(self, axis: int, k: int, inner: int) -> Piece:
        """The `k`-th factor of an axis as two."""
        position = self.axes.at(axis).start + k
        kind = self.kinds[position]
        pair = (kind, FIXED if kind == GRID else kind)
        piece = self._changed(axis, k, 1, (self.axes[axis][k] // inner, inner), pair)
        return replace(piece, extents=tuple([split(extent, position, inner) for extent in piece.extents]))

    def _fuse_factors(self, axis: int, k: int) -> Piece:
        """The `k`-th factor of an axis and the next one as one."""
        position, (outer, inner) = self.axes.at(axis).start + k, self.axes[axis][k : k + 2]
        kinds = self.kinds[position : position + 2]
        if 1 in (outer, inner):
            single = position if outer == 1 else position + 1
            extents = [gathered(extent, single, 1, True) for extent in self.extents]
        else:
            extents = [fused(extent, position, inner, regular=kinds[1] != GRID) for extent in self.extents]
        return self._changed(axis, k, 2, (outer * inner,), (max(kinds),), extents)

    def _drop_factor(self, axis: int, k: int) -> Piece:
        """Without the `k`-th factor of an axis, which has one index."""
        position = self.axes.at(axis).start + k
        return self._changed(axis, k, 1, (), (), [gathered(extent, position, 1, True) for extent in self.extents])

    def _remade(self, axis: int, length: int, kind: int, extents: Iterable[Extent] | None = None) -> Piece:
        """An axis of one factor; `extents` go by the number of its first."""
        return self._changed(axis, 0, len(self.axes[axis]), (length,), (kind,), extents)

    def fused(self, axis: int) -> Piece:
        """An axis as exactly one factor."""
        count = len(self.axes[axis])
        if count != 1 and not self.matters(axis):
            return self.blank(axis, self.lengths[axis])
        result = self
        for k in range(count - 2, -1, -1):
            result = result._fuse_factors(axis, k)
        return result

    def _kind(self, axis: int) -> int:
        """What an axis is as one factor."""
        return max([self.kinds[f] for f in self.axes.at(axis) if self.sizes[f] > 1], default=FIXED)

    def blank(self, axis: int, length: int) -> Piece:
        """An axis along which nothing changes, of another length."""
        return self._remade(axis, length, self._kind(axis))

    def settled(self) -> Piece:
        """Pixel axes together with the windows and repetitions that follow them, where a period can say both."""
        result = self
        for axis in range(len(self.axes)):
            k = 0
            while k + 1 < len(result.axes[axis]):
                first = result.axes.at(axis).start + k
                if result.kinds[first : first + 2] == (GRID, FIXED) or 1 in result.axes[axis][k : k + 2]:
                    tried = result._fuse_factors(axis, k)
                    if sum(bool(e.irregular) for e in tried.extents) == sum(bool(e.irregular) for e in result.extents):
                        result = tried
                        continue
                k += 1
        return result

    def apart(self, axis: int, wanted: Sequence[int], offsets: Sequence[int]) -> Piece:
        """An axis as consecutive axes of the `wanted` lengths, at these offsets."""
        piece = self
        while (groups := piece.axes.grouped(axis, wanted)) is None:
            piece = piece._towards(axis, wanted)
        piece = replace(piece, offsets=put(piece.offsets, axis, *offsets), axes=piece.axes.put(axis, *groups))
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
            axes=Factors((*self.axes[:axis], factors, *self.axes[axis + count :])),
        )
        return piece.absorbed((axis,))._without_ones(axis, grid=False)

    def absorbed(self, axes: Iterable[int]) -> Piece:
        """Channels that follow the only pixel axis of an axis are phases of it (pixel shuffle), else anchors."""
        kinds = list(self.kinds)
        for axis in axes:
            at = self.axes.at(axis)
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
        whole = self if self.crosses(axis) else self.fused(axis)
        if len(whole.axes[axis]) > 1:
            parts = factored(axis_map.relation, self.axes[axis]) if pattern.period > 1 or pattern.irregular else None
            if parts is not None:
                return self._each(axis, [maps.from_relation(part) for part in parts])
            if fits(axis_map.n_out) and int(axis_map.relation.counts.max(initial=0)) < 2:
                at = self.axes.at(axis)
                picked = [read_exactly(extent, at, self.axes[axis], axis_map) for extent in self.extents]
                return self._remade(axis, axis_map.n_out, GRID, picked)
            whole = self.fused(axis)
        (factor,), (size,) = whole.axes.at(axis), whole.axes[axis]
        exactly = whole.loses(axis, axis_map)
        extents = [
            read_exactly(extent, [factor], [size], axis_map)
            if exactly and extent.is_plain
            else mapped(extent, factor, axis_map, size)
            for extent in whole.extents
        ]
        return whole._remade(axis, axis_map.n_out, whole.kinds[factor], extents)

    def loses(self, axis: int, axis_map: AxisMap) -> bool:
        """Whether a map leaves out taps of a window: those at its ends are no borders, which a rule would go beyond."""
        kinds = [self.kinds[f] for f in self.axes.at(axis)]
        window = len(kinds) == 1 and kinds[0] != GRID and self.matters(axis)
        return window and fits(axis_map.n_out) and not axis_map.relation.counts.all()

    def crosses(self, axis: int) -> bool:
        """Whether an axis holds a pixel axis behind another factor, so that no period says both for every length."""
        large = [f for f in self.axes.at(axis) if self.sizes[f] > 1]
        return any(self.kinds[f] == GRID for f in large[1:])

    def followed(self, k: int) -> list[Phase]:
        """The phases along an input axis; a factor that is one index whatever the input's length goes nowhere."""
        return [p for p in self.extents[k].phases if self.kinds[p.factor] == GRID or self.sizes[p.factor] > 1]

    def _each(self, axis: int, axis_maps: Sequence[AxisMap]) -> Piece:
        """Every factor of an axis read through its own map."""
        extents = self.extents
        for factor, axis_map in zip(self.axes.at(axis), axis_maps, strict=True):
            extents = tuple([mapped(extent, factor, axis_map, self.sizes[factor]) for extent in extents])
        return replace(self, extents=extents)

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
        offsets, axes = put(self.offsets, axis, 0, self.offsets[axis]), self.axes.put(axis, factors[:1], factors[1:])
        outer = replace(self, offsets=offsets, axes=axes)
        if start % inner == 0 and stop % inner == 0:
            return outer.cut(axis, start // inner, stop // inner).merged(axis, 2, 0)
        if start // inner == (stop - 1) // inner:
            one = outer.cut(axis, start // inner, start // inner + 1)
            return one.cut(axis + 1, start % inner, (stop - 1) % inner + 1).merged(axis, 2, 0)._without_ones(axis)
        return self.mapped(axis, maps.strided_slice(self.lengths[axis], start, 1, stop - start))

    def _without_ones(self, axis: int, *, grid: bool = True) -> Piece:
        """Without factors of one index, if there are others; those of the grid are longer for other inputs."""
        piece, k = self, 0
        while k < len(piece.axes[axis]) and len(piece.axes[axis]) > 1:
            f = piece.axes.at(axis).start + k
            if piece.sizes[f] == 1 and (grid or piece.kinds[f] != GRID):
                piece = piece._drop_factor(axis, k)
            else:
                k += 1
        return piece

    def unknown(self, axis: int, length: int, reason: str, *, force: bool = False) -> Piece:
        """An axis of another length, along which nothing regular is known of what matters there (or, of anything)."""
        piece = self._remade(axis, length, self._kind(axis))
        first = piece.axes.at(axis).start

        def forgotten(extent: Extent) -> Extent:
            rest = [phase for phase in extent.phases if phase.factor != first]
            matters = force or len(rest) < len(extent.phases)
            return irregular(extent, [*rest, Phase(first, 1, 0)], reason) if matters else extent

        return replace(piece, extents=tuple(map(forgotten, piece.extents)))

    def reduced(self, axis: int) -> Piece:
        """An axis gathered into one index, and dropped."""
        at, (axes, new) = self.axes.at(axis), self.axes.remove(axis)
        extents = self.extents
        for f in at:
            extents = tuple([gathered(extent, f, self.sizes[f], self.kinds[f] != GRID) for extent in extents])
        return Piece(
            put(self.offsets, axis),
            axes,
            self.kinds[: at.start] + self.kinds[at.stop :],
            tuple([extent.renumbered(new) for extent in extents]),
        )

    def inserted(self, axis: int, size: int) -> Piece:
        """A new axis before `axis`, along which nothing changes."""
        axes, new = self.axes.insert(axis, (size,))
        first = axes.at(axis).start
        return Piece(
            (*self.offsets[:axis], 0, *self.offsets[axis:]),
            axes,
            (*self.kinds[:first], CHANNEL if size > 1 else FIXED, *self.kinds[first:]),
            tuple([extent.renumbered(new) for extent in self.extents]),
        )

    def stretched(self, axis: int, size: int) -> Piece:
        """An axis of 1 repeated."""
        one = self.reduced(axis).inserted(axis, 1)
        return replace(one, axes=one.axes.put(axis, (size,)))

    def longer(self, axis: int, length: int) -> Piece:
        """The same rule for an axis of another length, which has one factor or does not matter."""
        if len(self.axes[axis]) != 1:
            return self.blank(axis, length)
        return replace(self, axes=self.axes.put(axis, (length,)))

    def permuted(self, order: tuple[int, ...]) -> Piece:
        """The axes in another order."""
        axes, new = self.axes.permute(order)
        return Piece(
            tuple(self.offsets[axis] for axis in order),
            axes,
            tuple(self.kinds[f] for axis in order for f in self.axes.at(axis)),
            tuple([extent.renumbered(new) for extent in self.extents]),
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
        groups = zip(*_silenced([list(piece.extents) for piece in pieces]), strict=True)
        return replace(first, extents=tuple([united(group, first.sizes, first.fixed) for group in groups]))


def _silenced(parts: list[list[Extent]]) -> list[list[Extent]]:
    """Extents along axes where nothing moves read nothing in the phases in which those of another axis read nothing."""
    for k, still in enumerate(zip(*parts, strict=True)):
        if any(extent.phases for extent in still) or all(extent.same(still[0]) for extent in still):
            continue
        for extents, extent in zip(parts, still, strict=True):
            for other in extents:
                silent = other.low > other.high
                if silent.any() and not silent.all():
                    phases = tuple(Phase(p.factor, p.period, 0) for p in other.phases if p.period > 1)
                    silent = silent.reshape([p.period for p in phases])
                    low, high = np.where(silent, np.inf, extent.low), np.where(silent, -np.inf, extent.high)
                    extents[k] = Extent(phases, low, high)
                    break
    return parts


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
