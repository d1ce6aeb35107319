"""Pascal VOC annotations by defusedxml: a document type or an entity is refused, nothing is fetched."""

from __future__ import annotations

import io
import math
from typing import TYPE_CHECKING

from fastrf.errors import FormatError
from fastrf.system.extras import require

if TYPE_CHECKING:
    from xml.etree.ElementTree import Element

__all__ = ["parse"]

#: Elements do not lie deeper in each other.
MAX_DEPTH = 64

Corners = tuple[float, float, float, float]


def parse(text: str, source: str) -> tuple[tuple[float, float], list[Corners]]:
    """The image's (height, width), NaN where unknown, and xmin, ymin, xmax, ymax of each object, NaN where missing.

    Raises FormatError for what is no VOC annotation, and for document types and entities.
    """
    xml = require("defusedxml.ElementTree", "anchors", "a Pascal VOC annotation")
    path: list[Element] = []
    size: dict[str, float] = {}
    objects: list[dict[str, float]] = []
    try:
        for event, element in xml.iterparse(io.StringIO(text), ("start", "end"), forbid_dtd=True):
            if event == "start":
                path.append(element)
                _check(path, source)
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
    known = height > 0 and width > 0
    return (height, width) if known else (math.nan, math.nan), [_corners(numbers) for numbers in objects]


def _check(path: list[Element], source: str) -> None:
    if path[0].tag != "annotation":
        raise FormatError(f"{source}: the root is {path[0].tag!r}; Pascal VOC has 'annotation'")
    if len(path) > MAX_DEPTH:
        raise FormatError(f"{source}: elements more than {MAX_DEPTH} deep; annotations have five")


def _corners(numbers: dict[str, float]) -> Corners:
    left, top, right, bottom = (numbers.get(name, math.nan) for name in ("xmin", "ymin", "xmax", "ymax"))
    return left, top, right, bottom


def _numbers(element: Element, below: str) -> dict[str, float]:
    """The numbers in some elements by their tags; NaN for any other text."""
    return {leaf.tag: _number(leaf.text or "") for leaf in element.iterfind(below)}


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return math.nan
