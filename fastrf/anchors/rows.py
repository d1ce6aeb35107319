"""Rows of a report: one for each level, and one for each size of boxes."""

from __future__ import annotations

from dataclasses import dataclass

from fastrf.anchors.forms.anchor_set import Pair

__all__ = ["LevelRow", "SizeRow"]

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
