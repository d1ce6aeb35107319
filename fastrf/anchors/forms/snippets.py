"""Anchors as users paste them: torchvision, mmdetection, YOLO and LFFD.

What a form cannot say stands beside it as a comment, or is an error.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from fastrf.errors import FormatError, UsageError
from fastrf.system.extras import require

__all__ = ["FORMS", "Placed", "snippet", "torchvision_generator"]

FloatArray = npt.NDArray[np.float64]
Pair = tuple[float, float]

#: Sizes that differ less than this share are the same size written with fewer digits.
_CLOSE = 1e-6


class Placed(NamedTuple):
    """What is written of anchors, per level: sizes, centres of position (0, 0), strides and ranges; see `Anchors`."""

    name: str
    sizes: tuple[FloatArray, ...]
    centers: tuple[Pair, ...]
    strides: tuple[Pair, ...] | None
    ranges: tuple[Pair, ...] | None


def snippet(anchors: Placed, form: str) -> str:
    """The text to paste. Raises UsageError for an unknown form, FormatError where the form cannot hold the anchors."""
    if form not in FORMS:
        raise UsageError(f"form {form!r} is unknown; use {', '.join(FORMS)}")
    return FORMS[form](anchors)


def _number(value: float) -> str:
    """At most four decimals, none where they are zero."""
    return f"{value:.4f}".rstrip("0").rstrip(".")


def _tuple(values: Any) -> str:
    parts = [_number(v) if isinstance(v, int | float) else _tuple(v) for v in values]
    return f"({', '.join(parts)}{',' if len(parts) == 1 else ''})"


def _list(values: Any) -> str:
    return f"[{', '.join(_number(v) if isinstance(v, int | float) else _tuple(v) for v in values)}]"


def product_of(sizes: FloatArray) -> tuple[list[float], list[float]] | None:
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


def _cells(anchors: Placed) -> list[list[tuple[float, ...]]]:
    """Corners of the anchors of position (0, 0) of every level in continuous coordinates."""
    return [
        [(x - w / 2, y - h / 2, x + w / 2, y + h / 2) for w, h in sizes.tolist()]
        for sizes, (x, y) in zip(anchors.sizes, anchors.centers, strict=True)
    ]


def _needs_cells(anchors: Placed) -> bool:
    """Whether sizes, ratios and an origin at position * stride do not say all."""
    stands = any(abs(v) > _CLOSE for center in anchors.centers for v in center)
    return stands or any(product_of(sizes) is None for sizes in anchors.sizes)


def _torchvision_arguments(anchors: Placed) -> tuple[tuple[tuple[float, ...], ...], tuple[tuple[float, ...], ...]]:
    """`sizes` and `aspect_ratios`: products where they are, else one size for each anchor with ratio 1."""
    sizes: list[tuple[float, ...]] = []
    ratios: list[tuple[float, ...]] = []
    for level in anchors.sizes:
        sides, tall = product_of(level) or (np.sqrt(level.prod(axis=1)).tolist(), [1.0])
        sizes.append(tuple(round(side, 4) for side in sides))
        ratios.append(tuple(round(ratio, 4) for ratio in tall))
    return tuple(sizes), tuple(ratios)


def _torchvision(anchors: Placed) -> str:
    sizes, ratios = _torchvision_arguments(anchors)
    lines = [
        "from torchvision.models.detection.anchor_utils import AnchorGenerator",
        "",
        "anchor_generator = AnchorGenerator(",
        f"    sizes={_tuple(sizes)},",
        f"    aspect_ratios={_tuple(ratios)},",
        ")",
    ]
    if _needs_cells(anchors):
        lines[:1] = ["import torch", lines[0]]
        lines += [
            "# left, top, right, bottom at position (0, 0): the exact sizes, not rounded, at the centres asked for",
            "anchor_generator.cell_anchors = [",
            *(f"    torch.tensor([{', '.join(map(_tuple, level))}])," for level in _cells(anchors)),
            "]",
        ]
    return "\n".join(lines) + "\n"


def torchvision_generator(anchors: Placed) -> Any:
    """The `AnchorGenerator` object. Raises MissingExtraError without torchvision."""
    torch = require("torch", "torch", "an AnchorGenerator")
    utils = require("torchvision.models.detection.anchor_utils", "torch", "an AnchorGenerator")
    sizes, ratios = _torchvision_arguments(anchors)
    generator = utils.AnchorGenerator(sizes=sizes, aspect_ratios=ratios)
    if _needs_cells(anchors):
        generator.cell_anchors = [torch.tensor(level, dtype=torch.float32) for level in _cells(anchors)]
    return generator


# mmdetection -----------------------------------------------------------------------------------------------


def _mmdetection(anchors: Placed) -> str:
    """`AnchorGenerator` where all levels share scales and ratios, else `YOLOAnchorGenerator`."""
    strides = _strides(anchors, "mmdetection")
    found = _shared(anchors)
    if found is None:
        rows = ",\n        ".join(_list(level.tolist()) for level in anchors.sizes)
        return (
            "# sizes differ in kind from level to level; this generator always stands at half strides\n"
            "anchor_generator=dict(\n    type='YOLOAnchorGenerator',\n"
            f"    base_sizes=[\n        {rows}],\n    strides={strides})\n"
        )
    bases, scales, ratios = found
    return (
        "anchor_generator=dict(\n    type='AnchorGenerator',\n"
        f"    base_sizes={_list(bases)},\n    scales={_list(scales)},\n    ratios={_list(ratios)},\n"
        f"    strides={strides},\n    centers={_list(anchors.centers)})\n"
    )


def _shared(anchors: Placed) -> tuple[list[float], list[float], list[float]] | None:
    """Base sizes, and the scales and ratios that all levels share; None where they do not."""
    products = [product_of(level) for level in anchors.sizes]
    if any(product is None for product in products):
        return None
    known = [product for product in products if product is not None]
    bases = [sides[0] for sides, _ in known]
    scales = [[side / base for side in sides] for (sides, _), base in zip(known, bases, strict=True)]
    ratios = [tall for _, tall in known]
    for values in (scales, ratios):
        if len({len(row) for row in values}) > 1 or not np.allclose(values, values[0], rtol=1e-4):
            return None
    return bases, scales[0], ratios[0]


def _strides(anchors: Placed, form: str) -> str:
    if anchors.strides is None:
        raise FormatError(f"anchors {anchors.name!r} have no strides, which the form {form!r} needs; use Anchors.on")
    same = all(x == y for x, y in anchors.strides)
    return _list([x for x, _ in anchors.strides] if same else anchors.strides)


# YOLO and LFFD ---------------------------------------------------------------------------------------------


def _yolo(anchors: Placed) -> str:
    """The rows of a model's yaml, in whole pixels."""
    lines = ["anchors:"]
    for k, level in enumerate(anchors.sizes):
        row = ", ".join(f"{max(round(w), 1)},{max(round(h), 1)}" for w, h in level.tolist())
        lines.append(f"  - [{row}]" + (f"  # stride {_number(anchors.strides[k][0])}" if anchors.strides else ""))
    return "\n".join(lines) + "\n"


def _lffd(anchors: Placed) -> str:
    """LFFD's lists; the grey zones are a tenth beyond each range, as there."""
    if anchors.ranges is None or anchors.strides is None:
        raise FormatError(
            f"anchors {anchors.name!r} have no ranges of sizes, which the form 'lffd' needs; suggest with method 'lffd'"
        )
    if any(x != y for x, y in (*anchors.strides, *anchors.centers)):
        raise FormatError(f"anchors {anchors.name!r}: LFFD's lists hold one stride and centre for both axes")
    low, high = zip(*anchors.ranges, strict=True)
    values: dict[str, Any] = {
        "param_num_output_scales": len(anchors.sizes),
        "param_receptive_field_stride": [x for x, _ in anchors.strides],
        "param_receptive_field_center_start": [x - 0.5 for x, _ in anchors.centers],
        "param_bbox_small_list": low,
        "param_bbox_large_list": high,
        "param_bbox_small_gray_list": [math.floor(0.9 * v) for v in low],
        # in floating point, as there: 1.1 * 110 is above 121
        "param_bbox_large_gray_list": [math.ceil(1.1 * v) for v in high],
    }
    return "".join(f"{k} = {v if isinstance(v, int) else _list(list(v))}\n" for k, v in values.items())


FORMS = {"torchvision": _torchvision, "mmdetection": _mmdetection, "yolo": _yolo, "lffd": _lffd}
