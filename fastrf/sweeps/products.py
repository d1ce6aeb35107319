"""Products: what a dependency of one term says of all of its positions, from each group's rows alone.

Positions are the product of the groups' rows, so that the smallest area is the product of the smallest counts, and so
on; no array of positions is made. `metrics` asks, and counts positions where there is no such product.
"""

from __future__ import annotations

import math
from typing import NamedTuple

from fastrf.engine.dependency import Dependency
from fastrf.engine.memo import remembered
from fastrf.engine.relation import Relation

__all__ = ["Product", "product_of"]

#: Sums of whole numbers up to here are exact in floats, as NumPy adds them up for a mean.
_EXACT = 1 << 53


class _Rows(NamedTuple):
    """Counts of a relation's rows, whether each is one run, and how many columns some row holds."""

    low: int
    high: int
    total: int
    is_dense: bool
    read: int


class Product(NamedTuple):
    """Areas over all positions, whether each fills its box, and how many pixels some position sees."""

    area_min: int
    area_max: int
    area_mean: float
    is_dense: bool
    seen: int


def product_of(dependency: Dependency) -> Product | None:
    """What a dependency of positions says, where it is one product of relations to single axes; None elsewhere."""
    if len(dependency.terms) != 1 or any(len(group.cols) > 1 for group in dependency.terms[0]):
        return None
    groups = dependency.terms[0]
    found = [_rows(group.relation) for group in groups]
    positions, related = math.prod(dependency.sizes), math.prod(group.relation.n_rows for group in groups)
    total = math.prod(rows.total for rows in found) * (positions // related)
    if total > _EXACT:
        return None
    low = math.prod(rows.low for rows in found)
    return Product(
        low,
        math.prod(rows.high for rows in found),
        total / positions,
        low > 0 and all(rows.is_dense for rows in found),
        math.prod(rows.read for rows in found),
    )


def _rows(relation: Relation) -> _Rows:
    def counted() -> _Rows:
        counts, hulls = relation.counts, relation.hulls
        dense = bool((counts == hulls[:, 1] - hulls[:, 0]).all())
        read = int((relation.transpose.counts > 0).sum()) if relation.n_cols > 1 else 1
        return _Rows(int(counts.min()), int(counts.max()), int(counts.sum()), dense, read)

    return remembered(("rows", relation), counted)
