"""NAS-Bench-201, which is also the topology space of NATS-Bench: all 15,625 cells of four nodes and five operators.

Dong and Yang 2020, arXiv 2001.00326; skeleton and strings as in xautodl (`TinyNetwork`): a 3x3 stem, three stages of
`n` cells of C, 2C and 4C channels, a residual block of stride 2 between them.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import numpy as np

from fastrf.errors import FormatError, NetworkError
from fastrf.network import Network
from fastrf.spaces.columns.programs import Column, Columns, Evaluated, conv, sequence
from fastrf.spaces.skeleton import Costs, Ints, behind_cell, checked_shape, classified, image_of
from fastrf.spaces.space import Candidates, Codes, Seed, Space, generator, short
from fastrf.system.locks import cached_property
from fastrf.zoo.builder import Builder, halved

__all__ = ["OPERATORS", "NASBench201"]

#: The operators, in the order of their codes.
OPERATORS = ("none", "skip_connect", "nor_conv_1x1", "nor_conv_3x3", "avg_pool_3x3")
_NONE, _SKIP, _CONV1, _CONV3, _POOL = range(5)
#: The six edges (node read, node written), in the order of the string.
_EDGES = ((0, 1), (0, 2), (1, 2), (0, 3), (1, 3), (2, 3))
_ITEM = re.compile(r"\s*([A-Za-z0-9_]+)~([0-9]+)\s*")
_REPR = re.compile(r"Structure\(\s*\d+ nodes with (.*)\)", re.DOTALL)

#: Per node 1..3 the operators of its edges as `(operator, node read)`.
Arch = tuple[tuple[tuple[str, int], ...], ...]

_DOWN = sequence(conv(3, 2, 1), conv(3, 1, 1))
_SHORTCUT = conv(2, 2)


class NASBench201(Space[Arch]):
    """Cells in the notation `|op~0|+|op~0|op~1|+|op~0|op~1|op~2|` of NAS-Bench-201 and NATS-Bench.

    `channels` are those of the first stage, `n` the cells per stage, `classes` those of the classifier. Parameters of
    operators that nothing reads count, as they do in the published numbers. A cell without a path gives empty masks.
    """

    size = 5**6
    input_shape = (3, 32, 32)

    def __init__(self, channels: int = 16, n: int = 5, classes: int = 10) -> None:
        if min(channels, n, classes) < 1:
            raise NetworkError(f"channels={channels}, n={n} and classes={classes} must be at least 1")
        self.channels, self.n, self.classes = channels, n, classes
        own = "" if (channels, n, classes) == (16, 5, 10) else f"(channels={channels},n={n},classes={classes})"
        self.name = f"nasbench201{own}"

    def parse(self, text: Any) -> Arch:
        """Per node 1..3 the operators of its edges, each `(operator, node read)`.

        Takes the string, also with edges in another order or without those that are `none`, the representation of
        xautodl's `Structure`, and nested tuples. Raises FormatError and NetworkError, which name the edge.
        """
        nodes = _nodes_of(text) if isinstance(text, str) else _checked_nodes(text)
        if len(nodes) != 3:
            raise NetworkError(f"{short(text)} has {len(nodes)} nodes after the input; NAS-Bench-201 cells have 3")
        found: list[tuple[tuple[str, int], ...]] = []
        for number, node in enumerate(nodes, start=1):
            by_source: dict[int, str] = {}
            for operator, source in node:
                place = f"node {number} of {short(text)}"
                if operator not in OPERATORS:
                    raise NetworkError(f"{place}: operator {operator[:40]!r} is none of {', '.join(OPERATORS)}")
                if not 0 <= source < number:
                    raise NetworkError(f"{place}: an edge from node {source}; it reads nodes 0 to {number - 1}")
                if source in by_source:
                    raise NetworkError(f"{place}: two edges from node {source}; keep one")
                by_source[source] = operator
            found.append(tuple((by_source.get(source, "none"), source) for source in range(number)))
        return tuple(found)

    def encode(self, arch: Arch) -> tuple[int, ...]:
        """Six operator codes in the order of the string."""
        return tuple(OPERATORS.index(op) for node in arch for op, _ in node)

    def decode(self, codes: Codes) -> list[str]:
        """The strings of rows of six operator codes."""
        first, last = self._halves
        rows = codes.astype(np.intp)
        left = (rows[:, :3] @ (25, 5, 1)).tolist()
        right = (rows[:, 3:] @ (25, 5, 1)).tolist()
        return [first[i] + last[j] for i, j in zip(left, right, strict=True)]

    @cached_property
    def _halves(self) -> tuple[list[str], list[str]]:
        """The beginning of the string for every choice on nodes 1 and 2, and its end for every choice on node 3."""
        codes = np.indices((5, 5, 5)).reshape(3, -1).T.tolist()
        names = [[OPERATORS[code] for code in row] for row in codes]
        return [f"|{a}~0|+|{b}~0|{c}~1|+" for a, b, c in names], [f"|{a}~0|{b}~1|{c}~2|" for a, b, c in names]

    def all(self) -> Candidates:
        """All 15,625 cells, the last edge of the string fastest."""
        return Candidates(self, np.ascontiguousarray(np.indices((5,) * 6, np.int8).reshape(6, -1).T))

    def sample(self, n: int, seed: Seed = 0) -> Candidates:
        """`n` cells drawn uniformly, with repetition."""
        return Candidates(self, generator(seed).integers(0, 5, (n, 6), np.int8))

    def mutate(self, candidate: Any, seed: Seed = 0) -> str:
        """The cell with another operator on one edge."""
        rng = generator(seed)
        codes = np.array(self.encode(self.parse(candidate)), np.int8)
        edge = int(rng.integers(6))
        codes[edge] = (codes[edge] + rng.integers(1, 5)) % 5
        return self.decode(codes[None])[0]

    def network(self, candidate: Any, input_shape: Sequence[int] | None = None) -> Network:
        """The whole network of a cell; see `Space.network`. The node of cell `i` is `cells.i`."""
        arch = self.parse(candidate)
        shape = checked_shape(self, input_shape)
        net = Builder(self.format(arch), shape)
        net.conv_bn(("stem.0", "stem.1"), self.channels, 3, padding=1)
        place: Sequence[int] = shape[1:]
        for stage in range(3):
            channels = self.channels << stage
            if stage:
                _add_block(net, f"cells.{stage * (self.n + 1) - 1}", channels)
                place = halved(place)
            for cell in range(stage * (self.n + 1), stage * (self.n + 1) + self.n):
                _add_cell(net, f"cells.{cell}", arch, (channels, *place))
        net.add("batch_norm", "lastact.0")
        net.add("relu", "features")
        return classified(net, self.classes)

    def evaluate(self, candidates: Candidates, columns: Columns, channels: int | None = None) -> Evaluated:
        """See `Space.evaluate`."""
        n_channels, *place = image_of(self, columns, channels)
        codes, costs, c = candidates.codes, Costs(columns.n), self.channels
        depth, convolutions = _profile(codes)
        columns.layer(columns.image)
        column = columns.apply(conv(3, 1, 1), columns.image)
        costs.conv(n_channels * c * 9, c, place)
        for stage in range(3):
            if stage:
                column, place, c = self._reduced(columns, column), halved(place), 2 * c
                costs.conv(c // 2 * c * 9, c, place)
                costs.conv(c * c * 9, c, place)
                costs.conv(c // 2 * c, 0, place)
            for _ in range(self.n):
                column = behind_cell(columns, column, depth, convolutions)
            for operator, weights in ((_CONV1, c * c), (_CONV3, 9 * c * c)):
                costs.conv(weights, c, place, self.n * (codes == operator).sum(axis=1, dtype=np.int64))
        costs.parameters += 2 * c
        costs.linear(c, self.classes)
        return Evaluated(column, costs.parameters, costs.macs)

    @staticmethod
    def _reduced(columns: Columns, column: Column) -> Column:
        """The map behind a residual block of stride 2."""
        for source in (column, columns.apply(conv(3, 2, 1), column), columns.apply(_SHORTCUT, column)):
            columns.layer(source)
        return columns.union(columns.apply(_DOWN, column), columns.apply(_SHORTCUT, column))


def _nodes_of(text: str) -> list[list[tuple[str, int]]]:
    """The edges of each node of a string."""
    whole = _REPR.fullmatch(text.strip())
    nodes = []
    for number, part in enumerate((whole.group(1) if whole else text).strip().split("+"), start=1):
        items = [item for item in part.strip().split("|") if item.strip()]
        found = [_ITEM.fullmatch(item) for item in items]
        for item, match in zip(items, found, strict=True):
            if match is None or len(match.group(2)) > 3:
                raise FormatError(
                    f"node {number} of {short(text)}: {short(item)} is not an edge; write |operator~node|"
                )
        nodes.append([(match.group(1), int(match.group(2))) for match in found if match])
    return nodes


def _checked_nodes(nodes: object) -> list[list[tuple[str, int]]]:
    """Nested tuples or lists, each edge `(operator, node)`."""
    if not isinstance(nodes, list | tuple):
        raise FormatError(f"{short(nodes)} is not a cell; write |op~0|+|op~0|op~1|+|op~0|op~1|op~2|")
    for number, node in enumerate(nodes, start=1):
        for edge in node if isinstance(node, list | tuple) else [node]:
            good = isinstance(edge, list | tuple) and len(edge) == 2
            if not (good and isinstance(edge[0], str) and type(edge[1]) is int):
                raise FormatError(f"node {number}: {short(edge)} is not an edge; write (operator, node)")
    return [list(node) for node in nodes]


def _profile(codes: Codes) -> tuple[Ints, list[Ints]]:
    """The most 3x3 windows on a path to the output (-1: no path), and how many needed convolutions read each depth."""
    n = len(codes)
    depth = np.full((4, n), -1, np.int64)
    depth[0] = 0
    for edge, (source, target) in enumerate(_EDGES):
        op = codes[:, edge]
        through = np.where((op == _NONE) | (depth[source] < 0), -1, depth[source] + (op >= _CONV3))
        np.maximum(depth[target], through, out=depth[target])
    needed = np.zeros((4, n), bool)
    needed[3] = True
    for edge, (source, target) in reversed(list(enumerate(_EDGES))):
        needed[source] |= needed[target] & (codes[:, edge] != _NONE)
    convolutions = np.zeros((3, n), np.int64)
    for edge, (source, target) in enumerate(_EDGES):
        counts = needed[target] & ((codes[:, edge] == _CONV1) | (codes[:, edge] == _CONV3))
        for k in range(3):
            convolutions[k] += counts & (depth[source] == k)
    return depth[3], list(convolutions)


def _add_block(net: Builder, name: str, channels: int) -> None:
    """The residual block of stride 2, whose shortcut averages 2x2."""
    source = net.last
    for part, stride in (("conv_a", 2), ("conv_b", 1)):
        net.add("relu", f"{name}.{part}.op.0")
        net.conv_bn((f"{name}.{part}.op.1", f"{name}.{part}.op.2"), channels, 3, stride=stride, padding=1)
    body = net.last
    net.add("avg_pool", f"{name}.downsample.0", inputs=source, kernel_size=2, stride=2)
    net.add("conv", f"{name}.downsample.1", out_channels=channels, kernel_size=1, bias=False)
    net.add("add", name, inputs=[net.last, body])


def _add_cell(net: Builder, name: str, arch: Arch, shape: tuple[int, ...]) -> None:
    """One cell; a node of no operator is a constant."""
    nodes = [net.last]
    for number, node in enumerate(arch, start=1):
        terms = []
        for op, source in node:
            label = f"{name}.{number}.{source}"
            if op == "skip_connect":
                terms.append(net.add("identity", label, inputs=nodes[source]))
            elif op == "avg_pool_3x3":
                terms.append(net.add("avg_pool", label, inputs=nodes[source], kernel_size=3, stride=1, padding=1))
            elif op != "none":
                kernel = 1 if op == "nor_conv_1x1" else 3
                net.add("relu", f"{label}.relu", inputs=nodes[source])
                terms.append(net.conv_bn((f"{label}.conv", label), shape[0], kernel, padding=kernel // 2))
        label = name if number == 3 else f"{name}.{number}"
        if terms:
            nodes.append(net.add("add", label, inputs=terms))
        else:
            nodes.append(net.add("constant", label, inputs=nodes[0], shape=shape))
