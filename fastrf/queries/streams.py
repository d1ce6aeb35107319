"""Every mask of a field, chunk by chunk: to Zarr, to a lazy Dask array, to one NumPy file.

A chunk is some whole masks, so memory is bounded by the chunk however large the map. `ReceptiveField.to_zarr` and
`to_dask` call this module, and so does the command line. Zarr and Dask are imported when used.
"""

from __future__ import annotations

import contextlib
import hashlib
import math
import os
import zipfile
from collections.abc import Iterator, Sequence
from concurrent.futures import as_completed
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from fastrf.budget import limits, require_memory, thread_pool
from fastrf.engine.dependency import Dependency
from fastrf.errors import FormatError, ShapeError
from fastrf.queries import masks
from fastrf.system import interrupts
from fastrf.system.extras import require
from fastrf.system.files import read_text, whole_file
from fastrf.system.locks import cached_property
from fastrf.system.terminal import Progress, silent

__all__ = ["Stream", "to_dask", "to_file", "to_zarr"]

#: Chunks hold about this many bytes where the caller does not say.
CHUNK_BYTES = 1 << 24


@dataclass(frozen=True)
class Stream:
    """All masks of a dependency of positions, in row-major order, `chunk` of them at a time."""

    dependency: Dependency
    packed: bool
    chunk: int

    @classmethod
    def of(cls, dependency: Dependency, packed: bool, chunk: int | None) -> Stream:
        """A stream in chunks of a given number of masks, or of about CHUNK_BYTES. Raises ShapeError, LimitError."""
        n, plane = math.prod(dependency.shape), math.prod(masks.plane_shape(dependency, packed))
        if chunk is None:
            chunk = min(max(1, CHUNK_BYTES // max(plane, 1)), max(n, 1))
        if isinstance(chunk, bool) or not isinstance(chunk, int) or chunk < 1:
            raise ShapeError(f"chunks must be a positive number of masks, not {chunk!r}")
        told = f"{n} masks in chunks of {chunk} make {-(-n // chunk)} chunks"
        limits.require("chunks", -(-n // chunk), told, "ask for larger chunks, or analyse a smaller input_shape")
        return cls(dependency, packed, min(chunk, max(n, 1)))

    @property
    def n_chunks(self) -> int:
        """How many chunks there are."""
        return -(-self.shape[0] // self.chunk)

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of all masks together."""
        return (math.prod(self.dependency.shape), *masks.plane_shape(self.dependency, self.packed))

    @property
    def dtype(self) -> str:
        """NumPy's name of the element type."""
        return "uint8" if self.packed else "bool"

    @cached_property
    def fingerprint(self) -> str:
        """A hash of the axes and relations: equal for the same field in another process."""
        digest = hashlib.sha256(repr((self.dependency.axes, self.dependency.input_shape)).encode())
        terms = []
        for term in self.dependency.terms:
            own = hashlib.sha256()
            for rows, cols, relation in term:
                own.update(repr((rows, cols)).encode())
                for array in relation.runs:
                    own.update(np.ascontiguousarray(array).view(np.uint8).data)
            terms.append(own.digest())
        digest.update(b"".join(sorted(terms)))
        return digest.hexdigest()

    def span(self, k: int) -> slice:
        """Which masks chunk `k` holds."""
        return slice(k * self.chunk, min((k + 1) * self.chunk, self.shape[0]))

    def read(self, k: int, threads: int = 1) -> masks.Dense:
        """The masks of chunk `k`."""
        span = self.span(k)
        rows = np.arange(span.start, span.stop, dtype=np.int64)
        return masks.dense(self.dependency, rows, packed=self.packed, out=None, threads=threads)

    def require(self, chunks_at_once: int) -> None:
        """LimitError where so many chunks would not fit into memory."""
        n_bytes = chunks_at_once * self.chunk * math.prod(self.shape[1:])
        told = f"{chunks_at_once} chunks of {self.chunk} masks"
        require_memory(n_bytes, told, "ask for smaller chunks or packed=True")


# Zarr --------------------------------------------------------------------------------------------------------


def to_zarr(
    stream: Stream,
    path: str | os.PathLike[str],
    *,
    name: str,
    resume: bool = False,
    progress: Progress | None = None,
    threads: int | None = None,
) -> Any:
    """Write a stream as a Zarr array, one chunk a file; see `ReceptiveField.to_zarr`."""
    workers = threads or os.cpu_count() or 1
    zarr = require("zarr", "zarr", "to_zarr")
    stream.require(2 * workers)
    array = _opened(zarr, stream, path, name, resume)
    todo = [k for k in range(stream.n_chunks) if not _chunk_file(array, path, k).exists()]
    done = stream.n_chunks - len(todo)
    told = progress or silent
    told(done, stream.n_chunks)
    try:
        # an empty chunk is written too: its file says that it is done
        with interrupts.orderly, zarr.config.set({"array.write_empty_chunks": True}):
            for count in _written(array.with_config({"write_empty_chunks": True}), stream, todo, workers):
                told(done + count, stream.n_chunks)
        array.attrs["complete"] = True
    except OSError as error:
        raise FormatError(f"{path}: {error.strerror or error}; what is there is valid, go on with resume") from error
    return array


def _written(array: Any, stream: Stream, chunks: Sequence[int], workers: int) -> Iterator[int]:
    """Write chunks on several threads; how many are done, after each."""

    def write(k: int) -> None:
        array[stream.span(k)] = stream.read(k)

    with thread_pool(workers) as pool:
        pending = [pool.submit(write, k) for k in chunks]
        try:
            for count, future in enumerate(as_completed(pending), start=1):
                future.result()
                yield count
        except BaseException:
            pool.shutdown(wait=True, cancel_futures=True)
            raise


def _opened(zarr: Any, stream: Stream, path: str | os.PathLike[str], name: str, resume: bool) -> Any:
    """The array to write: a new one, or with `resume` the one that is there. Raises FormatError."""
    try:
        place = Path(path)
        exists = place.exists()
        if exists and resume:
            return _resumed(zarr, stream, place)
        if exists and not (place.is_dir() and not any(place.iterdir())):
            raise FormatError(f"{path}: exists; choose another name, or go on with resume")
        return _created(zarr, stream, str(place), name)
    except (OSError, TypeError) as error:
        reason = getattr(error, "strerror", None) or error
        raise FormatError(f"{path!s}: {reason}; choose a name in a folder that can be written") from error


def _created(zarr: Any, stream: Stream, store: Any, name: str) -> Any:
    """A new array for a stream."""
    return zarr.create_array(
        store=store,
        shape=stream.shape,
        chunks=(stream.chunk, *(max(n, 1) for n in stream.shape[1:])),
        dtype=stream.dtype,
        fill_value=0,
        attributes={
            "name": name,
            "positions": list(stream.dependency.shape),
            "pixels": list(stream.dependency.input_shape),
            "packed": stream.packed,
            "field": stream.fingerprint,
            "complete": False,
        },
    )


def _resumed(zarr: Any, stream: Stream, place: Path) -> Any:
    """The array that is there, where it is what would be made anew, and no link leads out of it."""
    metadata = place / "zarr.json"
    if metadata.is_symlink():
        raise FormatError(f"{place}: has links in it, which are not followed; choose another name")
    if metadata.exists():
        read_text(metadata, "file")
    try:
        array = zarr.open_array(store=str(place), mode="r+", zarr_format=3)
        stored = array.metadata.to_dict()
    except Exception as error:  # Zarr raises errors of many kinds for what is none of its arrays
        raise FormatError(f"{place}: no Zarr array to resume ({error}); choose another name") from error
    if array.attrs.get("field") != stream.fingerprint or array.attrs.get("packed") != stream.packed:
        raise FormatError(f"{place}: holds the masks of another field or form; choose another name")
    if array.chunks[0] != stream.chunk:
        raise FormatError(f"{place}: has chunks of {array.chunks[0]} masks, not {stream.chunk}; resume with those")
    anew = _created(zarr, stream, zarr.storage.MemoryStore(), "").metadata.to_dict()
    if {**stored, "attributes": {}} != {**anew, "attributes": {}}:
        raise FormatError(f"{place}: stores masks otherwise than this version of Zarr does; choose another name")
    folders = {place, *(_chunk_file(array, place, k).parent for k in range(stream.n_chunks))}
    inside = {folder for leaf in folders for folder in (leaf, *leaf.parents) if folder.is_relative_to(place)} - {place}
    if any(part.is_symlink() for part in inside):
        raise FormatError(f"{place}: has links in it, which are not followed; choose another name")
    return array


def _chunk_file(array: Any, path: str | os.PathLike[str], k: int) -> Path:
    """Where Zarr keeps a chunk. It writes under another name first, so that a file that exists is whole."""
    key: str = array.metadata.encode_chunk_key((k, *[0] * (array.ndim - 1)))
    return Path(path) / key


# Dask --------------------------------------------------------------------------------------------------------


def to_dask(stream: Stream) -> Any:
    """A lazy `dask.array` of a stream; see `ReceptiveField.to_dask`."""
    da, dask = (require(name, "zarr", "to_dask") for name in ("dask.array", "dask"))
    stream.require(1)
    counts = tuple(stream.span(k).stop - stream.span(k).start for k in range(stream.n_chunks)) or (0,)
    numbers = da.arange(max(stream.n_chunks, 1), chunks=1)
    for _ in stream.shape[1:]:
        numbers = numbers[..., None]
    return numbers.map_blocks(
        _block,
        dask.delayed(stream, pure=True, traverse=False),
        dtype=stream.dtype,
        chunks=(counts, *((n,) for n in stream.shape[1:])),
        meta=np.empty((0,) * len(stream.shape), stream.dtype),
    )


def _block(number: Any, stream: Stream) -> masks.Dense:
    return stream.read(int(number.ravel()[0]))


# One file ----------------------------------------------------------------------------------------------------


def require_form(path: str | os.PathLike[str]) -> str:
    """The ending of a file of masks. Raises FormatError for another, MissingExtraError for `.zarr` without zarr."""
    ending = Path(path).suffix
    if ending not in (".zarr", ".npy", ".npz"):
        raise FormatError(f"{path}: ending {ending!r} is unknown here; use .zarr, .npy or .npz")
    if ending == ".zarr":
        require("zarr", "zarr", "a .zarr")
    return ending


def to_file(stream: Stream, path: str | os.PathLike[str], progress: Progress | None = None) -> None:
    """Write a stream to `.npy`, or compressed to `.npz` under the name `masks`; the file appears whole or not at all.

    Raises FormatError for another ending or a file that cannot be written, LimitError for chunks beyond memory.
    """
    ending = require_form(path)
    stream.require(1)
    header = {"descr": np.dtype(stream.dtype).str, "fortran_order": False, "shape": stream.shape}
    with contextlib.ExitStack() as stack:
        file: Any = stack.enter_context(whole_file(path))
        if ending == ".npz":
            archive = stack.enter_context(zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED, compresslevel=1))
            file = stack.enter_context(archive.open("masks.npy", "w", force_zip64=True))
        np.lib.format.write_array_header_2_0(file, header)
        for k in range(stream.n_chunks):
            file.write(stream.read(k, threads=os.cpu_count() or 1).data)
            (progress or silent)(k + 1, stream.n_chunks)
