"""From a file to a Network: the model, the shapes of its inputs, its outputs."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping, Sequence
from typing import Any

import onnx
from google.protobuf.message import DecodeError

from fastrf.errors import FormatError, NetworkError, ShapeError
from fastrf.frontends.lowering import Value, without_batch
from fastrf.frontends.onnx.constants import Constant
from fastrf.frontends.onnx.inputs import control, declared, dtype_of_input, fits, solved
from fastrf.frontends.onnx.nodes import printable
from fastrf.frontends.onnx.registry import Scope
from fastrf.frontends.onnx.skimming import skim
from fastrf.frontends.onnx.walk import ModelWalk, modules_of
from fastrf.frontends.options import DEFAULTS, Options
from fastrf.network import Network

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
    whose nodes were left out (see `shortening`). Raises ShapeError where sizes are missing, UnsupportedOpError,
    FormatError for a graph that is none, or LimitError.
    """
    _check_versions(model)
    walk = ModelWalk(model, options)
    scope = Scope()
    walk.initialize(model.graph, scope)
    for tensor, constant in (known or {}).items():
        scope[tensor] = constant
    stored = {t.name for t in model.graph.initializer} | {t.values.name for t in model.graph.sparse_initializer}
    given = [entry for entry in model.graph.input if entry.name not in stored]
    inputs = _inputs(walk, model.graph, given, input_shape, scope)
    bodies = [model.graph.node, *(function.node for function in model.functions)]
    walk.reserve(name for body in bodies for node in body for name in modules_of(node))
    walk.anything = inputs[0]
    walk.run(model.graph.node, scope, whole=True)
    outputs = _outputs(walk, model.graph, scope)
    if not walk.layers:
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


def _inputs(
    walk: ModelWalk, graph: onnx.GraphProto, given: Sequence[onnx.ValueInfoProto], wanted: Any, scope: Scope
) -> list[Value]:
    """Values for the inputs, noted in the scope; empty ones and those whose value is given are constants."""
    values = walk.options.values
    unknown = [name for name in values if name not in {entry.name for entry in given}]
    if unknown:
        shown = ", ".join(printable(entry.name) for entry in given)
        raise ShapeError(f"values names {printable(unknown[0])!r}, which is no input; the inputs are {shown}")
    controls: dict[str, Constant] = {}
    for entry in given:
        sizes = declared(entry) or []
        if entry.name in values:
            controls[entry.name] = found = control(entry, values[entry.name])
            walk.suppose(f"input {printable(entry.name)!r} is {' '.join(str(found.values).split())[:60]}")
        elif 0 in sizes:
            full = tuple(n if isinstance(n, int) else 1 for n in sizes)
            controls[entry.name] = Constant(full, dtype_of_input(entry))
    scope.update(controls)
    free = [entry for entry in given if entry.name not in controls]
    if not free:
        what = "every input has a value" if controls else "every tensor is stored in the file"
        raise NetworkError(f"the model has no input: {what}")
    shapes, sizes_of_names = solved(free, wanted, controls)
    if all(fits(declared(entry), full) for entry, full in zip(free, shapes, strict=True)):
        walk.state(graph, sizes_of_names)
    inputs: list[Value] = []
    for entry, full in zip(free, shapes, strict=True):
        name = printable(entry.name) or "input"
        while name in (value.name for value in inputs):
            name += "'"
        walk.unique(name)
        inputs.append(Value(name, without_batch(full), full, None))
        scope[entry.name] = inputs[-1]
        walk.dtypes[name] = dtype_of_input(entry)
        if walk.dtypes[name].kind in "iub" and math.prod(full) == 1:
            walk.switches.append(name)
    return inputs


def _outputs(walk: ModelWalk, graph: onnx.GraphProto, scope: Scope) -> list[str]:
    """The layers of the model's outputs, by the outputs' names; one that does not depend on the input is left out."""
    names: list[str] = []
    for output in graph.output:
        if output.name not in scope:
            raise FormatError(f"output {printable(output.name)!r} is produced by no node; check the model")
        item = scope[output.name]
        for value in item if isinstance(item, list) else [item]:
            if not isinstance(value, Value):
                continue
            walk.begin(printable(output.name))
            named = value if value.name == printable(output.name) else walk.finish(value, value.full)
            names += [named.name] * (named.name not in names)
    return names or [layer["name"] for layer in walk.layers[-1:]]
