"""What relations hold, to compare those that are kept in several forms."""

from __future__ import annotations

from collections.abc import Hashable

import numpy as np

from fastrf.engine.deferred import Deferred
from fastrf.engine.memo import remembered
from fastrf.engine.relation import Relation
from fastrf.engine.stretched import aligned

__all__ = ["content"]

#: Relations of more rows than this are compared by so many rows at a time, and told apart by a few of them.
_BLOCK = 1 << 15
_SAMPLE = 64


def content(relation: Relation) -> Hashable:
    """What equal relations have alike, whether kept whole or as periods, and others have not."""
    if relation.n_rows > _BLOCK:
        return _Long(relation)
    return relation.whole() if isinstance(relation, Deferred) else relation


class _Long:
    """A relation of many rows, equal to any with the same runs: its periods can be cut out at several places."""

    __slots__ = ("relation",)

    def __init__(self, relation: Relation) -> None:
        self.relation = relation

    def __hash__(self) -> int:
        one = self.relation
        places = np.linspace(0, one.n_rows - 1, _SAMPLE).astype(np.int64)
        return hash(
            (one.n_rows, one.n_cols, one.n_runs, remembered(("sample", one), lambda: content(one.take(places))))
        )

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Long) and _same(self.relation, other.relation)


def _same(left: Relation, right: Relation) -> bool:
    """Whether two long relations hold the same, of which no more is made than a block of rows."""
    alike = (left.n_rows, left.n_cols, left.n_runs) == (right.n_rows, right.n_cols, right.n_runs)
    if left is right or not alike or (left.is_whole and right.is_whole):
        return left is right
    both = aligned(left, right)
    if both is not None:
        return both.left is both.right
    blocks = (np.arange(at, min(at + _BLOCK, left.n_rows)) for at in range(0, left.n_rows, _BLOCK))
    return all(content(left.take(rows)) is content(right.take(rows)) for rows in blocks)
