"""The ONNX front-end: files, shapes, names, bodies, masks, and errors."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import fastrf
from fastrf.cli import commands as cli

onnx = pytest.importorskip("onnx")

from onnx import TensorProto, helper, numpy_helper  # noqa: E402

from tests.onnx_oracle.cases import DATA  # noqa: E402

SQUEEZENET = DATA / "light/light_squeezenet.onnx"


def model(
    nodes: Any,
    shape: Any = (1, 3, 8, 8),
    weights: dict[str, Any] | None = None,
    *,
    outputs: tuple[str, ...] = ("y",),
    opset: int = 21,
    functions: Any = (),
) -> Any:
    """A model with one input x."""
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)
    ends = [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in outputs]
    tensors = [numpy_helper.from_array(np.asarray(value), name) for name, value in (weights or {}).items()]
    graph = helper.make_graph(nodes, "g", [x], ends, tensors)
    imports = [helper.make_opsetid("", opset), helper.make_opsetid("mine", 1)]
    return helper.make_model(graph, opset_imports=imports, functions=functions)


def node(op: str, *inputs: str, out: str = "y", **attributes: Any) -> Any:
    return helper.make_node(op, list(inputs), [out], **attributes)


def saved(tmp_path: Path, proto: Any, name: str = "model.onnx") -> Path:
    path = tmp_path / name
    path.write_bytes(proto.SerializeToString())
    return path


KERNEL = np.ones((4, 3, 3, 3), np.float32)


# Shapes --------------------------------------------------------------------------------------------------


def test_open_sizes_are_asked_for_by_name() -> None:
    proto = model([node("Conv", "x", "w")], ("batch", 3, "height", "width"), {"w": KERNEL})
    with pytest.raises(fastrf.ShapeError, match=r"\(batch, 3, height, width\).*--input x=1x3x640x640"):
        fastrf.load(proto)
    for shape in ((3, 32, 32), (1, 3, 32, 32), {"x": (3, 32, 32)}):
        assert fastrf.load(proto, shape).input_shape == (3, 32, 32)
    with pytest.raises(fastrf.ShapeError, match="has 4 axes with the batch"):
        fastrf.load(proto, (32, 32))
    with pytest.raises(fastrf.ShapeError, match="input 'z' is not in the model; its inputs are x"):
        fastrf.load(proto, {"z": (3, 32, 32)})
    with pytest.raises(fastrf.ShapeError, match="sizes are 1 to"):
        fastrf.load(proto, (3, 0, 32))


def test_a_declared_size_can_be_overridden() -> None:
    proto = model([node("Conv", "x", "w")], weights={"w": KERNEL})
    assert fastrf.load(proto, (3, 20, 24)).nodes[-1].shape == (4, 18, 22)


def test_an_input_without_a_shape() -> None:
    proto = model([node("Relu", "x")])
    proto.graph.input[0].type.tensor_type.ClearField("shape")
    with pytest.raises(fastrf.ShapeError, match="no shape in the file"):
        fastrf.load(proto)
    assert fastrf.load(proto, (3, 8, 8)).input_shape == (3, 8, 8)
    assert fastrf.load(proto, (1, 3, 8, 8)).input_shape == (3, 8, 8)


def test_a_batch_that_is_not_one_is_kept() -> None:
    field = fastrf.analyze(model([node("Conv", "x", "w", pads=[1, 1, 1, 1])], (2, 3, 4, 4), {"w": KERNEL})).output
    assert field.shape == (2, 4, 4, 4)
    mask = field.neuron_mask((1, 0, 0, 0))
    assert mask.shape == (2, 3, 4, 4)
    assert not mask[0].any()
    assert mask[1].sum() == 3 * 4


def test_channels_last_graphs() -> None:
    """As TensorFlow's are written: turned, convolved, turned back."""
    nodes = [
        node("Transpose", "x", perm=[0, 3, 1, 2], out="a"),
        node("Conv", "a", "w", auto_pad="SAME_UPPER", strides=[2, 2], out="b"),
        node("Transpose", "b", perm=[0, 2, 3, 1]),
    ]
    analysis = fastrf.analyze(model(nodes, (1, 9, 9, 3), {"w": KERNEL}))
    assert analysis.output.shape == (5, 5, 4)
    assert analysis.output.mask((0, 0)).shape == (9, 9)
    assert analysis.output.box((2, 2)).tolist() == [[3, 6], [3, 6]]


# Names ---------------------------------------------------------------------------------------------------


def test_names_of_nodes_outputs_and_folders() -> None:
    nodes = [
        helper.make_node("Conv", ["x", "w"], ["t"], name="/stem/block/Conv"),
        helper.make_node("Split", ["t"], ["a", "b"], name="/stem/Split", axis=1, num_outputs=2),
        helper.make_node("Add", ["a", "b"], ["y"], name="/Add"),
    ]
    analysis = fastrf.analyze(model(nodes, weights={"w": KERNEL}))
    assert list(analysis) == ["x", "stem/block/Conv", "stem/Split", "b", "Add", "y"]
    assert analysis["stem/block"].name == "stem/block/Conv"
    with pytest.raises(
        fastrf.UnknownNodeError, match="'stem' stands for several tensors; ask for one of stem/Split, b"
    ):
        _ = analysis["stem"]
    assert analysis.network.outputs == ("y",)
    assert len(analysis.summary(depth=1).rows) < len(analysis)


def test_names_that_cannot_be_printed_are_escaped(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    nodes = [helper.make_node("Relu", ["x"], ["\x1b[31mred\n"], name="<script>\x00"), node("Relu", "\x1b[31mred\n")]
    path = saved(tmp_path, model(nodes))
    with pytest.raises(SystemExit) as stop:
        cli.main(["summary", str(path), "--csv"])
    out = capsys.readouterr().out
    assert not stop.value.code
    assert "<script>\\x00" in out
    assert "\x1b" not in out


# Bodies --------------------------------------------------------------------------------------------------


def graph(nodes: Any, outputs: Any, inputs: Any = ()) -> Any:
    ends = [helper.make_tensor_value_info(name, TensorProto.UNDEFINED, None) for name in outputs]
    return helper.make_graph(
        nodes, "b", [helper.make_tensor_value_info(name, TensorProto.UNDEFINED, None) for name in inputs], ends
    )


def test_a_branch_that_data_chooses_may_be_either() -> None:
    nodes = [
        node("ReduceMax", "x", out="m", keepdims=0),
        node("Cast", "m", out="c", to=TensorProto.BOOL),
        node(
            "If",
            "c",
            then_branch=graph([node("Relu", "x", out="a")], ["a"]),
            else_branch=graph([node("Neg", "x", out="b")], ["b"]),
        ),
    ]
    field = fastrf.analyze(model(nodes)).output
    assert field.areas().min() == 64


def test_a_loop_with_a_constant_count_is_unrolled() -> None:
    body = graph(
        [
            node("Conv", "h", "w", pads=[1, 1, 1, 1], out="h2"),
            node("Identity", "going", out="going2"),
            node("Identity", "h2", out="seen"),
        ],
        ["going2", "h2", "seen"],
        ["i", "going", "h"],
    )
    nodes = [helper.make_node("Loop", ["n", "", "x"], ["y", "all"], body=body)]
    weights = {"w": np.ones((3, 3, 3, 3), np.float32), "n": np.array(3)}
    analysis = fastrf.analyze(model(nodes, (1, 3, 20, 20), weights, outputs=("y", "all")))
    assert analysis["y"].size == (7, 7)
    assert analysis["all"].shape == (3, 1, 3, 20, 20)
    weights["n"] = np.array(1 << 40)
    with pytest.raises(fastrf.LimitError, match="iterations"):
        fastrf.analyze(model(nodes, (1, 3, 20, 20), weights, outputs=("y", "all")))


def test_local_functions_and_their_attributes() -> None:
    inner = helper.make_node("Conv", ["a", "b"], ["c"])
    inner.attribute.append(onnx.AttributeProto(name="strides", type=onnx.AttributeProto.INTS, ref_attr_name="step"))
    function = helper.make_function(
        "mine", "Stem", ["a", "b"], ["c"], [inner], [helper.make_opsetid("", 21)], attributes=["step"]
    )
    nodes = [helper.make_node("Stem", ["x", "w"], ["y"], domain="mine", step=[2, 2])]
    assert fastrf.analyze(model(nodes, weights={"w": KERNEL}, functions=[function])).output.stride == (2, 2)


def test_a_function_that_calls_itself_is_noticed() -> None:
    again = helper.make_node("F", ["a"], ["c"], domain="mine")
    function = helper.make_function("mine", "F", ["a"], ["c"], [again], [helper.make_opsetid("mine", 1)])
    with pytest.raises(fastrf.LimitError, match="call itself"):
        fastrf.load(model([helper.make_node("F", ["x"], ["y"], domain="mine")], functions=[function]))


def test_nodes_out_of_order_cycles_and_loose_ends() -> None:
    nodes = [node("Relu", "a"), node("Neg", "x", out="a")]
    assert [n.op for n in fastrf.load(model(nodes)).nodes] == ["neg", "relu"]
    with pytest.raises(fastrf.FormatError, match="cycle"):
        fastrf.load(model([node("Add", "x", "b", out="a"), node("Neg", "a", out="b"), node("Relu", "b")]))
    with pytest.raises(fastrf.FormatError, match="'q' is read but nothing produces it"):
        fastrf.load(model([node("Relu", "q")]))
    with pytest.raises(fastrf.FormatError, match="output 'z' is produced by no node"):
        fastrf.load(model([node("Relu", "x")], outputs=("z",)))


# What constants hide -------------------------------------------------------------------------------------


def scores(*more: Any) -> list[Any]:
    return [
        node("Transpose", "x", perm=[0, 2, 1], out="t"),
        node("MatMul", "x", "t", out="s"),
        *more,
        node("Softmax", "m", axis=-1, out="p"),
        node("MatMul", "p", "x"),
    ]


CAUSAL = np.tril(np.ones((5, 5), bool))


@pytest.mark.parametrize(
    ("more", "weights"),
    [
        ([node("Add", "s", "mask", out="m")], {"mask": np.where(CAUSAL, 0, -np.inf).astype(np.float32)}),
        ([node("Where", "mask", "s", "low", out="m")], {"mask": CAUSAL, "low": np.float32(-np.inf)}),
        (
            [
                node("Add", "s", "mask", out="a"),
                node("Concat", "a", "a", axis=1, out="c"),
                node("Slice", "c", "from", "to", out="m"),
            ],
            {
                "mask": np.where(CAUSAL, 0, -np.inf).astype(np.float32),
                "from": np.array([0, 5, 0]),
                "to": np.array([1, 10, 5]),
            },
        ),
    ],
)
def test_minus_infinity_leaves_keys_out(more: Any, weights: Any) -> None:
    field = fastrf.analyze(model(scores(*more), (1, 5, 4), weights)).output
    assert field.exact
    for row in range(5):
        seen = field.neuron_mask((row, 0)).any(axis=1)
        assert seen.tolist() == (np.arange(5) <= row).tolist()


def test_trained_numbers_may_be_any() -> None:
    """A weight of zero is a weight; a zero in a node's own constant is none."""
    zeros = np.zeros((1, 3, 8, 8), np.float32)
    assert fastrf.analyze(model([node("Mul", "x", "w")], weights={"w": zeros})).output.areas().min() == 1
    constant = node("Constant", out="w", value=numpy_helper.from_array(zeros))
    assert fastrf.analyze(model([constant, node("Mul", "x", "w")])).output.areas().max() == 0


def test_a_condition_on_trained_numbers_may_be_either() -> None:
    nodes = [node("Greater", "w", "half", out="c"), node("Neg", "x", out="n"), node("Where", "c", "one", "n")]
    weights = {"w": np.ones((1, 3, 8, 8), np.float32), "half": np.float32(0.5), "one": np.float32(1)}
    assert fastrf.analyze(model(nodes, weights=weights)).output.areas().min() == 1
    stored = {"c": np.ones((1, 3, 8, 8), bool), "one": np.float32(1)}
    assert fastrf.analyze(model(nodes[1:], weights=stored)).output.areas().max() == 0


def test_outputs_that_are_left_out() -> None:
    """Of a recurrent layer only the last cell, its other outputs without names."""
    weights = {"w": np.ones((1, 8, 4), np.float32), "r": np.ones((1, 8, 2), np.float32)}
    layer = helper.make_node("LSTM", ["x", "w", "r"], ["", "", "y"], hidden_size=2)
    field = fastrf.analyze(model([layer], (5, 1, 4), weights)).output
    assert (field.shape, field.exact) == ((1, 2), True)
    assert field.neuron_mask((0, 0)).all()


# Unknown operators ---------------------------------------------------------------------------------------


def test_an_operator_without_a_rule() -> None:
    proto = model([helper.make_node("Mystery", ["x"], ["y"], name="m", domain="mine")])
    with pytest.raises(fastrf.UnsupportedOpError, match=r"node 'm': operator mine.Mystery.*no rule"):
        fastrf.load(proto)
    unique = model([node("Unique", "x")])
    with pytest.raises(fastrf.UnsupportedOpError, match="Unique"):
        fastrf.load(unique)
    fourier = model([node("DFT", "x", "", "n")], (1, 8, 2), {"n": np.array(1)})
    field = fastrf.analyze(fourier).output
    assert not field.exact


def test_unsupported_operators_over_approximated() -> None:
    proto = model([helper.make_node("Unique", ["x"], ["y"])])
    with pytest.raises(fastrf.UnsupportedOpError, match="depends on values"):
        fastrf.load(proto, on_unsupported="full")
    with pytest.raises(fastrf.NetworkError, match="on_unsupported"):
        fastrf.load(proto, on_unsupported="maybe")


def test_a_node_that_does_not_fit_is_named() -> None:
    with pytest.raises(fastrf.ShapeError, match=r"node 'y'.*no order of the axes"):
        fastrf.load(model([node("Transpose", "x", perm=[0, 0, 1, 2])]))
    with pytest.raises(fastrf.ShapeError, match=r"node 'y': shape .* cannot be reshaped"):
        fastrf.load(model([node("Reshape", "x", "s")], weights={"s": np.array([5, -1])}))
    with pytest.raises(fastrf.FormatError, match="opset 999"):
        fastrf.load(model([node("Relu", "x")], opset=999))


def test_an_output_that_depends_on_nothing_is_left_out() -> None:
    nodes = [node("Relu", "x"), node("Shape", "x", out="s")]
    assert fastrf.load(model(nodes, outputs=("y", "s"))).outputs == ("y",)


def test_the_command_line(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        cli.main(["summary", str(SQUEEZENET), "--input", "data_0=1x3x224x224", "--markdown"])
    assert not stop.value.code, capsys.readouterr().err


def test_lists_of_tensors() -> None:
    nodes = [
        node("SplitToSequence", "x", out="s", axis=1, keepdims=0),
        node("SequenceAt", "s", "one", out="a"),
        node("SequenceInsert", "s", "a", out="t"),
        node("SequenceErase", "t", "one", out="u"),
        node("SequenceLength", "u", out="n"),
        node("ConcatFromSequence", "u", axis=1, new_axis=1),
    ]
    field = fastrf.analyze(model(nodes, (1, 3, 4), {"one": np.array(1)})).output
    assert field.shape == (3, 4)
    assert [int(field.neuron_mask((k, 0)).argmax()) for k in range(3)] == [0, 8, 4]


def test_a_scan_runs_along_an_axis() -> None:
    body = graph([node("Add", "h", "e", out="h2"), node("Identity", "h2", out="seen")], ["h2", "seen"], ["h", "e"])
    nodes = [helper.make_node("Scan", ["zero", "x"], ["last", "y"], body=body, num_scan_inputs=1)]
    field = fastrf.analyze(model(nodes, (5, 2), {"zero": np.zeros(2, np.float32)}, outputs=("y",))).output
    assert field.neuron_mask((3, 0))[:, 0].tolist() == [True] * 4 + [False]
