"""Plan.run: tile by tile, into arrays in memory or on disk; of Dask arrays without an output, lazily."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fastrf.errors import ShapeError
from fastrf.system.terminal import Progress, progress_bar, silent
from fastrf.tiling.callables import Runner, as_function
from fastrf.tiling.images import Image, is_dask
from fastrf.tiling.stores import Stores
from fastrf.tiling.tiles import Tile

if TYPE_CHECKING:
    from fastrf.tiling.plans import Plan

__all__ = ["run"]


def run(plan: Plan, network: Any, data: Any, out: Any, resume: bool, progress: bool | Progress) -> Any:
    """The outputs of the whole image; see `Plan.run`."""
    image = Image(data, plan.image_shape, plan.channel_axis)
    function = as_function(network, [output.name for output in plan.outputs], bool(image.batch))
    if is_dask(data) and out is None:
        from fastrf.tiling.lazy import lazily

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


def run_tile(plan: Plan, function: Runner, pixels: Any, tile: Tile, batch: tuple[int, ...]) -> list[Any]:
    """What to keep of every output of one tile. Raises ShapeError for outputs of another shape than planned."""
    try:
        given = function(pixels)
    except Exception as error:
        error.add_note(f"tile {tile.index}, pixels {tile.read}")
        raise
    kept = []
    for output, part, value in zip(plan.outputs, tile.parts, given, strict=True):
        expected = (*batch, *output.of_tile(tile, plan.axes))
        if tuple(value.shape) != expected:
            told = f"tile {tile.index}, pixels {tile.read}: {output.name!r} has shape {tuple(value.shape)}"
            raise ShapeError(f"{told} where {expected} was planned; is this the network that was analysed?")
        kept.append(value[output.slices(part.keep, batch)])
    return kept
