"""Readers of boxes: COCO JSON, YOLO labels, Pascal VOC XML, CSV and arrays, each to `Boxes`.

Nothing in a file is executed, document types and entities in XML are refused, and sizes are bounded.
"""

from __future__ import annotations

import csv
import io
import math
import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np
import numpy.typing as npt

from fastrf.anchors.boxes.box_set import Boxes, checked
from fastrf.anchors.boxes.datasets import ENDINGS, labelled
from fastrf.errors import FormatError
from fastrf.system.extras import require
from fastrf.system.files import opened, parse_json, read_array, read_text

if TYPE_CHECKING:
    from xml.etree.ElementTree import Element

__all__ = ["picture_size", "read_boxes"]

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]
ImageSize = tuple[int, int] | None

#: Elements of XML do not lie deeper in each other.
MAX_DEPTH = 64
#: How JPEG, PNG, BMP, WebP and TIFF files begin.
_HEADS = (b"\xff\xd8", b"\x89PNG", b"BM", b"RIFF", b"II*\0", b"MM\0*", b"II+\0")
#: A header that takes more reads than this is none: damaged files are searched byte by byte.
MAX_READS = 100_000


def read_boxes(source: Any, *, image_size: tuple[int, int] | None = None) -> Boxes:
    """Boxes from a file, a folder or arrays; those that cannot be used are counted in `Boxes.rejected`.

    `source` is a COCO instances or results file (`.json`) or the same as objects, a YOLO `data.yaml` (the pictures of
    its `train:`) or a folder of YOLO `.txt` labels, a Pascal VOC `.xml` or a folder of them, a `.csv` with a header, an
    array float[n, 2] (width, height) or float[n, 4] (left, top, width, height) or an `.npy` of one, or Boxes.
    `image_size` (rows, columns) is that of images whose size the source does not hold; YOLO labels need it unless their
    images lie beside them.

    Raises FormatError for a source that cannot be read or has no usable box.
    """
    if isinstance(source, Boxes):
        found = source
    elif isinstance(source, str | os.PathLike):
        found = from_path(os.fspath(source), image_size)
    elif isinstance(source, dict) or (isinstance(source, list) and source and isinstance(source[0], dict)):
        found = from_coco(source, "boxes")
    else:
        found = from_array(source, "boxes")
    return found if image_size is None else found.in_images(image_size)


def from_path(path: str, image_size: ImageSize = None) -> Boxes:
    """Boxes from a file or folder, the format by its ending; see `read_boxes`. Raises FormatError."""
    where = Path(path)
    try:
        is_folder, exists = where.is_dir(), where.exists()
    except (OSError, ValueError) as error:
        raise FormatError(f"{path!r} is not a path: {getattr(error, 'strerror', None) or error}") from error
    if not exists:
        raise FormatError(f"{path}: no such file or folder of boxes")
    if is_folder:
        return _from_folder(where, image_size)
    ending = where.suffix.lower()
    if ending == ".json":
        return from_coco(parse_json(read_text(where), path), path)
    if ending == ".csv":
        return from_csv(read_text(where), path)
    if ending == ".xml":
        return from_voc([where], path)
    if ending == ".txt":
        return from_yolo([(where, None)], path, image_size)
    if ending in (".yaml", ".yml"):
        return from_yolo(labelled(path), path, image_size)
    if ending == ".npy":
        return from_array(read_array(where), path)
    raise FormatError(
        f"{path}: ending {where.suffix!r} is unknown; use .json, .csv, .xml, .txt, .yaml, .npy or a folder"
    )


def _from_folder(folder: Path, image_size: ImageSize) -> Boxes:
    """YOLO labels or VOC annotations, whichever the folder holds, in sorted order."""
    for ending in (".xml", ".txt"):
        files = [file for file in folder.rglob(f"*{ending}") if file.name not in ("classes.txt", "README.txt")]
        if files and ending == ".xml":
            return from_voc(sorted(files), str(folder))
        if files:
            return from_yolo([(file, None) for file in sorted(files)], str(folder), image_size)
    raise FormatError(f"{folder}: holds neither .xml (Pascal VOC) nor .txt (YOLO) files")


def _number(value: Any) -> float:
    """A number, or what a text writes of one; NaN for any other text, and beyond all floats."""
    try:
        return float(value)
    except (ValueError, OverflowError):
        return math.nan


# COCO ------------------------------------------------------------------------------------------------------


def from_coco(data: Any, source: str) -> Boxes:
    """Boxes of COCO instances (a mapping with `annotations` and `images`) or results (a list); crowds are left out."""
    annotations = data.get("annotations") if isinstance(data, dict) else data
    if not isinstance(annotations, list):
        raise FormatError(f"{source}: neither COCO instances (with a list 'annotations') nor results (a list)")
    if not annotations:
        raise FormatError(f"{source}: holds no boxes")
    images = data.get("images") if isinstance(data, dict) else None
    if images is not None and not (isinstance(images, list) and all(isinstance(image, dict) for image in images)):
        raise FormatError(f"{source}: 'images' must be a list of mappings with 'id', 'height' and 'width'")
    xywh, malformed = _bboxes(annotations)
    x, y, width, height = np.ascontiguousarray(xywh.T)
    image, heights, widths = _images(annotations, images)
    crowd = np.array([isinstance(a, dict) and a.get("iscrowd") in (1, True) for a in annotations], bool)
    faults = {"without four numbers in 'bbox'": malformed, "of a crowd": crowd}
    place = "annotations[{}]" if isinstance(data, dict) else "[{}]"
    found = Boxes(x, y, width, height, image, heights, widths, source=source, place=place.format)
    return checked(found, faults)


def _bboxes(annotations: list[Any]) -> tuple[FloatArray, npt.NDArray[np.bool_]]:
    """float64[n, 4] and which rows are no four numbers (NaN there)."""
    try:
        found = np.array([a["bbox"] for a in annotations])
        if found.shape == (len(annotations), 4) and found.dtype.kind in "iuf":
            return found.astype(np.float64), np.zeros(len(found), bool)
    except (TypeError, KeyError, ValueError, OverflowError):
        pass
    rows = [_four(a.get("bbox") if isinstance(a, dict) else None) for a in annotations]
    malformed = np.array([row is None for row in rows], bool)
    return np.array([row or (np.nan,) * 4 for row in rows], np.float64), malformed


def _four(value: Any) -> tuple[float, ...] | None:
    good = isinstance(value, list | tuple) and len(value) == 4
    if not good or not all(isinstance(v, int | float) and not isinstance(v, bool) for v in value):
        return None
    return tuple(map(_number, value))


def _images(annotations: list[Any], images: list[dict[str, Any]] | None) -> tuple[IntArray, FloatArray, FloatArray]:
    """Per annotation the index of its image (-1: unknown), and the images' heights and widths."""
    keys = [_key(a.get("image_id")) if isinstance(a, dict) else None for a in annotations]
    if images is None:
        known: dict[int | str | None, None] = dict.fromkeys(key for key in keys if key is not None)
        heights = widths = np.full(len(known), np.nan)
    else:
        by_key = {_key(image.get("id")): image for image in images}
        known = dict.fromkeys(by_key)
        heights, widths = (np.array([_size(i.get(name)) for i in by_key.values()]) for name in ("height", "width"))
    index = {key: k for k, key in enumerate(known) if key is not None}
    return np.array([-1 if key is None else index.get(key, -1) for key in keys], np.int64), heights, widths


def _key(value: Any) -> int | str | None:
    return value if isinstance(value, int | str) else None


def _size(value: Any) -> float:
    good = isinstance(value, int | float) and not isinstance(value, bool) and 0 < value < 1e9
    return float(value) if good else float("nan")


# YOLO and VOC ----------------------------------------------------------------------------------------------


def from_yolo(files: list[tuple[Path, Path | None]], source: str, image_size: ImageSize = None) -> Boxes:
    """Boxes of YOLO labels: a line `class x_center y_center width height`, as shares of the image; polygons by hull.

    An image's size is read from the picture beside its label in `files`, or else from that of the same name, beside the
    label or in `images` where the labels are in `labels`, or else it is `image_size`. Raises FormatError where none is.
    """
    rows, places, sizes, malformed = [], [], [], []
    for k, (file, picture) in enumerate(files):
        size = (_picture(file) if picture is None else picture_size(picture)) or image_size
        if size is None:
            raise FormatError(
                f"{file}: labels are shares of an image whose size is not known; give image_size (--input)"
            )
        sizes.append(size)
        for number, line in enumerate(read_text(file, "labels").splitlines(), start=1):
            if line.strip():
                shares = _shares(line)
                malformed.append(shares is None)
                rows.append((*(shares or (np.nan,) * 4), k))
                places.append(f"{file.name}:{number}")
    table = np.array(rows, np.float64).reshape(-1, 5)
    image = table[:, 4].astype(np.int64)
    heights, widths = np.array(sizes, np.float64).reshape(-1, 2).T
    x, y, width, height = table[:, :4].T * np.stack([widths, heights, widths, heights])[:, image]
    faults = {"not a class and four shares": np.array(malformed, bool)}
    left, top = x - width / 2, y - height / 2
    found = Boxes(left, top, width, height, image, heights, widths, source=source, place=places.__getitem__)
    return checked(found, faults)


def _shares(line: str) -> tuple[float, ...] | None:
    """Centre and size of a label's line, or the hull of its polygon; None where it is neither."""
    try:
        values = [float(word) for word in line.split()[1:]]
    except ValueError:
        return None
    if len(values) in (4, 5):
        return tuple(values[:4])
    if len(values) < 6 or len(values) % 2:
        return None
    xs, ys = values[::2], values[1::2]
    return (min(xs) + max(xs)) / 2, (min(ys) + max(ys)) / 2, max(xs) - min(xs), max(ys) - min(ys)


def _picture(label: Path) -> tuple[int, int] | None:
    """The size of the picture that a label belongs to."""
    folders = [label.parent]
    parts = label.parent.parts
    if "labels" in parts:
        k = len(parts) - 1 - parts[::-1].index("labels")
        folders.append(Path(*parts[:k], "images", *parts[k + 1 :]))
    sizes = (picture_size(folder / f"{label.stem}{ending}") for folder in folders for ending in ENDINGS)
    return next(filter(None, sizes), None)


class _Header:
    """A file of which only so much is read."""

    def __init__(self, file: BinaryIO) -> None:
        self.seek, self._file, self._left = file.seek, file, MAX_READS

    def read(self, size: int = -1) -> bytes:
        self._left -= 1
        if self._left < 0:
            raise FormatError("no end of the header")
        return self._file.read(size if 0 <= size < 1 << 16 else 1 << 16)


def picture_size(path: Path) -> tuple[int, int] | None:
    """(rows, columns) of a picture, as stored; None where there is none, or its header is damaged."""
    try:
        with opened(path) as file:
            if not file.read(4).startswith(_HEADS):
                return None
            imagesize = require("imagesize", "anchors", "the size of a picture")
            width, height = imagesize.get(_Header(file), exif_rotation=False)
    except (FormatError, OSError):
        return None
    return (height, width) if min(height, width) > 0 else None


def from_voc(files: list[Path], source: str) -> Boxes:
    """Boxes of Pascal VOC annotations, whose corners are 1-based and inclusive: `xmin - 1` to `xmax`."""
    rows: list[tuple[float, ...]] = []
    places: list[str] = []
    sizes: list[tuple[float, float]] = []
    for k, file in enumerate(files):
        size, corners = _parse_voc(read_text(file, "labels"), str(file))
        sizes.append(size)
        rows += [(*corner, k) for corner in corners]
        places += [f"{file.name} object {i}" for i in range(len(corners))]
    table = np.array(rows, np.float64).reshape(-1, 5)
    left, top, right, bottom = table[:, :4].T
    heights, widths = np.array(sizes, np.float64).reshape(-1, 2).T
    image, width, height = table[:, 4].astype(np.int64), right - left + 1, bottom - top + 1
    found = Boxes(left - 1, top - 1, width, height, image, heights, widths, source=source, place=places.__getitem__)
    return checked(found)


def _parse_voc(text: str, source: str) -> tuple[tuple[float, float], list[tuple[float, ...]]]:
    """The image's (height, width), NaN where unknown, and xmin, ymin, xmax, ymax of each object, NaN where missing."""
    xml = require("defusedxml.ElementTree", "anchors", "a Pascal VOC annotation")
    path: list[Element] = []
    size: dict[str, float] = {}
    objects: list[dict[str, float]] = []
    try:
        for event, element in xml.iterparse(io.StringIO(text), ("start", "end"), forbid_dtd=True):
            if event == "start":
                path.append(element)
                if path[0].tag != "annotation":
                    raise FormatError(f"{source}: the root is {path[0].tag!r}; Pascal VOC has 'annotation'")
                if len(path) > MAX_DEPTH:
                    raise FormatError(f"{source}: elements more than {MAX_DEPTH} deep; annotations have five")
                continue
            path.pop()
            if len(path) == 1:
                size = _numbers(element, "*") if element.tag == "size" else size
                objects += [_numbers(element, "bndbox/*")] if element.tag == "object" else []
                path[0].clear()  # so that a long file takes little memory
    except xml.DTDForbidden as error:
        raise FormatError(f"{source}: declares a document type or an entity; annotations need none") from error
    except xml.ParseError as error:
        raise FormatError(f"{source}: not XML: {error}") from error
    height, width = size.get("height", math.nan), size.get("width", math.nan)
    names = ("xmin", "ymin", "xmax", "ymax")
    corners = [tuple(numbers.get(name, math.nan) for name in names) for numbers in objects]
    return (height, width) if height > 0 and width > 0 else (math.nan, math.nan), corners


def _numbers(element: Element, below: str) -> dict[str, float]:
    """The numbers in some elements by their tags; NaN for any other text."""
    return {leaf.tag: _number(leaf.text or "") for leaf in element.iterfind(below)}


# Tables ----------------------------------------------------------------------------------------------------

_CORNERS = (("xmin", "ymin", "xmax", "ymax"), ("x1", "y1", "x2", "y2"), ("left", "top", "right", "bottom"))
_ORIGINS = (("x", "y", "width", "height"), ("x", "y", "w", "h"), ("left", "top", "width", "height"))
_SIZES = (("width", "height"), ("w", "h"))
_IMAGES = ("image", "image_id", "filename", "file", "image_name", "img_name")


def from_csv(text: str, source: str) -> Boxes:
    """Boxes of a CSV with a header: `x, y, width, height` (or `w, h` alone), or `xmin, ymin, xmax, ymax`.

    Optional columns: `image` (or `image_id`, `filename`) and `image_width, image_height`; beside corners, `width` and
    `height` are the image's, as TensorFlow's and Roboflow's tables have it.
    """
    reader = csv.reader(io.StringIO(text), skipinitialspace=True)
    try:
        header = [name.strip().lower() for name in next(reader, [])]
        rows = [row for row in reader if row]
    except csv.Error as error:
        raise FormatError(f"{source}: not a CSV: {error}") from error
    if not rows:
        raise FormatError(f"{source}: holds no rows below its header")

    def column(name: str) -> FloatArray:
        k = header.index(name)
        return np.array([_number(row[k]) if k < len(row) else np.nan for row in rows])

    x, y, width, height, used = _csv_boxes(header, column, source)
    named = next((header.index(name) for name in _IMAGES if name in header), None)
    keys = [k if named is None else row[named] if named < len(row) else "" for k, row in enumerate(rows)]
    index = {key: k for k, key in enumerate(dict.fromkeys(keys))}
    image = np.array([index[key] for key in keys], np.int64)
    heights, widths = np.full((2, int(image.max()) + 1), np.nan)
    sized = [pair for pair in (("image_width", "image_height"), ("width", "height")) if {*pair} <= {*header} - used]
    if sized:
        sizes = np.array([column(name) for name in sized[0]])
        widths[image], heights[image] = np.where(sizes > 0, sizes, np.nan)
    found = Boxes(x, y, width, height, image, heights, widths, source=source, place=lambda k: f"row {k + 1}")
    return checked(found)


def _csv_boxes(
    header: list[str], column: Callable[[str], FloatArray], source: str
) -> tuple[FloatArray, FloatArray, FloatArray, FloatArray, set[str]]:
    """The columns left, top, width, height, and the names that they were made of."""
    names = next((names for names in (*_CORNERS, *_ORIGINS, *_SIZES) if {*names} <= {*header}), None)
    if names is None:
        raise FormatError(
            f"{source}: the header {','.join(header)[:80]!r} has no boxes; name x,y,width,height or xmin,ymin,xmax,ymax"
        )
    *origin, width, height = map(column, names)
    x, y = origin or np.zeros((2, len(width)))
    if names in _CORNERS:
        width, height = width - x, height - y
    return x, y, width, height, {*names}


def from_array(values: Any, source: str) -> Boxes:
    """Boxes from float[n, 2] (width, height) or float[n, 4] (left, top, width, height); image sizes are not known."""
    try:
        table = np.asarray(values, np.float64)
    except (TypeError, ValueError, OverflowError) as error:
        raise FormatError(f"{source}: not numbers of shape (n, 2) or (n, 4): {error}") from error
    if table.ndim != 2 or table.shape[1] not in (2, 4) or not len(table):
        raise FormatError(f"{source}: an array of boxes has shape (n, 2) or (n, 4) with n > 0, not {table.shape}")
    if table.shape[1] == 2:
        table = np.concatenate([np.zeros_like(table), table], axis=1)
    unknown, image = np.full(1, np.nan), np.zeros(len(table), np.int64)
    x, y, width, height = np.ascontiguousarray(table.T)
    return checked(Boxes(x, y, width, height, image, unknown, unknown, source=source, place="row {}".format))
