"""Positions as users hand them in, checked: `field` and `anchors` take them through here."""

from __future__ import annotations

import contextlib
import math
import operator
from collections.abc import Callable, Iterator, Sequence
from typing import cast

import numpy as np
import numpy.typing as npt

from fastrf.errors import LimitError, PositionError, ShapeError

__all__ = ["all_or_given", "checked_index", "flat_indices", "hinted"]


def checked_index(index: Sequence[int] | int, shape: tuple[int, ...], kind: str = "position") -> tuple[int, ...]:
    """One index of a map as a tuple of integers; `kind` is what errors call it. Raises PositionError."""
    index = index.tolist() if hasattr(index, "tolist") else index  # NumPy's and torch's
    try:
        several = index if isinstance(index, Sequence | np.ndarray) else (index,)
        if any(isinstance(i, bool) for i in several):
            raise TypeError
        given = tuple(map(operator.index, several))
    except TypeError:
        said = f"{kind} {index!r} is not a tuple of integers such as {(0,) * len(shape)}"
        raise PositionError(f"{said}; for several ask masks(positions)" if _holds_slice(index) else said) from None
    if len(given) != len(shape):
        told, axes = _counted(len(given), "index", "indices"), _counted(len(shape), "axis", "axes")
        raise PositionError(f"{kind} {given} has {told}, but the map {shape} has {axes}")
    if not all(0 <= i < n for i, n in zip(given, shape, strict=True)):
        what = "input" if kind == "pixel" else "map"
        raise PositionError(f"{kind} {given} is outside the {what} of {shape}; indices are 0-based, one per axis")
    return given


def flat_indices(positions: npt.ArrayLike | None, shape: tuple[int, ...]) -> npt.NDArray[np.int64] | None:
    """Positions as flat row-major indices; None for all.

    Raises PositionError for one outside, LimitError for a map beyond 64 bits, and ShapeError for another form.
    """
    if positions is None:
        return None
    if _holds_slice(positions):
        said = f"positions are tuples of integers such as [{(0,) * len(shape)}], not slices"
        raise PositionError(f"{said}; leave them out to ask for all")
    try:
        given = np.asarray(positions)
    except ValueError as error:
        raise ShapeError(f"positions must have shape (n, {len(shape)}): {error}") from error
    if given.shape == (0,) or (given.ndim == 2 and given.shape[1] == 0 and not shape):
        return np.zeros(len(given), np.int64)
    if not np.issubdtype(given.dtype, np.integer):
        raise PositionError(f"positions must be integers of shape (n, {len(shape)}), not {given.dtype}")
    if given.ndim != 2 or given.shape[1] != len(shape):
        raise ShapeError(f"positions must have shape (n, {len(shape)}), not {given.shape}")
    outside = np.nonzero(((given < 0) | (given >= shape)).any(axis=1))[0]
    if outside.size:
        raise PositionError(f"position {tuple(given[outside[0]].tolist())} is outside the map of {shape}")
    if math.prod(shape) > np.iinfo(np.int64).max:
        raise LimitError(f"positions of a map of {shape} cannot be numbered in 64 bits; ask for mask(position) of one")
    return cast("npt.NDArray[np.int64]", np.ravel_multi_index(tuple(given.T.astype(np.int64)), shape))


def _counted(n: int, one: str, several: str) -> str:
    return f"{n} {one if n == 1 else several}"


@contextlib.contextmanager
def hinted(shape: tuple[int, ...], last_map: Callable[[], str]) -> Iterator[None]:
    """Errors about positions of a map that has but one name the map before it."""
    try:
        yield
    except (PositionError, ShapeError) as error:
        last = last_map() if max(shape, default=1) == 1 else ""
        raise type(error)(f"{error}; the last map is {last}" if last else str(error)) from None


def _holds_slice(given: object) -> bool:
    """Whether a position, or the first one of several, is or has a slice."""
    if not isinstance(given, list | tuple):
        return isinstance(given, slice)
    return any(isinstance(item, slice) for item in given[:8]) or any(map(_holds_slice, given[:1]))


def all_or_given(positions: npt.ArrayLike | None, shape: tuple[int, ...]) -> npt.NDArray[np.int64]:
    """int64[n, axes]: positions checked as by `flat_indices`, or (None) all of the map in row-major order."""
    flat = flat_indices(positions, shape)
    flat = np.arange(math.prod(shape), dtype=np.int64) if flat is None else flat
    if not shape:
        return np.zeros((flat.size, 0), np.int64)
    return np.stack(np.unravel_index(flat, shape), axis=1).astype(np.int64)
