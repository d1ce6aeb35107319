"""The spec front-end: TOML, JSON, mappings, lists of layers, the classic table, and the zoo."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from fastrf import zoo
from fastrf.errors import FormatError, NetworkError, ShapeError
from fastrf.frontends.options import DEFAULTS, Options
from fastrf.layers import Layer
from fastrf.network import InputShape, Network

__all__ = ["MAX_FILE_BYTES", "from_file", "from_layers", "from_mapping", "from_zoo"]

#: A spec file larger than this is refused before it is read.
MAX_FILE_BYTES = 64 << 20


def from_zoo(name: str, input_shape: InputShape | None = None, options: Options = DEFAULTS) -> Network:
    """A built-in architecture by name."""
    if isinstance(input_shape, Mapping):
        if list(input_shape) != ["input"]:
            raise ShapeError(f"the only input of {name!r} is called 'input', not {', '.join(map(str, input_shape))}")
        input_shape = input_shape["input"]
    try:
        spec = zoo.build(name, input_shape)
    except KeyError as error:
        raise FormatError(
            f"{name!r} is neither a file nor a built-in network; {str(error.args[0]).partition('; ')[2]}"
        ) from error
    except (TypeError, ValueError) as error:
        raise ShapeError(str(error)) from error
    return _network(spec, None, options)


def from_file(path: Path, input_shape: InputShape | None = None, options: Options = DEFAULTS) -> Network:
    """A `.toml` or `.json` file."""
    text = _read(path)
    try:
        spec = tomllib.loads(text) if path.suffix.lower() == ".toml" else json.loads(text, object_pairs_hook=_once)
    except (ValueError, RecursionError) as error:
        kind = "TOML" if path.suffix.lower() == ".toml" else "JSON"
        raise FormatError(f"{path}: not {kind}: {error}") from error
    if isinstance(spec, list):
        return from_layers(spec, input_shape, options)
    if not isinstance(spec, Mapping):
        raise FormatError(f"{path}: holds a {type(spec).__name__}; a network is a mapping with 'layers', or a table")
    spec = {"name": path.stem, **spec} if "layers" in spec else spec
    return from_mapping(spec, input_shape, options)


def _read(path: Path) -> str:
    """The text of a regular file of a sensible size."""
    try:
        if path.exists() and not path.is_file():
            raise FormatError(f"{path}: a directory or device, not a file; give a .toml or .json file")
        if path.stat().st_size > MAX_FILE_BYTES:
            raise FormatError(f"{path}: the file is larger than {MAX_FILE_BYTES >> 20} MiB; is it a spec?")
        content = path.read_bytes()
    except FormatError:
        raise
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise FormatError(f"{path}: {reason}; check the path") from error
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError as error:
        raise FormatError(f"{path}: not UTF-8 at byte {error.start}; save the spec as UTF-8") from error


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """A JSON object whose keys differ."""
    found: dict[str, Any] = {}
    for key, value in pairs:
        if key in found:
            raise ValueError(f"key {key[:60]!r} is given twice")
        found[key] = value
    return found


def from_mapping(
    spec: Mapping[str, Any], input_shape: InputShape | None = None, options: Options = DEFAULTS
) -> Network:
    """A spec, or the classic table `{name: [kernel, stride, padding(, dilation)]}`."""
    if "layers" in spec:
        plain = {
            **spec,
            "layers": [_plain(layer) for layer in spec["layers"]] if isinstance(spec["layers"], list | tuple) else None,
        }
        return _network(plain, input_shape, options)
    if not spec or not all(isinstance(row, list | tuple) for row in spec.values()):
        raise FormatError("a network needs 'layers', or rows {name: [kernel, stride, padding(, dilation)]}")
    if any(isinstance(row[0], Mapping) for row in spec.values() if row):
        raise FormatError(f"{next(iter(spec))!r} holds mappings; is it meant to be 'layers'?")
    layers = []
    for name, row in spec.items():
        if len(row) not in (3, 4):
            raise FormatError(
                f"row {name!r} has {len(row)} numbers; write [kernel, stride, padding] or [..., dilation]"
            )
        names = ("kernel_size", "stride", "padding", "dilation")
        layers.append({"name": str(name), "op": "window", **dict(zip(names, row, strict=False))})
    return _network({"layers": layers}, input_shape, options)


def from_layers(layers: Sequence[Any], input_shape: InputShape | None = None, options: Options = DEFAULTS) -> Network:
    """A list of layers: mappings, or what `fastrf.conv` and its like return."""
    if input_shape is None:
        raise ShapeError("a list of layers has no input shape; give input_shape=(channels, height, width)")
    return _network({"layers": [_plain(layer) for layer in layers]}, input_shape, options)


def _network(spec: Mapping[str, Any], input_shape: InputShape | None, options: Options) -> Network:
    """The network of a spec, with the channel axis that the user names."""
    if options.values:
        raise NetworkError(
            f"values names {next(iter(options.values))!r}, but a spec has no control inputs; leave it out"
        )
    network = Network.from_dict(spec, input_shape)
    if options.channel_axis is ...:
        return network
    options.check_names(network.inputs)
    axes: dict[str, int | None] = {}
    for name, given in network.inputs.items():
        axis = options.axis_of(name, given.shape)
        axes[name] = given.channel_axis if axis is ... else axis
    return Network.from_dict({**spec, "channel_axis": axes, "guessed": []}, input_shape)


def _plain(layer: Any) -> Mapping[str, Any]:
    if isinstance(layer, Layer):
        return layer.to_dict()
    if isinstance(layer, Mapping):
        return layer
    raise NetworkError(f"a layer is a mapping or a fastrf layer such as fastrf.conv(64, 3), not {layer!r}")
