"""Where a pixel is lost: the layers at which a blind spot, or a hole within what a position sees, arises.

A blind spot arises at a layer that no element of reads the pixel though one of what it reads does. A hole arises at the
first layer of which an element that the position reads has the pixel within its box and does not read it; behind it,
all that read such an element have the pixel within their boxes, too.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from fastrf.engine import axis_map as maps
from fastrf.engine.dependency import Dependency
from fastrf.network import Node
from fastrf.queries.counting import group_rows, hulls_by_axis
from fastrf.queries.why.answers import Reason
from fastrf.queries.why.way import Bools, Box, Way, box_of, holding, is_read, mesh, through

__all__ = ["blind_at", "hole_at"]


def blind_at(way: Way, pixel: Sequence[int]) -> tuple[Reason, ...]:
    """The layers at which a pixel that the target does not see anywhere is lost, each with what still has it."""
    covered, found = {way.wrt}, []
    for node in way.nodes:
        if is_read(way.pixels(node.name), pixel):
            covered.add(node.name)
            continue
        having = [read for read in way.read_by(node) if read in covered]
        if having:
            found.append(_reason(way, node, having, "no position reads it"))
    return tuple(found)


def _reason(way: Way, node: Node, reads: Sequence[str], cause: str) -> Reason:
    label, operator = way.shown(node.name)
    return Reason(label, operator, (node.name,), cause, reads=tuple(way.shown(read)[0] for read in reads))


def hole_at(way: Way, position: Sequence[int], pixel: Sequence[int]) -> tuple[Reason, ...]:
    """The layers at which a pixel, which a position does not read, first lies within the box of what it reads."""
    rows = _rows(way, position)
    holes, found = set[str](), []
    for node in way.nodes:
        if node.name in rows and _has_hole(way.pixels(node.name), rows[node.name], pixel):
            if holes.isdisjoint(node.inputs):
                found.append(_reason(way, node, way.branches(node), "reads around it"))
            holes.add(node.name)
    return tuple(found)


def _rows(way: Way, position: Sequence[int]) -> dict[str, Dependency]:
    """Per layer, which of its elements a position of the target reads; dependencies without axes."""
    found = {way.target: _of_position(way, position)}
    for node in reversed(way.nodes):
        own = found.get(node.name)
        if own is None or not own.terms:
            continue
        for read in way.read_by(node):
            rows = through(own, way.step(node, read))
            found[read] = found[read].union(rows) if read in found else rows
    return {name: rows for name, rows in found.items() if rows.terms}


def _of_position(way: Way, position: Sequence[int]) -> Dependency:
    """The elements at a position of the target, in every channel."""
    shape, channel = way.network.shape_of(way.target), way.network.channel_axis_of(way.target)
    found, rest = Dependency.identity(shape), list(position)
    for axis in reversed(range(len(shape))):
        if axis != channel:
            found = found.map_axis(axis, maps.take(shape[axis], [rest.pop()]))
        found = found.reduce(axis)
    return found


def _has_hole(pixels: Dependency, rows: Dependency, pixel: Sequence[int]) -> bool:
    """Whether one of some elements, none of which reads the pixel, has it within its box."""
    used = {pixels.axes.owners[f] for term in pixels.terms for group in term for f in group.rows}
    for axis in reversed(range(len(pixels.axes))):
        if axis not in used:  # all elements along it read the same
            rows = rows.any_input(axis)
    box = box_of(rows)
    among = holding(rows, (), box).reshape(_spread(used, box, len(pixels.axes)))
    whole = iter(box)
    within = _in_boxes(pixels, pixel, [next(whole) if a in used else (0, 1) for a in range(len(pixels.axes))])
    return bool((among & within).any())


def _spread(used: set[int], box: Box, count: int) -> list[int]:
    sizes = iter(high - low for low, high in box)
    return [next(sizes) if axis in used else 1 for axis in range(count)]


def _in_boxes(dependency: Dependency, pixel: Sequence[int], box: Box) -> Bools:
    """bool[*box]: of which elements a pixel lies within the hull of all that they read."""
    index = mesh(dependency, box)
    before, after = [np.zeros((1,) * len(box), bool) for _ in pixel], [np.zeros((1,) * len(box), bool) for _ in pixel]
    for term in dependency.terms:
        speaks = np.ones((1,) * len(box), bool)
        for group in term:
            speaks = speaks & (group.relation.counts > 0)[group_rows(group, dependency.sizes, index)]
        for group in term:
            row = group_rows(group, dependency.sizes, index)
            for axis, hulls in hulls_by_axis(group, dependency.input_shape):
                before[axis] = before[axis] | (speaks & (hulls[row, 0] <= pixel[axis]))
                after[axis] = after[axis] | (speaks & (hulls[row, 1] > pixel[axis]))
    every = np.broadcast_arrays(*before, *after, np.ones([high - low for low, high in box], bool))
    return np.asarray(np.logical_and.reduce(every))
