"""Counting and bounding without making a mask: boxes, intervals and areas of every row of a Dependency.

A *row* is an output index; rows are answered all at once, factor by factor, by broadcasting.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from typing import Any, cast

import numpy as np
import numpy.typing as npt

from fastrf.budget import limits, require_memory
from fastrf.engine.dependency import Dependency
from fastrf.engine.relation import Relation
from fastrf.engine.terms import Group, Term, common_grouping, expand, join
from fastrf.errors import LimitError
from fastrf.queries.mask_kernels import cut_rows

__all__ = [
    "along",
    "areas",
    "box",
    "boxes",
    "factor_index",
    "factor_indices",
    "group_rows",
    "hulls_by_axis",
    "intervals",
    "joined",
]

IntArray = npt.NDArray[np.int64]

#: More terms than this cannot be counted by bit masks.
MAX_COUNTED_TERMS = 62


def factor_indices(dependency: Dependency, flat: IntArray | None = None) -> list[IntArray]:
    """Index along every factor: as an open mesh over all factors, or for the given flat output indices."""
    sizes = dependency.sizes
    if flat is None:
        return list(np.indices(sizes, np.int64, sparse=True))
    return list(np.unravel_index(flat, sizes)) if sizes else []


def factor_index(dependency: Dependency, index: Sequence[int]) -> list[IntArray]:
    """Index along every factor for one output index, int64[1] each: however many outputs there are."""
    per_axis = zip(index, dependency.axes, strict=True)
    return [part for i, factors in per_axis if factors for part in np.unravel_index(np.array([i]), factors)]


def joined(groups: Sequence[Group], dependency: Dependency) -> Group:
    """Some groups of a term as one; of none, one that says nothing."""
    return join(groups, dependency.sizes, dependency.input_shape) if groups else Group((), (), Relation.full(1, 1))


def group_rows(group: Group, sizes: Sequence[int], index: Sequence[IntArray]) -> IntArray:
    """The group's row at each output index."""
    row = np.zeros((), np.int64)
    for f in group.rows:
        row = row * sizes[f] + index[f]
    return row


def box(dependency: Dependency, index: Sequence[int]) -> IntArray:
    """int64[input axes, 2]: the hull per input axis of one output index; `[0, 0)` where empty."""
    return cast("IntArray", _hulls(dependency, factor_index(dependency, index), (1,))[0])


def boxes(dependency: Dependency) -> IntArray:
    """int64[*shape, input axes, 2]: the hull per input axis of every output index; `[0, 0)` where empty."""
    _require(dependency, 32 * max(len(dependency.input_shape), 1), "boxes")
    found = _hulls(dependency, factor_indices(dependency), dependency.sizes)
    return found.reshape((*dependency.shape, len(dependency.input_shape), 2))


def _require(dependency: Dependency, bytes_each: int, what: str) -> None:
    """LimitError where an answer per output index would not fit."""
    n = math.prod(dependency.shape)
    require_memory(n * bytes_each, f"{what} of {n} positions", "ask for one position, or use intervals(axis)")


def _hulls(dependency: Dependency, index: Sequence[IntArray], shape: tuple[int, ...]) -> IntArray:
    sizes, input_shape = dependency.sizes, dependency.input_shape
    low = np.full((*shape, len(input_shape)), np.iinfo(np.int64).max)
    high = np.zeros((*shape, len(input_shape)), np.int64)
    for term in dependency.terms:
        speaks = _speaks(term, sizes, index)
        for group in term:
            row = group_rows(group, sizes, index)
            for axis, hull in hulls_by_axis(group, input_shape):
                low[..., axis] = np.where(speaks, np.minimum(low[..., axis], hull[row, 0]), low[..., axis])
                high[..., axis] = np.where(speaks, np.maximum(high[..., axis], hull[row, 1]), high[..., axis])
    low[high == 0] = 0
    return np.stack([low, high], axis=-1)


def _speaks(term: Term, sizes: Sequence[int], index: Sequence[IntArray]) -> npt.NDArray[np.bool_]:
    """Where every group of a term relates something."""
    speaks = np.ones((), bool)
    for group in term:
        speaks = speaks & (group.relation.counts > 0)[group_rows(group, sizes, index)]
    return speaks


def hulls_by_axis(group: Group, input_shape: Sequence[int]) -> list[tuple[int, IntArray]]:
    """Per input axis of a group, int64[n_rows, 2]: the hull on it of every row."""
    widths = [input_shape[a] for a in group.cols]
    return [
        (axis, group.relation.project(math.prod(widths[:k]), widths[k], math.prod(widths[k + 1 :])).hulls)
        for k, axis in enumerate(group.cols)
    ]


def intervals(dependency: Dependency, axis: int) -> IntArray:
    """int64[n, 2]: per index of an output axis, the hull on the input axis of the same number."""
    return boxes(along(dependency, axis))[:, 0, :]


def along(dependency: Dependency, axis: int) -> Dependency:
    """What an output axis reads of the input axis of the same number, at any index of the others."""
    alone = dependency
    for other in reversed(range(len(dependency.axes))):
        if other != axis:
            alone = alone.reduce(other)
    for other in reversed(range(len(dependency.input_shape))):
        if other != axis:
            alone = alone.any_input(other)
    return alone


def areas(dependency: Dependency) -> IntArray:
    """int64[*shape]: how many input indices every output index depends on.

    Terms that never meet: the products of their groups' counts. Others: in each part of a common grouping, every
    row's columns are sorted by the set of terms that hold them there; a product of columns counts where some term
    holds all.
    Raises LimitError for more than 62 terms.
    """
    _require(dependency, 16, "areas")
    if math.prod(dependency.input_shape) > np.iinfo(np.int64).max:
        raise LimitError(
            f"areas of an input of shape {dependency.input_shape} do not fit 64 bits; use a smaller input_shape"
        )
    if not dependency.terms:
        return np.zeros(dependency.shape, np.int64)
    apart = _areas_apart(dependency)
    if apart is not None:
        return apart.reshape(dependency.shape)
    if len(dependency.terms) > MAX_COUNTED_TERMS:
        raise LimitError(f"areas of {len(dependency.terms)} terms cannot be counted, only up to {MAX_COUNTED_TERMS}")
    return _areas_of_union(dependency)


def _areas_apart(dependency: Dependency) -> IntArray | None:
    """Areas where only one term holds anything at each place, as at those of joined tensors; None elsewhere."""
    sizes, total = dependency.sizes, np.zeros(dependency.sizes, np.int64)
    for term in dependency.terms:
        own = np.ones(sizes, np.int64)
        for group in term:
            own *= group.relation.counts.reshape([n if f in group.rows else 1 for f, n in enumerate(sizes)])
        if ((total > 0) & (own > 0)).any():
            return None
        total += own
    return total


def _areas_of_union(dependency: Dependency) -> IntArray:
    sizes = dependency.sizes
    # Sums of whole numbers are exact in floats up to here, and much faster.
    kind = np.dtype(np.float64 if math.prod(dependency.input_shape) <= 1 << 53 else np.int64)
    parts = common_parts(dependency)
    counted = [_columns_by_terms([part.relation for part in groups], kind) for groups in parts]
    _require_count([table.shape for table, _ in counted], len(dependency.terms))
    together = counted[0][1]
    for _, sets in counted[1:]:
        together = np.bitwise_and.outer(together, sets)
    holds = (together != 0).astype(kind)
    for table, _ in counted:
        holds = np.tensordot(holds, table, axes=([0], [1]))
    factors = [f for groups in parts for f in groups[0].rows]
    counts = holds.reshape([sizes[f] for f in factors])
    order = sorted(range(len(factors)), key=factors.__getitem__)
    shape = [size if f in factors else 1 for f, size in enumerate(sizes)]
    counts = np.broadcast_to(counts.transpose(order).reshape(shape), sizes)
    return cast("IntArray", counts.astype(np.int64).reshape(dependency.shape))


def _require_count(shapes: Sequence[tuple[int, ...]], n_terms: int) -> None:
    """LimitError where counting tables of these (rows, sets) together takes too long, or more memory than there is."""
    rows, sets = [1, *(shape[0] for shape in shapes)], [*(shape[1] for shape in shapes), 1]
    held = [math.prod(rows[: k + 1]) * math.prod(sets[k:]) for k in range(len(sets))]
    work = sum(count * row for count, row in zip(held, rows[1:], strict=False))
    if work > limits.counting + 128 * held[-1]:
        remedy = "ask for masks of some positions, or use a smaller input_shape"
        limits.require("counting", work, f"areas of {n_terms} terms need {work:.0e} steps", remedy)
    require_memory(16 * max(held), f"areas of {n_terms} terms", "ask for masks of some positions")


def common_parts(dependency: Dependency) -> list[list[Group]]:
    """The finest grouping that all terms respect: per part, each term's group on the same rows and columns."""
    parts = common_grouping(itertools.chain.from_iterable(dependency.terms))
    result = []
    for rows, cols in parts:
        groups = []
        for term in dependency.terms:
            own = [g for g in term if rows & set(g.rows) or cols & set(g.cols)]
            groups.append(expand(joined(own, dependency), rows, dependency.sizes))
        result.append(groups)
    return result


def pieces(relations: Sequence[Relation]) -> tuple[IntArray, IntArray, IntArray]:
    """Every row cut where one of the relations begins or ends: `(indptr, start, bits)`, bits of the relations there.

    A row's pieces cover it from 0 on, the last one, on no relation, to its end.
    """
    n_rows = relations[0].n_rows
    stacked = tuple(np.concatenate([getattr(r, name) for r in relations]) for name in ("indptr", "start", "stop"))
    offsets = np.cumsum([0, *(relation.start.size for relation in relations)])
    capacity = 2 * stacked[1].size + n_rows
    out = np.empty(n_rows + 1, np.int64), np.empty(capacity, np.int64), np.empty(capacity, np.int64)
    n = cut_rows((stacked[0], stacked[1], stacked[2]), offsets, np.empty(len(relations), np.int64), out)
    return out[0], out[1][:n], out[2][:n]


def _columns_by_terms(relations: Sequence[Relation], kind: np.dtype[Any]) -> tuple[npt.NDArray[Any], IntArray]:
    """Counts of columns, [rows, sets] of a dtype, and int64[sets] bit masks of the terms that hold them."""
    n_rows = relations[0].n_rows
    indptr, start, bits = pieces(relations)
    held = np.flatnonzero(bits)
    row = np.repeat(np.arange(n_rows), np.diff(indptr))[held]
    sets, which = np.unique(bits[held], return_inverse=True)
    require_memory(8 * n_rows * sets.size, f"areas of {len(relations)} terms", "ask for masks of some positions")
    table = np.zeros((n_rows, sets.size), kind)
    np.add.at(table, (row, which), (start[held + 1] - start[held]).astype(kind))
    return table, sets
