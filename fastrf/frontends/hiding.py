"""Elements that constants decide, so that nothing is read for them."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from fastrf.frontends.lowering import GraphWalk, Known, Value, compressed

__all__ = ["keep_attributes", "mask_out", "masked_fill", "set_known", "to_rank", "uniform"]


def set_known(walk: GraphWalk, x: Value, known: Known | None) -> Value:
    """A value of which some elements turn out to be known, and so depend on nothing."""
    if known is None:
        return replace(x, known=None)
    return replace(mask_out(walk, x, np.isnan(known)), known=known)


def mask_out(walk: GraphWalk, x: Value, keep: np.ndarray[Any, Any]) -> Value:
    """A value that depends on nothing where `keep` (constant, broadcastable to the full shape) is false."""
    attributes = keep_attributes(x, keep)
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
    return {"mask": small.tolist(), "axes": [x.axis(k) for k in axes]}


def masked_fill(walk: GraphWalk, x: Value, mask: np.ndarray[Any, Any]) -> Value:
    """A value with minus infinity where a constant mask is true."""
    known = np.where(to_rank(mask, x.full), -np.inf, x.table)
    return replace(mask_out(walk, x, ~mask), known=compressed(known))


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
