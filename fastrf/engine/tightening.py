"""Tightening: what masks leave of an axis that is otherwise read whole.

A mask over two axes, as attention has it, says nothing along either alone, so the nominal field of what follows is
everything. Where the exact dependency of a node is a window that moves along regularly all the same, as under a
sliding-window or block mask, that window is the nominal field. `analysis` asks for it node by node.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from fastrf.engine.dependency import Dependency
from fastrf.engine.extent import Extent, Phase
from fastrf.engine.nominal import Nominal
from fastrf.engine.pieces import GRID
from fastrf.engine.regular import rule_of
from fastrf.engine.relation import Relation

__all__ = ["tightened"]

#: So many periods must be seen before a rule is believed.
MIN_PERIODS = 4
#: Of so many rows, one must read a window that no border cuts.
MIN_SHARE = 8


def tightened(nominal: Nominal, dependency: Dependency, pixel_axes: Sequence[int]) -> Nominal:
    """The nominal field, with the windows that the exact one shows where it reads whole axes.

    `pixel_axes` are the input axes of its extents.
    """
    if len(nominal.pieces) != 1 or nominal.pieces[0].lengths != nominal.shape:
        return nominal
    piece = nominal.pieces[0]
    extents = list(piece.extents)
    for k, extent in enumerate(extents):
        found = _along_one_axis(dependency, pixel_axes[k]) if extent.is_everything else None
        grid = found is not None and [piece.kinds[f] for f in piece.axes.at(found[0])] == [GRID]
        if found is not None and grid:
            extents[k] = _moving(piece.axes.at(found[0]).start, found[1]) or extent
    if all(new is old for new, old in zip(extents, piece.extents, strict=True)):
        return nominal
    return Nominal(nominal.shape, [replace(piece, extents=tuple(extents))], nominal.n_extents)


def _moving(factor: int, relation: Relation) -> Extent | None:
    """A relation as a window that moves along, if it is one."""
    if relation.is_constant or relation.is_empty:
        return None
    rule = rule_of(relation)
    if rule is None or not rule.shift or rule.period * MIN_PERIODS > relation.n_rows:
        return None
    hulls = relation.hulls
    whole = ((hulls[:, 0] > 0) & (hulls[:, 1] < relation.n_cols)).sum()
    if whole * MIN_SHARE < relation.n_rows:
        return None  # the axis is too short to tell a window from all of it
    read = rule.low <= rule.high
    if np.isinf(rule.low[read]).any() or np.isinf(rule.high[read]).any():
        return None
    return Extent((Phase(factor, rule.period, rule.shift),), rule.low, rule.high)


def _along_one_axis(dependency: Dependency, column: int) -> tuple[int, Relation] | None:
    """The axis along which an input axis is read, and how, if it is one axis and that alone decides."""
    owner = [axis for axis, factors in enumerate(dependency.axes) for _ in factors]
    whole: Relation | None = None
    axis = -1
    for term in dependency.terms:
        group = next(group for group in term if column in group.cols)
        axes = {owner[f] for f in group.rows}
        if group.cols != (column,) or len(axes) != 1 or not axes <= {axis if whole else next(iter(axes))}:
            return None
        (axis,) = axes
        own = tuple(f for f, at in enumerate(owner) if at == axis)
        if group.rows != own or any(owner[f] == axis for other in term if not other.cols for f in other.rows):
            return None
        whole = group.relation if whole is None else whole.union(group.relation)
    return None if whole is None else (axis, whole)
