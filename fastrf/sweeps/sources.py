"""Sources: irregular candidates, each with an id, what `fastrf.load` takes, an input shape, and the node to look at.

`sources_of` reads what users list; `Source.network` builds a candidate, an ONNX file being parsed once however many
input shapes it is asked for. `evaluating` calls that on threads.
"""

from __future__ import annotations

import hashlib
import json
import os
import sys
import threading
from collections import OrderedDict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fastrf.errors import FastRFError, FormatError, UnknownNodeError, shown
from fastrf.loading import load
from fastrf.network import Network
from fastrf.queries.naming import resolve
from fastrf.system.locks import process_lock

__all__ = ["Broken", "InSpace", "Source", "last_map", "sources_of"]

#: So many parsed ONNX files are kept.
MAX_PARSED = 32


@dataclass(frozen=True)
class Broken:
    """A candidate that could not be read, and why: it becomes a row with that text."""

    reason: str


@dataclass(frozen=True)
class InSpace:
    """A candidate of a space by its notation."""

    space: Any
    arch: Any


@dataclass(frozen=True, eq=False)
class Source:
    """One candidate. `input_shape` None is its own; `node` None is its first output, "map" its last map."""

    id: str
    given: Any
    input_shape: Any = None
    node: str | None = None

    def network(self) -> Network:
        """The candidate's network. Raises what `fastrf.load` raises."""
        given = self.given
        if isinstance(given, Broken):
            raise FormatError(given.reason)
        if isinstance(given, InSpace):
            return given.space.network(given.arch, self.input_shape)  # type: ignore[no-any-return]
        if _is_onnx(given):
            return _parsed(given).network(self.input_shape, self.node)
        if _is_torch(given):
            with _capturing:
                return load(given, self.input_shape)
        return load(given, self.input_shape)

    def code(self) -> Sequence[int]:
        """The row of codes of a candidate of a space. Raises what the space's `parse` raises, FormatError if broken."""
        if isinstance(self.given, Broken):
            raise FormatError(self.given.reason)
        space = self.given.space
        return space.encode(space.parse(self.given.arch))  # type: ignore[no-any-return]

    def digest(self) -> bytes:
        """A hash of the id, the shape, and of what was given where that is text or data."""
        return hashlib.sha256(repr((self.id, self.input_shape, self.node, _told(self.given))).encode()).digest()


def _told(given: Any) -> object:
    if isinstance(given, InSpace):
        return given.space.name, given.arch
    if isinstance(given, Network):
        given = given.to_dict()
    if isinstance(given, str | os.PathLike):
        return os.fspath(given)
    if isinstance(given, Broken):
        return given.reason
    try:
        return json.dumps(given, sort_keys=True, default=_plain)
    except (TypeError, ValueError):
        return type(given).__name__


def _plain(value: Any) -> Any:
    """A Layer as its spec; anything else by the name of its type."""
    return value.to_dict() if hasattr(value, "to_dict") else type(value).__name__


# What users list --------------------------------------------------------------------------------------------------


def sources_of(candidates: Iterable[Any], input_shape: Any, node: str | None) -> list[Source]:
    """Candidates as users list them; a repeated id makes a row that says so.

    Each is what `fastrf.load` takes, `(id, source)`, `(source, shape)` or `(id, source, shape)`. Shapes by input name
    need the last form where the source is a text: `(text, mapping)` is an id and a network.
    """
    found: list[Source] = []
    first: dict[str, int] = {}
    spaces: dict[str, Any] = {}
    for number, item in enumerate(candidates):
        source = _source(number, item, input_shape, node, spaces)
        if isinstance(source.given, InSpace) and source.id == shown(str(source.given.arch)):
            found.append(source)  # a notation may come again, as in populations
            continue
        if source.id in first:
            reason = f"id {source.id[:80]!r} is that of row {first[source.id]}, too; give every candidate its own"
            source = Source(source.id, Broken(reason))
        first.setdefault(source.id, number)
        found.append(source)
    return found


def _source(number: int, item: Any, input_shape: Any, node: str | None, spaces: dict[str, Any]) -> Source:
    name, given, shape = None, item, input_shape
    if isinstance(item, Source):
        return item
    if isinstance(item, tuple):
        parts = list(item)
        if len(parts) in (2, 3) and _is_shape(parts[-1], mapping=len(parts) == 3 or not isinstance(parts[0], str)):
            shape = parts.pop()
        if len(parts) == 2 and isinstance(parts[0], str):
            name = parts.pop(0)
        given = parts[0] if len(parts) == 1 else item
    if isinstance(given, Mapping):
        from fastrf.sweeps.reading import mapping_of

        own_name, given, own_shape = mapping_of(given, spaces)
        name = own_name if name is None else name
        shape = shape if own_shape is None else _checked_shape(own_shape)
    if isinstance(given, InSpace) and name is None:
        name = str(given.arch)
    if name is None:
        text = os.fspath(given) if isinstance(given, str | os.PathLike) else str(number)
        own = shape is not input_shape
        name = f"{text} {_shape_text(shape)}" if own else text
    return Source(shown(name), given, shape, node)


def _is_shape(value: Any, *, mapping: bool) -> bool:
    """Whether a value is a shape; with `mapping`, or shapes by input name, which a classic table resembles."""
    sizes = value.values() if mapping and isinstance(value, Mapping) else [value]
    return bool(sizes) and all(
        isinstance(shape, tuple | list) and bool(shape) and all(type(n) is int for n in shape) for shape in sizes
    )


def _checked_shape(shape: Any) -> Any:
    """A shape as JSON gives it."""
    return tuple(shape) if isinstance(shape, list) else shape


def _shape_text(shape: Any) -> str:
    if isinstance(shape, Mapping):
        return ",".join(f"{name}={_shape_text(sizes)}" for name, sizes in shape.items())
    return "x".join(map(str, shape))


def last_map(network: Network) -> str:
    """The last node on the way to the first output with channels and more than one index on every other axis.

    Raises UnknownNodeError where there is none.
    """
    needed = {network.outputs[0]}
    for node in reversed(network.nodes):
        if node.name in needed:
            rest = [n for axis, n in enumerate(node.shape) if axis != node.channel_axis]
            if node.channel_axis is not None and rest and min(rest) > 1:
                return node.name
            needed.update(node.inputs)
    raise UnknownNodeError("no layer on the way to the output is a map of more than one position; name a node")


# ONNX: parsed once, for any number of input shapes ----------------------------------------------------------------

_capturing = process_lock()  # torch.export keeps state of its own
_lock = process_lock()
_files: OrderedDict[object, _Parsed] = OrderedDict()
if hasattr(os, "register_at_fork"):  # a forked child parses anew: one of these may be locked for ever
    os.register_at_fork(after_in_child=_files.clear)


class _Parsed:
    """A ModelProto, the same cut off behind a node, and what of them no input shape changes."""

    def __init__(self, given: Any) -> None:
        self.is_file = isinstance(given, str | os.PathLike)
        self.given = given
        self.name = Path(given).stem if self.is_file else given.graph.name or "model"
        self._ready: dict[str | None, tuple[Any, Any]] = {}
        self._lock = threading.Lock()

    def network(self, input_shape: Any, node: str | None) -> Network:
        from fastrf.frontends import onnx as frontend

        with self._lock:
            if self.is_file:
                self.given, self.is_file = frontend.read(self.given), False
            if node not in self._ready:
                self._ready[node] = frontend.folded(self.given if node is None else self._behind(node, input_shape))
        model, known = self._ready[node]
        return frontend.to_network(model, input_shape, name=self.name, known=known)

    def _behind(self, node: str, input_shape: Any) -> Any:
        """The model without what its node does not need: a head for one input size would not fit others."""
        from fastrf.frontends import onnx as frontend

        try:
            whole = frontend.to_network(self.given, None, name=self.name)
        except FastRFError:
            whole = frontend.to_network(self.given, input_shape, name=self.name)
        name = last_map(whole) if node == "map" else resolve(whole, node)
        return frontend.cut(self.given, name)


def _parsed(given: Any) -> _Parsed:
    if isinstance(given, str | os.PathLike):
        try:
            status = Path(given).stat()
            key: object = (os.fspath(given), status.st_mtime_ns, status.st_size)
        except (OSError, ValueError):
            key = None
    else:
        key = id(given)
    load_extra = sys.modules.get("onnx") or _import_onnx()
    assert load_extra is not None
    with _lock:
        found = _files.setdefault(key, _Parsed(given)) if key is not None else _Parsed(given)
        if key is not None:
            _files.move_to_end(key)
        while len(_files) > MAX_PARSED:
            _files.popitem(last=False)
    return found


def _import_onnx() -> Any:
    from fastrf.errors import MissingExtraError

    try:
        import onnx
    except ImportError as error:
        raise MissingExtraError("an ONNX model needs onnx; pip install 'fastrf[onnx]'") from error
    return onnx


def _is_onnx(given: Any) -> bool:
    if isinstance(given, str | os.PathLike):
        return os.fspath(given).lower().endswith(".onnx")
    onnx = sys.modules.get("onnx")
    return onnx is not None and isinstance(given, onnx.ModelProto)


def _is_torch(given: Any) -> bool:
    if isinstance(given, str | os.PathLike):
        return os.fspath(given).lower().endswith(".pt2") or (isinstance(given, str) and ":" in given)
    return "torch" in type(given).__module__ or any("torch.nn" in base.__module__ for base in type(given).__mro__)
