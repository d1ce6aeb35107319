"""Axes: states whose axes have nothing to do with each other, as one value for each axis, and put together again.

What a window reads along one axis is worked out once, whatever is read along the others, and on every axis alike.
`interned` asks: `Exact` of dependencies, `Plain` of nominal fields.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import Any, NamedTuple

from fastrf.engine.dependency import Dependency
from fastrf.engine.extent import Extent
from fastrf.engine.factors import Factors
from fastrf.engine.nominal import Nominal
from fastrf.engine.pieces import Piece
from fastrf.engine.terms import Group, make_term

__all__ = ["Exact", "Parts", "Plain"]


class Parts(NamedTuple):
    """Per axis its value, and which input axes or extents that speaks of; and what concerns no axis."""

    axes: tuple[tuple[Any, tuple[int, ...]], ...]
    rest: Hashable


class Exact:
    """Dependencies of one input."""

    def __init__(self, input_shape: tuple[int, ...]) -> None:
        self.input_shape = input_shape

    def key(self, value: Dependency) -> Hashable:
        """What equal values have alike."""
        return value

    def is_one(self, value: Dependency) -> bool:
        """Whether an axis is still one that has nothing to do with others, which would read nothing where it does."""
        return len(value.terms) == 1

    def split(self, value: Dependency) -> Parts | None:
        """A single term each of whose groups has rows of one axis, axis by axis; None for others."""
        if len(value.terms) != 1:
            return None
        groups: list[list[Group]] = [[] for _ in value.axes]
        rest = list[Group]()
        for group in value.terms[0]:
            owners = {value.axes.owners[f] for f in group.rows}
            if len(owners) > 1:
                return None
            (groups[owners.pop()] if owners else rest).append(group)
        axes = [self._one(value.axes, axis, own) for axis, own in enumerate(groups)]
        return Parts(tuple(axes), tuple(rest))

    def _one(self, axes: Factors, axis: int, groups: Sequence[Group]) -> tuple[Dependency, tuple[int, ...]]:
        first, named = axes.at(axis).start, tuple(sorted({col for group in groups for col in group.cols}))
        own = [
            Group(tuple([f - first for f in rows]), tuple([named.index(col) for col in cols]), relation)
            for rows, cols, relation in groups
        ]
        return Dependency(
            tuple([self.input_shape[col] for col in named]), Factors([axes[axis]]), [make_term(own)]
        ), named

    def joined(self, parts: Parts) -> Dependency:
        """Axes as one value."""
        groups, axes, first = list[Group](parts.rest), list[tuple[int, ...]](), 0  # type: ignore[call-overload]
        for value, named in parts.axes:
            groups += [
                Group(tuple([f + first for f in rows]), tuple([named[col] for col in cols]), relation)
                for rows, cols, relation in value.terms[0]
            ]
            axes.append(value.axes[0])
            first += len(value.axes[0])
        return Dependency(self.input_shape, Factors(axes), [make_term(groups)])


class Plain:
    """Nominal fields of so many extents."""

    def __init__(self, n_extents: int) -> None:
        self.n_extents = n_extents

    def key(self, value: Nominal) -> Hashable:
        """What equal values have alike."""
        pieces = [(p.offsets, p.axes, p.kinds, *[_bounds(extent) for extent in p.extents]) for p in value.pieces]
        return value.shape, tuple(pieces)

    def is_one(self, value: Nominal) -> bool:
        """Whether an axis is one factor along which everything follows a rule."""
        if len(value.pieces) != 1 or value.pieces[0].lengths != value.shape:
            return False
        piece = value.pieces[0]
        return len(piece.axes[0]) == 1 and all(len(e.phases) == 1 and e.is_plain for e in piece.extents)

    def split(self, value: Nominal) -> Parts | None:
        """One piece each of whose extents follows one axis; None for others."""
        if len(value.pieces) != 1 or value.pieces[0].lengths != value.shape:
            return None
        piece = value.pieces[0]
        if any(len(e.phases) != 1 or not e.is_plain for e in piece.extents) or any(len(own) != 1 for own in piece.axes):
            return None
        axes = []
        for axis, (factors, kind) in enumerate(zip(piece.axes, piece.kinds, strict=True)):
            named = tuple([k for k, extent in enumerate(piece.extents) if extent.phases[0].factor == axis])
            extents = tuple([piece.extents[k].renumbered([0] * (axis + 1)) for k in named])
            axes.append((Nominal(factors, [Piece((0,), Factors([factors]), (kind,), extents)], len(named)), named))
        return Parts(tuple(axes), None)

    def joined(self, parts: Parts) -> Nominal:
        """Axes as one value."""
        pieces = [value.pieces[0] for value, _ in parts.axes]
        extents: dict[int, Extent] = {}
        for axis, (piece, (_, named)) in enumerate(zip(pieces, parts.axes, strict=True)):
            extents.update({k: extent.renumbered([axis]) for k, extent in zip(named, piece.extents, strict=True)})
        factors, kinds = Factors([piece.axes[0] for piece in pieces]), tuple([piece.kinds[0] for piece in pieces])
        whole = Piece((0,) * len(pieces), factors, kinds, tuple([extents[k] for k in range(self.n_extents)]))
        return Nominal(factors.shape, [whole], self.n_extents)


def _bounds(extent: Extent) -> Hashable:
    phases = tuple([(phase.factor, phase.period, phase.shift) for phase in extent.phases])
    return phases, extent.irregular, extent.low.shape, (extent.low + 0.0).tobytes(), (extent.high + 0.0).tobytes()
