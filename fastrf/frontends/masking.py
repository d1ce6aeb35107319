"""Which places of what a softmax reads constants exclude: one decision for every front-end.

Minus infinity excludes by definition. A finite number far below any score does in practice: the smallest number of a
floating type, or anything at most `mask_below`. The node then says what it takes for granted.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from fastrf.frontends.lowering import GraphWalk, Known, Mask, Value, compressed

__all__ = ["LOWEST", "closed", "excluded", "offset", "shifted"]

#: The smallest numbers of floating types, as masks are filled with.
LOWEST = {
    -65504.0: "float16",
    -3.3895313892515355e38: "bfloat16",
    float(np.finfo(np.float32).min): "float32",
    float(np.finfo(np.float64).min): "float64",
}

#: As low as this counts as the smallest number of a type, so that sums and multiples of it do, too.
_NEVER = -1e300


def excluded(walk: GraphWalk, x: Value, axis: int) -> Mask | None:
    """Where elements take no part in a softmax over a full axis (broadcastable to `x.full`), or None."""
    if x.known is None and x.added is None:
        return None
    return closed(walk, _levels(x), axis)


def closed(walk: GraphWalk, levels: Known, axis: int) -> Mask | None:
    """The same for what constants fill in or add; 0 or NaN where they do nothing.

    Numbers are compared with the highest of their row: where all of it is masked alike, nothing is excluded.
    """
    levels = np.minimum(np.nan_to_num(levels, nan=0.0, posinf=0.0, neginf=-np.inf), 0.0)
    infinite, limit = np.isneginf(levels), walk.options.mask_below
    if limit > -np.inf and levels.min(initial=0.0) <= _limit(limit):
        ranked = np.where(np.isin(levels, list(LOWEST)), np.minimum(levels, _NEVER), levels)
        with np.errstate(invalid="ignore", over="ignore"):
            low = ranked - ranked.max(axis=axis, keepdims=True, initial=-np.inf) <= limit
        finite = low & ~infinite
        if finite.any():
            _say(walk, levels[finite])
        infinite = infinite | finite
    return infinite if infinite.any() else None


def _say(walk: GraphWalk, values: Known) -> None:
    """Note the numbers that were taken for minus infinity."""
    distinct = sorted({float(v) for v in np.unique(values)[-3:]}, reverse=True)
    shown = [f"{v:g} (the smallest {LOWEST[v]})" if v in LOWEST else f"{v:g}" for v in distinct]
    walk.lowering.assume(f"{' and '.join(shown)} in the scores of a softmax excludes, as minus infinity does")


def _limit(mask_below: float) -> float:
    """What is higher than this excludes nowhere."""
    return max(mask_below, *LOWEST)


def _levels(x: Value) -> Known:
    """What constants fill in or add, 0 where they do neither."""
    known, added = (np.zeros(()) if t is None else t for t in (x.known, x.added))
    return np.where(np.isnan(known), added, known) if x.known is not None else added


def shifted(walk: GraphWalk, x: Value, added: Known | None) -> Value:
    """The value with what constants add to it, where that is low enough to exclude; broadcastable to its shape."""
    limit = walk.options.mask_below
    if added is None or limit == -np.inf:
        return x if x.added is None else replace(x, added=None)
    table = added.reshape((1,) * (len(x.full) - added.ndim) + added.shape)
    table = np.where(table <= _limit(limit), table, 0.0)
    return replace(x, added=compressed(table) if table.any() else None)


def offset(kind: str, operands: Sequence[tuple[Known, Known | None]]) -> Known | None:
    """What constants add to the result of an operation between operands, of which what is known and added is given.

    `kind` is add, sub, mul, div, maximum or minimum. None if nothing is added.
    """
    known = [table for table, _ in operands]
    both = [np.where(np.isnan(t), 0.0 if a is None else a, t) for t, a in operands]
    with np.errstate(all="ignore"):
        if kind == "add":
            return sum(both[1:], both[0])
        if kind == "sub":
            return both[0] - np.where(np.isnan(known[1]), 0.0, known[1])
        if kind in ("mul", "div") and all(a is None for _, a in operands):
            return None
        if kind == "mul":
            scaled = [np.where(o > 0, b * o, 0.0) for b, o in ((both[0], known[1]), (both[1], known[0]))]
            return np.minimum(*scaled)
        if kind == "div":
            return np.where(known[1] > 0, both[0] / known[1], 0.0)
        if kind == "maximum":
            return np.maximum(*both)
        return np.minimum(*both)
