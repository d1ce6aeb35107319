"""What a report of anchors holds: rows of levels and of sizes of boxes, and the tables made of them."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

from fastrf.anchors.boxes.box_set import Rejected
from fastrf.anchors.forms.anchor_set import Pair
from fastrf.errors import UsageError
from fastrf.system.tables import Column, Table, agreed, document, number, plain, share, spans, to_json, wrapped
from fastrf.system.texts import html_text, markdown_text

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["LevelRow", "Report", "SizeRow"]

#: The share of the boxes of a size that must be recalled for the size to count as covered.
COVERED = 0.5
#: More phases than these are told by their ends.
MANY = 4
#: What a narrow terminal is spared first, and last.
_DROPPED = ("mean IoU", "in range", "anchors above", "effective (4 sigma)", "grid", "share of field", "anchors")
_KEPT = ("stride", "receptive field", "centre", "off by", "sees", "BPR")


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

    def __repr__(self) -> str:
        return self.to_text()

    def _repr_html_(self) -> str:
        told = "".join(f"<div>{html_text(line)}</div>" for line in self._told())
        return "".join(table.to_html() for table in self._tables()) + told

    def to_text(
        self, width: int | None = None, *, explained: bool = True, bold: bool = False, columns: Sequence[str] = ()
    ) -> str:
        """As tables: as wide as they are, or within a terminal's width, for which columns are left out.

        What a column holds is told below its table, unless they need not be `explained`; `bold` is for terminals that
        know it. `columns` chooses some by their headings; raises UsageError for one that no table has.
        """
        tables = _chosen(self._tables(), columns)
        if not explained:
            tables = [replace(table, columns=[c._replace(about="") for c in table.columns]) for table in tables]
        parts = [*(table.to_text(width, bold) for table in tables), "\n".join(wrapped(self._told(), width))]
        return "\n\n".join(filter(None, parts))

    def to_records(self) -> dict[str, Any]:
        """As plain mappings and lists; numbers that JSON does not have (unbounded) are None."""
        return {**plain(asdict(self)), "uncovered": [row.name for row in self.uncovered]}

    def to_json(self) -> str:
        """As JSON, `null` where unbounded or unknown."""
        return to_json(document("anchors", **self.to_records()))

    def to_csv(self) -> str:
        """The levels as CSV with a header; several values in a cell are joined by spaces, pairs by `x`."""
        return Table(list(map(_record, self.levels))).to_csv()

    def to_markdown(self) -> str:
        """As Markdown tables."""
        tables = [f"**{markdown_text(table.title)}**\n\n{table.to_markdown()}" for table in self._tables()]
        told = "\n".join(f"- {markdown_text(line)}" for line in self._told())
        return "\n\n".join(filter(None, [*tables, told]))

    def to_pandas(self) -> pd.DataFrame:
        """The levels as a `pandas.DataFrame`. Raises MissingExtraError without pandas."""
        return Table(list(map(_record, self.levels))).to_pandas()

    def _told(self) -> list[str]:
        """What stands below the tables."""
        names = ", ".join(f"{row.name} ({row.boxes})" for row in self.uncovered)
        uncovered = [f"sizes of which less than half is recalled: {names}"] if names else []
        return [*map(str, self.rejected), *uncovered, *self.notes]

    def _tables(self) -> list[Table]:
        rows, classes = list(map(vars, self.levels)), list(map(vars, self.classes))
        total = []
        if self.overall:  # all levels together as one of the rows
            boxes, unseen = self.overall["boxes"], self.overall["unseen"]
            total = [{**self.overall, "level": "all", "seen": boxes - unseen, "best": boxes}]
        recall = [("recall", _recall(least, k == 0)) for k, least in enumerate(self.levels[0].recall or ())]
        tables = [
            Table(rows, _known(_LEVEL, rows), self.title, strong="receptive field"),
            Table([*rows, *total], _known([*_MATCH, *recall, *_MEAN], rows), "Anchors and objects"),
            Table(classes, _known(_SIZE, classes), "By size (root of the area, in the input's pixels)"),
        ]
        return [replace(table, drop=_dropped(table)) for table in tables if len(table.columns) > 1]


def _chosen(tables: list[Table], titles: Sequence[str]) -> list[Table]:
    """The tables that have some of these columns, with those alone."""
    known = list(dict.fromkeys(column.title for table in tables for column in table.columns))
    unknown = [title for title in titles if title not in known]
    if unknown:
        raise UsageError(f"there is no column {unknown[0]!r}; choose from {', '.join(known)}")
    own = [[title for title in titles if title in {c.title for c in table.columns}] for table in tables]
    return [table.only(some) for table, some in zip(tables, own, strict=True) if some] if titles else tables


def _known(columns: Iterable[tuple[str, Column]], rows: Sequence[Mapping[str, Any]]) -> list[Column]:
    """The columns of what is known of any row."""
    return [column for key, column in columns if any(row[key] is not None for row in rows)]


def _dropped(table: Table) -> list[str]:
    """Columns in the order in which a narrow terminal is spared them."""
    titles = [column.title for column in table.columns]
    return list(dict.fromkeys([*_DROPPED, *(title for title in reversed(titles[1:]) if title not in _KEPT)]))


def _record(row: LevelRow) -> dict[str, Any]:
    """A level with a column for each threshold."""
    record = {key: value for key, value in vars(row).items() if key != "recall"}
    return record | {f"recall_{threshold}": found for threshold, found in (row.recall or {}).items()}


def _count(title: str, key: str, about: str) -> tuple[str, Column]:
    return key, Column(title, lambda record: "" if record.get(key) is None else f"{record[key]:,}", about=about)


def _decimals(title: str, key: str, about: str) -> tuple[str, Column]:
    return key, Column(title, lambda record: "-" if record[key] is None else f"{record[key]:.4f}", about=about)


def _share(title: str, key: str, about: str) -> tuple[str, Column]:
    return key, Column(title, lambda record: share(record[key]), about=about)


def _recall(threshold: str, first: bool) -> Column:
    """The share of objects that reach an IoU; explained once."""
    about = "objects that the best anchor of the same centre overlaps with so high an IoU" if first else ""
    return Column(f"IoU >= {threshold}", lambda record: share(record["recall"][threshold]), about=about)


def _anchors(sizes: Sequence[tuple[float, float]] | None) -> str:
    """A few as they are, many by their number and the least and largest root of the area."""
    if sizes is None:
        return ""
    if len(sizes) <= 3:
        return " ".join(f"{number(round(w, 1))},{number(round(h, 1))}" for w, h in sizes)
    roots = [math.sqrt(w * h) for w, h in sizes]
    return f"{len(sizes)} of {min(roots):.4g}..{max(roots):.4g}"


def _share_of_field(pair: tuple[float, float] | None) -> str:
    return "" if pair is None else f"{pair[0]:.3f}" if pair[0] == pair[1] else f"{pair[0]:.3f}..{pair[1]:.3f}"


def _place(value: float) -> str:
    """A place in pixels, to a hundredth."""
    return number(round(value, 2))


def _phases(axes: Sequence[Sequence[float]]) -> str:
    """Per axis the values of its phases, each once; of many the smallest and the largest."""
    told = []
    for phases in axes:
        values = list(dict.fromkeys(map(_place, phases)))
        told.append("|".join(values) if len(values) <= MANY else f"{_place(min(phases))}..{_place(max(phases))}")
    return agreed(told)


def _effective(sigma: Sequence[float] | None) -> str:
    return agreed([f"{4 * value:.1f}" for value in sigma or ()] or ["-"])


#: Where the neurons of a level look, and where its anchors stand. Each column is there where a member is known.
_LEVEL = (
    ("level", Column("level", lambda r: str(r["level"]))),
    ("grid", Column("grid", lambda r: "x".join(map(str, r["grid"])), about="positions, rows by columns")),
    (
        "stride",
        Column("stride", lambda r: agreed([number(step) for step in r["stride"]]), about="pixels from one to the next"),
    ),
    (
        "size_range",
        Column("receptive field", lambda r: agreed(spans(r["size_range"])), about="pixels that a position sees"),
    ),
    _share("cut by border", "clipped", "positions whose field reaches beyond the input"),
    (
        "level",
        Column(
            "effective (4 sigma)",
            lambda r: _effective(r["effective_sigma"]),
            about="where the weight of the paths is, untrained",
        ),
    ),
    (
        "center",
        Column("centre", lambda r: _phases(r["center"]), about="the pixel that position 0 looks at, by phase (a|b)"),
    ),
    (
        "anchor_center",
        Column(
            "anchors at",
            lambda r: agreed([_place(place) for place in r["anchor_center"]]),
            about="the pixel that its anchors stand at",
        ),
    ),
    ("offset", Column("off by", lambda r: _phases(r["offset"]), about="that less the centre, in pixels")),
)
#: Which objects each level and its anchors serve; recall by threshold follows, then the mean.
_MATCH = (
    _LEVEL[0],
    ("anchors", Column("anchors", lambda r: _anchors(r.get("anchors")), about="width,height in pixels")),
    (
        "anchor_share",
        Column(
            "share of field",
            lambda r: _share_of_field(r.get("anchor_share")),
            about="the anchors' longer side by the receptive field",
        ),
    ),
    _count("sees", "seen", "objects that fit into the receptive field of every position"),
    _count("in place", "seen_in_place", "objects that lie in the exact mask of some position, where they are"),
    _count("in range", "in_range", "objects in the range that the anchors name, or that fit"),
    _count("best here", "best", "objects whose best anchor is here"),
    _share("BPR", "bpr", "best possible recall: objects with an anchor off by less than the threshold (4) times"),
    _decimals("anchors above", "aat", "such anchors for an object"),
)
_MEAN = (_decimals("mean IoU", "mean_iou", "of objects and their best anchors of the same centre"),)
#: How boxes of a size are served.
_SIZE = (
    ("name", Column("size", lambda r: str(r["name"]))),
    ("low", Column("from", lambda r: number(r["low"]))),
    ("high", Column("to", lambda r: number(r["high"]))),
    _count("boxes", "boxes", ""),
    _count("unseen", "unseen", "larger than any receptive field"),
    _share("BPR", "bpr", ""),
    _share("recall", "recall", "at the first IoU above"),
    _decimals("mean IoU", "mean_iou", ""),
)
