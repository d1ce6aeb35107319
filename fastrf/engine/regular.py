"""Regular: the rule behind a table of indices, which goes on for an axis of any length.

A front-end that meets windows, frames, masks or reversals as lists of indices has them read as such.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from fastrf.engine.memo import remembered
from fastrf.engine.relation import Relation

__all__ = ["Rule", "factored", "rule_of"]

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]

#: Periods times rows that are looked at.
MAX_WORK = 1 << 22
#: Pairs of rows and columns that are looked at for two axes in one.
MAX_POINTS = 1 << 22


class Rule(NamedTuple):
    """Row `o + period` reads what row `o` reads, moved by `shift`; the fields of `axis_map.Pattern`."""

    period: int
    shift: int
    low: FloatArray
    high: FloatArray
    reads: Callable[[int], IntArray] | None = None


def rule_of(relation: Relation) -> Rule | None:
    """The rule that all rows follow, but where it reaches beyond the columns; rows that read nothing follow any.

    None where there is none. The shortest period wins; a rule needs two periods to be seen.
    """
    if relation.is_empty:
        return Rule(1, 1, np.array([np.inf]), np.array([-np.inf]))
    if relation.n_rows > MAX_WORK:
        return None
    rows, n = np.flatnonzero(relation.counts), relation.n_cols
    hulls = relation.hulls[rows]
    if (hulls == hulls[0]).all():
        whole = n > 1 and hulls[0].tolist() == [0, n] and rows.size > 1
        low, high = (-np.inf, np.inf) if whole else (float(hulls[0, 0]), float(hulls[0, 1]))
        return Rule(1, int(whole), np.array([low]), np.array([high])) if relation.is_constant or whole else None
    longest = min(max(relation.n_rows // 2, 1), max(MAX_WORK // relation.n_rows, 1))
    for period in range(1, longest + 1):
        rule = _rule(relation, rows, hulls, period)
        if rule is not None:
            return rule
    return None


def _rule(relation: Relation, rows: IntArray, hulls: IntArray, period: int) -> Rule | None:
    """The rule of one period, if all rows follow it; up to a quarter may differ where the rule leaves the columns."""
    n, middle = relation.n_cols, relation.n_rows // 2
    order = np.argsort(np.abs(rows - middle), kind="stable")
    shift = _shift(rows, hulls, period, n)
    if shift is None:
        shift = max(round(period * n / relation.n_rows), 1)
    low, high = np.full(period, np.inf), np.full(period, -np.inf)
    low[rows % period], high[rows % period] = -np.inf, np.inf
    for bounds, column, free in ((low, 0, hulls[:, 0] > 0), (high, 1, hulls[:, 1] < n)):
        near = order[free[order]]
        phase, first = np.unique(rows[near] % period, return_index=True)
        chosen = near[first]
        bounds[phase] = hulls[chosen, column] - rows[chosen] // period * float(shift)
    moved = rows // period * float(shift)
    first_read, last_read = low[rows % period] + moved, high[rows % period] + moved
    clipped = (np.clip(first_read, 0, n) == hulls[:, 0]) & (np.clip(last_read, 0, n) == hulls[:, 1])
    beyond = np.isfinite(first_read) & np.isfinite(last_read) & ((first_read < 0) | (last_read > n))
    if not (clipped | beyond).all() or (~clipped).sum() * 4 > rows.size:
        return None
    return Rule(period, shift, low, high, _reads(relation, rows, hulls, period, shift))


def _shift(rows: IntArray, hulls: IntArray, period: int, n: int) -> int | None:
    """How far a row a period later reads on, told by the pair of rows nearest to the middle that no border cuts."""
    after = np.searchsorted(rows, rows + period)
    paired = after < rows.size
    paired[paired] = rows[after[paired]] == rows[paired] + period
    here = np.flatnonzero(paired)
    best: tuple[int, int] | None = None
    for column, free in ((0, hulls[:, 0] > 0), (1, hulls[:, 1] < n)):
        pairs = here[free[here] & free[after[here]]]
        if pairs.size:
            one = pairs[np.abs(rows[pairs] - rows[-1] // 2).argmin()]
            found = (abs(int(rows[one]) - int(rows[-1]) // 2), int(hulls[after[one], column] - hulls[one, column]))
            best = found if best is None or found[0] < best[0] else best
    return None if best is None else best[1]


def _reads(
    relation: Relation, rows: IntArray, hulls: IntArray, period: int, shift: int
) -> Callable[[int], IntArray] | None:
    """The very indices of a phase, for relations with holes."""
    if (relation.counts[rows] == hulls[:, 1] - hulls[:, 0]).all():
        return None
    inside = (hulls[:, 0] > 0) & (hulls[:, 1] < relation.n_cols)
    chosen: dict[int, int] = {}
    for row in sorted(rows[inside].tolist(), key=lambda row: abs(row - relation.n_rows // 2)):
        chosen.setdefault(row % period, row)
    if len(chosen) < period:
        return None
    return lambda phase: (
        np.concatenate([np.arange(low, high) for low, high in relation.row(chosen[phase])])
        - chosen[phase] // period * shift
    )


def factored(relation: Relation, sizes: tuple[int, ...]) -> list[Relation] | None:
    """The relations of the axes that make up rows and columns alike, if the relation is their product; else None."""
    size = math.prod(sizes)
    if (relation.n_rows, relation.n_cols) != (size, size) or not 0 < relation.n_points <= MAX_POINTS:
        return None
    return remembered(("factored", relation, sizes), lambda: (_factors(relation, sizes),))[0]


def _factors(relation: Relation, sizes: tuple[int, ...]) -> list[Relation] | None:
    rows, columns = relation.pairs()
    found: list[Relation] = []
    for outer, inner in zip(np.unravel_index(rows, sizes), np.unravel_index(columns, sizes), strict=True):
        n = sizes[len(found)]
        pairs = np.unique(outer * n + inner)
        found.append(Relation.from_points(n, n, pairs // n, pairs % n))
    return found if math.prod(part.n_points for part in found) == rows.size else None
