"""Hostile ONNX files: `CORPUS` maps a name to what builds the bytes; `mutated` draws spoilt valid models."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator

from onnx import TensorProto, helper

from . import builders as h
from .mutation import mutated

__all__ = ["CORPUS", "SLOW", "mutated"]

Table = Iterator[tuple[str, Callable[[], bytes]]]
#: Files that take seconds to build or hundreds of megabytes.
SLOW = {"chain of 1000000 nodes", "concat of 100000 inputs", "chain of 100000 nodes"}


def _files() -> Table:
    """Files that are no model."""
    yield "empty", lambda: b""
    yield "text", lambda: b"[net]\nwidth = 3\n"
    yield "zip", lambda: b"PK\x03\x04" + h.noise(200)
    yield "one long field", lambda: h.field(7, b"")[:1] + b"\xff" * 9 + b"\x01"
    yield "zeros", lambda: bytes(1000)
    yield "another message", lambda: h.floats("w", range(10)).SerializeToString()
    yield "a graph, no model", h.graph_alone
    yield "twice the same", lambda: h.plain() * 2
    yield "a tail of noise", lambda: h.plain() + h.noise(64)
    yield "deep unknown groups", lambda: b"\x0b" * 100_000
    for seed in range(8):
        yield f"noise {seed}", lambda seed=seed: h.noise(2 ** (seed + 3), seed)
    for tenth in range(1, 20):
        yield f"cut at {tenth}/20", lambda tenth=tenth: h.plain()[: len(h.plain()) * tenth // 20]


def _graphs() -> Table:
    """Graphs that cannot be walked."""
    node, value = helper.make_node, h.value
    yield "no graph", lambda: helper.make_model(helper.make_graph([], "g", [], [])).SerializeToString()[:8]
    yield "empty graph", lambda: h.model([], (), [], [])
    yield "no nodes", lambda: h.model([])
    yield "no inputs", lambda: h.model([node("Relu", ["x"], ["y"])], (), [])
    yield "no outputs", lambda: h.model([node("Relu", ["x"], ["y"])], (), None, [])
    yield "output not made", lambda: h.model([node("Relu", ["x"], ["z"])])
    yield "output is input", lambda: h.model([], (), None, [value("x")])
    yield (
        "cycle",
        lambda: h.model([node("Add", ["x", "b"], ["a"]), node("Relu", ["a"], ["b"]), node("Relu", ["b"], ["y"])]),
    )
    yield "own input", lambda: h.one("Add", ["x", "y"])
    yield "unsorted", lambda: h.model([node("Relu", ["a"], ["y"]), node("Relu", ["x"], ["a"])])
    yield "dangling input", lambda: h.one("Add", ["x", "nowhere"])
    yield "same output twice", lambda: h.model([node("Relu", ["x"], ["y"]), node("Tanh", ["x"], ["y"])])
    yield "one node, same output twice", lambda: h.model([node("Split", ["x"], ["y", "y", "y"], axis=1)])
    yield "input made again", lambda: h.model([node("Relu", ["x"], ["x"]), node("Relu", ["x"], ["y"])])
    yield "same input twice", lambda: h.model([node("Relu", ["x"], ["y"])], (), [value(), value("x", [1, 5])])
    yield "node without outputs", lambda: h.model([node("Relu", ["x"], []), node("Relu", ["x"], ["y"])])
    yield "node without inputs", lambda: h.one("Conv", [])
    yield "node without an operator", lambda: h.one("")
    yield "all inputs empty", lambda: h.one("Conv", ["", "", ""])
    yield "too many inputs", lambda: h.one("Relu", ["x"] * 1000)
    yield "missing weight", lambda: h.one("Conv", ["x"])
    yield "missing shape", lambda: h.one("Reshape", ["x"])
    yield "unknown operator", lambda: h.one("Frobnicate")
    yield "unknown domain", lambda: h.one("Conv", domain="com.example.unheard.of")
    yield "opset 10**9", lambda: h.model([node("Relu", ["x"], ["y"])], opset=10**9)
    yield "opset 0", lambda: h.model([node("Relu", ["x"], ["y"])], opset=0)
    yield "opset -1", lambda: h.model([node("Relu", ["x"], ["y"])], opset=-1)
    yield "no opset", lambda: h.spoilt(lambda m: m.ClearField("opset_import"))
    yield (
        "ten opsets",
        lambda: h.spoilt(lambda m: m.opset_import.extend([helper.make_opsetid("", v) for v in range(10)])),
    )
    yield "ir version 10**15", lambda: h.spoilt(lambda m: setattr(m, "ir_version", 10**15))
    yield "initialiser is the input", lambda: h.model([node("Relu", ["x"], ["y"])], [h.floats("x", [1.0], [1])])
    yield "initialiser twice", lambda: h.spoilt(lambda m: m.graph.initializer.extend(list(m.graph.initializer)))
    yield "initialiser without a name", lambda: h.spoilt(lambda m: setattr(m.graph.initializer[0], "name", ""))
    yield "initialiser of no type", lambda: h.spoilt(lambda m: setattr(m.graph.initializer[0], "data_type", 0))
    yield "initialiser of type 999", lambda: h.spoilt(lambda m: setattr(m.graph.initializer[0], "data_type", 999))
    for length in (100_000, 1_000_000):
        yield f"chain of {length} nodes", lambda length=length: h.chain(length)
    yield "2**300 paths", lambda: h.doubling(300)
    yield "2**60 rows", lambda: h.swelling(60)
    for depth in (50, 90, 500):
        yield f"If nested {depth} deep", lambda depth=depth: h.nested(depth)
    for steps in (1, 3):
        yield f"function recursion over {steps}", lambda steps=steps: h.recursion(steps)
    yield "functions unfold to 2**60 nodes", h.exploding
    yield "concat of 100000 inputs", lambda: h.one("Concat", ["x"] * 100_000, axis=1)
    for name, text in h.NAMES.items():
        yield f"name: {name}", lambda text=text: h.named(text)


def _tensors() -> Table:
    """Inputs and initialisers that cannot be."""
    relu = helper.make_node("Relu", ["x"], ["y"])
    shapes: dict[str, list[int | str] | None] = {
        **{"2**62": [1, 3, 2**62, 2**62], "2**63-1": [1, 3, 2**63 - 1, 1], "10**6 squared": [1, 3, 10**6, 10**6]},
        **{"-1": [1, 3, -1, 8], "-2**63": [1, 3, -(2**63), 8], "0": [1, 3, 0, 8], "batch 2**40": [2**40, 3, 8, 8]},
        **{"scalar": [], "rank 10000": [1] * 10_000, "rank 64 of 2": [2] * 64, "unknown rank": None},
        **{"symbols": ["N", "C", "", "<b>"]},
    }
    w = h.floats("w", [0.0] * 108, [4, 3, 3, 3])
    for (name, shape), op in itertools.product(
        shapes.items(), ("Relu", "Conv", "Softmax", "GlobalAveragePool", "Flatten")
    ):
        node = helper.make_node(op, ["x", "w"] if op == "Conv" else ["x"], ["y"])
        yield f"input {name}: {op}", lambda n=node, s=shape: h.model([n], [w], [h.value("x", s)])
    yield "input of no type", lambda: h.spoilt(lambda m: m.graph.input[0].ClearField("type"))
    yield "input of type 999", lambda: h.spoilt(lambda m: setattr(m.graph.input[0].type.tensor_type, "elem_type", 999))
    yield "string input", lambda: h.model([relu], (), [h.value("x", [1, 3], TensorProto.STRING)])
    for location in (
        "../../etc/passwd",
        "/dev/zero",
        "/etc/passwd",
        "missing.bin",
        "",
        ".",
        "a\x00b",
        "x" * 5000,
        "http://[::1/",
    ):
        yield f"external data in {location[:20]!r}", lambda location=location: h.external(location)
    yield "external data of 2**60 bytes", lambda: h.external("missing.bin", 2**60, -(2**60))
    yield "dims without data", lambda: h.mismatched([2**40], b"")
    yield "dims 2**62 squared", lambda: h.mismatched([2**62, 2**62], bytes(8))
    yield "negative dims", lambda: h.mismatched([-2], bytes(16))
    yield "more data than dims", lambda: h.mismatched([1], bytes(64))
    yield "half an element", lambda: h.mismatched([2], bytes(9))
    yield "shape given as strings", lambda: h.mismatched([2], b"ab", TensorProto.STRING)
    yield "shape given as floats", lambda: h.mismatched([2], bytes(8), TensorProto.FLOAT)
    yield "weight of 2**60 elements", lambda: h.mismatched([2**30, 3, 2**15, 2**15], b"", TensorProto.FLOAT, "Conv")
    yield "weight of rank 0", lambda: h.mismatched([], bytes(4), TensorProto.FLOAT, "Conv")
    yield "weight with a kernel of 0", lambda: h.mismatched([4, 3, 0, 3], b"", TensorProto.FLOAT, "Conv")


def _attributes() -> Table:
    """Numbers that no operator can want."""
    extremes = (0, -1, 2**31, 2**40, 2**62, 2**63 - 1, -(2**63))
    for number in extremes:
        for name in ("strides", "dilations", "kernel_shape"):
            yield f"conv {name} {number}", lambda a=name, n=number: h.conv(**{a: [n, n]})
        yield f"conv pads {number}", lambda n=number: h.conv(pads=[n] * 4)
        yield f"conv group {number}", lambda n=number: h.conv(group=n)
        yield f"pool kernel {number}", lambda n=number: h.one("MaxPool", kernel_shape=[n, n])
        yield (
            f"pool kernel and pads {number}",
            lambda n=number: h.one("MaxPool", kernel_shape=[n, n], pads=[n // 2] * 4),
        )
        yield (
            f"transposed conv {number}",
            lambda n=number: h.one(
                "ConvTranspose",
                ["x", "w"],
                [h.floats("w", [0.0] * 108, [3, 4, 3, 3])],
                strides=[n, n],
                output_padding=[n, n],
            ),
        )
        yield f"depth to space {number}", lambda n=number: h.one("DepthToSpace", blocksize=n)
        yield f"space to depth {number}", lambda n=number: h.one("SpaceToDepth", blocksize=n)
        yield f"axis {number}", lambda n=number: h.one("Softmax", axis=n)
        yield f"concat axis {number}", lambda n=number: h.one("Concat", ["x", "x"], axis=n)
        yield f"permutation {number}", lambda n=number: h.one("Transpose", perm=[0, 1, 2, n])
        yield f"lrn {number}", lambda n=number: h.one("LRN", size=n)
        for op in ("Reshape", "Expand", "Tile"):
            yield f"{op} to {number}", lambda op=op, n=number: h.one(op, ["x", "s"], [h.ints("s", [n] * 4)])
        yield f"ConstantOfShape of {number}", lambda n=number: _made("ConstantOfShape", [h.ints("s", [n, n])], ["s"])
        yield (
            f"Range to {number}",
            lambda n=number: _made("Range", [h.ints("s", [0]), h.ints("e", [n]), h.ints("d", [1])]),
        )
        yield (
            f"OneHot of {number}",
            lambda n=number: _made("OneHot", [h.ints("s", [0]), h.ints("e", [n]), h.floats("d", [0.0, 1.0])]),
        )
        yield f"Pad {number}", lambda n=number: h.one("Pad", ["x", "p"], [h.ints("p", [n] * 8)])
        yield f"reflect {number}", lambda n=number: h.one("Pad", ["x", "p"], [h.ints("p", [n] * 8)], mode="reflect")
        yield f"Gather {number}", lambda n=number: h.one("Gather", ["x", "i"], [h.ints("i", [n])], axis=2)
        yield (
            f"Slice step {number}",
            lambda n=number: h.one(
                "Slice",
                ["x", "a", "b", "c", "d"],
                [h.ints("a", [0]), h.ints("b", [n]), h.ints("c", [2]), h.ints("d", [n])],
            ),
        )
        yield (
            f"Split {number}",
            lambda n=number: h.one("Split", ["x", "s"], [h.ints("s", [n, min(-n, 2**62), 3])], axis=1),
        )
        yield f"TopK {number}", lambda n=number: h.one("TopK", ["x", "k"], [h.ints("k", [n])])
        yield f"unsqueeze {number}", lambda n=number: h.one("Unsqueeze", ["x", "a"], [h.ints("a", [n])])
        yield f"sizes {number}", lambda n=number: h.one("Resize", ["x", "", "", "s"], [h.ints("s", [n] * 4)])
        yield f"Loop of {number} trips", lambda n=number: h.looped(n)
    for scale in (1e30, 0.0, -1.0, math.nan, math.inf, 1e-30):
        for mode in ("nearest", "linear", "cubic"):
            yield (
                f"Resize {mode} by {scale}",
                lambda s=scale, m=mode: h.one("Resize", ["x", "", "s"], [h.floats("s", [1.0, 1.0, s, s])], mode=m),
            )
    equations = (
        "",
        "->",
        "ij",
        "...",
        "abcd->abcdd",
        "abcd->e",
        "a,b,c->",
        "abcd->ABCD\u00e9",
        "a" * 100_000,
        "....->...",
        "abcd-->a",
    )
    for equation in equations:
        yield f"einsum {equation[:12]!r}", lambda e=equation: h.one("Einsum", equation=e)
    for attribute in (
        ("pads", "x"),
        ("pads", 1.5),
        ("strides", 2),
        ("group", [1]),
        ("auto_pad", 3),
        ("kernel_shape", [1.0, 2.0]),
    ):
        yield f"conv {attribute[0]} is {attribute[1]!r}", lambda a=attribute: h.conv(**dict([a]))
    yield "auto_pad nonsense", lambda: h.conv(auto_pad="SOMETIMES")
    yield "auto_pad no text", lambda: h.conv(auto_pad=b"\xff\xfe")
    yield "pads of one", lambda: h.conv(pads=[1])
    yield "strides of five", lambda: h.conv(strides=[1] * 5)
    yield "pool without a kernel", lambda: h.one("MaxPool")
    yield "attribute without a value", lambda: h.spoilt(lambda m: m.graph.node[0].attribute.add(name="pads", type=7))
    yield (
        "attribute twice",
        lambda: h.spoilt(
            lambda m: m.graph.node[0].attribute.extend([helper.make_attribute("pads", [n] * 4) for n in (0, 3)])
        ),
    )
    yield "If without branches", lambda: h.one("If")
    yield "Loop without a body", lambda: h.one("Loop", ["", "", "x"])


def _made(op: str, tensors: list[TensorProto], names: list[str] | None = None) -> bytes:
    """A large tensor made of constants, then added to the input."""
    names = [tensor.name for tensor in tensors] if names is None else names
    return h.model([helper.make_node(op, names, ["t"]), helper.make_node("Add", ["x", "t"], ["y"])], tensors)


#: Name of each hostile file, and what builds its bytes.
CORPUS: dict[str, Callable[[], bytes]] = dict(itertools.chain(_files(), _graphs(), _tensors(), _attributes()))
