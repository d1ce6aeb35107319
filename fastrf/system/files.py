"""Files: read within bounds whatever they claim to hold, and written whole or not at all.

Every reader and writer of fastrf goes through here; docs/safety.md tells users what follows from it.
"""

from __future__ import annotations

import contextlib
import json
import math
import os
import re
import stat
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from fastrf.budget import limits, require_memory
from fastrf.errors import FormatError, LimitError
from fastrf.system import interrupts
from fastrf.system.extras import require
from fastrf.system.garbage import uncollected

if TYPE_CHECKING:
    import numpy.typing as npt

__all__ = [
    "check_nesting",
    "check_unpacked",
    "opened",
    "parse_json",
    "parse_toml",
    "parse_yaml",
    "read_array",
    "read_arrays",
    "read_text",
    "whole_file",
]

StrPath = str | os.PathLike[str]

#: Arrays of a `.npz` may hold so many times the file's bytes, where that is more than the limit `arrays`.
MAX_EXPANSION = 100
#: Integers may not be longer; operators have bounds of their own.
MAX_BITS = 1024
#: PyYAML takes seconds for more characters than these; a model or a data set has far fewer.
MAX_YAML = 1 << 16
#: Bytes that values read from JSON take per byte of text, at worst.
_JSON_COST = 20


# Reading -----------------------------------------------------------------------------------------------------


def opened(path: StrPath) -> BinaryIO:
    """A regular file to read; a pipe or device, which may have no end, is refused. Raises FormatError."""
    waiting = getattr(os, "O_NONBLOCK", 0)  # opening a pipe would wait for its writer
    try:
        file = open(path, "rb", opener=lambda name, flags: os.open(name, flags | waiting))  # noqa: SIM115 (given back)
    except (OSError, TypeError, ValueError) as error:
        raise FormatError(f"{path}: {getattr(error, 'strerror', None) or error}; check the path") from error
    if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
        file.close()
        raise FormatError(f"{path}: a folder, pipe or device, not a file; check the path")
    return file


def read_text(path: StrPath, limit: str | None = None) -> str:
    """A text in UTF-8. Raises FormatError, and LimitError for more bytes than the limit of this name."""
    with opened(path) as file:
        size = os.fstat(file.fileno()).st_size
        if limit is not None:
            limits.require(limit, size, f"{path}: {size:,} bytes")
        require_memory(_JSON_COST * size, f"{path}: its values", "split the file")
        try:
            return file.read(size).decode("utf-8-sig")
        except OSError as error:
            raise FormatError(f"{path}: {error.strerror or error}; check the path") from error
        except UnicodeDecodeError as error:
            raise FormatError(f"{path}: not a text in UTF-8 ({error.reason} at byte {error.start})") from error


def parse_json(text: str | bytes, source: object, *, once: bool = False) -> Any:
    """JSON; with `once`, keys of a mapping must differ. Raises FormatError."""
    if not text.strip():
        raise FormatError(f"{source}: the file is empty")
    try:
        with uncollected():
            return json.loads(text, object_pairs_hook=_once if once else None)
    except (ValueError, RecursionError) as error:
        raise FormatError(f"{source}: not JSON: {error}") from error


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """A JSON object whose keys differ."""
    found: dict[str, Any] = {}
    for key, value in pairs:
        if key in found:
            raise ValueError(f"key {key[:60]!r} is given twice")
        found[key] = value
    return found


#: Strings and comments of TOML, each passed over in one step, whether it ends or not.
_TOML_TEXT = re.compile(
    r'"""(?:[^"\\]++|\\.|"(?!""))*+(?:""")?|'
    r"'''(?:[^']++|'(?!''))*+(?:''')?|"
    r'"(?:[^"\\\n]++|\\.)*+"?|'
    r"'[^'\n]*+'?|#[^\n]*+",
    re.DOTALL,
)


def parse_toml(text: str, source: object) -> dict[str, Any]:
    """TOML. Raises FormatError, and LimitError where its parser would take memory without end."""
    limits.require("toml", len(text), f"{source}: {len(text):,} characters", "write JSON")
    for words in re.split(r"[=,\[\]{}\n]", _TOML_TEXT.sub("", text)):
        parts = words.count(".") + 1
        if parts > limits.key_parts:
            limits.require("key_parts", parts, f"{source}: key {words.strip()[:40]!r}... has {parts} parts")
    require_memory(500 * len(text), f"{source}: its values", "write JSON")
    import tomllib

    try:
        return tomllib.loads(text)
    except (ValueError, RecursionError) as error:
        raise FormatError(f"{source}: not TOML: {error}") from error


def check_nesting(value: Any, source: str) -> None:
    """Raise FormatError for lists and mappings deeper than the limit `depth`, or an integer too long to be shown."""
    level = [value]
    for _ in range(limits.depth):
        if any(isinstance(item, int) and item.bit_length() > MAX_BITS for item in level):
            raise FormatError(f"{source}: holds an integer of more than {MAX_BITS} bits")
        nested = [
            item.values() if isinstance(item, dict) else item for item in level if isinstance(item, dict | list | tuple)
        ]
        level = [item for items in nested for item in items if isinstance(item, dict | list | tuple | int)]
        if not level:
            return
    raise FormatError(
        f"{source}: nested more than {limits.depth} deep, which is fastrf.limits.depth; is this a network?"
    )


def parse_yaml(text: str, source: object, extra: str) -> Any:
    """Lists, mappings and texts of YAML. Its aliases, which can grow beyond all memory, and its types are left out.

    Raises FormatError, and MissingExtraError without the extra that brings PyYAML.
    """
    if len(text) > MAX_YAML:
        raise FormatError(f"{source}: {len(text):,} characters; fastrf reads YAML of at most {MAX_YAML:,}")
    yaml = require("yaml", extra, "reading YAML")

    base: Any = yaml.BaseLoader

    class Loader(base):  # type: ignore[misc]
        def compose_node(self, parent: Any, index: Any) -> Any:
            if self.check_event(yaml.AliasEvent):
                raise FormatError(f"{source}: has a YAML alias; write out what it stands for")
            return super().compose_node(parent, index)

    try:
        return yaml.load(text, Loader)
    except (yaml.YAMLError, RecursionError) as error:
        raise FormatError(f"{source}: not YAML: {' '.join(str(error).split())[:160]}") from error


# Arrays ------------------------------------------------------------------------------------------------------


def read_array(path: StrPath) -> npt.NDArray[Any]:
    """The numbers of a `.npy` file, whose header must tell what it holds. Raises FormatError or LimitError."""
    with opened(path) as file:
        return _array(file, os.fstat(file.fileno()).st_size, str(path))


def read_arrays(path: StrPath) -> dict[str, npt.NDArray[Any]]:
    """The arrays of a `.npz` file by name. Raises FormatError, and LimitError for one that unpacks to too much."""
    with opened(path) as file:
        try:
            with zipfile.ZipFile(file) as archive:
                entries = archive.infolist()
                check_unpacked(sum(e.file_size for e in entries), os.fstat(file.fileno()).st_size, path)
                arrays = {}
                for entry in entries:
                    with archive.open(entry) as member:
                        arrays[entry.filename.removesuffix(".npy")] = _array(member, entry.file_size, str(path))
                return arrays
        except (FormatError, LimitError):
            raise
        except Exception as error:  # a damaged archive can fail in any of its readers
            raise FormatError(f"{path}: not a .npz archive ({type(error).__name__}: {error})") from error


def check_unpacked(total: int, size: int, path: StrPath) -> None:
    """Raise LimitError where an archive of `size` bytes unpacks to more than it may, or than there is memory for."""
    if total > MAX_EXPANSION * size:
        limits.require("arrays", total, f"{path}: {size:,} bytes that unpack to {total:,}")
    require_memory(3 * total, f"{path}: its arrays", "close other programs")


def _array(file: Any, size: int, source: str) -> npt.NDArray[Any]:
    """An array of booleans, integers or real numbers, read-only, where `size` bytes are just what it takes."""
    import numpy as np

    headers = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}
    try:
        version = np.lib.format.read_magic(file)
        if version not in headers:
            raise ValueError(f"format {version} is not known")
        shape, is_fortran, dtype = headers[version](file)
        n_bytes = math.prod(shape) * dtype.itemsize
        if dtype.kind not in "biuf" or not dtype.itemsize or min(shape, default=0) < 0:
            raise ValueError(f"it holds {dtype} of shape {shape}, not numbers")
        if n_bytes != size - file.tell():
            raise ValueError(f"shape {shape} of {dtype} takes {n_bytes} bytes, but {size - file.tell()} are there")
        require_memory(2 * n_bytes, f"{source}: its values", "split the file")
        values = np.frombuffer(file.read(n_bytes), dtype)
        return values.reshape(shape[::-1]).T if is_fortran else values.reshape(shape)
    except LimitError:
        raise
    except Exception as error:  # NumPy reads the header as Python's literals, which fail in many ways
        reason = " ".join(str(error).split())[:200]
        raise FormatError(f"{source}: not an array that NumPy saved ({type(error).__name__}: {reason})") from error


# Writing -----------------------------------------------------------------------------------------------------


@contextlib.contextmanager
def whole_file(path: StrPath, *, through_links: bool = True, sync: bool = False) -> Iterator[BinaryIO]:
    """A file to write that takes its name when the block ends well, and vanishes when it does not.

    A regular file of that name is replaced and its permissions are kept. A link stays, and what it points to is
    written; without `through_links`, the link itself is replaced. With `sync`, the bytes are on the disk before the
    name is. Raises FormatError where that cannot be.
    """
    try:
        target = Path(path).resolve() if through_links else Path(path)
        kept = target.stat().st_mode if target.exists() else None
        if kept is not None and not stat.S_ISREG(kept):
            raise FormatError(f"{path}: exists and is no regular file; choose another name")
        temporary = target.with_name(f".fastrf-{os.urandom(8).hex()}")
        interrupts.leftovers.add(temporary)
        # made with the mode that it will have: asking for the umask would change it for every thread
        handle = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0), 0o666)
    except (OSError, RuntimeError, TypeError, ValueError) as error:
        if isinstance(error, FormatError):
            raise
        reason = getattr(error, "strerror", None) or error
        raise FormatError(f"{path!s}: {reason}; choose a file name in a folder that can be written") from error
    try:
        with os.fdopen(handle, "wb") as file:
            if kept is not None:
                temporary.chmod(stat.S_IMODE(kept))
            yield file
            if sync:
                file.flush()
                os.fsync(file.fileno())
        temporary.replace(target)
    except OSError as error:
        raise FormatError(f"{path}: {error.strerror or error}; nothing was written") from error
    finally:
        temporary.unlink(missing_ok=True)
        interrupts.leftovers.discard(temporary)
