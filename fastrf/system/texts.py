"""Texts that leave the process: names come from files of strangers, and are shown as they are, never obeyed.

A terminal obeys control characters, a spreadsheet formulas, Markdown pipes, brackets and HTML. Errors and every table
go through here.
"""

from __future__ import annotations

import csv
import html
import io
import re
from collections.abc import Iterable, Sequence
from typing import Any

from fastrf.errors import shown

__all__ = ["csv_cell", "csv_rows", "from_csv_cell", "html_rows", "html_text", "markdown_rows", "markdown_text"]

#: What a spreadsheet works out: text that begins so, unless it is made of numbers alone.
_FORMULA = re.compile(r"'*(?:[=@\t\r\n\uff1d\uff20\uff0b\uff0d]|[+-](?![-+\d.xinfae ]*\Z))")
_MARKDOWN = str.maketrans({"&": "&amp;", "<": "&lt;", **{c: f"\\{c}" for c in "\\|`[]"}})


def csv_cell(value: Any) -> Any:
    """A cell of CSV: text that a spreadsheet would work out stands behind a quote; numbers as they are."""
    if not isinstance(value, str):
        return value
    return f"'{shown(value)}" if _FORMULA.match(value) else shown(value)


def from_csv_cell(text: str) -> str:
    """What `csv_cell` made the cell of."""
    return text[1:] if text.startswith("'") and _FORMULA.match(text) else text


def csv_rows(rows: Iterable[Sequence[Any]]) -> str:
    """Rows as CSV."""
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows([csv_cell(value) for value in row] for row in rows)
    return text.getvalue()


def markdown_text(text: str) -> str:
    """The text as Markdown shows it."""
    return shown(text).translate(_MARKDOWN)


def markdown_rows(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A header and rows as a table in Markdown."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(map(markdown_text, line)) + " |" for line in lines)


def html_text(text: str) -> str:
    """The text as HTML shows it."""
    return html.escape(shown(text))


def html_rows(header: Sequence[str], rows: Iterable[Sequence[str]], left: int = 1, strong: str = "") -> str:
    """A header and rows as a table in HTML that suits light and dark pages, `left` columns on the left.

    Nothing is fetched and no style leaks: every cell bears its own. Headings may break, cells do not.
    """
    line = "border-bottom:1px solid rgba(128,128,128,.35)"
    looks = [
        f"padding:.15em .5em;text-align:{'left' if k < left else 'right'}" + ";font-weight:bold" * (title == strong)
        for k, title in enumerate(header)
    ]
    below = f"vertical-align:bottom;{line}"
    head = "".join(f'<th style="{look};{below}">{html_text(t)}</th>' for look, t in zip(looks, header, strict=True))
    looks = [f"{look};white-space:nowrap" for look in looks]
    body = "\n".join(
        "<tr>" + "".join(f'<td style="{k}">{html_text(t)}</td>' for k, t in zip(looks, row, strict=True)) + "</tr>"
        for row in rows
    )
    style = "border-collapse:collapse;font-variant-numeric:tabular-nums;background:transparent"
    return f'<table style="{style}">\n<thead><tr>{head}</tr></thead>\n<tbody>\n{body}\n</tbody>\n</table>'
