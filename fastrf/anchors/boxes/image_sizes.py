"""The size of a JPEG or PNG from its header, for labels that are shares of their image; no pixels are read."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import BinaryIO

from fastrf.system.files import opened

__all__ = ["picture_size"]

_PNG = b"\x89PNG\r\n\x1a\n"
#: More segments before the first frame make no JPEG.
MAX_SEGMENTS = 10_000
#: JPEG markers that open a frame: they hold the size.
_FRAMES = frozenset({*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC})


def picture_size(path: Path) -> tuple[int, int] | None:
    """(rows, columns) of a `.jpg` or `.png` file, as stored; None where there is none, or its header is damaged."""
    try:
        with opened(path) as file:
            head = file.read(24)
            if head[:8] == _PNG and len(head) == 24:
                width, height = struct.unpack(">II", head[16:])
                size = height, width
            elif head[:2] == b"\xff\xd8":
                file.seek(2)
                size = _jpeg_size(file)
            else:
                return None
    except (OSError, ValueError, struct.error):
        return None
    return size if min(size) > 0 else None


def _jpeg_size(file: BinaryIO) -> tuple[int, int]:
    """The size in the first frame header; struct.error where the file ends before it."""
    for _ in range(MAX_SEGMENTS):
        prefix, marker, length = struct.unpack(">BBH", file.read(4))
        if prefix != 0xFF or length < 2:
            raise ValueError("not a marker")
        if marker in _FRAMES:
            _, height, width = struct.unpack(">BHH", file.read(5))
            return height, width
        file.seek(length - 2, 1)
    raise ValueError("no frame")
