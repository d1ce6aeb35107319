"""Padding in all modes, and what is known after it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from fastrf.frontends.lowering import GraphWalk, Known, Value, compressed

__all__ = ["pad"]

Pairs = Sequence[tuple[int, int]]

#: Modes as the operator `pad` and NumPy call them.
_MODES = {"replicate": "edge", "circular": "wrap"}


def pad(walk: GraphWalk, x: Value, pairs: Pairs, mode: str = "constant", fill: float = 0.0) -> Value:
    """A value with elements put before and after along its full axes; negative widths crop.

    `mode` is constant (with `fill`, NaN where that may be any number), reflect, replicate or circular.
    """
    known = None if x.known is None and mode != "constant" else _padded(x.table, x.full, pairs, mode, fill)
    added = None if x.added is None else _padded(x.added, x.full, pairs, mode, 0.0)
    value = x if x.stripped and not any(pairs[0]) else walk.spread(x)
    mine = pairs[1:] if value.stripped else pairs
    if mode == "constant":
        result = walk.emit("pad", value, padding=[list(pair) for pair in mine])
    else:
        cut = [[min(before, 0), min(after, 0)] for before, after in mine]
        value = walk.emit("pad", value, padding=cut) if any(map(any, cut)) else value
        grown = [[max(before, 0), max(after, 0)] for before, after in mine]
        result = walk.emit("pad", value, padding=grown, mode=mode)
    return replace(result, known=known, added=added)


def _padded(table: Known, full: Sequence[int], pairs: Pairs, mode: str, fill: float) -> Known | None:
    """A table padded as the tensor is."""
    wide = tuple(n if any(pair) else m for n, m, pair in zip(full, table.shape, pairs, strict=True))
    cropped = tuple(slice(max(-b, 0), n - max(-a, 0)) for n, (b, a) in zip(wide, pairs, strict=True))
    grown = [(max(b, 0), max(a, 0)) for b, a in pairs]
    how: Any = _MODES.get(mode, mode)
    options: dict[str, Any] = {"constant_values": fill} if mode == "constant" else {}
    return compressed(np.pad(np.broadcast_to(table, wide)[cropped], grown, how, **options))
