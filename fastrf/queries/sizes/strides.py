"""Strides of networks that are read anew for every size: those of layers as they were read at some."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from fastrf.network import Network
from fastrf.queries.sizes.layers import Followed, follow
from fastrf.queries.sizes.lengths import Places
from fastrf.queries.sizes.readings import Read
from fastrf.queries.sizes.trace import Need, Piece

__all__ = ["with_strides"]

#: Sizes at which strides of an answer are looked at.
LOOKED_AT = 6


def with_strides(found: Followed, read: Read, known: Mapping[int, Network | str], name: str, axis: int) -> Followed:
    """An answer with strides where it was read at single sizes, and with none where those read have others."""
    pieces = [_single(piece, read, name, axis) for piece in found.pieces]
    fitting = [n for n in sorted(known) if any(piece.fits.holds(n) for piece in pieces)]
    for n in fitting[:: max(len(fitting) // LOOKED_AT, 1)]:
        piece = next(piece for piece in pieces if piece.domain.holds(n))
        if piece.strides is not None and _divides(piece.strides, n) != _divides(_of(read(n), name, axis, n), n):
            pieces = [replace(piece, strides=None) for piece in pieces]
    return replace(found, pieces=pieces)


def _single(piece: Piece, read: Read, name: str, axis: int) -> Piece:
    """A piece of one size with the strides at it."""
    n = piece.fits.first
    if piece.strides is not None or n is None or not (piece.fits & ~Places.between(n, n + 1)).is_empty:
        return piece
    return replace(piece, strides=_of(read(n), name, axis, n))


def _of(network: Network | str, name: str, axis: int, n: int) -> Sequence[Need] | None:
    """Strides of a network that was read at a size, as they are there."""
    if isinstance(network, str):
        return None
    here = [piece for piece in follow(network, name, axis).pieces if piece.domain.holds(n)]
    return here[0].strides


def _divides(strides: Sequence[Need] | None, n: int) -> bool | None:
    return None if strides is None else all(need.met.holds(n) for need in strides)
