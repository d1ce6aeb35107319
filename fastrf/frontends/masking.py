"""Elements that constants decide: nothing is read for them, and a softmax leaves out those that are excluded.

Minus infinity excludes by definition. A finite number far below any score does in practice: the smallest number of a
floating type, or anything at most `mask_below`. The node then says what it takes for granted.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from fastrf.frontends.lowering import GraphWalk, Known, Mask, Value, compressed
from fastrf.ops.truths import nested

__all__ = [
    "LOWEST",
    "exclusions",
    "keep_attributes",
    "levels",
    "lowest_limit",
    "mask_out",
    "masked_fill",
    "note_excluded",
    "offset",
    "set_added",
    "set_known",
    "to_rank",
    "uniform",
]


#: The smallest numbers of floating types, as masks are filled with.
LOWEST = {
    -65504.0: "float16",
    -3.3895313892515355e38: "bfloat16",
    float(np.finfo(np.float32).min): "float32",
    float(np.finfo(np.float64).min): "float64",
}

#: As low as this counts as the smallest number of a type, so that sums and multiples of it do, too.
_NEVER = -1e300


def note_excluded(walk: GraphWalk, said: str) -> None:
    """List what is taken for granted of numbers that exclude, if anything is."""
    if said:
        walk.assume(f"node {walk.node!r}: {said}")


def exclusions(table: Known, axis: int, mask_below: float) -> tuple[Mask, str]:
    """Where numbers exclude along an axis, and what is taken for granted of them ("" if nothing is).

    Numbers are compared with the highest of their row: where all of it is masked alike, nothing is excluded.
    """
    infinite, lowered = table == -np.inf, table <= lowest_limit(mask_below)
    if mask_below == -np.inf or np.count_nonzero(lowered) == np.count_nonzero(infinite):
        return infinite, ""
    low = np.where(lowered, table, 0.0)
    ranked = np.where(_lowest(low), np.minimum(low, _NEVER), low)
    with np.errstate(invalid="ignore", over="ignore"):
        finite = (ranked - ranked.max(axis=axis, keepdims=True, initial=-np.inf) <= mask_below) & ~infinite
    if not finite.any():
        return infinite, ""
    shown = [f"{v:g} (the smallest {LOWEST[v]})" if v in LOWEST else f"{v:g}" for v in np.unique(low[finite])[:-4:-1]]
    return infinite | finite, f"{' and '.join(shown)} in what a softmax reads excludes, as minus infinity does"


def lowest_limit(mask_below: float) -> float:
    """What is higher than this excludes nowhere."""
    return max(mask_below, *LOWEST)


def levels(x: Value) -> Known:
    """What constants fill in or add, 0 where they do neither."""
    known, added = (np.zeros(()) if t is None else t for t in (x.known, x.added))
    return np.where(np.isnan(known), added, known) if x.known is not None else added


def set_added(walk: GraphWalk, x: Value, added: Known | None) -> Value:
    """The value with what constants add to it, where that is low enough to exclude; broadcastable to its shape."""
    limit = walk.options.mask_below
    if added is None or limit == -np.inf:
        return x if x.added is None else replace(x, added=None)
    rank = len(x.full)
    return replace(x, added=walk.once(("low", rank, limit), [added], lambda: _low(added, rank, limit)))


def _low(added: Known, rank: int, limit: float) -> Known | None:
    """What is added where it is low enough to exclude, as a table of a rank; None where it is so nowhere."""
    table = added.reshape((1,) * (rank - added.ndim) + added.shape)
    table = np.where(table <= lowest_limit(limit), table, 0.0)
    return compressed(table) if table.any() else None


def offset(kind: str, operands: Sequence[tuple[Known, Known | None]]) -> Known | None:
    """What constants add to the result of an operation between operands, of which what is known and added is given.

    `kind` is add, sub, mul, div, maximum or minimum. None if nothing is added.
    """
    known = [table for table, _ in operands]
    both = [np.where(np.isnan(t), 0.0 if a is None else a, t) for t, a in operands]
    with np.errstate(all="ignore"):
        if kind in ("add", "sub"):
            more = both[1] if kind == "add" else -np.where(np.isnan(known[1]), 0.0, known[1])
            total = both[0] + more
            for part in (both[0], more):  # in its own type the sum is no further from the smallest number
                total = np.where(_lowest(part) & (total <= part / 2), part, total)
            return total
        if kind in ("mul", "div") and all(a is None for _, a in operands):
            return None
        if kind == "mul":
            return np.minimum(_scaled(both[0], known[1]), _scaled(both[1], known[0]))
        if kind == "div":
            return _scaled(both[0], 1 / known[1])
        if kind == "maximum":
            return np.maximum(*both)
        return np.minimum(*both)


def _scaled(table: Known, factor: Known) -> Known:
    """A table times a factor where that is known and positive; the smallest numbers of a type stay what they are."""
    return np.where(factor > 0, np.where(_lowest(table), table, table * factor), 0.0)


def _lowest(table: Known) -> Mask:
    """Where a number is the smallest of a floating type."""
    return np.isin(table, list(LOWEST))


def set_known(walk: GraphWalk, x: Value, known: Known | None) -> Value:
    """A value of which some elements turn out to be known, and so depend on nothing."""
    if known is None:
        return replace(x, known=None)
    return replace(mask_out(walk, x, walk.once("unknown", [known], lambda: np.isnan(known))), known=known)


def mask_out(walk: GraphWalk, x: Value, keep: np.ndarray[Any, Any]) -> Value:
    """A value that depends on nothing where `keep` (constant, broadcastable to the full shape) is false."""
    attributes = walk.once(("keep", x.full, x.stripped), [keep], lambda: keep_attributes(x, keep))
    if attributes is None:
        return walk.emit_nothing(x)
    return walk.emit("keep", x, **attributes) if attributes else x


def keep_attributes(x: Value, mask: np.ndarray[Any, Any]) -> dict[str, Any] | None:
    """Attributes of the layer that keeps elements where a mask is true; none for all elements, None for no element."""
    if mask.all():
        return {}
    table = to_rank(mask, x.full)
    axes = [k for k in range(table.ndim) if table.shape[k] > 1 and not (table == table.take([0], axis=k)).all()]
    if not axes:
        return None
    small = table[tuple(slice(None) if k in axes else 0 for k in range(table.ndim))]
    return {"mask": nested(small), "axes": [x.axis(k) for k in axes]}


def masked_fill(walk: GraphWalk, x: Value, mask: np.ndarray[Any, Any]) -> Value:
    """A value with minus infinity where a constant mask is true."""
    known, open_ = walk.once(
        ("filled", x.full),
        [x.known, mask],
        lambda: (compressed(np.where(to_rank(mask, x.full), -np.inf, x.table)), ~mask),
    )
    return replace(mask_out(walk, x, open_), known=known)


def uniform(mask: np.ndarray[Any, Any], full: tuple[int, ...]) -> np.ndarray[Any, Any] | None:
    """A mask as a table of its last two axes, or None where it changes along others."""
    table = to_rank(mask, full)
    for axis in range(table.ndim - 2):
        first = table.take([0], axis=axis)
        if table.shape[axis] > 1 and not (table == first).all():
            return None
        table = first
    return np.broadcast_to(table.reshape(table.shape[-2:]), full[-2:])


def to_rank(mask: np.ndarray[Any, Any], full: tuple[int, ...]) -> np.ndarray[Any, Any]:
    """A mask with axes of 1 in front, as many as the full shape has."""
    return mask.reshape((1,) * (len(full) - mask.ndim) + mask.shape)
