"""A captured model, whoever captured it: a graph of operators that change nothing, and what its placeholders hold."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
import torch.utils._pytree as pytree
from torch.export import ExportedProgram
from torch.export.graph_signature import ConstantArgument, InputKind, OutputKind
from torch.fx import Graph, GraphModule, Node

from fastrf.frontends.torch.exporting import functional, quiet
from fastrf.frontends.torch.recording.tensors import storage_of
from fastrf.frontends.torch.returning import MODULES
from fastrf.frontends.torch.simplifying import changes_arguments

__all__ = ["Program"]


@dataclass(frozen=True)
class Program:
    """A graph of ATen operators with every result's shape in its `meta`, as `torch.export` makes them.

    `inputs` are the placeholders of tensors by argument name, `stored` what the others hold; of those, `parameters`,
    with their names, are never looked at; `sizes` counts the numbers of every parameter of the model. `results` are
    nodes (or None) in the containers in which the model returns them, `classes` the classes of all modules by name,
    `assumes` what the capture took for granted, and `module` has the attributes of the graph.
    """

    graph: Graph
    inputs: dict[str, Node]
    stored: Mapping[Node, torch.Tensor]
    parameters: Mapping[Node, str]
    results: Any
    classes: Mapping[str, str] = field(default_factory=dict)
    sizes: Mapping[str, int] = field(default_factory=dict)
    assumes: list[str] = field(default_factory=list)
    module: torch.nn.Module | None = None

    @property
    def graphs(self) -> Iterator[Graph]:
        """The graph, and those within it."""
        yield self.graph
        for part in self.module.modules() if self.module is not None else ():
            if isinstance(part, GraphModule) and part.graph is not self.graph:
                yield part.graph

    @classmethod
    def of(cls, exported: ExportedProgram) -> Program:
        """An exported program; operators of it that work in place are rewritten."""
        if any(changes_arguments(node) for node in exported.graph.nodes):
            with quiet():
                exported = functional(exported)
        graph, signature = exported.graph, exported.graph_signature
        stores: list[tuple[Mapping[str, str], Mapping[str, Any]]] = [
            (signature.inputs_to_parameters, exported.state_dict),
            (signature.inputs_to_buffers, {**exported.constants, **exported.state_dict}),
            (signature.inputs_to_lifted_tensor_constants, exported.constants),
        ]
        held = {name: store[key] for names, store in stores for name, key in names.items()}
        placeholders = {node.name: node for node in graph.nodes if node.op == "placeholder"}
        given = [spec.arg for spec in signature.input_specs if spec.kind == InputKind.USER_INPUT]
        names = [arg.name for arg in given if not isinstance(arg, ConstantArgument)]
        tensors = [name for name in names if isinstance(placeholders[name].meta.get("val"), torch.Tensor)]
        parameters = _untied(signature.inputs_to_parameters, exported.state_dict)
        return cls(
            graph,
            {name: placeholders[name] for name in tensors},
            {placeholders[name]: tensor for name, tensor in held.items()},
            {placeholders[name]: key for name, key in parameters.items()},
            _results(exported),
            exported.graph_module.meta.get(MODULES) or _classes(graph),
            {key: exported.state_dict[key].numel() for key in parameters.values()},
            module=exported.graph_module,
        )


def _classes(graph: Graph) -> dict[str, str]:
    """The classes of the modules that nodes run in, where only those tell."""
    entries = {entry for node in graph.nodes for entry in (node.meta.get("nn_module_stack") or {}).values()}
    return {str(path): getattr(kind, "__name__", str(kind)).rpartition(".")[2] for path, kind in entries if path}


def _untied(keys: Mapping[str, str], held: Mapping[str, Any]) -> dict[str, str]:
    """Which parameter each placeholder holds; those that are one have one name."""
    first: dict[Any, str] = {}
    places = {key: (storage_of(held[key]), held[key].storage_offset(), held[key].shape) for key in keys.values()}
    return {name: first.setdefault(places[key], key) for name, key in keys.items()}


def _results(exported: ExportedProgram) -> Any:
    """The nodes that the model returns, in its containers; None for what is no tensor of the graph."""
    node = next(n for n in exported.graph.nodes if n.op == "output")
    kinds = [spec.kind is OutputKind.USER_OUTPUT for spec in exported.graph_signature.output_specs]
    results = [item for item, wanted in zip(pytree.tree_leaves(node.args[0]), kinds, strict=True) if wanted]
    spec = exported.call_spec.out_spec
    assert spec is not None
    return pytree.tree_unflatten([item if isinstance(item, Node) else None for item in results], spec)
