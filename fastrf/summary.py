"""Summary: the table of an analysis, a row per node or per module, for people and for programs."""

from __future__ import annotations

import csv
import io
import json
import math
from dataclasses import asdict, dataclass, fields
from typing import TYPE_CHECKING, Any

from fastrf.errors import MissingExtraError

if TYPE_CHECKING:
    import pandas as pd
    from rich.table import Table

    from fastrf.analysis import Analysis
    from fastrf.field import ReceptiveField

__all__ = ["Row", "Summary"]

_TITLES = {
    "name": "layer",
    "op": "operator",
    "shape": "output shape",
    "parameters": "parameters",
    "macs": "MACs",
    "size": "receptive field",
    "stride": "stride",
    "padding": "padding",
    "start": "start",
    "clipped": "cut by border",
    "exact": "exact",
}


@dataclass(frozen=True)
class Row:
    """One node, or several folded into one.

    `size_range` holds `(smallest, largest)` over output phases and `size` the largest, per pixel axis, `inf` where
    unbounded; `clipped` is the share of positions whose field a border cuts; `approximate_at` lists the nodes on
    the way that are over-approximated.
    """

    name: str
    op: str
    shape: tuple[int, ...]
    parameters: int | None
    macs: int | None
    size: tuple[float, ...]
    size_range: tuple[tuple[float, float], ...]
    stride: tuple[float, ...]
    padding: tuple[float, ...]
    start: tuple[float, ...]
    clipped: float
    exact: bool
    approximate_at: tuple[str, ...]

    @classmethod
    def of(cls, name: str, op: str, costs: tuple[int | None, int | None], field: ReceptiveField) -> Row:
        """The row of a field."""
        return cls(
            name,
            op,
            field.shape,
            *costs,
            field.size,
            field.size_range,
            field.stride,
            field.padding,
            field.start,
            field.clipped_share,
            field.exact,
            field.approximate_at,
        )


@dataclass(frozen=True)
class Summary:
    """Rows in the network's order. `str()` is the table; `to_json`, `to_csv`, `to_markdown`, `to_pandas` the rest."""

    title: str
    rows: tuple[Row, ...]

    @classmethod
    def of(cls, analysis: Analysis, depth: int | None = None) -> Summary:
        """The summary of an analysis; `depth` folds nodes that share so many leading dotted parts of their name."""
        folded: dict[str, list[str]] = {}
        for node in analysis.network.nodes:
            if node.name in analysis:
                key = node.name if depth is None else ".".join(node.name.split(".")[:depth])
                folded.setdefault(key, []).append(node.name)
        rows = []
        for key, names in folded.items():
            members = [analysis.network.by_name[name] for name in names]
            op = members[0].op if len(members) == 1 else f"{len(members)} layers"
            costs = _total([m.parameters for m in members]), _total([m.macs for m in members])
            rows.append(Row.of(key, op, costs, analysis[names[-1]]))
        network = analysis.network
        title = f"{network.name}, {len(network.nodes)} layers, measured against {analysis.wrt!r} {_shape(analysis)}"
        return cls(title, tuple(rows))

    def __str__(self) -> str:
        from rich.console import Console

        console = Console(file=io.StringIO(), width=200, color_system=None)
        with console.capture() as capture:
            console.print(self.to_rich())
        return "\n".join(line.rstrip() for line in capture.get().splitlines())

    def to_rich(self) -> Table:
        """As a `rich.table.Table`."""
        from rich import box
        from rich.table import Table
        from rich.text import Text

        table = Table(title=Text(self.title), title_justify="left", box=box.SIMPLE_HEAD)
        for key, title in _TITLES.items():
            left = key in ("name", "op", "shape")
            table.add_column(title, justify="left" if left else "right", no_wrap=left, overflow="fold")
        for row in self.rows:
            table.add_row(*(Text(cell) for cell in _cells(row)))
        return table

    def to_markdown(self) -> str:
        """As a Markdown table."""
        lines = [list(_TITLES.values()), ["---"] * len(_TITLES), *(_cells(row) for row in self.rows)]
        return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines)

    def to_csv(self) -> str:
        """As CSV with a header; per-axis values are joined by `x`, unbounded is `inf`."""
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow([field.name for field in fields(Row)])
        for row in self.rows:
            writer.writerow([_flat(getattr(row, field.name)) for field in fields(Row)])
        return text.getvalue()

    def to_records(self) -> list[dict[str, Any]]:
        """As plain mappings; numbers that JSON does not have (unbounded) are None."""
        return [{key: _jsonable(value) for key, value in asdict(row).items()} for row in self.rows]

    def to_json(self) -> str:
        """As a JSON list of mappings, `null` where unbounded or unknown."""
        return json.dumps(self.to_records(), indent=1, allow_nan=False)

    def to_pandas(self) -> pd.DataFrame:
        """As a `pandas.DataFrame`. Raises MissingExtraError without pandas."""
        try:
            import pandas as pd
        except ImportError as error:
            raise MissingExtraError("to_pandas needs pandas; pip install 'fastrf[sweep]'") from error
        return pd.DataFrame([asdict(row) for row in self.rows])


def _total(values: list[int | None]) -> int | None:
    known = [value for value in values if value is not None]
    return sum(known) if len(known) == len(values) else None


def _shape(analysis: Analysis) -> str:
    from fastrf.analysis import shape_of

    return "x".join(map(str, shape_of(analysis.network, analysis.wrt)))


def _cells(row: Row) -> list[str]:
    """The row as people read it."""
    return [
        row.name,
        row.op,
        "x".join(map(str, row.shape)) or "scalar",
        "?" if row.parameters is None else f"{row.parameters:,}",
        "?" if row.macs is None else f"{row.macs:,}",
        _per_axis(
            [_number(high) if low == high else f"{_number(low)}..{_number(high)}" for low, high in row.size_range]
        ),
        _per_axis([_number(value) for value in row.stride]),
        _per_axis([_number(value) for value in row.padding]),
        _per_axis([_number(value) for value in row.start]),
        f"{row.clipped:.0%}" if row.clipped in (0, 1) else f"{row.clipped:.1%}",
        "yes" if row.exact else "no",
    ]


def _per_axis(values: list[str]) -> str:
    """One value where all axes agree."""
    return values[0] if len(set(values)) == 1 else " x ".join(values)


def _number(value: float) -> str:
    if math.isnan(value):
        return "-"
    return "inf" if value == math.inf else "-inf" if value == -math.inf else f"{value:.10g}"


def _jsonable(value: Any) -> Any:
    if isinstance(value, list | tuple):
        return [_jsonable(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value


def _flat(value: Any) -> Any:
    if isinstance(value, tuple):
        parts = (
            [f"{_flat(low)}..{_flat(high)}" for low, high in value] if value and isinstance(value[0], tuple) else value
        )
        return "x".join(str(part) for part in parts)
    return "" if value is None else value
