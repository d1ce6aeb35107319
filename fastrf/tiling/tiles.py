"""Tiles along one axis, and those of all axes together.

Tiles begin at multiples of the period, and all of them have one size, which leaves the same rest as the image does:
so every tile ends as the image ends, whatever rounding is in the network. Positions go in blocks, `positions` of them
to a period; a tile keeps whole blocks, and the last one what is left.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from fastrf.errors import LimitError, ShapeError

__all__ = ["Axis", "Pair", "Part", "Span", "Tile", "counted", "cut"]

#: An axis is not cut into more tiles than these.
MOST = 1 << 20

Pair = tuple[int, int]


@dataclass(frozen=True)
class Part:
    """What becomes of one output of a tile: `keep` of what the network gives goes to `place` of the whole output.

    Half-open intervals of positions, one per position axis.
    """

    output: str
    keep: tuple[Pair, ...]
    place: tuple[Pair, ...]


@dataclass(frozen=True)
class Tile:
    """One run of the network: `read` is the half-open interval of pixels per axis, and a Part per output.

    Where an axis is wrapped, `read` may stick out of the image and goes on at its other side; elsewhere it never does.
    """

    index: tuple[int, ...]
    read: tuple[Pair, ...]
    parts: tuple[Part, ...]

    @property
    def keep(self) -> tuple[Pair, ...]:
        """What to keep of the first output."""
        return self.parts[0].keep

    @property
    def place(self) -> tuple[Pair, ...]:
        """Where that goes."""
        return self.parts[0].place

    @property
    def shape(self) -> tuple[int, ...]:
        """How many pixels are read, per axis."""
        return tuple(stop - start for start, stop in self.read)


@dataclass(frozen=True)
class Span:
    """One tile along one axis: pixels `[start, stop)`, of which the blocks `[first, last)` are kept; None: to the end.

    `offset` is the block at which the tile's output begins.
    """

    start: int
    stop: int
    first: int
    last: int | None
    offset: int

    def kept(self, positions: int, whole: int) -> tuple[Pair, Pair]:
        """What to keep of the tile's output, and its place in the whole, where a block is so many positions."""
        low = min(self.first * positions, whole)
        high = whole if self.last is None else min(self.last * positions, whole)
        return (low - self.offset * positions, high - self.offset * positions), (low, high)


@dataclass(frozen=True)
class Axis:
    """How one axis is cut: `size` pixels, the context and period that all outputs need, and the tiles in order."""

    size: int
    period: int
    before: float
    after: float
    wrapped: bool
    tile: int
    spans: tuple[Span, ...] = field(repr=False)

    @property
    def step(self) -> int:
        """How far a tile begins after the one before it, unless that is the last one; its length where it is alone."""
        length = self.spans[0].stop - self.spans[0].start
        if len(self.spans) == 1:
            return length
        return (int(length - self.after) // self.period - -(-int(self.before) // self.period)) * self.period

    @property
    def read(self) -> int:
        """How many pixels all tiles read together."""
        return sum(span.stop - span.start for span in self.spans)


def cut(axis: Axis, where: str) -> tuple[Span, ...]:
    """The tiles along an axis. Raises ShapeError where a tile has no room for the context and a period."""
    if axis.tile >= axis.size and not axis.wrapped:
        return (Span(0, axis.size, 0, None, 0),)
    if _room(axis) < 1:
        raise _too_small(axis, where, 0 if axis.wrapped else axis.size % axis.period)
    if (n := counted(axis, axis.tile)) > MOST:
        raise LimitError(f"{where}: {n:,} tiles along one axis are more than the {MOST:,} that are listed; take larger")
    return _around(axis) if axis.wrapped else _inside(axis)


def _steps(axis: Axis) -> tuple[int, int]:
    """Context before and after in whole periods."""
    return -(-int(axis.before) // axis.period), -(-int(axis.after) // axis.period)


def _length(axis: Axis) -> int:
    """The longest tile of at most what was asked that leaves the rest that the image does."""
    return axis.tile - (axis.tile - axis.size) % axis.period


def _room(axis: Axis) -> int:
    """How many blocks a tile keeps."""
    before, after = _steps(axis)
    if axis.wrapped:
        return axis.tile // axis.period - before - after
    return (_length(axis) - int(axis.after)) // axis.period - before


def counted(axis: Axis, tile: int) -> int:
    """How many tiles of a size, from the smallest on, an axis is cut into."""
    given = replace(axis, tile=tile)
    if axis.wrapped:
        return -(-(axis.size // axis.period) // _room(given))
    return 1 - -max(axis.size - _length(given), 0) // (_room(given) * axis.period)


def _inside(axis: Axis) -> tuple[Span, ...]:
    """Tiles that stay within the image; the last one is shifted back until it ends where the image does."""
    period, (context, _), length = axis.period, _steps(axis), _length(axis)
    spans: list[Span] = []
    first = 0
    while True:
        start = max(first - context, 0) * period
        if start + length >= axis.size:
            start = axis.size - length
            return (*spans, Span(start, axis.size, first, None, start // period))
        last = int(start + length - axis.after) // period
        spans.append(Span(start, start + length, first, last, start // period))
        first = last


def _around(axis: Axis) -> tuple[Span, ...]:
    """Tiles that stick out of the image, which goes on at its other side."""
    period, (before, after) = axis.period, _steps(axis)
    kept = min(_room(axis), axis.size // period)
    return tuple(
        Span((at - before) * period, (at + kept + after) * period, at, min(at + kept, axis.size // period), at - before)
        for at in range(0, axis.size // period, kept)
    )


def _too_small(axis: Axis, where: str, rest: int) -> ShapeError:
    """What is said of tiles without room."""
    period, before, after = axis.period, int(axis.before), int(axis.after)
    least = (-(-before // period) + 1) * period + after
    least += (rest - least) % period
    context = f"context of {before} before and {after} after and a step of {period}"
    return ShapeError(f"{where}: a tile of {axis.tile} has no room for {context}; use tiles of at least {least}")
