"""Windows slid over the spatial axes, whatever the batch is."""

from __future__ import annotations

from typing import Any

import numpy as np

from fastrf.frontends import moving
from fastrf.frontends.lowering import GraphWalk, Value

__all__ = ["fold", "slide"]


#: What an attribute is along an axis that the window does not touch.
_NEUTRAL: dict[str, Any] = {"padding": [0, 0], "output_padding": 0, "output_size": None, "step": [1, 1]}


def slide(walk: GraphWalk, x: Value, n: int, op: str, *others: Value, **attributes: Any) -> Value:
    """A layer over `n` spatial axes; a batch beyond 1 rides along as one more axis with a window of 1."""
    if len(x.full) == n + 1:
        return walk.emit(op, walk.spread(x), *others, **attributes)
    if x.stripped:
        return walk.emit(op, x, *others, **attributes)
    turned = moving.permute(walk, x, [1, 0, *range(2, n + 2)])
    turned = walk.spread(turned)
    used = attributes.pop("used", None)
    neutral = {**_NEUTRAL, "output_size": x.full[0]} if op == "resize" else _NEUTRAL
    wider: dict[str, Any] = {k: [neutral.get(k, 1), *v] if isinstance(v, list) else v for k, v in attributes.items()}
    if used is not None:
        wider["used"] = np.expand_dims(np.array(used), 2).tolist()
    return moving.permute(walk, walk.emit(op, turned, *others, **wider), [1, 0, *range(2, n + 2)])


def fold(walk: GraphWalk, x: Value, **attributes: Any) -> Value:
    """Columns summed where their windows lie; a batch beyond 1 is one more axis of the image with a window of 1."""
    if len(x.full) == 2 or x.stripped:
        return slide(walk, x, 1, "fold", **attributes)
    neutral = {**_NEUTRAL, "output_size": x.full[0]}
    wider: dict[str, Any] = {k: [neutral.get(k, 1), *v] for k, v in attributes.items()}
    columns = walk.shaped(moving.permute(walk, x, [1, 0, 2]), (x.full[1], x.full[0] * x.full[2]))
    image = walk.emit("fold", walk.spread(columns), **wider)
    return moving.permute(walk, image, [1, 0, *range(2, len(image.full))])
