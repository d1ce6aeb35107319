"""Two exact relations of one map beside each other: a position that sees otherwise, what it gains and what it loses.

Nothing is unfolded but single positions: how much every position gains and loses follows from counting both relations
and their union; where there are too many terms to count, halves of the map are told apart by their fingerprints.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from fastrf.engine.axis_map import strided_slice
from fastrf.engine.dependency import Dependency
from fastrf.errors import LimitError
from fastrf.queries.counting import areas
from fastrf.queries.digests import fingerprint
from fastrf.queries.masks import dense_row

if TYPE_CHECKING:
    from fastrf.field import ReceptiveField

__all__ = ["Pixels", "compared"]

Index = tuple[int, ...]
Mask = npt.NDArray[np.bool_]

#: So many gained and lost pixels of the example are listed.
LISTED = 8
#: So many positions are looked at where nothing else can be worked out.
TRIED = 64


@dataclass(frozen=True)
class Pixels:
    """What one position gains and loses, as an example of all that do.

    `position` is an index of the map, or where positions see the same and neurons do not, of a neuron (`of` says
    which); `gained` and `lost` count pixels (elements of the input for a neuron), `gained_at` and `lost_at` list the
    first of them; `before` and `after` count all that it sees, and `holes_before` and `holes_after` the pixels of its
    tight box that it does not. `positions` counts those that see otherwise, of `among`; None where that is not known.
    """

    of: str
    position: Index
    before: int
    after: int
    gained: int
    lost: int
    holes_before: int
    holes_after: int
    gained_at: tuple[Index, ...]
    lost_at: tuple[Index, ...]
    positions: int | None
    among: int


def compared(old: ReceptiveField, new: ReceptiveField) -> Pixels | str:
    """A position, or else a neuron, that sees otherwise; or why none is named: "" where all see the same.

    Positions are compared where both maps and both inputs have as many, whatever their channels are.
    """
    if (old.position_shape, old.pixel_shape) != (new.position_shape, new.pixel_shape):
        return "the maps differ in size"
    pairs = [("position", old.positional, new.positional)]
    if (old.shape, old.input_shape) == (new.shape, new.input_shape):
        pairs.append(("neuron", old.dependency, new.dependency))
    for of, before, after in pairs:
        found = _found(before, after)
        if isinstance(found, str):
            return found
        if found is not None:
            try:
                return _example(of, before, after, *found)
            except LimitError as error:
                return f"{of} {found[0]} sees otherwise; its pixels are not told: {error}"
    return ""


def _found(old: Dependency, new: Dependency) -> tuple[Index, int | None] | str | None:
    """An index that sees otherwise, and how many do; None where none does, a sentence where neither can be known."""
    if old == new:
        return None
    try:
        return _counted(old, new)
    except LimitError:
        pass
    try:
        where = _halved(old, new)
        return None if where is None else (where, None)
    except LimitError as error:
        where = _tried(old, new)
        return f"too many terms to compare: {error}" if where is None else (where, None)


def _counted(old: Dependency, new: Dependency) -> tuple[Index, int] | None:
    """The middle of the map where it differs, otherwise where most changes; and how many do. Raises LimitError."""
    moved = 2 * areas(old.union(new)) - areas(old) - areas(new)
    count = int(np.count_nonzero(moved))
    if not count:
        return None
    middle = tuple(n // 2 for n in old.shape)
    place = middle if moved[middle] else tuple(int(i) for i in np.unravel_index(moved.argmax(), moved.shape))
    return place, count


def _halved(old: Dependency, new: Dependency) -> Index | None:
    """The first index that differs, by fingerprints of halves. Raises LimitError."""
    if fingerprint(old) == fingerprint(new):
        return None
    start = []
    for axis in range(len(old.shape)):
        low, high = 0, old.shape[axis]
        while high - low > 1:
            half = (high - low) // 2
            first = [_cut(one, axis, 0, half) for one in (old, new)]
            is_first = fingerprint(first[0]) != fingerprint(first[1])
            old, new = first if is_first else [_cut(one, axis, half, high - low - half) for one in (old, new)]
            low, high = (low, low + half) if is_first else (low + half, high)
        start.append(low)
    return tuple(start)


def _cut(dependency: Dependency, axis: int, start: int, count: int) -> Dependency:
    """Some indices of an axis in a row."""
    return dependency.map_axis(axis, strided_slice(dependency.shape[axis], start, 1, count))


def _tried(old: Dependency, new: Dependency) -> Index | None:
    """One of some indices that differs: the middle, both ends, and others that are drawn."""
    drawn = np.random.default_rng(0).random((TRIED, len(old.shape)))
    places = [[0.5] * len(old.shape), [0.0] * len(old.shape), [1 - 1e-9] * len(old.shape), *drawn]
    for place in places:
        index = tuple(int(n * share) for n, share in zip(old.shape, place, strict=True))
        if _rows_differ(old, new, index):
            return index
    return None


def _rows_differ(old: Dependency, new: Dependency, index: Index) -> bool:
    try:
        return bool((dense_row(old, index) != dense_row(new, index)).any())
    except LimitError:
        return False


def _example(of: str, old: Dependency, new: Dependency, index: Index, positions: int | None) -> Pixels:
    """What one index gains and loses."""
    before, after = dense_row(old, index), dense_row(new, index)
    gained, lost = after & ~before, before & ~after
    seen, sees, more, less = (int(np.count_nonzero(mask)) for mask in (before, after, gained, lost))
    counts = seen, sees, more, less, _holes(before), _holes(after)
    return Pixels(of, index, *counts, _first(gained), _first(lost), positions, math.prod(old.shape))


def _holes(mask: Mask) -> int:
    """How much of its tight box a mask leaves out."""
    places = [np.flatnonzero(mask.any(axis=tuple({*range(mask.ndim)} - {axis}))) for axis in range(mask.ndim)]
    if not mask.any():
        return 0
    return math.prod(int(place[-1] - place[0]) + 1 for place in places) - int(np.count_nonzero(mask))


def _first(mask: Mask) -> tuple[Index, ...]:
    """The first places of a mask."""
    flat = np.flatnonzero(mask)[:LISTED].tolist()
    return tuple(tuple(int(i) for i in np.unravel_index(place, mask.shape)) for place in flat)
