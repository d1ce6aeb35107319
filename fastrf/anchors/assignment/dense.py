"""Dense assignment: for every object and level, which positions see it wholly or in part, by their exact masks."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from fastrf.anchors.assignment.containment import Answer, answer
from fastrf.budget import require_memory
from fastrf.errors import FormatError, ShapeError, UsageError
from fastrf.field import ReceptiveField
from fastrf.system.locks import cached_property

__all__ = ["Assignment", "Chunk", "LevelAssignment", "assign", "corners", "covered_pixels"]

BoolArray = npt.NDArray[np.bool_]
FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]
Dense = npt.NDArray[np.bool_] | npt.NDArray[np.uint8]

#: Bytes that a chunk of dense answers has by default.
CHUNK_BYTES = 1 << 24


class Chunk(NamedTuple):
    """Dense answers for some boxes: bool[k, *map], or bit-packed uint8[k, *map[:-1], ceil(map[-1] / 8)]."""

    boxes: slice
    contains: Dense
    overlaps: Dense


def assign(
    fields: Mapping[str, ReceptiveField], levels: Sequence[str], boxes: npt.ArrayLike, *, form: str = "xyxy"
) -> Assignment:
    """Which positions of each level see each box wholly (contain it), and which see some of it (overlap it).

    `fields` is an Analysis, or any mapping from names to fields of one input. `boxes` is float[n, 2 * ndim] in pixels
    of that input, 0 its edge: `form` "xyxy" (left, top, right, bottom) or "xywh" (left, top, width, height); with other
    than two pixel axes likewise, the last axis first. A box covers the pixels `[floor(low), ceil(high))`; those outside
    the input are cut off, and a box wholly outside is seen by no position (`Assignment.outside`).

    The masks are those of `ReceptiveField.mask`, with holes, crosses and borders, not their hulls. Memory is a few
    bytes per box and index along an axis of the map, until dense answers are asked for.

    Raises UnknownNodeError for a level that is no node, ShapeError for boxes of another shape, FormatError for boxes
    that are not finite or have no size (saying how many and the first), UsageError for another `form`, and LimitError.
    """
    if isinstance(levels, str) or not levels:
        raise UsageError(f"levels must be a list of node names, not {levels!r}")
    seen = [fields[level] for level in levels]
    shapes = {field.pixel_shape for field in seen}
    if len(shapes) > 1:
        raise ShapeError(f"levels are measured against inputs of different shapes {sorted(shapes)}; use one analysis")
    pixels = covered_pixels(boxes, shapes.pop(), form=form)
    found = {level: LevelAssignment(field, pixels) for level, field in zip(levels, seen, strict=True)}
    return Assignment(found, pixels)


def covered_pixels(boxes: npt.ArrayLike, pixel_shape: tuple[int, ...], *, form: str = "xyxy") -> IntArray:
    """int64[n, ndim, 2]: the half-open interval of pixels that each box covers, per pixel axis; `[0, 0)` outside.

    Boxes and errors are those of `assign`.
    """
    low, high = np.split(corners(boxes, len(pixel_shape), form=form), 2, axis=1)
    sizes = np.array(pixel_shape[::-1], np.float64)
    ends = np.stack([np.clip(np.floor(low), 0, sizes), np.clip(np.ceil(high), 0, sizes)], axis=-1)
    pixels = ends[:, ::-1].astype(np.int64)
    pixels[(pixels[:, :, 0] >= pixels[:, :, 1]).any(axis=1)] = 0
    return pixels


def corners(boxes: npt.ArrayLike, ndim: int, what: str = "boxes", form: str = "xyxy") -> FloatArray:
    """float64[n, 2 * ndim]: the low ends of boxes, then their high ends. Raises as `assign`."""
    if form not in ("xyxy", "xywh"):
        raise UsageError(f"form {form!r} of {what} is unknown; use xyxy or xywh")
    try:
        given = np.asarray(boxes, np.float64)
    except (TypeError, ValueError):
        raise ShapeError(f"{what} must be numbers of shape (n, {2 * ndim})") from None
    if given.shape == (0,):
        given = given.reshape(0, 2 * ndim)
    if given.ndim != 2 or given.shape[1] != 2 * ndim:
        raise ShapeError(f"{what} must have shape (n, {2 * ndim}) for {ndim} pixel axes, not {given.shape}")
    low, high = np.split(given, 2, axis=1)
    high = low + high if form == "xywh" else high
    wrong = np.nonzero(~(np.isfinite(low) & np.isfinite(high) & (high > low)).all(axis=1))[0]
    if wrong.size:
        raise FormatError(
            f"{wrong.size} of {len(given)} {what} are not finite or have no size, the first is box {wrong[0]}: "
            f"{given[wrong[0]].tolist()}; leave them out"
        )
    return np.concatenate([low, high], axis=1)


class Assignment(Mapping[str, "LevelAssignment"]):
    """What every level sees of the boxes: a mapping from level names, in their order.

    `pixels` int64[n, ndim, 2] are the pixels that each box covers.
    """

    def __init__(self, levels: Mapping[str, LevelAssignment], pixels: IntArray) -> None:
        self._levels = levels
        self.pixels = pixels

    def __getitem__(self, level: str) -> LevelAssignment:
        return self._levels[level]

    def __iter__(self) -> Iterator[str]:
        return iter(self._levels)

    def __len__(self) -> int:
        return len(self._levels)

    def __repr__(self) -> str:
        return f"Assignment({len(self.pixels)} boxes, levels={list(self)})"

    @property
    def outside(self) -> BoolArray:
        """bool[n]: boxes that cover no pixel of the input."""
        return np.asarray((self.pixels[:, :, 0] == self.pixels[:, :, 1]).any(axis=1))

    @cached_property
    def counts(self) -> IntArray:
        """int64[n, levels]: how many positions of each level see each box wholly."""
        return np.stack([level.counts for level in self.values()], axis=1)

    @cached_property
    def overlap_counts(self) -> IntArray:
        """int64[n, levels]: how many positions of each level see some of each box."""
        return np.stack([level.overlap_counts for level in self.values()], axis=1)


class LevelAssignment:
    """What the positions of one level see of the boxes. `map_shape` is the shape of its map."""

    def __init__(self, field: ReceptiveField, pixels: IntArray) -> None:
        self.name = field.name
        self.map_shape = field.position_shape
        self._field, self._pixels = field, pixels

    @cached_property
    def _answer(self) -> Answer:
        return answer(self._field.positional, self._pixels)

    def __len__(self) -> int:
        return len(self._pixels)

    def __repr__(self) -> str:
        return f"LevelAssignment({self.name!r}, {len(self)} boxes, map {self.map_shape})"

    def contains(self, boxes: slice = slice(None), *, packed: bool = False) -> Dense:
        """bool[k, *map]: which positions see every pixel of each of some boxes.

        With `packed` uint8[k, *map[:-1], ceil(map[-1] / 8)] in `numpy.unpackbits` order. Raises LimitError.
        """
        return self._dense(True, boxes, packed)

    def overlaps(self, boxes: slice = slice(None), *, packed: bool = False) -> Dense:
        """bool[k, *map], or packed as `contains`: which positions see at least one pixel of each of some boxes."""
        return self._dense(False, boxes, packed)

    def _dense(self, whole: bool, boxes: slice, packed: bool) -> Dense:
        n = len(range(*boxes.indices(len(self)))) * math.prod(self.map_shape) // (8 if packed else 1)
        require_memory(n, f"answers for {len(self)} boxes at {self.map_shape}", "ask for a slice, or use chunks")
        return self._answer.packed(whole, boxes) if packed else self._answer.dense(whole, boxes)

    def chunks(self, size: int | None = None, *, packed: bool = False) -> Iterator[Chunk]:
        """Dense answers for `size` boxes at a time (default: about 16 MB), so that memory stays bounded.

        With `packed`, in `numpy.unpackbits` order along the last axis. Raises UsageError for a wrong size.
        """
        positions = max(math.prod(self.map_shape), 1)
        step = max(CHUNK_BYTES // positions, 1) if size is None else size
        if not isinstance(step, int) or step < 1:
            raise UsageError(f"size {size!r} of chunks must be a positive number of boxes")
        for first in range(0, len(self), step):
            part = slice(first, min(first + step, len(self)))
            yield Chunk(part, self.contains(part, packed=packed), self.overlaps(part, packed=packed))

    @cached_property
    def _wholly(self) -> tuple[IntArray, IntArray]:
        return self._answer.counts(True)

    @cached_property
    def _partly(self) -> tuple[IntArray, IntArray]:
        return self._answer.counts(False)

    @property
    def counts(self) -> IntArray:
        """int64[n]: how many positions see each box wholly."""
        return self._wholly[0]

    @property
    def overlap_counts(self) -> IntArray:
        """int64[n]: how many positions see some of each box."""
        return self._partly[0]

    @property
    def position_counts(self) -> IntArray:
        """int64[*map]: how many boxes each position sees wholly."""
        return self._wholly[1]

    @property
    def position_overlap_counts(self) -> IntArray:
        """int64[*map]: how many boxes each position sees some of."""
        return self._partly[1]
