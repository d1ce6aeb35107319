"""NAS-Bench-101: cells of at most 7 vertices and 9 edges, three stacks of three of them.

Ying et al. 2019, arXiv 1902.09635; rules, hash and skeleton as in google-research/nasbench (`ModelSpec`,
`model_builder`). `nasbench101_cells` has the arithmetic on many cells at once.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from hashlib import md5
from typing import Any, NamedTuple

import numpy as np

from fastrf.errors import FormatError, NetworkError
from fastrf.network import Network
from fastrf.spaces import nasbench101_cells as cells
from fastrf.spaces.columns.programs import Columns, Evaluated, conv
from fastrf.spaces.skeleton import Costs, behind_cell, checked_shape, classified, image_of
from fastrf.spaces.space import Candidates, Codes, Seed, Space, generator, literal, short
from fastrf.zoo.builder import Builder, halved

__all__ = ["OPERATORS", "Cell", "NASBench101"]

#: The operators between input and output, in the order of their labels in the hash.
OPERATORS = ("conv3x3-bn-relu", "conv1x1-bn-relu", "maxpool3x3")
_LETTERS = "31m"
_COMPACT = re.compile(r"\s*([01]*):([31m]*)\s*")
_SHOWN = 'a cell; write {"matrix": [[0, 1], [0, 0]], "ops": ["input", "output"]} or bits:letters'
#: A matrix with more vertices than this is refused before it is pruned.
_MAX_GIVEN = 64


class Cell(NamedTuple):
    """A cell: upper-triangular 0/1 adjacency matrix, and one operator per vertex ("input" first, "output" last)."""

    matrix: tuple[tuple[int, ...], ...]
    ops: tuple[str, ...]


class NASBench101(Space[Cell]):
    """Cells as JSON `{"matrix": [[0, 1, …], …], "ops": ["input", …, "output"]}`, or shorter as `bits:letters`.

    The short form, in which candidates are listed, has the entries above the matrix's diagonal row by row, and a
    letter per vertex between input and output: 3 and 1 for the convolutions, m for the max-pool. `channels` are those
    of the stem, `stacks` and `modules` how many cells follow each other, `classes` those of the classifier.
    """

    size = 423_624
    input_shape = (3, 32, 32)

    def __init__(self, channels: int = 128, stacks: int = 3, modules: int = 3, classes: int = 10) -> None:
        if min(channels, stacks, modules, classes) < 1:
            raise NetworkError(f"channels, stacks, modules and classes must be at least 1, not {channels, stacks}")
        self.channels, self.stacks, self.modules, self.classes = channels, stacks, modules, classes
        own = (channels, stacks, modules, classes)
        self.name = f"nasbench101{'' if own == (128, 3, 3, 10) else str(own).replace(' ', '')}"

    def parse(self, text: Any) -> Cell:
        """The cell without the vertices that are on no path from input to output, as the benchmark prunes it.

        Takes either notation, a mapping or a pair of matrix and operators. Raises FormatError and NetworkError, which
        name the row or the vertex.
        """
        matrix, ops = _given(text)
        n = len(ops)
        if not 2 <= n <= _MAX_GIVEN or len(matrix) != n:
            raise NetworkError(f"a matrix of {len(matrix)} rows and {n} operators; a cell has as many of each, 2 to 7")
        for i, row in enumerate(matrix):
            if len(row) != n or any(type(entry) is not int or entry not in (0, 1) for entry in row):
                raise NetworkError(f"row {i} of the matrix, {short(row)}, must be {n} entries 0 or 1")
            if any(row[: i + 1]):
                raise NetworkError(f"row {i} of the matrix has an entry below or on the diagonal; edges go forwards")
        kept = _on_paths(matrix)
        if len(kept) < 2:
            raise NetworkError("the cell has no path from input to output; connect vertex 0 to the last one")
        pruned = tuple(tuple(matrix[i][j] for j in kept) for i in kept)
        names = tuple(ops[i] for i in kept)
        for vertex, op in zip(kept[1:-1], names[1:-1], strict=True):
            if op not in OPERATORS:
                raise NetworkError(f"vertex {vertex}: operator {short(op)} is none of {', '.join(OPERATORS)}")
        if (names[0], names[-1]) != ("input", "output"):
            raise NetworkError(
                f"the first operator is {short(names[0])}, the last {short(names[-1])}; not input, output"
            )
        edges = sum(map(sum, pruned))
        if len(kept) > cells.VERTICES or edges > cells.MAX_EDGES:
            raise NetworkError(f"the cell has {len(kept)} vertices and {edges} edges; at most 7 and 9 are allowed")
        return Cell(pruned, names)

    def format(self, arch: Cell, compact: bool = True) -> str:
        """The short notation of a cell, or with `compact=False` the JSON one."""
        if not compact:
            return json.dumps({"matrix": arch.matrix, "ops": arch.ops})
        bits = "".join(str(entry) for i, row in enumerate(arch.matrix) for entry in row[i + 1 :])
        return f"{bits}:{''.join(_LETTERS[OPERATORS.index(op)] for op in arch.ops[1:-1])}"

    def hash(self, candidate: Any) -> str:
        """The benchmark's key of a cell, equal for isomorphic cells: iterated MD5 over neighbourhoods."""
        cell = self.parse(candidate)
        n = len(cell.ops)
        labels = [-1, *[OPERATORS.index(op) for op in cell.ops[1:-1]], -2]
        before = [[w for w in range(n) if cell.matrix[w][v]] for v in range(n)]
        after = [[w for w in range(n) if cell.matrix[v][w]] for v in range(n)]
        marks = [_md5(str((len(after[v]), len(before[v]), labels[v]))) for v in range(n)]
        for _ in range(n):
            around = [["".join(sorted(marks[w] for w in near)) for near in side] for side in (before, after)]
            marks = [_md5("|".join(parts)) for parts in zip(*around, marks, strict=True)]
        return _md5(str(sorted(marks)))

    def encode(self, arch: Cell) -> tuple[int, ...]:
        """The number of vertices, the matrix with the output last (`nasbench101_cells`), and the operators' labels."""
        n = len(arch.ops)
        idle = [0] * (cells.VERTICES - n)
        edges: list[int] = []
        for i, row in enumerate(arch.matrix[:-1]):
            edges += [*row[i + 1 : -1], *idle, row[-1]]
        edges += [0] * (len(cells.ABOVE[0]) - len(edges))
        # The rows of idle vertices, which stand before the output, are zeros at the end.
        return (n, *edges, *[OPERATORS.index(op) for op in arch.ops[1:-1]], *idle)

    def decode(self, codes: Codes) -> list[str]:
        """The short notation of rows of codes."""
        return cells.notation(codes, _LETTERS)

    def all(self) -> Candidates:
        """All 423,624 cells, one of each class of isomorphic ones; takes some seconds."""
        return Candidates(self, cells.every_cell(len(OPERATORS)))

    def sample(self, n: int, seed: Seed = 0) -> Candidates:
        """`n` cells: random matrices of 7 vertices and random operators, pruned, those of at most 9 edges kept."""
        return Candidates(self, cells.random_cells(n, generator(seed), len(OPERATORS)))

    def mutate(self, candidate: Any, seed: Seed = 0) -> str:
        """The cell with an edge put in or out, a vertex put between two, or another operator at a vertex; then pruned.

        Never an isomorphic cell.
        """
        rng = generator(seed)
        cell = self.parse(candidate)
        key = self.hash(cell)
        matrix, ops = _widened(cell, rng)
        while True:
            rows, names = [list(row) for row in matrix], list(ops)
            i, j, k = sorted(rng.choice(cells.VERTICES, 3, replace=False).tolist())
            match int(rng.integers(3)):
                case 0:
                    rows[i][j] ^= 1
                case 1:
                    rows[i][j] = rows[j][k] = 1
                case _:
                    names[j] = OPERATORS[int(rng.integers(len(OPERATORS)))]
            try:
                other = self.parse((rows, names))
            except NetworkError:
                continue
            if self.hash(other) != key:
                return self.format(other)

    def network(self, candidate: Any, input_shape: Sequence[int] | None = None) -> Network:
        """The whole network of a cell; see `Space.network`. Cell `j` of stack `i` is `stack{i}.module{j}`."""
        cell = self.parse(candidate)
        net = Builder(self.format(cell), checked_shape(self, input_shape))
        codes = np.array(self.encode(cell))[None]
        net.conv_bn_act(("stem.conv", "stem.bn", "stem"), self.channels, 3, padding="same")
        for stack in range(self.stacks):
            if stack:
                net.add("max_pool", f"pool{stack}", kernel_size=2, stride=2, padding="same")
            widths = cells.vertex_channels(codes, self.channels << stack)[:, 0].tolist()
            for module in range(self.modules):
                _add_module(net, f"stack{stack}.module{module}", cell, widths)
        net.add("identity", "features")
        return classified(net, self.classes, "pool")

    def evaluate(self, candidates: Candidates, columns: Columns, channels: int | None = None) -> Evaluated:
        """See `Space.evaluate`."""
        n_channels, *place = image_of(self, columns, channels)
        codes, costs, wide = candidates.codes, Costs(columns.n), self.channels
        depth, convolutions = cells.profile(codes)
        columns.layer(columns.image)
        column = columns.apply(conv(3, 1, 1), columns.image)
        costs.conv(n_channels * wide * 9, wide, place)
        for stack in range(self.stacks):
            if stack:
                column = columns.apply(conv(2, 2, tuple((0, n % 2) for n in place)), column)
                place = halved(place)
            out = self.channels << stack
            widths = cells.vertex_channels(codes, out)
            for _ in range(self.modules):
                column = behind_cell(columns, column, depth, convolutions)
                costs.conv(*cells.weights(codes, widths, wide), place)
                wide = out
        costs.linear(wide, self.classes)
        return Evaluated(column, costs.parameters, costs.macs)


def _md5(text: str) -> str:
    return md5(text.encode(), usedforsecurity=False).hexdigest()


def _given(text: Any) -> tuple[list[list[int]], list[str]]:
    """Matrix and operators of any notation, not yet checked against each other."""
    if isinstance(text, str):
        match = _COMPACT.fullmatch(text)
        if match:
            return _from_compact(match.group(1), match.group(2))
        text = literal(text, _SHOWN)
    if isinstance(text, Mapping):
        missing = {"matrix", "ops"} - set(text)
        if missing:
            raise FormatError(f"{short(dict(text))} has no {min(missing)!r}; a cell has 'matrix' and 'ops'")
        text = (text["matrix"], text["ops"])
    if not isinstance(text, list | tuple) or len(text) != 2:
        raise FormatError(f"{short(text)} is not a cell; give matrix and ops")
    matrix, ops = (part.tolist() if isinstance(part, np.ndarray) else part for part in text)
    if not isinstance(ops, list | tuple) or not all(isinstance(op, str) for op in ops):
        raise FormatError(f"'ops' must be a list of operator names, not {short(ops)}")
    rows = [row.tolist() if isinstance(row, np.ndarray) else row for row in matrix] if _listed(matrix) else None
    if rows is None or not all(_listed(row) for row in rows):
        raise FormatError(f"'matrix' must be a list of rows, not {short(matrix)}")
    return [[int(e) if isinstance(e, bool) else e for e in row] for row in rows], list(ops)


def _listed(value: object) -> bool:
    return isinstance(value, list | tuple)


def _from_compact(bits: str, letters: str) -> tuple[list[list[int]], list[str]]:
    n = len(letters) + 2
    if n > _MAX_GIVEN or len(bits) != n * (n - 1) // 2:
        raise FormatError(f"{short(bits)}: {len(letters)} operators need {n * (n - 1) // 2} bits, not {len(bits)}")
    entries = iter(map(int, bits))
    matrix = [[0] * (i + 1) + [next(entries) for _ in range(n - 1 - i)] for i in range(n)]
    return matrix, ["input", *[OPERATORS[_LETTERS.index(letter)] for letter in letters], "output"]


def _on_paths(matrix: Sequence[Sequence[int]]) -> list[int]:
    """The vertices on a path from the first to the last."""
    n = len(matrix)
    leads = np.linalg.matrix_power(np.array(matrix, bool) | np.eye(n, dtype=bool), n)
    return np.flatnonzero(leads[0] & leads[:, -1]).tolist()


def _widened(cell: Cell, rng: np.random.Generator) -> tuple[list[list[int]], list[str]]:
    """The cell with idle vertices put in anywhere, up to seven in all."""
    n, wide = len(cell.ops), cells.VERTICES
    place = [0, *sorted(rng.choice(wide - 2, n - 2, replace=False) + 1), wide - 1]
    matrix = np.zeros((wide, wide), int)
    matrix[np.ix_(place, place)] = cell.matrix
    ops = [OPERATORS[k] for k in rng.integers(len(OPERATORS), size=wide)]
    for vertex, op in zip(place, cell.ops, strict=True):
        ops[vertex] = op
    return matrix.tolist(), ops


def _add_module(net: Builder, name: str, cell: Cell, widths: Sequence[int]) -> None:
    """One cell: inputs of a vertex are cut to its channels and added; those of the output are concatenated."""
    source, last = net.last, len(cell.ops) - 1
    values = {0: source}
    for t in range(1, last):
        terms = []
        for s in range(1, t):
            if cell.matrix[s][t]:
                cut = widths[s] > widths[t]
                label = f"{name}.vertex{t}.from{s}"
                terms.append(
                    net.add("slice", label, inputs=values[s], axis=0, start=0, stop=widths[t]) if cut else values[s]
                )
        if cell.matrix[0][t]:
            terms.append(_add_projection(net, f"{name}.vertex{t}", source, widths[t]))
        if len(terms) > 1:
            terms = [net.add("add", f"{name}.vertex{t}.sum", inputs=terms)]
        label = f"{name}.vertex{t}"
        if cell.ops[t] == "maxpool3x3":
            values[t] = net.add("max_pool", label, inputs=terms, kernel_size=3, stride=1, padding="same")
        else:
            kernel = 3 if cell.ops[t] == "conv3x3-bn-relu" else 1
            parts = (f"{label}.conv", f"{label}.bn", label)
            values[t] = net.conv_bn_act(parts, widths[t], kernel, inputs=terms[0], padding="same")
    ends = [values[t] for t in range(1, last) if cell.matrix[t][last]]
    if len(ends) > 1:
        ends = [net.add("concat", f"{name}.concat", inputs=ends, axis=0)]
    if cell.matrix[0][last]:
        ends.append(_add_projection(net, f"{name}.output", source, widths[-1]))
    net.add("add", name, inputs=ends)


def _add_projection(net: Builder, name: str, source: str, channels: int) -> str:
    parts = (f"{name}.projection.conv", f"{name}.projection.bn", f"{name}.projection")
    return net.conv_bn_act(parts, channels, 1, inputs=source)
