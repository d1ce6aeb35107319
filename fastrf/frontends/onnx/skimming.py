"""A model file without its weights: the payloads of big tensors are skipped where they lie, never read.

An ONNX file is nested protobuf messages, each field a tag, a length and bytes. Only messages that are big are gone
into; a tensor in them keeps its name, type and shape, and is marked as stored elsewhere, like one with external data.
"""

from __future__ import annotations

import mmap
import os
from collections.abc import Iterator

from fastrf.budget import limits
from fastrf.errors import FormatError
from fastrf.system.files import opened

__all__ = ["SMALL", "skim"]

#: Tensors of fewer bytes are kept with their values.
SMALL = 1 << 22
#: Messages within messages: subgraphs of subgraphs.
MAX_DEPTH = 100

#: Fields of each message that hold messages which may hold tensors (onnx.proto3).
_CHILDREN: dict[str, dict[int, str]] = {
    "model": {7: "graph", 25: "function"},
    "graph": {1: "node", 5: "tensor", 15: "sparse"},
    "function": {7: "node", 11: "attribute"},
    "node": {5: "attribute"},
    "attribute": {5: "tensor", 6: "graph", 10: "tensor", 11: "graph", 22: "sparse", 23: "sparse"},
    "sparse": {1: "tensor", 2: "tensor"},
}
#: Payload fields of a tensor: float, int32, string, int64, raw, double, uint64, and where external data is.
_PAYLOAD = frozenset((4, 5, 6, 7, 9, 10, 11, 13, 14))
_STORED_ELSEWHERE = bytes((14 << 3, 1))


def skim(path: str | os.PathLike[str]) -> bytes:
    """The bytes of a model without payloads of `SMALL` bytes and more. Raises FormatError or LimitError."""
    with opened(path) as file:
        size = os.fstat(file.fileno()).st_size
        if size == 0:
            raise FormatError(f"{path}: the file is empty; export the model again")
        try:
            with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as mapped, memoryview(mapped) as view:
                return bytes(view) if size < SMALL else b"".join(_message(view, 0, size, "model", 0))
        except OSError as error:
            raise FormatError(f"{path}: {error.strerror or error}; check the path") from error
        except (IndexError, ValueError) as error:
            raise FormatError(f"{path}: not an ONNX model, or cut off ({error}); export it again") from error


def _message(view: memoryview, at: int, end: int, kind: str, depth: int) -> list[bytes]:
    """The parts of a message, big tensors without values."""
    if depth > MAX_DEPTH:
        raise ValueError(f"messages more than {MAX_DEPTH} deep")
    parts: list[bytes] = []
    kept = at
    for tag, start, first, stop in _fields(view, at, end):
        child = _CHILDREN[kind].get(tag >> 3)
        if child is None or stop - first < SMALL:
            continue
        inner = _tensor(view, first, stop) if child == "tensor" else _message(view, first, stop, child, depth + 1)
        size = sum(map(len, inner))
        _check(size)
        parts += [bytes(view[kept:start]), _encoded(tag), _encoded(size), *inner]
        kept = stop
    _check(end - kept)
    return [*parts, bytes(view[kept:end])]


def _check(size: int) -> None:
    limits.require("structure", size, f"{size} bytes of structure; is this a model?")


def _tensor(view: memoryview, at: int, end: int) -> list[bytes]:
    """A tensor's name, type and shape."""
    fields = _fields(view, at, end)
    return [*(bytes(view[start:stop]) for tag, start, _, stop in fields if tag >> 3 not in _PAYLOAD), _STORED_ELSEWHERE]


def _fields(view: memoryview, at: int, end: int) -> Iterator[tuple[int, int, int, int]]:
    """Every field of a message: its tag, where it starts, and where its bytes start and stop."""
    while at < end:
        start = at
        tag, at = _varint(view, at, end)
        wire = tag & 7
        if wire not in (0, 1, 2, 5):
            raise ValueError(f"wire type {wire}")
        length, at = _varint(view, at, end) if wire in (0, 2) else (8 if wire == 1 else 4, at)
        first, at = at, at if wire == 0 else at + length
        if at > end:
            raise ValueError("a field is longer than its message")
        yield tag, start, first, at


def _varint(view: memoryview, at: int, end: int) -> tuple[int, int]:
    value = shift = 0
    while at < end and shift < 70:
        byte = view[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
        shift += 7
    raise ValueError("a number is cut off")


def _encoded(value: int) -> bytes:
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)
