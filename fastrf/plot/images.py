"""Images as people have them (paths, arrays, tensors, pictures of Pillow), made right side up and of modest size."""

from __future__ import annotations

import math
import os
import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from fastrf.budget import require_memory
from fastrf.errors import FormatError, ShapeError, UsageError, a_kind
from fastrf.system.extras import require
from fastrf.system.files import opened

__all__ = ["Picture", "read_picture"]

#: A picture is drawn with at most so many pixels on its longer side.
LONGEST = 2048


class Picture:
    """`pixels` uint8[H, W, 3 or 4], and the `shape` (H, W) that the image had."""

    def __init__(self, pixels: npt.NDArray[np.uint8], shape: tuple[int, int]) -> None:
        self.pixels, self.shape = pixels, shape

    def stretched(self, rows: int, columns: int) -> str:
        """What is to be said where it has other proportions than an input: by more than rounding takes."""
        height, width = self.shape
        if abs(width * rows - height * columns) < max(width, height, rows, columns):
            return ""
        return f"{height}x{width} is stretched to the {rows}x{columns} of the input"


def read_picture(image: Any, pixel_shape: Sequence[int] = ()) -> Picture:
    """An image to lay under a mask: a path, an array or tensor, or a picture of Pillow.

    Arrays are [H, W], [H, W, channels] or [channels, H, W] of 1, 3 or 4 channels, whole numbers or floats. Floats are
    taken to be in [0, 1], and those that are not, as of a normalised image, are brought there by their smallest and
    largest value. Raises FormatError for a file that is no image, ShapeError for another shape.
    """
    if isinstance(image, Picture):
        return image
    if isinstance(image, str | os.PathLike):
        return _from_file(image)
    if hasattr(image, "detach"):
        image = image.detach().cpu()
        image = image.float() if str(image.dtype) == "torch.bfloat16" else image
    if hasattr(image, "getexif"):
        return _from_pillow(image, "image")
    try:
        values = np.asarray(image)
    except (TypeError, ValueError) as error:
        raise UsageError(f"image must be a path, an array or a tensor, not {a_kind(image)} ({error})") from error
    return _from_array(values, tuple(pixel_shape))


def _from_file(path: str | os.PathLike[str]) -> Picture:
    pillow = require("PIL.Image", "plot", "an image")
    try:
        with opened(path) as file, warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of oddities in its metadata, and of a size that is looked at below
            with pillow.open(file) as image:
                return _from_pillow(image, str(path))
    except pillow.DecompressionBombError as error:
        raise FormatError(f"{path}: an image of more pixels than Pillow opens; make it smaller") from error
    except (OSError, ValueError, SyntaxError, EOFError, IndexError, KeyError, TypeError, OverflowError) as error:
        if isinstance(error, FormatError):
            raise
        unknown = isinstance(error, pillow.UnidentifiedImageError)
        reason = "not an image" if unknown else getattr(error, "strerror", None) or error
        raise FormatError(f"{path}: {str(reason)[:160]}; give a picture such as a .png") from error


def _from_pillow(image: Any, name: str) -> Picture:
    """Turned as its metadata says, and made as small as it is drawn."""
    turn = require("PIL.ImageOps", "plot", "an image").exif_transpose
    width, height = image.size
    require_memory(8 * width * height, f"{name}: its {width}x{height} pixels", "make it smaller")
    if max(width, height) > 2 * LONGEST:
        image.draft(image.mode, (LONGEST, LONGEST))  # a .jpg is unpacked at a smaller size
    deep = image.mode in ("I", "F") or image.mode.startswith("I;16")
    shown = turn(image)
    if (shown.width > shown.height) != (width > height):
        width, height = height, width
    if deep:
        return Picture(_from_array(np.asarray(shown), ()).pixels, (height, width))
    shown = shown.convert("RGBA" if "A" in shown.getbands() or "transparency" in shown.info else "RGB")
    shown.thumbnail((LONGEST, LONGEST))
    return Picture(np.asarray(shown), (height, width))


def _from_array(values: npt.NDArray[Any], pixel_shape: tuple[int, ...]) -> Picture:
    if values.dtype.kind not in "biuf":
        raise ShapeError(f"image must hold numbers, not {values.dtype}")
    given = values.shape
    if values.ndim == 4 and given[0] == 1:
        values = values[0]
    first, last = (values.shape[k] in (1, 3, 4) if values.ndim == 3 else False for k in (0, -1))
    if first and (not last or values.shape[1:] == pixel_shape):
        values = np.moveaxis(values, 0, -1)
    elif values.ndim == 2:
        values = values[..., None]
    elif not last:
        raise ShapeError(f"image has shape {given}; give [H, W], [H, W, 3] or [3, H, W] (1, 3 or 4 channels)")
    if 0 in values.shape:
        raise ShapeError(f"image has shape {given}, which holds no pixel")
    shape = values.shape[:2]
    step = math.ceil(max(shape) / LONGEST)
    pixels = _as_bytes(values[::step, ::step])
    return Picture(np.repeat(pixels, 3, axis=-1) if pixels.shape[-1] == 1 else pixels, (shape[0], shape[1]))


def _as_bytes(values: npt.NDArray[Any]) -> npt.NDArray[np.uint8]:
    """Numbers of any kind as bytes."""
    if values.dtype == np.uint8:
        return np.ascontiguousarray(values)
    if values.dtype.kind in "iu" and values.min() >= 0 and values.max() <= 255:
        return values.astype(np.uint8)
    real = np.nan_to_num(values.astype(np.float64), posinf=0.0, neginf=0.0)
    low, high = min(float(real.min()), 0.0), max(float(real.max()), 1.0)
    if values.dtype.kind == "u":
        low, high = 0.0, float(np.iinfo(values.dtype).max)
    return np.asarray(np.round((real - low) * (255 / (high - low))), np.uint8)
