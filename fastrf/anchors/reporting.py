"""report(): which level sees which objects, where its anchors stand, and what they leave out.

Brings levels (`levels`), anchors (`forms`) and boxes (`boxes`) together; `tables` prints the result.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from fastrf.anchors.assignment.assigning import assign
from fastrf.anchors.boxes.box_set import Boxes, Rejected, read_boxes
from fastrf.anchors.forms.anchor_set import Anchors, Pair, read_anchors
from fastrf.anchors.levels import Level, levels_of
from fastrf.anchors.matching import EDGES, LARGE, SMALL, Counts, count
from fastrf.anchors.resizing import Resize, fitted
from fastrf.anchors.spread import Spread, spreads
from fastrf.errors import LimitError, UnsupportedOpError, UsageError

if TYPE_CHECKING:
    import pandas as pd

    from fastrf.analysis import Analysis

__all__ = ["LevelRow", "Report", "SizeRow", "input_pixels", "report"]

#: The share of the boxes of a size that must be recalled for the size to count as covered.
COVERED = 0.5
#: Boxes laid over exact masks at a time.
EXACT_CHUNK = 1 << 17


@dataclass(frozen=True)
class LevelRow:
    """One level. Pairs and per-axis members are (rows, columns), anchors (width, height), all in pixels.

    `size_range` is the smallest and largest receptive field over phases; `center` per phase the pixel index of the
    receptive field's centre at position 0 less its steps; `anchor_center` that of the anchors; `offset` how far these
    lie beyond the receptive field's centre, per phase. `anchor_share` is the smallest and largest anchor as a share of
    the receptive field, on the axis where it is larger. `clipped` is the share of positions that a border cuts.
    The `effective_` members are those of `spread.Spread`, None where weights depend on data or were not asked for.

    Of the boxes: `seen` fit into the receptive field of every position, `seen_in_place` lie wholly in the exact mask of
    some position, where they are (None unless asked for), `in_range` lie in the range that the anchors
    name for the level (or are seen, where they name none), `best` have their best anchor here. `bpr` is the share with
    an anchor here that is off by less than the threshold on both sides, `aat` how many such anchors a box has, `recall`
    by threshold the share whose best shape IoU here is so high, `mean_iou` the mean of that. None without anchors or
    boxes.
    """

    level: str
    grid: tuple[int, int]
    stride: Pair
    size_range: tuple[Pair, Pair]
    center: tuple[tuple[float, ...], tuple[float, ...]]
    clipped: float
    exact: bool
    effective_sigma: Pair | None = None
    effective_radius: Pair | None = None
    effective_fraction: Pair | None = None
    effective_center: Pair | None = None
    anchor_center: Pair | None = None
    offset: tuple[tuple[float, ...], tuple[float, ...]] | None = None
    anchors: tuple[Pair, ...] | None = None
    anchor_share: Pair | None = None
    seen: int | None = None
    seen_in_place: int | None = None
    in_range: int | None = None
    best: int | None = None
    bpr: float | None = None
    aat: float | None = None
    recall: dict[str, float] | None = None
    mean_iou: float | None = None


@dataclass(frozen=True)
class SizeRow:
    """Boxes whose root of the area lies in `[low, high)`: how many, and how well anchors and levels serve them.

    `unseen` are larger than any receptive field; `bpr`, `recall` (at the first threshold) and `mean_iou` are None
    without anchors.
    """

    name: str
    low: float
    high: float
    boxes: int
    unseen: int
    bpr: float | None
    recall: float | None
    mean_iou: float | None

    @property
    def covered(self) -> bool:
        """Whether half of the boxes or more are recalled."""
        return self.recall is None or self.recall >= COVERED


@dataclass(frozen=True, repr=False)
class Report:
    """What `report` found: `levels`, and over all of them `overall`, `classes` (small, medium, large) and `bins`.

    `overall` holds `boxes`, `unseen` (larger than any receptive field), `bpr`, `aat`, `recall` by threshold and
    `mean_iou`; `rejected` what was wrong with boxes; `notes` what to look at. `str()` is the tables.
    """

    title: str
    levels: tuple[LevelRow, ...]
    overall: dict[str, Any]
    classes: tuple[SizeRow, ...]
    bins: tuple[SizeRow, ...]
    rejected: tuple[Rejected, ...]
    notes: tuple[str, ...]

    @property
    def uncovered(self) -> tuple[SizeRow, ...]:
        """The bins of which less than half of the boxes are recalled."""
        return tuple(row for row in self.bins if not row.covered)

    def __str__(self) -> str:
        return self.to_text()

    def __repr__(self) -> str:
        return str(self)

    def to_text(self, width: int | None = None) -> str:
        """As tables: as wide as they are, or within a terminal's width, for which columns are left out."""
        from fastrf.anchors import tables

        return tables.to_text(self, width)

    def to_records(self) -> dict[str, Any]:
        """As plain mappings and lists; numbers that JSON does not have (unbounded) are None."""
        from fastrf.anchors import tables

        return tables.to_records(self)

    def to_json(self) -> str:
        """As JSON, `null` where unbounded or unknown."""
        from fastrf.anchors import tables

        return tables.to_json(self.to_records())

    def to_csv(self) -> str:
        """The levels as CSV with a header; several values in a cell are joined by spaces, pairs by `x`."""
        from fastrf.anchors import tables

        return tables.to_csv(self)

    def to_markdown(self) -> str:
        """As Markdown tables."""
        from fastrf.anchors import tables

        return tables.to_markdown(self)

    def to_pandas(self) -> pd.DataFrame:
        """The levels as a `pandas.DataFrame`. Raises MissingExtraError without pandas."""
        from fastrf.anchors import tables

        return tables.to_pandas(self)


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
    progress: Callable[[int, int], None] | None = None,
) -> Report:
    """How levels, anchors and objects fit: see `Report`.

    `levels` names nodes, `anchors` is anything that `read_anchors` takes and `boxes` anything that `read_boxes` takes;
    either can be left out. Boxes are brought to the input's pixels by `resize` (default: letterboxed where the source
    holds image sizes, otherwise they are in the input's pixels already). `threshold` is how many times a box may
    differ from an anchor, on both sides (YOLO's `anchor_t`), `recall_at` the shape IoUs of which recall is reported,
    the first by size, too; `effective=False` leaves the effective receptive fields out. With `exact`, boxes are laid
    over the exact masks of all positions, holes and borders included (`assign`). `progress(done, total)` is called as
    boxes are counted.

    Best possible recall and anchors above threshold follow ultralytics' autoanchor: sizes alone, positions apart.
    Shape IoU is that of a box and an anchor with the same centre. Raises UnknownNodeError or NetworkError for a level
    that is no feature map, FormatError for anchors or boxes that cannot be read, UsageError for thresholds.
    """
    if not threshold > 1 or not math.isfinite(threshold):
        raise UsageError(f"threshold {threshold} must be above 1: how many times a box may differ from an anchor")
    if not recall_at or not all(0 < least <= 1 for least in recall_at):
        raise UsageError(f"recall_at {recall_at} must be shape IoUs above 0, at most 1")
    found = levels_of(analysis, levels)
    size = input_pixels(analysis)
    table = None if anchors is None else read_anchors(anchors, found, size)
    if table is not None:
        table.check(found)
    objects = None if boxes is None else fitted(read_boxes(boxes), size, resize)
    counts = None if objects is None else count(objects.sizes, found, table, threshold, recall_at, progress)
    spread, notes = _spreads(analysis, found) if effective else ((), [])
    rows = [_row(found, k, spread, table, counts, recall_at) for k in range(len(found))]
    if exact and objects is not None:
        places = _seen_in_place(analysis, found, objects)
        rows = [replace(row, seen_in_place=n) for row, n in zip(rows, places, strict=True)]
    title = f"{analysis.network.name} at {size[0]}x{size[1]}"
    title += "" if table is None else f", anchors {table.name}"
    title += "" if objects is None else f", {len(objects):,} boxes of {objects.source} ({_rule(objects)})"
    return Report(
        title,
        tuple(rows),
        _overall(counts, table, recall_at),
        _size_rows(counts, table, [0.0, SMALL, LARGE, math.inf], ("small", "medium", "large")),
        tuple(row for row in _size_rows(counts, table, [0.0, *EDGES.tolist(), math.inf]) if row.boxes),
        () if objects is None else objects.rejected,
        (*notes, *_notes(found, rows, table)),
    )


def input_pixels(analysis: Analysis) -> tuple[int, int]:
    """(rows, columns) of the input that the levels are measured against."""
    shape = analysis.network.shape_of(analysis.wrt)
    channel = analysis.network.channel_axis_of(analysis.wrt)
    rows, columns = (n for axis, n in enumerate(shape) if axis != channel)
    return rows, columns


def _spreads(analysis: Analysis, levels: Sequence[Level]) -> tuple[tuple[Spread, ...], list[str]]:
    """The effective fields, or a note why there are none."""
    try:
        return spreads(analysis, levels), []
    except (UnsupportedOpError, LimitError) as error:
        return (), [f"no effective receptive fields: {error}"]


def _seen_in_place(analysis: Analysis, levels: Sequence[Level], boxes: Boxes) -> list[int]:
    """Per level, how many boxes some position's exact mask holds wholly."""
    corners, nodes = boxes.corners, [level.node for level in levels]
    parts = [corners[k : k + EXACT_CHUNK] for k in range(0, len(corners), EXACT_CHUNK)]
    totals = sum((assign(analysis, nodes, part).counts > 0).sum(axis=0) for part in parts)
    return [int(n) for n in np.asarray(totals)]


def _rule(boxes: Boxes) -> str:
    return "as they are" if boxes.rule == "none" else boxes.rule


def _row(
    levels: Sequence[Level],
    index: int,
    spread: Sequence[Spread],
    anchors: Anchors | None,
    counts: Counts | None,
    recall_at: Sequence[float],
) -> LevelRow:
    level = levels[index]
    values: dict[str, Any] = {f"effective_{k}": v for k, v in (asdict(spread[index]) if spread else {}).items()}
    if anchors is not None:
        x, y = anchors.center(index, (level.stride[1], level.stride[0]))
        at = y - 0.5, x - 0.5
        sizes = anchors.sizes[index]
        spans = (sizes / level.limit).max(axis=1)
        values |= {
            "anchor_center": at,
            "offset": tuple(tuple(at[axis] - c for c in level.centers[axis]) for axis in (0, 1)),
            "anchors": tuple((float(w), float(h)) for w, h in sizes),
            "anchor_share": (float(spans.min()), float(spans.max())),
        }
    if counts is not None:
        values |= {"seen": int(counts.seen[index]), "in_range": int(counts.in_range[index])}
    if anchors is not None and counts is not None:
        n = counts.n
        values |= {
            "best": int(counts.best[index]),
            "bpr": float(counts.reached[index]) / n,
            "aat": float(counts.above[index]) / n,
            "recall": {f"{t:g}": float(counts.recalled[k, index]) / n for k, t in enumerate(recall_at)},
            "mean_iou": float(counts.iou[index]) / n,
        }
    return LevelRow(
        level.name, level.grid, level.stride, level.size_range, level.centers, level.clipped, level.exact, **values
    )


def _overall(counts: Counts | None, anchors: Anchors | None, recall_at: Sequence[float]) -> dict[str, Any]:
    if counts is None:
        return {}
    found: dict[str, Any] = {"boxes": counts.n, "unseen": counts.unseen}
    if anchors is not None:
        found |= {
            "bpr": counts.all_reached / counts.n,
            "aat": float(counts.above.sum()) / counts.n,
            "recall": {f"{t:g}": float(counts.all_recalled[k]) / counts.n for k, t in enumerate(recall_at)},
            "mean_iou": counts.all_iou / counts.n,
        }
    return found


def _size_rows(
    counts: Counts | None, anchors: Anchors | None, edges: Sequence[float], names: Sequence[str] = ()
) -> tuple[SizeRow, ...]:
    if counts is None:
        return ()
    table = counts.classes if names else counts.bins
    rows = []
    for k, (n, reached, recalled, iou, unseen) in enumerate(table.tolist()):
        low, high = edges[k], edges[k + 1]
        name = names[k] if names else f"{low:.4g}..{high:.4g}"
        shares = (None,) * 3 if anchors is None or not n else (reached / n, recalled / n, iou / n)
        rows.append(SizeRow(name, low, high, int(n), int(unseen), *shares))
    return tuple(rows)


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
