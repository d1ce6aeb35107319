"""Values that no input and no weight changes, followed through operators by applying the operators themselves."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from fastrf.budget import limits
from fastrf.frontends.lowering import Known, compressed

__all__ = ["check_size", "choice", "elementwise"]

Array = npt.NDArray[Any]
#: So many values are told apart without sorting.
_FEW = 16
#: An operator between elements, applied to arrays that stand for its operands.
Operator = Callable[[Sequence[Array]], Array]


def check_size(size: int) -> None:
    """Raise LimitError for a table of more elements than an axis may have."""
    limits.require("axis", size, f"{size} elements of which some are constant by position", "use a smaller input")


def choice(condition: Known, first: Known, second: Known, *, blank: float = np.nan) -> Known | None:
    """The first table where a condition is true, the second where it is false; where it is open, what both have."""
    check_size(math.prod(np.broadcast_shapes(condition.shape, first.shape, second.shape)))
    equal = np.where(first == second, first, blank)
    return compressed(np.where(np.isnan(condition), equal, np.where(condition != 0, first, second)))


def elementwise(
    run: Operator, tables: Sequence[Known], dtypes: Sequence[np.dtype[Any]], *, alone: bool = False
) -> Known | None:
    """What is known of the result of an operator between elements, broadcastable to it.

    It is known where all operands (`tables`, NaN where they may be anything of their type) are, and where the others
    may be anything: the operator gives the same number for the extremes of their type and for what equals the known
    operand. With `alone`, also where no operand is known.
    """
    shape = tuple(int(n) for n in np.broadcast_shapes(*(table.shape for table in tables)))
    if 0 in shape or (not alone and all(np.isnan(table).all() for table in tables)):
        return None
    check_size(math.prod(shape))
    first, places = _distinct(tables, shape)
    at = np.unravel_index(first, shape or (1,))
    columns = np.stack([np.broadcast_to(table, shape or (1,))[at] for table in tables])
    open_ = np.isnan(columns)
    known = np.array(np.broadcast_to(_applied(run, np.where(open_, 1.0, columns), dtypes), first.shape))
    known[open_.any(0)] = np.nan
    partly = open_.any(0) if alone else open_.any(0) & ~open_.all(0)
    if partly.any():
        known[partly] = _decided(run, columns[:, partly], dtypes)
    return compressed(known[places].reshape(shape))


def _applied(run: Operator, filled: Iterable[Array], dtypes: Sequence[np.dtype[Any]]) -> Known:
    with np.errstate(all="ignore"):
        return run([a.astype(d) for a, d in zip(filled, dtypes, strict=True)]).astype(np.float64)


def _distinct(tables: Sequence[Known], shape: tuple[int, ...]) -> tuple[Array, Array]:
    """Where distinct combinations of values stand first, by the number of the element, and which each element has."""
    codes, count = np.zeros((1,) * len(shape), np.int64), 1
    for table in tables:
        more, own = _coded(table.ravel())
        codes, count = codes * more + own.reshape(table.shape), count * more
        if count > codes.size:
            values, codes_ = np.unique(codes, return_inverse=True)
            codes, count = codes_.reshape(codes.shape), len(values)
    codes = np.broadcast_to(codes, shape).ravel()
    first = np.full(count, -1)
    first[codes[::-1]] = np.arange(codes.size)[::-1]
    used = first >= 0
    return first[used], (np.cumsum(used) - 1)[codes]


def _coded(row: Array) -> tuple[int, Array]:
    """How many values a row has, and the number of each; without sorting where they are few, as in masks."""
    codes, left = np.zeros(row.size, np.int64), np.ones(row.size, bool)
    for k in range(_FEW):
        at = left.argmax()
        if not left[at]:
            return k, codes
        same = np.isnan(row) if np.isnan(row[at]) else row == row[at]
        codes[same] = k
        left &= ~same
    values, codes = np.unique(row, return_inverse=True)
    return len(values), codes.ravel()


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
