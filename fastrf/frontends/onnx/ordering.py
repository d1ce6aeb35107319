"""Nodes in an order in which they can be run."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import onnx

from fastrf.errors import FormatError
from fastrf.frontends.onnx.calls import Scope
from fastrf.frontends.onnx.printing import printable

__all__ = ["in_order"]


def in_order(nodes: Sequence[onnx.NodeProto], scope: Scope) -> Iterator[onnx.NodeProto]:
    """Nodes each after those that it reads; from the first that is too early on, sorted."""
    for k, node in enumerate(nodes):
        if any(name not in scope for name in _reads(node)):
            yield from _sorted(nodes[k:], scope)
            return
        yield node


def _reads(node: onnx.NodeProto) -> Iterable[str]:
    return [name for name in node.input if name]


def _sorted(nodes: Sequence[onnx.NodeProto], scope: Scope) -> Iterator[onnx.NodeProto]:
    makers = {output: k for k, node in enumerate(nodes) for output in node.output if output}
    missing = {}
    readers: dict[int, list[int]] = {}
    for k, node in enumerate(nodes):
        needs = {makers[name] for name in _reads(node) if name in makers and name not in scope}
        missing[k] = len(needs)
        for need in needs:
            readers.setdefault(need, []).append(k)
    ready = [k for k in range(len(nodes) - 1, -1, -1) if not missing[k]]
    done = 0
    while ready:
        k = ready.pop()
        done += 1
        yield nodes[k]
        for reader in readers.get(k, ()):
            missing[reader] -= 1
            if not missing[reader]:
                ready.append(reader)
    if done < len(nodes):
        stuck = next(node for k, node in enumerate(nodes) if missing[k])
        raise FormatError(
            f"node {printable(stuck.name or stuck.op_type)!r} reads itself through a cycle; check the model"
        )
