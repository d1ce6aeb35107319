"""The networks that are a plain list of layers, kept as JSON files in the spec form."""

from __future__ import annotations

import json
from importlib.resources import files
from typing import Any

__all__ = ["build"]


def build(name: str, input_shape: tuple[int, ...]) -> dict[str, Any]:
    """Spec of the file ``<name>.json`` at ``input_shape``."""
    spec: dict[str, Any] = json.loads(files(__package__).joinpath(f"{name}.json").read_text(encoding="utf-8"))
    spec["input_shape"] = list(input_shape)
    return spec
