"""Dependency: which elements of the input each element of a tensor depends on, exactly.

A union of terms (see `terms`) over the tensor's factors. The methods are the steps of a recipe (see
`recipe.Value`); each returns a new Dependency, and costs time linear in axis lengths, never in elements. Called by
`analysis`, queried by `field`.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence

from fastrf.engine import axis_map as maps
from fastrf.engine.axis_map import AxisMap
from fastrf.engine.memo import remembered
from fastrf.engine.relation import Relation
from fastrf.engine.stretched import content
from fastrf.engine.terms import Group, Term, expand, join, make_term, normalise, relabel, simplify
from fastrf.errors import LimitError
from fastrf.system.locks import cached_property

__all__ = ["Dependency"]

#: More terms than this raise LimitError: the network's structure does not suit products of relations.
MAX_TERMS = 1 << 8


class Dependency:
    """A union of products of relations, from a tensor of `shape` to an input of `input_shape`.

    `axes` lists, for every axis of the tensor, the sizes of its factors (none for an axis of 1); factors are
    numbered over all axes in order. Two dependencies are equal if their factors and their set of terms are.
    """

    __slots__ = ("__dict__", "axes", "input_shape", "sizes", "terms")

    def __init__(
        self, input_shape: tuple[int, ...], axes: tuple[tuple[int, ...], ...], terms: Sequence[Term] = ()
    ) -> None:
        self.input_shape = input_shape
        self.axes = axes
        self.sizes = tuple(itertools.chain.from_iterable(axes))
        self.terms = tuple(terms) if 0 not in self.sizes and 0 not in input_shape else ()
        if len(self.terms) > MAX_TERMS:
            raise LimitError(f"a node needs more than fastrf.engine.dependency.MAX_TERMS = {MAX_TERMS} terms; raise it")

    @classmethod
    def identity(cls, shape: tuple[int, ...]) -> Dependency:
        """Every element depends on itself."""
        axes = _plain_axes(shape)
        factors = itertools.count()
        groups = [
            Group((next(factors),), (axis,), Relation.identity(n))
            if n != 1
            else Group((), (axis,), Relation.full(1, 1))
            for axis, n in enumerate(shape)
        ]
        return cls(shape, axes, [make_term(groups)])

    @classmethod
    def none(cls, shape: tuple[int, ...], input_shape: tuple[int, ...]) -> Dependency:
        """No element depends on anything."""
        return cls(input_shape, _plain_axes(shape))

    def __repr__(self) -> str:
        return f"Dependency(shape={self.shape}, input_shape={self.input_shape}, terms={len(self.terms)})"

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

    @property
    def nbytes(self) -> int:
        """Memory held by the relations, shared or not."""
        return sum(group.relation.nbytes for term in self.terms for group in term)

    @cached_property
    def shape(self) -> tuple[int, ...]:
        """The tensor's shape."""
        return tuple([math.prod(factors) for factors in self.axes])

    # The steps of a recipe -------------------------------------------------------------------------------

    def map_axis(self, axis: int, axis_map: AxisMap) -> Dependency:
        """Read the axis through the map."""
        n_out = axis_map.n_out
        if axis_map.is_identity:
            return self
        whole = self._fused(axis)
        position = whole._position(axis)
        if not whole.axes[axis]:
            whole = whole._with_factors(axis, (1,))
        sizes = (*whole.sizes[:position], n_out, *whole.sizes[position + 1 :])
        terms = whole._rewritten(
            lambda term: _map_factor(term, position, axis_map.relation, whole.sizes, sizes, self.input_shape)
        )
        axes = (*whole.axes[:axis], (n_out,), *whole.axes[axis + 1 :])
        mapped = Dependency(self.input_shape, axes, terms)
        mapped = mapped._simplified() if len(terms) > 1 else mapped
        return mapped._without_factor(axis) if n_out == 1 else mapped

    def reduce(self, axis: int) -> Dependency:
        """Gather a whole axis into one index, and drop it."""
        result = self
        while result.axes[axis]:
            position = result._position(axis)
            whole = Relation.full(1, result.axes[axis][0])
            sizes = (*result.sizes[:position], 1, *result.sizes[position + 1 :])
            terms = result._rewritten(
                lambda term: _map_factor(term, position, whole, result.sizes, sizes, self.input_shape)  # noqa: B023
            )
            axes = (*result.axes[:axis], (1, *result.axes[axis][1:]), *result.axes[axis + 1 :])
            result = Dependency(self.input_shape, axes, terms)._without_factor(axis)
        axes = result.axes[:axis] + result.axes[axis + 1 :]
        reduced = Dependency(self.input_shape, axes, result.terms)
        return reduced._simplified() if len(reduced.terms) > 1 else reduced

    def insert(self, axis: int, size: int) -> Dependency:
        """A new axis before `axis`, along which nothing changes."""
        axes = (*self.axes[:axis], (), *self.axes[axis:])
        return Dependency(self.input_shape, axes, self.terms).stretch(axis, size)

    def stretch(self, axis: int, size: int) -> Dependency:
        """An axis of 1 repeated `size` times."""
        return self if size == 1 else self._with_factors(axis, (size,))

    def permute(self, order: tuple[int, ...]) -> Dependency:
        """The axes in another order."""
        starts = [self._position(axis) for axis in order]
        old = [start + k for start, axis in zip(starts, order, strict=True) for k in range(len(self.axes[axis]))]
        new = [old.index(f) for f in range(len(old))]
        axes = tuple([self.axes[axis] for axis in order])
        terms = [
            make_term([_reordered(Group(tuple([new[f] for f in g.rows]), *g[1:]), g.rows, self.sizes) for g in term])
            for term in self.terms
        ]
        return Dependency(self.input_shape, axes, terms)._tidied()

    def reshape(self, shape: tuple[int, ...]) -> Dependency:
        """The same elements, row-major, in another shape: factors are split, and fused only where they must be."""
        if 0 in shape or not self.terms:
            return Dependency.none(shape, self.input_shape)
        result = self
        axes: list[tuple[int, ...]] = []
        done = 0
        for size in shape:
            factors: list[int] = []
            while (need := size // math.prod(factors)) > 1:
                have = result.sizes[done]
                if need % have and have % need:
                    result = result._fuse_factors(done, 2)
                    continue
                if have > need:
                    result = result._split_factor(done, (need, have // need))
                factors.append(result.sizes[done])
                done += 1
            axes.append(tuple(factors))
        return Dependency(self.input_shape, tuple(axes), result.terms)._tidied()

    def union(self, *others: Dependency) -> Dependency:
        """What any of the values depends on; all have the same shape."""
        distinct = list(dict.fromkeys((self, *others)))
        return distinct[0] if len(distinct) == 1 else _united(distinct, disjoint=False)

    def concat(self, axis: int, *others: Dependency) -> Dependency:
        """One value after another along an axis."""
        return remembered(("concat", axis, self, *others), lambda: self._concat(axis, others))

    def _concat(self, axis: int, others: Sequence[Dependency]) -> Dependency:
        values = (self, *others)
        lengths = [math.prod(value.axes[axis]) for value in values]
        total = sum(lengths)
        offsets = itertools.accumulate(lengths, initial=0)
        placed = [
            value.map_axis(axis, maps.place(length, total, offset))
            for value, length, offset in zip(values, lengths, offsets, strict=False)
            if value.terms
        ]
        if not placed:
            shape = self.shape
            return Dependency.none((*shape[:axis], total, *shape[axis + 1 :]), self.input_shape)
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

        def drop(term: Term) -> list[Group] | None:
            groups: list[Group] | None = []
            for group in term:
                groups = _extend(groups, _forget_column(group, axis, self.input_shape), self.sizes, shape)
            return groups

        shape = self.input_shape[:axis] + self.input_shape[axis + 1 :]
        terms = self._rewritten(drop) if self.input_shape[axis] else []
        return Dependency(shape, self.axes, terms)._simplified()

    def transpose(self) -> Dependency:
        """Input and output exchanged: which output elements depend on each input element."""
        whole = self
        for axis in range(len(self.axes)):
            whole = whole._fused(axis)
        axis_of = [axis for axis, factors in enumerate(whole.axes) for _ in factors]
        factor_of = list(itertools.accumulate((n != 1 for n in self.input_shape), initial=0))
        terms = []
        for term in whole.terms:
            named = {f for group in term for f in group.rows}
            groups = [
                Group(
                    tuple([factor_of[a] for a in group.cols if self.input_shape[a] != 1]),
                    tuple([axis_of[f] for f in group.rows]),
                    group.relation.transpose,
                )
                for group in term
            ]
            groups += [
                Group((), (axis_of[f],), Relation.full(1, whole.sizes[f]))
                for f in range(len(axis_of))
                if f not in named
            ]
            groups += [
                Group((), (axis,), Relation.full(1, 1)) for axis, factors in enumerate(whole.axes) if not factors
            ]
            flipped = Dependency(self.shape, _plain_axes(self.input_shape))
            parts = flipped.normal_term(groups)
            if parts is not None:
                terms.append(parts)
        return Dependency(self.shape, _plain_axes(self.input_shape), terms)._simplified()

    # Factors ---------------------------------------------------------------------------------------------

    def _position(self, axis: int) -> int:
        """The number of the axis' first factor."""
        return sum(map(len, self.axes[:axis]))

    def normal_term(self, groups: Sequence[Group]) -> Term | None:
        """The term of groups over this tensor's factors, in normal form; None where it relates nothing."""
        done: list[Group] | None = []
        for group in groups:
            done = _extend(done, group, self.sizes, self.input_shape)
        return None if done is None else make_term(done)

    def _rewritten(self, change: Callable[[Term], list[Group] | None]) -> list[Term]:
        """Every term changed; those that relate nothing any more are dropped."""
        changed = [change(term) for term in self.terms]
        return [make_term(groups) for groups in changed if groups is not None]

    def _simplified(self, *, disjoint: bool = False) -> Dependency:
        if len(self.terms) < 2:
            return self
        terms = simplify(self.terms, self.sizes, self.input_shape, disjoint=disjoint)
        return self if len(terms) == len(self.terms) else Dependency(self.input_shape, self.axes, terms)

    def _with_factors(self, axis: int, factors: tuple[int, ...]) -> Dependency:
        """Give an axis without factors some, along which nothing changes."""
        position = self._position(axis)
        shift = len(factors)
        new = [f if f < position else f + shift for f in range(len(self.sizes))]
        axes = (*self.axes[:axis], factors, *self.axes[axis + 1 :])
        return Dependency(self.input_shape, axes, [relabel(term, new) for term in self.terms])

    def _without_factor(self, axis: int) -> Dependency:
        """Drop the axis' first factor, which is 1 and in no group."""
        position = self._position(axis)
        new = [f - (f > position) for f in range(len(self.sizes))]
        axes = (*self.axes[:axis], self.axes[axis][1:], *self.axes[axis + 1 :])
        return Dependency(self.input_shape, axes, [relabel(term, new) for term in self.terms])

    def _fused(self, axis: int) -> Dependency:
        """The axis as at most one factor."""
        if len(self.axes[axis]) < 2:
            return self
        fused = self._fuse_factors(self._position(axis), len(self.axes[axis]))
        axes = (*self.axes[:axis], (math.prod(self.axes[axis]),), *self.axes[axis + 1 :])
        return Dependency(self.input_shape, axes, fused.terms)

    def _fuse_factors(self, first: int, count: int) -> Dependency:
        """Factors `first .. first + count - 1` as one; the axes are left as one list of factors."""
        wanted = range(first, first + count)
        new = [min(f, first) if f in wanted else f - (count - 1) * (f > first) for f in range(len(self.sizes))]
        sizes = (*self.sizes[:first], math.prod(self.sizes[first : first + count]), *self.sizes[first + count :])

        def fuse(term: Term) -> list[Group] | None:
            touched = [g for g in term if any(f in wanted for f in g.rows)]
            groups = [g for g in term if g not in touched]
            if touched:
                groups.append(expand(join(touched, self.sizes, self.input_shape), wanted, self.sizes))
            return [Group(tuple(dict.fromkeys(new[f] for f in g.rows)), *g[1:]) for g in groups]

        return Dependency(self.input_shape, (sizes,), self._rewritten(fuse))

    def _split_factor(self, position: int, parts: tuple[int, ...]) -> Dependency:
        """One factor as several; the axes are left as one list of factors."""
        more = len(parts) - 1
        sizes = (*self.sizes[:position], *parts, *self.sizes[position + 1 :])

        def split(term: Term) -> list[Group] | None:
            groups: list[Group] | None = []
            for rows, cols, relation in term:
                renamed = tuple(
                    [
                        g
                        for f in rows
                        for g in (range(f, f + more + 1) if f == position else [f + more * (f > position)])
                    ]
                )
                group = Group(renamed, cols, relation)
                groups = (
                    _extend(groups, group, sizes, self.input_shape) if position in rows else [*(groups or []), group]
                )
            return groups

        return Dependency(self.input_shape, (sizes,), self._rewritten(split))

    def _refined(self, axis: int, factors: tuple[int, ...]) -> Dependency:
        """The axis with finer factors: each of its own is a product of consecutive ones of `factors`."""
        result, position, todo = self, self._position(axis), list(factors)
        for size in self.axes[axis]:
            parts = [todo.pop(0)]
            while math.prod(parts) < size:
                parts.append(todo.pop(0))
            result = result._split_factor(position, tuple(parts)) if len(parts) > 1 else result
            position += len(parts)
        return Dependency(self.input_shape, (*self.axes[:axis], factors, *self.axes[axis + 1 :]), result.terms)

    def _tidied(self) -> Dependency:
        """Neighbouring factors of one axis made one again, where no term tells them apart."""
        result = self
        for axis in range(len(self.axes)):
            k = 0
            while k + 1 < len(result.axes[axis]):
                first = result._position(axis) + k
                if all((first in g.rows) == (first + 1 in g.rows) for term in result.terms for g in term):
                    factors = result.axes[axis]
                    merged = (*factors[:k], factors[k] * factors[k + 1], *factors[k + 2 :])
                    new = [f - (f > first) for f in range(len(result.sizes))]
                    terms = [
                        make_term(Group(tuple(dict.fromkeys(new[f] for f in g.rows)), *g[1:]) for g in term)
                        for term in result.terms
                    ]
                    axes = (*result.axes[:axis], merged, *result.axes[axis + 1 :])
                    result = Dependency(self.input_shape, axes, terms)
                else:
                    k += 1
        return result


def _plain_axes(shape: tuple[int, ...]) -> tuple[tuple[int, ...], ...]:
    return tuple([() if n == 1 else (n,) for n in shape])


def _extend(
    groups: list[Group] | None, group: Group, sizes: Sequence[int], input_shape: Sequence[int]
) -> list[Group] | None:
    """The list with the normal form of one more group; None where the term relates nothing."""
    parts = normalise(group, sizes, input_shape)
    return None if groups is None or parts is None else groups + parts


def _map_factor(
    term: Term,
    position: int,
    relation: Relation,
    sizes: Sequence[int],
    new_sizes: Sequence[int],
    input_shape: Sequence[int],
) -> list[Group] | None:
    """Compose the group that holds a factor with a relation of the factor's new indices to its old ones."""
    for k, (rows, cols, inner) in enumerate(term):
        if position in rows:
            at = rows.index(position)
            before = math.prod([sizes[f] for f in rows[:at]])
            after = math.prod([sizes[f] for f in rows[at + 1 :]])
            composed = Group(rows, cols, relation.compose(inner, before, after))
            return _extend([*term[:k], *term[k + 1 :]], composed, new_sizes, input_shape)
    guard = Group((position,), (), relation.occupied)
    return _extend(list(term), guard, new_sizes, input_shape)


def _reordered(group: Group, old_rows: Sequence[int], sizes: Sequence[int]) -> Group:
    """A group whose renumbered rows may have lost their order, with its relation's rows moved to restore it."""
    order = sorted(range(len(group.rows)), key=group.rows.__getitem__)
    relation = group.relation.reorder_rows([sizes[f] for f in old_rows], order)
    return Group(tuple(sorted(group.rows)), group.cols, relation)


def _forget_column(group: Group, axis: int, input_shape: Sequence[int]) -> Group:
    """The group without one input axis, the later ones renumbered."""
    cols, relation = group.cols, group.relation
    if axis in cols:
        k = cols.index(axis)
        widths = [input_shape[a] for a in cols]
        order = [i for i in range(len(cols)) if i != k] + [k]
        relation = relation.reorder_columns(widths, order)
        relation = relation.project(1, math.prod(widths) // widths[k], widths[k])
    return Group(group.rows, tuple([a - (a > axis) for a in cols if a != axis]), relation)


def _united(values: list[Dependency], *, disjoint: bool) -> Dependency:
    """The union of values of one shape, after giving their axes the same factors."""
    for axis in range(len(values[0].axes)):
        lists = [value.axes[axis] for value in values]
        if len(set(lists)) > 1:
            common = _common_factors(lists)
            values = [v._fused(axis) if common is None else v._refined(axis, common) for v in values]
    terms = [term for value in values for term in value.terms]
    whole = Dependency(values[0].input_shape, values[0].axes, terms)._simplified(disjoint=disjoint)
    return whole if all(len(factors) < 2 for factors in whole.axes) else whole._tidied()


def _common_factors(lists: Sequence[tuple[int, ...]]) -> tuple[int, ...] | None:
    """The coarsest factors that refine every list; None where their boundaries do not divide each other."""
    bounds = {1}
    for factors in lists:
        bounds |= set(itertools.accumulate(reversed(factors), int.__mul__))
    ordered = sorted(bounds)
    if any(high % low for low, high in itertools.pairwise(ordered)):
        return None
    return tuple(high // low for low, high in reversed(list(itertools.pairwise(ordered))))
