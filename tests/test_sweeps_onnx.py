"""Sweeps of ONNX files: parsed once, cut off behind a node, constants evaluated once, at any input shape."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import fastrf

onnx = pytest.importorskip("onnx")
pytest.importorskip("pyarrow")

from fastrf.frontends import onnx as frontend  # noqa: E402
from fastrf.sweeps import onnx as onnx_files  # noqa: E402

LIGHT = Path(onnx.__file__).parent / "backend/test/data/light"


def model():
    """Two convolutions of computed weights, then a head that fits one input size only."""
    helper, real = onnx.helper, onnx.TensorProto.FLOAT
    nodes = [
        helper.make_node("ConstantOfShape", ["sizes"], ["w1"], value=helper.make_tensor("v", real, [1], [0.5])),
        helper.make_node("Conv", ["x", "w1"], ["a"], name="first", pads=[1, 1, 1, 1], strides=[2, 2]),
        helper.make_node("Mul", ["w2", "two"], ["w2twice"]),
        helper.make_node("Conv", ["a", "w2twice"], ["b"], name="second", pads=[1, 1, 1, 1]),
        helper.make_node("Shape", ["b"], ["unused"]),
        helper.make_node("Reshape", ["b", "flat"], ["c"], name="head"),
    ]
    arrays = {
        "sizes": np.array([4, 3, 3, 3]),
        "w2": np.ones((4, 4, 3, 3), np.float32),
        "two": np.array(2, np.float32),
        "flat": np.array([1, 4 * 8 * 8]),
    }
    stored = [onnx.numpy_helper.from_array(array, name) for name, array in arrays.items()]
    ends = [helper.make_tensor_value_info(name, real, shape) for name, shape in (("x", [1, 3, 16, 16]), ("c", None))]
    graph = helper.make_graph(nodes, "small", ends[:1], ends[1:], stored)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])


@pytest.fixture
def path(tmp_path):
    (tmp_path / "small.onnx").write_bytes(model().SerializeToString())
    return tmp_path / "small.onnx"


def test_one_file_at_many_shapes_is_read_once(path, monkeypatch):
    reads, plain = [], frontend.read
    monkeypatch.setattr(frontend, "read", lambda given: reads.append(given) or plain(given))
    given = [(path, (3, n, n + 2)) for n in range(8, 28)]
    rows = fastrf.sweep(given, node="map", workers=2).to_rows()
    assert len(reads) == 1
    for (_, shape), row in zip(given, rows, strict=True):
        layers = [fastrf.conv(4, 3, stride=2, padding=1, bias=False), fastrf.conv(4, 3, padding=1, bias=False)]
        expected = fastrf.sweep([("x", layers, shape)]).to_rows()[0]
        assert row["ok"]
        assert {**row, "id": "x"} == expected
    whole = fastrf.sweep(given).to_rows()
    assert not any(row["ok"] for row in whole)
    assert "was the model exported for another input size?" in whole[0]["error"]
    assert fastrf.sweep([path, (model(), (3, 16, 16))], metrics=["parameters"]).n_failed == 0


def test_cutting_and_folding_change_nothing_before_the_node(path):
    whole = frontend.to_network(frontend.read(path))
    short = frontend.cut(frontend.read(path), "second")
    left, known = frontend.folded(short)
    assert [node.op_type for node in left.graph.node] == ["Conv", "Conv"]
    assert sorted(known) == ["w1", "w2twice"]
    again = frontend.to_network(left, known=known)
    assert fastrf.analyze(again).output.dependency == fastrf.analyze(whole)["second"].dependency
    assert [node.shape for node in again.nodes][:2] == [node.shape for node in whole.nodes][:2]
    assert frontend.cut(short, "b") == short
    unknown = frontend.cut(short, "nowhere")
    assert unknown is short
    assert frontend.folded(left)[0] is left


def test_a_branch_that_reads_from_outside_is_kept():
    helper, real = onnx.helper, onnx.TensorProto.FLOAT
    out = helper.make_tensor_value_info("y", real, None)
    bodies = [helper.make_graph([helper.make_node(op, ["a"], ["y"])], op, [], [out]) for op in ("Relu", "Sigmoid")]
    nodes = [
        helper.make_node("Relu", ["x"], ["a"], name="before"),
        helper.make_node("If", ["yes"], ["z"], name="choice", then_branch=bodies[0], else_branch=bodies[1]),
    ]
    stored = [onnx.numpy_helper.from_array(np.array(True), "yes")]
    ends = [helper.make_tensor_value_info(name, real, shape) for name, shape in (("x", [1, 2, 4, 4]), ("z", None))]
    given = helper.make_model(helper.make_graph(nodes, "g", ends[:1], ends[1:], stored))
    short = frontend.cut(given, "choice")
    assert [node.name for node in short.graph.node] == ["before", "choice"]
    assert fastrf.sweep([("g", given, (2, 4, 4))], node="z", metrics=["area_max"]).to_rows()[0]["area_max"] == 1


def test_published_sizes_of_light_models_at_another_size():
    # RF of the last map before the head: AlexNet 195, VGG-19 268, SqueezeNet 207, ResNet-50 427
    if not LIGHT.exists():
        pytest.skip("this onnx has no light models")
    names = {"bvlc_alexnet": 195, "vgg19": 268, "squeezenet": 207, "resnet50": 427}
    given = [(name, LIGHT / f"light_{name}.onnx", (3, 256, 240)) for name in names]
    rows = fastrf.sweep(given, node="map", metrics=["size"]).to_rows()
    assert {row["id"]: row["size_x"] for row in rows} == names


def test_files_that_cannot_be_read(tmp_path):
    (tmp_path / "bad.onnx").write_bytes(b"\x08")
    rows = fastrf.sweep([tmp_path / "bad.onnx", str(tmp_path / "none.onnx")], (3, 8, 8)).to_rows()
    assert all(row["error"] for row in rows)
    assert "none.onnx" in rows[1]["error"]


def test_parsed_files_are_bounded_and_noticed_when_they_change(path, monkeypatch):
    monkeypatch.setattr(fastrf.limits, "parsed", 2)
    models = [model() for _ in range(4)]
    fastrf.sweep([(str(k), given) for k, given in enumerate(models)], metrics=["size"])
    assert len(onnx_files._files) == 2
    first = fastrf.sweep([path], node="map", metrics=["size"]).to_rows()[0]
    changed = frontend.cut(model(), "first")
    path.write_bytes(changed.SerializeToString())
    second = fastrf.sweep([path], node="map", metrics=["size"]).to_rows()[0]
    assert (first["size_x"], second["size_x"]) == (7, 3)
