"""Positions that users name, checked: each an index per axis of a map.

Called by `effective`, `gradients` and `assignment`.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from fastrf.errors import PositionError

__all__ = ["checked_position", "checked_positions"]


def checked_position(position: Any, shape: tuple[int, ...]) -> tuple[int, ...]:
    """One position as a tuple of integers. Raises PositionError where it is none of the map."""
    items = position if isinstance(position, Sequence | np.ndarray) and not isinstance(position, str) else [position]
    try:
        given = tuple(operator.index(item) for item in items)
    except TypeError:
        raise PositionError(f"position {position!r} is not a tuple of integers such as {(0,) * len(shape)}") from None
    if len(given) != len(shape):
        raise PositionError(f"position {given} has {len(given)} indices, but the map {shape} has {len(shape)} axes")
    if not all(0 <= i < n for i, n in zip(given, shape, strict=True)):
        raise PositionError(f"position {given} is outside the map of {shape}; indices are 0-based, one per axis")
    return given


def checked_positions(positions: npt.ArrayLike | None, shape: tuple[int, ...]) -> npt.NDArray[np.int64]:
    """int64[n, axes]: several positions, or (None) all of the map in row-major order. Raises PositionError."""
    if positions is None:
        return np.moveaxis(np.indices(shape, np.int64), 0, -1).reshape(math.prod(shape), len(shape))
    given = np.asarray(positions)
    if given.size and not np.issubdtype(given.dtype, np.integer):
        raise PositionError(f"positions must be integers of shape (n, {len(shape)}), not {given.dtype}")
    if given.ndim != 2 or given.shape[1] != len(shape):
        raise PositionError(f"positions must have shape (n, {len(shape)}), not {given.shape}")
    outside = np.nonzero(((given < 0) | (given >= shape)).any(axis=1))[0]
    if outside.size:
        checked_position(given[outside[0]], shape)
    return given.astype(np.int64)
