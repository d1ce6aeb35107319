"""Elements put at constant places."""

from __future__ import annotations

from typing import Any

import numpy as np

from fastrf.frontends.lowering import GraphWalk, Value

__all__ = ["put", "take_along"]

Numbers = np.ndarray[Any, Any]


def take_along(numbers: Numbers, index: Numbers, axis: int) -> Numbers:
    """Elements that an index names along an axis; it may be shorter along the others."""
    axis %= max(index.ndim, 1)
    window = tuple(slice(None) if k == axis else slice(0, n) for k, n in enumerate(index.shape))
    return np.take_along_axis(numbers[window], index, axis)


def put(walk: GraphWalk, below: Value, above: Value, places: Numbers, *, adds: bool) -> Value:
    """Elements, by their numbers, replaced by others, or combined with them."""
    reduce = "add" if adds else "none"
    result = walk.emit(
        "scatter", walk.flat(below), walk.flat(above), axis=0, indices=places.ravel().tolist(), reduce=reduce
    )
    return walk.shaped(result, below.full)
