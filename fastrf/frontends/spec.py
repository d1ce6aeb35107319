"""The spec front-end: TOML, JSON, mappings, lists of layers, the classic table, and the zoo."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from fastrf import zoo
from fastrf.errors import FormatError, NetworkError, ShapeError, UnsupportedOpError, a_kind, shown
from fastrf.frontends.layers import Layer
from fastrf.frontends.masking import exclusions
from fastrf.frontends.options import DEFAULTS, Options, plain_shape
from fastrf.network import InputShape, Network
from fastrf.ops import find
from fastrf.ops.truths import nested
from fastrf.system import files

__all__ = ["from_file", "from_layers", "from_mapping", "from_zoo"]


def from_zoo(name: str, input_shape: InputShape | None = None, options: Options = DEFAULTS) -> Network:
    """A built-in architecture by name."""
    if isinstance(input_shape, Mapping):
        if list(input_shape) != ["input"]:
            raise ShapeError(f"the only input of {name!r} is called 'input', not {', '.join(map(str, input_shape))}")
        input_shape = input_shape["input"]
    try:
        spec = zoo.build(name, plain_shape(input_shape))
    except KeyError as error:
        raise FormatError(
            f"{name!r} is neither a file nor a built-in network; {str(error.args[0]).partition('; ')[2]}"
        ) from error
    except TypeError as error:
        said = f"input_shape must be positive integers such as (3, 224, 224), not {str(input_shape)[:60]!r}"
        raise ShapeError(said) from error
    except ValueError as error:
        raise ShapeError(str(error)) from error
    return _network(spec, None, options)


def from_file(path: Path, input_shape: InputShape | None = None, options: Options = DEFAULTS) -> Network:
    """A `.toml` or `.json` file."""
    text = files.read_text(path, "file")
    is_toml = path.suffix.lower() == ".toml"
    spec = files.parse_toml(text, path) if is_toml else files.parse_json(text, path, once=True)
    if isinstance(spec, list):
        return from_layers(spec, input_shape, options)
    if not isinstance(spec, Mapping):
        raise FormatError(f"{path}: holds {a_kind(spec)}; a network is a mapping with 'layers', or a table")
    spec = {"name": shown(path.stem), **spec} if "layers" in spec else spec
    try:
        return from_mapping(spec, input_shape, options)
    except FormatError as error:
        raise error if str(path) in str(error) else FormatError(f"{path}: {error}") from error


def from_mapping(
    spec: Mapping[str, Any], input_shape: InputShape | None = None, options: Options = DEFAULTS
) -> Network:
    """A spec, or the classic table `{name: [kernel, stride, padding(, dilation)]}`."""
    files.check_nesting(spec, "the network")
    if "layers" in spec:
        layers = spec["layers"]
        plain = [_plain(layer) for layer in layers] if isinstance(layers, list | tuple) else None
        return _network({**spec, "layers": plain}, input_shape, options)
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
    files.check_nesting(layers, "the network")
    return _network({"layers": [_plain(layer) for layer in layers]}, input_shape, options)


def _network(spec: Mapping[str, Any], input_shape: InputShape | None, options: Options) -> Network:
    """The network of a spec, with the channel axis that the user names."""
    if options.values:
        raise NetworkError(
            f"values names {next(iter(options.values))!r}, but a spec has no control inputs; leave it out"
        )
    own = spec.get("input_shape")
    input_shape = plain_shape(input_shape, len(own) if isinstance(own, list | tuple) else None)
    layers = spec.get("layers")
    if isinstance(layers, list | tuple):
        layers = [_known(layer) for layer in layers] if options.full else layers
        spec = {**spec, "layers": [_masked(layer, options.mask_below) for layer in layers]}
    network = Network.from_dict(spec, input_shape)
    if options.channel_axis is ...:
        return network
    options.check_names(network.inputs)
    axes: dict[str, int | None] = {}
    for name, given in network.inputs.items():
        axis = options.axis_of(name, given.shape)
        axes[name] = given.channel_axis if axis is ... else axis
    return Network.from_dict({**spec, "channel_axis": axes, "guessed": []}, input_shape)


def _known(layer: Any) -> Any:
    """The layer, or one that may read everything in place of an operator without a rule, which says its shape."""
    op = layer.get("op") if isinstance(layer, Mapping) else None
    if not isinstance(op, str):
        return layer
    try:
        find(op)
    except UnsupportedOpError as error:
        if "shape" not in layer:
            said = f"node {layer.get('name', op)!r}: {error}; as its shape is not known, give it 'shape', or add a rule"
            raise UnsupportedOpError(said) from error
        told = ("name", "inputs", "scope", "assumes", "parameters", "shape")
        return {**{key: layer[key] for key in told if key in layer}, "op": "opaque"}
    return layer


def _masked(layer: Any, mask_below: float) -> Any:
    """An attention layer whose mask is numbers (0 or less, added to the scores) with the keys that they leave open."""
    mask = layer.get("mask") if isinstance(layer, Mapping) and layer.get("op") == "attention" else None
    rows = mask if isinstance(mask, list | tuple) and all(isinstance(row, list | tuple) for row in mask) else []
    numbers = [v for row in rows for v in row if type(v) in (int, float) and v <= 0]
    if not numbers or len(numbers) != len(rows) * len(rows[0]) or len({len(row) for row in rows}) > 1:
        return layer
    shut, said = exclusions(np.array(rows, np.float64), -1, mask_below)
    assumes = [*layer.get("assumes", ()), *([f"node {layer.get('name', 'attention')!r}: {said}"] if said else ())]
    return {**layer, "mask": nested(~shut), **({"assumes": assumes} if assumes else {})}


def _plain(layer: Any) -> Mapping[str, Any]:
    if isinstance(layer, Layer):
        return layer.to_dict()
    if isinstance(layer, Mapping):
        return layer
    raise NetworkError(f"a layer is a mapping or a fastrf layer such as fastrf.conv(64, 3), not {layer!r}")
