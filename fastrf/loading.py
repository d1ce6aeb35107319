"""load(): anything a user may hold, to a Network. Formats are recognised here and read by `frontends`."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from fastrf.errors import FormatError
from fastrf.frontends import spec
from fastrf.network import InputShape, Network

__all__ = ["load"]


def load(source: Any, input_shape: InputShape | None = None) -> Network:
    """A Network from a zoo name, a spec (path, mapping, list of layers, classic table), or a Network.

    `input_shape` is without the batch, e.g. `(3, 224, 224)`; with several inputs a mapping by name. It overrides the
    shape in the source.

    Raises FormatError for what cannot be read, NetworkError, ShapeError, UnsupportedOpError or LimitError for what
    cannot be.
    """
    if isinstance(source, Network):
        return source if input_shape is None else Network.from_dict(source.to_dict(), input_shape)
    if isinstance(source, Mapping):
        return spec.from_mapping(source, input_shape)
    if isinstance(source, list | tuple):
        return spec.from_layers(source, input_shape)
    if isinstance(source, os.PathLike):
        return spec.from_file(Path(source), input_shape)
    if isinstance(source, str):
        return _from_name(source, input_shape)
    raise FormatError(
        f"a {type(source).__name__} is not a network; "
        "give a zoo name, a .toml or .json path, a mapping or a list of layers"
    )


def _from_name(name: str, input_shape: InputShape | None) -> Network:
    """A path if it has a known ending or exists, otherwise a name from the zoo."""
    if name.endswith((".toml", ".json")) or Path(name).is_file():
        return spec.from_file(Path(name), input_shape)
    return spec.from_zoo(name, input_shape)
