"""Models with fewer nodes: cut off behind one of them, or without what their inputs do not reach."""

from __future__ import annotations

from collections.abc import Sequence

import onnx

from fastrf.errors import FastRFError
from fastrf.frontends.onnx.constants import Constant
from fastrf.frontends.onnx.nodes import reads, shown
from fastrf.frontends.onnx.registry import Scope
from fastrf.frontends.onnx.walk import ModelWalk

__all__ = ["cut", "folded"]


def cut(model: onnx.ModelProto, name: str) -> onnx.ModelProto:
    """The model with the first output of the node that makes layer `name` as its only output.

    A head made for one input size does not stand in the way of others then. Where no node bears the layer's name, as
    for layers within functions, the model is given back as it is.
    """
    graph = model.graph
    makers = {output: node for node in graph.node for output in node.output if output}
    end = next((node.output[0] for node in graph.node if shown(node) == name and node.output), name)
    if end not in makers:
        return model
    needed, todo = set[str](), [end]
    while todo:
        tensor = todo.pop()
        if tensor not in needed and tensor in makers:
            todo.extend(reads(makers[tensor]))
        needed.add(tensor)
    short = _with_nodes(model, [node for node in graph.node if not needed.isdisjoint(node.output)])
    del short.graph.output[:]
    short.graph.output.append(onnx.ValueInfoProto(name=end))
    return short


def folded(model: onnx.ModelProto) -> tuple[onnx.ModelProto, dict[str, Constant]]:
    """The model without the nodes that make constants of constants, and those constants by name, for `to_network`.

    They are evaluated once for however many input shapes. A node that cannot be evaluated by itself stays.
    """
    graph = model.graph
    walk, scope = ModelWalk(model), Scope()
    walk.initialize(graph, scope)
    reached = {entry.name for entry in graph.input if entry.name not in scope}
    known: dict[str, Constant] = {}
    left = []
    for node in graph.node:
        if any(name in reached or name not in scope for name in reads(node)) or not _evaluated(walk, node, scope):
            reached.update(node.output)
            left.append(node)
        else:
            made = {name: scope[name] for name in node.output if name}
            known.update({name: item for name, item in made.items() if isinstance(item, Constant)})
    return (_with_nodes(model, left), known) if known else (model, {})


def _evaluated(walk: ModelWalk, node: onnx.NodeProto, scope: Scope) -> bool:
    """Whether a node gave constants only."""
    try:
        walk.run([node], scope)
    except (FastRFError, AttributeError):  # the walk has no input yet, which some rules ask for
        return False
    return all(not name or isinstance(scope[name], Constant) for name in node.output)


def _with_nodes(model: onnx.ModelProto, nodes: Sequence[onnx.NodeProto]) -> onnx.ModelProto:
    short = onnx.ModelProto()
    short.CopyFrom(model)
    del short.graph.node[:]
    short.graph.node.extend(nodes)
    return short
