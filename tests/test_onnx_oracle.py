"""The ONNX oracle itself: facts checked by hand, agreement of its parts, and a harness that notices failures."""

import contextlib
import os
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given

pytest.importorskip("onnx")
pytest.importorskip("ml_dtypes")

import onnx
from onnx import TensorProto, helper

import fastrf

from .onnx_oracle import fuzz
from .onnx_oracle.cases import DATA, cases, skipped
from .onnx_oracle.hostile import CORPUS, SLOW, mutated
from .onnx_oracle.mutation import seeds
from .onnx_oracle.perturbation import Unsuitable, bound, perturb, quiet

# the numpy and torch of test helpers warn about their own futures
pytestmark = pytest.mark.filterwarnings("ignore")


def mask(op, arrays, name="x", fixed=(), runtime=None, **attributes):
    """`bool[*out, *in]` of a single node, its inputs named by the keys of `arrays`."""
    inputs = [
        helper.make_tensor_value_info(n, helper.np_dtype_to_tensor_dtype(a.dtype), a.shape) for n, a in arrays.items()
    ]
    node = helper.make_node(op, list(arrays), ["y"], **attributes)
    graph = helper.make_graph([node], "g", inputs, [helper.make_tensor_value_info("y", TensorProto.UNDEFINED, None)])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])
    model = onnx.shape_inference.infer_shapes(model)
    return perturb(model, arrays, [name], fixed=fixed, runtime=runtime).mask("y", name)


def floats(*shape):
    return np.zeros(shape, np.float32)


RUNTIMES = pytest.mark.parametrize("runtime", ["onnxruntime", "reference"])


@RUNTIMES
def test_convolution_is_cut_at_the_border(runtime):
    if runtime == "onnxruntime":
        pytest.importorskip("onnxruntime")
    got = mask("Conv", {"x": floats(1, 2, 5, 5), "w": floats(1, 2, 3, 3)}, pads=[1] * 4, runtime=runtime)
    corner, centre = got[0, 0, 0, 0, 0], got[0, 0, 2, 2, 0]
    expected = np.zeros((2, 5, 5), bool)
    expected[:, :2, :2] = True
    assert (corner == expected).all()
    expected[:] = False
    expected[:, 1:4, 1:4] = True
    assert (centre == expected).all()


def test_max_pool_reads_its_window():
    got = mask("MaxPool", {"x": floats(1, 1, 6, 6)}, kernel_shape=[2, 2], strides=[2, 2])[0, 0, :, :, 0, 0]
    for i, j in np.ndindex(3, 3):
        assert np.argwhere(got[i, j]).tolist() == [[a, b] for a in (2 * i, 2 * i + 1) for b in (2 * j, 2 * j + 1)]


@pytest.mark.parametrize("op", ["Relu", "Exp", "Sqrt", "Log", "Acosh", "Asin", "Sign", "Floor", "Round", "Abs"])
def test_pointwise(op):
    assert (mask(op, {"x": floats(3, 4)}).reshape(12, 12) == np.eye(12, dtype=bool)).all()


@pytest.mark.parametrize("op", ["Softmax", "Hardmax", "LogSoftmax"])
def test_softmax_couples_its_axis(op):
    got = mask(op, {"x": floats(2, 5)}, axis=1)
    assert (got == np.eye(2, dtype=bool)[:, None, :, None]).all()


def test_arg_max_reads_its_axis():
    assert (mask("ArgMax", {"x": floats(2, 5)}, axis=1, keepdims=0) == np.eye(2, dtype=bool)[:, :, None]).all()


def test_gather_takes_what_it_names():
    arrays = {"x": floats(4, 3), "i": np.array([2, -1, 2])}
    got = mask("Gather", arrays, fixed=["i"], axis=0)
    expected = np.zeros((3, 3, 4, 3), bool)
    for row, source in enumerate((2, 3, 2)):
        expected[row, range(3), source, range(3)] = True
    assert (got == expected).all()


def test_maximum_and_quantisation_see_both_operands():
    assert (mask("Max", {"x": floats(6), "z": floats(6)}) == np.eye(6, dtype=bool)).all()
    arrays = {"x": floats(6), "s": np.float32([0.1]).reshape(()), "o": np.uint8([128]).reshape(())}
    assert (mask("QuantizeLinear", arrays, fixed=["s", "o"]) == np.eye(6, dtype=bool)).all()


def test_local_response_norm_stays_in_its_window():
    got = mask("LRN", {"x": floats(1, 8, 1, 1)}, size=3)[0, :, 0, 0, 0, :, 0, 0]
    assert (got == np.array([[abs(i - j) <= 1 for j in range(8)] for i in range(8)])).all()


def test_what_cannot_be_judged_says_so():
    with pytest.raises(Unsuitable, match="shape"):
        mask("NonZero", {"x": np.float32([1, 0, 2])})


def test_cases():
    found = {case.name: case for case in cases(largest=100_000)}
    assert len(found) + len(skipped()) >= 1900
    assert {"test_gather_0", "test_Conv2d", "test_operator_maxpool", "test_single_relu_model"} <= found.keys()
    assert found["test_gather_0"].fixed == {"indices"}
    assert [v.name for v in found["test_gather_0"].bound_model.graph.input] == ["data"]
    assert not any(array.dtype.kind in "OSU" for case in found.values() for array in case.arrays.values())


@pytest.mark.parametrize("name", ["softmax_axis_1", "layer_normalization_4d_axis2", "gelu_default_1", "clip", "celu"])
def test_an_operator_and_its_body_agree(name):
    found = {case.name: case for case in cases()}
    bodies = [n for n in found if n.startswith(f"test_{name}_expanded")]
    assert bodies
    whole = found[f"test_{name}"].dependence(20_000)
    for body in bodies:
        parts = found[body].dependence(20_000)
        for (output, columns), others in zip(whole.columns.items(), parts.columns.values(), strict=True):
            for wrt in columns:
                if whole.complete(wrt) and parts.complete(wrt):
                    assert (columns[wrt] == others[wrt]).all(), (body, output, wrt)


def test_gradients_agree_with_perturbation():
    pytest.importorskip("torch")
    from .onnx_oracle.gradient import Gradients

    node = helper.make_node
    nodes = [
        node("Conv", ["x", "w"], ["a"], pads=[1, 0, 1, 2], strides=[2, 1], group=2),
        node("Relu", ["a"], ["b"]),
        node("LRN", ["b"], ["c"], size=3),
        node("MaxPool", ["c"], ["d"], kernel_shape=[2, 2], auto_pad="SAME_UPPER"),
        node("Concat", ["d", "b"], ["e"], axis=1),
        node("Reshape", ["e", "s"], ["f"]),
        node("Transpose", ["f"], ["y"], perm=[0, 2, 1, 3]),
    ]
    w, s = np.full((4, 1, 3, 3), 0.02, np.float32), np.array([1, 2, 4, -1])
    value = helper.make_tensor_value_info
    graph = helper.make_graph(nodes, "g", [value("x", 1, [1, 2, 5, 6])], [value("y", 1, [1, 4, 2, 18])])
    model = bound(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 12)]), {"w": w, "s": s})
    got = perturb(model, {"x": floats(1, 2, 5, 6)}, weights=["w"]).mask("y", "x")[0, ..., 0, :, :, :]
    net = Gradients(model)
    assert net.shape("y") == got.shape[:3]
    assert all((net.mask("y", index) == got[index]).all() for index in np.ndindex(*got.shape[:3]))


def test_field_of_resnet50():
    pytest.importorskip("torch")
    from .onnx_oracle.gradient import Gradients

    path = DATA / "light/light_resnet50.onnx"
    small = Gradients(path)
    last = [name for name in small.names() if small.shape(name) == (2048, 7, 7)][-1]
    assert small.mask(last, (5, 3, 3)).all()
    large = Gradients(path, (3, 448, 448), until=last)
    seen = large.mask(last, (5, 7, 7))
    rows = np.flatnonzero(seen.any((0, 2)))
    assert (len(rows), rows[-1] + 1 - rows[0]) == (427, 427)
    assert (seen == seen.any((0, 2))[:, None] & seen.any((0, 1))).all()


def test_hostile_files():
    assert len(CORPUS) > 300
    kinds = []
    for name, build in CORPUS.items():
        data = b"" if name in SLOW else build()
        assert isinstance(data, bytes)
        kinds.append(len(data))
    assert max(kinds) < 20_000_000


def test_seeds_are_valid():
    for data in seeds():
        onnx.checker.check_model(onnx.ModelProto.FromString(data))


@given(mutated())
def test_mutants_are_analysed_or_refused(data):
    """None ends the target otherwise than by a table or an error of fastrf's own."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "mutant.onnx"
        path.write_bytes(data)
        with contextlib.suppress(fastrf.FastRFError), quiet():
            fuzz.target(str(path))


def victim(path):
    """Fails in the way the file says."""
    import fastrf

    text = Path(path).read_text()
    if text == "hang":
        time.sleep(600)
    if text == "crash":
        os.kill(os.getpid(), 9)
    if text == "memory":
        bytearray(2**40)
    if text == "refused":
        raise fastrf.FastRFError("no such thing")
    if text == "message":
        raise fastrf.FastRFError("")
    sys.stdout.write("noise\n")
    if text != "fine":
        raise ValueError(text)


def test_the_harness_notices(tmp_path):
    worker = fuzz.Worker("tests.test_onnx_oracle:victim", seconds=3, strict=True)
    path = tmp_path / "case"
    for text in ("fine", "refused", "message", "exception", "memory", "crash", "fine", "hang", "fine"):
        path.write_text(text)
        if text == "hang":
            assert worker.process is not None  # a warm worker has no extra minute
        assert worker(path)[0] == text
    worker.stop()


def test_the_command_saves_failures(tmp_path, capsys):
    options = [
        "--seconds",
        "4",
        "--folder",
        str(tmp_path),
        "--function",
        "tests.test_onnx_oracle:victim",
        "--no-corpus",
    ]
    assert fuzz.main(options) == 1
    assert "failures" in capsys.readouterr().out
    assert list(tmp_path.glob("exception-*.onnx"))
