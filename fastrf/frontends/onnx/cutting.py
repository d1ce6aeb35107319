"""A model cut off behind one node, so that a head made for one input size does not stand in the way of others."""

from __future__ import annotations

import onnx

from fastrf.frontends.onnx.ordering import reads
from fastrf.frontends.onnx.printing import shown

__all__ = ["cut"]


def cut(model: onnx.ModelProto, name: str) -> onnx.ModelProto:
    """The model with the first output of the node that makes layer `name` as its only output.

    Nodes that it does not need are left out. Where no node bears the layer's name, as for layers within functions,
    the model is given back as it is.
    """
    graph = model.graph
    makers = {output: node for node in graph.node for output in node.output if output}
    end = next((node.output[0] for node in graph.node if shown(node) == name and node.output), None)
    if end is None and name in makers:
        end = name
    if end is None:
        return model
    needed, todo = set[str](), [end]
    while todo:
        tensor = todo.pop()
        maker = makers.get(tensor)
        if tensor not in needed and maker is not None:
            todo.extend(reads(maker))
        needed.add(tensor)
    short = onnx.ModelProto()
    short.CopyFrom(model)
    kept = [node for node in graph.node if any(output in needed for output in node.output)]
    del short.graph.node[:], short.graph.output[:]
    short.graph.node.extend(kept)
    short.graph.output.append(onnx.ValueInfoProto(name=end))
    return short
