"""From a file to a Network: the model, the shapes of its inputs, its outputs."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import onnx
from google.protobuf.message import DecodeError

from fastrf.errors import FormatError, NetworkError, ShapeError
from fastrf.frontends.lowering import MAX_RANK, Value, without_batch
from fastrf.frontends.onnx.calls import Scope, printable
from fastrf.frontends.onnx.constants import Constant
from fastrf.frontends.onnx.skimming import skim
from fastrf.frontends.onnx.walk import Walk, modules_of
from fastrf.frontends.options import DEFAULTS, Options
from fastrf.network import MAX_AXIS, Network

__all__ = ["MIN_OPSET", "read", "to_network"]

#: Operators before opset 7 broadcast otherwise, which their rules know.
MIN_OPSET = 1


def read(path: str | os.PathLike[str]) -> onnx.ModelProto:
    """A model file; big tensors and external data are not read. Raises FormatError or LimitError."""
    model, structure = onnx.ModelProto(), skim(path)
    try:
        model.ParseFromString(structure)
    except (DecodeError, ValueError, RuntimeError) as error:
        raise FormatError(f"{path}: not an ONNX model, or cut off; export it again") from error
    if not model.HasField("graph") or not (model.graph.node or model.graph.input):
        raise FormatError(f"{path}: it holds no ONNX graph; export the model again")
    return model


def to_network(
    model: onnx.ModelProto,
    input_shape: Any = None,
    options: Options = DEFAULTS,
    *,
    name: str = "model",
    known: Mapping[str, Constant] | None = None,
) -> Network:
    """Lower a model.

    `input_shape` is a shape, or a mapping of shapes by input name, with or without the batch; `known` holds constants
    whose nodes were left out (see `folding`). Raises ShapeError where sizes are missing, UnsupportedOpError,
    FormatError for a graph that is none, or LimitError.
    """
    _check_versions(model)
    walk = Walk(model, options)
    scope = Scope()
    walk.initialize(model.graph, scope)
    for tensor, constant in (known or {}).items():
        scope[tensor] = constant
    stored = {t.name for t in model.graph.initializer} | {t.values.name for t in model.graph.sparse_initializer}
    given = [entry for entry in model.graph.input if entry.name not in stored]
    empty = [entry for entry in given if 0 in (_declared(entry) or [])]
    for entry in empty:
        sizes = tuple(n if isinstance(n, int) else 1 for n in _declared(entry) or [])
        scope[entry.name] = Constant(sizes, _dtype(entry))
    given = [entry for entry in given if entry not in empty]
    if not given:
        raise NetworkError("the model has no input: every tensor is stored in the file")
    inputs = _inputs(given, input_shape)
    for entry, value in zip(given, inputs, strict=True):
        walk.lowering.unique(value.name)
        scope[entry.name] = value
        walk.dtypes[value.name] = _dtype(entry)
    bodies = [model.graph.node, *(function.node for function in model.functions)]
    walk.lowering.reserve(name for body in bodies for node in body for name in modules_of(node))
    walk.anything = inputs[0]
    walk.run(model.graph.node, scope)
    outputs = _outputs(walk, model.graph, scope)
    if not walk.lowering.layers:
        outputs = [walk.emit("identity", inputs[0]).name]
    return Network.from_dict(walk.spec(printable(name), inputs, outputs))


def _check_versions(model: onnx.ModelProto) -> None:
    newest = onnx.defs.onnx_opset_version()
    for entry in model.opset_import:
        if entry.domain in ("", "ai.onnx") and not MIN_OPSET <= entry.version <= newest:
            raise FormatError(
                f"opset {entry.version} is not between {MIN_OPSET} and {newest}; convert the model with "
                "onnx.version_converter, or update the package onnx"
            )


def _inputs(given: Sequence[onnx.ValueInfoProto], wanted: Any) -> list[Value]:
    """A value for every input, its shape as declared or as wanted."""
    names = [entry.name for entry in given]
    if isinstance(wanted, Mapping):
        unknown = [name for name in wanted if name not in names]
        if unknown:
            shown = ", ".join(map(printable, names))
            raise ShapeError(f"input {printable(str(unknown[0]))!r} is not in the model; its inputs are {shown}")
        shapes = dict(wanted)
    else:
        shapes = {} if wanted is None else {names[0]: wanted}
    values, used = [], set()
    for entry in given:
        full = _full_shape(entry, shapes.get(entry.name))
        name = printable(entry.name) or "input"
        while name in used:
            name += "'"
        used.add(name)
        values.append(Value(name, without_batch(full), full, None))
    return values


def _full_shape(entry: onnx.ValueInfoProto, wanted: Any) -> tuple[int, ...]:
    """The shape of an input with its batch."""
    declared = _declared(entry)
    shown = printable(entry.name)
    if wanted is None:
        if declared is None:
            raise ShapeError(f"input {shown!r} has no shape in the file; give --input {shown}=1x3x640x640")
        sizes = [1 if k == 0 and not isinstance(n, int) else n for k, n in enumerate(declared)]
        if not all(isinstance(n, int) for n in sizes):
            text = ", ".join(str(n) for n in declared)
            example = "x".join(str(n) if isinstance(n, int) else "640" for n in sizes)
            raise ShapeError(
                f"input {shown!r} has shape ({text}), which leaves sizes open; give --input {shown}={example} "
                f"or input_shape={{{shown!r}: ...}}"
            )
        return _checked(shown, sizes)
    if not isinstance(wanted, Sequence) or isinstance(wanted, str):
        raise ShapeError(f"input_shape of {shown!r} must be a list of sizes, not {str(wanted)[:60]!r}")
    sizes = list(wanted)
    if declared is None:
        return _checked(shown, sizes if sizes[:1] == [1] and len(sizes) > 2 else [1, *sizes])
    if len(sizes) == len(declared):
        return _checked(shown, sizes)
    if len(sizes) == len(declared) - 1:
        batch = declared[0] if isinstance(declared[0], int) else 1
        return _checked(shown, [batch, *sizes])
    raise ShapeError(
        f"input {shown!r} has {len(declared)} axes with the batch, but the shape given has {len(sizes)}: {tuple(sizes)}"
    )


def _tensor_type(entry: onnx.ValueInfoProto) -> Any:
    """The type of an input, an optional one being there."""
    kind, found = entry.type.WhichOneof("value"), entry.type
    if kind == "optional_type":
        found = entry.type.optional_type.elem_type
        kind = found.WhichOneof("value")
    if kind not in ("tensor_type", None):
        raise FormatError(f"input {printable(entry.name)!r} is a {str(kind).removesuffix('_type')}, not a tensor")
    return found.tensor_type


def _declared(entry: onnx.ValueInfoProto) -> list[int | str] | None:
    """Sizes in the file; open ones by their name."""
    tensor = _tensor_type(entry)
    if not tensor.HasField("shape"):
        return None
    return [d.dim_value if d.HasField("dim_value") else printable(d.dim_param) or "?" for d in tensor.shape.dim]


def _dtype(entry: onnx.ValueInfoProto) -> np.dtype[Any]:
    try:
        return np.dtype(onnx.helper.tensor_dtype_to_np_dtype(_tensor_type(entry).elem_type))
    except (KeyError, ValueError, TypeError):
        return np.dtype(np.float32)


def _checked(name: str, sizes: Sequence[Any]) -> tuple[int, ...]:
    if not all(type(n) is int and 0 < n <= MAX_AXIS for n in sizes):
        raise ShapeError(f"input {name!r} has sizes {tuple(sizes)}; sizes are 1 to {MAX_AXIS}")
    if len(sizes) > MAX_RANK:
        raise ShapeError(f"input {name!r} has {len(sizes)} axes, more than {MAX_RANK}")
    if math.prod(sizes) > 1 << 62:
        raise ShapeError(f"input {name!r} of shape {tuple(sizes)} has more elements than can be counted")
    return tuple(sizes)


def _outputs(walk: Walk, graph: onnx.GraphProto, scope: Scope) -> list[str]:
    """The layers of the model's outputs, by the outputs' names; one that does not depend on the input is left out."""
    names: list[str] = []
    for output in graph.output:
        if output.name not in scope:
            raise FormatError(f"output {printable(output.name)!r} is produced by no node; check the model")
        item = scope[output.name]
        for value in item if isinstance(item, list) else [item]:
            if not isinstance(value, Value):
                continue
            walk.lowering.begin(printable(output.name))
            named = value if value.name == printable(output.name) else walk.lowering.finish(value, value.full)
            names += [named.name] * (named.name not in names)
    return names or [layer["name"] for layer in walk.lowering.layers[-1:]]
