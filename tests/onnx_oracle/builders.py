"""Builders of hostile ONNX files; the table of them is in `hostile`.

Some files are valid models of absurd size. A reader answers right or complains in one line, in bounded time and memory.
Files too large or too deep for the protobuf library are written by hand.
"""

from __future__ import annotations

import itertools
import random
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from onnx import AttributeProto, GraphProto, ModelProto, NodeProto, TensorProto, ValueInfoProto, helper

__all__ = ["NAMES", "chain", "field", "model"]

HUGE = 2**62
#: Names that would harm a terminal, a page, a path or a table.
NAMES = {
    "control": "a\x00b\x07\x08\r\nc\x7f",
    "terminal": "\x1b[2J\x1b]0;owned\x07\x1b[31mred",
    "html": "<script>alert(1)</script><img src=x onerror=alert(1)>",
    "path": "../../../../etc/passwd",
    "format": "%s%n{0}{__class__}[bold]x[/bold]",
    "bidi": "\u202egnp.exe\u2066\u200b",
    "megabyte": "n" * 2**20,
    "empty": "",
}


def value(
    name: str = "x", shape: Sequence[int | str] | None = (1, 3, 8, 8), kind: int = TensorProto.FLOAT
) -> ValueInfoProto:
    """An input or output."""
    return helper.make_tensor_value_info(name, kind, shape)


def ints(name: str, numbers: Iterable[int]) -> TensorProto:
    """An int64 initialiser of one axis."""
    numbers = list(numbers)
    return helper.make_tensor(name, TensorProto.INT64, [len(numbers)], numbers)


def floats(name: str, numbers: Iterable[float], shape: Sequence[int] | None = None) -> TensorProto:
    """A float32 initialiser."""
    numbers = list(numbers)
    return helper.make_tensor(name, TensorProto.FLOAT, [len(numbers)] if shape is None else shape, numbers)


def model(
    nodes: Sequence[NodeProto],
    initializers: Sequence[TensorProto] = (),
    inputs: Sequence[ValueInfoProto] | None = None,
    outputs: Sequence[ValueInfoProto] | None = None,
    opset: int = 17,
    **more: Any,
) -> bytes:
    """A model of one input `x` and one output `y`, unless told otherwise; unchecked."""
    graph = GraphProto(name="g", node=nodes, initializer=initializers)
    graph.input.extend([value()] if inputs is None else inputs)
    graph.output.extend([value("y", None)] if outputs is None else outputs)
    return helper.make_model(
        graph, opset_imports=[helper.make_opsetid("", opset), helper.make_opsetid("own", 1)], ir_version=8, **more
    ).SerializeToString()


def one(op: str, inputs: Sequence[str] = ("x",), initializers: Sequence[TensorProto] = (), **attributes: Any) -> bytes:
    """A model of one node, its input 1x3x8x8."""
    return model([helper.make_node(op, list(inputs), ["y"], **attributes)], initializers)


def conv(**attributes: Any) -> bytes:
    """A 3x3 convolution with these attributes."""
    return one("Conv", ["x", "w"], [floats("w", [0.0] * 108, [4, 3, 3, 3])], **attributes)


def wrong(op: str, inputs: Sequence[str], attribute: AttributeProto) -> bytes:
    """A node with an attribute of the wrong type."""
    node = helper.make_node(op, list(inputs), ["y"])
    node.attribute.append(attribute)
    return model([node], [floats("w", [0.0] * 108, [4, 3, 3, 3])])


def field(number: int, payload: bytes | int) -> bytes:
    """One protobuf field: a varint, or bytes with their length."""

    def varint(n: int) -> bytes:
        out = bytearray()
        while n > 127:
            out.append(n & 127 | 128)
            n >>= 7
        return bytes([*out, n])

    if isinstance(payload, int):
        return varint(number << 3) + varint(payload)
    return varint(number << 3 | 2) + varint(len(payload)) + payload


def raw(graph: bytes, *more: bytes) -> bytes:
    """A model around the bytes of a graph."""
    return field(1, 8) + field(8, field(1, b"") + field(2, 17)) + b"".join(more) + field(7, graph)


def ends(last: str) -> bytes:
    """The fields of a graph's input `x` and of its output."""
    return field(11, value().SerializeToString()) + field(12, value(last, None).SerializeToString())


def chain(length: int, op: str = "Relu") -> bytes:
    """So many nodes, one after the other."""
    code, names = field(4, op.encode()), ["x", *(f"t{i}" for i in range(length))]
    encoded = [name.encode() for name in names]
    nodes = [field(1, field(1, a) + field(2, b) + code) for a, b in itertools.pairwise(encoded)]
    return raw(b"".join(nodes) + ends(names[-1]))


def doubling(length: int) -> bytes:
    """`y = x + x`, again and again: 2**length paths."""
    nodes = [helper.make_node("Add", [f"t{i}", f"t{i}"], [f"t{i + 1}"]) for i in range(length)]
    return model(nodes, (), [value("t0")], [value(f"t{length}", None)])


def swelling(length: int) -> bytes:
    """`y = concat(x, x)`, again and again: 2**length rows."""
    nodes = [helper.make_node("Concat", [f"t{i}", f"t{i}"], [f"t{i + 1}"], axis=2) for i in range(length)]
    return model(nodes, (), [value("t0")], [value(f"t{length}", None)])


def nested(depth: int) -> bytes:
    """An `If` in an `If` in an `If`."""
    graph = field(1, field(1, b"x") + field(2, b"y") + field(4, b"Relu")) + field(
        12, value("y", None).SerializeToString()
    )
    for _ in range(depth):
        branches = b"".join(
            field(5, field(1, name) + field(20, 5) + field(6, graph)) for name in (b"then_branch", b"else_branch")[:1]
        )
        graph = field(1, field(1, b"c") + field(2, b"y") + field(4, b"If") + branches)
        graph += field(12, value("y", None).SerializeToString())
    return raw(graph + field(11, value().SerializeToString()))


def recursion(steps: int = 1) -> bytes:
    """Local functions that call each other in a ring."""
    functions = [
        helper.make_function(
            "own", f"F{i}", ["x"], ["y"], [helper.make_node(f"F{(i + 1) % steps}", ["x"], ["y"], domain="own")],
            [helper.make_opsetid("own", 1)],
        )
        for i in range(steps)
    ]  # fmt: skip
    return model([helper.make_node("F0", ["x"], ["y"], domain="own")], functions=functions)


def exploding(depth: int = 60) -> bytes:
    """Local functions, each calling the next twice: 2**depth nodes once unfolded."""
    opsets = [helper.make_opsetid("own", 1), helper.make_opsetid("", 17)]
    functions = []
    for i in range(depth):
        name, domain = (f"F{i + 1}", "own") if i + 1 < depth else ("Relu", "")
        body = [helper.make_node(name, [a], [b], domain=domain) for a, b in (("x", "t"), ("t", "y"))]
        functions.append(helper.make_function("own", f"F{i}", ["x"], ["y"], body, opsets))
    return model([helper.make_node("F0", ["x"], ["y"], domain="own")], functions=functions[::-1])


def external(location: str, length: int = 432, offset: int = 0) -> bytes:
    """A convolution whose weight lies in another file, and a shape that must be read from one."""
    out = []
    for name, kind, dims in (("w", TensorProto.FLOAT, [4, 3, 3, 3]), ("s", TensorProto.INT64, [2])):
        tensor = TensorProto(name=name, data_type=kind, dims=dims, data_location=TensorProto.EXTERNAL)
        for key, text in (("location", location), ("length", str(length)), ("offset", str(offset))):
            tensor.external_data.add(key=key, value=text)
        out.append(tensor)
    return model([helper.make_node("Conv", ["x", "w"], ["t"]), helper.make_node("Reshape", ["t", "s"], ["y"])], out)


def mismatched(dims: Sequence[int], data: bytes, kind: int = TensorProto.INT64, op: str = "Reshape") -> bytes:
    """An initialiser whose dims do not match its bytes."""
    return one(op, ["x", "s"], [TensorProto(name="s", data_type=kind, dims=dims, raw_data=data)])


def named(name: str) -> bytes:
    """A model where everything bears this name, or begins with it."""
    nodes = [
        helper.make_node("Relu", [name], [name + "1"], name=name),
        helper.make_node(name or "Relu", [name + "1"], ["y"], name=name, domain=name),
    ]
    return model(nodes, (), [value(name)], producer_name="p", doc_string=name[:100])


def plain(outputs: str = "y") -> bytes:
    """A fine model, to be spoilt."""
    w = floats("w", [0.5] * 108, [4, 3, 3, 3])
    return model([helper.make_node("Conv", ["x", "w"], ["t"]), helper.make_node("Relu", ["t"], [outputs])], [w])


def spoilt(change: Callable[[ModelProto], object]) -> bytes:
    """A fine model after a change."""
    proto = ModelProto.FromString(plain())
    change(proto)
    return proto.SerializeToString()


def noise(size: int, seed: int = 0) -> bytes:
    """Random bytes."""
    return random.Random(seed).randbytes(size)


def graph_alone() -> bytes:
    """The graph of a fine model, without the model."""
    return ModelProto.FromString(plain()).graph.SerializeToString()


def looped(trips: int) -> bytes:
    """A loop of so many trips around one Relu."""
    inputs = [value("i", [], TensorProto.INT64), value("c", [], TensorProto.BOOL), value("a")]
    nodes = [helper.make_node("Identity", ["c"], ["d"]), helper.make_node("Relu", ["a"], ["b"])]
    body = helper.make_graph(nodes, "body", inputs, [value("d", [], TensorProto.BOOL), value("b")])
    node = helper.make_node("Loop", ["n", "", "x"], ["y"], body=body)
    return model([node], [helper.make_tensor("n", TensorProto.INT64, [], [trips])], None, [value("y")])
