"""`fastrf tiling`: tiles of an image, or chunks of a stream, that give what the whole gives."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

from fastrf.cli.options import Printed, Source, option, parse_index
from fastrf.errors import UsageError

if TYPE_CHECKING:
    from fastrf.analysis import Analysis
    from fastrf.field import ReceptiveField
    from fastrf.system.tables import Table

__all__ = ["tiling"]

_TILE = "Pixels that a tile reads at most, context included, e.g. 512x512; `none` for an axis that is not cut."
_IMAGE = "The image's pixels, e.g. 4096x4096 (default: the input that is analysed)."
_WRAP = "A pixel axis that goes around, from 0, such as a panorama's 1; may be repeated."
_NODE = "An output to tile for (default: all of the network's); may be repeated."
_MEMORY = "Instead of --tile: the tiles that read the fewest pixels within so much memory, e.g. 8GB."
_COSTS = "Compare sizes of tiles instead: those of --tile, or several."
_WORDS = "The plan in the words of MONAI, nnU-Net, bioimage.io, StarDist, torchgeo and Dask."
_STREAM = "A stream of samples instead of an image: what each call takes again, and which outputs it drops."
_CHUNK = "New samples of each call of a stream; several to compare, e.g. 1600,3200 (default: one period)."
_AXIS = "The axis that a stream comes in along, from 0, channels not counted."


@dataclass(frozen=True)
class Streams:
    """What a stream is asked for."""

    stream: Annotated[bool, option(_STREAM, "--stream")] = False
    chunk: Annotated[str | None, option(_CHUNK, metavar="N,N,...")] = None
    axis: Annotated[int, option(_AXIS)] = 0

    def table(self, source: Source, nodes: Sequence[str]) -> Table:
        """A row for every node and chunk. Raises UsageError."""
        from fastrf.tiling.streams import stream, streams_table

        chunks = [None] if self.chunk is None else parse_index(self.chunk, "--chunk")
        analysis = source.analyze()
        asked: list[Analysis | ReceptiveField] = [analysis[name] for name in nodes]
        return streams_table([stream(one, chunk, self.axis) for one in asked or [analysis] for chunk in chunks])


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


def tiling(source: Source, asked: Tiles, streamed: Streams, printed: Printed) -> None:
    """Plan tiles of an image that give what the whole image gives: what each reads, keeps, and where that goes.

    Printed per axis; JSON and CSV have every tile. With --stream, chunks of samples that come in.

    `fastrf tiling unet --input 1x512x512 --tile 256` or
    `fastrf tiling net.onnx --input 3x512x512 --image 4096x4096 --memory 8GB --words` or
    `fastrf tiling wavenet --input 1x16000 --stream --chunk 1600`
    """
    from fastrf import tiling as tiles

    form = printed.form  # what does not fit together is told before the work
    if streamed.stream or streamed.chunk:
        if any((not streamed.stream, asked.tile, asked.image, asked.wrap, asked.memory, asked.costs, asked.words)):
            raise UsageError("a stream has --stream, --chunk, --axis and --node; leave the options of tiles out")
        printed.table(streamed.table(source, asked.node or ()), form)
        return
    if asked.costs and asked.words:
        raise UsageError("--costs compares tiles, --words tells of one; leave one out")
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
