"""One table in every form: JSON, CSV, Markdown, text and pandas from one description of records and columns.

Where people read, what is unbounded is `inf` and what is unknown `-`; JSON has `null` for both; CSV says `inf` and
`nan`, and leaves what is missing empty.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from fastrf.outputs.tabular import Grid, ascii_only, wrapped
from fastrf.outputs.texts import csv_rows, markdown_rows, markdown_text
from fastrf.system.extras import require

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Column", "Table", "agreed", "number", "plain", "share", "spans", "to_json"]

Record = Mapping[str, Any]


class Column(NamedTuple):
    """A heading, and what of a record stands below it."""

    title: str
    show: Callable[[Record], str]


@dataclass(frozen=True)
class Table:
    """Records of equal keys, and the columns that people see of them: without `columns`, every key.

    `keys` are those of the records, for a table that may have none; `flat` writes cells of CSV by key. `names`, `left`,
    `drop`, `keep` and `ruled` are as in `tabular.Grid`.
    """

    records: Sequence[Record]
    columns: Sequence[Column] = ()
    title: str = ""
    notes: Sequence[str] = ()
    keys: Sequence[str] = ()
    flat: Mapping[str, Callable[[Any], Any]] | None = None
    names: int = 1
    left: int = 1
    drop: Sequence[str] | None = None
    keep: Sequence[str | None] = ()
    ruled: bool = True

    def to(self, form: str, width: int | None = None) -> str:
        """As "json", "csv", "markdown" or a "table" within a terminal's width."""
        if form == "table":
            return self.to_text(width)
        forms: dict[str, Callable[[], str]] = {"json": self.to_json, "csv": self.to_csv, "markdown": self.to_markdown}
        return forms[form]()

    def to_records(self) -> list[dict[str, Any]]:
        """As mappings that JSON holds."""
        return [plain(dict(record)) for record in self.records]

    def to_json(self) -> str:
        """As a JSON list of mappings."""
        return to_json(self.to_records())

    def to_csv(self) -> str:
        """As CSV with a header: a few values by `x`, several such by spaces."""
        writers: Mapping[str, Callable[[Any], Any]] = self.flat or {}
        keys = self.keys or (list(self.records[0]) if self.records else ())
        return csv_rows([keys, *([writers.get(key, _flat)(r[key]) for key in keys] for r in self.records)])

    def to_pandas(self) -> pd.DataFrame:
        """As a `pandas.DataFrame`. Raises MissingExtraError without pandas."""
        frame: pd.DataFrame = require("pandas", "sweep", "to_pandas").DataFrame(list(map(dict, self.records)))
        return frame

    def to_markdown(self) -> str:
        """As a Markdown table, its notes below it."""
        return "\n\n".join([markdown_rows(*self._cells()), *map(markdown_text, self.notes)])

    def to_text(self, width: int | None = None) -> str:
        """As text with its title and notes: as wide as it is, or within a terminal's width."""
        grid = Grid(*self._cells(), self.names, self.left, self.drop, self.keep, self.ruled)
        title = [*wrapped([self.title], width), ""] if self.title else []
        return "\n".join([*title, *grid.lines(width, ascii_only=ascii_only()), *wrapped(self.notes, width)])

    def _cells(self) -> tuple[list[str], list[list[str]]]:
        """The headings, and the rows below them."""
        if self.columns:
            return [c.title for c in self.columns], [[c.show(record) for c in self.columns] for record in self.records]
        keys = self.keys or (list(self.records[0]) if self.records else ())
        return list(keys), [[_told(record[key]) for key in keys] for record in self.records]


def to_json(records: Any) -> str:
    """Plain mappings and lists as JSON."""
    return json.dumps(records, indent=1, allow_nan=False)


def plain(value: Any) -> Any:
    """Mappings and sequences as JSON has them; what it has no number for is None."""
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def number(value: float | None) -> str:
    """A number for people."""
    return "-" if value is None or math.isnan(value) else f"{value:.10g}"


def share(value: float | None, digits: int = 2) -> str:
    """A share in percent, for people."""
    return "-" if value is None or math.isnan(value) else f"{value:.{digits}%}"


def spans(pairs: Sequence[tuple[float, float]]) -> list[str]:
    """Smallest and largest values, one where they are equal."""
    return [number(high) if low == high else f"{number(low)}..{number(high)}" for low, high in pairs]


def agreed(values: Sequence[str]) -> str:
    """What axes have: one value where all agree."""
    return values[0] if len(set(values)) == 1 else " x ".join(values)


def _told(value: Any) -> str:
    return "-" if value is None or (isinstance(value, float) and math.isnan(value)) else str(value)


def _flat(value: Any) -> Any:
    """A cell of CSV."""
    if isinstance(value, tuple):
        nested = any(isinstance(part, tuple) for part in value)
        return (" " if nested else "x").join(f"{p:.10g}" if isinstance(p, float) else str(_flat(p)) for p in value)
    return "" if value is None else value
