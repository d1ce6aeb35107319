"""Where outputs of tiles go: arrays of the caller's, new ones in memory, or files with a record of what is done.

A file is made once the first tile has run, so that a network that does not fit leaves none behind. The record is one
line for the plan and one for each tile, added after the tile was written: a run that was killed goes on from there.
"""

from __future__ import annotations

import hashlib
import json
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from fastrf.budget import require_memory
from fastrf.errors import FormatError, ShapeError, UsageError
from fastrf.system.extras import require
from fastrf.system.files import read_text, whole_file
from fastrf.tiling.apart import place_of, require_apart, require_writable
from fastrf.tiling.callables import is_tensor, to_numpy
from fastrf.tiling.grids import Grid, Output
from fastrf.tiling.images import Image
from fastrf.tiling.tiles import Tile

__all__ = ["Stores"]

#: Zarr chunks hold about this many bytes at most.
_CHUNK = 1 << 24


class Stores:
    """The whole outputs of a plan while they are written; `done` holds the numbers of tiles that are there already."""

    def __init__(self, plan: Grid, image: Image, out: Any, resume: bool) -> None:
        self.plan, self.image = plan, image
        self.outs: list[Any] = _per_output(plan, out)
        self.dtypes: list[Any] = [None] * len(plan.outputs)
        require_apart(image.data, self.outs)
        self.record = Record.beside(self.outs[0], plan, image, resume)
        self.done = self.record.done if self.record else set()
        for k, output in enumerate(plan.outputs):
            self.outs[k] = self._opened(self.outs[k], output, bool(self.done))

    def __enter__(self) -> Stores:
        return self

    def __exit__(self, *_: object) -> None:
        for out in self.outs:
            if isinstance(out, np.memmap):
                out.flush()

    @property
    def result(self) -> Any:
        """What was asked for: one array, or a tuple of them."""
        return self.outs[0] if len(self.outs) == 1 else tuple(self.outs)

    def write(self, number: int, tile: Tile, parts: Sequence[Any]) -> None:
        """Write what is kept of a tile. Raises ShapeError where a type is another than before."""
        for k, (output, kept) in enumerate(zip(self.plan.outputs, parts, strict=True)):
            self._require_dtype(k, output, tile, kept)
        if self.record:
            self.record.begin()
        for k, (output, part, kept) in enumerate(zip(self.plan.outputs, tile.parts, parts, strict=True)):
            if self.outs[k] is None or isinstance(self.outs[k], Path):
                self.outs[k] = self._made(self.outs[k], output, kept)
            where = output.slices(part.place, self.image.batch)
            self.outs[k][where] = kept if is_tensor(self.outs[k]) else to_numpy(kept)
        if self.record:
            self.record.add(number)

    def _require_dtype(self, k: int, output: Output, tile: Tile, kept: Any) -> None:
        found, out = str(kept.dtype).removeprefix("torch."), self.outs[k]
        fixed = None if out is None or isinstance(out, Path) else str(out.dtype).removeprefix("torch.")
        expected = self.dtypes[k] or fixed or found
        if found != expected:
            told = f"tile {tile.index}: {output.name!r} is {found}, where the output so far is {expected}"
            raise ShapeError(f"{told}; give an out of {found}, or cast what the function returns")
        self.dtypes[k] = found

    def _shape(self, output: Output) -> tuple[int, ...]:
        return (*self.image.batch, *output.shape)

    def _opened(self, out: Any, output: Output, exists: bool) -> Any:
        """An output of the caller's, or a file to go on with. Raises ShapeError for one of another shape."""
        if out is None or (isinstance(out, Path) and not exists):
            return out
        found = _open(out) if isinstance(out, Path) else out
        if tuple(found.shape) != self._shape(output):
            told = f"out has shape {tuple(found.shape)}, {output.name!r} of the whole has {self._shape(output)}"
            raise ShapeError(f"{told}; make it anew")
        require_writable(found)
        return found

    def _made(self, path: Path | None, output: Output, kept: Any) -> Any:
        """A new output in memory or at a path, of the type that the first tile has."""
        shape = self._shape(output)
        if path is None and is_tensor(kept):
            device = self.image.data.device if is_tensor(self.image.data) else kept.device
            return sys.modules["torch"].empty(shape, dtype=kept.dtype, device=device)
        dtype = to_numpy(kept).dtype
        if path is None:
            require_memory(dtype.itemsize * int(np.prod(shape)), f"{output.name!r} of the whole", "give out= a .zarr")
            return np.empty(shape, dtype)
        if path.suffix == ".npy":
            return np.lib.format.open_memmap(path, "w+", dtype, shape)
        zarr = require("zarr", "zarr", "a .zarr")
        chunks = tuple(max(n, 1) for n in kept.shape)
        while np.prod(chunks) * dtype.itemsize > _CHUNK and max(chunks) > 1:
            chunks = tuple(-(-n // 2) if n == max(chunks) else n for n in chunks)
        ours = self.record is not None and self.record.is_resumed  # killed before its first tile was there
        return zarr.create_array(store=str(path), shape=shape, chunks=chunks, dtype=dtype, overwrite=ours)


class Record:
    """The file beside an output that says which tiles are there."""

    def __init__(self, path: Path, head: str, done: set[int], *, is_resumed: bool = False) -> None:
        self.path, self.head, self.done, self.is_resumed = path, head, done, is_resumed
        self.has_begun = False

    @classmethod
    def beside(cls, out: Any, plan: Grid, image: Image, resume: bool) -> Record | None:
        """That of an output on a disk; None in memory. Raises FormatError where there is none to resume, or another."""
        place = place_of(out)
        if place is None:
            if resume:
                raise UsageError("resume needs an output on a disk; give out= a path that ends in .zarr or .npy")
            return None
        told = hashlib.sha256(repr((plan.digest(), image.batch)).encode()).hexdigest()[:16]
        path, head = place.with_name(f"{place.name}.tiles"), json.dumps({"plan": told, "tiles": plan.n_tiles})
        if not resume:
            if isinstance(out, Path) and (place.exists() or path.exists()):
                raise FormatError(f"{place}: exists; choose another name, or go on with resume=True")
            path.unlink(missing_ok=True)
            return cls(path, head, set())
        if not path.exists():
            if isinstance(out, Path) and place.exists():
                raise FormatError(f"{place}: has no record of tiles beside it to resume; choose another name")
            return cls(path, head, set())
        first, *lines = read_text(path, "file").split("\n")
        if first != head:
            raise FormatError(f"{path}: is of another plan or image; resume with that, or choose another name")
        done = {int(line) for line in lines[:-1] if line.isdigit()} if place.exists() else set()
        return cls(path, head, done, is_resumed=True)

    def begin(self) -> None:
        """Say that the output is of this plan, before it is made; a line that was cut off is left out."""
        if not self.has_begun:
            with whole_file(self.path, sync=True) as file:
                file.write("".join(f"{line}\n" for line in (self.head, *sorted(self.done))).encode())
            self.has_begun = True

    def add(self, number: int) -> None:
        """Say that a tile is written."""
        with self.path.open("a") as file:
            file.write(f"{number}\n")
            file.flush()
            os.fsync(file.fileno())


def _per_output(plan: Grid, out: Any) -> list[Any]:
    """What the caller gave for every output, paths as such. Raises UsageError."""
    names = [output.name for output in plan.outputs]
    if isinstance(out, Mapping):
        given = [out.get(name) for name in names]
    elif isinstance(out, list | tuple):
        given = list(out)
    else:
        given = [out] if len(names) == 1 else [None] * len(names) if out is None else []
    if len(given) != len(names):
        raise UsageError(f"out must be one for each of the {len(names)} outputs: {', '.join(names)}")
    return [_path(one) if isinstance(one, str | os.PathLike) else one for one in given]


def _path(given: str | os.PathLike[str]) -> Path:
    path = Path(given)
    if path.suffix not in (".zarr", ".npy"):
        raise FormatError(f"{path}: ending {path.suffix!r} is unknown here; use .zarr or .npy")
    if path.suffix == ".zarr":
        require("zarr", "zarr", "a .zarr")
    if not path.absolute().parent.is_dir():
        raise FormatError(f"{path}: there is no folder {path.parent}; make it first")
    return path


def _open(path: Path) -> Any:
    """An output that was begun."""
    try:
        if path.suffix == ".npy":
            return np.lib.format.open_memmap(path, "r+")
        return require("zarr", "zarr", "a .zarr").open_array(store=str(path), mode="r+")
    except (OSError, ValueError, KeyError) as error:
        raise FormatError(f"{path}: cannot be resumed ({error}); choose another name") from error
