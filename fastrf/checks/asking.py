"""What a model is asked beside a lock file, and over which files a lock file may be written."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from fastrf.checks.locks import Lock, begins_as_lock, is_schema
from fastrf.errors import FastRFError, FormatError, UsageError
from fastrf.system.files import opened, parse_json, read_text

if TYPE_CHECKING:
    from fastrf.analysis import Analysis
    from fastrf.network import Network

__all__ = ["asked_as", "require_lock", "write_lock"]


def require_lock(path: str | os.PathLike[str]) -> None:
    """Raise UsageError for a path that is no name of a lock file: something else is there, which must not be lost."""
    if not os.path.lexists(path):  # a link that leads nowhere is something, too
        return
    if not Path(path).is_file():
        raise UsageError(f"{path} is no regular file; give the name of a lock file")
    if not _is_lock(path):
        raise UsageError(f"{path} is there and is no lock file; choose another name, or remove it")


def _is_lock(path: str | os.PathLike[str]) -> bool:
    """Whether a file is a lock file, or what is left of one."""
    try:
        found = parse_json(read_text(path, "file"), path)
    except FormatError:
        with opened(path) as file:
            return begins_as_lock(file.read(200).decode(errors="replace"))
    return isinstance(found, dict) and is_schema(found.get("schema"))


def write_lock(analysis: Analysis, path: Path) -> tuple[Lock, bool]:
    """Write the lock file where it is not the same already; the lock, and whether it was written.

    Raises UsageError where another file is there.
    """
    require_lock(path)
    lock = Lock.of(analysis)
    is_new = not path.exists() or path.read_bytes() != lock.to_text().encode()
    if is_new:
        path.parent.mkdir(parents=True, exist_ok=True)
        lock.save(path)
    return lock, is_new


def asked_as(lock: Lock, load: Callable[[], Network]) -> tuple[Mapping[str, tuple[int, ...]] | None, str | None]:
    """For which shapes, by the model's names, and against what a model is asked that `load` reads without shapes.

    None stands for what goes without saying. Inputs of other names are those of the same places; where a model has
    fewer or more, its own shapes count, so that what was locked differs.
    """
    shapes, wrt = dict(lock.inputs), lock.wrt
    if len(shapes) == 1:
        return shapes, None if wrt in shapes else wrt
    try:
        own = list(load().inputs)
    except FastRFError:  # it does not know its shapes: those of the lock are for its names
        return shapes, wrt
    if wrt in shapes and wrt not in own:
        place = list(shapes).index(wrt)
        wrt = own[place] if place < len(own) else own[0]
    if len(own) != len(shapes):
        return None, wrt
    return (shapes if set(own) == set(shapes) else dict(zip(own, shapes.values(), strict=True))), wrt
