"""Masks and boxes as text and files, for the command line."""

from __future__ import annotations

import itertools
import json
import textwrap
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import numpy.typing as npt

from fastrf.errors import FormatError, UsageError
from fastrf.field import ReceptiveField
from fastrf.system.extras import require
from fastrf.system.files import opened, whole_file
from fastrf.system.tables import document, spelled
from fastrf.system.terminal import note, terminal_width

__all__ = ["axis_names", "box_rows", "describe", "describe_json", "draw", "require_tools", "write_boxes", "write_mask"]

Mask = npt.NDArray[np.bool_]

#: Endings of files of a mask.
MASKS = (".npy", ".npz", ".png", ".txt", ".json")

#: A text picture is not larger than this many characters by lines, nor wider than the terminal; a larger mask is shown
#: in blocks.
TEXT_WIDTH, TEXT_HEIGHT = 120, 60


def describe(field: ReceptiveField, where: tuple[int, ...], mask: Mask) -> str:
    """Facts, then the picture, no wider than the terminal."""
    width = terminal_width()
    box = _box(mask)
    hull = " x ".join(f"[{low}, {high})" for low, high in box)
    at = ",".join(map(str, where)) or "the only position"
    facts = f"{field.name} at {at} sees {mask.sum():,} of {mask.size:,} pixels, box {hull}"
    facts += "" if field.exact else f" (over-approximated at {', '.join(field.approximate_at)})"
    lines = [facts, *(f"assumes: {sentence}" for sentence in field.assumes)]
    lines = [part for line in lines for part in _wrapped(line, width)]
    return "\n".join([*lines, *draw(mask, width)])


def _wrapped(line: str, width: int | None) -> list[str]:
    line = spelled(line)
    return [line] if width is None else textwrap.wrap(line, max(width, 20), break_on_hyphens=False)


def describe_json(field: ReceptiveField, where: tuple[int, ...], mask: Mask, origin: Mapping[str, Any]) -> str:
    """The same as JSON: its origin, facts, and the mask row by row as half-open runs of the flattened input."""
    edges = np.flatnonzero(np.diff(np.r_[0, mask.ravel().astype(np.int8), 0])).reshape(-1, 2)
    facts = {
        **origin,
        "node": field.name,
        "at": list(where),
        "shape": list(mask.shape),
        "area": int(mask.sum()),
        "box": [list(pair) for pair in _box(mask)],
        "exact": field.exact,
        "approximate_at": list(field.approximate_at),
        "assumes": list(field.assumes),
        "flat_runs": edges.tolist(),
    }
    return json.dumps(document("mask", **facts))


def _box(mask: Mask) -> list[tuple[int, int]]:
    box = []
    for axis in range(mask.ndim):
        used = np.flatnonzero(mask.any(axis=tuple(a for a in range(mask.ndim) if a != axis)))
        box.append((int(used[0]), int(used[-1]) + 1) if used.size else (0, 0))
    return box


def draw(mask: Mask, width: int | None = None) -> list[str]:
    """The mask as lines of `#` (seen) and `.`: the part around it, with a margin, in blocks if it is large.

    In blocks, `+` is one of which some pixels are seen. Of a mask of more than two axes, every plane that sees
    something is drawn in turn.
    """
    if not mask.any():
        return ["nothing is seen"]
    if mask.ndim < 2:
        return _draw_plane(np.atleast_2d(mask), "", width)
    lines: list[str] = []
    for index in itertools.product(*(range(n) for n in mask.shape[:-2])):
        if mask[index].any():
            lines += _draw_plane(mask[index], f"plane {', '.join(map(str, index))}: " if index else "", width)
    return lines


def _draw_plane(plane: Mask, label: str, width: int | None) -> list[str]:
    (top, bottom), (left, right) = ((max(low - 1, 0), high + 1) for low, high in _box(plane))
    part = plane[top:bottom, left:right]
    columns = TEXT_WIDTH if width is None else min(TEXT_WIDTH, max(width, 20))
    block = max(1, -(-part.shape[0] // TEXT_HEIGHT), -(-part.shape[1] // columns))
    padded = np.pad(part, [(0, -n % block) for n in part.shape])
    counts = padded.reshape(padded.shape[0] // block, block, -1, block).sum(axis=(1, 3))
    scale = f", one character for {block}x{block} pixels, + where some are seen" if block > 1 else ""
    rows = f"rows [{top}, {top + part.shape[0]}), " if plane.shape[0] > 1 else ""
    head = f"{label}{rows}columns [{left}, {left + part.shape[1]}) of {'x'.join(map(str, plane.shape))}{scale}"
    signs = np.where(counts == block * block, "#", np.where(counts > 0, "+", "."))
    return [*_wrapped(head, width), *("".join(row) for row in signs)]


def require_tools(ending: str, image: Path | None = None) -> None:
    """Raises what a file of this ending, over such an image, would fail with in the end."""
    if image is not None and ending != ".png":
        raise UsageError("--image lies under a picture; write one with -o mask.png")
    if image is not None:
        opened(image).close()  # what is not there is told before what draws it is missing
    if ending == ".png":
        require("matplotlib.figure", "plot", "a .png")


def write_mask(
    field: ReceptiveField,
    where: tuple[int, ...],
    mask: Mask,
    path: Path,
    image: Path | None = None,
    origin: Mapping[str, Any] = MappingProxyType({}),
) -> None:
    """Write a mask to `.npy`, `.npz` (key `mask`), `.png`, `.txt` or `.json`.

    Raises FormatError for a mask that is no picture or an image that cannot be read, MissingExtraError for `.png`
    without matplotlib.
    """
    if path.suffix == ".png":
        _write_png(field, where, mask, path, image)
        return
    with whole_file(path) as file:
        if path.suffix == ".npy":
            np.save(file, mask, allow_pickle=False)
        elif path.suffix == ".npz":
            np.savez_compressed(file, allow_pickle=False, mask=mask)
        elif path.suffix == ".json":
            file.write(describe_json(field, where, mask, origin).encode())
        else:
            rows = np.atleast_2d(mask).reshape(-1, mask.shape[-1] if mask.ndim else 1)
            file.write("".join("".join("#" if seen else "." for seen in row) + "\n" for row in rows).encode())


def _write_png(field: ReceptiveField, where: tuple[int, ...], mask: Mask, path: Path, image: Path | None) -> None:
    """A picture as `fastrf.plot.mask` draws it: over an image if there is one, with the box and the centre."""
    if mask.ndim > 2:
        raise FormatError(f"{path}: a mask of {mask.ndim} axes is no picture; write .npy or .npz")
    from fastrf.plot import images, places

    figure = require("matplotlib.figure", "plot", "a .png").Figure(layout="constrained")
    picture = None if image is None else images.read_picture(image)
    if picture is not None and mask.ndim == 2 and (told := picture.stretched(*mask.shape)):
        note(f"{image} of {told}; cut it to these proportions if the network does not stretch its images, too")
    kind = {"position": where} if len(where) == len(field.position_shape) else {"neuron": where}
    places.mask(field, image=picture, ax=figure, **kind)
    with whole_file(path) as file:
        figure.savefig(file, format="png", dpi=150)


def box_rows(field: ReceptiveField, only: tuple[int, ...] | None) -> list[dict[str, Any]]:
    """One mapping per position: its index, `start` and `stop` per pixel axis, `area` and `density`.

    Axes are called by `axis_names`.
    """
    places, pixels = axis_names(len(field.position_shape)), axis_names(len(field.pixel_shape))
    if only is not None:
        positions, found, areas = [only], [field.box(only)], [int(field.mask(only).sum())]
    else:
        positions = list(np.ndindex(field.position_shape))
        found = list(field.boxes().reshape(len(positions), -1, 2))
        areas = field.areas().ravel().tolist()
    rows = []
    for position, box, area in zip(positions, found, areas, strict=True):
        row: dict[str, Any] = dict(zip(places, position, strict=True))
        for name, (start, stop) in zip(pixels, box.tolist(), strict=True):
            row |= {f"{name}_start": start, f"{name}_stop": stop}
        hull = int(np.prod(box[:, 1] - box[:, 0]))
        rows.append({**row, "area": area, "density": round(area / max(hull, 1), 6)})
    return rows


def axis_names(n: int) -> list[str]:
    """x, or y and x, or z, y and x; numbered for more axes."""
    return list("zyx"[-n:]) if 0 < n <= 3 else [f"axis{k}" for k in range(n)]


def write_boxes(field: ReceptiveField, path: Path) -> None:
    """Write boxes to `.npy`, or boxes, areas and densities to `.npz`."""
    with whole_file(path) as file:
        if path.suffix == ".npy":
            np.save(file, field.boxes(), allow_pickle=False)
        else:
            arrays = {"boxes": field.boxes(), "areas": field.areas(), "densities": field.densities()}
            np.savez_compressed(file, allow_pickle=False, **arrays)
