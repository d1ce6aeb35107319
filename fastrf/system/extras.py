"""Optional packages: imported when they are needed, or an error that says which extra brings them."""

from __future__ import annotations

import importlib
from importlib import metadata
from typing import Any

from fastrf.errors import MissingExtraError

__all__ = ["require"]

#: What is installed under another name than it is imported by.
_DISTRIBUTIONS = {"yaml": "PyYAML", "dask": "'dask[array]'", "PIL": "pillow"}


def require(module: str, extra: str, what: str) -> Any:
    """A module of an optional package, which `what` needs. Raises MissingExtraError, which names the extra."""
    try:
        return importlib.import_module(module)
    except ImportError as error:
        package = module.partition(".")[0]
        brings = [f"'fastrf[{extra}]'"] if _is_installed() else []
        if not brings or package in ("torchvision", "timm"):
            brings.append(_DISTRIBUTIONS.get(package, package))
        raise MissingExtraError(f"{what} needs {package}; pip install {' '.join(brings)}") from error


def _is_installed() -> bool:
    """Whether pip knows fastrf; run from a folder, it has no extras to bring."""
    try:
        metadata.distribution("fastrf")
    except metadata.PackageNotFoundError:
        return False
    return True
