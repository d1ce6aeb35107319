"""Tables as text: as wide as they are, or fitted to a terminal.

Numbers are never wrapped or cut. Where a terminal is too narrow, headings are broken between words, then columns are
left out, which is said, and names are shortened in their middle.
"""

from __future__ import annotations

import sys
import textwrap
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from fastrf.errors import shown

__all__ = ["Grid", "ascii_only", "wrapped"]

#: Names are not shortened below so many characters as long as a column can be left out instead.
_NAME = 24
_MARGIN, _GAP = 2, 3


@dataclass(frozen=True)
class Grid:
    """A header and rows of equal length.

    The first `names` columns may be shortened, the first `left` stand on the left. `drop` are the columns that may be
    left out, the first of them first; without it, all but the first from the right, except those in `keep`.
    """

    header: Sequence[str]
    rows: Sequence[Sequence[str]]
    names: int = 1
    left: int = 1
    drop: Sequence[str] | None = None
    keep: Sequence[str | None] = ()
    ruled: bool = True

    def lines(self, width: int | None = None, *, ascii_only: bool = False) -> list[str]:
        """The table, then what was left out to keep it within the width; without a width, all of it."""
        columns = [[title, *(shown(row[k]) for row in self.rows)] for k, title in enumerate(self.header)]
        kept = {k: max(map(_cells, column)) for k, column in enumerate(columns)}
        dropped: list[str] = []
        is_cut = False
        if width is not None and _total(kept.values()) > width:
            kept = {k: max(_narrowest(title), *map(_cells, cells), 0) for k, (title, *cells) in enumerate(columns)}
            for k in self._order():
                if _total(min(n, _NAME) if i < self.names else n for i, n in kept.items()) <= width:
                    break
                del kept[k]
                dropped.append(self.header[k])
            is_cut = self._shorten(kept, width)
        rule, dots = ("-", "..") if ascii_only else ("\u2500", "\u2026")
        told = ["left out to fit the terminal: " + ", ".join(t for t in self.header if t in dropped)] if dropped else []
        told += ["names are shortened; --json, or a pipe, shows them whole"] if is_cut else []
        return [*self._drawn(columns, kept, rule, dots), *wrapped(told, width)]

    def _order(self) -> list[int]:
        """Columns in the order in which they may be left out."""
        names = list(reversed(self.header[1:])) if self.drop is None else self.drop
        return [list(self.header).index(name) for name in names if name in self.header and name not in self.keep]

    def _shorten(self, widths: dict[int, int], width: int) -> bool:
        """Take what is too much from the columns of names, the widest first; whether there was any."""
        names, was = [k for k in widths if k < self.names], dict(widths)
        while names and _total(widths.values()) > width:
            widest = max(names, key=widths.__getitem__)
            if widths[widest] <= max(_narrowest(self.header[widest]), 4):
                break
            widths[widest] -= 1
        return widths != was

    def _drawn(self, columns: list[list[str]], widths: dict[int, int], rule: str, dots: str) -> Iterator[str]:
        heads = [textwrap.wrap(self.header[k], max(n, 1), break_long_words=False) for k, n in widths.items()]
        height = max(map(len, heads), default=0)
        for line in zip(*([""] * (height - len(head)) + head for head in heads), strict=True):
            yield self._line(line, widths)
        if self.ruled:
            yield " " + rule * (_total(widths.values()) - 1)
        for row in range(1, 1 + len(self.rows)):
            yield self._line([_middle(columns[k][row], n, dots) for k, n in widths.items()], widths)

    def _line(self, texts: Sequence[str], widths: dict[int, int]) -> str:
        parts = []
        for text, (k, n) in zip(texts, widths.items(), strict=True):
            space = " " * (n - _cells(text))
            parts.append(text + space if k < self.left else space + text)
        return (" " * _MARGIN + (" " * _GAP).join(parts)).rstrip()


def wrapped(texts: Sequence[str], width: int | None) -> list[str]:
    """Sentences, broken between words where a terminal is narrower; what follows is indented."""
    if width is None:
        return [shown(text) for text in texts]
    fit = textwrap.TextWrapper(width, subsequent_indent="  ", break_long_words=False, break_on_hyphens=False)
    return [line for text in texts for line in fit.wrap(shown(text))]


def ascii_only() -> bool:
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
    return max(map(_cells, title.split()), default=0)


def _cells(text: str) -> int:
    """How wide a terminal shows the text."""
    if text.isascii():
        return len(text)
    from rich.cells import cell_len

    return cell_len(text)


def _middle(text: str, width: int, dots: str) -> str:
    """The text without its middle where it is too wide: names of one module begin alike, and end in what they are."""
    if _cells(text) <= width:
        return text
    start, end = text[: len(text) // 2], text[len(text) // 2 :]
    while end and _cells(end) > (width - len(dots)) * 2 // 3:
        end = end[1:]
    while start and _cells(start + dots + end) > width:
        start = start[:-1]
    return start + dots + end
