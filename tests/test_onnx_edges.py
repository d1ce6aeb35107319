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
