"""Values that no input and no weight changes, followed through operators by applying the operators themselves."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from fastrf.budget import limits
from fastrf.frontends.lowering import Known, compressed

__all__ = ["check_size", "elementwise"]

Array = npt.NDArray[Any]
#: An operator between elements, applied to arrays that stand for its operands.
Operator = Callable[[Sequence[Array]], Array]


def check_size(size: int) -> None:
    """Raise LimitError for a table of more elements than an axis may have."""
    limits.require("axis", size, f"{size} elements of which some are constant by position", "use a smaller input")


def elementwise(
    run: Operator, tables: Sequence[Known], dtypes: Sequence[np.dtype[Any]], *, alone: bool = False
) -> Known | None:
    """What is known of the result of an operator between elements, broadcastable to it.

    It is known where all operands (`tables`, NaN where they may be anything of their type) are, and where the others
    may be anything: the operator gives the same number for the extremes of their type and for what equals the known
    operand. With `alone`, also where no operand is known.
    """
    open_ = [np.isnan(table) for table in tables]
    if all(o.all() for o in open_) and not alone:
        return None
    shape = tuple(int(n) for n in np.broadcast_shapes(*(table.shape for table in tables)))
    check_size(math.prod(shape))
    wide = [np.broadcast_to(o, shape) for o in open_]
    anywhere, everywhere = np.logical_or.reduce(wide), np.logical_and.reduce(wide)
    known = np.full(shape, np.nan)
    if not anywhere.all():
        filled = [np.where(o, 1.0, t) for o, t in zip(open_, tables, strict=True)]
        known = np.array(np.broadcast_to(_applied(run, filled, dtypes), shape))
    known[anywhere] = np.nan
    partly = anywhere if alone else anywhere & ~everywhere
    if partly.any():
        columns = np.stack([np.broadcast_to(table, shape)[partly] for table in tables])
        first, places = _distinct(columns)
        known[partly] = _decided(run, columns[:, first], dtypes)[places]
    return compressed(known)


def _applied(run: Operator, filled: Sequence[Array], dtypes: Sequence[np.dtype[Any]]) -> Known:
    with np.errstate(all="ignore"):
        return run([a.astype(d) for a, d in zip(filled, dtypes, strict=True)]).astype(np.float64)


def _distinct(columns: Array) -> tuple[Array, Array]:
    """Where distinct columns stand first, and the number of each column among them."""
    codes = np.zeros(columns.shape[1], np.int64)
    for row in columns:
        values, inverse = np.unique(row, return_inverse=True)
        codes = np.unique(codes * len(values) + inverse.ravel(), return_inverse=True)[1].ravel()
    _, first, places = np.unique(codes, return_index=True, return_inverse=True)
    return first, places.ravel()


def _decided(run: Operator, columns: Array, dtypes: Sequence[np.dtype[Any]]) -> Known:
    """Results that known operands (rows of columns, NaN elsewhere) decide whatever the others are, NaN elsewhere."""
    low = high = np.full(columns.shape[1], np.nan)
    for fills in _fillings(columns, dtypes):
        found = _applied(run, [np.where(np.isnan(c), f, c) for c, f in zip(columns, fills, strict=True)], dtypes)
        low, high = np.fmin(low, found), np.fmax(high, found)
        if not (low == high).any():
            break
    return np.where(low == high, low, np.nan)


def _fillings(columns: Array, dtypes: Sequence[np.dtype[Any]]) -> list[list[Array]]:
    """For each operand, what its unknown elements are taken for, one evaluation after another."""
    rows = []
    for dtype in dtypes:
        if dtype.kind == "b":
            rows.append([0.0, 1.0])
        elif dtype.kind in "iu":
            span = np.iinfo(dtype)
            rows.append([1.0, 2.0, 0.0, float(span.min), float(span.max), 3.0, max(-1.0, float(span.min))])
        else:
            rows.append([1.0, -1.0, 0.0, 0.37, -6e4, 6e4, np.inf, -np.inf])
    fills = [
        [np.asarray(row[(j + i * step) % len(row)]) for i, row in enumerate(rows)] for j in range(8) for step in (0, 1)
    ]
    for table in columns:  # what equals a known operand, and what does not by little
        near = np.where(np.isnan(table), 1.0, table)
        fills += [[near] * len(columns), [near + 1] * len(columns), [near - 1] * len(columns)]
    return fills
