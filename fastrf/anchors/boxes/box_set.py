"""Boxes: the objects of a data set as columns, with every box that cannot be used counted and placed."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from fastrf.errors import FormatError

__all__ = ["Boxes", "Rejected", "checked", "rejected_by"]

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]

#: How many places of each kind of bad box are named.
N_PLACES = 5
#: Sides and places in pixels that no picture has: their products would not be numbers.
SMALLEST, LARGEST = 1e-6, 1e9
#: A box may reach so many pixels beyond its image, as rounding makes it, without being counted.
TOLERANCE = 1.0


@dataclass(frozen=True)
class Rejected:
    """Boxes that share a fault: why, how many, where the first few are, and whether they are used all the same."""

    reason: str
    count: int
    where: tuple[str, ...]
    kept: bool = False

    def __str__(self) -> str:
        places = ", ".join(self.where) + (", ..." if self.count > len(self.where) else "")
        fate = "kept" if self.kept else "left out"
        return f"{self.count} {'box' if self.count == 1 else 'boxes'} {fate}, {self.reason}: {places}"


@dataclass(frozen=True, eq=False, repr=False)
class Boxes:
    """Objects as columns: `x`, `y` (left, top), `width`, `height`, float64[n] in pixels, continuous coordinates.

    `image` is int64[n], the index of a box's image in `image_height` and `image_width`, float64[m], NaN where the
    source does not say. `rejected` lists what was wrong with the boxes of the source, `rule` how they were resized,
    and `place(k)` says where box `k` is in the source.
    """

    x: FloatArray
    y: FloatArray
    width: FloatArray
    height: FloatArray
    image: IntArray
    image_height: FloatArray
    image_width: FloatArray
    rejected: tuple[Rejected, ...] = ()
    source: str = "boxes"
    rule: str = "none"
    place: Callable[[int], str] = "box {}".format

    def __len__(self) -> int:
        return len(self.x)

    def __repr__(self) -> str:
        bad = sum(part.count for part in self.rejected if not part.kept)
        return f"Boxes({self.source!r}, {len(self)} in {len(self.image_height)} images, {bad} left out)"

    @property
    def sizes(self) -> FloatArray:
        """float64[n, 2]: width and height."""
        return np.stack([self.width, self.height], axis=1)

    @property
    def corners(self) -> FloatArray:
        """float64[n, 4]: left, top, right, bottom."""
        return np.stack([self.x, self.y, self.x + self.width, self.y + self.height], axis=1)

    @property
    def has_image_sizes(self) -> bool:
        """Whether the size of every image is known."""
        return bool(np.isfinite(self.image_height).all() and np.isfinite(self.image_width).all())

    def in_images(self, size: tuple[int, int]) -> Boxes:
        """The same boxes, every image of unknown size taken to be `size` (rows, columns); checked against it."""
        unknown = ~(np.isfinite(self.image_height) & np.isfinite(self.image_width))
        if not unknown.any():
            return self
        heights, widths = np.where(unknown, np.array(size)[:, None], [self.image_height, self.image_width])
        return checked(replace(self, image_height=heights, image_width=widths))


def checked(c: Boxes, faults: Mapping[str, Mask] | None = None) -> Boxes:
    """The usable ones of boxes as a reader found them, with an image of -1 where it is unknown.

    `faults` are masks of more to leave out. Raises FormatError where none is left.
    """
    sides, places = np.array([c.width, c.height]), np.array([c.x, c.y])
    beyond = (sides < SMALLEST) | (sides > LARGEST) | (np.abs(places) > LARGEST)
    all_faults = {
        **(faults or {}),
        "not four finite numbers": ~(np.isfinite(sides) & np.isfinite(places)).all(axis=0),
        "of negative size": (sides < 0).any(axis=0),
        "of size zero": (sides == 0).any(axis=0),
        "of a side or place beyond any picture's": beyond.any(axis=0),
        "of an unknown image": c.image < 0,
        "outside their image": _outside(c, 0.0, wholly=True),
    }
    bad = np.zeros(len(c.x), bool)
    rejected = []
    for reason, mask in all_faults.items():
        rejected += rejected_by(reason, mask & ~bad, c.place)
        bad |= mask
    if bad.all():
        why = "; ".join(str(part) for part in rejected) or "it is empty"
        raise FormatError(f"{c.source}: no usable box ({why})")
    reaching = ~bad & _outside(c, TOLERANCE, wholly=False)
    rejected += rejected_by("reaching beyond their image", reaching, c.place, kept=True)
    rows = np.flatnonzero(~bad)
    usable = {name: getattr(c, name)[rows] for name in ("x", "y", "width", "height", "image")}
    return replace(c, **usable, rejected=(*c.rejected, *rejected), place=lambda k: c.place(int(rows[k])))


def _outside(c: Boxes, tolerance: float, *, wholly: bool) -> Mask:
    """bool[n]: boxes that share nothing with their image, or that reach beyond it; never where its size is unknown."""
    if not len(c.image_height):
        return np.zeros(len(c.x), bool)
    heights, widths = c.image_height[c.image], c.image_width[c.image]
    with np.errstate(over="ignore", invalid="ignore"):
        right, bottom = c.x + c.width, c.y + c.height
    if wholly:
        return (c.x >= widths) | (c.y >= heights) | (right <= 0) | (bottom <= 0)
    beyond_end = (right > widths + tolerance) | (bottom > heights + tolerance)
    known = np.isfinite(heights) & np.isfinite(widths)
    return known & (beyond_end | (c.x < -tolerance) | (c.y < -tolerance))


def rejected_by(reason: str, mask: Mask, place: Callable[[int], str], *, kept: bool = False) -> list[Rejected]:
    """What to say of the boxes of a mask, if there are any."""
    count = int(np.count_nonzero(mask))
    where = tuple(place(int(k)) for k in np.flatnonzero(mask)[:N_PLACES])
    return [Rejected(reason, count, where, kept)] if count else []
