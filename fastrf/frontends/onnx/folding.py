"""What of a model its inputs do not reach, evaluated once for however many input shapes the model is lowered at."""

from __future__ import annotations

import onnx

from fastrf.errors import FastRFError
from fastrf.frontends.onnx.constants import Constant
from fastrf.frontends.onnx.ordering import reads
from fastrf.frontends.onnx.registry import Scope
from fastrf.frontends.onnx.walk import ModelWalk

__all__ = ["folded"]


def folded(model: onnx.ModelProto) -> tuple[onnx.ModelProto, dict[str, Constant]]:
    """The model without the nodes that make constants of constants, and those constants by name, for `to_network`.

    A node that cannot be evaluated by itself stays.
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
    if not known:
        return model, {}
    short = onnx.ModelProto()
    short.CopyFrom(model)
    del short.graph.node[:]
    short.graph.node.extend(left)
    return short, known


def _evaluated(walk: ModelWalk, node: onnx.NodeProto, scope: Scope) -> bool:
    """Whether a node gave constants only."""
    try:
        walk.run([node], scope)
    except (FastRFError, AttributeError):  # the walk has no input yet, which some rules ask for
        return False
    return all(not name or isinstance(scope[name], Constant) for name in node.output)
