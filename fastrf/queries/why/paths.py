"""How a pixel gets to a position: an element of every layer in between that reads it, and is read by the next one.

From the position back to the input: of the elements that a layer reads, one that reads the pixel. There always is one,
since what a layer depends on is what those depend on. Of several inputs, the one with the fewest layers before it; of
several elements, one near the place of the pixel, so that a path goes there by large steps and then by skips.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from fastrf.engine.dependency import Dependency
from fastrf.network import Node
from fastrf.queries.counting import box as hull
from fastrf.queries.why.answers import Reason
from fastrf.queries.why.way import Bools, Box, Way, holding, indices, reading

__all__ = ["path_to"]

Neuron = tuple[int, ...]


def path_to(way: Way, position: Sequence[int], pixel: Sequence[int]) -> tuple[Reason, ...]:
    """The layers by which a pixel gets to a position of the target, from the input on; none where it does not."""
    box, name = way.at(way.target, position), way.target
    neuron = _nearest(way, name, reading(way.pixels(name), pixel, box), box, pixel)
    if neuron is None:
        return ()
    hops, found = _hops(way), list[Reason]()
    while name != way.wrt:
        node = way.network.by_name[name]
        ways = _read(way, node, neuron, pixel)
        found.append(_reason(way, name, neuron, _brought_by(way, node, neuron, pixel)))
        name = min(ways, key=lambda read: hops[read])
        neuron = ways[name]
    return (_reason(way, name, neuron, ()), *reversed(found))


def _reason(way: Way, name: str, neuron: Neuron, reads: Sequence[str]) -> Reason:
    label, operator = way.shown(name)
    several = name != way.wrt and len(way.branches(way.network.by_name[name])) > 1
    cause = "one branch alone has it" if several and len(reads) == 1 else ""
    shown, position = tuple(way.shown(read)[0] for read in reads), way.position_of(name, neuron)
    return Reason(label, operator, (name,), cause, position=position, neuron=neuron, reads=shown)


def _read(way: Way, node: Node, neuron: Neuron, pixel: Sequence[int]) -> dict[str, Neuron]:
    """The inputs by which an element of a layer reads a pixel, each with one of its elements."""
    found = {}
    for read in way.branches(node):
        step = way.step(node, read)
        box = _box(step, neuron)
        if box is None:
            continue
        marks = holding(step, neuron, box) & reading(way.pixels(read), pixel, box)
        nearest = _nearest(way, read, marks, box, pixel)
        if nearest is not None:
            found[read] = nearest
    return found


def _brought_by(way: Way, node: Node, neuron: Neuron, pixel: Sequence[int]) -> list[str]:
    """The inputs by which a position, in any channel, reads a pixel."""
    channel, reads = node.channel_axis, way.branches(node)
    if len(reads) == 1:
        return reads
    place, found = way.position_of(node.name, neuron), []
    for read in reads:
        step = way.step(node, read)
        step = step if channel is None else step.reduce(channel)
        box = _box(step, place)
        if box is not None and (holding(step, place, box) & reading(way.pixels(read), pixel, box)).any():
            found.append(read)
    return found


def _box(step: Dependency, index: Neuron) -> Box | None:
    """The hull of what an element reads through a layer; None where it reads nothing."""
    box = [(int(low), int(high)) for low, high in hull(step, index)]
    return None if not step.terms or any(low == high for low, high in box) else box


def _hops(way: Way) -> dict[str, int]:
    """How many layers there are at least between the origin and each."""
    hops = {way.wrt: 0}
    for node in way.nodes:
        hops[node.name] = 1 + min(hops[read] for read in way.read_by(node))
    return hops


def _nearest(way: Way, name: str, marks: Bools, box: Box, pixel: Sequence[int]) -> Neuron | None:
    """Of the marked elements of a box, one whose position is nearest to where a pixel lies on the map."""
    if not marks.any():
        return None
    places = _places(way, name, pixel)
    if places is None:
        return next(indices(marks, box))
    far = np.zeros((1,) * len(box))
    for axis, place in places.items():
        line = np.abs(np.arange(*box[axis]) - place)
        far = far + line.reshape([-1 if k == axis else 1 for k in range(len(box))])
    shape = [high - low for low, high in box]
    flat = int(np.argmin(np.where(np.broadcast_to(marks, shape), far, math.inf)))
    return tuple(int(i) + low for i, (low, _) in zip(np.unravel_index(flat, shape), box, strict=True))


def _places(way: Way, name: str, pixel: Sequence[int]) -> dict[int, float] | None:
    """Per position axis, where a pixel would lie if the map were a smaller or larger picture of the input."""
    channel, given = way.network.channel_axis_of(name), way.network.channel_axis_of(way.wrt)
    shape, pixels = way.network.shape_of(name), way.network.shape_of(way.wrt)
    axes = [axis for axis in range(len(shape)) if axis != channel]
    sizes = [n for axis, n in enumerate(pixels) if axis != given]
    if len(axes) != len(sizes):
        return None
    return {axis: (p + 0.5) * shape[axis] / n - 0.5 for axis, p, n in zip(axes, pixel, sizes, strict=True)}
