"""Nodes of a graph: what they are called, what they read, and an order in which they can be run."""

from __future__ import annotations

from collections.abc import Container, Iterator, Sequence
from graphlib import CycleError, TopologicalSorter

import onnx

from fastrf.errors import FormatError

__all__ = ["bodies", "in_order", "printable", "reads", "shown"]

#: Longer names are cut.
MAX_SHOWN = 200


def printable(name: str | bytes) -> str:
    """A name that can be shown: control characters escaped, long ones cut."""
    name = name.decode("utf-8", "replace") if isinstance(name, bytes) else name
    text = "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in name[:MAX_SHOWN])
    return text if len(name) <= MAX_SHOWN else f"{text}…"


def shown(node: onnx.NodeProto) -> str:
    """The name that a node and its layer go by."""
    name = node.name or next((output for output in node.output if output), node.op_type)
    return printable(name).strip("/") or node.op_type


def in_order(nodes: Sequence[onnx.NodeProto], known: Container[str]) -> Iterator[onnx.NodeProto]:
    """Nodes each after those that it reads; from the first that is too early on, sorted."""
    for k, node in enumerate(nodes):
        if any(name and name not in known for name in node.input):
            yield from _sorted(nodes[k:], known)
            return
        yield node


def _sorted(nodes: Sequence[onnx.NodeProto], known: Container[str]) -> Iterator[onnx.NodeProto]:
    makers = {output: k for k, node in enumerate(nodes) for output in node.output if output and output not in known}
    needs = {k: {makers[name] for name in node.input if name in makers} for k, node in enumerate(nodes)}
    try:
        order = list(TopologicalSorter(needs).static_order())
    except CycleError as error:
        stuck = nodes[error.args[1][0]]
        raise FormatError(
            f"node {printable(stuck.name or stuck.op_type)!r} reads itself through a cycle; check the model"
        ) from error
    yield from (nodes[k] for k in order)


def reads(node: onnx.NodeProto) -> Iterator[str]:
    """Every tensor that a node reads, its bodies included."""
    yield from (name for name in node.input if name)
    for body in bodies(node):
        for inner in body.node:
            yield from reads(inner)
        yield from (output.name for output in body.output)


def bodies(node: onnx.NodeProto) -> Iterator[onnx.GraphProto]:
    """The graphs that a node holds: branches, and bodies of loops."""
    for attribute in node.attribute:
        if attribute.HasField("g"):
            yield attribute.g
        yield from attribute.graphs
