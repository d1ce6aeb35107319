"""Tiles and streams: inference on parts that equals inference on the whole, bit for bit.

`plan` says for each tile of an image what to read, what to keep of the output and where it goes; `Plan.run` does so.
`costs` compares sizes of tiles, `best` finds one that fits into memory.
`stream` says what a network needs again of a stream's past with each chunk; `Stream.run` does so.
"""

from __future__ import annotations

from fastrf.tiling.costs import Cost, Costs, best, costs
from fastrf.tiling.plans import Output, Plan, plan
from fastrf.tiling.streams import Call, Stream, stream
from fastrf.tiling.tiles import Axis, Part, Span, Tile

__all__ = [
    "Axis",
    "Call",
    "Cost",
    "Costs",
    "Output",
    "Part",
    "Plan",
    "Span",
    "Stream",
    "Tile",
    "best",
    "costs",
    "plan",
    "stream",
]
