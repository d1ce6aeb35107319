"""Plan.run: tile by tile, into arrays in memory or on disk; of Dask arrays without an output, lazily."""

from __future__ import annotations

from typing import Any

from fastrf.system.terminal import Progress, progress_bar, silent
from fastrf.tiling.callables import as_function, run_tile
from fastrf.tiling.grids import Grid
from fastrf.tiling.images import Image, is_dask
from fastrf.tiling.lazy import lazily
from fastrf.tiling.stores import Stores

__all__ = ["run"]


def run(plan: Grid, network: Any, data: Any, out: Any, resume: bool, progress: bool | Progress) -> Any:
    """The outputs of the whole image; see `Plan.run`."""
    image = Image(data, plan.image_shape, plan.channel_axis)
    function = as_function(network, [output.name for output in plan.outputs], bool(image.batch))
    if is_dask(data) and out is None:
        return lazily(plan, function, image)
    stores = Stores(plan, image, out, resume)
    with stores, progress_bar("tiles", progress) as report:
        told, done = report or silent, len(stores.done)
        told(done, plan.n_tiles)
        for number, tile in enumerate(plan.tiles):
            if number in stores.done:
                continue
            stores.write(number, tile, run_tile(plan, function, image.read(tile.read), tile, image.batch))
            done += 1
            told(done, plan.n_tiles)
    return stores.result
