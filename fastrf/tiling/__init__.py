"""Tiles: inference on parts of an image that equals inference on the whole, bit for bit.

`plan` says for each tile what to read, what to keep of the output and where it goes; `Plan.run` does so.
"""

from __future__ import annotations

from fastrf.tiling.plans import Output, Plan, plan
from fastrf.tiling.tiles import Axis, Part, Span, Tile

__all__ = ["Axis", "Output", "Part", "Plan", "Span", "Tile", "plan"]
