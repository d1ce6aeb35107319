"""Valid small models, spoilt at random: bytes flipped, or fields changed to what no exporter writes."""

from __future__ import annotations

import functools
import random
from collections.abc import Callable, Iterator

from hypothesis import strategies as st
from onnx import GraphProto, ModelProto, NodeProto, TensorProto, helper, shape_inference

from . import builders as h

__all__ = ["mutant", "mutated", "seeds"]

#: Numbers at the edges of what a reader handles.
EDGES = (0, 1, -1, 2, 3, -2, 7, 8, 9, 255, 2**16, 2**31 - 1, 2**31, 2**40, 2**62, 2**63 - 1, -(2**31), -(2**63))


@functools.cache
def seeds() -> tuple[bytes, ...]:
    """Valid models of varied operators, each with input `x` of shape 1x3x8x8 unless its operator wants another."""
    node = helper.make_node
    w = h.floats("w", [0.1] * 108, [4, 3, 3, 3])
    v = h.floats("v", [0.1] * 108, [3, 4, 3, 3])
    branches = {
        name: helper.make_graph([node(op, ["x"], ["b"])], name, [], [h.value("b")])
        for name, op in (("then_branch", "Relu"), ("else_branch", "Tanh"))
    }
    dense = h.floats("f", [0.1] * 12, [3, 4])
    lstm = [h.floats("lw", [0.1] * 96, [1, 12, 8]), h.floats("lr", [0.1] * 36, [1, 12, 3])]
    chained = [
        node("Conv", ["x", "w"], ["a"], pads=[1, 1, 1, 1], name="conv"),
        node("Relu", ["a"], ["b"]),
        node("MaxPool", ["b"], ["c"], kernel_shape=[3, 3], strides=[2, 2], pads=[1, 1, 1, 1], ceil_mode=1),
        node("Concat", ["c", "c"], ["d"], axis=1),
        node("GlobalAveragePool", ["d"], ["e"]),
        node("Mul", ["d", "e"], ["y"]),
    ]
    shaped = [
        node("Shape", ["x"], ["n"]),
        node("Gather", ["n", "i"], ["m"], axis=0),
        node("Concat", ["i", "m", "k"], ["t"], axis=0),
        node("Reshape", ["x", "t"], ["r"]),
        node("Transpose", ["r"], ["y"], perm=[0, 2, 1]),
    ]
    models = (
        h.model(chained, [w]),
        h.model(shaped, [h.ints("i", [1]), h.ints("k", [-1])]),
        h.one("ConvTranspose", ["x", "v"], [v], strides=[2, 2], output_padding=[1, 1], pads=[1, 1, 1, 1]),
        h.one(
            "Conv",
            ["x", "u"],
            [h.floats("u", [0.1] * 27, [3, 1, 3, 3])],
            group=3,
            auto_pad="SAME_UPPER",
            strides=[2, 2],
        ),
        h.one("Resize", ["x", "", "s"], [h.floats("s", [1.0, 1.0, 2.0, 1.5])], mode="cubic"),
        h.one(
            "Resize", ["x", "", "", "s"], [h.ints("s", [1, 3, 5, 11])], coordinate_transformation_mode="align_corners"
        ),
        h.one("Pad", ["x", "p"], [h.ints("p", [0, 0, 1, 2, 0, 0, 3, 1])], mode="reflect"),
        h.one(
            "Slice",
            ["x", "a", "b", "c", "d"],
            [h.ints(n, q) for n, q in zip("abcd", ([7], [0], [2], [-2]), strict=True)],
        ),
        h.one("Gather", ["x", "i"], [h.ints("i", [0, 5, -1])], axis=2),
        h.one("Expand", ["x", "s"], [h.ints("s", [2, 3, 8, 8])]),
        h.one("Tile", ["x", "s"], [h.ints("s", [1, 2, 1, 3])]),
        h.one("DepthToSpace", blocksize=1, mode="CRD"),
        h.one("SpaceToDepth", blocksize=2),
        h.one("Einsum", ["x", "x"], equation="nchw,nchv->nhwv"),
        h.one("Softmax", axis=-1),
        h.one("LRN", size=5),
        h.one("ReduceMean", axes=[2, -1], keepdims=0),
        h.one("AveragePool", kernel_shape=[2, 3], count_include_pad=1, auto_pad="SAME_LOWER"),
        h.model([node("TopK", ["x", "k"], ["y", "n"], axis=1)], [h.ints("k", [2])]),
        h.one("CumSum", ["x", "a"], [helper.make_tensor("a", TensorProto.INT64, [], [3])], reverse=1),
        h.model([node("MatMul", ["x", "x"], ["t"]), node("Flatten", ["t"], ["y"], axis=2)]),
        h.model([node("Reshape", ["x", "s2"], ["t"]), node("Gemm", ["t", "f"], ["y"])], [dense, h.ints("s2", [-1, 3])]),
        h.model(
            [node("Squeeze", ["x", "z"], ["t"]), node("LSTM", ["t", "lw", "lr"], ["y"], hidden_size=3)],
            [h.ints("z", [0]), *lstm],
        ),
        h.model([node("If", ["c"], ["y"], **branches)], [helper.make_tensor("c", TensorProto.BOOL, [], [True])]),
        h.model([node("Split", ["x"], ["p", "q", "r"], axis=1), node("Sum", ["p", "q", "r"], ["y"])]),
        h.one("LayerNormalization", ["x", "g"], [h.floats("g", [1.0] * 8)], axis=-1),
        h.looped(5),
        h.exploding(3),
        h.plain(),
    )
    return tuple(shape_inference.infer_shapes(ModelProto.FromString(data)).SerializeToString() for data in models)


def _graphs(graph: GraphProto) -> Iterator[GraphProto]:
    """The graph and those inside it."""
    yield graph
    for node in graph.node:
        for attribute in node.attribute:
            for inner in ([attribute.g] if attribute.HasField("g") else []) + list(attribute.graphs):
                yield from _graphs(inner)


def _number(rng: random.Random) -> int:
    return rng.choice(EDGES) if rng.random() < 0.7 else rng.randint(-20, 300)


def _attribute(rng: random.Random, graph: GraphProto, node: NodeProto) -> None:
    """Change, drop, double or add an attribute."""
    if not node.attribute or rng.random() < 0.2:
        name = rng.choice(["pads", "strides", "dilations", "group", "axis", "ceil_mode", "auto_pad", "axes", "mode"])
        node.attribute.append(
            helper.make_attribute(name, rng.choice([_number(rng), [_number(rng)] * rng.randint(1, 5), 0.5, "x"]))
        )
        return
    attribute = rng.choice(node.attribute)
    what = rng.randrange(5)
    if what == 0:
        node.attribute.remove(attribute)
    elif what == 1:
        attribute.type = rng.randrange(15)
    elif attribute.ints:
        where = rng.randrange(len(attribute.ints))
        if what == 2:
            attribute.ints.insert(where, _number(rng))
        elif what == 3:
            del attribute.ints[where]
        else:
            attribute.ints[where] = _number(rng)
    elif attribute.s:
        attribute.s = rng.choice(
            [b"", b"\xff", b"SAME_UPPER", b"VALID", b"linear", b"wrap", b"ij,jk->ik", attribute.s * 2]
        )
    elif attribute.HasField("i"):
        attribute.i = _number(rng)


def _wires(rng: random.Random, graph: GraphProto, node: NodeProto) -> None:
    """Change what a node reads or writes."""
    names = [name for other in graph.node for name in (*other.input, *other.output)] + ["", "x", "nowhere"]
    side = node.input if rng.random() < 0.7 else node.output
    what = rng.randrange(3)
    if not side or what == 0:
        side.insert(rng.randint(0, len(side)), rng.choice(names))
    elif what == 1:
        side[rng.randrange(len(side))] = rng.choice(names)
    else:
        del side[rng.randrange(len(side))]


def _nodes(rng: random.Random, graph: GraphProto, node: NodeProto) -> None:
    """Change a node's operator or domain, drop it, double it, or move it."""
    what = rng.randrange(5)
    other = ModelProto.FromString(rng.choice(seeds())).graph.node[0]
    if what == 0:
        node.op_type = other.op_type
    elif what == 1:
        graph.node.remove(node)
    elif what == 2:
        graph.node.append(node)
    elif what == 3:
        graph.node.append(other)
    else:
        node.domain = rng.choice(["", "ai.onnx", "own", "ai.onnx.ml", "com.microsoft", "\x1b[31m"])


def _tensors(rng: random.Random, graph: GraphProto, node: NodeProto) -> None:
    """Change an initialiser's numbers, dims or type."""
    if not graph.initializer:
        return
    tensor, what = rng.choice(graph.initializer), rng.randrange(5)
    if what == 0 and tensor.int64_data:
        tensor.int64_data[rng.randrange(len(tensor.int64_data))] = _number(rng)
    elif what == 1 and tensor.dims:
        tensor.dims[rng.randrange(len(tensor.dims))] = _number(rng)
    elif what == 2:
        tensor.dims.append(_number(rng))
    elif what == 3:
        tensor.data_type = rng.randrange(26)
    elif tensor.float_data:
        tensor.float_data[0] = rng.choice([float("nan"), float("inf"), -1.0, 0.0, 1e30])


def _inputs(rng: random.Random, graph: GraphProto, node: NodeProto) -> None:
    """Change the shape, type or name of an input or output."""
    values = [*graph.input, *graph.output]
    if not values:
        return
    value, what = rng.choice(values), rng.randrange(4)
    dims = value.type.tensor_type.shape.dim
    if what == 0 and dims:
        rng.choice(dims).dim_value = _number(rng)
    elif what == 1:
        dims.add(dim_value=_number(rng))
    elif what == 2 and dims:
        del dims[rng.randrange(len(dims))]
    else:
        value.type.tensor_type.elem_type = rng.randrange(26)


CHANGES: tuple[Callable[[random.Random, GraphProto, NodeProto], None], ...] = (
    *(_attribute, _attribute, _wires, _nodes, _tensors, _tensors, _inputs),
)


def _bytes(rng: random.Random, data: bytes) -> bytes:
    """Flip, insert, delete or double some bytes."""
    out = bytearray(data)
    for _ in range(rng.choice([1, 1, 2, 4, 16])):
        where, length = rng.randrange(len(out) + 1), rng.choice([1, 1, 2, 8, 64])
        what = rng.randrange(4)
        if what == 0 and where < len(out):
            out[where] ^= 1 << rng.randrange(8)
        elif what == 1:
            out[where:where] = rng.randbytes(length)
        elif what == 2:
            del out[where : where + length]
        else:
            out[where:where] = out[where : where + length]
    return bytes(out)


def mutant(rng: random.Random) -> bytes:
    """One spoilt model: a few structural changes, or bytes changed, or both."""
    data = rng.choice(seeds())
    if rng.random() < 0.8:
        proto = ModelProto.FromString(data)
        for _ in range(rng.choice([1, 1, 1, 2, 3])):
            graph = rng.choice(list(_graphs(proto.graph)))
            if graph.node:
                rng.choice(CHANGES)(rng, graph, rng.choice(graph.node))
        if rng.random() < 0.1 and proto.opset_import:
            proto.opset_import[0].version = rng.choice([1, 6, 7, 9, 10, 11, 12, 13, 18, 19, 23, *EDGES])
        data = proto.SerializeToString()
    return data if rng.random() < 0.8 else _bytes(rng, data)


def mutated() -> st.SearchStrategy[bytes]:
    """Bytes of spoilt models."""
    return st.builds(mutant, st.randoms(use_true_random=False))
