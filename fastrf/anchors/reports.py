"""report(): which level sees which objects, where its anchors stand, and what they leave out."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import numpy.typing as npt

from fastrf.anchors.assignment.dense import assign
from fastrf.anchors.boxes.box_set import Boxes
from fastrf.anchors.boxes.readers import read_boxes
from fastrf.anchors.forms.anchor_set import Anchors
from fastrf.anchors.forms.readers import read_anchors
from fastrf.anchors.levels import Level, Spread, levels_of, spreads
from fastrf.anchors.recall import EDGES, LARGE, SMALL, Counts, count
from fastrf.anchors.resize_rules import Resize, fitted
from fastrf.anchors.tables import LevelRow, Report, SizeRow
from fastrf.errors import LimitError, UnsupportedOpError, UsageError
from fastrf.system.terminal import Progress

if TYPE_CHECKING:
    from fastrf.analysis import Analysis

__all__ = ["input_pixels", "report"]

#: Boxes laid over exact masks at a time.
EXACT_CHUNK = 1 << 17


def report(
    analysis: Analysis,
    levels: Sequence[str] | str,
    anchors: Any = None,
    boxes: Any = None,
    *,
    resize: Resize | str | None = None,
    threshold: float = 4.0,
    recall_at: Sequence[float] = (0.5, 0.4, 0.35),
    effective: bool = True,
    exact: bool = False,
    progress: Progress | None = None,
) -> Report:
    """How levels, anchors and objects fit: see `Report`.

    `levels` names nodes, `anchors` is anything that `read_anchors` takes and `boxes` anything that `read_boxes` takes;
    either can be left out. Boxes are brought to the input's pixels by `resize` (default: letterboxed where the source
    holds image sizes, otherwise they are in the input's pixels already). `threshold` is how many times a box may
    differ from an anchor, on both sides (YOLO's `anchor_t`), `recall_at` the shape IoUs of which recall is reported,
    the first by size, too; `effective=False` leaves the effective receptive fields out. With `exact`, boxes are laid
    over the exact masks of all positions (`assign`). `progress(done, total)` is called as boxes are counted.

    Best possible recall and anchors above threshold follow ultralytics' autoanchor: sizes alone, positions apart.
    Shape IoU is that of a box and an anchor with the same centre. Raises UnknownNodeError or NetworkError for a level
    that is no feature map, FormatError for anchors or boxes that cannot be read, UsageError for thresholds.
    """
    _check_thresholds(threshold, recall_at)
    given = _given(analysis, levels, anchors, boxes, resize)._replace(recall_at=recall_at)
    if given.boxes is not None:
        counts = count(given.boxes.sizes, given.levels, given.anchors, threshold, recall_at, progress)
        places = _seen_in_place(given, given.boxes) if exact else ()
        given = given._replace(counts=counts, places=places)
    spread, notes = _spreads(given) if effective else ((), [])
    rows = [_row(given, k, spread) for k in range(len(given.levels))]
    return _whole(given, rows, notes)


def _check_thresholds(threshold: float, recall_at: Sequence[float]) -> None:
    if not threshold > 1 or not math.isfinite(threshold):
        raise UsageError(f"threshold {threshold} must be above 1: how many times a box may differ from an anchor")
    if not recall_at or not all(0 < least <= 1 for least in recall_at):
        raise UsageError(f"recall_at {recall_at} must be shape IoUs above 0, at most 1")


class _Given(NamedTuple):
    """What is laid beside each other, as it was read, and what was counted of it; `size` is the input's."""

    analysis: Analysis
    size: tuple[int, int]
    levels: tuple[Level, ...]
    anchors: Anchors | None
    boxes: Boxes | None
    recall_at: Sequence[float] = ()
    counts: Counts | None = None
    places: Sequence[int] = ()


def _given(
    analysis: Analysis, levels: Sequence[str] | str, anchors: Any, boxes: Any, resize: Resize | str | None
) -> _Given:
    found, size = levels_of(analysis, levels), input_pixels(analysis)
    table = None if anchors is None else read_anchors(anchors, found, size)
    if table is not None:
        table.check(found)
    objects = None if boxes is None else fitted(read_boxes(boxes), size, resize)
    return _Given(analysis, size, found, table, objects)


def input_pixels(analysis: Analysis, name: str | None = None) -> tuple[int, int]:
    """(rows, columns) of the input that the levels are measured against, or of the one of this name."""
    name = analysis.wrt if name is None else name
    channel = analysis.network.channel_axis_of(name)
    rows, columns = (n for axis, n in enumerate(analysis.network.shape_of(name)) if axis != channel)
    return rows, columns


def _spreads(given: _Given) -> tuple[tuple[Spread, ...], list[str]]:
    """The effective fields, or a note why there are none."""
    try:
        return spreads(given.analysis, given.levels), []
    except (UnsupportedOpError, LimitError) as error:
        return (), [f"no effective receptive fields: {error}"]


def _seen_in_place(given: _Given, boxes: Boxes) -> tuple[int, ...]:
    """Per level, how many boxes some position's exact mask holds wholly."""
    corners, nodes = boxes.corners, [level.node for level in given.levels]
    parts = [corners[k : k + EXACT_CHUNK] for k in range(0, len(corners), EXACT_CHUNK)]
    totals = sum((assign(given.analysis, nodes, part).counts > 0).sum(axis=0) for part in parts)
    return tuple(int(n) for n in np.asarray(totals))


def _row(given: _Given, index: int, spread: Sequence[Spread]) -> LevelRow:
    level, counts = given.levels[index], given.counts
    values: dict[str, Any] = {f"effective_{k}": v for k, v in (asdict(spread[index]) if spread else {}).items()}
    if given.anchors is not None:
        values |= _standing(given.anchors, level, index)
    if counts is not None:
        values |= {"seen": int(counts.seen[index]), "in_range": int(counts.in_range[index])}
        if given.anchors is not None:
            values |= {"best": int(counts.best[index]), **_shares(counts, index, given.recall_at)}
    if given.places:
        values["seen_in_place"] = given.places[index]
    return LevelRow(
        level.name, level.grid, level.stride, level.size_range, level.centers, level.clipped, level.exact, **values
    )


def _standing(anchors: Anchors, level: Level, index: int) -> dict[str, Any]:
    """Where the anchors of a level stand, and how large they are beside its receptive field."""
    x, y = anchors.center(index, (level.stride[1], level.stride[0]))
    at = y - 0.5, x - 0.5
    sizes = anchors.sizes[index]
    spans = (sizes / level.limit).max(axis=1)
    return {
        "anchor_center": at,
        "offset": tuple(tuple(at[axis] - c for c in level.centers[axis]) for axis in (0, 1)),
        "anchors": tuple((float(w), float(h)) for w, h in sizes),
        "anchor_share": (float(spans.min()), float(spans.max())),
    }


def _shares(counts: Counts, index: int, recall_at: Sequence[float]) -> dict[str, Any]:
    """How well the anchors of a level serve the boxes, those of all levels at -1."""
    n = counts.n
    return {
        "bpr": float(counts.reached[index]) / n,
        "aat": float(counts.above[index]) / n,
        "recall": {f"{t:g}": float(row[index]) / n for t, row in zip(recall_at, counts.recalled, strict=True)},
        "mean_iou": float(counts.iou[index]) / n,
    }


def _whole(given: _Given, rows: Sequence[LevelRow], notes: Sequence[str]) -> Report:
    anchors, boxes, counts, (height, width) = given.anchors, given.boxes, given.counts, given.size
    title = f"{given.analysis.network.name} at {height}x{width}"
    title += "" if anchors is None else f", anchors {anchors.name}"
    if boxes is not None:
        rule = "as they are" if boxes.rule == "none" else boxes.rule
        title += f", {len(boxes):,} boxes of {boxes.source} ({rule})"
    overall: dict[str, Any] = {}
    classes: tuple[SizeRow, ...] = ()
    bins: tuple[SizeRow, ...] = ()
    if counts is not None:
        overall = {"boxes": counts.n, "unseen": counts.unseen}
        overall |= {} if anchors is None else _shares(counts, -1, given.recall_at)
        names = ("small", "medium", "large")
        classes = _size_rows(counts.classes, [0.0, SMALL, LARGE, math.inf], anchors, names)
        bins = tuple(row for row in _size_rows(counts.bins, [0.0, *EDGES.tolist(), math.inf], anchors) if row.boxes)
    told = (*notes, *_resized(given), *_notes(given.levels, rows, anchors))
    return Report(title, tuple(rows), overall, classes, bins, () if boxes is None else boxes.rejected, told)


def _size_rows(
    table: npt.NDArray[np.float64], edges: Sequence[float], anchors: Anchors | None, names: Sequence[str] = ()
) -> tuple[SizeRow, ...]:
    rows = []
    for k, ((n, reached, recalled, iou, unseen), (low, high)) in enumerate(
        zip(table.tolist(), itertools.pairwise(edges), strict=True)
    ):
        name = names[k] if names else f"{low:.4g}..{high:.4g}"
        shares = (None,) * 3 if anchors is None or not n else (reached / n, recalled / n, iou / n)
        rows.append(SizeRow(name, low, high, int(n), int(unseen), *shares))
    return tuple(rows)


def _resized(given: _Given) -> list[str]:
    """What a network that resizes its own input does to anchors, which frameworks place in the resized one."""
    steps = [step for level in given.levels for step in level.stride if math.inf not in level.limit and step > 1]
    if not any(abs(step - round(step)) > 1e-6 for step in steps):
        return []
    network, nodes = given.analysis.network, [level.node for level in given.levels]
    resized = next((node for node in reversed([*network.needed(nodes)]) if node.op == "resize"), None)
    told = (
        "" if resized is None else f", or measure against it: wrt {resized.name!r}, {'x'.join(map(str, resized.shape))}"
    )
    return [
        f"strides are not whole: the network resizes its input, and anchors are in pixels of that; give it so{told}"
    ]


def _notes(levels: Sequence[Level], rows: Sequence[LevelRow], anchors: Anchors | None) -> list[str]:
    """What a reader of the table should not miss."""
    notes = [
        f"{level.name}: an over-approximation, some layers on the way are not exact"
        for level in levels
        if not level.exact
    ]
    notes += [f"{level.name}: every position sees the whole image" for level in levels if math.inf in level.limit]
    if anchors is None:
        return notes
    for row in rows:
        far = max((abs(v) for axis in row.offset or () for v in axis if not math.isnan(v)), default=0.0)
        if far > max(row.stride) / 2:
            notes.append(f"{row.level}: anchors stand up to {far:g} pixels from where the neurons look")
        if row.anchor_share is not None and row.anchor_share[1] > 1:
            notes.append(f"{row.level}: its largest anchor is {row.anchor_share[1]:.2f} times its receptive field")
    if not anchors.is_monotone():
        notes.append("the anchors' mean area does not grow from level to level; check their order")
    return notes
