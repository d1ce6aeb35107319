"""plan(): from the halos of a network's outputs to tiles."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from fastrf.analysis import Analysis
from fastrf.field import ReceptiveField
from fastrf.system.tables import Table
from fastrf.system.terminal import Progress
from fastrf.tiling.asked import Sizes, Wanted
from fastrf.tiling.grids import Grid, Output
from fastrf.tiling.listing import by_axis, every_tile
from fastrf.tiling.running import run
from fastrf.tiling.words import words

__all__ = ["Output", "Plan", "plan"]


@dataclass(frozen=True)
class Plan(Grid):
    """Tiles that give what the whole image gives.

    `image_shape` is the whole input without the batch, `axes` say how each pixel axis is cut, `outputs` what the whole
    gives. `assumes` lists what is taken for granted. Made by `fastrf.tiling.plan`.
    """

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
        return run(self, network, image, out, resume, progress)

    def words(self) -> Table:
        """The plan in the words of MONAI, nnU-Net, bioimage.io, StarDist, torchgeo and Dask, a row for each setting.

        `equal` says whether their own loop then gives what the whole image gives (`fastrf.tiling.words` says why).
        """
        return words(self)

    @property
    def table(self) -> Table:
        """A row for every tile: `tile`, `read`, and `keep` and `place` by output. JSON has the plan before them."""
        return every_tile(self)

    @property
    def by_axis(self) -> Table:
        """A row for every tile along each axis, for people: the plan is all combinations of those."""
        return by_axis(self)

    def __str__(self) -> str:
        return self.by_axis.to_text()

    def _repr_html_(self) -> str:
        return self.by_axis.to_html()


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
