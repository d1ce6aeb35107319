"""Forms of ONNX operators that few files have, against changing every element of the input."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import fastrf

onnx = pytest.importorskip("onnx")

from onnx import TensorProto, helper, numpy_helper  # noqa: E402

from tests.onnx_oracle.perturbation import perturb, quiet  # noqa: E402


def model(op: str, shape: Any, *constants: Any, opset: int = 21, outputs: int = 1, **attributes: Any) -> Any:
    """One node on the input x and constants; None leaves an input out."""
    names = ["" if value is None else f"c{k}" for k, value in enumerate(constants)]
    stored = [numpy_helper.from_array(np.asarray(v), f"c{k}") for k, v in enumerate(constants) if v is not None]
    results = [f"y{k}" for k in range(outputs)]
    node = helper.make_node(op, ["x", *names], results, **attributes)
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)
    ends = [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in results]
    graph = helper.make_graph([node], "g", [x], ends, stored)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=10)


def floats(*values: float) -> Any:
    return np.array(values, np.float32)


def integers(*values: int) -> Any:
    return np.array(values, np.int64)


IMAGE = (1, 1, 6, 7)
KERNEL = np.ones((2, 1, 3, 3), np.float32)


def resize(scales: Any = None, sizes: Any = None, roi: Any = None, opset: int = 19, **attributes: Any) -> Any:
    return model("Resize", IMAGE, roi, scales, sizes, opset=opset, **attributes)


CASES = {
    "nearest, ceil": lambda: resize(floats(1, 1, 2, 1.5), mode="nearest", nearest_mode="ceil"),
    "nearest, prefer ceil": lambda: resize(
        floats(1, 1, 2, 2), nearest_mode="round_prefer_ceil", coordinate_transformation_mode="asymmetric"
    ),
    "nearest, tf half pixel": lambda: resize(
        floats(1, 1, 2, 0.6),
        roi=floats(),
        opset=11,
        coordinate_transformation_mode="tf_half_pixel_for_nn",
        nearest_mode="floor",
    ),
    "linear, symmetric": lambda: resize(
        floats(1, 1, 1.7, 0.6), mode="linear", coordinate_transformation_mode="half_pixel_symmetric"
    ),
    "linear, to one": lambda: resize(
        sizes=integers(1, 1, 1, 3), mode="linear", coordinate_transformation_mode="pytorch_half_pixel"
    ),
    "linear, aligned": lambda: resize(
        sizes=integers(1, 1, 11, 4), mode="linear", coordinate_transformation_mode="align_corners"
    ),
    "linear, cropped": lambda: resize(
        sizes=integers(1, 1, 5, 1),
        roi=floats(0, 0, 0.1, 0.3, 1, 1, 1.2, 0.9),
        mode="linear",
        coordinate_transformation_mode="tf_crop_and_resize",
    ),
    "cubic": lambda: resize(floats(1, 1, 1.5, 0.7), mode="cubic", cubic_coeff_a=-0.5),
    "cubic, exclude outside": lambda: resize(floats(1, 1, 2, 0.5), mode="cubic", exclude_outside=1),
    "cubic, antialiased": lambda: resize(sizes=integers(1, 1, 4, 3), mode="cubic", antialias=1),
    "linear, antialiased, some axes": lambda: resize(
        sizes=integers(3, 3), mode="linear", antialias=1, axes=[2, 3], keep_aspect_ratio_policy="not_larger"
    ),
    "valid windows": lambda: model("Conv", IMAGE, KERNEL, auto_pad="VALID"),
    "same windows, lower": lambda: model("Conv", IMAGE, KERNEL, auto_pad="SAME_LOWER", strides=[2, 2]),
    "transposed, valid": lambda: model(
        "ConvTranspose", IMAGE, np.ones((1, 2, 3, 2), np.float32), auto_pad="VALID", strides=[2, 3]
    ),
    "transposed, lower": lambda: model(
        "ConvTranspose", IMAGE, np.ones((1, 2, 3, 3), np.float32), auto_pad="SAME_LOWER", strides=[2, 2]
    ),
    "uneven pieces": lambda: model("Split", (7, 2), None, outputs=3, axis=0, num_outputs=3),
    "repeats": lambda: model("Tile", (2, 3), integers(2, 3)),
    "even norm": lambda: model("LRN", (1, 6, 2, 2), size=4),
    "taken twice": lambda: model("Gather", (4, 3), integers(3, -4, 3), axis=0),
    "elements": lambda: model("GatherElements", (3, 3), np.array([[2, 0, 1]]), axis=0),
    "added up": lambda: model(
        "ScatterElements", (3, 3), np.array([[2, 0, 1]]), np.ones((1, 3), np.float32), axis=0, reduction="add"
    ),
    "kept by a condition": lambda: model("Compress", (5, 2), np.array([True, False, True]), axis=0),
    "backwards": lambda: model("ReverseSequence", (4, 2, 2), integers(3, 1), batch_axis=1, time_axis=0),
}


@pytest.mark.parametrize("name", CASES)
def test_dependencies_equal_those_of_changes(name: str) -> None:
    proto = CASES[name]()
    shape = [d.dim_value for d in proto.graph.input[0].type.tensor_type.shape.dim]
    with quiet():
        truth = perturb(proto, {"x": np.random.default_rng(0).uniform(0.5, 1.5, shape).astype(np.float32)})
        analysis = fastrf.analyze(proto)
    for output, columns in truth.columns.items():
        found = analysis[output].to_csr(channels=True).toarray()
        assert np.array_equal(found, columns["x"].reshape(found.shape)), output


def constants(**attributes: Any) -> Any:
    """The input plus a constant given by an attribute."""
    nodes = [helper.make_node("Constant", [], ["c"], **attributes), helper.make_node("Add", ["x", "c"], ["y"])]
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, (1, 3))
    y = helper.make_tensor_value_info("y", TensorProto.FLOAT, None)
    return helper.make_model(
        helper.make_graph(nodes, "g", [x], [y]), opset_imports=[helper.make_opsetid("", 21)], ir_version=10
    )


def test_constants_in_attributes() -> None:
    sparse = helper.make_sparse_tensor(
        numpy_helper.from_array(floats(2), "v"), numpy_helper.from_array(integers(1), "i"), [3]
    )
    for attributes in ({"value_floats": [1.0, 2.0, 3.0]}, {"value_float": 2.0}, {"sparse_value": sparse}):
        assert fastrf.analyze(constants(**attributes)).output.shape[-1] == 3
    with pytest.raises(fastrf.UnsupportedOpError, match="holds text"):
        fastrf.load(constants(value_string="text"))


@pytest.mark.parametrize(
    ("proto", "message"),
    [
        (resize(floats(1, 1, -2, 2)), "must be positive numbers"),
        (resize(sizes=integers(1, 1, 0, 2)), "must be positive"),
        (resize(floats(1, 1, 2, 2), nearest_mode="best"), "'best' is unknown"),
        (model("Split", (7, 2), integers(3, 3), outputs=2), "do not add up to 7"),
        (model("Tile", (2, 3), integers(2)), "1 repeats for the 2 axes"),
        (model("Conv", IMAGE, KERNEL, auto_pad="SOME"), "SOME"),
    ],
)
def test_what_does_not_fit_is_said(proto: Any, message: str) -> None:
    with pytest.raises(fastrf.FastRFError, match=message):
        fastrf.analyze(proto)


def network(nodes: Any, shape: Any, **stored: Any) -> Any:
    """Several nodes from x to y."""
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)
    y = helper.make_tensor_value_info("y", TensorProto.UNDEFINED, None)
    tensors = [numpy_helper.from_array(np.asarray(value), name) for name, value in stored.items()]
    opset = [helper.make_opsetid("", 21)]
    return helper.make_model(helper.make_graph(nodes, "g", [x], [y], tensors), opset_imports=opset, ir_version=10)


def node(op: str, *inputs: str, out: str = "y", **attributes: Any) -> Any:
    return helper.make_node(op, list(inputs), [out], **attributes)


COMPUTED = {
    "deformed": lambda: network(
        [node("Conv", "x", "o", out="offsets"), node("DeformConv", "x", "w", "offsets", kernel_shape=[1, 1])],
        (1, 1, 4, 5),
        o=np.ones((2, 1, 1, 1), np.float32),
        w=np.ones((3, 1, 1, 1), np.float32),
    ),
    "sampled": lambda: network(
        [
            node("Concat", "x", "x", out="xx", axis=1),
            node("Transpose", "xx", out="grid", perm=[0, 2, 3, 1]),
            node("GridSample", "x", "grid"),
        ],
        (1, 1, 4, 5),
    ),
    "regions": lambda: network(
        [node("MaxRoiPool", "x", "r", pooled_shape=[2, 2])], (1, 2, 4, 5), r=np.ones((3, 5), "f")
    ),
    "a row by a computed index": lambda: network(
        [node("Cast", "x", out="i", to=TensorProto.INT64), node("Gather", "table", "i")],
        (3,),
        table=np.arange(8, dtype=np.float32).reshape(4, 2),
    ),
    "a place by a computed index": lambda: network(
        [node("ArgMax", "x", out="i", axis=1, keepdims=0), node("Gather", "x", "i", axis=1)], (1, 4, 2)
    ),
}


@pytest.mark.parametrize("name", COMPUTED)
def test_what_is_chosen_by_data_is_read_whole(name: str) -> None:
    field = fastrf.analyze(COMPUTED[name]()).output
    found = field.to_csr(channels=True).toarray()
    assert found.any(axis=1).all()
    if name == "a row by a computed index":
        assert field.exact
        assert np.array_equal(found, np.kron(np.eye(3, dtype=bool), np.ones((2, 1), bool)))
    else:
        assert not field.exact


def branch(*nodes: Any, out: str, shape: Any = None) -> Any:
    end = helper.make_tensor_value_info(out, TensorProto.UNDEFINED, shape)
    return helper.make_graph(list(nodes), "b", [], [end])


def test_a_branch_chosen_by_a_constant_or_by_data() -> None:
    then, other = branch(node("Relu", "x", out="a"), out="a"), branch(node("Neg", "x", out="b"), out="b")
    chosen = network([node("If", "c", then_branch=then, else_branch=other)], (1, 4), c=np.array(False))
    assert [layer.op for layer in fastrf.load(chosen).nodes] == ["neg", "identity"]
    assert np.array_equal(fastrf.analyze(chosen).output.to_csr(channels=True).toarray(), np.eye(4, dtype=bool))
    short = branch(node("ReduceSum", "x", out="b"), out="b")
    asked = [node("ReduceMax", "x", out="m", keepdims=0), node("Cast", "m", out="c", to=TensorProto.BOOL)]
    unlike = network([*asked, node("If", "c", then_branch=then, else_branch=short)], (1, 4))
    with pytest.raises(fastrf.UnsupportedOpError, match="branches of different shapes"):
        fastrf.load(unlike)


def by_indices(op: str, shapes: Any, order: str, **attributes: Any) -> Any:
    """An operator on inputs of these names, of which i holds computed indices."""
    cast = helper.make_node("Cast", ["i"], ["j"], to=TensorProto.INT64)
    node = helper.make_node(op, ["j" if name == "i" else name for name in order], ["y"], **attributes)
    inputs = [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in shapes.items()]
    graph = helper.make_graph([cast, node], "g", inputs, [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)])
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8)


@pytest.mark.parametrize(
    ("op", "attributes", "shapes", "wrt", "rows"),
    [
        # element (r, c) of the result may be any of row r, or of column c
        ("GatherElements", {"axis": 1}, {"x": (2, 2), "i": (2, 1)}, "x", ["1100", "0011"]),
        ("GatherElements", {"axis": 0}, {"x": (2, 2), "i": (2, 1)}, "x", ["1010", "1010"]),
        ("GatherElements", {"axis": 0}, {"x": (2, 2), "i": (2, 1)}, "i", ["10", "01"]),
        ("GatherND", {}, {"x": (2, 2), "i": (1, 1)}, "x", ["1010", "0101"]),
        ("GatherND", {"batch_dims": 1}, {"x": (2, 2), "i": (2, 1)}, "x", ["1100", "0011"]),
        ("GatherND", {}, {"x": (2, 2), "i": (1, 2)}, "i", ["11"]),
        ("ScatterElements", {"axis": 1}, {"x": (2, 2), "i": (1, 2), "u": (1, 2)}, "u", ["11", "11", "00", "00"]),
        (
            "ScatterElements",
            {"axis": 1},
            {"x": (2, 2), "i": (1, 2), "u": (1, 2)},
            "x",
            ["1000", "0100", "0010", "0001"],
        ),
        ("ScatterND", {}, {"x": (2, 2), "i": (1, 1), "u": (1, 2)}, "u", ["10", "01", "10", "01"]),
        ("ReverseSequence", {"batch_axis": 1, "time_axis": 0}, {"x": (2, 2), "i": (2,)}, "x", ["1010", "0101"] * 2),
        ("ReverseSequence", {"batch_axis": 1, "time_axis": 0}, {"x": (2, 2), "i": (2,)}, "i", ["10", "01"] * 2),
    ],
)
def test_computed_indices_are_read_along_their_axis(
    op: str, attributes: Any, shapes: Any, wrt: str, rows: list[str]
) -> None:
    field = fastrf.analyze(by_indices(op, shapes, "xiu"[: len(shapes)], **attributes), wrt=wrt).output
    assert ["".join(str(int(v)) for v in row) for row in field.to_csr(channels=True).toarray()] == rows
