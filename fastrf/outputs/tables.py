"""One table in every form: JSON, CSV, Markdown, text and pandas from one description of records and columns.

Where people read, what is unbounded is `inf` and what is unknown `-`; JSON has `null` for both; CSV says `inf` and
`nan`, and leaves what is missing empty. Numbers are never wrapped or cut: where a terminal is too narrow, headings are
broken between words, then columns are left out, which is said, and names are shortened in their middle.
"""

from __future__ import annotations

import json
import math
import sys
import textwrap
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from fastrf.errors import shown
from fastrf.outputs.texts import csv_rows, markdown_rows, markdown_text
from fastrf.system.extras import require

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Column", "Table", "agreed", "number", "plain", "share", "spans", "to_json", "wrapped"]

Record = Mapping[str, Any]

#: Names are not shortened below so many characters as long as a column can be left out instead.
_NAME = 24
_MARGIN, _GAP = 2, 3


class Column(NamedTuple):
    """A heading, and what of a record stands below it."""

    title: str
    show: Callable[[Record], str]


@dataclass(frozen=True)
class Table:
    """Records of equal keys, and the columns that people see of them: without `columns`, every key.

    `keys` are those of the records, for a table that may have none; `flat` writes cells of CSV by key. Within a
    terminal, the first `names` columns may be shortened, the first `left` stand on the left. `drop` are the columns
    that may be left out, the first of them first; without it, all but the first from the right, except those in `keep`.
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
        title = [*wrapped([self.title], width), ""] if self.title else []
        return "\n".join([*title, *self._lines(width), *wrapped(self.notes, width)])

    def _cells(self) -> tuple[list[str], list[list[str]]]:
        """The headings, and the rows below them."""
        if self.columns:
            return [c.title for c in self.columns], [[c.show(record) for c in self.columns] for record in self.records]
        keys = self.keys or (list(self.records[0]) if self.records else ())
        return list(keys), [[_told(record[key]) for key in keys] for record in self.records]

    def _lines(self, width: int | None) -> list[str]:
        """The table, then what was left out to keep it within the width; without a width, all of it."""
        header, rows = self._cells()
        columns = [[title, *(shown(row[k]) for row in rows)] for k, title in enumerate(header)]
        kept = {k: max(map(_width, column)) for k, column in enumerate(columns)}
        dropped: list[str] = []
        is_cut = False
        if width is not None and _total(kept.values()) > width:
            kept = {k: max(_narrowest(title), *map(_width, cells), 0) for k, (title, *cells) in enumerate(columns)}
            for name in reversed(header[1:]) if self.drop is None else self.drop:
                if _total(min(n, _NAME) if i < self.names else n for i, n in kept.items()) <= width:
                    break
                if name in header and name not in self.keep:
                    del kept[header.index(name)]
                    dropped.append(name)
            is_cut = self._shorten(kept, header, width)
        told = ["left out to fit the terminal: " + ", ".join(t for t in header if t in dropped)] if dropped else []
        told += ["names are shortened; --json, or a pipe, shows them whole"] if is_cut else []
        return [*self._drawn(columns, kept), *wrapped(told, width)]

    def _shorten(self, widths: dict[int, int], header: Sequence[str], width: int) -> bool:
        """Take what is too much from the columns of names, the widest first; whether there was any."""
        names, was = [k for k in widths if k < self.names], dict(widths)
        while names and _total(widths.values()) > width:
            widest = max(names, key=widths.__getitem__)
            if widths[widest] <= max(_narrowest(header[widest]), 4):
                break
            widths[widest] -= 1
        return widths != was

    def _drawn(self, columns: list[list[str]], widths: dict[int, int]) -> Iterator[str]:
        rule, dots = ("-", "..") if _is_ascii_only() else ("\u2500", "\u2026")
        heads = [textwrap.wrap(columns[k][0], max(n, 1), break_long_words=False) for k, n in widths.items()]
        height = max(map(len, heads), default=0)
        for line in zip(*([""] * (height - len(head)) + head for head in heads), strict=True):
            yield self._line(line, widths)
        if self.ruled:
            yield " " + rule * (_total(widths.values()) - 1)
        for row in range(1, 1 + len(self.records)):
            yield self._line([_middle(columns[k][row], n, dots) for k, n in widths.items()], widths)

    def _line(self, texts: Sequence[str], widths: dict[int, int]) -> str:
        parts = []
        for text, (k, n) in zip(texts, widths.items(), strict=True):
            space = " " * (n - _width(text))
            parts.append(text + space if k < self.left else space + text)
        return (" " * _MARGIN + (" " * _GAP).join(parts)).rstrip()


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


def wrapped(texts: Sequence[str], width: int | None) -> list[str]:
    """Sentences, broken between words where a terminal is narrower; what follows is indented."""
    if width is None:
        return [shown(text) for text in texts]
    fit = textwrap.TextWrapper(width, subsequent_indent="  ", break_long_words=False, break_on_hyphens=False)
    return [line for text in texts for line in fit.wrap(shown(text))]


def _is_ascii_only() -> bool:
    """Whether stdout cannot show the line under a heading."""
    try:
        "\u2500\u2026".encode(getattr(sys.stdout, "encoding", None) or "ascii")
    except (UnicodeEncodeError, LookupError):
        return True
    return False


def _total(widths: Iterable[int]) -> int:
    each = list(widths)
    return _MARGIN + _GAP * (len(each) - 1) + sum(each)


def _narrowest(title: str) -> int:
    """The longest word: headings are broken between words alone."""
    return max(map(_width, title.split()), default=0)


def _width(text: str) -> int:
    """How wide a terminal shows the text."""
    if text.isascii():
        return len(text)
    from rich.cells import cell_len

    return cell_len(text)


def _middle(text: str, width: int, dots: str) -> str:
    """The text without its middle where it is too wide: names of one module begin alike, and end in what they are."""
    if _width(text) <= width:
        return text
    start, end = text[: len(text) // 2], text[len(text) // 2 :]
    while end and _width(end) > (width - len(dots)) * 2 // 3:
        end = end[1:]
    while start and _width(start + dots + end) > width:
        start = start[:-1]
    return start + dots + end
