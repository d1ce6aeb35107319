"""Grids: the tiles of all axes together, and the outputs that they make."""

from __future__ import annotations

import hashlib
import itertools
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from fastrf.tiling.tiles import Axis, Pair, Part, Tile

__all__ = ["Grid", "Output"]


@dataclass(frozen=True)
class Output:
    """One output of the network: its whole shape, and per axis that is tiled how many positions a block has.

    `given` is how many positions per axis the network itself makes of the whole image; where an axis is read around
    that it pads, those are others than in `shape`.
    """

    name: str
    shape: tuple[int, ...]
    channel_axis: int | None
    positions: tuple[int, ...]
    given: tuple[int, ...]

    @property
    def position_shape(self) -> tuple[int, ...]:
        """`shape` without its channel axis."""
        return tuple(n for axis, n in enumerate(self.shape) if axis != self.channel_axis)

    def of_tile(self, tile: Tile, axes: Sequence[Axis]) -> tuple[int, ...]:
        """The shape, without the batch, that the network gives of a tile."""
        found = list(self.given)
        for k, (axis, positions) in enumerate(zip(axes, self.positions, strict=False)):
            found[k] += (tile.shape[k] - axis.size) // axis.period * positions
        if self.channel_axis is not None:
            found.insert(self.channel_axis, self.shape[self.channel_axis])
        return tuple(found)

    def slices(self, positions: Sequence[Pair], batch: Sequence[int] = ()) -> tuple[slice, ...]:
        """Intervals of positions as slices of an array of this output, with every channel and the batch."""
        index = [slice(low, high) for low, high in positions]
        if self.channel_axis is not None:
            index.insert(self.channel_axis, slice(None))
        return (*(slice(None) for _ in batch), *index)


@dataclass(frozen=True)
class Grid:
    """The tiles of a plan: see `fastrf.tiling.Plan`, which also runs them."""

    image_shape: tuple[int, ...]
    channel_axis: int | None
    axes: tuple[Axis, ...]
    outputs: tuple[Output, ...]
    assumes: tuple[str, ...] = ()

    @property
    def pixel_shape(self) -> tuple[int, ...]:
        """`image_shape` without its channel axis."""
        return tuple(axis.size for axis in self.axes)

    @property
    def tile_shape(self) -> tuple[int, ...]:
        """How many pixels every tile reads, per axis."""
        return tuple(axis.spans[0].stop - axis.spans[0].start for axis in self.axes)

    @property
    def wrap(self) -> tuple[int, ...]:
        """The pixel axes that are read around."""
        return tuple(k for k, axis in enumerate(self.axes) if axis.wrapped)

    @property
    def n_tiles(self) -> int:
        """How many tiles there are."""
        return math.prod(len(axis.spans) for axis in self.axes)

    @property
    def pixels(self) -> int:
        """How many pixels the image has, in one channel."""
        return math.prod(self.pixel_shape)

    @property
    def pixels_read(self) -> int:
        """How many pixels all tiles read together, in one channel."""
        return math.prod(axis.read for axis in self.axes)

    @property
    def cost(self) -> float:
        """Pixels read by all tiles, divided by those of the image; 1 is no pixel twice."""
        return self.pixels_read / self.pixels

    @property
    def tiles(self) -> Iterator[Tile]:
        """Every tile, in row-major order, made as it is asked for."""
        for index in itertools.product(*(range(len(axis.spans)) for axis in self.axes)):
            spans = [axis.spans[k] for axis, k in zip(self.axes, index, strict=True)]
            parts = []
            for output in self.outputs:
                shape = output.position_shape
                places = [span.kept(n, whole) for span, n, whole in zip(spans, output.positions, shape, strict=False)]
                places += [((0, n), (0, n)) for n in shape[len(places) :]]
                parts.append(Part(output.name, tuple(keep for keep, _ in places), tuple(place for _, place in places)))
            yield Tile(index, tuple((span.start, span.stop) for span in spans), tuple(parts))

    def digest(self) -> str:
        """A hash of 16 hexadecimal digits: of the tiles, and of the names and shapes of image and outputs."""
        told = repr((self.image_shape, self.channel_axis, [axis.spans for axis in self.axes], self.outputs))
        return hashlib.sha256(told.encode()).hexdigest()[:16]
