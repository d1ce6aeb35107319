"""Reports of anchors as text, Markdown, CSV, JSON and pandas. `rows.Report` calls it."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import asdict, fields
from typing import TYPE_CHECKING, Any

from fastrf.errors import shown
from fastrf.outputs.tabular import Table, ascii_only, wrapped
from fastrf.outputs.texts import csv_rows, markdown_rows
from fastrf.system.extras import require

if TYPE_CHECKING:
    import pandas as pd

    from fastrf.anchors.rows import LevelRow, Report, SizeRow

__all__ = ["to_csv", "to_json", "to_markdown", "to_pandas", "to_records", "to_text"]

#: A title and its rows, the first of them the header.
Titled = tuple[str, list[list[str]]]
#: What a narrow terminal is spared first, and last.
_DROPPED = ("mean IoU", "in range", "anchors above", "effective (4 sigma)", "grid", "share of field", "anchors")
_KEPT = ("stride", "receptive field", "centre", "off by", "sees", "BPR")


def to_records(report: Report) -> dict[str, Any]:
    """The report as mappings and lists that JSON holds."""
    plain: dict[str, Any] = _plain(asdict(report))
    plain["uncovered"] = [row.name for row in report.uncovered]
    return plain


def to_json(records: Any) -> str:
    """Mappings and lists as JSON."""
    return json.dumps(records, indent=1, allow_nan=False)


def to_csv(report: Report) -> str:
    """A row for each level."""
    rows = _flat_rows(report)
    return csv_rows([list(rows[0]) if rows else [], *(list(row.values()) for row in rows)])


def to_pandas(report: Report) -> pd.DataFrame:
    """A row for each level."""
    rows = []
    for row in report.levels:
        record = {field.name: getattr(row, field.name) for field in fields(row)}
        recall = record.pop("recall")
        rows.append(record | {f"recall_{t}": share for t, share in (recall or {}).items()})
    frame: pd.DataFrame = require("pandas", "sweep", "to_pandas").DataFrame(rows)
    return frame


def to_text(report: Report, width: int | None = None) -> str:
    """The tables as text of fixed width, within that of a terminal if one is given."""
    parts: list[str] = []
    for title, (header, *rows) in _tables(report):
        drop = list(dict.fromkeys([*_DROPPED, *(name for name in reversed(header[1:]) if name not in _KEPT)]))
        table = Table(header, rows, drop=drop)
        parts += [*wrapped([title], width), "", *table.lines(width, ascii_only=ascii_only()), ""]
    return "\n".join([*parts, *wrapped(_lines(report), width)]).rstrip("\n")


def to_markdown(report: Report) -> str:
    """The tables in Markdown."""
    parts = []
    for title, (header, *rows) in _tables(report):
        parts.append(f"**{title}**\n\n{markdown_rows(header, rows)}")
    parts += ["\n".join(f"- {line}" for line in _lines(report))]
    return "\n\n".join(part for part in parts if part)


def _lines(report: Report) -> list[str]:
    """What stands below the tables."""
    lines = [str(part) for part in report.rejected]
    if report.uncovered:
        names = ", ".join(f"{row.name} ({row.boxes})" for row in report.uncovered)
        lines.append(f"sizes of which less than half is recalled: {names}")
    return [shown(line) for line in (*lines, *report.notes)]


def _tables(report: Report) -> list[Titled]:
    tables = [(report.title, _level_table(report.levels))]
    if report.levels[0].anchors is not None or report.overall:
        tables.append(("Anchors and objects", _match_table(report)))
    if report.classes:
        has_anchors = any(row.recall is not None for row in report.classes)
        tables.append(("By size (root of the area, in the input's pixels)", _size_table(report.classes, has_anchors)))
    return tables


def _level_table(levels: Sequence[LevelRow]) -> list[list[str]]:
    """Where the neurons look, and where the anchors stand."""
    header = ["level", "grid", "stride", "receptive field", "cut by border", "effective (4 sigma)", "centre"]
    if levels[0].anchors is not None:
        header += ["anchors at", "off by"]
    rows = [header]
    for row in levels:
        sizes = [_number(high) if low == high else f"{_number(low)}..{_number(high)}" for low, high in row.size_range]
        effective = [f"{4 * sigma:.1f}" for sigma in row.effective_sigma or ()] or ["-"]
        cells = [row.level, "x".join(map(str, row.grid)), _same([_number(step) for step in row.stride]), _same(sizes)]
        cells += [_share(row.clipped), _same(effective), _same([_phases(axis) for axis in row.center])]
        if row.anchor_center is not None and row.offset is not None:
            cells += [_same([_number(v) for v in row.anchor_center]), _same([_phases(axis) for axis in row.offset])]
        rows.append(cells)
    return rows


def _match_table(report: Report) -> list[list[str]]:
    """Which objects each level and its anchors serve, and all of them together."""
    first, total = report.levels[0], report.overall
    thresholds = list(first.recall or {})
    header = ["level"]
    header += ["anchors", "share of field"] if first.anchors is not None else []
    in_place = first.seen_in_place is not None
    header += ["sees", *(["in place"] if in_place else []), "in range"] if total else []
    header += (
        ["best here", "BPR", "anchors above", *(f"IoU >= {t}" for t in thresholds), "mean IoU"] if thresholds else []
    )
    rows = [header, *(_match_cells(row) for row in report.levels)]
    if total:
        row = ["all", *(["", ""] if first.anchors is not None else []), f"{total['boxes'] - total['unseen']:,}"]
        row += ["", ""] if in_place else [""]
        if thresholds:
            shares = [_share(total["recall"][t]) for t in thresholds]
            row += [
                f"{total['boxes']:,}",
                _share(total["bpr"]),
                f"{total['aat']:.4f}",
                *shares,
                f"{total['mean_iou']:.4f}",
            ]
        rows.append(row)
    return rows


def _match_cells(row: LevelRow) -> list[str]:
    cells = [row.level]
    if row.anchors is not None and row.anchor_share is not None:
        low, high = row.anchor_share
        cells += [_anchors(row.anchors), f"{low:.3f}" if low == high else f"{low:.3f}..{high:.3f}"]
    if row.seen is not None:
        cells += [f"{n:,}" for n in (row.seen, row.seen_in_place, row.in_range) if n is not None]
    if row.recall is not None:
        shares = [_share(share) for share in row.recall.values()]
        cells += [f"{row.best:,}", _share(row.bpr), f"{row.aat:.4f}", *shares, f"{row.mean_iou:.4f}"]
    return cells


def _anchors(sizes: Sequence[tuple[float, float]]) -> str:
    """A few as they are, many by their number and the least and largest root of the area."""
    if len(sizes) <= 3:
        return " ".join(f"{_number(round(w, 1))},{_number(round(h, 1))}" for w, h in sizes)
    roots = [math.sqrt(w * h) for w, h in sizes]
    return f"{len(sizes)} of {min(roots):.4g}..{max(roots):.4g}"


def _size_table(rows: Sequence[SizeRow], has_anchors: bool) -> list[list[str]]:
    header = ["size", "from", "to", "boxes", "unseen", *(["BPR", "recall", "mean IoU"] if has_anchors else [])]
    cells = []
    for row in rows:
        line = [row.name, _number(row.low), _number(row.high), f"{row.boxes:,}", f"{row.unseen:,}"]
        if has_anchors:
            line += [_share(row.bpr), _share(row.recall), "-" if row.mean_iou is None else f"{row.mean_iou:.4f}"]
        cells.append(line)
    return [header, *cells]


def _share(value: float | None) -> str:
    return "-" if value is None else f"{value:.2%}"


def _same(values: Sequence[str]) -> str:
    """One value where both axes agree."""
    return values[0] if len(set(values)) == 1 else " x ".join(values)


def _phases(values: Sequence[float]) -> str:
    """The values of the phases, each once."""
    return "|".join(dict.fromkeys(_number(value) for value in values))


def _number(value: float) -> str:
    return "-" if math.isnan(value) else f"{value:.10g}"


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _flat_rows(report: Report) -> list[dict[str, Any]]:
    rows = []
    for row in report.levels:
        record = {field.name: _flat(getattr(row, field.name)) for field in fields(row) if field.name != "recall"}
        rows.append(record | {f"recall_{t}": share for t, share in (row.recall or {}).items()})
    return rows


def _flat(value: Any) -> Any:
    """Pairs by `x`, what nests deeper by spaces."""
    if isinstance(value, tuple):
        nested = any(isinstance(part, tuple) for part in value)
        return (" " if nested else "x").join(str(_flat(part)) for part in value)
    return "" if value is None else _number(value) if isinstance(value, float) else value
