"""What a report holds: a row for each level and each size of boxes, and the whole. `tables` prints it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from fastrf.anchors.boxes.box_set import Rejected
from fastrf.anchors.forms.anchor_set import Pair

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["LevelRow", "Report", "SizeRow"]

#: The share of the boxes of a size that must be recalled for the size to count as covered.
COVERED = 0.5


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
