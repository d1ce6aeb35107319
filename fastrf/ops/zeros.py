"""Weights of which some are zero by definition: what a kernel still reads, as a union of few products."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from fastrf.engine.recipe import Tensor
from fastrf.errors import NetworkError, ShapeError

__all__ = ["MAX_PRODUCTS", "Mask", "Taps", "over_products", "products", "spread_groups", "table_of"]

Mask: TypeAlias = npt.NDArray[np.bool_]

#: Taps of each axis: the first one, the gap between two, and how many.
Taps: TypeAlias = tuple[tuple[int, int, int], ...]

#: A kernel of more products of channels and taps is taken for one without zeros, and listed as approximate.
MAX_PRODUCTS = 16

#: So is one of more than a few products whose tables of channels have more elements together.
MAX_FEW, MAX_ELEMENTS = 4, 1 << 15


def table_of(used: Any, shape: tuple[int, ...]) -> Mask:
    """Nested lists of booleans as a table of a weight's shape; axes of 1 stand for all."""
    table = np.array(used)
    if table.dtype != bool:
        raise NetworkError("used must be nested lists of booleans, one for each weight")
    if table.ndim != len(shape) or any(n not in (1, m) for n, m in zip(table.shape, shape, strict=True)):
        raise ShapeError(f"used of shape {table.shape} does not fit a weight of shape {shape}")
    return np.broadcast_to(table, shape)


def over_products(
    part: Callable[[Mask | None, Taps | None], Tensor], used: Sequence[Any] | None, shape: tuple[int, ...]
) -> Tensor:
    """The union of what `part` gives for the channels (None: all) and taps of each product of a table."""
    if used is None:
        return part(None, None)
    found = products(table_of(used, shape))
    if found is None:
        return part(None, None).approximate()
    if not found:
        return part(None, None).nothing()
    first, *others = (part(None if table.all() else table, taps) for table, taps in found)
    return first.union(*others)


def products(table: Mask) -> list[tuple[Mask, Taps]] | None:
    """A table (rows, columns, *kernel) as a union of tables (rows, columns) times taps; None where they are many."""
    kernel = table.shape[2:]
    by_tap = table.reshape(table.shape[0] * table.shape[1], -1)
    places = [np.packbits(column).tobytes() for column in by_tap.T]
    found: list[tuple[Mask, Taps]] = []
    for pattern in dict.fromkeys(places):
        taps = np.array([place == pattern for place in places])
        channels = by_tap[:, taps.argmax()].reshape(table.shape[:2])
        if channels.any():
            found += [(channels, box) for box in _boxes(taps.reshape(kernel))]
        if len(found) > MAX_PRODUCTS:
            return None
    tables = sum(channels.size for channels, _ in found if not channels.all())
    return None if len(found) > MAX_FEW and tables > MAX_ELEMENTS else found


def _boxes(taps: Mask) -> Iterator[Taps]:
    """A set of taps as products of evenly spaced ones of each axis."""
    if taps.ndim == 0:
        yield ()
        return
    rows = [row.tobytes() for row in taps]
    for pattern in dict.fromkeys(rows):
        same = [k for k, row in enumerate(rows) if row == pattern]
        if taps[same[0]].any():
            for rest in _boxes(taps[same[0]]):
                yield from ((run, *rest) for run in _evenly(same))


def _evenly(indices: list[int]) -> Iterator[tuple[int, int, int]]:
    """Increasing indices as runs of an even gap."""
    while indices:
        gap = indices[1] - indices[0] if len(indices) > 1 else 1
        count = next((k for k in range(1, len(indices)) if indices[k] - indices[k - 1] != gap), len(indices))
        yield indices[0], gap, count
        indices = indices[count:]


def spread_groups(table: Mask, groups: int) -> Mask:
    """A table (rows, columns of a group) as (rows, columns of all groups)."""
    rows, width = table.shape
    wide = np.zeros((rows, groups, width), bool)
    wide[np.arange(rows), np.arange(rows) // max(rows // groups, 1)] = table
    return wide.reshape(rows, groups * width)
