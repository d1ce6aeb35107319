"""One table in every form: JSON, CSV, Markdown, text and pandas from one description of records and columns.

Where people read, what is unbounded is `inf` and what is unknown `-`; JSON has `null` for both; CSV says `inf` and
`nan`, and leaves what is missing empty. Numbers are never wrapped or cut: where a terminal is too narrow, headings are
broken between words, long numbers and headings take their brief forms, then columns are left out, which is said, and
names are shortened in their middle.
"""

from __future__ import annotations

import json
import math
import re
import sys
import textwrap
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import zip_longest
from typing import TYPE_CHECKING, Any, NamedTuple

from fastrf.errors import UsageError, shown
from fastrf.system import VERSION
from fastrf.system.extras import require
from fastrf.system.texts import csv_rows, html_rows, html_text, markdown_rows, markdown_text

if TYPE_CHECKING:
    import pandas as pd

__all__ = [
    "Column",
    "Shown",
    "Table",
    "agreed",
    "brief_count",
    "count",
    "document",
    "number",
    "plain",
    "share",
    "spans",
    "spelled",
    "to_json",
    "wrapped",
]

Record = Mapping[str, Any]

#: Names are not shortened below so many characters as long as a column can be left out instead.
_NAME = 24
#: What is cut is not shorter than this as long as names can give way, what is folded not narrower.
_CUT, _FOLDED = 12, 14
_MARGIN, _GAP = 2, 3
#: Indices such as (11, 12) stay on one line: a letter that nobody writes stands for their spaces meanwhile.
_PLACE, _JOINED = re.compile(r"\(-?\d+(?:, -?\d+)*,?\)"), "\ue000"
#: Rows that a notebook shows.
_SHOWN = 300
_BOLD, _PLAIN = "\x1b[1m", "\x1b[0m"


class Column(NamedTuple):
    """A heading, and what of a record stands below it; the brief forms of both for a narrow terminal.

    `about` says below the table what the column holds, where the column is shown.
    """

    title: str
    show: Callable[[Record], str]
    brief: Callable[[Record], str] | None = None
    initials: str = ""
    about: str = ""


@dataclass(frozen=True)
class Table:
    """Records of equal keys, and the columns that people see of them: without `columns`, every key.

    `keys` are those of the records, for a table that may have none; `flat` writes cells of CSV by key. Within a
    terminal, the first `names` columns may be shortened, the first `left` stand on the left. `drop` are the columns
    that may be left out, the first of them first; without it, all but the first from the right, except those in `keep`.
    Columns of which every cell is `idle` go before anything else is done. `strong` is the heading of what people look
    for, in bold where a terminal shows it. With `cut`, cells of these columns are shortened, the first of them first,
    names not below half the terminal; those of `fold` stand on several lines before names are shortened further.
    `above` are records that only people see, before the others. `head` is what a JSON document says before its records,
    which stand there by the last key.
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
    idle: str | None = None
    strong: str = ""
    cut: Sequence[str] = ()
    fold: Sequence[str] = ()
    above: Sequence[Record] = ()
    head: Mapping[str, Any] | None = None

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
        """As a JSON list of mappings, or an object that holds it."""
        records = self.to_records()
        return to_json(records if self.head is None else {**plain(dict(self.head)), list(self.head)[-1]: records})

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

    def to_html(self) -> str:
        """As what a notebook shows: title, table and notes in HTML, with the first rows of very many."""
        header, rows = self._cells()
        more = [f"{len(rows) - _SHOWN:,} more rows"] if len(rows) > _SHOWN else []
        abouts = [f"{column.title}: {column.about}" for column in self._columns if column.about]
        said = [*more, *(["; ".join(abouts)] if abouts else []), *self.notes]
        told = "".join(f"<div>{html_text(text)}</div>" for text in said)
        title = f"<div><b>{html_text(self.title)}</b></div>" if self.title else ""
        table = html_rows(header, rows[:_SHOWN], self.left, self.strong)
        return f'<div style="overflow-x:auto">{title}{table}{told}</div>'

    def to_text(self, width: int | None = None, bold: bool = False) -> str:
        """As text with its title and notes: as wide as it is, or within a terminal's width."""
        title = [*wrapped([self.title], width), ""] if self.title else []
        return "\n".join([*title, *self._lines(width, bold), *wrapped(self.notes, width)])

    def only(self, titles: Sequence[str]) -> Table:
        """The table of some columns, in that order, of which none is left out. Raises UsageError for others."""
        known = {column.title: column for column in self._columns}
        for title in titles:
            if title not in known:
                raise UsageError(f"there is no column {title!r}; choose from {', '.join(known)}")
        return replace(self, columns=[known[title] for title in titles], drop=(), idle=None)

    def _cells(self) -> tuple[list[str], list[list[str]]]:
        """The headings, and the rows below them."""
        return [c.title for c in self._columns], [[c.show(record) for c in self._columns] for record in self._seen]

    @property
    def _columns(self) -> Sequence[Column]:
        keys = self.keys or (list(self.records[0]) if self.records else ())
        return self.columns or [Column(key, lambda record, key=key: _told(record[key])) for key in keys]  # type: ignore[misc]

    @property
    def _seen(self) -> list[Record]:
        return [*self.above, *self.records]

    def _lines(self, width: int | None, bold: bool) -> Iterator[str]:
        """The table, then what was left out to keep it within the width; without a width, all of it."""
        header, rows = self._cells()
        columns = [[title, *(spelled(shown(row[k])) for row in rows)] for k, title in enumerate(header)]
        kept = {k: max(map(_width, column)) for k, column in enumerate(columns)}
        told: list[str] = []
        if width is not None and _total(kept.values()) > width:
            told = self._fit(columns, kept, width)
        yield from self._drawn(columns, kept, header.index(self.strong) if bold and self.strong in header else None)
        abouts = [f"{c.title}: {c.about}" for k, c in enumerate(self._columns) if k in kept and c.about]
        yield from wrapped([*told, *(["; ".join(abouts)] if abouts else [])], width)

    def _fit(self, columns: list[list[str]], kept: dict[int, int], width: int) -> list[str]:
        """Make the columns narrower, or leave them out of those kept, until they fit; says what was done."""
        header = [title for title, *_ in columns]
        kept |= {k: max(_narrowest(title), *map(_width, cells), 0) for k, (title, *cells) in enumerate(columns)}

        def fits() -> bool:
            return _total(min(n, self._least(k, header[k], width)) for k, n in kept.items()) <= width

        idle = [k for k, (_, *cells) in enumerate(columns) if k >= self.names and set(cells) == {self.idle}]
        dropped = [kept.pop(k) and k for k in idle if not fits() or (self.cut and _total(kept.values()) > width)]
        brief = [] if fits() else self._briefly(columns, kept)
        for name in reversed(header[1:]) if self.drop is None else self.drop:
            if name in header and name not in self.keep and header.index(name) in kept and not fits():
                dropped.append(header.index(name))
                del kept[dropped[-1]]
        told = [f"{short}: {title}" for k, short, title in brief if k in kept]
        names = [f"{header[k]} (all {self.idle})" if k in idle else header[k] for k in sorted(dropped)]
        told += ["left out to fit the terminal: " + ", ".join(names)] if names else []
        is_cut = self._shorten(kept, header, width)
        return told + (["names are shortened; --json, or a pipe, shows them whole"] if is_cut else [])

    def _briefly(self, columns: list[list[str]], kept: dict[int, int]) -> list[tuple[int, str, str]]:
        """Put brief forms into the columns that have some; the headings that are initials now, and for what."""
        initials = []
        for k, column in enumerate(self._columns):
            if column.brief is not None:
                columns[k][1:] = [shown(column.brief(record)) for record in self._seen]
            if column.initials:
                columns[k][0] = column.initials
                initials.append((k, column.initials, column.title))
            if k in kept:
                kept[k] = max(_narrowest(columns[k][0]), *map(_width, columns[k][1:]), 0)
        return initials

    def _shorten(self, widths: dict[int, int], header: Sequence[str], width: int) -> bool:
        """Take what is too much from the columns of names, the widest first; whether there was any."""
        names, was = [k for k in widths if k < self.names], dict(widths)
        for title in filter(header.__contains__, (*self.cut, *self.fold)):
            k, over = header.index(title), _total(widths.values()) - width
            if k in widths and over > 0:
                widths[k] = max(widths[k] - over, min(widths[k], self._least(k, title, width)))
        was |= {k: n for k, n in widths.items() if header[k] in self.fold}
        while names and _total(widths.values()) > width:
            widest = max(names, key=widths.__getitem__)
            if widths[widest] <= max(_narrowest(header[widest]), 4):
                break
            widths[widest] -= 1
        return widths != was

    def _least(self, k: int, title: str, width: int) -> int:
        """How narrow a column may become before another is left out."""
        if k < self.names:
            return max(_NAME, width // 2) if self.cut else _NAME
        return _CUT if title in self.cut else _FOLDED if title in self.fold else sys.maxsize

    def _drawn(self, columns: list[list[str]], widths: dict[int, int], strong: int | None) -> Iterator[str]:
        rule, dots = ("-", "..") if _is_ascii_only() else ("\u2500", "\u2026")
        heads = [textwrap.wrap(columns[k][0], max(n, 1), break_long_words=False) for k, n in widths.items()]
        height = max(map(len, heads), default=0)
        for line in zip(*([""] * (height - len(head)) + head for head in heads), strict=True):
            yield self._line(line, widths, strong)
        yield " " + rule * (_total(widths.values()) - 1)
        for row in range(1, 1 + len(self._seen)):
            cells = [self._cell(k, columns[k][row], n, dots) for k, n in widths.items()]
            for line in zip_longest(*cells, fillvalue=""):
                yield self._line(line, widths, strong)

    def _cell(self, k: int, text: str, width: int, dots: str) -> list[str]:
        """The lines of a cell."""
        is_folded = self._columns[k].title in self.fold
        return (textwrap.wrap(text, max(width, 1)) if is_folded else []) or [_middle(text, width, dots)]

    def _line(self, texts: Sequence[str], widths: dict[int, int], strong: int | None) -> str:
        parts = []
        for text, (k, n) in zip(texts, widths.items(), strict=True):
            space = " " * (n - _width(text))
            told = f"{_BOLD}{text}{_PLAIN}" if k == strong and text else text
            parts.append(told + space if k < self.left else space + told)
        return (" " * _MARGIN + (" " * _GAP).join(parts)).rstrip()


class Shown:
    """An answer that is shown as its `table`, as text and in a notebook."""

    __slots__ = ()

    @property
    def table(self) -> Table:
        """The table that all forms are made of."""
        raise NotImplementedError

    def __repr__(self) -> str:
        return str(self)

    def __str__(self) -> str:
        return self.table.to_text()

    def _repr_html_(self) -> str:
        return self.table.to_html()


def to_json(records: Any) -> str:
    """Plain mappings and lists as JSON."""
    return json.dumps(records, indent=1, allow_nan=False)


def document(kind: str, **told: Any) -> dict[str, Any]:
    """A JSON document of fastrf's, which says what it is (`docs/json.md` has every key) and who wrote it."""
    return {"schema": f"fastrf.{kind}/1", "fastrf": VERSION, **told}


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


def count(value: float | None) -> str:
    """A count for people; `?` where it is unknown."""
    return "?" if value is None or math.isnan(value) else f"{value:,}"


def brief_count(value: float | None) -> str:
    """A count in three figures: 1.03G, 1.22M, 9.41k."""
    if value is None or math.isnan(value) or value < 1000:
        return count(value)
    power = min(int(math.log10(float(f"{value:.2e}"))) // 3, 5)
    scaled = value / 1000**power
    return f"{scaled:.{max(0, 2 - int(math.log10(float(f'{scaled:.2e}'))))}f}{'kMGTP'[power - 1]}"


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
    if isinstance(value, tuple):
        named = any(isinstance(part, str) for part in value)
        return ", ".join(map(str, value)) if named else "x".join(map(number, value))
    return "-" if value is None or (isinstance(value, float) and math.isnan(value)) else str(value)


def _flat(value: Any) -> Any:
    """A cell of CSV."""
    if isinstance(value, tuple):
        nested = any(isinstance(part, tuple) for part in value)
        return (" " if nested else "x").join(f"{p:.10g}" if isinstance(p, float) else str(_flat(p)) for p in value)
    return "" if value is None else value


def wrapped(texts: Sequence[str], width: int | None) -> list[str]:
    """Sentences, broken between words where a terminal is narrower; what follows is indented.

    Names that are wider themselves are shortened in their middle.
    """
    if width is None:
        return [spelled(shown(text)) for text in texts]
    fit = textwrap.TextWrapper(width, subsequent_indent="  ", break_long_words=False, break_on_hyphens=False)
    dots = ".." if _is_ascii_only() else "\u2026"
    whole = (_PLACE.sub(lambda place: place[0].replace(" ", _JOINED), spelled(shown(text))) for text in texts)
    words = [[_middle(word, max(width - 2, 1), dots) for word in text.split()] for text in whole]
    return [line.replace(_JOINED, " ") for told in words for line in fit.wrap(" ".join(told))]


def spelled(text: str) -> str:
    """The text, with letters that stdout's encoding does not have as Python writes them."""
    if text.isascii():
        return text
    encoding = getattr(sys.stdout, "encoding", None) or "ascii"
    try:
        return text.encode(encoding, "backslashreplace").decode(encoding)
    except LookupError:
        return text


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
