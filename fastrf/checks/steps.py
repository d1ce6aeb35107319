"""What a module does by itself, and what it reads: tells a module that changed from those that only inherit it."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from fastrf.network import Node
from fastrf.ops import OPERATORS, find

__all__ = ["NO_STEP", "Step", "steps"]

#: Attributes that people give. Others may follow from sizes: what is reshaped otherwise, since an image is smaller, is
#: not made otherwise.
_GIVEN = (
    *("kernel_size", "stride", "dilation", "groups", "padding_mode", "mode", "ceil_mode", "output_padding"),
    *("count_include_pad", "align_corners", "bias", "out_channels", "out_features", "num_groups", "causal"),
)
#: Operators of these modules are made as sizes ask.
_FOLLOWING = ("fastrf.ops.shape", "fastrf.ops.resize", "fastrf.ops.dynamic")


class Step(NamedTuple):
    """The entries and inputs that an entry reads, and 8 hexadecimal digits of what its nodes do in turn.

    What nodes are called, and the sizes that they are given, are not in these.
    """

    reads: tuple[str, ...]
    made: str


NO_STEP = Step((), "")


def steps(rows: Sequence[tuple[str, str, Sequence[Node]]]) -> dict[str, Step]:
    """The step of every entry: of rows of its name, the node that it tells of, and the nodes that make it.

    A row without nodes is another result of the row before it.
    """
    owners = {node: name for name, node, _ in reversed(rows)}
    owners |= {node.name: name for name, _, nodes in reversed(rows) for node in nodes if node.name not in owners}
    found: dict[str, Step] = {}
    last: Sequence[Node] = ()
    for name, _, nodes in rows:
        last = nodes or last
        found[name] = Step(_reads(name, last, owners), _made(last))
    return found


def _reads(name: str, nodes: Sequence[Node], owners: Mapping[str, str]) -> tuple[str, ...]:
    inside = {node.name for node in nodes}
    read = [owners.get(read, read) for node in nodes for read in node.inputs if read not in inside]
    return tuple(dict.fromkeys(one for one in read if one != name))


def _made(nodes: Sequence[Node]) -> str:
    """What nodes do; nothing for those alone that sizes decide, such as a resize that is none where nothing changes."""
    told = [(node.op, _given(node)) for node in nodes]
    told = [(op, given) for op, given in told if given or not _follows(op)]
    return hashlib.sha256(repr(told).encode()).hexdigest()[:8] if told else ""


def _follows(op: str) -> bool:
    own = OPERATORS.get(op)
    return op == "identity" or (own is not None and own.function.__module__ in _FOLLOWING)


def _given(node: Node) -> list[tuple[str, object]]:
    """The attributes that count, in one order; a window's padding, and the size that is adapted to."""
    attributes, names = node.attributes, [*_GIVEN]
    if "kernel_size" in attributes:
        names.append("padding")
    if find(node.op).role == "pool":
        names.append("output_size")
    return [(name, attributes[name]) for name in names if name in attributes]
