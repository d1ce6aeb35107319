"""Pascal VOC annotations, read by expat alone: a document type or an entity is refused, nothing is fetched.

`readers.from_voc` calls it.
"""

from __future__ import annotations

import math
from xml.parsers import expat

from fastrf.errors import FormatError

__all__ = ["parse"]

#: Elements do not lie deeper in each other, and numbers have not so many characters.
MAX_DEPTH, MAX_NUMBER = 64, 64

Corners = tuple[float, float, float, float]
_CORNERS = ("xmin", "ymin", "xmax", "ymax")
_SIZE = ("annotation", "size")
_OBJECT = ("annotation", "object")
_BOX = (*_OBJECT, "bndbox")


def parse(text: str, source: str) -> tuple[tuple[float, float], list[Corners]]:
    """The image's (height, width), NaN where unknown, and xmin, ymin, xmax, ymax of each object, NaN where missing.

    Raises FormatError for what is no VOC annotation, and for document types and entities.
    """
    document = _Document(source)
    parser = expat.ParserCreate()
    parser.buffer_text = True
    parser.StartDoctypeDeclHandler = parser.EntityDeclHandler = document.refuse
    parser.StartElementHandler = document.start
    parser.EndElementHandler = document.end
    parser.CharacterDataHandler = document.text
    try:
        parser.Parse(text, True)
    except expat.ExpatError as error:
        raise FormatError(f"{source}: not XML: {error}") from error
    if document.root != "annotation":
        raise FormatError(f"{source}: the root is {document.root!r}; Pascal VOC has 'annotation'")
    height, width = (document.size.get(name, math.nan) for name in ("height", "width"))
    known = height > 0 and width > 0
    return (height, width) if known else (math.nan, math.nan), document.corners


class _Document:
    """What the handlers gather; the path of open elements tells where a text stands."""

    def __init__(self, source: str) -> None:
        self.source = source
        self.root = ""
        self.size: dict[str, float] = {}
        self.corners: list[Corners] = []
        self._path: list[str] = []
        self._box: dict[str, float] = {}
        self._text = ""

    def refuse(self, *_: object) -> None:
        raise FormatError(f"{self.source}: declares a document type or an entity; annotations need none")

    def start(self, name: str, _: dict[str, str]) -> None:
        if len(self._path) >= MAX_DEPTH:
            raise FormatError(f"{self.source}: elements more than {MAX_DEPTH} deep; annotations have five")
        self.root = self.root or name
        self._path.append(name)
        self._text = ""
        if tuple(self._path) == _OBJECT:
            self._box = {}

    def text(self, text: str) -> None:
        if len(self._text) < MAX_NUMBER:
            self._text += text

    def end(self, name: str) -> None:
        path = tuple(self._path)
        if path[:-1] == _SIZE:
            self.size[name] = _number(self._text)
        elif path[:-1] == _BOX and name in _CORNERS:
            self._box[name] = _number(self._text)
        elif path == _OBJECT:
            left, top, right, bottom = (self._box.get(corner, math.nan) for corner in _CORNERS)
            self.corners.append((left, top, right, bottom))
        self._path.pop()
        self._text = ""


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return math.nan
