"""Reading tiles from images: arrays of NumPy, tensors, and whatever is read by slices, such as Zarr and Dask arrays."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any

import numpy as np

from fastrf.errors import ShapeError, UsageError, a_kind
from fastrf.tiling.callables import is_tensor
from fastrf.tiling.tiles import Pair

__all__ = ["Image", "is_dask"]


def is_dask(value: Any) -> bool:
    """Whether a value is a Dask array."""
    da = sys.modules.get("dask.array")
    return da is not None and isinstance(value, da.Array)


class Image:
    """An image with or without a batch, of which parts are read; `batch` is () or (n,)."""

    def __init__(self, data: Any, shape: tuple[int, ...], channel_axis: int | None) -> None:
        if not (hasattr(data, "shape") and hasattr(data, "__getitem__")):
            raise ShapeError(f"{a_kind(data)} is no image; give an array, a tensor, or what has a shape and slices")
        if getattr(getattr(data, "dtype", None), "kind", "f") in "OSUTMm":
            raise UsageError(f"the image holds {data.dtype}; give numbers, such as float32")
        found = tuple(int(n) for n in data.shape)
        skip = len(found) - len(shape)
        if skip not in (0, 1) or found[skip:] != shape:
            told = f"the image has shape {found}, the plan is for {shape} with or without a batch before it"
            raise ShapeError(f"{told}; plan with image_shape={found[max(skip, 0) :]}")
        self.data, self.shape, self.batch = data, shape, found[:skip]
        self.axes = [skip + k for k in range(len(shape)) if k != channel_axis]

    def read(self, tile: Sequence[Pair], *, lazy: bool = False) -> Any:
        """The pixels of a tile; what sticks out of the image is read at its other side. Whole batch, every channel."""
        index = [slice(None)] * len(self.data.shape)
        return self._read(index, list(zip(self.axes, tile, strict=True)), lazy)

    def _read(self, index: list[slice], todo: list[tuple[int, Pair]], lazy: bool) -> Any:
        if not todo:
            found = self.data[tuple(index)]
            return found if is_tensor(found) or lazy else np.asarray(found)
        (axis, pair), *rest = todo
        parts = []
        for start, stop in _within(pair, self.data.shape[axis]):
            index[axis] = slice(start, stop)
            parts.append(self._read(index, rest, lazy))
        return parts[0] if len(parts) == 1 else _joined(parts, axis)


def _within(pair: Pair, size: int) -> list[Pair]:
    """An interval that may stick out, as intervals of an axis that goes around."""
    low, stop = pair
    found = []
    while low < stop:
        start = low % size
        end = min(start + stop - low, size)
        found.append((start, end))
        low += end - start
    return found


def _joined(parts: Sequence[Any], axis: int) -> Any:
    if is_tensor(parts[0]):
        return sys.modules["torch"].cat(parts, dim=axis)
    return (sys.modules["dask.array"] if is_dask(parts[0]) else np).concatenate(parts, axis=axis)
