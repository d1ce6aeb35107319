"""Reach: what a tile must hold so that no value on the way to a position is missing in it.

Values that are cropped off a map are padding in a tile, and so are those that a tile does not reach, whether they
depend on pixels or not: in the gaps of a transposed convolution stands its bias, which no padding has.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from fastrf.engine.extent import Extent
from fastrf.engine.nominal import Nominal
from fastrf.engine.pieces import Piece

__all__ = ["bounded", "filled", "kept", "spread"]


def bounded(nominal: Nominal) -> Nominal:
    """The parts that have bounds on every axis and move along with some."""
    found = [piece for piece in nominal.pieces if all(_is_bounded(extent) for extent in piece.extents)]
    moving = [piece for piece in found if any(phase.shift for e in piece.extents for phase in e.phases)]
    return nominal if len(moving) == len(nominal.pieces) else Nominal(nominal.shape, moving, nominal.n_extents)


def _is_bounded(extent: Extent) -> bool:
    return bool(np.isfinite(extent.low).all() and np.isfinite(extent.high).all())


def spread(nominal: Nominal, channel_axis: int | None, shape: tuple[int, ...]) -> Nominal:
    """A map with the places of another, with other channels; of nothing, where it has other places."""
    if nominal.shape == shape or len(nominal.shape) != len(shape) or channel_axis is None:
        return nominal if nominal.shape == shape else Nominal.none(shape, nominal.n_extents)
    one = nominal.reduce(channel_axis).insert(channel_axis, shape[channel_axis])
    return one if one.shape == shape else Nominal.none(shape, nominal.n_extents)


def filled(nominal: Nominal, pixels: tuple[int, ...]) -> Nominal:
    """Positions between others that read nothing, as if they read the pixels of their step."""
    found = [replace(p, extents=new) if (new := _without_gaps(p)) != p.extents else p for p in nominal.pieces]
    if all(old is new for old, new in zip(nominal.pieces, found, strict=True)):
        return nominal
    made = Nominal(nominal.shape, found, nominal.n_extents)
    for axis in range(len(nominal.shape)):
        made = kept(made, axis, pixels)
    return made


def _without_gaps(piece: Piece) -> tuple[Extent, ...]:
    return tuple(map(_without_gap, piece.extents))


def _without_gap(extent: Extent) -> Extent:
    gaps = extent.low > extent.high
    if not gaps.any() or len(extent.phases) != 1:
        return extent
    ends = sorted((0, extent.phases[0].shift))
    return Extent(extent.phases, np.where(gaps, ends[0], extent.low), np.where(gaps, ends[1], extent.high))


def kept(nominal: Nominal, axis: int, pixels: tuple[int, ...]) -> Nominal:
    """A mapped axis whose first indices outside of the map, on either side, read what no tile that lacks them has."""
    found = [_kept_piece(piece, axis, nominal.shape[axis], pixels) for piece in nominal.pieces]
    same = all(old is new for old, new in zip(nominal.pieces, found, strict=True))
    return nominal if same else Nominal(nominal.shape, found, nominal.n_extents)


def _kept_piece(piece: Piece, axis: int, size: int, pixels: tuple[int, ...]) -> Piece:
    factors = list(piece.axes.at(axis))
    if len(factors) != 1 or not piece.covers(axis, size):
        return piece
    extents = [
        _cut_off(extent, size, n) if [p.factor for p in extent.phases] == factors else extent
        for extent, n in zip(piece.extents, pixels, strict=True)
    ]
    same = all(old is new for old, new in zip(piece.extents, extents, strict=True))
    return piece if same else replace(piece, extents=tuple(extents))


def _cut_off(extent: Extent, size: int, n: int) -> Extent:
    """An extent along an axis of a size, over `n` pixels, for which what was cropped is out of reach."""
    (phase,) = extent.phases
    if phase.shift <= 0 or not (np.isfinite(extent.low).all() and np.isfinite(extent.high).all()):
        return extent
    index = np.arange(phase.period)
    turns = -(-(size - index) // phase.period)  # to the first index behind the map
    behind = np.maximum(n + 1 - (extent.high + turns * phase.shift), 0)
    ahead = np.maximum(extent.low - phase.shift + 1, 0)
    read = extent.low <= extent.high
    if not (read & ((behind > 0) | (ahead > 0))).any():
        return extent
    low, high = np.where(read, extent.low - ahead, extent.low), np.where(read, extent.high + behind, extent.high)
    return Extent(extent.phases, low, high)
