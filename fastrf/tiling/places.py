"""What a network may know of places and sizes: layers that do another thing on a tile, and constants."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from fastrf.analysis import Analysis
from fastrf.errors import ShapeError
from fastrf.field import ReceptiveField
from fastrf.network import Network, Node

__all__ = ["require_free", "taken"]

#: Front-ends leave constants out, so it is never seen whether there are such.
_BLIND = (
    "the network does not know where a tile lies or how large the image is: "
    "no coordinates, embeddings of positions or sizes are in its values"
)


def require_free(analysis: Analysis | ReceptiveField, names: Sequence[str], axis: int) -> None:
    """Raises ShapeError where a layer before nodes makes as many positions of a tile as of the image, naming it."""
    if not isinstance(analysis, Analysis):
        return  # not to be seen
    for node in analysis._seen.needed(names):
        read = analysis._seen.shape_of(node.inputs[0]) if node.inputs else node.shape
        blind = node.name in analysis and not analysis[node.name].dependency.terms
        if not blind and (told := _fixed(node, read, axis)):
            remedy = "take None for its tile and analyse at the image's shape, or give the layer a kernel or a scale"
            raise ShapeError(f"axis {axis} cannot be cut: {node.name!r} ({node.op}) {told}; {remedy}")


def _fixed(node: Node, read: Sequence[int], axis: int) -> str:
    """Why a layer does another thing on a tile; nothing where it does not."""
    axes = [k for k in range(len(node.shape)) if k != node.channel_axis]
    if node.op.startswith("adaptive_"):
        given = node.attributes.get("output_size")
        sizes = list(given) if isinstance(given, list | tuple) else [given] * len(axes)
        wanted = sizes[axis] if axis < len(sizes) else None
        return "" if wanted is None else f"always makes {wanted} of what it reads"
    if node.op != "resize" or node.attributes.get("coordinates") != "align_corners" or axis >= len(axes):
        return ""
    n, m = read[axes[axis]] - 1, node.shape[axes[axis]] - 1
    even = min(n, m) < 1 or math.gcd(n, m) == min(n, m)
    return "" if even else f"aligns corners, {n} steps to {m}, which is another ratio on a tile"


def taken(analysis: Analysis | ReceptiveField, names: Sequence[str]) -> tuple[str, ...]:
    """What tiles take for granted: that constants do not tell where they are."""
    found = _constants(analysis._seen, names) if isinstance(analysis, Analysis) else []
    told = f"constants vary with neither place nor size of a tile: {', '.join(map(repr, found[:5]))}"
    return (f"{told}{' and more' * (len(found) > 5)}", _BLIND) if found else (_BLIND,)


def _constants(network: Network, names: Sequence[str]) -> list[str]:
    """Maps that read no pixel, and masks at fixed positions; those that nothing reads were left out where they meet."""
    needed = {node.name for node in network.needed(names)}
    read: set[Any] = {name for node in network.nodes for name in node.inputs}
    return [
        node.name
        for node in network.nodes
        if (node.name in needed or (node.op == "constant" and node.name not in read)) and _has_places(node)
    ]


def _has_places(node: Node) -> bool:
    axes = [k for k, n in enumerate(node.shape) if k != node.channel_axis and n > 1]
    if node.op == "keep":
        return not set(axes).isdisjoint(k % len(node.shape) for k in _axes(node.attributes.get("axes", ())))
    return node.op == "constant" and bool(axes)


def _axes(given: Any) -> list[int]:
    return [given] if isinstance(given, int) else list(given)
