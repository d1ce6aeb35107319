"""Numbers that constants decide in ONNX graphs: each operator says itself what becomes of them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import fastrf

onnx = pytest.importorskip("onnx")

from onnx import TensorProto, helper, numpy_helper  # noqa: E402

from tests.conftest import INTERPRETED  # noqa: E402
from tests.onnx_oracle.chains import disagreements, draw_chain  # noqa: E402
from tests.onnx_oracle.perturbation import Unsuitable  # noqa: E402

node = helper.make_node


def fixed(name: str, values: Any, dtype: Any = np.float32) -> Any:
    """A constant node."""
    return node("Constant", [], [name], value=numpy_helper.from_array(np.asarray(values, dtype), name))


def graph(
    nodes: Any, shapes: dict[str, Any], stored: dict[str, Any] | None = None, kind: Any = TensorProto.FLOAT
) -> Any:
    """A model of inputs of these shapes, with one output y and stored tensors."""
    inputs = [helper.make_tensor_value_info(name, kind, shape) for name, shape in shapes.items()]
    kept = [numpy_helper.from_array(np.asarray(values), name) for name, values in (stored or {}).items()]
    made = helper.make_graph(nodes, "g", inputs, [helper.make_tensor_value_info("y", kind, None)], kept)
    return helper.make_model(made, opset_imports=[helper.make_opsetid("", 18)], ir_version=8)


def reads(proto: Any, wrt: str | None = None, **options: Any) -> list[list[int]]:
    """For every output element, the input elements that it reads."""
    rows = fastrf.analyze(proto, wrt=wrt, **options).output.to_csr(channels=True)
    return [rows.indices[a:b].tolist() for a, b in zip(rows.indptr, rows.indptr[1:], strict=False)]


def padded_then(*nodes: Any, fill: float = 1.5) -> Any:
    """Two elements of u behind one of a fill, through nodes from p to q, then times x."""
    start = [fixed("w", [1, 0], np.int64), fixed("f", fill), node("Pad", ["u", "w", "f"], ["p"])]
    return graph([*start, *nodes, node("Mul", ["q", "x"], ["y"])], {"x": [3], "u": [2]})


def test_a_cast_changes_what_is_known() -> None:
    cast = [node("Cast", ["p"], ["i"], to=TensorProto.INT32), node("Cast", ["i"], ["r"], to=TensorProto.FLOAT)]
    # 1.5 becomes 1 on the way, so the factor is -0.5
    assert reads(padded_then(*cast, fixed("s", 1.5), node("Sub", ["r", "s"], ["q"]))) == [[0], [1], [2]]
    assert reads(padded_then(*cast, fixed("s", 1.0), node("Sub", ["r", "s"], ["q"]))) == [[], [1], [2]]


def test_attributes_of_operators_count() -> None:
    leaky = node("LeakyRelu", ["p"], ["r"], alpha=0.5)
    plus = [fixed("s", 1.0), node("Add", ["r", "s"], ["q"])]
    assert reads(padded_then(leaky, *plus, fill=-2.0)) == [[], [1], [2]]  # 0.5 * -2 + 1 = 0
    assert reads(padded_then(leaky, *plus, fill=-100.0)) == [[0], [1], [2]]  # would be 0 for the default 0.01


def test_one_operand_may_decide() -> None:
    for op, dtype, value in (("And", bool, False), ("Or", bool, True)):
        more = [fixed("z", 0.0), node("Greater", ["u", "z"], ["t"]), fixed("m", [value, not value], dtype)]
        last = [node(op, ["t", "m"], ["b"]), node("Cast", ["b"], ["y"], to=TensorProto.FLOAT)]
        assert reads(graph([*more, *last], {"u": [2]})) == [[], [1]]
    equal = [fixed("m", [0.0, 1.0]), node("Equal", ["u", "m"], ["b"]), node("Cast", ["b"], ["y"], to=TensorProto.FLOAT)]
    assert reads(graph(equal, {"u": [2]})) == [[0], [1]]


def test_a_condition_known_in_part_chooses() -> None:
    start = [fixed("w", [1, 0], np.int64), node("Pad", ["u", "w"], ["p"]), fixed("h", -1.0)]
    chosen = [node("Greater", ["p", "h"], ["b"]), fixed("c", 5.0), node("Where", ["b", "c", "x"], ["y"])]
    proto = graph([*start, *chosen], {"x": [3], "u": [2]})
    assert reads(proto, "x") == [[], [1], [2]]
    assert reads(proto, "u") == [[], [0], [1]]


def test_integers_stand_for_what_their_zero_point_says() -> None:
    weights = {"w": np.array([[0, 7], [7, 0]], np.uint8), "a": np.array(3, np.uint8), "b": np.array(7, np.uint8)}
    proto = graph([node("MatMulInteger", ["u", "w", "a", "b"], ["y"])], {"u": [2, 2]}, weights, TensorProto.UINT8)
    assert reads(proto)[0] == [0, 1]


@pytest.mark.parametrize("number", range(8 if INTERPRETED else 60))
def test_random_pairs_and_triples(number: int) -> None:
    try:
        model, arrays, weights = draw_chain(f"test-{number}")
        found = disagreements(model, arrays, weights)
    except Unsuitable:
        pytest.skip("perturbation cannot judge this draw")
    assert found == [], onnx.printer.to_text(model.graph)


def test_a_constant_of_an_empty_shape_is_a_number() -> None:
    shape = node("Constant", [], ["s"], value=helper.make_tensor("s", TensorProto.INT64, [0], []))
    made = [shape, node("ConstantOfShape", ["s"], ["c"]), node("Add", ["u", "c"], ["y"])]
    assert reads(graph(made, {"u": [2]})) == [[0], [1]]


def masked_convolution(op: str, mask: Any, *, stored: bool) -> Any:
    """A kernel of one row of three taps, multiplied by a constant mask, on four pixels."""
    kept = {"w": np.ones((1, 1, 1, 3), np.float32), **({"m": np.asarray(mask, np.float32)} if stored else {})}
    start = [] if stored else [fixed("b", np.asarray(mask) > 0, bool), node("Cast", ["b"], ["m"], to=TensorProto.FLOAT)]
    nodes = [*start, node("Mul", ["w", "m"], ["k"]), node(op, ["u", "k"], ["y"], pads=[0, 1, 0, 1])]
    return graph(nodes, {"u": [1, 1, 1, 4]}, kept)


@pytest.mark.parametrize("stored", [True, False])
def test_zeros_of_masked_kernels_are_not_read(stored: bool) -> None:
    causal = [[[[1, 1, 0]]]]
    proto = masked_convolution("Conv", causal, stored=stored)
    assert reads(proto) == [[0], [0, 1], [1, 2], [2, 3]]
    assert reads(masked_convolution("ConvTranspose", causal, stored=stored)) == [[0, 1], [1, 2], [2, 3], [3]]
    said = fastrf.analyze(proto).output.assumes
    assert said == (("m holds 0 and 1 alone and is multiplied: a mask, not weights",) if stored else ())


def test_kernels_in_constant_nodes_are_trained_where_the_file_stores_no_others() -> None:
    kernel = fixed("k", [[[[1, 0, 1]]]])
    conv = node("Conv", ["u", "k"], ["y"])
    assert reads(graph([kernel, conv], {"u": [1, 1, 1, 3]})) == [[0, 1, 2]]
    other = {"w": np.ones((1, 1), np.float32)}
    assert reads(graph([kernel, conv], {"u": [1, 1, 1, 3]}, other)) == [[0, 2]]


def test_zeros_of_masked_matrices_are_not_read() -> None:
    mask = np.tril(np.ones((3, 3), np.float32))
    weights = {"w": np.ones((3, 3), np.float32), "m": mask}
    masked = node("Mul", ["w", "m"], ["k"])
    lower = [[0], [0, 1], [0, 1, 2]]
    assert reads(graph([masked, node("Gemm", ["u", "k"], ["y"], transB=1)], {"u": [1, 3]}, weights)) == lower
    assert reads(graph([masked, node("MatMul", ["u", "k"], ["y"])], {"u": [1, 3]}, weights)) == [
        [0, 1, 2],
        [1, 2],
        [2],
    ]
    grown = [masked, fixed("s", [2.0, 2.0]), node("Resize", ["k", "", "s"], ["r"]), node("MatMul", ["u", "r"], ["y"])]
    field = fastrf.analyze(graph(grown, {"u": [1, 6]}, weights)).output
    assert not field.exact  # zeros that are resized are lost, which is said
    assert field.mask(()).all()


def test_low_numbers_that_are_compared_exclude_nothing() -> None:
    nodes = [
        *(fixed("m", [0, 0, -1e9, -1e9]), fixed("three", 3.0), node("Add", ["x", "m"], ["s"])),
        *(node("Equal", ["s", "three"], ["t"]), node("Cast", ["t"], ["f"], to=TensorProto.FLOAT)),
        node("Softmax", ["f"], ["y"]),
    ]
    assert reads(graph(nodes, {"x": [1, 4]})) == [[0, 1, 2, 3]] * 4


@pytest.mark.parametrize("fill", [-np.inf, np.finfo(np.float32).min, -1e9, -1e4])
@pytest.mark.parametrize("form", ["added", "chosen", "multiplied", "stored"])
def test_low_numbers_before_a_softmax_exclude(fill: float, form: str) -> None:
    hidden = np.triu(np.ones((3, 3)), 1)
    table = np.where(hidden > 0, fill, 0).astype(np.float32)
    kept = {"t": table} if form == "stored" else {}
    if form == "multiplied" and np.isinf(fill):
        pytest.skip("0 times infinity is no mask")
    added = node("Add", ["u", "t"], ["s"])
    start = {
        "added": [fixed("t", table), added],
        "stored": [added],
        "chosen": [fixed("h", hidden > 0, bool), fixed("f", fill), node("Where", ["h", "f", "u"], ["s"])],
        "multiplied": [fixed("h", hidden), fixed("f", fill), node("Mul", ["h", "f"], ["t"]), added],
    }[form]
    proto = graph([*start, node("Softmax", ["s"], ["y"])], {"u": [3, 3]}, kept)
    field = fastrf.analyze(proto).output
    excludes = fill < -1e6
    alone = 1 if form == "chosen" else 3  # what the first row reads where only itself is not filled, or nothing is
    assert field.to_csr(channels=True).toarray().sum(1)[:3].tolist() == [0 if excludes else alone] * 3
    assert bool(field.assumes) == (excludes and np.isfinite(fill))


#: Operators from p, three elements along the last axis or the channels, to q.
ZERO_OF_ZEROS = {
    "Conv": ([1, 1, 3], node("Conv", ["s", "kernel"], ["r"], pads=[1, 0])),
    "ConvTranspose": ([1, 1, 3], node("ConvTranspose", ["s", "one"], ["r"])),
    "Resize": ([1, 1, 3], node("Resize", ["s", "", "", "sizes"], ["r"])),
    "LpPool": ([1, 1, 3], node("LpPool", ["s"], ["r"], kernel_shape=[1])),
    "MaxPool": ([1, 1, 3], node("MaxPool", ["s"], ["r"], kernel_shape=[1])),
    "GlobalAveragePool": ([1, 3, 1], node("GlobalAveragePool", ["s"], ["r"])),
    "GlobalLpPool": ([1, 3, 1], node("GlobalLpPool", ["s"], ["r"])),
    "LRN": ([1, 3, 1], node("LRN", ["s"], ["r"], size=3)),
    "Gemm": ([3, 1], node("Gemm", ["s", "flat"], ["r"])),
}


@pytest.mark.parametrize("op", ZERO_OF_ZEROS)
def test_zeros_of_zeros_are_known(op: str) -> None:
    shape, made = ZERO_OF_ZEROS[op]
    there, back = fixed("there", shape, np.int64), fixed("back", [-1], np.int64)
    nodes = [there, back, node("Reshape", ["p", "there"], ["s"]), made, node("Slice", ["r", "a", "b", "c"], ["t"])]
    ends = [fixed("a", [0], np.int64), fixed("b", [3], np.int64), fixed("c", [len(shape) - 1], np.int64)]
    nodes = [*ends, fixed("sizes", [1, 1, 5], np.int64), *nodes, node("Reshape", ["t", "back"], ["q"])]
    proto = padded_then(*nodes, fill=0.0)
    kernels = {"kernel": [[[1.0, 2.0]]], "one": [[[3.0]]], "flat": [[2.0]]}
    proto.graph.initializer.extend(numpy_helper.from_array(np.float32(v), k) for k, v in kernels.items())
    wanted = [[], [], [2]] if op == "Resize" else [[], [1], [2]]
    assert reads(proto, "x") == wanted


def test_fills_beside_weights_are_known() -> None:
    triangle = [node("Trilu", ["w"], ["t"], upper=0), node("MatMul", ["u", "t"], ["y"])]
    assert reads(graph(triangle, {"u": [1, 3]}, {"w": np.ones((3, 3), np.float32)})) == [[0, 1, 2], [1, 2], [2]]
    padded = [fixed("p", [1, 0, 1, 0], np.int64), node("Pad", ["w", "p"], ["t"]), node("MatMul", ["u", "t"], ["y"])]
    assert reads(graph(padded, {"u": [1, 3]}, {"w": np.ones((1, 3), np.float32)})) == [[1], [1], [1]]
    # what is not followed is said
    lstm = [fixed("p", [0, 0, 1, 0, 0, 0], np.int64), node("Pad", ["w", "p"], ["t"])]
    kept = {"w": np.ones((1, 4, 1), np.float32), "r": np.ones((1, 4, 1), np.float32)}
    model = graph([*lstm, node("LSTM", ["u", "t", "r"], ["y"], hidden_size=1)], {"u": [2, 1, 2]}, kept)
    assert fastrf.analyze(model).output.approximate_at


def test_a_choice_of_weights_by_constants_makes_zeros() -> None:
    chosen = [fixed("c", [[True, False]] * 2, bool), fixed("z", 0.0), node("Where", ["c", "w", "z"], ["k"])]
    proto = graph([*chosen, node("MatMul", ["u", "k"], ["y"])], {"u": [1, 2]}, {"w": np.ones((2, 2), np.float32)})
    assert reads(proto) == [[0, 1], []]


def test_one_number_decides_a_running_total() -> None:
    hidden = [fixed("c", [False, True, False], bool), fixed("m", -np.inf), node("Where", ["c", "m", "u"], ["h"])]
    total = [fixed("a", 0, np.int64), node("CumSum", ["h", "a"], ["y"])]
    assert reads(graph([*hidden, *total], {"u": [3]})) == [[0], [], []]
    least = [node("ReduceMin", ["h"], ["y"], keepdims=0)]
    assert reads(graph([*hidden, *least], {"u": [3]})) == [[]]


def test_zeros_of_a_determinant_are_said_to_be_lost() -> None:
    row = [fixed("m", [[1.0], [0.0]]), node("Mul", ["u", "m"], ["h"]), node("Det", ["h"], ["y"])]
    assert not fastrf.analyze(graph(row, {"u": [2, 2]})).output.exact


def test_outputs_that_share_a_layer_may_know_different_numbers() -> None:
    start = [fixed("w", [1, 0], np.int64), node("Pad", ["u", "w"], ["p"]), fixed("n", [2], np.int64)]
    proto = graph([*start, node("TopK", ["p", "n"], ["y", "places"], axis=0)], {"u": [2]})
    assert reads(proto) == [[0, 1], [0, 1]]


def test_quantised_weights_of_any_version_are_read() -> None:
    kept = {"w": np.ones((1, 1, 3), np.int8), "s": np.array(0.5, np.float32), "z": np.array(0, np.int8)}
    nodes = [node("DequantizeLinear", ["w", "s", "z"], ["k"]), node("Conv", ["u", "k"], ["y"])]
    for version in (10, 13, 18, 21):
        proto = graph(nodes, {"u": [1, 1, 3]}, kept)
        proto.opset_import[0].version = version
        assert reads(proto) == [[0, 1, 2]]


def test_a_reference_that_fails_refuses_nothing() -> None:
    start = [fixed("w", [0, 0, 1, 0, 0, 0], np.int64), fixed("f", 2.0), node("Pad", ["u", "w", "f"], ["p"])]
    pool = node("MaxPool", ["p"], ["y"], kernel_shape=[3], pads=[1, 1])  # the reference reads beyond one axis
    assert reads(graph([*start, pool], {"u": [1, 1, 2]})) == [[0], [0, 1], [0, 1]]
    kept = {"w": np.ones((1, 1, 3), np.float32)}
    stored = [node("MaxPool", ["w"], ["k"], kernel_shape=[3], pads=[1, 1]), node("Conv", ["u", "k"], ["y"])]
    assert reads(graph(stored, {"u": [1, 1, 3]}, kept)) == [[0, 1, 2]]


def test_where_a_bound_meets_another_input_is_listed() -> None:
    lost = [fixed("m", [[1.0], [0.0]]), node("Mul", ["x", "m"], ["h"]), node("Det", ["h"], ["d"])]
    product = graph([*lost, node("Mul", ["u", "d"], ["y"])], {"u": [2], "x": [2, 2]})
    assert fastrf.analyze(product, wrt="u").output.approximate_at == ("y",)  # the determinant is 0
    total = graph([*lost, node("Add", ["u", "d"], ["y"])], {"u": [2], "x": [2, 2]})
    assert fastrf.analyze(total, wrt="u").output.exact  # no number hides what it is added to
    full = graph([node("Det", ["x"], ["d"]), node("Mul", ["u", "d"], ["y"])], {"u": [2], "x": [2, 2]})
    assert fastrf.analyze(full, wrt="u").output.exact  # nothing was known, so nothing is lost
