"""The size of a picture from its header, for labels that are shares of their image; no pixels are read."""

from __future__ import annotations

from pathlib import Path
from typing import BinaryIO

from fastrf.errors import FormatError
from fastrf.system.extras import require
from fastrf.system.files import opened

__all__ = ["ENDINGS", "picture_size"]

#: Endings of pictures that are looked for, and how JPEG, PNG, BMP, WebP and TIFF files begin.
ENDINGS = (".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff")
_HEADS = (b"\xff\xd8", b"\x89PNG", b"BM", b"RIFF", b"II*\0", b"MM\0*", b"II+\0")
#: A header that takes more reads than this is none: damaged files are searched byte by byte.
MAX_READS = 100_000


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
