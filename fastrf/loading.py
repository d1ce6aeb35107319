"""load(): anything a user may hold, to a Network. Formats are recognised here and read by `frontends`."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from fastrf.errors import FormatError, MissingExtraError, NetworkError
from fastrf.frontends import spec
from fastrf.network import Network

__all__ = ["load"]


def load(source: Any, input_shape: Any = None, *, on_unsupported: str = "raise") -> Network:
    """A Network from a zoo name, a spec (path, mapping, list of layers, classic table), a PyTorch model, or a Network.

    A PyTorch model is a `torch.nn.Module`, an `ExportedProgram`, a `.pt2` file or "package.module:callable"; it is
    captured in evaluation mode and left as it was. `on_unsupported="full"` goes on where an operator has no rule and
    marks what follows as approximate.

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
        return _from_name(os.fspath(source), input_shape, on_unsupported)
    if isinstance(source, str):
        return _from_name(source, input_shape, on_unsupported)
    if _is_torch(source):
        return _from_torch(source, input_shape, on_unsupported)
    raise FormatError(
        f"a {type(source).__name__} is not a network; "
        "give a zoo name, a .toml, .json or .pt2 path, a mapping, a list of layers or a torch.nn.Module"
    )


def _from_name(name: str, input_shape: Any, on_unsupported: str) -> Network:
    """A path if it has a known ending or exists, a PyTorch callable if it has a colon, otherwise a zoo name."""
    if name.endswith(".pt2") or (":" in name and not _exists(name)):
        return _from_torch(name, input_shape, on_unsupported)
    if name.lower().endswith((".toml", ".json")) or _exists(name):
        return spec.from_file(Path(name), input_shape)
    return spec.from_zoo(name, input_shape)


def _exists(name: str) -> bool:
    try:
        return Path(name).exists()
    except (OSError, ValueError):
        return False


def _is_torch(source: Any) -> bool:
    """Whether the source is PyTorch's, without importing it: who has such an object has imported it."""
    torch = sys.modules.get("torch")
    if torch is None:
        return False
    exported = sys.modules.get("torch.export")
    return isinstance(source, torch.nn.Module) or (
        exported is not None and isinstance(source, exported.ExportedProgram)
    )


def _from_torch(source: Any, input_shape: Any, on_unsupported: str) -> Network:
    """A PyTorch model, captured first where it is a module."""
    if on_unsupported not in ("raise", "full"):
        raise NetworkError(f"on_unsupported must be 'raise' or 'full', not {on_unsupported!r}")
    try:
        import torch
    except ImportError as error:
        raise MissingExtraError("a PyTorch model needs torch; pip install 'fastrf[torch]'") from error
    from fastrf.frontends import torch as frontend

    name = type(source).__name__
    if isinstance(source, str):
        name = Path(source).stem if source.endswith(".pt2") else source
        source = frontend.load_file(source) if source.endswith(".pt2") else frontend.load_callable(source)
    if isinstance(source, torch.nn.Module):
        source = frontend.capture(source, input_shape)
    return frontend.to_network(source, on_unsupported=on_unsupported, name=name)
