"""Outputs that may be written: not read-only, and not where the image is, which later tiles still read."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from fastrf.errors import UsageError
from fastrf.tiling.callables import is_tensor

__all__ = ["place_of", "require_apart", "require_writable"]


def require_apart(image: Any, outs: Sequence[Any]) -> None:
    """Raises UsageError where an output lies where the image does, or another output."""
    for one, other in itertools.combinations((image, *outs), 2):
        if _overlap(one, other):
            what = "the image, which later tiles read" if one is image else "another output"
            raise UsageError(f"out lies in the same memory or file as {what}; give an array or a path of its own")


def require_writable(out: Any) -> None:
    """Raises UsageError for an array that cannot be written to."""
    if getattr(out, "read_only", False) or (isinstance(out, np.ndarray) and not out.flags.writeable):
        raise UsageError("out is read-only; give one that can be written to, or a path")


def _overlap(one: Any, other: Any) -> bool:
    if one is None or other is None:
        return False
    if one is other:
        return True
    if isinstance(one, np.ndarray) and isinstance(other, np.ndarray) and not one.size * other.size:
        return False
    places = place_of(one), place_of(other)
    if None not in places and places[0].resolve() == places[1].resolve():  # type: ignore[union-attr]
        return True
    stores = getattr(one, "store_path", None), getattr(other, "store_path", None)
    return (stores[0] is not None and stores[0] == stores[1]) or _share_memory(one, other)


def _share_memory(one: Any, other: Any) -> bool:
    if isinstance(one, np.ndarray) and isinstance(other, np.ndarray):
        try:
            return np.shares_memory(one, other, max_work=1_000_000)  # type: ignore[arg-type]
        except np.exceptions.TooHardError:
            return True
    first, second = _span(one), _span(other)
    return first is not None and second is not None and first[0] < second[1] and second[0] < first[1]


def _span(array: Any) -> tuple[int, int] | None:
    """The bytes in memory, from the first to behind the last, of a tensor or an array of NumPy."""
    if is_tensor(array) and array.numel() and not array.is_sparse:
        steps = [(n - 1) * step for n, step in zip(array.shape, array.stride(), strict=True)]
        return array.data_ptr(), array.data_ptr() + (sum(steps) + 1) * array.element_size()
    if isinstance(array, np.ndarray) and array.size:
        steps = [(n - 1) * step for n, step in zip(array.shape, array.strides, strict=True)]
        first = array.__array_interface__["data"][0]
        return first + sum(s for s in steps if s < 0), first + sum(s for s in steps if s > 0) + array.itemsize
    return None


def place_of(out: Any) -> Path | None:
    """Where an output is on a disk."""
    if isinstance(out, Path):
        return out
    if isinstance(out, np.memmap) and out.filename is not None:
        return Path(out.filename)
    store = getattr(out, "store_path", None)
    root = getattr(getattr(store, "store", None), "root", None)
    return None if root is None else Path(root) / getattr(store, "path", "")
