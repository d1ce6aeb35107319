"""Names of files as they can be shown."""

from __future__ import annotations

import onnx

__all__ = ["printable", "shown"]

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
