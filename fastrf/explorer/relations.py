"""What an explorer's document holds of dependencies: each relation, term and nominal field once, the shortest way.

`encoding` asks for numbers of fields; `page/engine/document.js` reads what is written here.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt

from fastrf.engine.crossed import Crossed
from fastrf.engine.dependency import Dependency
from fastrf.engine.extent import Extent
from fastrf.engine.nominal import Nominal
from fastrf.engine.paired import Paired, SomePairs
from fastrf.engine.relation import Relation
from fastrf.engine.stretched import Stretched
from fastrf.engine.terms import Group, Term
from fastrf.errors import LimitError

__all__ = ["Tables", "plain", "varints"]

IntArray = npt.NDArray[np.int64]

#: JavaScript counts no further.
_COUNTABLE = 1 << 53
#: How the page tells the kinds of relations apart.
_WHOLE, _STRETCHED, _CROSSED, _PAIRED, _SOME_PAIRS = range(5)


class Tables:
    """Numbers for relations, groups, terms, dependencies and nominal fields, each of which is written once."""

    def __init__(self) -> None:
        self._relations: dict[Relation, int] = {}
        self._told: list[list[Any]] = []
        self._arrays: list[IntArray] = []  # of all relations that have some, one after another
        self._owners: list[int] = []  # and which relation they are of
        self._groups: dict[tuple[Any, ...], int] = {}
        self._terms: dict[tuple[int, ...], int] = {}
        self._dependencies: dict[tuple[Any, ...], int] = {}
        self._extents: dict[tuple[Any, ...], int] = {}
        self._nominals: dict[tuple[Any, ...], int] = {}

    def dependency(self, dependency: Dependency) -> int:
        """The number of a dependency."""
        for size in (math.prod(dependency.shape), math.prod(dependency.input_shape)):
            if size > _COUNTABLE:
                raise LimitError(f"{size:,} elements are more than a browser can number; use a smaller input_shape")
        terms = tuple(self._term(term) for term in dependency.terms)
        return _number(self._dependencies, (tuple(dependency.axes), dependency.input_shape, terms))

    def nominal(self, nominal: Nominal) -> int:
        """The number of a nominal field."""
        pieces = [(p.offsets, tuple(p.axes), tuple(self._extent(e) for e in p.extents)) for p in nominal.pieces]
        return _number(self._nominals, tuple(pieces))

    def _extent(self, extent: Extent) -> int:
        phases = tuple((phase.factor, phase.period, phase.shift) for phase in extent.phases)
        bounds = [tuple(map(plain, table.ravel().tolist())) for table in (extent.low, extent.high)]
        return _number(self._extents, (phases, *bounds))

    def _term(self, term: Term) -> int:
        return _number(self._terms, tuple(self._group(group) for group in term))

    def _group(self, group: Group) -> int:
        return _number(self._groups, (group.rows, group.cols, self._relation(group.relation)))

    def _relation(self, relation: Relation) -> int:
        if relation not in self._relations:
            told, arrays = self._written(relation)
            self._owners += [len(self._told)] * len(arrays)
            self._arrays += arrays
            self._relations[relation] = len(self._told)
            self._told.append(told)
        return self._relations[relation]

    def _written(self, relation: Relation) -> tuple[list[Any], list[IntArray]]:
        """How a relation is made of numbers, of other relations, and of arrays."""
        if isinstance(relation, Stretched):
            numbers = relation.cut, relation.period, relation.step, relation.times
            return [_STRETCHED, self._relation(relation.core), *numbers], []
        if isinstance(relation, Paired):
            return [_PAIRED, self._relation(relation.guard), self._relation(relation.inner), relation.own], []
        if isinstance(relation, SomePairs):
            return [_SOME_PAIRS, self._relation(relation.guard)], []
        if isinstance(relation, Crossed):
            parts = [self._relation(part) for part in relation.parts]
            return [_CROSSED, parts, relation.n_rows], [_signed(own) for own in relation.index]
        start, stop = relation.start, relation.stop
        told = [_WHOLE, relation.n_rows, relation.n_cols, relation.n_runs]
        return told, [np.diff(relation.indptr), _signed(start), stop - start]

    @property
    def header(self) -> dict[str, Any]:
        """All tables as plain lists; those of relations with arrays end in how many bytes of `stream` are theirs."""
        sizes = dict.fromkeys(self._owners, 0)
        for owner, array in zip(self._owners, self._arrays, strict=True):
            sizes[owner] += int(_widths(array).sum())
        named = ("groups", "terms", "dependencies", "extents", "nominals")
        found = {name: [*getattr(self, f"_{name}")] for name in named}
        return found | {"relations": [[*told, sizes[k]] if k in sizes else told for k, told in enumerate(self._told)]}

    @property
    def stream(self) -> bytes:
        """The arrays of all relations."""
        return varints(np.concatenate(self._arrays)) if self._arrays else b""


def _number(table: dict[Any, int], key: Any) -> int:
    return table.setdefault(key, len(table))


def plain(value: float) -> int | float | str:
    """A number as JSON and JavaScript both have it, or what JavaScript reads as one."""
    if not math.isfinite(value):
        return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
    return int(value) if float(value).is_integer() else float(value)


def _signed(values: IntArray) -> IntArray:
    """Steps from each value to the next, the sign in the last bit."""
    steps = np.diff(values, prepend=0)
    return (steps << 1) ^ (steps >> 63)


def _widths(values: IntArray) -> IntArray:
    """How many bytes each number takes."""
    widths = np.ones(values.size, np.int64)
    for k in range(7, max(int(values.max(initial=0)).bit_length(), 1), 7):
        widths += values >> k > 0
    return widths


def varints(values: IntArray) -> bytes:
    """Numbers from 0 on, 7 bits a byte, the lowest first; all but the last byte of each have their eighth bit set."""
    widths = _widths(values)
    begin = np.cumsum(widths) - widths
    out = np.zeros(int(widths.sum()), np.uint8)
    for k in range(int(widths.max(initial=0))):
        used = np.flatnonzero(widths > k)
        more = (widths[used] > k + 1).astype(np.int64) << 7
        out[begin[used] + k] = (values[used] >> (7 * k) & 127) | more
    return out.tobytes()
