"""An exported program to a Network: its inputs, the walk through its graph, its outputs and their names."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
import torch.utils._pytree as pytree
from torch.export import ExportedProgram
from torch.export.graph_signature import ConstantArgument, InputKind

from fastrf.errors import NetworkError, ShapeError
from fastrf.frontends.lowering import Value, without_batch
from fastrf.frontends.options import DEFAULTS, Options
from fastrf.frontends.torch.arguments import fake_shape
from fastrf.frontends.torch.programs import Program
from fastrf.frontends.torch.walk import ProgramWalk
from fastrf.network import Network
from fastrf.system.garbage import uncollected

__all__ = ["check_given", "to_network"]


def check_given(exported: ExportedProgram, input_shape: Any, values: Mapping[str, Any]) -> None:
    """That an exported program, whose inputs are fixed, has those that it is asked for. Raises ShapeError."""
    placeholders = {node.name: node for node in exported.graph.nodes if node.op == "placeholder"}
    arguments = [spec.arg for spec in exported.graph_signature.input_specs if spec.kind == InputKind.USER_INPUT]
    fixed = {arg.name: arg.value for arg in arguments if isinstance(arg, ConstantArgument)}
    names = [arg.name for arg in arguments]
    if not isinstance(input_shape, Mapping):
        several = isinstance(input_shape, Sequence) and any(hasattr(item, "shape") for item in input_shape)
        listed = input_shape if several else [] if input_shape is None else [input_shape]
        input_shape = dict(zip(names, listed, strict=False))
    for name, item in [*input_shape.items(), *((name, item) for name, item in values.items() if name in fixed)]:
        asked = tuple(item.shape) if hasattr(item, "shape") else tuple(item) if isinstance(item, list | tuple) else item
        have: Any = fixed.get(name, asked)
        if name in names and name not in fixed:
            full = fake_shape(placeholders[name])
            have = asked if asked in (full, without_batch(full), (1, *full)) else without_batch(full)
        if asked != have:
            said = f"input {name!r} of the exported program is {have}, not {asked}"
            raise ShapeError(f"{said}; export it again with that")
    unknown = [name for name in (*input_shape, *values) if name not in names]
    if unknown:
        raise ShapeError(f"input {unknown[0]!r} is not one of the exported program; it takes {', '.join(names)}")


@uncollected()
def to_network(captured: ExportedProgram | Program, options: Options = DEFAULTS, *, name: str = "model") -> Network:
    """Lower a captured program. Raises UnsupportedOpError, unless `on_unsupported` is "full"."""
    program = Program.of(captured) if isinstance(captured, ExportedProgram) else captured
    walk = ProgramWalk(program, options)
    walk.assumes += [*program.assumes, *(f"{name!r} is the constant that values gives" for name in options.values)]
    inputs: list[Value] = []
    names: dict[str, str] = {}
    for argument, node in program.inputs.items():
        if argument in options.values:
            walk.settle(node, options.values[argument])
            continue
        full = fake_shape(node)
        own = f"{argument}_input" if walk.is_reserved(argument) else argument
        walk.values[node] = value = Value(walk.unique(own), without_batch(full), full, None)
        names[value.name] = argument
        inputs.append(value)
    if not inputs:
        raise NetworkError(f"{name} has no input left that is no constant; leave one out of values")
    with torch.random.fork_rng(devices=[]):
        walk.run(program.graph)
    outputs = _named_outputs(walk, program)
    if not walk.layers:
        walk.begin("output")
        outputs = [walk.finish(inputs[0], inputs[0].full).name]
    returns = walk.returns()
    unused = walk.tally.unused(walk.layers)
    said = {"returns": returns, "classes": program.classes, "aliases": walk.aliases(), "unused": unused}
    return Network.from_dict({**walk.spec(name, inputs, outputs, names), **said})


def _named_outputs(walk: ProgramWalk, program: Program) -> list[str]:
    """Output layers; those inside containers get the names `out.0` or `features.p3`.

    An output that depends on nothing is left out, unless there is no other.
    """
    paths, leaves = zip(*pytree.tree_flatten_with_path(program.results)[0], strict=True)
    flat = [walk.values.get(item) for item in leaves]
    constant = not any(flat)
    names = []
    for item, value, path in zip(leaves, flat, paths, strict=True):
        is_tensor = item is not None and isinstance(item.meta.get("val"), torch.Tensor)
        if value is None and not (constant and is_tensor):
            continue
        keys = [str(getattr(key, "key", getattr(key, "idx", getattr(key, "name", key)))) for key in path]
        if keys:
            label = ".".join(keys if not keys[0].isdigit() else ["out", *keys])
            walk.begin(f"out.{label}" if walk.is_taken(label) else label)
        elif value is None:
            walk.begin("output")
        else:
            names.append(value.name)
            continue
        done = walk.nothing(fake_shape(item)) if value is None else value
        names.append(walk.finish(done, done.full).name)
    return names
