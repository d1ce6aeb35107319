"""What a network holds in memory while it runs on a tile: an estimate from the shapes of its nodes.

Nodes run in the network's order, one at a time. Each makes a tensor of its own, unless it is a view of what it reads,
and a tensor is held until the last node that reads it has run; inputs and outputs are held throughout. The peak is the
most that is held at once, with the parameters, in float32. A framework's workspace, fused or in-place operators and the
image itself are not in it.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from fastrf.analysis import Analysis
from fastrf.network import Node
from fastrf.ops import find

__all__ = ["activations", "parameters"]

#: Bytes of a number of float32.
WIDTH = 4
Elements = npt.NDArray[np.float64]


def parameters(analysis: Analysis) -> int:
    """Bytes of all parameters whose number is known."""
    return WIDTH * sum(node.parameters or 0 for node in analysis.network.nodes)


def activations(analysis: Analysis, outputs: Sequence[str], tiles: npt.ArrayLike) -> npt.NDArray[np.int64]:
    """int64[n]: bytes held at most while the network runs on each of `tiles`, int[n, ndim] pixels per axis."""
    network, sizes = analysis.network, np.asarray(tiles, float)
    nodes = list(network.needed(outputs))[::-1]
    held = {name: _elements(analysis, name, sizes) for name in network.inputs}
    of = {name: name for name in held}  # whose memory a tensor lies in
    for node in nodes:
        of[node.name] = of[node.inputs[0]] if _is_view(node) else node.name
    reads = Counter(of[read] for node in nodes for read in node.inputs)
    reads.update([*network.inputs, *(of[name] for name in outputs)])  # held to the end
    now: Elements = np.sum(list(held.values()), axis=0)
    peak = now
    for node in nodes:
        if of[node.name] == node.name:
            held[node.name] = _elements(analysis, node.name, sizes)
            now = now + held[node.name]
        peak = np.maximum(peak, now)
        now = now - _released(node, of, reads, held)
    return np.ceil(peak * WIDTH).astype(np.int64)


def _is_view(node: Node) -> bool:
    """Whether its result is a view of what it reads, or that very thing."""
    return find(node.op).role == "view" or node.op == "dropout"


def _released(node: Node, of: dict[str, str], reads: Counter[str], held: dict[str, Elements]) -> Elements | float:
    """What nothing reads any more once a node has run: what it read, or what it made, where nothing asks for that."""
    reads.subtract(of[read] for read in node.inputs)
    gone = {of[name] for name in (node.name, *node.inputs)}
    return sum((held.pop(name) for name in gone if reads[name] <= 0 and name in held), 0.0)


def _elements(analysis: Analysis, name: str, tiles: Elements) -> Elements:
    """float64[n]: elements of a node on tiles of other sizes than the image that was analysed."""
    network = analysis.network
    shape, channel = network.shape_of(name), network.channel_axis_of(name)
    whole = network.shape_of(analysis.wrt)
    pixels = [n for axis, n in enumerate(whole) if axis != network.channel_axis_of(analysis.wrt)]
    positions = [n for axis, n in enumerate(shape) if axis != channel]
    nominal = analysis._positional_nominal(name)
    steps = [nominal.stride(k) for k in range(len(pixels))]
    if not nominal.pieces or not positions or all(map(math.isinf, steps)):
        return np.full(len(tiles), float(math.prod(shape)))  # the same for every tile
    if len(positions) != len(pixels) or any(map(math.isnan, steps)):
        return np.asarray(math.prod(shape) * np.prod(tiles / pixels, axis=1))
    grown = [n + np.ceil((tiles[:, k] - pixels[k]) / steps[k]) for k, n in enumerate(positions)]
    return np.asarray((1 if channel is None else shape[channel]) * np.prod(np.maximum(grown, 0), axis=0))
