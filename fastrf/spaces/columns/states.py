"""States: the interned dependencies that columns hold, and what each step makes of them, remembered.

A state of a map is in two parts, each numbered on its own: what its positions read exactly, a union of products of one
`Relation` per axis, and the nominal `Extent` per axis. Spaces make the same few states over and over; a part is
worked out once per (step, number) pair. `columns` calls this, with whole arrays of numbers.
"""

from __future__ import annotations

import itertools
import operator
from collections.abc import Callable, Hashable, Iterable
from functools import lru_cache, reduce
from typing import Any, Generic, NamedTuple, TypeVar, cast

import numpy as np
import numpy.typing as npt

from fastrf.budget import limits
from fastrf.engine import axis_map as maps
from fastrf.engine.axis_map import AxisMap
from fastrf.engine.extent import NOTHING, Extent, Phase, opened, united
from fastrf.engine.reading import mapped
from fastrf.engine.relation import Relation
from fastrf.engine.stretched import full, identity
from fastrf.errors import NetworkError, ShapeError
from fastrf.ops import arguments
from fastrf.spaces.columns.steps import Branches, Sequence, Step, Whole, Window, per_axis
from fastrf.system.locks import process_lock

__all__ = ["Exact", "Memo", "States", "Table", "Unbounded"]

Ids = npt.NDArray[np.int32]
Product = tuple[Relation, ...]
#: What each candidate may choose from; None reads nothing.
Steps = tuple[Step | None, ...]


_lock = process_lock()


class Exact(NamedTuple):
    """What the positions of a map of `shape` read: a union of products of one relation per axis."""

    shape: tuple[int, ...]
    terms: tuple[Product, ...]


class Unbounded(NamedTuple):
    """The nominal extents of a map of `shape`, one per axis."""

    shape: tuple[int, ...]
    extents: tuple[Extent, ...]


State = TypeVar("State", Exact, Unbounded)


class States(list[State], Generic[State]):
    """States of one kind by their numbers, 1 being nothing, and the numbers of what steps and unions make of them."""

    def __init__(
        self, first: Iterable[State], key: Callable[[State], Hashable], join: Callable[[State, State], State]
    ) -> None:
        super().__init__()
        self._key: Callable[[State], Hashable] = key
        self._join: Callable[[State, State], State] = join
        self._ids: dict[Hashable, int] = {}
        self._found: dict[Hashable, Ids] = {}
        self.unions: dict[tuple[int, int], int] = {}
        for state in first:
            self.number(state)

    def number(self, state: State) -> int:
        """The number of a state."""
        found = self._ids.setdefault(self._key(state), len(self))
        if found == len(self):
            self.append(state)
        return found

    def after(self, steps: Steps, which: Ids | None, ids: Ids, read: Callable[[Step, State], State]) -> Ids:
        """The numbers after `steps[which]`, elementwise; after `steps[0]` where `which` is None."""

        def number(k: int, i: int) -> int:
            step, state = steps[k], self[i]
            after = self[1]._replace(shape=_shape_after(steps, state.shape)) if step is None else read(step, state)
            return self.number(after)

        return self.looked_up(("after", steps), which, ids, number)

    def looked_up(self, key: tuple[str, Steps], which: Ids | None, ids: Ids, compute: Callable[[int, int], int]) -> Ids:
        """What `compute` makes of a choice and a number, elementwise; each pair is asked for once."""
        known = self._found.get(key)
        if known is None or known.shape[1] < len(self):
            grown = np.full((len(key[1]), max(64, 2 * len(self))), -1, np.int32)
            if known is not None:
                grown[:, : known.shape[1]] = known
            known = self._found[key] = grown
        flat = known.ravel()
        places = ids if which is None else which * np.int32(known.shape[1]) + ids
        found = flat[places]
        if found.size and found.min() < 0:
            for place in np.flatnonzero(_seen(places[found < 0], flat.size)).tolist():
                flat[place] = compute(*divmod(place, known.shape[1]))
            found = flat[places]
        return cast("Ids", found)

    def union(self, left: Ids, right: Ids) -> Ids:
        """Numbers of the unions, elementwise."""
        if left is right:
            return left
        a, b = np.flatnonzero(_seen(left, len(self))), np.flatnonzero(_seen(right, len(self)))
        if a.size * b.size <= 4 * left.size + 4096:
            place = np.empty(len(self), np.int32)
            place[a] = np.arange(a.size, dtype=np.int32) * b.size
            first = place[left]
            place[b] = np.arange(b.size, dtype=np.int32)
            pairs = first + place[right]
            used = np.flatnonzero(_seen(pairs, a.size * b.size))
            results = np.empty(a.size * b.size, np.int32)
            results[used] = self._united(a[used // b.size], b[used % b.size])
            return cast("Ids", results[pairs])
        distinct, where = np.unique(left.astype(np.int64) * len(self) + right, return_inverse=True)
        return self._united(distinct // len(self), distinct % len(self))[where]

    def _united(self, left: npt.NDArray[np.int64], right: npt.NDArray[np.int64]) -> Ids:
        found = []
        for i, j in zip(left.tolist(), right.tolist(), strict=True):
            key = (i, j) if i <= j else (j, i)
            union = self.unions.get(key)
            if union is None:
                union = self.unions[key] = self._union_of(*key)
            found.append(union)
        return np.array(found, np.int32)

    def _union_of(self, i: int, j: int) -> int:
        if i == j or self._is_nothing(j):
            return i
        return j if self._is_nothing(i) else self.number(self._join(self[i], self[j]))

    def _is_nothing(self, i: int) -> bool:
        (_, parts), (_, nothing) = self[i], self[1]
        return len(parts) == len(nothing) and all(map(operator.is_, parts, nothing))


def _seen(ids: npt.NDArray[np.integer], n: int) -> npt.NDArray[np.bool_]:
    seen = np.zeros(n, bool)
    seen[ids] = True
    return seen


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
        self._extents: dict[Hashable, Extent] = {}
        self._axis_results: dict[Hashable, Extent] = {}
        one = np.zeros(1)
        own, nothing = self._interned(Extent((Phase(0, 1, 1),), one, one + 1)), self._interned(NOTHING)
        exact = _as_it_is(image), Exact(image, ())
        self.exact = States(exact, lambda state: (state.shape, frozenset(state.terms)), _joined)
        nominal = [Unbounded(image, (extent,) * len(image)) for extent in (own, nothing)]
        self.nominal = States(nominal, lambda state: (state.shape, tuple(map(id, state.extents))), self._joined)
        #: Metrics of states, kept by sweeps: by name, per state.
        self.measured: dict[Hashable, dict[str, Any]] = {}

    @property
    def n_states(self) -> int:
        """How many states are held, of both kinds, and unions of two."""
        return sum(len(states) + len(states.unions) for states in (self.exact, self.nominal))

    def map_exact(self, steps: Steps, which: Ids | None, ids: Ids) -> Ids:
        """The exact numbers after `steps[which]`, elementwise; after `steps[0]` where `which` is None."""
        return self.exact.after(steps, which, ids, lambda step, state: _composed(compiled(step, state.shape), state))

    def map_nominal(self, steps: Steps, which: Ids | None, ids: Ids) -> Ids:
        """The nominal numbers, likewise."""
        return self.nominal.after(steps, which, ids, lambda step, state: self._walked(step, state, []))

    def count_layers(self, steps: Steps, which: Ids | None, ids: Ids) -> Ids:
        """How many layers of `steps[which]` begin where the nominal size reaches the image's on every axis."""

        def count(k: int, i: int) -> int:
            step, beyond = steps[k], list[int]()
            if step is not None:
                self._walked(step, self.nominal[i], beyond)
            return sum(beyond)

        return self.nominal.looked_up(("layers", steps), which, ids, count)

    # Nominal states, whose extents are interned -----------------------------------------------------------

    def _interned(self, extent: Extent) -> Extent:
        phases = tuple([(phase.factor, phase.period, phase.shift) for phase in extent.phases])
        key = (phases, extent.irregular, (extent.low + 0.0).tobytes(), (extent.high + 0.0).tobytes())
        return self._extents.setdefault(key, extent)

    def _joined(self, left: Unbounded, right: Unbounded) -> Unbounded:
        pairs = zip(left.extents, right.extents, left.shape, strict=True)
        return Unbounded(left.shape, tuple([a if a is b else self._interned(united([a, b], [n])) for a, b, n in pairs]))

    def _walked(self, step: Step, state: Unbounded, beyond: list[int]) -> Unbounded:
        """The extents after a step; `beyond` collects how many of its layers begin beyond the image."""
        if isinstance(step, Window):
            if step.layers and all(e.sizes.max() >= n for e, n in zip(state.extents, self.image, strict=True)):
                beyond.append(step.layers)
            axes = axis_maps(step, state.shape)
            extents = [self._read(extent, axis) for extent, axis in zip(state.extents, axes, strict=True)]
            return Unbounded(tuple([axis.n_out for axis in axes]), tuple(extents))
        if isinstance(step, Sequence):
            for inner in step.steps:
                state = self._walked(inner, state, beyond)
            return state
        if isinstance(step, Branches):
            return reduce(self._joined, [self._walked(inner, state, beyond) for inner in step.steps])
        return Unbounded(state.shape, tuple([self._interned(opened(extent)) for extent in state.extents]))

    def _read(self, extent: Extent, axis: AxisMap) -> Extent:
        key = (id(extent), axis)
        found = self._axis_results.get(key)
        if found is None:
            found = self._axis_results[key] = self._interned(mapped(extent, 0, axis, axis.n_in))
        return found


# Exact states -----------------------------------------------------------------------------------------------------


def _as_it_is(shape: tuple[int, ...]) -> Exact:
    """A map that reads itself."""
    return Exact(shape, (tuple(identity(n) for n in shape),))


def _joined(left: Exact, right: Exact) -> Exact:
    if left.shape != right.shape:
        raise ShapeError(f"maps of {left.shape} and {right.shape} cannot be united; their steps' strides differ")
    return Exact(left.shape, _simplified([*left.terms, *right.terms]))


def _composed(outer: Exact, inner: Exact) -> Exact:
    """What is read through a map of which `outer` is read, and which itself reads `inner`."""
    pairs = itertools.product(outer.terms, inner.terms)
    terms = [tuple([a.compose(b) for a, b in zip(one, other, strict=True)]) for one, other in pairs]
    return Exact(outer.shape, _simplified(terms))


@lru_cache(maxsize=4096)
def compiled(step: Step, shape: tuple[int, ...]) -> Exact:
    """What the positions after a step read of the map before it, of `shape`."""
    if isinstance(step, Window):
        axes = axis_maps(step, shape)
        return Exact(tuple([axis.n_out for axis in axes]), (tuple([axis.relation for axis in axes]),))
    if isinstance(step, Sequence):
        reads = _as_it_is(shape)
        for inner in step.steps:
            reads = _composed(compiled(inner, reads.shape), reads)
        return reads
    if isinstance(step, Branches):
        parts = [compiled(inner, shape) for inner in step.steps]
        if len({part.shape for part in parts}) > 1:
            raise ShapeError(f"branches of a map of {shape} give {[part.shape for part in parts]}; they must agree")
        return Exact(parts[0].shape, _simplified([term for part in parts for term in part.terms]))
    if isinstance(step, Whole):
        return Exact(shape, (tuple(full(n, n) for n in shape),))
    raise NetworkError(f"{step!r} is no step; make steps with fastrf.spaces.columns.programs")


@lru_cache(maxsize=4096)
def axis_maps(step: Window, shape: tuple[int, ...]) -> tuple[AxisMap, ...]:
    """How a window reads each axis of a map of `shape`. Raises ShapeError where it does not fit."""
    found, n = [], len(shape)
    kernels, strides, dilations = (per_axis(part, n) for part in (step.kernel, step.stride, step.dilation))
    for size, k, s, padding, d in zip(shape, kernels, strides, per_axis(step.padding, n), dilations, strict=True):
        before, after = padding if isinstance(padding, tuple) else (padding, padding)
        found.append(maps.window(size, arguments.Window(k, s, before, after, d).count(size), k, s, before, d))
    return tuple(found)


def _shape_after(steps: Steps, shape: tuple[int, ...]) -> tuple[int, ...]:
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
