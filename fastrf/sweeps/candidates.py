"""Sources: irregular candidates, each with an id, what `fastrf.load` takes, an input shape, and the node to look at.

`sources_of` reads what users list; `Source.network` builds a candidate, an ONNX file being parsed once however many
input shapes it is asked for. `figures` calls that on threads.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import os
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fastrf import spaces, zoo
from fastrf.budget import limits
from fastrf.errors import FormatError, UsageError, a_kind, did_you_mean, shown
from fastrf.frontends.loading import load
from fastrf.network import Network
from fastrf.spaces.space import Candidates, Space
from fastrf.sweeps.onnx import Shapes, parsed
from fastrf.system.files import check_nesting, opened
from fastrf.system.locks import process_lock

__all__ = [
    "SPACES",
    "InSpace",
    "Numbered",
    "Source",
    "candidates_of",
    "lines_of",
    "mapping_of",
    "sources_of",
    "space_named",
]


@dataclass(frozen=True)
class InSpace:
    """A candidate of a space by its notation."""

    space: Space[Any]
    arch: Any


@dataclass(frozen=True)
class Numbered:
    """A candidate of many by its number."""

    candidates: Candidates
    number: int


@dataclass(frozen=True, eq=False)
class Source:
    """One candidate. `input_shape` None is its own; `node` None is its first output, "map" its last map.

    What could not be read is given as the FormatError that says why, which becomes the text of its row.
    """

    id: str
    given: Any
    input_shape: Shapes = None
    node: str | None = None

    def network(self) -> Network:
        """The candidate's network. Raises what `fastrf.load` raises."""
        given = self.given
        if isinstance(given, FormatError):
            raise FormatError(str(given))
        if isinstance(given, InSpace):
            return given.space.network(given.arch, self.input_shape)  # type: ignore[arg-type]
        if isinstance(given, Numbered):
            return given.candidates.network(given.number, self.input_shape)  # type: ignore[arg-type]
        if _is_onnx(given):
            return parsed(given).network(self.input_shape, self.node)
        with _capturing if _is_torch(given) else contextlib.nullcontext():
            return load(given, self.input_shape)

    def digest(self) -> bytes:
        """A hash of the id, the shape, and of what was given where that is text or data."""
        return hashlib.sha256(repr((self.id, self.input_shape, self.node, _told(self.given))).encode()).digest()


def _told(given: Any) -> object:
    if isinstance(given, InSpace):
        return given.space.name, given.arch
    if isinstance(given, str | os.PathLike):
        return os.fspath(given)
    if isinstance(given, FormatError):
        return str(given)
    try:
        return json.dumps(given, sort_keys=True, default=_plain)
    except (TypeError, ValueError):
        return type(given).__name__


def _plain(value: Any) -> Any:
    """A Network or Layer as its spec; anything else by the name of its type."""
    return value.to_dict() if hasattr(value, "to_dict") else type(value).__name__


# What users list --------------------------------------------------------------------------------------------------


def sources_of(candidates: Iterable[Any], input_shape: Shapes, node: str | None) -> list[Source]:
    """Candidates as users list them; a repeated id makes a row that says so.

    Each is what `fastrf.load` takes, `(id, source)`, `(source, shape)` or `(id, source, shape)`. Shapes by input name
    need the last form where the source is a text: `(text, mapping)` is an id and a network.
    """
    found: list[Source] = []
    first: dict[str, int] = {}
    met: dict[str, Space[Any]] = {}
    for number, item in enumerate(candidates):
        source = _source(number, item, input_shape, node, met)
        if isinstance(source.given, InSpace) and source.id == shown(str(source.given.arch)):
            found.append(source)  # a notation may come again, as in populations
            continue
        if source.id in first:
            reason = f"id {source.id[:80]!r} is that of row {first[source.id]}, too; give every candidate its own"
            source = Source(source.id, FormatError(reason))
        first.setdefault(source.id, number)
        found.append(source)
    return found


def _source(number: int, item: Any, input_shape: Shapes, node: str | None, met: dict[str, Space[Any]]) -> Source:
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
        own_name, given, own_shape = mapping_of(given, met)
        name = own_name if name is None else name
        own_shape = tuple(own_shape) if isinstance(own_shape, list) else own_shape  # as JSON gives it
        shape = shape if own_shape is None else own_shape
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


def _shape_text(shape: Shapes) -> str:
    if isinstance(shape, Mapping):
        return ",".join(f"{name}={_shape_text(sizes)}" for name, sizes in shape.items())
    return "x".join(map(str, shape or ()))


# As files and the command line name them --------------------------------------------------------------------------

#: Spaces by name, each as its class and arguments.
SPACES: dict[str, tuple[Callable[..., Space[Any]], tuple[Any, ...]]] = {
    "nasbench101": (spaces.NASBench101, ()),
    "nasbench201": (spaces.NASBench201, ()),
    "darts": (spaces.DARTS, ("cifar",)),
    "darts-cifar": (spaces.DARTS, ("cifar",)),
    "darts-imagenet": (spaces.DARTS, ("imagenet",)),
    "ofa": (spaces.OFAMobileNetV3, ()),
    "ofa_mbv3": (spaces.OFAMobileNetV3, ()),
    "ofa-without-se": (spaces.OFAMobileNetV3, (False,)),
    "ofa_mbv3-without-se": (spaces.OFAMobileNetV3, (False,)),
}

_capturing = process_lock()  # torch.export keeps state of its own


def space_named(name: str, also: str = "") -> Space[Any]:
    """A space by its name. Raises UsageError for an unknown one; `also` says what else the name is not."""
    found = SPACES.get(str(name).lower())
    if found is None:
        hint = did_you_mean(str(name).lower(), SPACES, "check its spelling;")
        raise UsageError(f"unknown space {str(name)[:60]!r}; {also}{hint} the spaces are {', '.join(SPACES)}")
    kind, arguments = found
    return kind(*arguments)


def candidates_of(words: list[str], sample: int | None, seed: int) -> Space[Any] | Candidates | list[Any]:
    """Candidates for `sweep` from the words of a command: a space's name, one `.jsonl` file, or networks.

    `sample` draws so many from a space. Raises UsageError and FormatError.
    """
    if len(words) == 1 and words[0].lower() in SPACES:
        space = space_named(words[0])
        return space if sample is None else space.sample(sample, seed)
    if sample is not None:
        raise UsageError(f"--sample draws from a space; the spaces are {', '.join(SPACES)}")
    if len(words) == 1 and words[0].lower().endswith(".jsonl"):
        return list(lines_of(Path(words[0])))
    if len(words) == 1 and words[0].isidentifier() and words[0] not in zoo.names() and not Path(words[0]).exists():
        space_named(words[0], "and it is neither a file nor a built-in network; ")
    return words


def lines_of(path: Path) -> Iterator[Any]:
    """A candidate per line of JSON, empty lines left out: a mapping as `mapping_of` reads it, a list of layers, a text.

    A line that is none is a candidate that failed. Raises FormatError for a file that cannot be read.
    """
    try:
        with opened(path) as binary, io.TextIOWrapper(binary, encoding="utf-8") as file:
            for number, line in enumerate(iter(lambda: file.readline(limits.line + 1), ""), start=1):
                if not line.strip():
                    continue
                try:
                    limits.require("line", len(line), f"{path}: line {number} has {len(line)} characters or more")
                    found = json.loads(line)
                    if not isinstance(found, dict | list | str):
                        raise FormatError(f"{a_kind(found)} is no candidate")
                    check_nesting(found, "it")
                    found = _without_code(found)
                except (ValueError, RecursionError) as error:
                    reason = " ".join(str(error).split())[:120] or "nested too deep"
                    yield f"line {number}", FormatError(f"line {number} is no candidate in JSON: {reason}")
                else:
                    yield found
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "not UTF-8 text"
        raise FormatError(f"{path}: {reason}; give one candidate in JSON per line") from error


def _without_code(found: Any) -> Any:
    """A line's candidate, where text is a built-in network or a path: only people and programs may name code."""
    if isinstance(found, dict) and isinstance(found.get("source"), str):
        return {**found, "source": _without_code(found["source"])}
    if not isinstance(found, str) or found in zoo.names():
        return found
    if ":" in found and not Path(found).exists():
        raise FormatError(f"{found[:60]!r} names code, which a file may not; give it on the command line or in Python")
    return Path(found)


def mapping_of(given: Mapping[str, Any], met: dict[str, Space[Any]]) -> tuple[str | None, Any, Any]:
    """A mapping as `(id, source, input shape)`, what it does not say being None.

    `{"space", "arch"}` is a candidate of a space, `{"source"}` anything that `fastrf.load` takes, both with an `"id"`
    and an `"input_shape"` where wanted; a network in the spec format may have an `"id"`, too. `met` keeps spaces.
    """
    name = given.get("id")
    name = None if name is None else str(name)
    if "arch" in given or "space" in given:
        unknown = [key for key in given if key not in ("id", "space", "arch", "input_shape")]
        if unknown or "arch" not in given or not isinstance(given.get("space"), str):
            return name, FormatError("a candidate of a space is {space, arch}, with id and input_shape if wanted"), None
        try:
            space = met[given["space"]] = met.get(given["space"]) or space_named(given["space"])
        except UsageError as error:
            return name, FormatError(str(error)), None
        return name, InSpace(space, given["arch"]), given.get("input_shape")
    if "source" in given:
        return name, given["source"], given.get("input_shape")
    if "id" in given and "layers" in given:
        return name, {key: value for key, value in given.items() if key != "id"}, None
    return None, given, None


def _is_onnx(given: Any) -> bool:
    if isinstance(given, str | os.PathLike):
        return os.fspath(given).lower().endswith(".onnx")
    onnx = sys.modules.get("onnx")
    return onnx is not None and isinstance(given, onnx.ModelProto)


def _is_torch(given: Any) -> bool:
    if isinstance(given, str | os.PathLike):
        return os.fspath(given).lower().endswith(".pt2") or (isinstance(given, str) and ":" in given)
    return "torch" in type(given).__module__ or any("torch.nn" in base.__module__ for base in type(given).__mro__)
