"""Optional packages: imported when they are needed, or an error that says which extra brings them."""

from __future__ import annotations

import importlib
from typing import Any

from fastrf.errors import MissingExtraError

__all__ = ["require"]


def require(module: str, extra: str, what: str) -> Any:
    """A module of an optional package, which `what` needs. Raises MissingExtraError, which names the extra."""
    try:
        return importlib.import_module(module)
    except ImportError as error:
        package = module.partition(".")[0]
        brings = f"'fastrf[{extra}]'" + (f" {package}" if package in ("torchvision", "timm") else "")
        raise MissingExtraError(f"{what} needs {package}; pip install {brings}") from error
