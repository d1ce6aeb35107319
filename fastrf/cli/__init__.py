"""The command line."""

from __future__ import annotations

import importlib

TYPE_CHECKING = False
if TYPE_CHECKING:
    from fastrf.cli.commands import app, main

__all__ = ["app", "main"]


def __getattr__(name: str) -> object:
    if name not in __all__:
        raise AttributeError(f"module 'fastrf.cli' has no attribute {name!r}")
    return getattr(importlib.import_module("fastrf.cli.commands"), name)
