"""Dependency: which elements of the input each element of a tensor depends on, exactly.

A union of terms (see `terms`) over the tensor's factors. The methods are the steps of a recipe (see
`recipe.Value`); each returns a new Dependency, and costs time linear in axis lengths, never in elements.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from fastrf.budget import limits
from fastrf.engine import axis_map as maps
from fastrf.engine.axis_map import AxisMap
from fastrf.engine.contents import content
from fastrf.engine.crossed import cross
from fastrf.engine.factors import Factors, common, put
from fastrf.engine.memo import remembered
from fastrf.engine.relation import Relation
from fastrf.engine.stretched import identity
from fastrf.engine.terms import Group, Term, expand, join, make_term, normal_term, relabel, simplify
from fastrf.system.locks import cached_property

__all__ = ["Dependency"]


class Dependency:
    """A union of products of relations, from a tensor of `shape` to an input of `input_shape`.

    `axes` are the tensor's factors (none for an axis of 1). Two dependencies are equal if their factors and their set
    of terms are.
    """

    __slots__ = ("__dict__", "axes", "input_shape", "sizes", "terms")

    def __init__(
        self, input_shape: tuple[int, ...], axes: Iterable[tuple[int, ...]], terms: Sequence[Term] = ()
    ) -> None:
        self.input_shape = input_shape
        self.axes = axes if isinstance(axes, Factors) else Factors(axes)
        self.sizes = self.axes.sizes
        self.terms = tuple(terms) if 0 not in self.sizes and 0 not in input_shape else ()
        if len(self.terms) > 1 and len(self.terms) > limits.terms:  # most have one, and are made by the thousand
            limits.require("terms", len(self.terms), f"a node needs {len(self.terms)} terms")

    @classmethod
    def identity(cls, shape: tuple[int, ...]) -> Dependency:
        """Every element depends on itself."""
        axes = Factors.of(shape)
        groups = [Group(tuple(axes.at(axis)), (axis,), identity(n)) for axis, n in enumerate(shape)]
        return cls(shape, axes, [make_term(groups)])

    @classmethod
    def none(cls, shape: tuple[int, ...], input_shape: tuple[int, ...]) -> Dependency:
        """No element depends on anything."""
        return cls(input_shape, Factors.of(shape))

    def __repr__(self) -> str:
        return f"Dependency(shape={self.shape}, input_shape={self.input_shape}, terms={len(self.terms)})"

    def __setstate__(self, state: tuple[object, dict[str, Any]]) -> None:
        """Pickles of version 0.1 hold axes as plain tuples."""
        Dependency.__init__(self, *(state[1][name] for name in ("input_shape", "axes", "terms")))

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Dependency):
            return NotImplemented
        return self._key == other._key

    def __hash__(self) -> int:
        return hash(self._key)

    @cached_property
    def _key(self) -> tuple[object, ...]:
        terms = [[(rows, cols, content(relation)) for rows, cols, relation in term] for term in self.terms]
        return self.input_shape, self.axes, frozenset(map(tuple, terms))

    @cached_property
    def nbytes(self) -> int:
        """Memory held by the relations, shared or not."""
        return sum(group.relation.nbytes for term in self.terms for group in term)

    @property
    def shape(self) -> tuple[int, ...]:
        """The tensor's shape."""
        return self.axes.shape

    # The steps of a recipe -------------------------------------------------------------------------------

    def map_axis(self, axis: int, axis_map: AxisMap) -> Dependency:
        """Read the axis through the map."""
        return self if axis_map.is_identity else self._fused(axis)._through(axis, axis_map.relation)._simplified()

    def reduce(self, axis: int) -> Dependency:
        """Gather a whole axis into one index, and drop it."""
        result = self
        while result.axes[axis]:
            result = result._through(axis, Relation.full(1, result.axes[axis][0]))
        return Dependency(self.input_shape, result.axes.put(axis), result.terms)._simplified()

    def insert(self, axis: int, size: int) -> Dependency:
        """A new axis before `axis`, along which nothing changes."""
        return self._relabelled(*self.axes.insert(axis, () if size == 1 else (size,)))

    def stretch(self, axis: int, size: int) -> Dependency:
        """An axis of 1 repeated `size` times."""
        return self if size == 1 else self._relabelled(*self.axes.change(axis, 0, 0, (size,)))

    def permute(self, order: tuple[int, ...]) -> Dependency:
        """The axes in another order."""
        axes, new = self.axes.permute(order)
        terms = [make_term([_reordered(group, new, self.sizes) for group in term]) for term in self.terms]
        return Dependency(self.input_shape, axes, terms)._tidied()

    def reshape(self, shape: tuple[int, ...]) -> Dependency:
        """The same elements, row-major, in another shape: factors are split, and fused only where they must be."""
        if 0 in shape or not self.terms:
            return Dependency.none(shape, self.input_shape)
        flat = Dependency(self.input_shape, Factors([self.sizes]), self.terms)
        axes: list[tuple[int, ...]] = []
        done = 0
        for size in shape:
            factors: list[int] = []
            while (need := size // math.prod(factors)) > 1:
                have = flat.sizes[done]
                if need % have and have % need:
                    flat = flat._fuse(0, done, 2)
                    continue
                if have > need:
                    flat = flat._split(0, done, (need, have // need))
                factors.append(flat.sizes[done])
                done += 1
            axes.append(tuple(factors))
        return Dependency(self.input_shape, axes, flat.terms)._tidied()

    def union(self, *others: Dependency) -> Dependency:
        """What any of the values depends on; all have the same shape."""
        distinct = list(dict.fromkeys((self, *others)))
        return distinct[0] if len(distinct) == 1 else _united(distinct, disjoint=False)

    def concat(self, axis: int, *others: Dependency) -> Dependency:
        """One value after another along an axis; what the first of them make is remembered for those that go on."""
        whole = self
        for other in others:
            key = ("concat", axis, whole, other)
            whole = remembered(key, lambda: whole._followed_by(axis, other))  # noqa: B023 (called at once)
        return whole

    def _followed_by(self, axis: int, other: Dependency) -> Dependency:
        first, n = self.shape[axis], self.shape[axis] + other.shape[axis]
        placed = [
            value.map_axis(axis, maps.place(value.shape[axis], n, offset))
            for value, offset in ((self, 0), (other, first))
            if value.terms
        ]
        if not placed:
            return Dependency.none(put(self.shape, axis, n), self.input_shape)
        return _united(placed, disjoint=True) if len(placed) > 1 else placed[0]

    def along(self, _: Dependency) -> Dependency:
        """The same value."""
        return self

    def nothing(self) -> Dependency:
        """The same shape, depending on nothing."""
        return Dependency.none(self.shape, self.input_shape)

    # What queries need -----------------------------------------------------------------------------------

    def any_input(self, axis: int) -> Dependency:
        """Drop an input axis: which indices along the remaining ones matter, for any index along this one."""
        shape = put(self.input_shape, axis)
        normal = [
            normal_term([_forget_column(group, axis, self.input_shape) for group in term], self.sizes, shape)
            for term in (self.terms if self.input_shape[axis] else ())
        ]
        return Dependency(shape, self.axes, [term for term in normal if term is not None])._simplified()

    def transpose(self) -> Dependency:
        """Input and output exchanged: which output elements depend on each input element."""
        whole, axes, terms = self, Factors.of(self.input_shape), []
        for axis in range(len(self.axes)):
            whole = whole._fused(axis)
        for term in whole.terms:
            named = {f for group in term for f in group.rows}
            groups = [
                Group(tuple([f for axis in cols for f in axes.at(axis)]), rows, relation.transpose)
                for rows, cols, relation in term
            ]
            groups += [Group((), (f,), Relation.full(1, n)) for f, n in enumerate(whole.sizes) if f not in named]
            terms.append(normal_term(groups, axes.sizes, self.shape))
        return Dependency(self.shape, axes, [term for term in terms if term is not None])._simplified()

    # Factors ---------------------------------------------------------------------------------------------

    def _relabelled(self, axes: Factors, new: Sequence[int]) -> Dependency:
        return Dependency(self.input_shape, axes, [relabel(term, new) for term in self.terms])

    def _rewritten(self, axes: Factors, change: Callable[[Term], Term | None]) -> Dependency:
        """With other factors and every term changed; those that relate nothing any more are dropped."""
        changed = [change(term) for term in self.terms]
        return Dependency(self.input_shape, axes, [term for term in changed if term is not None])

    def _simplified(self, *, disjoint: bool = False) -> Dependency:
        if len(self.terms) < 2:
            return self
        if disjoint:
            terms = simplify(self.terms, self.sizes, self.input_shape, disjoint=True)
        else:
            key = ("simple", self.terms, self.sizes, self.input_shape, limits.compared)
            terms = remembered(key, lambda: simplify(self.terms, self.sizes, self.input_shape))
        return self if len(terms) == len(self.terms) else Dependency(self.input_shape, self.axes, terms)

    def _through(self, axis: int, relation: Relation) -> Dependency:
        """The axis' first factor read through a relation; dropped where one index is left of it."""
        position, old, n = self.axes.at(axis).start, self.sizes, relation.n_rows
        axes = self.axes.put(axis, (n, *self.axes[axis][1:]))

        def read(term: Term) -> Term | None:
            for k, (rows, cols, inner) in enumerate(term):
                if position in rows:
                    at = rows.index(position)
                    before, after = math.prod([old[f] for f in rows[:at]]), math.prod([old[f] for f in rows[at + 1 :]])
                    composed = Group(rows, cols, relation.compose(inner, before, after))
                    return normal_term([composed], axes.sizes, self.input_shape, (*term[:k], *term[k + 1 :]))
            if relation.occupied.is_full:
                return term
            return normal_term([Group((position,), (), relation.occupied)], axes.sizes, self.input_shape, term)

        result = self._rewritten(axes, read)
        return result._relabelled(*axes.change(axis, 0, 1, ())) if n == 1 else result

    def _fused(self, axis: int) -> Dependency:
        """The axis as one factor."""
        count = len(self.axes[axis])
        if count == 0:
            return self._relabelled(*self.axes.change(axis, 0, 0, (1,)))
        return self._fuse(axis, 0, count) if count > 1 else self

    def _fuse(self, axis: int, k: int, count: int) -> Dependency:
        """`count` factors of an axis as one, from its `k`-th on."""
        axes, new = self.axes.fuse(axis, k, count)
        first = self.axes.at(axis).start + k
        wanted = range(first, first + count)

        def fuse(term: Term) -> Term:
            touched = [g for g in term if any(f in wanted for f in g.rows)]
            if touched:
                found = cross(touched, wanted, self.sizes)
                if found is not None:
                    whole = Group(tuple(wanted), *found)
                else:
                    whole = expand(join(touched, self.sizes, self.input_shape), wanted, self.sizes)
                term = (*(g for g in term if g not in touched), whole)
            return relabel(term, new)

        return self._rewritten(axes, fuse)

    def _split(self, axis: int, k: int, parts: tuple[int, ...]) -> Dependency:
        """An axis' `k`-th factor as several."""
        axes, new = self.axes.change(axis, k, 1, parts)
        position = self.axes.at(axis).start + k
        within = range(position, position + len(parts))

        def split(term: Term) -> Term | None:
            touched = next((group for group in term if position in group.rows), None)
            kept = relabel([group for group in term if group is not touched], new)
            if touched is None:
                return kept
            rows = [g for f in touched.rows for g in (within if f == position else (new[f],))]
            return normal_term([Group(tuple(rows), *touched[1:])], axes.sizes, self.input_shape, kept)

        return self._rewritten(axes, split)

    def _refined(self, axis: int, factors: tuple[int, ...]) -> Dependency:
        """The axis with finer factors: each of its own is a product of consecutive ones of `factors`."""
        result, k = self, 0
        for parts in self.axes.refinement(axis, factors):
            result = result._split(axis, k, parts) if len(parts) > 1 else result
            k += len(parts)
        return result

    def _tidied(self) -> Dependency:
        """Neighbouring factors of one axis made one again, where no term tells them apart."""
        result = self
        for axis in range(len(self.axes)):
            k = 0
            while k + 1 < len(result.axes[axis]):
                first = result.axes.at(axis).start + k
                if all((first in g.rows) == (first + 1 in g.rows) for term in result.terms for g in term):
                    result = result._relabelled(*result.axes.fuse(axis, k, 2))
                else:
                    k += 1
        return result


def _reordered(group: Group, new: Sequence[int], sizes: Sequence[int]) -> Group:
    """A group of renumbered factors, its relation's rows moved where those have lost their order."""
    rows = [new[f] for f in group.rows]
    order = sorted(range(len(rows)), key=rows.__getitem__)
    return Group(tuple(sorted(rows)), group.cols, group.relation.reorder_rows([sizes[f] for f in group.rows], order))


def _forget_column(group: Group, axis: int, input_shape: Sequence[int]) -> Group:
    """The group without one input axis, the later ones renumbered."""
    cols, relation = group.cols, group.relation
    if axis in cols:
        k = cols.index(axis)
        widths = [input_shape[a] for a in cols]
        if len(cols) == 2:  # what is left is one axis, wherever it stands
            relation = relation.project(math.prod(widths[: 1 - k]), widths[1 - k], math.prod(widths[2 - k :]))
        else:
            order = [i for i in range(len(cols)) if i != k] + [k]
            relation = relation.reorder_columns(widths, order)
            relation = relation.project(1, math.prod(widths) // widths[k], widths[k])
    return Group(group.rows, tuple([a - (a > axis) for a in cols if a != axis]), relation)


def _united(values: list[Dependency], *, disjoint: bool) -> Dependency:
    """The union of values of one shape, after giving their axes the same factors."""
    for axis in range(len(values[0].axes)):
        lists = [value.axes[axis] for value in values]
        if len(set(lists)) > 1:
            shared = common(lists)
            values = [v._fused(axis) if shared is None else v._refined(axis, shared) for v in values]
    terms = [term for value in values for term in value.terms]
    whole = Dependency(values[0].input_shape, values[0].axes, terms)._simplified(disjoint=disjoint)
    return whole if all(len(factors) < 2 for factors in whole.axes) else whole._tidied()
