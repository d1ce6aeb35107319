"""Way: a network between an input and a node, and which of its elements read a pixel, node by node.

`paths` and `losses` go from the node back to the input with it. A layer by itself is its recipe replayed on the
identity of one of its inputs; nothing is analysed again. Sets are asked for within boxes, and along the axes that
matter, so that no whole tensor of channels is ever made.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from fastrf.budget import require_memory
from fastrf.engine import axis_map as maps
from fastrf.engine.dependency import Dependency
from fastrf.engine.nominal import Nominal
from fastrf.engine.recipe import replay
from fastrf.engine.relation import Relation
from fastrf.network import Network, Node, split_name
from fastrf.queries.counting import factor_index, group_rows
from fastrf.queries.naming import row_name
from fastrf.system.locks import cached_property

__all__ = ["Box", "Way", "box_of", "holding", "indices", "is_read", "mesh", "reading", "through"]

Bools = npt.NDArray[np.bool_]
Index = Sequence[npt.NDArray[np.int64]]
Box = Sequence[tuple[int, int]]


@dataclass(frozen=True, eq=False)
class Way:
    """What is known of a network measured against `wrt`.

    `dependencies` are those of every node, `nominal` tells what its positions read of an unbounded input.
    `target` is the node that is asked about, `assumes` what its field takes for granted.
    """

    network: Network
    wrt: str
    target: str
    dependencies: Mapping[str, Dependency]
    nominal: Callable[[str], Nominal]
    assumes: tuple[str, ...] = ()

    @cached_property
    def nodes(self) -> list[Node]:
        """The layers between the origin and the target, in order, and the target; the origin is none of them."""
        past, found = {self.wrt}, []
        needed = {node.name for node in self.network.needed([self.target])}
        for node in self.network.nodes:
            if node.name in needed and node.name != self.wrt and past.intersection(node.inputs):
                past.add(node.name)
                found.append(node)
        return found

    @cached_property
    def names(self) -> frozenset[str]:
        """Names of the origin and of those layers."""
        return frozenset([self.wrt, *(node.name for node in self.nodes)])

    def read_by(self, node: Node) -> list[str]:
        """What a layer reads on this way, each once."""
        return [name for name in dict.fromkeys(node.inputs) if name in self.names]

    def branches(self, node: Node) -> list[str]:
        """What of it depends on the origin at all, which a size that is read, or a constant, does not."""
        return [name for name in self.read_by(node) if self.dependencies[name].terms]

    def pixels(self, name: str) -> Dependency:
        """Which pixels, in any channel, each element of a node reads."""
        if name not in self._pixels:
            axis, found = self.network.channel_axis_of(self.wrt), self.dependencies[name]
            self._pixels[name] = found if axis is None else found.any_input(axis)
        return self._pixels[name]

    @cached_property
    def _pixels(self) -> dict[str, Dependency]:
        return {}

    def step(self, node: Node, read: str) -> Dependency:
        """What each element of a layer reads of one of the things that it reads."""
        shape = self.network.shape_of(read)
        identity = Dependency.identity(shape)
        values = [
            identity if name == read else Dependency.none(self.network.shape_of(name), shape) for name in node.inputs
        ]
        return replay(node.recipe, values)

    def position_of(self, name: str, neuron: Sequence[int]) -> tuple[int, ...]:
        """An element's index without its channel."""
        axis = self.network.channel_axis_of(name)
        return tuple(i for k, i in enumerate(neuron) if k != axis)

    def at(self, name: str, position: Sequence[int]) -> Box:
        """The elements at a position of a node, in any channel."""
        axis, rest = self.network.channel_axis_of(name), iter(position)
        return [(0, n) if k == axis else (i := next(rest), i + 1) for k, n in enumerate(self.network.shape_of(name))]

    def shown(self, name: str) -> tuple[str, str]:
        """What tables call a node, and the class of its module, or its operator."""
        node = self.network.by_name.get(name)
        if node is None:
            return name, "input"
        label = row_name(node)
        return label, self.network.classes.get(split_name(label)[0], "") or node.op


def box_of(dependency: Dependency) -> list[tuple[int, int]]:
    """The hull of what a dependency without axes reads, per input axis."""
    found = []
    for axis, n in enumerate(dependency.input_shape):
        line = np.zeros(n, bool)
        for term in dependency.terms:
            group = next(group for group in term if axis in group.cols)
            at = group.cols.index(axis)
            sizes = [dependency.input_shape[a] for a in group.cols]
            line |= group.relation.project(math.prod(sizes[:at]), n, math.prod(sizes[at + 1 :])).row_mask(0)
        used = np.flatnonzero(line)
        found.append((int(used[0]), int(used[-1]) + 1) if used.size else (0, 0))
    return found


def mesh(dependency: Dependency, box: Box) -> Index:
    """Indices along every factor for the elements of a box, as an open mesh over the axes."""
    index: list[npt.NDArray[np.int64]] = []
    for axis, (low, high) in enumerate(box):
        line = np.arange(low, high).reshape([-1 if k == axis else 1 for k in range(len(box))])
        factors = dependency.axes[axis]
        index += np.unravel_index(line, factors) if factors else ()
    return index


def reading(dependency: Dependency, pixel: Sequence[int], box: Box) -> Bools:
    """bool[*box]: which elements of a box read a pixel; axes along which nothing changes have length 1."""
    shape = [high - low for low, high in box]
    require_memory(3 * math.prod(shape), f"marks of {math.prod(shape)} elements", "analyse a smaller input_shape")
    index, found = mesh(dependency, box), np.zeros((1,) * len(box), bool)
    for term in dependency.terms:
        own = np.ones((1,) * len(box), bool)
        for group in term:
            rows = group_rows(group, dependency.sizes, index)
            own = own & _hits_of(group.relation, rows, _column(group.cols, dependency.input_shape, pixel))
        found = found | own
    return found


def _column(cols: Sequence[int], input_shape: Sequence[int], pixel: Sequence[int]) -> int:
    """Where a pixel stands among the columns of a group."""
    column = 0
    for axis in cols:
        column = column * input_shape[axis] + pixel[axis]
    return column


def _hits_of(relation: Relation, rows: npt.NDArray[np.int64], column: int) -> Bools:
    """bool[*rows]: which of some rows hold a column; a long relation is not spelled out for a few of them."""
    if relation.is_whole or rows.size >= relation.n_rows:
        return _hits(relation, column)[rows]
    return _hits(relation.take(rows.ravel()), column).reshape(rows.shape)


def _hits(relation: Relation, column: int) -> Bools:
    """bool[n_rows]: which rows hold a column."""
    hit = (relation.start <= column) & (column < relation.stop)
    total = np.concatenate([[0], np.cumsum(hit)])
    return np.asarray(total[relation.indptr[1:]] > total[relation.indptr[:-1]])


def is_read(dependency: Dependency, pixel: Sequence[int]) -> bool:
    """Whether any element reads a pixel."""
    shape = dependency.input_shape
    return any(all(_hits(g.relation, _column(g.cols, shape, pixel)).any() for g in term) for term in dependency.terms)


def holding(dependency: Dependency, index: Sequence[int], box: Box) -> Bools:
    """bool[*box]: what one element reads of a box of the input."""
    at, found = factor_index(dependency, index), np.zeros((1,) * len(box), bool)
    for term in dependency.terms:
        own = np.ones((1,) * len(box), bool)
        for group in term:
            row = int(group_rows(group, dependency.sizes, at).ravel()[0])
            sizes = [n if axis in group.cols else 1 for axis, n in enumerate(dependency.input_shape)]
            places = [slice(*box[axis]) if axis in group.cols else slice(None) for axis in range(len(sizes))]
            line = group.relation.take([row]).row_mask(0)  # not of a long relation that is spelled out
            own = own & line.reshape(sizes)[tuple(places)]
        found = found | own
    return found


def through(rows: Dependency, step: Dependency) -> Dependency:
    """What a set of elements, as a dependency without axes, reads through a layer."""
    found = Dependency.none((), step.input_shape)
    for term in rows.terms:
        groups = [group for group in term if group.cols]
        value = step.permute(tuple(axis for group in groups for axis in group.cols))
        value = value.reshape(tuple(math.prod(rows.input_shape[a] for a in group.cols) for group in groups))
        for k, group in enumerate(groups):
            value = value.map_axis(k, maps.from_relation(group.relation))
        found = found.union(value.reshape(()))
    return found


def indices(marks: Bools, box: Box) -> Iterator[tuple[int, ...]]:
    """The elements of a box that are marked, in row-major order."""
    full = np.broadcast_to(marks, [high - low for low, high in box])
    for index in np.argwhere(full).tolist():
        yield tuple(i + low for i, (low, _) in zip(index, box, strict=True))
