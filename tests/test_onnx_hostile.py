"""Hostile ONNX files: an answer or one clear line, in bounded time and memory, never a crash."""

from __future__ import annotations

import random
import warnings
from typing import Any

import pytest

import fastrf

onnx = pytest.importorskip("onnx")

from fastrf.frontends.onnx import walk as walk_of_onnx  # noqa: E402
from tests.conftest import scaled  # noqa: E402
from tests.onnx_oracle.builders import exploding  # noqa: E402
from tests.onnx_oracle.builders import model as hostile_model  # noqa: E402
from tests.onnx_oracle.fuzz import FAILURES, Worker  # noqa: E402
from tests.onnx_oracle.hostile import CORPUS, SLOW  # noqa: E402
from tests.onnx_oracle.mutation import mutant  # noqa: E402

MUTANTS = scaled(1500)


def test_the_corpus(tmp_path) -> None:
    """In a process of its own with 6 GB of memory and a minute for each file."""
    worker = Worker("tests.onnx_oracle.fuzz:target", seconds=60, strict=True)
    path = tmp_path / "hostile.onnx"
    wrong = []
    for name, build in CORPUS.items():
        if name in SLOW:
            continue
        path.write_bytes(build())
        kind, text = worker(path)
        if kind in FAILURES:
            wrong.append((name, kind, text))
    worker.stop()
    assert wrong == []


def test_mutants(tmp_path) -> None:
    """A short run of what `python -m tests.onnx_oracle.fuzz` does for as long as it is told."""
    path = tmp_path / "mutant.onnx"
    fine = 0
    for number in range(MUTANTS):
        path.write_bytes(mutant(random.Random(f"ci-{number}")))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                fastrf.analyze(path).summary()
                fine += 1
            except fastrf.FastRFError as error:
                text = str(error)
                assert text.strip().isprintable(), f"mutant {number}: {text!r}"
                assert len(text) < 2000
    assert fine > MUTANTS // 5


def loops(depth: int, trips: int) -> Any:
    """Loops within loops, each of so many trips."""
    node, value = onnx.helper.make_node, onnx.helper.make_tensor_value_info
    count = onnx.helper.make_tensor("n", onnx.TensorProto.INT64, [], [trips])
    inner = [node("Relu", ["v0"], ["r0"])]
    for k in range(depth):
        ends = [value("d", onnx.TensorProto.BOOL, []), value(f"r{k}", onnx.TensorProto.FLOAT, None)]
        starts = [value(f"i{k}", onnx.TensorProto.INT64, []), value("c", onnx.TensorProto.BOOL, [])]
        starts.append(value(f"v{k}", onnx.TensorProto.FLOAT, None))
        body = onnx.helper.make_graph([node("Identity", ["c"], ["d"]), *inner], "body", starts, ends)
        inner = [node("Loop", ["n", "", f"v{k + 1}"], [f"r{k + 1}"], body=body)]
    ends = [value(f"r{depth}", onnx.TensorProto.FLOAT, None)]
    graph = onnx.helper.make_graph(inner, "g", [value(f"v{depth}", onnx.TensorProto.FLOAT, [1, 2])], ends, [count])
    return onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 17)], ir_version=8)


@pytest.mark.parametrize("stored", ["elsewhere", "here"])
def test_sizes_without_number(stored: str) -> None:
    """Shape inference makes an axis of each size that a tensor claims to hold."""
    sizes = onnx.TensorProto(name="s", data_type=onnx.TensorProto.INT64, dims=[2**31 - 1])
    if stored == "elsewhere":
        sizes.data_location = onnx.TensorProto.EXTERNAL
    else:
        sizes.int64_data.extend([2, 3, 8, 8])
    x, y = (onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, shape) for name, shape in SHAPES.items())
    node = onnx.helper.make_node("Expand", ["x", "s"], ["y"])
    model = onnx.helper.make_model(onnx.helper.make_graph([node], "g", [x], [y], [sizes]))
    with pytest.raises(fastrf.FastRFError, match=r"'s' of shape .* not hold|depends on values"):
        fastrf.load(model)


SHAPES = {"x": (1, 3, 8, 8), "y": None}


def test_what_loops_and_functions_write_out_is_counted_first(monkeypatch: pytest.MonkeyPatch) -> None:
    assert len(fastrf.load(loops(2, 3)).nodes) == 10
    monkeypatch.setattr(fastrf.limits, "layers", 500)
    for model in (loops(3, 100), onnx.ModelProto.FromString(exploding(60))):
        with pytest.raises(fastrf.LimitError, match="once loops and functions are written out"):
            fastrf.load(model)
    assert walk_of_onnx.ModelWalk(loops(2, 3)).times == 1


def test_long_chains_of_constants() -> None:
    node = onnx.helper.make_node
    chain = [node("Add", [f"c{k}", f"c{k}"], [f"c{k + 1}"]) for k in range(2000)]
    one = onnx.helper.make_tensor("c0", onnx.TensorProto.INT32, [1], [0])
    last = [node("Cast", ["c2000"], ["f"], to=onnx.TensorProto.FLOAT), node("Mul", ["x", "f"], ["y"])]
    model = onnx.ModelProto.FromString(hostile_model([*chain, *last], [one]))
    assert fastrf.analyze(model).output.areas().max() == 0


def test_constants_are_let_go(monkeypatch: pytest.MonkeyPatch) -> None:
    node = onnx.helper.make_node
    start = node("ConstantOfShape", ["s"], ["c0"], value=onnx.helper.make_tensor("v", onnx.TensorProto.INT32, [1], [1]))
    chain = [node("Add", [f"c{k}", f"c{k}"], [f"c{k + 1}"]) for k in range(30)]
    last = [node("ReduceMax", ["c30"], ["m"]), node("Cast", ["m"], ["f"], to=onnx.TensorProto.FLOAT)]
    shape = onnx.helper.make_tensor("s", onnx.TensorProto.INT64, [1], [1000])
    nodes = [start, *chain, *last, node("Add", ["x", "f"], ["y"])]
    model = onnx.ModelProto.FromString(hostile_model(nodes, [shape]))
    monkeypatch.setattr(fastrf.limits, "constants", 20_000)
    assert fastrf.analyze(model).output.areas().max() == 1
    monkeypatch.setattr(fastrf.limits, "constants", 2_000)
    with pytest.raises(fastrf.LimitError, match=r"constants of \d+ bytes at a time.*limits\(constants=2000\)"):
        fastrf.load(model)
