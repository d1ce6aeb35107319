"""Anchors from the forms of torchvision, mmdetection, YOLO and LFFD, as files, text or objects.

Text is never run: see `literals`.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from fastrf.anchors.forms import literals
from fastrf.anchors.forms.anchor_set import Anchors, Pair, make_anchors
from fastrf.anchors.forms.builtin import NAMES, build, by_ratio
from fastrf.errors import FormatError
from fastrf.system.files import check_nesting, parse_json, parse_yaml, read_text

if TYPE_CHECKING:
    from fastrf.anchors.levels import Level

__all__ = ["read_anchors"]

Levels = Sequence["Level"]
FloatArray = npt.NDArray[np.float64]
_LFFD_KEYS = ("param_receptive_field_stride", "param_bbox_small_list", "param_bbox_large_list")


def read_anchors(source: Any, levels: Sequence[Level] = (), input_size: tuple[int, int] = (640, 640)) -> Anchors:
    """Anchors from a built-in name, a file, a form as text or objects, or sizes; see `docs/anchors.md`.

    `source` is "yolov5", "retinanet", "s3fd", "lffd" or "ssd"; a YOLO `.yaml`; a `.py` or `.txt` that holds a
    torchvision `AnchorGenerator(...)`, an mmdetection `anchor_generator=dict(...)` or LFFD's lists; a `.json` with
    pairs of width and height, flat or by level; the same as text, mapping or nested lists; a torchvision
    `AnchorGenerator`; or Anchors. `levels` and `input_size` (rows, columns) are for the forms that need them: SSD's
    sizes are shares of the input, RFLA's of the receptive field, flat lists are dealt out over the levels.

    Raises FormatError for what cannot be read.
    """
    if isinstance(source, Anchors):
        return source
    if isinstance(source, str) and source in NAMES:
        return build(source, levels, input_size)
    if isinstance(source, str) and any(sign in source for sign in "\n(["):
        return from_text(source, "text", levels)
    if isinstance(source, str | os.PathLike):
        return from_file(os.fspath(source), levels)
    return from_objects(source, "anchors", levels)


def from_file(path: str, levels: Levels) -> Anchors:
    """Anchors from a file, the form by its ending and contents. Raises FormatError."""
    where = Path(path)
    ending = where.suffix.lower()
    if ending not in (".yaml", ".yml", ".py", ".txt", ".json"):
        raise FormatError(
            f"{path}: no anchors of that name; use {', '.join(NAMES)}, or a .yaml, .py, .txt or .json file"
        )
    text = read_text(where, "anchor_file")
    if not text.strip():
        raise FormatError(f"{path}: the file is empty")
    if ending == ".json":
        found = parse_json(text, path)
        check_nesting(found, path)
        return from_objects(found, path, levels)
    if ending in (".yaml", ".yml"):
        return _from_yaml(text, path)
    return from_text(text, path, levels)


def from_text(text: str, source: str, levels: Levels) -> Anchors:
    """Anchors from Python text, or from the lines of a YOLO yaml. Raises FormatError."""
    if re.search(r"^anchors:", text, re.MULTILINE):
        return _from_yaml(text, source)
    names = literals.parse(text, source)
    if ".cell_anchors" in names:
        return _from_cells(_cell_rows(names[".cell_anchors"], source), source)
    bare = names.get("")
    is_list = isinstance(bare, list | tuple) and not all(key in names for key in _LFFD_KEYS)
    return from_objects(bare if is_list else names, source, levels)


def from_objects(value: Any, source: str, levels: Levels) -> Anchors:
    """Anchors from mappings, nested lists, or a torchvision `AnchorGenerator`. Raises FormatError."""
    torchvision = sys.modules.get("torchvision.models.detection.anchor_utils")
    if torchvision is not None and isinstance(value, torchvision.AnchorGenerator):
        return _from_generator(value, source)
    if isinstance(value, dict):
        if all(key in value for key in _LFFD_KEYS):
            return _from_lffd(value, source)
        return _from_mappings(value, source, levels)
    return make_anchors(source, _dealt(value, source, levels))


def _dealt(value: Any, source: str, levels: Levels) -> list[Any]:
    """Sizes by level: as they are, or a flat list of pairs dealt out in its order, as mmdetection's tool writes it."""
    value = value.tolist() if hasattr(value, "tolist") else value
    if not isinstance(value, list | tuple) or not value:
        raise FormatError(f"{source}: {type(value).__name__} is no list of anchors; see docs/anchors.md")
    if not all(_is_pair(item) for item in value):
        return list(value)
    if not levels or len(value) % len(levels):
        raise FormatError(f"{source}: {len(value)} anchors cannot be dealt evenly to {len(levels)} levels")
    share = len(value) // len(levels)
    return [value[k : k + share] for k in range(0, len(value), share)]


def _is_pair(item: Any) -> bool:
    return isinstance(item, list | tuple) and len(item) == 2 and all(isinstance(v, int | float) for v in item)


# YOLO ------------------------------------------------------------------------------------------------------


def _from_yaml(text: str, source: str) -> Anchors:
    """What a model's YAML says of `anchors`, in any of YAML's styles: widths and heights in turn for each level."""
    found = parse_yaml(text, source, "anchors")
    if not isinstance(found, dict) or "anchors" not in found:
        raise FormatError(f"{source}: has no line 'anchors:'")
    given = found["anchors"]
    rows = [list(_numbers(row, source)) for row in given] if isinstance(given, list) else []
    if not rows:
        raise FormatError(f"{source}: 'anchors:' holds no rows of sizes like [10,13, 16,30, 33,23]")
    if all(len(row) == 1 for row in rows):
        rows = [[number for row in rows for number in row]]  # one level
    if any(len(row) % 2 or not row for row in rows):
        raise FormatError(
            f"{source}: a row of anchors has an odd count of numbers; they are widths and heights in turn"
        )
    return make_anchors(source, [list(zip(row[::2], row[1::2], strict=True)) for row in rows], center_offset=0.5)


def _numbers(value: Any, source: str) -> Iterator[float]:
    """The numbers of a text or of lists of texts."""
    if isinstance(value, list):
        for item in value:
            yield from _numbers(item, source)
        return
    try:
        yield from [float(word) for word in value.replace(",", " ").split()]
    except (AttributeError, ValueError) as error:
        raise FormatError(f"{source}: anchors hold {error}") from error


# torchvision and mmdetection -------------------------------------------------------------------------------


def _from_mappings(value: dict[str, Any], source: str, levels: Levels) -> Anchors:
    """The first mapping in a value that is an anchor generator."""
    for mapping in literals.mappings(value):
        kind = mapping.get("type")
        rule = _GENERATORS.get(kind) if isinstance(kind, str) else None
        if rule is not None:
            try:
                return rule(mapping, source, levels)
            except FormatError:
                raise
            except (TypeError, ValueError, KeyError, IndexError, ArithmeticError) as error:
                raise FormatError(f"{source}: {kind} has values that are no literals or do not fit: {error}") from error
        if isinstance(kind, str) and kind.endswith(("AnchorGenerator", "PriorGenerator")):
            raise FormatError(f"{source}: {kind} is not known; known are {', '.join(_GENERATORS)}")
    raise FormatError(f"{source}: holds no AnchorGenerator(...), anchor_generator=dict(...) or LFFD lists")


def _anchor_generator(given: dict[str, Any], source: str, _: Levels) -> Anchors:
    """`AnchorGenerator` of torchvision (`sizes`, `aspect_ratios`) or of mmdetection (`strides`, `ratios`, ...)."""
    if "strides" in given:
        return _mmdetection(given, source)
    sizes = given.get("sizes", given.get("0", ((128, 256, 512),)))
    ratios = given.get("aspect_ratios", given.get("1", ((0.5, 1.0, 2.0),)))
    if not all(isinstance(level, list | tuple) for level in sizes):
        sizes = [(size,) for size in sizes]
    if not all(isinstance(level, list | tuple) for level in ratios):
        ratios = (ratios,) * len(sizes)
    if len(sizes) != len(ratios):
        raise FormatError(f"{source}: sizes are for {len(sizes)} levels, aspect_ratios for {len(ratios)}")
    anchors = [
        [by_ratio(size, ratio) for ratio in level_ratios for size in level]
        for level, level_ratios in zip(sizes, ratios, strict=True)
    ]
    return make_anchors(source, anchors, center_offset=0.0)


def _detectron2(given: dict[str, Any], source: str, levels: Levels) -> Anchors:
    """`DefaultAnchorGenerator` of detectron2, whose own offset is half a stride; its configuration's is none."""
    strides = _strides(given["strides"])
    # one row stands for all levels, as in its configuration
    rows = {key: list(given[key]) * (len(strides) if len(given[key]) == 1 else 1) for key in ("sizes", "aspect_ratios")}
    found = _anchor_generator(rows, source, levels)
    if len(found) != len(strides):
        raise FormatError(f"{source}: sizes are for {len(found)} levels, strides for {len(strides)}")
    return replace(found, center_offset=float(given.get("offset", 0.5)), strides=strides)


def _mmdetection(given: dict[str, Any], source: str) -> Anchors:
    """mmdetection: `base_sizes` (default: strides) times `scales`, or octaves from `octave_base_scale`."""
    strides = _strides(given["strides"])
    bases = given.get("base_sizes") or [min(stride) for stride in strides]
    if given.get("scales") is not None:
        scales = list(given["scales"])
    else:
        per_octave = int(given["scales_per_octave"])
        if not 1 <= per_octave <= 100:
            raise FormatError(f"{source}: scales_per_octave {per_octave} is not between 1 and 100")
        scales = [float(given["octave_base_scale"]) * 2 ** (k / per_octave) for k in range(per_octave)]
    ratios = given["ratios"]
    if given.get("scale_major", True):
        sizes = [[by_ratio(base * scale, ratio) for ratio in ratios for scale in scales] for base in bases]
    else:
        sizes = [[by_ratio(base * scale, ratio) for scale in scales for ratio in ratios] for base in bases]
    if len(bases) != len(strides):
        raise FormatError(f"{source}: base_sizes are for {len(bases)} levels, strides for {len(strides)}")
    offset = float(given.get("center_offset", 0.0))
    # without centres, the offset is in base sizes, not in strides
    pairs = [(offset * base, offset * base) for base in bases] if given.get("centers") is None else given["centers"]
    centers = tuple((float(x), float(y)) for x, y in pairs)
    if len(centers) != len(strides):
        raise FormatError(f"{source}: centers are for {len(centers)} levels, strides for {len(strides)}")
    return make_anchors(source, sizes, center_offset=offset, centers=centers, strides=strides)


def _strides(value: Any) -> tuple[Pair, ...]:
    pairs = [(s, s) if isinstance(s, int | float) else s for s in value]
    return tuple((float(x), float(y)) for x, y in pairs)


def _yolo_generator(given: dict[str, Any], source: str, _: Levels) -> Anchors:
    """The `YOLOAnchorGenerator` of mmdetection: `base_sizes` by level, centred at half strides."""
    strides = _strides(given["strides"])
    return make_anchors(source, list(given["base_sizes"]), center_offset=0.5, strides=strides)


def _rf_generator(given: dict[str, Any], source: str, levels: Levels) -> Anchors:
    """RFLA's `RFGenerator`: squares of `fraction` times the receptive field, here the exact one of each level."""
    strides = _strides(given["strides"])
    if len(levels) != len(strides):
        raise FormatError(f"{source}: RFGenerator is for {len(strides)} levels, but {len(levels)} are named")
    fraction = float(given.get("fraction", 0.5))
    sizes = [[tuple(fraction * side for side in level.limit)] for level in levels]
    return make_anchors(source, sizes, center_offset=0.5, strides=strides)


_GENERATORS: dict[str, Callable[[dict[str, Any], str, Levels], Anchors]] = {
    "AnchorGenerator": _anchor_generator,
    "DefaultAnchorGenerator": _detectron2,
    "YOLOAnchorGenerator": _yolo_generator,
    "RFGenerator": _rf_generator,
}


def _from_generator(generator: Any, source: str) -> Anchors:
    """A torchvision object: its cell anchors, as they are used (rounded), and where they stand."""
    return _from_cells([cell.detach().double().cpu().numpy() for cell in generator.cell_anchors], source)


def _cell_rows(value: Any, source: str) -> list[FloatArray]:
    """The corners by level of a text that sets `cell_anchors` to a list of tensors."""
    rows = [level.get("0") if isinstance(level, dict) else level for level in value] if isinstance(value, list) else []
    try:
        cells = [np.array(row, np.float64) for row in rows]
    except (TypeError, ValueError) as error:
        raise FormatError(f"{source}: cell_anchors hold no literal numbers ({error})") from error
    if not cells or any(cell.ndim != 2 or cell.shape[1] != 4 or not len(cell) for cell in cells):
        raise FormatError(f"{source}: cell_anchors must be a list of tensors of shape (anchors, 4)")
    return cells


def _from_cells(cells: Sequence[FloatArray], source: str) -> Anchors:
    """Sizes and places from the corners of the anchors of position (0, 0), left, top, right, bottom."""
    sizes, centers = [], []
    for corners in cells:
        sizes.append(corners[:, 2:] - corners[:, :2])
        middle = (corners[:, 2:] + corners[:, :2]) / 2
        if (abs(middle - middle[0]) > 1e-3).any():
            raise FormatError(f"{source}: anchors of one position have different centres")
        centers.append((float(middle[0, 0]), float(middle[0, 1])))
    return make_anchors(source, sizes, center_offset=0.0, centers=tuple(centers))


# LFFD ------------------------------------------------------------------------------------------------------


def _from_lffd(given: dict[str, Any], source: str) -> Anchors:
    """LFFD's configuration: strides, centres of position 0 (pixel indices), and the sizes of each branch's faces."""
    try:
        strides = _strides(given["param_receptive_field_stride"])
        lows, highs = ([float(v) for v in given[key]] for key in _LFFD_KEYS[1:])
        starts = given.get("param_receptive_field_center_start", [x - 1 for x, _ in strides])
        centers = tuple((float(start) + 0.5, float(start) + 0.5) for start in starts)
    except (TypeError, ValueError, KeyError, OverflowError) as error:
        raise FormatError(f"{source}: LFFD's lists do not hold numbers ({error})") from error
    if not len(lows) == len(highs) == len(strides) == len(centers):
        raise FormatError(
            f"{source}: LFFD's lists have {len(strides)}, {len(centers)}, {len(lows)}, {len(highs)} entries"
        )
    ranges = tuple(zip(lows, highs, strict=True))
    if not all(0 <= low < high for low, high in ranges):
        raise FormatError(f"{source}: a branch's smallest face is not below its largest")
    sizes = [[(low + high) / 2] for low, high in ranges]
    return make_anchors(source, sizes, centers=centers, strides=strides, ranges=ranges)
