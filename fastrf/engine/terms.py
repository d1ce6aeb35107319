"""Terms: products of relations, and the rules that keep them few and small.

A tensor's axes are lists of *factors* (sub-axes), numbered over the whole tensor. A **group** relates the
rows of some factors (row-major, in ascending order) to the columns of some input axes (likewise). A **term** is a
tuple of groups over disjoint factors that together name every input axis once; it says: output index `r`
depends on input index `c` where every group relates its part of `r` to its part of `c`. A group without
columns (its relation has one) is a *guard*: the rows for which the term speaks. A group without rows (its
relation has one) is a constant set. `dependency` holds a union of terms; `counting` and `masks` read them.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from fastrf.budget import limits
from fastrf.engine.crossed import cross
from fastrf.engine.memo import remembered
from fastrf.engine.paired import everywhere
from fastrf.engine.relation import Relation

__all__ = [
    "Group",
    "Term",
    "common_grouping",
    "expand",
    "join",
    "make_term",
    "normal_term",
    "normalise",
    "relabel",
    "simplify",
]

#: So many terms are compared each with each; of more, those first whose boxes at some places lie inside each other.
FEW_TERMS = 24
_PLACES = 16

IntArray = npt.NDArray[np.int64]


class Group(NamedTuple):
    """A relation of some factors' rows to some input axes' columns, both in ascending order."""

    rows: tuple[int, ...]
    cols: tuple[int, ...]
    relation: Relation


Term = tuple[Group, ...]
_COLS_AND_ROWS = operator.itemgetter(1, 0)


def make_term(groups: Iterable[Group]) -> Term:
    """Groups in their canonical order."""
    return tuple(sorted(groups, key=_COLS_AND_ROWS))


def relabel(term: Iterable[Group], new: Sequence[int]) -> Term:
    """Factors renumbered: `f` becomes `new[f]`, which keeps their order within every group, and makes some one."""
    return make_term(
        [Group(tuple(dict.fromkeys([new[f] for f in g.rows])), g.cols, g.relation) if g.rows else g for g in term]
    )


def normal_term(
    groups: Iterable[Group], sizes: Sequence[int], input_shape: Sequence[int], normal: Iterable[Group] = ()
) -> Term | None:
    """The term of groups in normal form, and of some that are; None where it relates nothing."""
    found = [*normal]
    for group in groups:
        parts = normalise(group, sizes, input_shape)
        if parts is None:
            return None
        found += parts
    return make_term(found)


def normalise(group: Group, sizes: Sequence[int], input_shape: Sequence[int]) -> list[Group] | None:
    """Split a group into its smallest parts; None where it relates nothing at all.

    Factors along which nothing changes leave the group, a guard that is always true vanishes, and a relation that
    is a product of relations over separate factors and input axes becomes them.
    """
    rows, cols, relation = group
    if relation.is_empty:
        return None
    if len(rows) == 1 and len(cols) <= 1 and not relation.is_constant:
        return [group]
    row_sizes = tuple([sizes[f] for f in rows])
    col_sizes = tuple([input_shape[a] for a in cols])
    parts = remembered(("normal", relation, row_sizes, col_sizes), lambda: _split(relation, row_sizes, col_sizes))
    return [Group(tuple([rows[i] for i in r]), tuple([cols[i] for i in c]), part) for r, c, part in parts]


def _split(relation: Relation, row_sizes: tuple[int, ...], col_sizes: tuple[int, ...]) -> list[Group]:
    """`normalise` for factors and input axes numbered from 0."""
    rows, relation = _drop_constant_rows(relation, list(range(len(row_sizes))), row_sizes)
    cols = tuple(range(len(col_sizes)))
    if not rows and not cols:
        return []
    if len(cols) > 1:
        parts = _separate(relation, rows, row_sizes, col_sizes)
        if parts:
            return parts
    return [Group(tuple(rows), cols, relation)]


def _drop_constant_rows(relation: Relation, rows: list[int], row_sizes: Sequence[int]) -> tuple[list[int], Relation]:
    """Remove the factors along which the relation does not change."""
    for f in list(rows):
        k = rows.index(f)
        before = math.prod(row_sizes[g] for g in rows[:k])
        after = math.prod(row_sizes[g] for g in rows[k + 1 :])
        if row_sizes[f] == 1 or relation.is_constant_along(before, row_sizes[f], after):
            if row_sizes[f] > 1:
                relation = Relation.from_runs(row_sizes[f], [0], [1]).compose(relation, before, after)
            rows.remove(f)
    return rows, relation


def _separate(
    relation: Relation, rows: Sequence[int], row_sizes: Sequence[int], col_sizes: Sequence[int]
) -> list[Group]:
    """The relation as a product over single input axes, or an empty list where it is none.

    Its projections onto the input axes always cover it, so it equals their product where they depend on
    separate factors and the counts agree.
    """
    parts: list[Group] = []
    for a, size in enumerate(col_sizes):
        part = relation.project(math.prod(col_sizes[:a]), size, math.prod(col_sizes[a + 1 :]))
        kept, part = _drop_constant_rows(part, list(rows), row_sizes)
        parts.append(Group(tuple(kept), (a,), part))
    used = [f for part in parts for f in part.rows]
    if len(used) != len(set(used)):
        return []
    points = math.prod(part.relation.n_points for part in parts)
    points *= math.prod(row_sizes[f] for f in rows if f not in used)
    return parts if points == relation.n_points else []


def join(groups: Sequence[Group], sizes: Sequence[int], input_shape: Sequence[int]) -> Group:
    """Several groups as one, rows and columns in ascending order."""
    if len(groups) == 1:
        return groups[0]
    rows, cols, relation = groups[0]
    for group in groups[1:]:
        rows, cols = rows + group.rows, cols + group.cols
        relation = relation.kron(group.relation)
    row_order = sorted(range(len(rows)), key=rows.__getitem__)
    col_order = sorted(range(len(cols)), key=cols.__getitem__)
    relation = relation.reorder_rows([sizes[f] for f in rows], row_order)
    relation = relation.reorder_columns([input_shape[a] for a in cols], col_order)
    return Group(tuple(sorted(rows)), tuple(sorted(cols)), relation)


def expand(group: Group, rows: Iterable[int], sizes: Sequence[int]) -> Group:
    """The group with further factors, along which nothing changes."""
    missing = [f for f in rows if f not in group.rows]
    if not missing:
        return group
    factors = sorted([*group.rows, *missing])
    if len(factors) == 2 and len(missing) == 1:
        sizes_of = sizes[factors[0]], sizes[factors[1]]
        found = everywhere(group.relation, factors.index(group.rows[0]), sizes_of)
        if found is not None:
            return Group(tuple(factors), group.cols, found)
    own = np.arange(group.relation.n_rows).reshape([sizes[f] if f in group.rows else 1 for f in factors])
    index = np.broadcast_to(own, [sizes[f] for f in factors]).ravel()
    return Group(tuple(factors), group.cols, group.relation.take(index))


def simplify(
    terms: Sequence[Term], sizes: Sequence[int], input_shape: Sequence[int], *, disjoint: bool = False
) -> tuple[Term, ...]:
    """The same union in fewer terms: equal ones once, contained ones absorbed, those that differ in one group merged.

    `disjoint` says that no term can contain another, which saves looking.
    """
    kept = list(dict.fromkeys(terms))
    while len(kept) > 1:
        count = len(kept)
        if not disjoint:
            kept = _absorb(kept, sizes, input_shape)
        kept = _merge(kept, sizes, input_shape)
        if len(kept) == count:
            break
    return tuple(kept)


def _absorb(terms: list[Term], sizes: Sequence[int], input_shape: Sequence[int]) -> list[Term]:
    may = _may_contain(terms, sizes, input_shape)
    kept: list[int] = []
    for i, term in enumerate(terms):
        if any(may[k][i] and _contains(terms[k], term, sizes, input_shape) for k in kept):
            continue
        kept = [k for k in kept if not (may[i][k] and _contains(term, terms[k], sizes, input_shape))]
        kept.append(i)
    return [terms[k] for k in kept]


def _may_contain(terms: Sequence[Term], sizes: Sequence[int], input_shape: Sequence[int]) -> list[list[bool]]:
    """Per term, which terms it may contain: any, but of many only those whose boxes lie inside its own at some places.

    Without this, networks of hundreds of terms spend their time on pairs that have nothing to do with each other.
    """
    n = len(terms)
    if n <= FEW_TERMS:
        return [[True] * n] * n
    places = [(np.arange(_PLACES) * 2 + 1) * (7 * size // 5 + 1) // 3 % size for size in sizes]
    boxes = np.stack([_boxes_at(term, places, sizes, input_shape) for term in terms], axis=-1)
    may = np.ones((n, n), bool)
    for low, high in boxes.reshape(-1, 2, n):
        may &= ((low[:, None] <= low) & (high[:, None] >= high)) | (high == 0)
    return may.tolist()


def _boxes_at(term: Term, places: Sequence[IntArray], sizes: Sequence[int], input_shape: Sequence[int]) -> IntArray:
    """int64[input axes, places, 2]: what a term holds at some output indices; `[0, 0)` where nothing."""
    boxes = np.zeros((len(input_shape), _PLACES, 2), np.int64)
    speaks = np.ones(_PLACES, bool)
    for group in term:
        row = np.zeros(_PLACES, np.int64)
        for f in group.rows:
            row = row * sizes[f] + places[f]
        widths = [input_shape[a] for a in group.cols]
        parts = [
            group.relation.project(math.prod(widths[:k]), widths[k], math.prod(widths[k + 1 :]))
            for k in range(len(widths))
        ]
        for axis, part in zip(group.cols or [None], parts or [group.relation], strict=True):
            hulls = part.hulls[row] if part.is_whole else part.take(row).hulls
            speaks &= hulls[:, 1] > 0
            if axis is not None:
                boxes[axis] = hulls
    boxes[:, ~speaks] = 0
    return boxes


def _merge(terms: list[Term], sizes: Sequence[int], input_shape: Sequence[int]) -> list[Term]:
    """Unite terms that are equal in all groups but one, until none are left."""
    kept: dict[Term, None] = {}
    index: dict[object, tuple[Term, tuple[Group, ...]]] = {}
    queue = list(reversed(terms))
    while queue:
        term = queue.pop()
        ways = _ways(term)
        for key, groups in ways:
            partner, others = index.get(key, (None, ()))
            if partner is None or partner not in kept:
                continue
            one, other = _relation(groups), _relation(others)
            if not one.joins(other) or not other.joins(one):
                continue
            del kept[partner]
            rest, rows, cols = key
            parts = normalise(Group(rows, cols, other.union(one)), sizes, input_shape) or []
            queue.append(make_term([*rest, *parts]))
            break
        else:
            kept[term] = None
            for key, groups in ways:
                index[key] = term, groups
    return list(kept)


_Way = tuple[tuple[Term, tuple[int, ...], tuple[int, ...]], tuple[Group, ...]]


def _ways(term: Term) -> list[_Way]:
    """Per group that a term could differ in from another: all else, its factors and input axes, and what it is made of.

    A guard and a constant set are a group, too: steps of a loop, put side by side, say "here" and "these inputs".
    """
    ways: list[_Way] = [((term[:k] + term[k + 1 :], g.rows, g.cols), (g,)) for k, g in enumerate(term)]
    guards = [g for g in term if not g.cols and g.relation.is_whole]
    sets = [g for g in term if not g.rows and g.relation.is_whole] if guards else ()
    for guard in guards:
        for held in sets:
            if guard.relation.n_points * held.relation.n_runs <= limits.compared:
                rest = tuple([g for g in term if g is not guard and g is not held])
                ways.append(((rest, guard.rows, held.cols), (guard, held)))
    return ways


def _relation(groups: tuple[Group, ...]) -> Relation:
    """The relation of one group, or of a guard and a constant set as one."""
    return groups[0].relation if len(groups) == 1 else groups[0].relation.kron(groups[1].relation)


def _contains(big: Term, small: Term, sizes: Sequence[int], input_shape: Sequence[int]) -> bool:
    """Whether `big` surely contains `small`, group by group after bringing both to a common grouping."""
    pairs = [(b, s) for b, s in zip(big, small, strict=False) if b.rows == s.rows and b.cols == s.cols]
    if any(b.relation.n_points < s.relation.n_points for b, s in pairs):
        return False
    if not all(b.relation is s.relation or b.relation.contains(s.relation) for b, s in pairs):
        return False
    if len(pairs) == len(big) == len(small):
        return True
    for rows, cols in common_grouping((*big, *small)):
        large, little = ([g for g in term if rows & set(g.rows) or cols & set(g.cols)] for term in (big, small))
        if all(group.relation.is_full for group in large):
            continue
        if not little:
            return False
        n_rows = math.prod(sizes[f] for f in rows)
        runs = max(g.relation.n_runs * n_rows // g.relation.n_rows for g in (*large, *little))
        if any(g.rows for g in large) and max(n_rows, runs) > limits.compared:
            return False
        key = ("covers", tuple(large), tuple(little), tuple([sizes[f] for f in sorted(rows)]))
        if not remembered(key, lambda: _covers(large, little, rows, sizes, input_shape)):  # noqa: B023 (called at once)
            return False
    return True


def _covers(
    large: list[Group], little: list[Group], rows: set[int], sizes: Sequence[int], input_shape: Sequence[int]
) -> bool:
    if any(group.rows for group in large):
        told = [cross(groups, sorted(rows), sizes) for groups in (large, little)]
        if told[0] is not None and told[1] is not None:
            return told[0][1].contains(told[1][1])
    big, small = (join(groups, sizes, input_shape) for groups in (large, little))
    if not big.rows:
        return big.relation.contains(Relation.full(1, small.relation.n_rows).compose(small.relation))
    big, small = (expand(group, rows, sizes) for group in (big, small))
    return big.relation.contains(small.relation)


def common_grouping(groups: Iterable[Group]) -> list[tuple[set[int], set[int]]]:
    """The finest partition of factors and input axes that all groups respect."""
    parts: list[tuple[set[int], set[int]]] = []
    for group in groups:
        rows, cols = set(group.rows), set(group.cols)
        rest = []
        for part in parts:
            if part[0] & rows or part[1] & cols:
                rows |= part[0]
                cols |= part[1]
            else:
                rest.append(part)
        parts = [*rest, (rows, cols)]
    return parts
