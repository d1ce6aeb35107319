"""DARTS: genotypes of a normal and a reduction cell, on the skeletons for CIFAR and for ImageNet.

Liu et al. 2018, arXiv 1806.09055; operators and skeletons as in quark0/darts (`cnn/operations.py`, `cnn/model.py`).
`darts_genotypes` has the notation.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from fastrf.errors import NetworkError, ShapeError
from fastrf.network import Network
from fastrf.spaces import darts_genotypes as genotypes
from fastrf.spaces.columns.programs import Column, Columns, Evaluated, conv
from fastrf.spaces.darts_cells import (
    POINT,
    add_cell,
    add_factorized_reduce,
    add_pointwise,
    cell_weights,
    edge_steps,
    reducing,
)
from fastrf.spaces.darts_genotypes import DARTS_V1, DARTS_V2, EDGES, NONE, STEPS, WIDTH, Genotype
from fastrf.spaces.skeleton import Costs, checked_shape, classified, image_of
from fastrf.spaces.space import Candidates, Codes, Seed, Space, generator
from fastrf.zoo.builder import Builder, halved

__all__ = ["DARTS", "DARTS_V1", "DARTS_V2", "Genotype"]

Flags = npt.NDArray[np.bool_]

_SKELETONS = {"cifar": ((3, 32, 32), 20, 36, 10), "imagenet": ((3, 224, 224), 14, 48, 1000)}


class DARTS(Space[Genotype]):
    """Genotypes in the notation `Genotype(normal=[('sep_conv_3x3', 0), …], normal_concat=[2, 3, 4, 5], reduce=…, …)`.

    `skeleton` is "cifar" (a 3x3 stem; 20 cells from 36 channels) or "imagenet" (three 3x3 of stride 2; 14 cells from
    48); `layers`, `channels` and `classes` override. Cells `layers // 3` and `2 * layers // 3` reduce. With `padded`, a
    FactorizedReduce pads right and bottom before its shifted half, as xautodl's does; otherwise, as in quark0/darts,
    sizes before it must be even.
    """

    #: Two of the nodes before it and an operator each but `none` for every node, for both cells.
    size = (1 * 3 * 6 * 10 * 7**EDGES) ** 2

    def __init__(
        self,
        skeleton: str = "cifar",
        layers: int | None = None,
        channels: int | None = None,
        classes: int | None = None,
        padded: bool = False,
    ) -> None:
        if skeleton not in _SKELETONS:
            raise NetworkError(f"skeleton {skeleton!r} is unknown; use one of {', '.join(_SKELETONS)}")
        self.input_shape, *usual = _SKELETONS[skeleton]
        given = [
            own if own is not None else value for own, value in zip((layers, channels, classes), usual, strict=True)
        ]
        self.layers, self.channels, self.classes = given
        if min(given) < 1 or self.channels % 2:
            raise NetworkError(f"layers={self.layers}, channels={self.channels} (even) and classes must be at least 1")
        self.skeleton, self.padded = skeleton, padded
        own = "" if given == usual else f"(layers={self.layers},channels={self.channels},classes={self.classes})"
        self.name = f"darts-{skeleton}{own}{'-padded' if padded else ''}"

    @property
    def reductions(self) -> tuple[int, ...]:
        """The numbers of the reduction cells."""
        return tuple(sorted({self.layers // 3, 2 * self.layers // 3}))

    def parse(self, text: Any) -> Genotype:
        """The genotype of a text, a mapping, or a tuple of the four parts; see `Space.parse`. Nothing is evaluated."""
        return genotypes.read(text)

    def encode(self, arch: Genotype) -> tuple[int, ...]:
        """See `darts_genotypes.encode`."""
        return genotypes.encode(arch)

    def decode(self, codes: Codes) -> list[str]:
        """The genotypes as quark0/darts writes them; see `darts_genotypes.decode`."""
        return genotypes.decode(codes)

    def sample(self, n: int, seed: Seed = 0) -> Candidates:
        """`n` genotypes: two different nodes and an operator each, none excluded, for every node; all concatenated."""
        rng = generator(seed)
        codes = np.empty((n, 2, WIDTH // 2), np.int8)
        codes[:, :, :EDGES] = rng.integers(0, NONE, (n, 2, EDGES), np.int8)
        for step in range(STEPS):
            first = rng.integers(0, 2 + step, (n, 2), np.int8)
            second = rng.integers(0, 1 + step, (n, 2), np.int8)
            codes[:, :, EDGES + 2 * step] = first
            codes[:, :, EDGES + 2 * step + 1] = second + (second >= first)
        codes[:, :, -1] = (1 << STEPS) - 1
        return Candidates(self, codes.reshape(n, WIDTH))

    def mutate(self, candidate: Any, seed: Seed = 0) -> str:
        """The genotype with another operator on one edge, or another node read by one."""
        rng = generator(seed)
        codes = np.array(self.encode(self.parse(candidate)))
        edge = int(rng.integers(EDGES))
        start = int(rng.integers(2)) * (WIDTH // 2)
        taken = {int(codes[start + EDGES + edge]), int(codes[start + EDGES + (edge ^ 1)])}
        free = [node for node in range(2 + edge // 2) if node not in taken]
        if free and rng.integers(2):
            codes[start + EDGES + edge] = rng.choice(free)
        else:
            others = [op for op in range(NONE) if op != codes[start + edge]]
            codes[start + edge] = rng.choice(others)
        return self.decode(codes[None])[0]

    def network(self, candidate: Any, input_shape: Sequence[int] | None = None) -> Network:
        """The whole network of a genotype; see `Space.network`. Edge `j` of cell `i` is `cells.i._ops.j`."""
        genotype = self.parse(candidate)
        shape = checked_shape(self, input_shape)
        net = Builder(self.name, shape)
        before, last = self._add_stem(net)
        channels, place = self.channels, self._place_of_cells(shape[1:])
        reduced = self.skeleton == "imagenet"
        for number in range(self.layers):
            reduction = number in self.reductions
            if reduction:
                channels, place = 2 * channels, self._reduced(place, f"reduction cell {number}")
            name = f"cells.{number}"
            if reduced:
                first = add_factorized_reduce(net, f"{name}.preprocess0", before, channels, self.padded)
            else:
                first = add_pointwise(net, f"{name}.preprocess0", before, channels)
            second = add_pointwise(net, f"{name}.preprocess1", last, channels)
            cell = (*(genotype[2:] if reduction else genotype[:2]), reduction)
            before, last = last, add_cell(net, name, cell, (first, second), (channels, *place), self.padded)
            reduced = reduction
        net.add("identity", "features", inputs=last)
        return classified(net, self.classes)

    def _place_of_cells(self, spatial: Sequence[int]) -> list[int]:
        """Sizes behind the stem."""
        return list(spatial) if self.skeleton == "cifar" else self._reduced(halved(halved(spatial)), "stem0")

    def _add_stem(self, net: Builder) -> tuple[str, str]:
        """The inputs of the first cell."""
        c = self.channels
        if self.skeleton == "cifar":
            stem = net.conv_bn(("stem.0", "stem.1"), 3 * c, 3, padding=1)
            return stem, stem
        net.conv_bn_act(("stem0.0", "stem0.1", "stem0.2"), c // 2, 3, stride=2, padding=1)
        stem0 = net.conv_bn(("stem0.3", "stem0.4"), c, 3, stride=2, padding=1)
        net.add("relu", "stem1.0")
        return stem0, net.conv_bn(("stem1.1", "stem1.2"), c, 3, stride=2, padding=1)

    def _reduced(self, place: Sequence[int], where: str) -> list[int]:
        """Sizes behind a FactorizedReduce. Raises ShapeError for an odd one that it cannot take."""
        if not self.padded and any(n % 2 for n in place):
            raise ShapeError(
                f"{self.name}: FactorizedReduce at {where} halves a map of {tuple(place)}, which must be even; "
                "change input_shape, or use DARTS(padded=True)"
            )
        return halved(place)

    def evaluate(self, candidates: Candidates, columns: Columns, channels: int | None = None) -> Evaluated:
        """See `Space.evaluate`."""
        n_channels, *spatial = image_of(self, columns, channels)
        costs, c, place = Costs(columns.n), self.channels, self._place_of_cells(spatial)
        cells = [_Cell(candidates.codes[:, : WIDTH // 2]), _Cell(candidates.codes[:, WIDTH // 2 :])]
        needed = self._needed(cells, columns.n)
        before, last, widths = self._stem_columns(columns, costs, n_channels, needed)
        reduced = self.skeleton == "imagenet"
        for number in range(self.layers):
            reduction = number in self.reductions
            cell, used = cells[reduction], needed[2 + number]
            c *= 2 if reduction else 1
            for width in widths:
                costs.conv(width * c, c, place)
            place = self._reduced(place, f"reduction cell {number}") if reduction else place
            costs.conv(*cell_weights(cell.codes, reduction, c), place)
            first = columns.apply(reducing(self.padded) if reduced else POINT, before, used & cell.reads[0])
            second = columns.apply(POINT, last, used & cell.reads[1])
            before, last = last, _cell_column(cell, columns, [first, second], reduction, used, self.padded)
            widths, reduced = [widths[1], np.sum(cell.concat, axis=0) * c], reduction
        costs.linear(widths[1], self.classes)
        return Evaluated(last, costs.parameters, costs.macs)

    def _stem_columns(
        self, columns: Columns, costs: Costs, channels: int, needed: Sequence[Flags]
    ) -> tuple[Column, Column, list[Any]]:
        """The inputs of the first cell, and their channels."""
        c, either, place = self.channels, needed[0] | needed[1], list(columns.spatial)
        if self.skeleton == "cifar":
            costs.conv(channels * 27 * c, 3 * c, place)
            stem = columns.apply(conv(3, 1, 1, layers=1), columns.image, either)
            return stem, stem, [3 * c, 3 * c]
        before = last = columns.image
        for width, used in ((c // 2, either), (c, either), (c, needed[1])):
            place = halved(place)
            costs.conv(channels * width * 9, width, place)
            before, last, channels = last, columns.apply(conv(3, 2, 1, layers=1), last, used), width
        return before, last, [c, c]

    def _needed(self, cells: Sequence[_Cell], n: int) -> list[Flags]:
        """bool[n] per map, the two of the stem first: whether the last cell's output needs it."""
        needed = [np.zeros(n, bool) for _ in range(self.layers + 2)]
        needed[-1][:] = True
        for number in range(self.layers - 1, -1, -1):
            reads = cells[number in self.reductions].reads
            needed[number] |= needed[number + 2] & reads[0]
            needed[number + 1] |= needed[number + 2] & reads[1]
        return needed


class _Cell:
    """One kind of cell of every candidate: its edges, and what its output needs of it."""

    def __init__(self, codes: Codes) -> None:
        n, self.codes = len(codes), codes
        self.operators = codes[:, :EDGES].astype(np.int32)
        self.nodes = codes[:, EDGES : 2 * EDGES].astype(np.int32)
        self.concat = [(codes[:, -1] >> k & 1).astype(bool) for k in range(STEPS)]
        needed = np.zeros((2 + STEPS, n), bool)
        needed[2:] = self.concat
        rows = np.arange(n)
        for edge in range(EDGES - 1, -1, -1):
            reads = needed[2 + edge // 2] & (self.operators[:, edge] != NONE)
            needed[self.nodes[reads, edge], rows[reads]] = True
            if edge % 2 == 0:
                constant = (self.operators[:, edge : edge + 2] == NONE).all(axis=1)
                needed[0] |= needed[2 + edge // 2] & constant  # which takes its shape from there
        self.needed = needed[2:]
        self.reads = needed[:2]


def _cell_column(
    cell: _Cell, columns: Columns, states: list[Column], reduction: bool, used: Flags, padded: bool
) -> Column:
    """The output of a cell; `used` says where it is needed."""
    steps = edge_steps(reduction, padded)
    nothing = None
    if (cell.operators == NONE).any() or not all(flags.all() for flags in cell.concat):
        nothing = columns.choose(np.zeros(columns.n, np.int32), (None,), columns.apply(steps[0], states[0]))
    for step in range(STEPS):
        parts = []
        for edge in (2 * step, 2 * step + 1):
            operator, node = cell.operators[:, edge], cell.nodes[:, edge]
            there = operator != NONE
            which = np.where(there, operator, 0)
            if reduction:
                which += NONE * (node >= 2)
            source = columns.select(node, states)
            part = columns.choose(which, steps, source, used & cell.needed[step] & there)
            parts.append(part if nothing is None else columns.select(there.astype(np.int32), [nothing, part]))
        states.append(columns.union(*parts))
    ends = states[2:]
    if nothing is not None:
        ends = [columns.select(f.astype(np.int32), [nothing, e]) for f, e in zip(cell.concat, ends, strict=True)]
    return columns.union(*ends)
