"""A plan in the words of others: what MONAI, nnU-Net, bioimage.io, StarDist, torchgeo and Dask call its numbers.

`equal` says whether their own loop, given these, gives what the whole image gives, borders included. Sources: MONAI's
`sliding_window_inference` (interval `int(roi_size * (1 - overlap))`, overlaps blended); nnU-Net's
`compute_steps_for_sliding_window` (steps of at most `tile_step_size * patch_size`, spread evenly, blended); the model
specification 0.5 of bioimage.io (`size = reference.size * reference.scale / scale + offset`, `halo` cropped on both
sides); csbdeep's `tile_iterator`, by which StarDist reads blocks of `_axes_div_by` with `_axes_tile_overlap` pixels
more on both sides; torchgeo's `GridGeoSampler`, which reads patches of `size` every `stride`; Dask's `map_overlap`.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from fractions import Fraction
from typing import Any

from fastrf.system.tables import Column, Table, document
from fastrf.tiling.grids import Grid, Output
from fastrf.tiling.tiles import Axis

__all__ = ["words"]

_BLENDS = "overlaps are averaged, and what a tile's edge spoils with them"
_PADS = "the loop pads the image's borders itself"
_KEYS = ("framework", "setting", "value", "equal", "note")


def words(plan: Grid) -> Table:
    """A row for each setting: `framework`, `setting`, `value` (one per axis), `equal` and `note`."""
    rows = [dict(zip(_KEYS, row, strict=True)) for row in _rows(plan)]
    columns = [
        Column("framework", lambda r: r["framework"]),
        Column("setting", lambda r: r["setting"]),
        Column("value", lambda r: _shown(r["value"])),
        Column("equal", lambda r: "yes" if r["equal"] else "no"),
        Column("note", lambda r: r["note"]),
    ]
    return Table(rows, columns, keys=_KEYS, left=3, names=2, head=document("tiling-words", words=None))


def _rows(plan: Grid) -> Iterator[tuple[str, str, Any, bool, str]]:
    axes, tile = plan.axes, plan.tile_shape
    steps = tuple(axis.step for axis in axes)
    yield "MONAI", "roi_size", tile, False, _BLENDS
    yield "MONAI", "overlap", tuple(map(_overlap, tile, steps)), False, _BLENDS
    yield "nnU-Net", "patch_size", tile, False, _BLENDS
    share = min(step / size for step, size in zip(steps, tile, strict=True))
    yield "nnU-Net", "tile_step_size", share, False, "steps are spread evenly, and begin where no period does"
    yield "bioimage.io", "input step", tuple(axis.period for axis in axes), False, _PADS
    for output in plan.outputs:
        named = f"{output.name} " if len(plan.outputs) > 1 else ""
        for setting, value in zip(("scale", "offset", "halo"), zip(*_bioimage(output, axes), strict=True), strict=True):
            yield "bioimage.io", f"{named}{setting}", value, False, _PADS
    even = not plan.wrap and all(axis.size % axis.period == 0 for axis in axes)
    yield "StarDist", "_axes_div_by", tuple(axis.period for axis in axes), even, ""
    overlap = tuple(int(max(axis.before, axis.after)) if len(axis.spans) > 1 else 0 for axis in axes)
    yield "StarDist", "_axes_tile_overlap", overlap, even, ""
    yield "StarDist", "n_tiles", tuple(len(axis.spans) for axis in axes), even, ""
    yield "torchgeo", "size", tile, False, "only reads; keep of each patch what a plan keeps"
    yield "torchgeo", "stride", steps, False, "the last patch sticks out instead of moving back"
    same = all(_scale(output, axes) == (1,) * len(axes) for output in plan.outputs)
    depth = tuple((_up(axis.before, axis.period), _up(axis.after, axis.period)) for axis in axes)
    yield "Dask", "map_overlap depth", depth, same and even, "boundary='none', chunks in whole periods"


def _overlap(size: int, step: int) -> float:
    """A share by which MONAI, which rounds down, goes in just these steps."""
    found = 1 - step / size
    return found if int(size * (1 - found)) == step else 1 - (step + 0.5) / size


def _scale(output: Output, axes: tuple[Axis, ...]) -> tuple[Fraction, ...]:
    """Pixels per position."""
    return tuple(Fraction(axis.period, n) for axis, n in zip(axes, output.positions, strict=False))


def _bioimage(output: Output, axes: tuple[Axis, ...]) -> Iterator[tuple[float, int, int]]:
    """Scale, offset and halo per axis: in positions, and the same on both sides."""
    for axis, positions, size, scale in zip(axes, output.positions, output.given, _scale(output, axes), strict=False):
        offset = size - math.floor(axis.size / scale)
        if len(axis.spans) == 1:
            yield float(scale), offset, 0
            continue
        behind = offset + math.ceil(Fraction(int(axis.after)) / scale)
        yield float(scale), offset, max(_up(axis.before, axis.period) // axis.period * positions, behind)


def _up(size: float, period: int) -> int:
    return 0 if math.isinf(size) else -(-int(size) // period) * period


def _shown(value: Any) -> str:
    if isinstance(value, tuple):
        return ", ".join(map(_shown, value))
    return f"{value:.6g}" if isinstance(value, float) else str(value)
