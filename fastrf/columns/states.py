"""States: the interned dependencies that columns hold, and what each step makes of them, remembered.

A state of a map is in two parts, each numbered on its own: what its positions read exactly, a union of products of one
`Relation` per axis, and the nominal `Extent` per axis. Spaces make the same few states over and over; a part is
worked out once per (step, number) pair. `columns` calls this, with whole arrays of numbers.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Hashable
from functools import lru_cache
from typing import Any, NamedTuple, cast

import numpy as np
import numpy.typing as npt

from fastrf.budget import limits
from fastrf.columns.steps import Branches, Sequence, Step, Whole, Window, per_axis
from fastrf.engine import axis_map as maps
from fastrf.engine.axis_map import AxisMap
from fastrf.engine.extent import NOTHING, Extent, Phase, opened, united
from fastrf.engine.reading import mapped
from fastrf.engine.relation import Relation
from fastrf.engine.stretched import full, identity
from fastrf.errors import NetworkError, ShapeError
from fastrf.ops import arguments
from fastrf.system.locks import process_lock

__all__ = ["Exact", "Memo", "Table", "Unbounded"]

Ids = npt.NDArray[np.int32]
Product = tuple[Relation, ...]


_lock = process_lock()


class Exact(NamedTuple):
    """What the positions of a map of `shape` read: a union of products of one relation per axis."""

    shape: tuple[int, ...]
    terms: tuple[Product, ...]


class Unbounded(NamedTuple):
    """The nominal extents of a map of `shape`, one per axis."""

    shape: tuple[int, ...]
    extents: tuple[Extent, ...]


class Memo:
    """States and results that runs share, per image size; bounded. Safe to use from several threads, one table each."""

    def __init__(self) -> None:
        self._tables: dict[tuple[int, ...], list[Table]] = {}

    def borrow(self, image: tuple[int, ...]) -> Table:
        """A table that nobody else holds; give it back with `give_back`."""
        with _lock:
            idle = self._tables.get(image)
            return idle.pop() if idle else Table(image)

    def give_back(self, table: Table) -> None:
        """Keep a table for the next run, unless it has grown beyond the limit `states`."""
        with _lock:
            if table.n_states <= limits.states:
                self._tables.setdefault(table.image, []).append(table)


class Table:
    """Every state met on one image size. Number 0 is the image, number 1 reads nothing."""

    def __init__(self, image: tuple[int, ...]) -> None:
        self.image = image
        self.exact: list[Exact] = []
        self.nominal: list[Unbounded] = []
        self._exact_ids: dict[Hashable, int] = {}
        self._nominal_ids: dict[Hashable, int] = {}
        self._extents: dict[Hashable, Extent] = {}
        self._after: dict[Hashable, Ids] = {}
        self._unions: dict[tuple[bool, int, int], int] = {}
        self._axis_results: dict[Hashable, Extent] = {}
        one = np.zeros(1)
        own = Extent((Phase(0, 1, 1),), one, one + 1)
        self.add_exact(Exact(image, (tuple(identity(n) for n in image),)))
        self.add_nominal(Unbounded(image, (own,) * len(image)))
        self.add_exact(Exact(image, ()))
        self.add_nominal(Unbounded(image, (NOTHING,) * len(image)))
        #: Metrics of states, kept by sweeps: by name, per state.
        self.measured: dict[Hashable, dict[str, Any]] = {}

    @property
    def n_states(self) -> int:
        """How many states are held, of both kinds."""
        return len(self.exact) + len(self.nominal) + len(self._unions)

    # Numbers ---------------------------------------------------------------------------------------------

    def add_exact(self, state: Exact) -> int:
        """The number of an exact state."""
        key = (state.shape, frozenset(state.terms))
        found = self._exact_ids.get(key)
        if found is None:
            found = self._exact_ids[key] = len(self.exact)
            self.exact.append(state)
        return found

    def add_nominal(self, state: Unbounded) -> int:
        """The number of a nominal state."""
        extents = tuple([self._interned(extent) for extent in state.extents])
        key = (state.shape, tuple(map(id, extents)))
        found = self._nominal_ids.get(key)
        if found is None:
            found = self._nominal_ids[key] = len(self.nominal)
            self.nominal.append(Unbounded(state.shape, extents))
        return found

    def _interned(self, extent: Extent) -> Extent:
        phases = tuple([(phase.factor, phase.period, phase.shift) for phase in extent.phases])
        key = (phases, extent.irregular, (extent.low + 0.0).tobytes(), (extent.high + 0.0).tobytes())
        return self._extents.setdefault(key, extent)

    # Whole columns ---------------------------------------------------------------------------------------

    def map_exact(self, steps: tuple[Step | None, ...], which: Ids | None, ids: Ids) -> Ids:
        """The exact numbers after `steps[which]`, elementwise; after `steps[0]` where `which` is None."""
        return self._mapped(("exact", steps), len(self.exact), which, ids, lambda k, i: self._exact_after(steps, k, i))

    def map_nominal(self, steps: tuple[Step | None, ...], which: Ids | None, ids: Ids) -> Ids:
        """The nominal numbers, likewise."""
        key = ("nominal", steps)
        return self._mapped(key, len(self.nominal), which, ids, lambda k, i: self._nominal_after(steps, k, i))

    def count_layers(self, steps: tuple[Step | None, ...], which: Ids | None, ids: Ids) -> Ids:
        """How many layers of `steps[which]` begin beyond the image, on these nominal numbers."""
        key = ("layers", steps)
        return self._mapped(key, len(self.nominal), which, ids, lambda k, i: self._layers_in(steps[k], i))

    def covers(self, ids: Ids) -> npt.NDArray[np.bool_]:
        """Where the nominal size reaches the image's on every axis."""
        found = self._mapped("covers", len(self.nominal), None, ids, lambda _, i: int(self._reaches(self.nominal[i])))
        return found.astype(bool)

    def _mapped(
        self, key: Hashable, n_states: int, which: Ids | None, ids: Ids, compute: Callable[[int, int], int]
    ) -> Ids:
        rows = len(key[1]) if isinstance(key, tuple) else 1
        known = self._after.get(key)
        if known is None or known.shape[1] < n_states:
            grown = np.full((rows, max(64, 2 * n_states)), -1, np.int32)
            if known is not None:
                grown[:, : known.shape[1]] = known
            known = self._after[key] = grown
        flat = known.ravel()
        places = ids if which is None else which * np.int32(known.shape[1]) + ids
        found = flat[places]
        if found.size and found.min() < 0:
            for place in np.flatnonzero(_seen(places[found < 0], flat.size)).tolist():
                flat[place] = compute(*divmod(place, known.shape[1]))
            found = flat[places]
        return cast("Ids", found)

    def union(self, left: Ids, right: Ids, *, exact: bool) -> Ids:
        """Numbers of the unions, elementwise."""
        if left is right:
            return left
        n_states = len(self.exact if exact else self.nominal)
        a, b = np.flatnonzero(_seen(left, n_states)), np.flatnonzero(_seen(right, n_states))
        if a.size * b.size <= 4 * left.size + 4096:
            place = np.empty(n_states, np.int32)
            place[a] = np.arange(a.size, dtype=np.int32) * b.size
            first = place[left]
            place[b] = np.arange(b.size, dtype=np.int32)
            pairs = first + place[right]
            used = np.flatnonzero(_seen(pairs, a.size * b.size))
            results = np.empty(a.size * b.size, np.int32)
            results[used] = self._united(a[used // b.size], b[used % b.size], exact)
            return cast("Ids", results[pairs])
        distinct, where = np.unique(left.astype(np.int64) * n_states + right, return_inverse=True)
        return self._united(distinct // n_states, distinct % n_states, exact)[where]

    def _united(self, left: npt.NDArray[np.int64], right: npt.NDArray[np.int64], exact: bool) -> Ids:
        found = []
        for i, j in zip(left.tolist(), right.tolist(), strict=True):
            key = (exact, i, j) if i <= j else (exact, j, i)
            union = self._unions.get(key)
            if union is None:
                union = self._union_exact(*key[1:]) if exact else self._union_nominal(*key[1:])
                self._unions[key] = union
            found.append(union)
        return np.array(found, np.int32)

    # Exact -----------------------------------------------------------------------------------------------

    def _exact_after(self, steps: tuple[Step | None, ...], k: int, i: int) -> int:
        step, state = steps[k], self.exact[i]
        if step is None:
            return self.add_exact(Exact(_shape_after(steps, state.shape), ()))
        reads = compiled(step, state.shape)
        terms = [
            tuple([outer.compose(inner) for outer, inner in zip(read, term, strict=True)])
            for read in reads.terms
            for term in state.terms
        ]
        return self.add_exact(Exact(reads.shape, _simplified(terms)))

    def _union_exact(self, i: int, j: int) -> int:
        left, right = self.exact[i], self.exact[j]
        if i == j or not right.terms:
            return i
        if not left.terms:
            return j
        if left.shape != right.shape:
            raise ShapeError(f"maps of {left.shape} and {right.shape} cannot be united; their steps' strides differ")
        return self.add_exact(Exact(left.shape, _simplified([*left.terms, *right.terms])))

    # Nominal ---------------------------------------------------------------------------------------------

    def _nominal_after(self, steps: tuple[Step | None, ...], k: int, i: int) -> int:
        step, state = steps[k], self.nominal[i]
        if step is None:
            return self.add_nominal(Unbounded(_shape_after(steps, state.shape), (NOTHING,) * len(state.shape)))
        return self.add_nominal(self._walked(step, state, None))

    def _union_nominal(self, i: int, j: int) -> int:
        left, right = self.nominal[i], self.nominal[j]
        if i == j or all(extent.is_nothing for extent in right.extents):
            return i
        if all(extent.is_nothing for extent in left.extents):
            return j
        return self.add_nominal(self._joined(left, right))

    def _joined(self, left: Unbounded, right: Unbounded) -> Unbounded:
        pairs = zip(left.extents, right.extents, left.shape, strict=True)
        return Unbounded(left.shape, tuple([a if a is b else self._interned(united([a, b], [n])) for a, b, n in pairs]))

    def _walked(self, step: Step, state: Unbounded, beyond: list[int] | None) -> Unbounded:
        """The extents after a step; `beyond` collects how many of its layers begin beyond the image."""
        if isinstance(step, Window):
            if beyond is not None and step.layers and self._reaches(state):
                beyond.append(step.layers)
            axes = axis_maps(step, state.shape)
            extents = [self._read(extent, axis) for extent, axis in zip(state.extents, axes, strict=True)]
            return Unbounded(tuple([axis.n_out for axis in axes]), tuple(extents))
        if isinstance(step, Sequence):
            for inner in step.steps:
                state = self._walked(inner, state, beyond)
            return state
        if isinstance(step, Branches):
            first, *others = [self._walked(inner, state, beyond) for inner in step.steps]
            for other in others:
                first = self._joined(first, other)
            return first
        return Unbounded(state.shape, tuple([opened(extent) for extent in state.extents]))

    def _read(self, extent: Extent, axis: AxisMap) -> Extent:
        key = (id(extent), axis)
        found = self._axis_results.get(key)
        if found is None:
            extent = self._interned(extent)
            found = self._axis_results[id(extent), axis] = self._interned(mapped(extent, 0, axis, axis.n_in))
        return found

    def _layers_in(self, step: Step | None, i: int) -> int:
        beyond: list[int] = []
        if step is not None:
            self._walked(step, self.nominal[i], beyond)
        return sum(beyond)

    def _reaches(self, state: Unbounded) -> bool:
        return all(extent.sizes.max() >= n for extent, n in zip(state.extents, self.image, strict=True))


def _seen(ids: npt.NDArray[np.integer], n: int) -> npt.NDArray[np.bool_]:
    seen = np.zeros(n, bool)
    seen[ids] = True
    return seen


@lru_cache(maxsize=4096)
def compiled(step: Step, shape: tuple[int, ...]) -> Exact:
    """What the positions after a step read of the map before it, of `shape`."""
    if isinstance(step, Window):
        axes = axis_maps(step, shape)
        return Exact(tuple([axis.n_out for axis in axes]), (tuple([axis.relation for axis in axes]),))
    if isinstance(step, Sequence):
        reads = Exact(shape, (tuple(identity(n) for n in shape),))
        for inner in step.steps:
            after = compiled(inner, reads.shape)
            pairs = itertools.product(after.terms, reads.terms)
            terms = [tuple([a.compose(b) for a, b in zip(outer, term, strict=True)]) for outer, term in pairs]
            reads = Exact(after.shape, _simplified(terms))
        return reads
    if isinstance(step, Branches):
        parts = [compiled(inner, shape) for inner in step.steps]
        if len({part.shape for part in parts}) > 1:
            raise ShapeError(f"branches of a map of {shape} give {[part.shape for part in parts]}; they must agree")
        return Exact(parts[0].shape, _simplified([term for part in parts for term in part.terms]))
    if isinstance(step, Whole):
        return Exact(shape, (tuple(full(n, n) for n in shape),))
    raise NetworkError(f"{step!r} is no step; make steps with fastrf.columns.programs")


@lru_cache(maxsize=4096)
def axis_maps(step: Window, shape: tuple[int, ...]) -> tuple[AxisMap, ...]:
    """How a window reads each axis of a map of `shape`. Raises ShapeError where it does not fit."""
    found = []
    n = len(shape)
    parts = (per_axis(part, n) for part in (step.kernel, step.stride, step.padding, step.dilation))
    for size, kernel, stride, padding, dilation in zip(shape, *parts, strict=True):
        before, after = padding if isinstance(padding, tuple) else (padding, padding)
        k, s, d = cast("tuple[int, int, int]", (kernel, stride, dilation))
        found.append(maps.window(size, arguments.Window(k, s, before, after, d).count(size), k, s, before, d))
    return tuple(found)


def _shape_after(steps: tuple[Step | None, ...], shape: tuple[int, ...]) -> tuple[int, ...]:
    """The shape that a step gives where another one, of a choice, reads nothing."""
    step = next((step for step in steps if step is not None), None)
    return shape if step is None else compiled(step, shape).shape


def _simplified(terms: list[Product]) -> tuple[Product, ...]:
    """Fewer terms of the same union: without empty and contained ones; those that differ on one axis joined."""
    left = list(dict.fromkeys(term for term in terms if not any(relation.is_empty for relation in term)))
    done: list[Product] = []
    while left:
        term = left.pop()
        for k, other in enumerate(done):
            if _contains(other, term):
                break
            if _contains(term, other):
                done[k : k + 1] = []
                left.append(term)
                break
            axes = [axis for axis, (a, b) in enumerate(zip(term, other, strict=True)) if a is not b]
            if len(axes) == 1:
                axis = axes[0]
                done[k : k + 1] = []
                left.append((*term[:axis], term[axis].union(other[axis]), *term[axis + 1 :]))
                break
        else:
            done.append(term)
    limits.require("terms", len(done), f"a map needs {len(done)} terms")
    return tuple(done)


def _contains(big: Product, small: Product) -> bool:
    return all(b is s or b.contains(s) for b, s in zip(big, small, strict=True))
