"""plan(): from the halos of a network's outputs to tiles."""

from __future__ import annotations

import hashlib
import itertools
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from fastrf.analysis import Analysis
from fastrf.field import ReceptiveField
from fastrf.system.terminal import Progress
from fastrf.tiling.asked import Sizes, Wanted
from fastrf.tiling.tiles import Axis, Pair, Part, Tile

__all__ = ["Output", "Plan", "plan"]


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

    def digest(self) -> str:
        """A hash of 16 hexadecimal digits: of the tiles, and of the names and shapes of image and outputs."""
        told = repr((self.image_shape, self.channel_axis, [axis.spans for axis in self.axes], self.outputs))
        return hashlib.sha256(told.encode()).hexdigest()[:16]

    def run(
        self, network: Any, image: Any, out: Any = None, resume: bool = False, progress: bool | Progress = True
    ) -> Any:
        """Run a network tile by tile; what it gives is what the whole image would give.

        `network` is a PyTorch module (run without gradients, on its device), an onnxruntime session, or a function of
        an array or tensor. `image` has `image_shape`, or a batch before it: an array of NumPy, a tensor, or whatever is
        read by slices, such as an array of Zarr, HDF5 or Dask, of which one tile at a time is in memory.

        Gives one array, or a tuple where there are several outputs: tensors on the image's device for a tensor, lazy
        arrays for a Dask array, arrays of NumPy otherwise. With `out` it is written there: an array of any kind, or a
        path that ends in .zarr or .npy, one for each output. On a disk, finished tiles are recorded beside the
        output, in a file whose name ends in .tiles, and `resume=True` runs only what is missing.
        `progress(done, total)` is called after each tile; True shows a bar in a terminal.

        Raises ShapeError for an image that does not fit and for outputs of other shapes or types than planned,
        UsageError for what cannot run or hold them, FormatError for a path that exists, MissingExtraError without zarr.
        """
        from fastrf.tiling.running import run

        return run(self, network, image, out, resume, progress)


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
        Output(
            field.name,
            wanted.output_shape(field, halo),
            field.channel_axis,
            wanted.blocks(halo, axes),
            wanted.given(field, halo),
        )
        for field, halo in wanted.known
    )
    return Plan(wanted.image_shape, wanted.channel_axis, axes, made, wanted.assumes())
