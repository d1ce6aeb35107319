"""Fingerprints of exact relations: equal sets have equal ones, whatever terms and factors they are written in.

A relation is a set of index tuples, an output's and an input's. Its fingerprint is the sum over the set of the products
of `base ** index` over all axes, modulo primes: the set's generating polynomial at fixed points, so that two sets that
differ agree with a probability of about `(degree / prime) ** points`. Powers follow the index whether an axis is one
factor or several, products of relations are products of sums, and of terms that overlap every element counts once,
since columns are sorted by the terms that hold them (see `counting.pieces`). It is arithmetic on whole numbers alone,
the same everywhere.
"""

from __future__ import annotations

import hashlib
import itertools
import math
from collections import defaultdict
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from fastrf.engine.crossed import Crossed
from fastrf.engine.dependency import Dependency
from fastrf.engine.memo import remembered
from fastrf.engine.relation import Relation
from fastrf.engine.terms import Group, Term
from fastrf.errors import LimitError
from fastrf.queries.counting import MAX_COUNTED_TERMS, common_parts, pieces

__all__ = ["digest", "fingerprint"]

#: One prime below 2**31 per point, so that products fit 64 bits.
PRIMES = (2147483647, 2147483629, 2147483587, 2147483579)
#: Digests are of this form; they change with it.
VERSION = 1

Numbers = npt.NDArray[np.uint64]
IntArray = npt.NDArray[np.int64]


def digest(dependency: Dependency, *facts: object) -> str:
    """16 hexadecimal digits of a relation, of the shapes on both sides, and of plain facts beside it."""
    told = (VERSION, dependency.shape, dependency.input_shape, facts, fingerprint(dependency))
    return hashlib.sha256(repr(told).encode()).hexdigest()[:16]


def fingerprint(dependency: Dependency) -> tuple[int, ...]:
    """A number below each prime. Raises LimitError for more than 62 terms that overlap."""
    key = ("fingerprint", dependency.input_shape, tuple(dependency.axes), dependency.terms, MAX_COUNTED_TERMS)
    return remembered(key, lambda: _fingerprint(dependency))  # a layer and what follows it often see the same


def _fingerprint(dependency: Dependency) -> tuple[int, ...]:
    clusters = [Dependency(dependency.input_shape, dependency.axes, terms) for terms in _clusters(dependency)]
    return tuple(sum(_sum(one, prime) for one in clusters) % prime for prime in PRIMES)


def _clusters(dependency: Dependency) -> list[list[Term]]:
    """The terms in groups, of which terms of different ones have no element in common."""
    found: list[list[Term]] = []
    for term in dependency.terms:
        met = [cluster for cluster in found if any(_may_meet(term, other) for other in cluster)]
        found = [cluster for cluster in found if cluster not in met] + [[term, *itertools.chain.from_iterable(met)]]
    largest = max(map(len, found), default=0)
    if largest > MAX_COUNTED_TERMS:
        raise LimitError(f"a digest of {largest} terms that overlap, only up to {MAX_COUNTED_TERMS} can be sorted out")
    return found


def _may_meet(one: Term, other: Term) -> bool:
    """Whether two terms may hold the same element: not where a group of both has no row or no element in common."""
    pairs = [(mine, its) for mine, its in itertools.product(one, other) if mine.rows and mine.rows == its.rows]
    if not all(((mine.relation.counts > 0) & (its.relation.counts > 0)).any() for mine, its in pairs):
        return False  # as parts of joined tensors
    both = [(mine.relation, its.relation) for mine, its in itertools.product(one, other) if _alike(mine, its)]
    return all(a is b or a.union(b).n_points < a.n_points + b.n_points for a, b in both)


def _alike(one: Group, other: Group) -> bool:
    return (one.rows, one.cols) == (other.rows, other.cols)


def _sum(dependency: Dependency, prime: int) -> int:
    """The sum over the union of the terms, each element once."""
    rows, columns = _weights(dependency, prime)
    parts = common_parts(dependency)
    free = set(range(len(rows))).difference(*(groups[0].rows for groups in parts))
    total = {(1 << len(dependency.terms)) - 1: math.prod(int(rows[f].sum()) for f in free) % prime}
    for groups in parts:
        along = _line([rows[f] for f in groups[0].rows], prime), [columns[a] for a in groups[0].cols]
        own = _sums([group.relation for group in groups], *along, prime)
        both: dict[int, int] = defaultdict(int)
        for (bits, value), (others, factor) in itertools.product(total.items(), own.items()):
            if bits & others:
                both[bits & others] += value * factor
        total = {bits: value % prime for bits, value in both.items()}
    return sum(total.values()) % prime


def _sums(relations: Sequence[Relation], rows: Numbers, columns: Sequence[Numbers], prime: int) -> dict[int, int]:
    """By set of relations (bits), the sum over the elements that these hold, and no others."""
    if len(relations) == 1:
        own = _row_sums(relations[0], columns, prime) * rows % prime
        return {1: int(own.sum()) % prime} if not relations[0].is_empty else {}
    indptr, cuts, marks = pieces(relations)
    held = np.flatnonzero(marks)
    start, stop, bits = cuts[held], cuts[held + 1], marks[held]
    indptr = np.searchsorted(held, indptr)
    own = _between(start, stop, _line(columns, prime), prime) * np.repeat(rows, np.diff(indptr)) % prime
    sets, which = np.unique(bits, return_inverse=True)
    sums = np.zeros(sets.size, np.uint64)
    np.add.at(sums, which, own)
    return {int(one): int(value) % prime for one, value in zip(sets, sums, strict=True)}


def _row_sums(relation: Relation, columns: Sequence[Numbers], prime: int) -> Numbers:
    """uint64[n_rows]: the sum of the weights of every row's columns; rows that are products are not written out."""
    along = _split(columns, [part.n_cols for part in relation.parts]) if isinstance(relation, Crossed) else None
    if isinstance(relation, Crossed) and along is not None:
        found: Numbers = (relation.index[0] >= 0).astype(np.uint64)
        for part, index, weights in zip(relation.parts, relation.index, along, strict=True):
            found = found * _row_sums(part, weights, prime)[index] % prime
        return found
    indptr, start, stop = relation.runs
    total = np.concatenate([np.zeros(1, np.uint64), np.cumsum(_between(start, stop, _line(columns, prime), prime))])
    return np.asarray((total[indptr[1:]] - total[indptr[:-1]]) % prime)


def _split(columns: Sequence[Numbers], sizes: Sequence[int]) -> list[list[Numbers]] | None:
    """The axes in groups of these sizes; None where an axis is in two."""
    found, rest = [], list(columns)
    for size in sizes:
        own = [np.ones(1, np.uint64)]
        while math.prod(one.size for one in own) < size:
            own.append(rest.pop(0))
        if math.prod(one.size for one in own) > size:
            return None
        found.append(own)
    return found


def _between(start: IntArray, stop: IntArray, weights: Numbers, prime: int) -> Numbers:
    """The sums of weights from a start to its stop."""
    before = np.concatenate([np.zeros(1, np.uint64), np.cumsum(weights) % prime])
    return np.asarray((before[stop] + np.uint64(prime) - before[start]) % prime)


def _weights(dependency: Dependency, prime: int) -> tuple[list[Numbers], list[Numbers]]:
    """What the indices of every factor of the output, and of every axis of the input, are multiplied by."""
    rows = [
        _powers(pow(_base("output", axis, prime), math.prod(factors[k + 1 :]), prime), size, prime)
        for axis, factors in enumerate(dependency.axes)
        for k, size in enumerate(factors)
    ]
    columns = [_powers(_base("input", axis, prime), n, prime) for axis, n in enumerate(dependency.input_shape)]
    return rows, columns


def _base(side: str, axis: int, prime: int) -> int:
    """A number from 2 to the prime less 2, drawn once and for all."""
    drawn = hashlib.sha256(f"{side} {axis} {prime}".encode()).digest()
    return 2 + int.from_bytes(drawn, "big") % (prime - 3)


def _powers(base: int, n: int, prime: int) -> Numbers:
    """uint64[n]: `base ** index` modulo the prime."""

    def made() -> Numbers:
        found, done = np.ones(n, np.uint64), 1
        while done < n:
            more = min(done, n - done)
            found[done : done + more] = found[:more] * np.uint64(pow(base, done, prime)) % prime
            done += more
        return found

    return remembered(("powers", base, n, prime), made)


def _line(weights: Sequence[Numbers], prime: int) -> Numbers:
    """The weights of several axes as those of one, row-major."""
    found = np.ones(1, np.uint64)
    for one in weights:
        found = np.multiply.outer(found, one).ravel() % prime
    return found
