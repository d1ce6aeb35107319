"""`fastrf tiling`: tiles of an image that give what the whole image gives."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Annotated

from fastrf.cli.options import Printed, Source, option
from fastrf.errors import UsageError

__all__ = ["tiling"]

_TILE = "Pixels that a tile reads at most, context included, e.g. 512x512; `none` for an axis that is not cut."
_IMAGE = "The image's pixels, e.g. 4096x4096 (default: the input that is analysed)."
_WRAP = "A pixel axis that goes around, from 0, such as a panorama's 1; may be repeated."
_NODE = "An output to tile for (default: all of the network's); may be repeated."
_MEMORY = "Instead of --tile: the tiles that read the fewest pixels within so much memory, e.g. 8GB."
_COSTS = "Compare sizes of tiles instead: those of --tile, or several."
_WORDS = "The plan in the words of MONAI, nnU-Net, bioimage.io, StarDist, torchgeo and Dask."


@dataclass(frozen=True)
class Tiles:
    """What tiles are asked for."""

    tile: Annotated[str | None, option(_TILE, "--tile", "-t", metavar="SIZE")] = None
    image: Annotated[str | None, option(_IMAGE, metavar="SIZE")] = None
    wrap: Annotated[list[int] | None, option(_WRAP, metavar="AXIS")] = None
    node: Annotated[list[str] | None, option(_NODE, "--node", "-n")] = None
    memory: Annotated[str | None, option(_MEMORY, metavar="BYTES")] = None
    costs: Annotated[bool, option(_COSTS, "--costs")] = False
    words: Annotated[bool, option(_WORDS, "--words")] = False

    @property
    def sizes(self) -> tuple[int | None, ...] | int | None:
        """`--tile`; one size is for all axes."""
        found = tuple(None if part == "none" else int(part) for part in _parts(self.tile or "512", "--tile", ("none",)))
        return found[0] if len(found) == 1 else found

    @property
    def image_shape(self) -> tuple[int, ...] | None:
        """`--image`."""
        return tuple(map(int, _parts(self.image, "--image"))) if self.image else None


def tiling(source: Source, asked: Tiles, printed: Printed) -> None:
    """Plan tiles of an image that give what the whole image gives: what each reads, keeps, and where that goes.

    Printed per axis; JSON and CSV have every tile.

    `fastrf tiling unet --input 1x512x512 --tile 256` or
    `fastrf tiling net.onnx --input 3x512x512 --image 4096x4096 --memory 8GB --words`
    """
    from fastrf import tiling as tiles

    form = printed.form  # what does not fit together is told before the work
    if asked.memory and (asked.tile or asked.costs):
        raise UsageError("--memory chooses the tiles; leave out --tile and --costs")
    size, image = asked.sizes, asked.image_shape
    analysis = source.analyze()
    wrap, outputs = asked.wrap or (), asked.node or None
    if asked.costs:
        compared = [size] if asked.tile else None
        printed.table(tiles.costs(analysis, image, compared, wrap, outputs).table, form)
        return
    if asked.memory:
        size = tiles.best(analysis, image, asked.memory, wrap, outputs).tile
    plan = tiles.plan(analysis, size, wrap, outputs, image)
    table = plan.words() if asked.words else plan.table if form in ("json", "csv") else plan.by_axis
    printed.table(table, form)


def _parts(text: str, name: str, words: Collection[str] = ()) -> list[str]:
    """`512x512` as sizes, or such words. Raises UsageError."""
    parts = text.lower().replace(",", "x").split("x")
    if not all(part in words or (part.isascii() and part.isdigit() and len(part) < 20) for part in parts):
        raise UsageError(f"{name} {text!r} is not a size; write pixels per axis, like 512x512")
    return parts
