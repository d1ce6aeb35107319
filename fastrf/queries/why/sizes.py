"""What makes a field as large as it is: the layers that read whole axes by themselves, or else the widest steps.

What such a layer hands on is replaced by what it would be if it read its own place alone, so that the ones behind it
show, too: one walk finds all of them. A window that a mask leaves of a whole axis is none (`engine.tightening`).
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from fastrf.engine.dependency import Dependency
from fastrf.engine.extent import NOTHING, Extent
from fastrf.engine.nominal import Nominal, bounds
from fastrf.engine.pieces import Piece
from fastrf.engine.recipe import replay
from fastrf.engine.relation import Relation
from fastrf.engine.terms import Group, make_term
from fastrf.engine.tightening import tightened
from fastrf.network import Node
from fastrf.ops import find
from fastrf.queries.naming import row_name
from fastrf.queries.why.answers import Reason
from fastrf.queries.why.way import Way

__all__ = ["irregular_at", "unbounded_by", "widest_steps"]

#: Roles of what an attention is made of; its layers are one cause.
_ATTENTION = ("contraction", "attention")
#: Roles of what may happen to its scores before a softmax.
_UNMASKED = ("pointwise", "view")
#: What a cause does, by its role.
_CAUSES = {
    **dict.fromkeys(_ATTENTION, "attention over all positions"),
    "state": "the state of every earlier step",
    "total": "the sum of every earlier step",
    "pool": "pools all positions",
}


@dataclass
class _Cause:
    """Layers that together read whole axes; `behind` another one. `gate`: what they multiply."""

    nodes: list[Node]
    axes: set[int]
    behind: bool
    gate: str = ""


def unbounded_by(way: Way) -> tuple[Reason, ...]:
    """The layers that make the target's field unbounded, in order, those behind others among them."""
    return tuple(_told(way, cause) for cause in _Walk(way).causes())


def _told(way: Way, cause: _Cause) -> Reason:
    (label, operator), (words, ignore) = _shown(way, cause.nodes), _words(cause)
    names, axes = tuple(node.name for node in cause.nodes), tuple(sorted(cause.axes))
    return Reason(label, operator, names, words, axes, behind=cause.behind, ignore=ignore or row_name(cause.nodes[-1]))


def _words(cause: _Cause) -> tuple[str, str]:
    """What a cause does, and what `ignore` calls its kind."""
    op = cause.nodes[0].op
    if cause.gate or op == "squeeze_excitation":
        return "a gate that is the same at every position", "gates"
    if find(op).statistics:
        return "statistics over all positions", "statistics"
    return _CAUSES.get(find(op).role, "mixes all positions"), ""


class _Walk:
    """The nominal and the exact fields of all layers on a way, with those of causes cut down to their own places."""

    def __init__(self, way: Way) -> None:
        self.way, network = way, way.network
        shape, self.channel = network.shape_of(way.wrt), network.channel_axis_of(way.wrt)
        self.pixels = [axis for axis in range(len(shape)) if axis != self.channel]
        self.nominals = {way.wrt: Nominal.identity(shape, self.channel)}
        self.exact = {way.wrt: Dependency.identity(shape)}
        self.found: list[_Cause] = []
        self.open: dict[str, list[Node]] = {}  # by layer, scores that read without end as long as they are not masked
        self.behind: dict[str, list[_Cause]] = {}  # by layer, the causes on its way
        self.pooled: dict[str, list[_Cause]] = {}  # by layer that reads nothing any more, what it was cut down from

    def causes(self) -> list[_Cause]:
        for node in self.way.nodes:
            self._visit(node)
        return self.found

    def _visit(self, node: Node) -> None:
        reads = [read for read in dict.fromkeys(node.inputs) if read in self.nominals]
        before = list({id(c): c for read in reads for c in self.behind.get(read, ())}.values())
        value, exact = self._carried(node)
        if any(e.is_everything for piece in value.pieces for e in piece.extents):
            value = tightened(value, exact, self.pixels)
        asked = value
        if node.name == self.way.target and node.channel_axis is not None:  # positions are its channels together
            asked = value.reduce(node.channel_axis)
        axes = {k for k in range(value.n_extents) if math.isinf(asked.size_range(k)[1])}
        scores = [one for read in reads for one in self.open.get(read, ())]
        if axes and self._is_open(node, scores, before):
            self.open[node.name] = scores or [node]
        elif axes:
            before = [*before, self._cause([*scores, node], axes, before)]
            value = _cut_down(value)
            exact = self._cut_down_exactly(value)
        self._note_gates(node, reads, value, before)
        self.nominals[node.name], self.exact[node.name], self.behind[node.name] = value, exact, before

    def _is_open(self, node: Node, scores: Sequence[Node], before: Sequence[_Cause]) -> bool:
        """Whether a mask may yet leave a window of what a layer reads: of scores, until they reach a softmax."""
        if node.name == self.way.target:
            return False
        if scores:
            return find(node.op).role in _UNMASKED
        return find(node.op).role == "contraction" and not any(_is_one(cause.nodes[-1], node) for cause in before)

    def _carried(self, node: Node) -> tuple[Nominal, Dependency]:
        shapes = {read: self.way.network.shape_of(read) for read in node.inputs}
        origin = self.nominals[self.way.wrt]
        exact = self.exact[self.way.wrt]
        nominals = [self.nominals.get(r) or Nominal.none(shapes[r], origin.n_extents) for r in node.inputs]
        exacts = [self.exact.get(r) or Dependency.none(shapes[r], exact.input_shape) for r in node.inputs]
        return replay(node.recipe, nominals), replay(node.recipe, exacts)

    def _cause(self, nodes: list[Node], axes: set[int], before: Sequence[_Cause]) -> _Cause:
        """A new cause, or the attention that layers are a part of."""
        for cause in reversed(before):
            if _is_one(cause.nodes[-1], nodes[-1]):
                cause.nodes += nodes
                cause.axes |= axes
                return cause
        self.found.append(_Cause(nodes, axes, behind=bool(before)))
        return self.found[-1]

    def _note_gates(self, node: Node, reads: Sequence[str], value: Nominal, before: Sequence[_Cause]) -> None:
        """Causes of which no place is left are handed on, until a product that reads something is gated by them."""
        pooled = [cause for read in reads for cause in self.pooled.get(read, ())]
        if not value.pieces:
            self.pooled[node.name] = [*pooled, *before[-1:]]
        elif find(node.op).product:
            for cause in pooled:
                cause.gate = cause.gate or node.name

    def _cut_down_exactly(self, nominal: Nominal) -> Dependency:
        """The exact relation of a field that reads its own place alone."""
        shape = self.exact[self.way.wrt].input_shape
        found = Dependency.none(nominal.shape, shape)
        for piece in nominal.pieces:
            if piece.lengths != nominal.shape or any(len(e.phases) > 1 for e in piece.extents):
                return found
            axes = [tuple(n for n in factors if n > 1) for factors in piece.axes]
            return Dependency(shape, axes, [make_term(self._groups(piece, shape))])
        return found

    def _groups(self, piece: Piece, shape: Sequence[int]) -> Iterator[Group]:
        new = np.cumsum([n > 1 for n in piece.sizes]) - 1  # of factors of 1, a dependency has none
        for k, axis in enumerate(self.pixels):
            low, high = (line.ravel() for line in bounds(piece, k))
            rows = tuple(int(new[p.factor]) for p in piece.extents[k].phases if piece.sizes[p.factor] > 1)
            yield Group(rows, (axis,), Relation.from_runs(shape[axis], low, high))
        if self.channel is not None:
            yield Group((), (self.channel,), Relation.full(1, shape[self.channel]))


def _is_one(one: Node, other: Node) -> bool:
    """Whether two layers belong to one attention, or are steps of one layer."""
    if one.name.partition("~")[0] == other.name.partition("~")[0]:
        return True
    return one.scope == other.scope and all(find(node.op).role in _ATTENTION for node in (one, other))


def _cut_down(nominal: Nominal) -> Nominal:
    """A field in which what reads without end reads its own place alone; nothing, where no position has one."""
    pieces = []
    for piece in nominal.pieces:
        moves = any(phase.shift for extent in piece.extents for phase in extent.phases)
        pieces.append(replace(piece, extents=tuple(_own_place(extent, moves) for extent in piece.extents)))
    return Nominal(nominal.shape, pieces, nominal.n_extents)


def _own_place(extent: Extent, moves: bool) -> Extent:
    """One without end at its own place; where it has none, the first, if positions move along another axis."""
    if not (np.isinf(extent.low) | np.isinf(extent.high)).any() or extent.is_nothing:
        return extent
    if not any(phase.shift for phase in extent.phases):
        return Extent((), np.zeros(()), np.ones(())) if moves else NOTHING
    zero = np.zeros_like(extent.low)
    return Extent(extent.phases, zero, zero + 1, extent.irregular)


def irregular_at(way: Way) -> tuple[Reason, ...]:
    """The layers from which on the size follows no rule, each with the reason."""
    unknown, found = set[str](), []
    for node in way.nodes:
        nominal = way.nominal(node.name)
        if any(map(math.isnan, _size(way, node.name))):
            why = [nominal.irregular(k) for k in range(nominal.n_extents)]
            if unknown.isdisjoint(node.inputs):
                found.append(Reason(*way.shown(node.name), (node.name,), next(filter(None, why), "")))
            unknown.add(node.name)
    return tuple(found)


def widest_steps(way: Way) -> tuple[Reason, ...]:
    """How much each layer adds to the field's size on the widest way to the target, the widest first.

    The sizes of a layer and of the widest of what it reads differ by what it adds; from the input on they add up.
    Layers without a size in between, such as scores of an attention that are not yet masked, count with the one behind.
    """
    name, found = way.target, list[Reason]()
    while name != way.wrt:
        nodes, size, read = [way.network.by_name[name]], _size(way, name), _widest(way, name)
        while not _is_known(way, read):
            nodes.insert(0, way.network.by_name[read])
            read = _widest(way, read)
        adds = tuple(n - m for n, m in zip(size, _size(way, read), strict=True))
        if any(adds):
            found.append(Reason(*_shown(way, nodes), tuple(node.name for node in nodes), adds=adds, size=size))
        name = read
    found.reverse()
    return tuple(sorted(found, key=lambda reason: -max(n if math.isfinite(n) else 0 for n in reason.adds)))


def _widest(way: Way, name: str) -> str:
    """The widest of what a layer reads, of those of a known size if there are any."""
    reads = way.read_by(way.network.by_name[name])
    return max(reads, key=lambda read: (_is_known(way, read), sum(_size(way, read))))


def _is_known(way: Way, name: str) -> bool:
    return all(map(math.isfinite, _size(way, name)))


def _shown(way: Way, nodes: Sequence[Node]) -> tuple[str, str]:
    """The name and the operator of some layers in a row: those of the module that they run in."""
    label, operator = way.shown(nodes[-1].name)
    if not nodes[0].scope or (len(nodes) == 1 and find(nodes[0].op).role not in _ATTENTION):
        return label, operator
    module = nodes[0].scope[-1].partition("@")[0]
    return module, way.network.classes.get(module, "") or operator


def _size(way: Way, name: str) -> tuple[float, ...]:
    """The largest size over phases, per pixel axis."""
    nominal = way.nominal(name)
    sizes = [nominal.size_range(k)[1] for k in range(nominal.n_extents)]
    return tuple(int(size) if math.isfinite(size) and size == int(size) else size for size in sizes)
