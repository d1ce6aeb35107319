"""Factors: what the axes of a tensor are made of, so that reshapes split, merge and move them without touching data.

An axis is a list of factors (sub-axes), outermost first; factors are numbered over all axes in order. `Dependency` and
the pieces of `Nominal` keep their axes this way. A change gives new factors, and for every old one its new number.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Sequence
from typing import TypeVar

from fastrf.system.locks import cached_property

__all__ = ["Factors", "aligned", "common", "put"]

Shape = tuple[int, ...]
_Item = TypeVar("_Item")


class Factors(tuple[Shape, ...]):
    """Per axis of a tensor, the sizes of its factors; `sizes` are those of all axes."""

    sizes: Shape

    def __init__(self, _: Iterable[Shape] = ()) -> None:
        self.sizes = tuple(itertools.chain.from_iterable(self))

    @classmethod
    def of(cls, shape: Sequence[int]) -> Factors:
        """One factor per axis, none for an axis of 1."""
        return cls([() if n == 1 else (n,) for n in shape])

    @cached_property
    def shape(self) -> Shape:
        """The tensor's shape."""
        return tuple([math.prod(factors) for factors in self])

    @cached_property
    def owners(self) -> Shape:
        """Per factor, its axis."""
        return tuple([axis for axis, factors in enumerate(self) for _ in factors])

    def at(self, axis: int) -> range:
        """The numbers of an axis' factors."""
        first = sum(map(len, self[:axis]))
        return range(first, first + len(self[axis]))

    def put(self, axis: int, *factors: Shape) -> Factors:
        """Other axes in the place of one."""
        return Factors(put(self, axis, *factors))

    def change(self, axis: int, k: int, count: int, sizes: Shape) -> tuple[Factors, list[int]]:
        """Others in the place of `count` factors of an axis, from its `k`-th on.

        Those that go have the number of the first that comes, which says nothing where none comes.
        """
        first, more = self.at(axis).start + k, len(sizes) - count
        new = [*range(first), *[first] * count, *range(first + count + more, len(self.sizes) + more)]
        factors = self[axis]
        return self.put(axis, (*factors[:k], *sizes, *factors[k + count :])), new

    def fuse(self, axis: int, k: int, count: int) -> tuple[Factors, list[int]]:
        """`count` neighbouring factors of an axis as one."""
        return self.change(axis, k, count, (math.prod(self[axis][k : k + count]),))

    def insert(self, axis: int, factors: Shape) -> tuple[Factors, list[int]]:
        """A new axis before `axis`."""
        return Factors((*self[:axis], (), *self[axis:])).change(axis, 0, 0, factors)

    def remove(self, axis: int) -> tuple[Factors, list[int]]:
        """Without an axis, whose factors no longer count."""
        left, new = self.change(axis, 0, len(self[axis]), ())
        return left.put(axis), new

    def permute(self, order: Sequence[int]) -> tuple[Factors, list[int]]:
        """The axes in another order."""
        old = [f for axis in order for f in self.at(axis)]
        return Factors([self[axis] for axis in order]), [old.index(f) for f in range(len(old))]

    def grouped(self, axis: int, wanted: Sequence[int]) -> list[Shape] | None:
        """How an axis' factors make up consecutive axes of the `wanted` lengths; None where some must be cut."""
        sizes, found, done = self[axis], list[Shape](), 0
        for size in wanted:
            first = done
            if size == 1 and done < len(sizes) and sizes[done] == 1:
                done += 1
            while math.prod(sizes[first:done]) < size and done < len(sizes):
                done += 1
            if math.prod(sizes[first:done]) != size:
                return None
            found.append(sizes[first:done])
        return [*found[:-1], (*found[-1], *sizes[done:])]

    def refinement(self, axis: int, finer: Shape) -> list[Shape]:
        """Per factor of an axis, those of a finer list that make it up."""
        rest, parts = list(finer), []
        for size in self[axis]:
            part = [rest.pop(0)]
            while math.prod(part) < size:
                part.append(rest.pop(0))
            parts.append(tuple(part))
        return parts


def put(items: tuple[_Item, ...], at: int, *new: _Item) -> tuple[_Item, ...]:
    """The items with others in the place of one."""
    return (*items[:at], *new, *items[at + 1 :])


def common(lists: Sequence[Shape]) -> Shape | None:
    """The coarsest factors that refine every list; None where their boundaries do not divide each other."""
    bounds = {1}
    for factors in lists:
        bounds |= set(itertools.accumulate(reversed(factors), int.__mul__))
    ordered = sorted(bounds)
    if any(high % low for low, high in itertools.pairwise(ordered)):
        return None
    return tuple(high // low for low, high in reversed(list(itertools.pairwise(ordered))))


def aligned(old: Sequence[int], new: Sequence[int]) -> list[tuple[range, range]]:
    """Consecutive axes of two shapes of one size that hold the same elements, as small groups as there are."""
    groups, i, j = [], 0, 0
    while i < len(old) or j < len(new):
        begin, start = i, j
        left = right = 1
        if i < len(old):
            left, i = old[i], i + 1
        if j < len(new):
            right, j = new[j], j + 1
        while left != right:
            if left < right:
                left, i = left * old[i], i + 1
            else:
                right, j = right * new[j], j + 1
        groups.append((range(begin, i), range(start, j)))
    return groups
