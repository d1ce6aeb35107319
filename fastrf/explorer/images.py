"""Images for the page: read, turned the right way up, made small, and written anew, so that pixels alone are left."""

from __future__ import annotations

import base64
import io
import os
import warnings
from pathlib import Path
from typing import Any

import numpy as np

from fastrf.errors import FastRFError, FormatError, LimitError, UsageError, a_kind, shown
from fastrf.system.extras import require
from fastrf.system.files import opened

__all__ = ["picture"]

#: Images of more pixels are not read.
MOST_PIXELS = 1 << 28
#: Longer sides are made so long.
SIDE = 1280
#: Images of fewer pixels stay as sharp as they are.
_SHARP = 1 << 16
_QUALITY = 85
#: So many pixels of a large image are converted at a time.
_BAND = 1 << 22
#: The tag of how a camera was held.
_ORIENTATION = 0x0112


def picture(image: Any, pixel_shape: tuple[int, ...]) -> dict[str, Any]:
    """What the document holds of an image: a data URI, the size in pixels, and the name of the file.

    `image` is a path, an image of Pillow's, or an array [H, W] or [H, W, channels]: uint8, or real numbers from 0 to 1.
    Raises UsageError for an input that is no image, FormatError for a file that is none, LimitError for one too large,
    and MissingExtraError without Pillow.
    """
    if len(pixel_shape) != 2:
        raise UsageError(
            f"an image lies under an input of two pixel axes, and this one has {pixel_shape}; leave it out"
        )
    pillow = require("PIL.Image", "plot", "an image under the page's pixels")
    name = Path(os.fspath(image)).name if isinstance(image, str | os.PathLike) else ""
    if name:
        with opened(image) as file:
            small = _small(_read(pillow, file, image), image)
    elif isinstance(image, pillow.Image):
        small = _small(image, "image")
    else:
        small = _small(_from_array(pillow, image), "image")
    kind = "PNG" if small.width * small.height <= _SHARP else "JPEG"
    told = io.BytesIO()
    small.save(told, kind, **({"optimize": True} if kind == "PNG" else {"quality": _QUALITY}))
    text = base64.b64encode(told.getvalue()).decode()
    uri = f"data:image/{kind.lower()};base64,{text}"
    return {"uri": uri, "width": small.width, "height": small.height, "name": shown(name)}


def _read(pillow: Any, file: Any, path: Any) -> Any:
    """The image in a file, which is not decoded yet."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of large ones, which are looked at here
        try:
            found = pillow.open(file)
        except pillow.DecompressionBombError as error:
            raise LimitError(f"{path}: more pixels than can be read; give a smaller image") from error
        except Exception as error:  # every reader of a damaged file fails in its own way
            raise FormatError(f"{path}: no image that Pillow reads; give a .png or .jpg") from error
    if found.width * found.height > MOST_PIXELS:
        raise LimitError(
            f"{path}: {found.width} x {found.height} pixels, more than {MOST_PIXELS:,}; give a smaller image"
        )
    found.draft("RGB", (SIDE, SIDE))  # of JPEG, no more is decoded than is shown
    return found


def _small(found: Any, path: Any) -> Any:
    """Right side up, in grey or colours of 8 bits on white, of few pixels, without anything beside them."""
    operations = require("PIL.ImageOps", "plot", "an image under the page's pixels")
    pillow = require("PIL.Image", "plot", "an image under the page's pixels")
    try:
        found.load()
        small = _reduced(pillow, found)
        small.thumbnail((SIDE, SIDE))
        small.getexif()[_ORIENTATION] = found.getexif().get(_ORIENTATION, 1)
        return pillow.fromarray(np.asarray(operations.exif_transpose(small)))
    except FastRFError:
        raise
    except Exception as error:  # what is damaged may be found wherever it is decoded
        reason = " ".join(str(error).split())[:100]
        raise FormatError(f"{path}: a damaged image ({type(error).__name__}: {reason}); save it anew") from error


def _reduced(pillow: Any, found: Any) -> Any:
    """In grey or colours on white, and where it is large by a whole number smaller: in bands, never a second whole."""
    (width, height), by = found.size, max(*found.size, SIDE) // SIDE
    most = 65535.0 if found.mode.startswith("I") else 1.0
    if found.mode == "I":
        most = max(most, found.getextrema()[1])
    if by == 1:
        return _plain(pillow, found, most)
    rows = max(_BAND // (width * by), 1) * by
    small = None
    for top in range(0, height, rows):
        band = _plain(pillow, found.crop((0, top, width, min(top + rows, height))), most).reduce(by)
        small = small or pillow.new(band.mode, (band.width, -(-height // by)))
        small.paste(band, (0, top // by))
    return small


def _plain(pillow: Any, part: Any, most: float) -> Any:
    """In grey or colours of 8 bits, what is transparent on white; numbers go up to `most`."""
    if part.mode.startswith(("I", "F")):
        return pillow.fromarray(_bytes(np.asarray(part), most))
    if "A" in part.getbands() or "transparency" in part.info:
        part = part.convert("RGBA")
        part = pillow.alpha_composite(pillow.new("RGBA", part.size, "white"), part)
    return part.convert("L" if part.mode in ("1", "L") else "RGB")


def _from_array(pillow: Any, image: Any) -> Any:
    """The image of an array. Raises UsageError for what is none."""
    values = np.asarray(image)
    is_image = values.ndim == 2 or (values.ndim == 3 and values.shape[2] in (1, 3, 4))
    if values.dtype.kind not in "buf" or not is_image or 0 in values.shape:
        raise UsageError(f"image must be a path, an image of Pillow's or an array [H, W, channels], not {_told(image)}")
    most = 1.0 if values.dtype.kind == "f" else max(float(values.max(initial=0)), 65535.0)
    values = values if values.dtype == np.uint8 else _bytes(values, most)
    return pillow.fromarray(values[:, :, 0] if values.shape[2:] == (1,) else values)


def _told(image: Any) -> str:
    return f"one of shape {image.shape} and {image.dtype}" if isinstance(image, np.ndarray) else a_kind(image)


def _bytes(values: Any, most: float) -> Any:
    """Numbers from 0 to `most`, which is 1 or what 16 bits, or they, have, as 8 bits."""
    if values.dtype.kind == "b":
        return values.astype(np.uint8) * 255
    return (np.clip(np.nan_to_num(values.astype(float) / most), 0, 1) * 255 + 0.5).astype(np.uint8)
