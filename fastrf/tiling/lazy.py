"""Plan.run of a Dask array: the outputs as lazy arrays, a chunk for each tile."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from fastrf.system.extras import require
from fastrf.tiling.callables import Runner, run_tile, to_numpy
from fastrf.tiling.grids import Grid
from fastrf.tiling.images import Image
from fastrf.tiling.tiles import Tile

__all__ = ["lazily"]


def lazily(plan: Grid, function: Runner, image: Image) -> Any:
    """The outputs as Dask arrays. The network runs once on zeros, to tell the types of what it gives."""
    da, dask = (require(name, "zarr", "tiles of a Dask array") for name in ("dask.array", "dask"))
    tiles = list(plan.tiles)
    zeros = np.zeros(image.read(tiles[0].read, lazy=True).shape, image.data.dtype)
    dtypes = [to_numpy(value).dtype for value in run_tile(plan, function, zeros, tiles[0], image.batch)]
    # one object of the graph, not to be looked into
    work = dask.delayed(_work, pure=False, nout=len(plan.outputs))
    shared = dask.delayed(_Shared(plan, function, image.batch), pure=False, traverse=False)
    results = {tile.index: work(shared, image.read(tile.read, lazy=True), tile) for tile in tiles}
    found = []
    for k, output in enumerate(plan.outputs):
        blocks = {}
        for tile in tiles:
            shape = [*image.batch, *output.shape]
            for axis, where in enumerate(output.slices(tile.parts[k].place, image.batch)):
                if where.stop is not None:
                    shape[axis] = where.stop - where.start
            blocks[tile.index] = da.from_delayed(results[tile.index][k], tuple(shape), dtypes[k])
        axes = [len(image.batch) + a for a in range(len(output.shape)) if a != output.channel_axis]
        found.append(_joined(da, blocks, axes))
    return found[0] if len(found) == 1 else tuple(found)


class _Shared:
    """What all tiles need."""

    def __init__(self, plan: Grid, function: Runner, batch: tuple[int, ...]) -> None:
        self.plan, self.function, self.batch = plan, function, batch


def _work(shared: _Shared, pixels: Any, tile: Tile) -> list[Any]:
    kept = run_tile(shared.plan, shared.function, np.asarray(pixels), tile, shared.batch)
    return [to_numpy(value) for value in kept]


def _joined(da: Any, blocks: dict[tuple[int, ...], Any], axes: Sequence[int]) -> Any:
    """Blocks by index as one array, axis by axis, the last one first."""
    n = len(next(iter(blocks)))
    for k in reversed(range(n)):
        rows: dict[tuple[int, ...], list[Any]] = {}
        for index, block in blocks.items():
            rows.setdefault(index[:k], []).append(block)
        blocks = {key: row[0] if len(row) == 1 else da.concatenate(row, axis=axes[k]) for key, row in rows.items()}
    return blocks[()]
