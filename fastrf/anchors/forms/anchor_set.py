"""Anchors: sizes per level and where they stand, whatever form they came in.

`readers` makes them of the forms that frameworks use, `snippets` writes those.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from fastrf.anchors.forms import snippets
from fastrf.errors import FormatError

if TYPE_CHECKING:
    from fastrf.anchors.levels import Level

__all__ = ["Anchors", "make_anchors"]

FloatArray = npt.NDArray[np.float64]
Pair = tuple[float, float]

#: More anchors at one position are a mistake.
MAX_PER_LEVEL = 1000


@dataclass(frozen=True, eq=False)
class Anchors:
    """Anchors of each level.

    `sizes` holds float64[k, 2] per level: width, height in pixels of the network's input. The anchors of position
    (0, 0) are centred at `centers` per level, (x, y) in continuous coordinates, where 0.5 is the centre of pixel 0;
    without them at `center_offset` strides. `strides` are (x, y) per level where the form has them, `ranges` the
    longer sides `[low, high)` of the objects that a level is for.
    """

    name: str
    sizes: tuple[FloatArray, ...]
    center_offset: float = 0.5
    centers: tuple[Pair, ...] | None = None
    strides: tuple[Pair, ...] | None = None
    ranges: tuple[Pair, ...] | None = None

    def __len__(self) -> int:
        return len(self.sizes)

    def __repr__(self) -> str:
        return f"Anchors({self.name!r}, {[len(sizes) for sizes in self.sizes]} per level)"

    @property
    def flat(self) -> FloatArray:
        """float64[n, 2]: all of them, level by level."""
        return np.concatenate(self.sizes)

    def center(self, index: int, stride: Pair) -> Pair:
        """(x, y) of the anchors of position (0, 0) of a level in continuous coordinates; `stride` is (x, y)."""
        if self.centers is not None:
            return self.centers[index]
        return self.center_offset * stride[0], self.center_offset * stride[1]

    def on(self, levels: Sequence[Level], centers: Sequence[Pair] | None = None) -> Anchors:
        """The same sizes standing where the neurons look: at the centres of the receptive fields, or at `centers`.

        The mean over phases; half a stride where a receptive field is unbounded. Raises FormatError where the number
        of levels differs.
        """
        self.check(levels)
        strides = tuple((level.stride[1], level.stride[0]) for level in levels)
        if centers is None:
            centers = [level.center or (step[0] / 2, step[1] / 2) for level, step in zip(levels, strides, strict=True)]
        return replace(self, centers=tuple(centers), strides=strides)

    def check(self, levels: Sequence[Level]) -> None:
        """Raise FormatError unless there are anchors for just these levels, with their strides."""
        if len(levels) != len(self.sizes):
            raise FormatError(
                f"anchors {self.name!r} are for {len(self.sizes)} levels, but {len(levels)} are named: "
                f"{', '.join(level.name for level in levels)}"
            )
        for level, stride in zip(levels, self.strides or (), strict=bool(self.strides)):
            if (level.stride[1], level.stride[0]) != stride:
                raise FormatError(
                    f"anchors {self.name!r} have stride {stride[0]:g} for level {level.name!r}, whose stride is "
                    f"{level.stride[1]:g}; name the levels in the anchors' order"
                )

    def is_monotone(self) -> bool:
        """Whether the mean area grows from level to level."""
        areas = [float(sizes.prod(axis=1).mean()) for sizes in self.sizes]
        return all(low <= high for low, high in itertools.pairwise(areas))

    def to_form(self, form: str) -> str:
        """What to paste: `form` is "torchvision", "mmdetection", "yolo" or "lffd".

        Raises UsageError for another form, FormatError where the form cannot hold them.
        """
        return snippets.snippet(self._placed, form)

    def to_torchvision(self) -> Any:
        """A torchvision `AnchorGenerator` with these anchors, centred where these are; needs torchvision.

        Raises MissingExtraError without it.
        """
        return snippets.torchvision_generator(self._placed)

    @property
    def _placed(self) -> snippets.Placed:
        """Where they stand as far as it is known; without strides nothing but the origin can be said."""
        steps = self.strides or ((0.0, 0.0),) * len(self)
        centers = tuple(self.center(k, step) for k, step in enumerate(steps))
        return snippets.Placed(self.name, self.sizes, centers, self.strides, self.ranges)


def make_anchors(name: str, sizes: Sequence[Any], **rest: Any) -> Anchors:
    """Anchors from a list of widths and heights per level; a number stands for a square. Raises FormatError."""
    if not sizes:
        raise FormatError(f"anchors {name!r}: no level has any")
    checked = []
    for index, level in enumerate(sizes):
        try:
            table = np.asarray([(v, v) if np.ndim(v) == 0 else v for v in level], np.float64)
        except (TypeError, ValueError, OverflowError) as error:
            raise FormatError(f"anchors {name!r}, level {index}: not numbers ({error})") from error
        if table.ndim != 2 or table.shape[1] != 2:
            raise FormatError(f"anchors {name!r}, level {index}: needs pairs of width and height, not {level!r:.60}")
        if len(table) > MAX_PER_LEVEL:
            raise FormatError(f"anchors {name!r}, level {index}: {len(table)}, more than {MAX_PER_LEVEL}")
        bad = np.flatnonzero(~((table >= 1e-6) & (table <= 1e9)).all(axis=1))
        if bad.size:
            width, height = table[bad[0]]
            raise FormatError(
                f"anchors {name!r}, level {index}: anchor {bad[0]} is {width:g} x {height:g}; sizes are positive pixels"
            )
        checked.append(table)
    return Anchors(name, tuple(checked), **rest)
