"""Joining: what pieces of a tensor that lie side by side along an axis say together, and where they are cut.

Parts of one rule are one piece again, short parts at the ends of a long one are its borders, parts that do not grow
with the input are listed, and what is read across any other seam is not regular.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Sequence
from dataclasses import replace

import numpy as np

from fastrf.engine import axis_map as maps
from fastrf.engine.axis_map import AxisMap
from fastrf.engine.extent import Extent, Phase, fits, irregular, reduced
from fastrf.engine.factors import Factors, put
from fastrf.engine.pieces import CHANNEL, FIXED, GRID, Piece
from fastrf.engine.reading import mapped

__all__ = [
    "continued",
    "crossed",
    "cut_at",
    "extended",
    "flat_offset",
    "listed",
    "parted",
    "sliced",
    "unknown",
    "written",
]

#: Channels that are written in more stretches than this are taken for one.
MAX_RUNS = 8


def written(piece: Piece, axis: int, axis_map: AxisMap) -> list[tuple[int, int]] | None:
    """The outputs `[start, stop)` of a map that read anything of an axis of channels that are alike.

    None where every output does, or where an axis is the grid's: what lies outside of it is a border, not nothing.
    """
    kinds = {piece.kinds[f] for f in piece.axes.at(axis)}
    if GRID in kinds or piece.matters(axis) or not fits(axis_map.n_out):
        return None
    counts = axis_map.relation.counts
    edges = np.flatnonzero(np.diff(np.concatenate([[0], counts > 0, [0]]).astype(np.int8)))
    runs = [(int(a), int(b)) for a, b in edges.reshape(-1, 2)]
    return runs if counts.size and not counts.all() and len(runs) <= MAX_RUNS else None


def sliced(piece: Piece, axis: int, start: int, step: int, n_out: int) -> Piece | None:
    """The part of `n_out` outputs `start + o step` that reads this box, or None where none does."""
    first, length = piece.offsets[axis], piece.lengths[axis]
    ends = [-(-(first - start) // step), -(-(first + length - start) // step)]
    if step < 0:
        ends = [-(-(start - first - length + 1) // -step), (start - first) // -step + 1]
    low, high = max(ends[0], 0), min(ends[1], n_out)
    if low >= high:
        return None
    begin, count = start + low * step - first, high - low
    if step == 1:
        return piece.cut(axis, begin, begin + count).moved(axis, low)
    picked = piece.mapped(axis, maps.strided_slice(length, begin, step, count))
    return picked.moved(axis, low)


def continued(pieces: Iterable[Piece], axis: int) -> list[Piece]:
    """Pieces in order along an axis, those that go on as the one before them made one with it."""
    found: list[Piece] = []
    for piece in pieces:
        if found and _continues(found[-1], piece, axis):
            length = found[-1].lengths[axis] + piece.lengths[axis]
            found[-1] = found[-1].longer(axis, length)
        else:
            found.append(piece)
    return found


def _continues(first: Piece, second: Piece, axis: int) -> bool:
    """Whether a piece says right behind another what that would say there."""
    here, there = first.moved(axis, 0), second.moved(axis, 0)
    beside = first.offsets[axis] + first.lengths[axis] == second.offsets[axis] and here.offsets == there.offsets
    shapes = [(p.lengths[:axis], p.axes[:axis], p.axes[axis + 1 :], p.kinds) for p in (first, second)]
    if not beside or shapes[0] != shapes[1]:
        return False
    if not first.matters(axis) and not second.matters(axis):
        return all(a.same(b) for a, b in zip(first.extents, second.extents, strict=True))
    if len(first.axes[axis]) != 1:
        return False
    (factor,), length = first.axes.at(axis), first.lengths[axis]
    if any(phase.factor == factor and not phase.shift for extent in first.extents for phase in extent.phases):
        return False
    onwards = maps.strided_slice(length, length, 1, second.lengths[axis])
    pairs = zip(first.extents, second.extents, strict=True)
    return all(mapped(a, factor, onwards, length).same(b) for a, b in pairs)


def extended(group: Sequence[Piece], axis: int, length: int) -> Piece | None:
    """The longest piece on a line as if the axis were its own, where the others are no more than its borders.

    Those are constants, what stays where it is, or what moves as the piece does, and half as long together.
    """
    main = max(group, key=lambda piece: piece.lengths[axis])
    if not main.matters(axis) or main.crosses(axis):
        return None
    whole = main.fused(axis)
    (factor,) = whole.axes.at(axis)
    if whole.kinds[factor] != GRID or sum(p.lengths[axis] for p in group) * 2 > main.lengths[axis] * 3:
        return None
    steps = _steps(whole, axis)
    if not all(mine in (None, step) for p in group for mine, step in zip(_steps(p, axis), steps, strict=True)):
        return None
    return whole.mapped(axis, maps.place(main.lengths[axis], length, main.offsets[axis])).moved(axis, 0)


def _steps(piece: Piece, axis: int) -> list[object]:
    """Per extent, the pixels per step along an axis but for their direction; None where it stays."""
    at = piece.axes.at(axis)
    found: list[object] = []
    for extent in piece.extents:
        steps = {(phase.factor, abs(phase.ratio)) for phase in extent.phases if phase.factor in at}
        found.append(None if not steps else steps.pop()[1] if len(steps) == 1 else "several")
    return found


def listed(group: Sequence[Piece], axis: int, length: int) -> Piece | None:
    """The pieces on a line as one that lists what each index reads; None where a part grows with the input."""
    pieces = [piece.fused(axis) for piece in group]
    first = pieces[0]
    (factor,) = first.axes.at(axis)
    for piece in pieces:
        if (piece.axes[:axis], piece.axes[axis + 1 :]) != (first.axes[:axis], first.axes[axis + 1 :]):
            return None
        grows = piece.kinds[factor] == GRID and piece.lengths[axis] > 1
        if grows and any(p.factor == factor and p.shift for extent in piece.extents for p in extent.phases):
            return None
    extents = []
    for k in range(len(first.extents)):
        parts = [(piece.extents[k], piece.offsets[axis], piece.lengths[axis]) for piece in pieces]
        table = _table(parts, factor, length)
        if table is None:
            return None
        extents.append(table)
    channels = all(piece.kinds[factor] == CHANNEL for piece in pieces)
    kinds = put(first.kinds, factor, CHANNEL if channels else FIXED)
    return replace(first.moved(axis, 0), axes=first.axes.put(axis, (length,)), kinds=kinds, extents=tuple(extents))


def _table(parts: Sequence[tuple[Extent, int, int]], factor: int, length: int) -> Extent | None:
    """Extents at `(start, length)` of a factor as one that lists its indices; None where their steps differ."""
    if any(extent.irregular for extent, _, _ in parts):
        return None
    plain = [extent for extent, _, _ in parts if not extent.is_everything]
    periods: dict[int, Phase] = {}
    for other in sorted({p.factor for e in plain for p in e.phases} - {factor}):
        phases = [e.phases[k] if (k := e.find(other)) is not None else Phase(other, 1, 0) for e in plain]
        if len({phase.ratio for phase in phases}) > 1:
            return None
        period = math.lcm(*(phase.period for phase in phases))
        periods[other] = Phase(other, period, int(phases[0].ratio * period))
    sizes = [phase.period for phase in periods.values()]
    if not fits(length * math.prod(sizes)):
        return None
    low, high = np.full((length, *sizes), np.inf), np.full((length, *sizes), -np.inf)
    for extent, start, count in parts:
        place = slice(start, start + count)
        if extent.is_everything:
            low[place], high[place] = -np.inf, np.inf
            continue
        tiled: Extent | None = extent.with_factor(factor)
        for other, phase in periods.items():
            if tiled is not None:
                tiled = tiled.with_factor(other)
                tiled = tiled.tiled(tiled.find(other) or 0, phase.period)
        k = None if tiled is None else tiled.find(factor)
        rows = None if tiled is None or k is None else tiled.listed(k, count)
        if rows is None or k is None:
            return None
        low[place], high[place] = np.moveaxis(rows.low, k, 0), np.moveaxis(rows.high, k, 0)
    phases = [Phase(factor, length, 0), *periods.values()]
    order = sorted(range(len(phases)), key=lambda k: phases[k].factor)
    whole = Extent(tuple(phases[k] for k in order), low.transpose(order), high.transpose(order))
    return reduced(whole, range(len(order)))


def crossed(group: Sequence[Piece], axis: int, length: int) -> Piece:
    """The pieces on a line as one of which nothing regular is known."""
    reason = "parts of an axis are read across their seam"
    whole, *others = [p.unknown(axis, length, reason, force=len(group) > 1).moved(axis, 0) for p in group]
    for other in others:
        whole = whole.united(other)
    return whole


def unknown(shape: tuple[int, ...], pieces: Sequence[Piece], reason: str) -> Piece:
    """A tensor of which nothing regular is known; what every piece reads wholly is still read wholly."""
    kinds = [
        GRID if any(p.kinds[f] == GRID for p in pieces for f in p.axes.at(axis)) else CHANNEL
        for axis in range(len(shape))
    ]
    phases = [Phase(axis, 1, 0) for axis in range(len(shape))]
    extents = []
    for group in zip(*(piece.extents for piece in pieces), strict=True):
        some = next((extent for extent in group if not extent.is_everything), group[0])
        extents.append(irregular(some, phases, reason))
    return Piece((0,) * len(shape), Factors((n,) for n in shape), tuple(kinds), tuple(extents))


def cut_at(piece: Piece, axis: int, ends: Iterable[int]) -> list[Piece]:
    """A piece cut at those of the `ends` that lie inside it along an axis."""
    first, last = piece.offsets[axis], piece.offsets[axis] + piece.lengths[axis]
    inside = [first, *(end for end in ends if first < end < last), last]
    return [piece.cut(axis, a - first, b - first) for a, b in itertools.pairwise(inside)]


def flat_offset(piece: Piece, first: int, lengths: Sequence[int]) -> int | None:
    """Where a piece begins on consecutive axes made one, or None where it is not one stretch of them."""
    offset, whole = 0, True
    for k in range(len(lengths) - 1, -1, -1):
        axis = first + k
        if not whole and piece.lengths[axis] > 1:
            return None
        whole = whole and piece.covers(axis, lengths[k])
        offset += piece.offsets[axis] * math.prod(lengths[k + 1 :])
    return offset


def parted(piece: Piece, axis: int, lengths: Sequence[int]) -> list[Piece]:
    """A piece with one axis as consecutive ones of these lengths, cut where it is no box of them."""
    inner = math.prod(lengths[1:])
    first, stop = piece.offsets[axis], piece.offsets[axis] + piece.lengths[axis]
    if first % inner == 0 and stop % inner == 0:
        wanted = [(stop - first) // inner, *lengths[1:]]
        return [piece.apart(axis, wanted, [first // inner, *[0] * (len(lengths) - 1)])]
    if first // inner == (stop - 1) // inner:
        at = piece.moved(axis, first % inner).inserted(axis, 1).moved(axis, first // inner)
        return parted(at, axis + 1, lengths[1:])
    ends = [-(-first // inner) * inner, stop // inner * inner]
    return [part for cut in cut_at(piece, axis, sorted(set(ends))) for part in parted(cut, axis, lengths)]
