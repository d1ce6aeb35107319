"""Nodes in an order in which they can be run, and what each of them reads."""

from __future__ import annotations

from collections.abc import Container, Iterator, Sequence
from graphlib import CycleError, TopologicalSorter

import onnx

from fastrf.errors import FormatError
from fastrf.frontends.onnx.printing import printable

__all__ = ["bodies", "in_order", "reads"]


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
