"""ONNX files and their weights: what is read of them, what never is, and what is no model."""

from __future__ import annotations

import random
import sys
from pathlib import Path

import numpy as np
import pytest

import fastrf

onnx = pytest.importorskip("onnx")

from onnx import TensorProto, helper, numpy_helper  # noqa: E402

from fastrf.frontends.onnx import read, skimming  # noqa: E402
from tests.test_onnx import KERNEL, SQUEEZENET, model, node, saved  # noqa: E402


def test_a_file_a_path_and_a_proto_are_the_same(tmp_path: Path) -> None:
    proto = model([node("Conv", "x", "w", pads=[1, 1, 1, 1])], weights={"w": KERNEL})
    path = saved(tmp_path, proto)
    nets = [fastrf.load(source) for source in (proto, path, str(path))]
    assert [len(net.nodes) for net in nets] == [1, 1, 1]
    assert fastrf.Network.from_dict(nets[0].to_dict()) == nets[0]
    assert fastrf.analyze(path).output.size == (3, 3)


def test_big_weights_are_skipped_where_they_lie(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(skimming, "SMALL", 256)
    body = helper.make_graph(
        [
            node("Constant", out="c", value=numpy_helper.from_array(np.ones((8, 8), np.float32))),
            node("Relu", "x", out="b"),
        ],
        "body",
        [],
        [helper.make_tensor_value_info("b", TensorProto.FLOAT, None)],
    )
    nodes = [
        node("Conv", "x", "w", pads=[1, 1, 1, 1], out="t"),
        node("Constant", out="yes", value=numpy_helper.from_array(np.array(True))),
        node("If", "yes", then_branch=body, else_branch=body),
    ]
    path = saved(tmp_path, model(nodes, weights={"w": KERNEL}))
    slim = read(path)
    (weight,) = slim.graph.initializer
    assert weight.data_location == TensorProto.EXTERNAL
    assert list(weight.dims) == [4, 3, 3, 3]
    assert not weight.raw_data
    assert len(slim.SerializeToString()) < path.stat().st_size - 400
    assert fastrf.analyze(path)["t"].size == (3, 3)


def test_external_data_is_never_opened(tmp_path: Path) -> None:
    proto = model([node("Conv", "x", "w", pads=[1, 1, 1, 1])], weights={"w": KERNEL})
    tensor = proto.graph.initializer[0]
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value="../../nothing/here.bin")
    assert fastrf.analyze(saved(tmp_path, proto)).output.size == (3, 3)


def test_values_that_are_needed_but_not_there_are_asked_for() -> None:
    proto = model([node("Reshape", "x", "s")], weights={"s": np.array([1, -1])})
    proto.graph.initializer[0].ClearField("raw_data")
    proto.graph.initializer[0].data_location = TensorProto.EXTERNAL
    with pytest.raises(fastrf.UnsupportedOpError, match="'y': operator Reshape with an input 1 that is not"):
        fastrf.load(proto)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "the file is empty"),
        (b"\xff" * 100, "not an ONNX model"),
        (SQUEEZENET.read_bytes()[:3000], "not an ONNX model"),
        (b"\x08\x03", "it holds no ONNX graph"),
    ],
)
def test_files_that_are_no_models(tmp_path: Path, data: bytes, message: str) -> None:
    path = tmp_path / "bad.onnx"
    path.write_bytes(data)
    with pytest.raises(fastrf.FormatError, match=message):
        fastrf.load(path)


def test_broken_files_that_are_skimmed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever is cut or flipped, reading ends in a model or one FormatError."""
    monkeypatch.setattr(skimming, "SMALL", 64)
    whole = SQUEEZENET.read_bytes()
    path = tmp_path / "bad.onnx"
    source, refused = random.Random(3), 0
    for _ in range(60):
        data = bytearray(whole[: source.randrange(1, len(whole))])
        for _ in range(3):
            data[source.randrange(len(data))] ^= 1 << source.randrange(8)
        path.write_bytes(data)
        try:
            read(path)
        except fastrf.FormatError:
            refused += 1
    assert refused > 30


def test_without_the_package_the_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "model.onnx").write_bytes(b"a model")
    monkeypatch.setitem(sys.modules, "onnx", None)
    with pytest.raises(fastrf.FastRFError, match=r"fastrf\[onnx\]"):
        fastrf.load(str(tmp_path / "model.onnx"))
