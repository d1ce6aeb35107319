"""Inputs of ONNX models: sizes solved together, values of control inputs, shapes that the file states."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import fastrf

onnx = pytest.importorskip("onnx")

from onnx import TensorProto, helper, numpy_helper  # noqa: E402

node = helper.make_node
value = helper.make_tensor_value_info


def model(nodes: Any, inputs: Any, stored: Any = (), outputs: Any = None, infos: Any = ()) -> Any:
    """A model of these parts, its output y."""
    ends = [value("y", TensorProto.FLOAT, None)] if outputs is None else outputs
    kept = [numpy_helper.from_array(np.asarray(array), name) for name, array in dict(stored).items()]
    graph = helper.make_graph(nodes, "g", inputs, ends, kept, value_info=infos)
    opsets = [helper.make_opsetid("", 13), helper.make_opsetid("com.example", 1)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=8)


def recurrent() -> Any:
    """A size named batch in three inputs, and one named sequence in one."""
    shapes = {"x": ["batch", "sequence"], "h": [2, "batch", 64], "c": [2, "batch", 64]}
    nodes = [
        node("Add", ["h", "c"], ["s"]),
        node("ReduceMean", ["s"], ["r"], keepdims=0),
        node("Add", ["x", "r"], ["y"]),
    ]
    return model(nodes, [value(name, TensorProto.FLOAT, shape) for name, shape in shapes.items()])


def test_a_name_is_one_size_in_all_inputs() -> None:
    for shape in ((1, 512), (512,), {"x": (1, 512)}, {"x": (512,)}, {"x": np.zeros((1, 512))}):
        assert fastrf.load(recurrent(), shape).input_shape == {"x": (512,), "h": (2, 1, 64), "c": (2, 1, 64)}
    assert fastrf.load(recurrent(), {"x": (3, 512)}).input_shape["h"] == (2, 3, 64)
    with pytest.raises(fastrf.ShapeError, match="'batch' is 1 in input 'x' and 3 in input 'c'"):
        fastrf.load(recurrent(), {"x": (1, 512), "c": (2, 3, 64)})


def test_all_that_is_open_is_asked_for_at_once() -> None:
    inputs = [value("x", TensorProto.FLOAT, [1, 3, "h", "w"]), value("z", TensorProto.FLOAT, [1, 3, -1, "w"])]
    proto = model([node("Add", ["x", "z"], ["y"])], inputs)
    wanted = r"\(1, 3, h, w\) and input 'z' has shape \(1, 3, \?, w\).*--input x=1x3x640x640 --input z=1x3x640x640"
    with pytest.raises(fastrf.ShapeError, match=wanted):
        fastrf.load(proto)
    with pytest.raises(fastrf.ShapeError, match=r"^input 'z'.*--input z=1x3x640x9 "):
        fastrf.load(proto, {"x": (3, 8, 9)})
    assert fastrf.load(proto, {"x": (3, 8, 9), "z": (3, 8, 9)}).input_shape["z"] == (3, 8, 9)


def test_a_sign_is_no_name() -> None:
    proto = model([node("Relu", ["x"], ["y"])], [value("x", TensorProto.FLOAT, ["?", 3, "?", "?"])])
    assert fastrf.load(proto, (3, 4, 5)).input_shape == (3, 4, 5)


def switched() -> Any:
    """A window of 6 or of 3 samples, as `rate` says; each needs exactly its length."""
    branches = {}
    for name, n in (("then_branch", 6), ("else_branch", 3)):
        stored = {f"w{n}": np.ones((1, 1, n), np.float32), f"s{n}": np.array([1, 1])}
        kept = [numpy_helper.from_array(array, key) for key, array in stored.items()]
        body = [node("Conv", ["u", f"w{n}"], [f"c{n}"]), node("Reshape", [f"c{n}", f"s{n}"], [f"o{n}"])]
        branches[name] = helper.make_graph(body, name, [], [value(f"o{n}", TensorProto.FLOAT, [1, 1])], kept)
    nodes = [
        node("Unsqueeze", ["x", "one"], ["u"]),
        node("Equal", ["rate", "k"], ["b"]),
        node("If", ["b"], ["y"], **branches),
    ]
    inputs = [value("x", TensorProto.FLOAT, [1, "n"]), value("rate", TensorProto.INT64, [])]
    return model(nodes, inputs, {"one": np.array([1]), "k": np.array(16000)})


def test_values_of_control_inputs_are_constants() -> None:
    field = fastrf.analyze(switched(), {"x": (1, 6)}, values={"rate": 16000}).output
    assert field.to_csr(channels=True).toarray().tolist() == [[True] * 6]
    assert field.assumes == ("input 'rate' is 16000",)
    assert fastrf.analyze(switched(), (3,), values={"rate": 8000}).output.exact
    with pytest.raises(fastrf.ShapeError, match="give its value: --value rate="):
        fastrf.load(switched(), (6,))
    with pytest.raises(fastrf.ShapeError, match="names 'sr', which is no input; the inputs are x, rate"):
        fastrf.load(switched(), (6,), values={"sr": 1})
    with pytest.raises(fastrf.ShapeError, match=r"has shape \(2,\), but the file says"):
        fastrf.load(switched(), (6,), values={"rate": [1, 2]})
    with pytest.raises(fastrf.ShapeError, match="no number"):
        fastrf.load(switched(), (6,), values={"rate": "fast"})
    for number in (16000.5, float("nan"), 1e300):
        with pytest.raises(fastrf.ShapeError, match="its elements are int64"):
            fastrf.load(switched(), (6,), values={"rate": number})


def foreign(**parts: Any) -> Any:
    """An operator of a domain that nobody knows, between two that are known."""
    nodes = [node("Relu", ["x"], ["r"]), node("Fused", ["r"], ["f"], domain="com.example"), node("Relu", ["f"], ["y"])]
    return model(nodes, [value("x", TensorProto.FLOAT, [1, "c", 8])], **parts)


def test_operators_of_unknown_domains_have_the_shapes_that_the_file_states() -> None:
    proto = foreign(infos=[value("f", TensorProto.FLOAT, [1, "c", 4])])
    field = fastrf.analyze(proto, (3, 8), on_unsupported="full").output
    assert (field.shape, field.exact) == ((3, 4), False)
    assert field.mask((0,)).all()
    with pytest.raises(fastrf.UnsupportedOpError, match="on_unsupported"):
        fastrf.load(proto, (3, 8))
    with pytest.raises(fastrf.UnsupportedOpError, match=r"^node 'f'.*the shape of output 'f' of Fused.*state it"):
        fastrf.load(foreign(), (3, 8), on_unsupported="full")


@pytest.mark.parametrize("op", ["MaxPool", "AveragePool"])
@pytest.mark.parametrize(("n", "stride", "rows"), [(2, 2, 1), (2, 3, 1), (1, 3, 1), (3, 3, 1), (5, 3, 1), (6, 3, 2)])
def test_a_window_wider_than_its_axis_by_less_than_a_stride_reads_what_there_is(
    op: str, n: int, stride: int, rows: int
) -> None:
    proto = model(
        [node(op, ["x"], ["y"], kernel_shape=[3], strides=[stride])], [value("x", TensorProto.FLOAT, [1, 1, n])]
    )
    field = fastrf.analyze(proto).output
    assert field.shape == (1, rows)
    assert field.mask((0,)).tolist() == [k < 3 for k in range(n)]
    too_wide = model([node(op, ["x"], ["y"], kernel_shape=[3])], [value("x", TensorProto.FLOAT, [1, 1, 2])])
    with pytest.raises(fastrf.ShapeError, match="does not fit"):
        fastrf.load(too_wide)
