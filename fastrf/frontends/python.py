"""Names that mean Python code: what to write instead, found without running any."""

from __future__ import annotations

import ast
import importlib.util
from pathlib import Path

from fastrf.errors import FormatError
from fastrf.system.files import opened

__all__ = ["require_callable"]

#: Of a module, so many names are listed.
_SHOWN = 8


def require_callable(name: str) -> None:
    """Raises FormatError for a file, module or dotted name of Python code that does not say what makes the model."""
    file, _, attribute = name.partition(":")
    path = Path(file)
    if path.suffix == ".py":
        opened(path).close()
        if not path.is_absolute() and all(part.isidentifier() for part in path.with_suffix("").parts):
            raise FormatError(
                f"{name}: a Python file; write {_written('.'.join(path.with_suffix('').parts), attribute)}"
            )
        raise FormatError(f"{name}: a Python file; go to its folder and write {_written(path.stem, attribute)}")
    parts = name.split(".")
    if attribute or not all(part.isidentifier() for part in parts):
        return
    if (source := _source(Path(*parts))) is not None:
        raise FormatError(f"{name!r} is the module {source}; write {_written(name, '', source)}")
    if len(parts) > 1 and _is_importable(parts[0]):
        raise FormatError(f"{name!r} has no colon; write {'.'.join(parts[:-1])}:{parts[-1]}")


def _is_importable(package: str) -> bool:
    """Whether a package is there, of which nothing is run."""
    try:
        return importlib.util.find_spec(package) is not None
    except (ImportError, ValueError):
        return False


def _source(path: Path) -> Path | None:
    """The file of a module in the working folder."""
    try:
        return next((file for file in (path.with_suffix(".py"), path / "__init__.py") if file.is_file()), None)
    except (OSError, ValueError):  # no name for a file
        return None


def _written(module: str, attribute: str, source: Path | None = None) -> str:
    """How to name what a module makes."""
    if attribute:
        return f"{module}:{attribute}"
    names = _names(source or _source(Path(*module.split("."))))
    return f"{module}:NAME" + (f", where NAME is {' or '.join(names)}" if names else "")


def _names(source: Path | None) -> list[str]:
    """Public functions and classes of a file, read as text."""
    if source is None:
        return []
    try:
        found = ast.parse(source.read_bytes()).body
    except (OSError, SyntaxError, ValueError, RecursionError, MemoryError):
        return []
    kinds = (ast.FunctionDef, ast.ClassDef)
    return [node.name for node in found if isinstance(node, kinds) and not node.name.startswith("_")][:_SHOWN]
