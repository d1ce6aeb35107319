"""plan(): from the halos of a network's outputs to tiles."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from fastrf.analysis import Analysis
from fastrf.field import ReceptiveField
from fastrf.tiling.asked import Sizes, Wanted
from fastrf.tiling.tiles import Axis, Part, Tile

__all__ = ["Output", "Plan", "plan"]


@dataclass(frozen=True)
class Output:
    """One output of the network: its whole shape, and per axis that is tiled how many positions a block has."""

    name: str
    shape: tuple[int, ...]
    channel_axis: int | None
    positions: tuple[int, ...]

    @property
    def position_shape(self) -> tuple[int, ...]:
        """`shape` without its channel axis."""
        return tuple(n for axis, n in enumerate(self.shape) if axis != self.channel_axis)


@dataclass(frozen=True)
class Plan:
    """Tiles that give what the whole image gives.

    `image_shape` is the whole input without the batch, `axes` say how each pixel axis is cut, `outputs` what the whole
    gives. `assumes` lists what is taken for granted. Made by `fastrf.tiling.plan`.
    """

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


def plan(
    analysis: Analysis | ReceptiveField,
    tile: Sizes = (512, 512),
    wrap: Sequence[int] | int = (),
    outputs: Sequence[str] | str | None = None,
    image_shape: Sequence[int] | None = None,
) -> Plan:
    """Tiles of an image whose outputs, put together, equal those of the whole.

    `tile` is how many pixels a tile reads at most per pixel axis, context included: one number for all, None for an
    axis that is not cut. `wrap` names pixel axes that are circular, as in panoramas: tiles read around their ends.
    `outputs` names nodes (default: every output of the network), in the order in which what runs gives them.
    `image_shape` is that of the image without the batch (default: that of the analysis), from which it may differ by
    whole periods.

    Raises ShapeError for tiles that have no room for the context, images that do not fit, and for an axis that can
    only be read whole, naming the node; PositionError for an output without positions.
    """
    wanted = Wanted.of(analysis, tile, wrap, outputs, image_shape)
    axes = tuple(wanted.axis(k) for k in range(len(wanted.sizes)))
    made = tuple(
        Output(field.name, wanted.output_shape(field, halo), field.channel_axis, wanted.blocks(halo, axes))
        for field, halo in wanted.known
    )
    return Plan(wanted.image_shape, wanted.channel_axis, axes, made, wanted.assumes())
