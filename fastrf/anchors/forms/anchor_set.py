"""Anchors: sizes per level and where they stand, and how they are written in the forms that frameworks use.

`readers` makes them of those forms. What a form cannot say stands beside it as a comment, or is an error.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from fastrf.errors import FormatError, UsageError
from fastrf.system.extras import require

if TYPE_CHECKING:
    from fastrf.anchors.levels import Level

__all__ = ["FORMS", "Anchors", "make_anchors", "place"]

FloatArray = npt.NDArray[np.float64]
Pair = tuple[float, float]

#: More anchors at one position are a mistake.
MAX_PER_LEVEL = 1000
#: Sizes that differ less than this share are the same size written with fewer digits.
_CLOSE = 1e-6


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

    def on(self, levels: Sequence[Level], centers: Sequence[Pair] | float | None = None) -> Anchors:
        """The same sizes on these levels: at the centres of the receptive fields, at `centers`, or so many strides in.

        The mean over phases; half a stride where a receptive field is unbounded. Raises FormatError where the number
        of levels differs.
        """
        self.check(levels)
        strides = tuple((level.stride[1], level.stride[0]) for level in levels)
        if isinstance(centers, int | float):
            centers = [(centers * x, centers * y) for x, y in strides]
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
        """What to paste: `form` is "torchvision", "detectron2", "mmdetection", "yolo" or "lffd".

        Raises UsageError for another form, FormatError where the form cannot hold them.
        """
        if form not in FORMS:
            raise UsageError(f"form {form!r} is unknown; use {', '.join(FORMS)}")
        return FORMS[form](self)

    def to_torchvision(self) -> Any:
        """A torchvision `AnchorGenerator` with these anchors, centred where these are; needs torchvision.

        Raises MissingExtraError without it.
        """
        torch = require("torch", "torch", "an AnchorGenerator")
        utils = require("torchvision.models.detection.anchor_utils", "torch", "an AnchorGenerator")
        sizes, ratios = _torchvision_arguments(self)
        generator = utils.AnchorGenerator(sizes=sizes, aspect_ratios=ratios)
        if _needs_cells(self):
            generator.cell_anchors = [torch.tensor(level, dtype=torch.float32) for level in _cells(self)]
        return generator


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


def place(form: str, anchors: Anchors) -> float | None:
    """How many strides from the corner a framework centres the anchors of position (0, 0), if one lets it.

    None is where the neurons look, which is LFFD's rule. Sources: torchvision's `AnchorGenerator`, detectron2's
    `MODEL.ANCHOR_GENERATOR.OFFSET`, mmdetection's `AnchorGenerator` and `YOLOAnchorGenerator`, ultralytics' grids.
    """
    if form == "mmdetection" and _shared(anchors) is None:
        return 0.5
    return {"yolo": 0.5, "lffd": None}.get(form, 0.0)


# Forms to paste -------------------------------------------------------------------------------------------


def _centers(anchors: Anchors) -> tuple[Pair, ...]:
    """Where they stand as far as it is known; without strides nothing but the origin can be said."""
    return tuple(anchors.center(k, step) for k, step in enumerate(anchors.strides or ((0.0, 0.0),) * len(anchors)))


def _number(value: float) -> str:
    """At most four decimals, none where they are zero."""
    return f"{value:.4f}".rstrip("0").rstrip(".")


def _tuple(values: Any) -> str:
    parts = [_number(v) if isinstance(v, int | float) else _tuple(v) for v in values]
    return f"({', '.join(parts)}{',' if len(parts) == 1 else ''})"


def _list(values: Any) -> str:
    return f"[{', '.join(_number(v) if isinstance(v, int | float) else _tuple(v) for v in values)}]"


def _product(sizes: FloatArray) -> tuple[list[float], list[float]] | None:
    """The sizes (root of the area) and ratios (height / width) whose products are these; None where they are none."""
    areas = np.sqrt(sizes.prod(axis=1))
    ratios = sizes[:, 1] / sizes[:, 0]
    sides, tall = _distinct(areas), _distinct(ratios)
    if len(sides) * len(tall) != len(sizes):
        return None
    made = sorted((side, ratio) for side in sides for ratio in tall)
    have = sorted((_nearest(sides, a), _nearest(tall, r)) for a, r in zip(areas, ratios, strict=True))
    return (sides, tall) if made == have else None


def _distinct(values: FloatArray) -> list[float]:
    """Sorted, without those that are the same to rounding."""
    kept: list[float] = []
    for value in sorted(values.tolist()):
        if not kept or value > kept[-1] * (1 + _CLOSE):
            kept.append(value)
    return kept


def _nearest(values: list[float], value: float) -> float:
    return min(values, key=lambda other: abs(other - value))


# torchvision -----------------------------------------------------------------------------------------------


def _cells(anchors: Anchors) -> list[list[tuple[float, ...]]]:
    """Corners of the anchors of position (0, 0) of every level in continuous coordinates."""
    return [
        [(x - w / 2, y - h / 2, x + w / 2, y + h / 2) for w, h in sizes.tolist()]
        for sizes, (x, y) in zip(anchors.sizes, _centers(anchors), strict=True)
    ]


def _needs_cells(anchors: Anchors) -> bool:
    """Whether sizes, ratios and an origin at position * stride do not say all."""
    stands = any(abs(v) > _CLOSE for center in _centers(anchors) for v in center)
    return stands or any(_product(sizes) is None for sizes in anchors.sizes)


def _torchvision_arguments(anchors: Anchors) -> tuple[tuple[tuple[float, ...], ...], tuple[tuple[float, ...], ...]]:
    """`sizes` and `aspect_ratios`: products where they are, else one size for each anchor with ratio 1."""
    sizes: list[tuple[float, ...]] = []
    ratios: list[tuple[float, ...]] = []
    for level in anchors.sizes:
        sides, tall = _product(level) or (np.sqrt(level.prod(axis=1)).tolist(), [1.0])
        sizes.append(tuple(round(side, 4) for side in sides))
        ratios.append(tuple(round(ratio, 4) for ratio in tall))
    return tuple(sizes), tuple(ratios)


def _torchvision(anchors: Anchors) -> str:
    sizes, ratios = _torchvision_arguments(anchors)
    lines = [
        "from torchvision.models.detection import anchor_utils",
        "",
        "anchor_generator = anchor_utils.AnchorGenerator(",
        f"    sizes={_tuple(sizes)},",
        f"    aspect_ratios={_tuple(ratios[:1])} * {len(ratios)},"
        if len(set(ratios)) == 1 < len(ratios)
        else f"    aspect_ratios={_tuple(ratios)},",
        ")",
    ]
    if _needs_cells(anchors):
        lines[:1] = ["import torch", lines[0]]
        lines += [
            "# left, top, right, bottom at position (0, 0), exact and not rounded",
            "anchor_generator.cell_anchors = [",
            *(f"    torch.tensor([{', '.join(map(_tuple, level))}])," for level in _cells(anchors)),
            "]",
        ]
    return "\n".join(lines) + "\n"


# detectron2 ------------------------------------------------------------------------------------------------


def _detectron2(anchors: Anchors) -> str:
    """Its `DefaultAnchorGenerator`, which has products of sizes and ratios, and one offset in strides."""
    known = [_product(level) for level in anchors.sizes]
    if anchors.strides is None or any(x != y for x, y in anchors.strides):
        raise FormatError(f"anchors {anchors.name!r} have no strides, one for both axes, as detectron2 needs them")
    if None in known:
        raise FormatError(f"anchors {anchors.name!r} are no products of sizes and ratios; suggest with layout='3x3'")
    steps = {x / step for center, (step, _) in zip(_centers(anchors), anchors.strides, strict=True) for x in center}
    offset = steps.pop()
    if steps or not 0 <= offset < 1:
        raise FormatError(f"anchors {anchors.name!r} do not stand at one share of every stride, as detectron2's do")
    sides, tall = zip(*filter(None, known), strict=True)
    return (
        "from detectron2.modeling import anchor_generator as agen\n\n"
        "anchor_generator = agen.DefaultAnchorGenerator(\n"
        f"    sizes={_list(sides)},\n    aspect_ratios={_list(tall)},\n"
        f"    strides={_list([x for x, _ in anchors.strides])},\n    offset={_number(offset)},\n)\n"
    )


# mmdetection -----------------------------------------------------------------------------------------------


def _mmdetection(anchors: Anchors) -> str:
    """`AnchorGenerator` where all levels share scales and ratios, else `YOLOAnchorGenerator`."""
    if anchors.strides is None:
        raise FormatError(
            f"anchors {anchors.name!r} have no strides, which the form 'mmdetection' needs; use Anchors.on"
        )
    same = all(x == y for x, y in anchors.strides)
    strides = _list([x for x, _ in anchors.strides] if same else anchors.strides)
    found = _shared(anchors)
    if found is None:
        rows = ",\n        ".join(_list(level.tolist()) for level in anchors.sizes)
        return (
            "# no scales and ratios that all levels share; this generator always stands at half strides\n"
            "anchor_generator=dict(\n    type='YOLOAnchorGenerator',\n"
            f"    base_sizes=[\n        {rows}],\n    strides={strides})\n"
        )
    bases, scales, ratios = found
    at_corners = all(center == (0, 0) for center in _centers(anchors))  # as it does by itself
    centers = "" if at_corners else f",\n    centers={_list(_centers(anchors))}"
    return (
        "anchor_generator=dict(\n    type='AnchorGenerator',\n"
        f"    base_sizes={_list(bases)},\n    scales={_list(scales)},\n    ratios={_list(ratios)},\n"
        f"    strides={strides}{centers})\n"
    )


def _shared(anchors: Anchors) -> tuple[list[float], list[float], list[float]] | None:
    """Base sizes, and the scales and ratios that all levels share; None where they do not."""
    known = [product for product in map(_product, anchors.sizes) if product is not None]
    if len(known) < len(anchors):
        return None
    bases = [sides[0] for sides, _ in known]
    scales = [[side / base for side in sides] for (sides, _), base in zip(known, bases, strict=True)]
    ratios = [tall for _, tall in known]
    for values in (scales, ratios):
        if len({len(row) for row in values}) > 1 or not np.allclose(values, values[0], rtol=1e-4):
            return None
    return bases, scales[0], ratios[0]


# YOLO and LFFD ---------------------------------------------------------------------------------------------


def _yolo(anchors: Anchors) -> str:
    """The rows of a model's yaml, in whole pixels."""
    lines = ["anchors:"]
    halves = [(x / 2, y / 2) for x, y in anchors.strides or ()]
    if halves and not np.allclose(halves, _centers(anchors)):
        lines[:0] = ["# YOLO has no place for centres: it stands at half strides"]
    for k, level in enumerate(anchors.sizes):
        row = ", ".join(f"{max(round(w), 1)},{max(round(h), 1)}" for w, h in level.tolist())
        lines.append(f"  - [{row}]" + (f"  # stride {_number(anchors.strides[k][0])}" if anchors.strides else ""))
    return "\n".join(lines) + "\n"


def _lffd(anchors: Anchors) -> str:
    """LFFD's lists; the grey zones are a tenth beyond each range, as there."""
    if anchors.ranges is None or anchors.strides is None:
        raise FormatError(
            f"anchors {anchors.name!r} have no ranges of sizes, which the form 'lffd' needs; suggest with method 'lffd'"
        )
    centers = _centers(anchors)
    if any(x != y for x, y in (*anchors.strides, *centers)):
        raise FormatError(f"anchors {anchors.name!r}: LFFD's lists hold one stride and centre for both axes")
    low, high = zip(*anchors.ranges, strict=True)
    values: dict[str, Any] = {
        "param_num_output_scales": len(anchors.sizes),
        "param_receptive_field_stride": [x for x, _ in anchors.strides],
        "param_receptive_field_center_start": [x - 0.5 for x, _ in centers],
        "param_bbox_small_list": low,
        "param_bbox_large_list": high,
        "param_bbox_small_gray_list": [math.floor(0.9 * v) for v in low],
        # in floating point, as there: 1.1 * 110 is above 121
        "param_bbox_large_gray_list": [math.ceil(1.1 * v) for v in high],
    }
    return "".join(f"{k} = {v if isinstance(v, int) else _list(list(v))}\n" for k, v in values.items())


FORMS = {
    "torchvision": _torchvision,
    "detectron2": _detectron2,
    "mmdetection": _mmdetection,
    "yolo": _yolo,
    "lffd": _lffd,
}
