"""Every rule of an ONNX operator is entered at least once, with a batch of two, against perturbation."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pytest

import fastrf

onnx = pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")

from onnx import TensorProto, helper  # noqa: E402

from fastrf.frontends.onnx.registry import RULES  # noqa: E402
from tests.onnx_oracle.cases import Case  # noqa: E402
from tests.onnx_oracle.perturbation import Unsuitable, quiet  # noqa: E402
from tests.test_onnx_operators import differences  # noqa: E402

Array = np.ndarray[Any, Any]
NAMES = "abcdefgh"
MICROSOFT = "com.microsoft"

#: Rules whose operators no runtime can judge, and why.
UNJUDGED = {
    **dict.fromkeys(("Bernoulli", "RandomNormalLike", "RandomUniformLike"), "random"),
    "NonMaxSuppression": "the shape of its output depends on values",
}


def floats(*shape: int) -> Array:
    """Different numbers between -1 and 1."""
    return np.random.default_rng(7).uniform(-1, 1, shape).astype(np.float32)


def whole(*values: Any, dtype: Any = np.int64) -> Array:
    return np.array(values, dtype)


def graph(nodes: Sequence[Any], arrays: Mapping[str, Array], outputs: Sequence[str]) -> Any:
    """A graph that reads these arrays."""
    ends = [helper.make_tensor_value_info(name, TensorProto.UNDEFINED, None) for name in outputs]
    starts = [
        helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(array.dtype), array.shape)
        for name, array in arrays.items()
    ]
    return helper.make_graph(list(nodes), "g", starts, ends)


def case(name: str, nodes: Sequence[Any], arrays: Mapping[str, Array], outputs: Sequence[str], opset: int) -> Case:
    """A model of some nodes; arrays whose names begin with "fixed" are no data."""
    domains = [helper.make_opsetid("", opset), helper.make_opsetid(MICROSOFT, 1)]
    made = helper.make_model(graph(nodes, arrays, outputs), opset_imports=domains, ir_version=10)
    made = onnx.shape_inference.infer_shapes(made)
    for output in made.graph.output:  # what inference does not know of others' operators
        if not output.type.tensor_type.elem_type:
            output.type.tensor_type.elem_type = TensorProto.UINT8 if name == "QuantizeLinear" else TensorProto.FLOAT
    return Case(name.lower(), "own", made, dict(arrays), frozenset(n for n in arrays if n.startswith("fixed")), ())


def one(
    op: str, *given: Array | None, fixed: Sequence[int] = (), outputs: int = 1, opset: int = 17, **more: Any
) -> Case:
    """A model of one node; its inputs at `fixed` are no data."""
    domain = more.pop("domain", "")
    if not domain and op != "SimplifiedLayerNormalization":
        opset = max(opset, onnx.defs.get_schema(op, opset if opset < 17 else 99).since_version)
    names = ["" if a is None else f"fixed{NAMES[k]}" if k in fixed else NAMES[k] for k, a in enumerate(given)]
    arrays = {name: a for name, a in zip(names, given, strict=True) if a is not None}
    results = [f"y{k}" for k in range(outputs)]
    return case(op, [helper.make_node(op, names, results, domain=domain, **more)], arrays, results, opset)


def beside(op: str, *nodes: Any, arrays: Mapping[str, Array] | None = None, result: str = "c") -> Case:
    """A model that adds what no element decides, such as a shape, to its input `a` of shape (2, 3)."""
    more = [
        helper.make_node("Cast", [result], ["f"], to=TensorProto.FLOAT),
        helper.make_node("ReduceMax", ["f"], ["s"], keepdims=0),
        helper.make_node("Add", ["a", "s"], ["y"]),
    ]
    return case(op, [*nodes, *more], {"a": floats(2, 3), **(arrays or {})}, ["y"], 17)


def looped(op: str) -> Case:
    """Two rounds that add to a carried tensor and give each of its states."""
    info = helper.make_tensor_value_info
    state, part = info("s", TensorProto.FLOAT, None), info("p", TensorProto.FLOAT, None)
    ends = [info("t", TensorProto.FLOAT, None), info("u", TensorProto.FLOAT, None)]
    if op == "Scan":
        body = [helper.make_node("Add", ["s", "p"], ["t"]), helper.make_node("Identity", ["t"], ["u"])]
        inner = helper.make_graph(body, "body", [state, part], ends)
        node = helper.make_node("Scan", ["a", "b"], ["y", "z"], body=inner, num_scan_inputs=1)
        return case(op, [node], {"a": floats(3), "b": floats(2, 3)}, ["y", "z"], 17)
    body = [
        helper.make_node("Add", ["s", "b"], ["t"]),
        helper.make_node("Identity", ["t"], ["u"]),
        helper.make_node("Identity", ["go"], ["on"]),
    ]
    begins = [info("i", TensorProto.INT64, []), info("go", TensorProto.BOOL, []), state]
    inner = helper.make_graph(body, "body", begins, [info("on", TensorProto.BOOL, []), *ends])
    node = helper.make_node("Loop", ["fixedn", "", "a"], ["y", "z"], body=inner)
    return case(op, [node], {"a": floats(2, 3), "b": floats(3), "fixedn": np.array(2)}, ["y", "z"], 17)


def chosen() -> Case:
    """Either branch adds another tensor."""
    bodies = {
        f"{name}_branch": helper.make_graph(
            [helper.make_node("Add", ["a", other], ["r"])], name, [], [helper.make_tensor_value_info("r", 1, None)]
        )
        for name, other in (("then", "b"), ("else", "c"))
    }
    node = helper.make_node("If", ["fixedc"], ["y"], **bodies)
    arrays = {"a": floats(2, 3), "b": floats(2, 3), "c": floats(2, 3), "fixedc": np.array(True)}
    return case("If", [node], arrays, ["y"], 17)


def listed(op: str, *nodes: tuple[Any, ...]) -> Case:
    """Nodes on lists of two tensors and an index; each is an operator, inputs, output and attributes."""
    made = [helper.make_node(kind, inputs, [output], **more) for kind, inputs, output, more in nodes]
    arrays = {"a": floats(2, 3), "b": floats(2, 3), "fixedi": np.array(1)}
    read = {name for _, inputs, _, _ in nodes for name in inputs}
    return case(op, made, {name: array for name, array in arrays.items() if name in read}, ["y"], 17)


PAIR = ("SequenceConstruct", ["a", "b"], "s", {})
JOIN = {"axis": 0}
OF_ONE = """
    Abs Acos Acosh Asin Asinh Atan Atanh Ceil Celu Cos Cosh Elu Erf Exp Floor Gelu HardSigmoid HardSwish Identity IsInf
    IsNaN LeakyRelu Log Mish Neg Reciprocal Relu Round Selu Shrink Sigmoid Sign Sin Sinh Softplus Softsign Sqrt Swish
    Tan Tanh ThresholdedRelu Bernoulli
"""
OF_TWO = "Add Div Equal Greater GreaterOrEqual Less LessOrEqual Max Mean Min Mul Pow PRelu Sub Sum"
REDUCE = "L1 L2 LogSum LogSumExp Max Mean Min Prod Sum SumSquare"
MAP, LINE, KERNEL = (2, 2, 4, 3), (2, 2, 6), (2, 2, 3)
BYTES, BITS = np.uint8, np.int32
TABLE = whole([0, 1, 1], [1, 0, 1], dtype=bool)
NUMBERS = whole([1, 2, 3], [4, 5, 6], dtype=BITS)


def quantized(*shape: int) -> list[Array]:
    """Whole numbers, what one of them stands for, and which of them stands for 0."""
    values = np.random.default_rng(7).integers(0, 255, shape).astype(BYTES)
    return [values, np.array(0.1, np.float32), np.array(100, BYTES)]


def of_pixels() -> dict[str, Case]:
    """Operators that slide windows, pool, resample or look at regions."""
    quant = [*quantized(2, 1, 3, 4), *quantized(2, 1, 2, 2), *quantized()[1:]]
    roi = floats(2, 4) * 0 + whole(0, 0, 3, 2, dtype=np.float32)
    return {
        "Conv": one("Conv", floats(*LINE), floats(*KERNEL), floats(2), pads=[1, 0], strides=[2]),
        "FusedConv": one(
            "FusedConv", floats(*MAP), floats(2, 2, 2, 2), fixed=(1,), domain=MICROSOFT, activation="Relu"
        ),
        "ConvInteger": one("ConvInteger", quant[0], quant[3]),
        "QLinearConv": one("QLinearConv", *quant, fixed=(1, 2, 4, 5, 6, 7)),
        "ConvTranspose": one("ConvTranspose", floats(2, 2, 3), floats(2, 3, 2), fixed=(1,), strides=[2]),
        "DeformConv": one("DeformConv", floats(2, 1, 3, 3), floats(1, 1, 2, 2), floats(2, 8, 2, 2), fixed=(1,)),
        "MaxPool": one("MaxPool", floats(*MAP), kernel_shape=[2, 2], pads=[1, 0, 0, 0]),
        "AveragePool": one("AveragePool", floats(*MAP), kernel_shape=[3, 1], strides=[2, 1], ceil_mode=1),
        "LpPool": one("LpPool", floats(*MAP), kernel_shape=[2, 2]),
        **{op: one(op, floats(*MAP), opset=16) for op in ("GlobalAveragePool", "GlobalMaxPool", "GlobalLpPool")},
        "LRN": one("LRN", floats(2, 5, 2, 1), size=3),
        "Col2Im": one("Col2Im", floats(2, 4, 4), whole(3, 3), whole(2, 2), fixed=(1, 2)),
        "GridSample": one("GridSample", floats(2, 1, 3, 3), floats(2, 2, 2, 2)),
        "RoiAlign": one("RoiAlign", floats(2, 1, 4, 4), roi, whole(0, 1), fixed=(2,), output_height=2, output_width=2),
        "MaxRoiPool": one(
            "MaxRoiPool", floats(2, 1, 4, 4), np.insert(roi, 0, [0, 1], 1), fixed=(1,), pooled_shape=[2, 2], opset=16
        ),
        "NonMaxSuppression": one("NonMaxSuppression", floats(2, 3, 4), floats(2, 1, 3), np.array([2]), fixed=(2,)),
        "MaxUnpool": one(
            "MaxUnpool",
            floats(2, 1, 2, 2),
            whole(*range(0, 32, 4)).reshape(2, 1, 2, 2),
            fixed=(1,),
            kernel_shape=[2, 2],
            strides=[2, 2],
        ),
        "Resize": one(
            "Resize", floats(2, 1, 3, 2), None, whole(1, 1, 2, 1.5, dtype=np.float32), fixed=(2,), mode="linear"
        ),
        "Upsample": one("Upsample", floats(2, 1, 3, 2), whole(1, 1, 2, 1, dtype=np.float32), fixed=(1,), opset=9),
        "DepthToSpace": one("DepthToSpace", floats(2, 4, 2, 1), blocksize=2),
        "SpaceToDepth": one("SpaceToDepth", floats(2, 1, 2, 4), blocksize=2),
    }


def of_axes() -> dict[str, Case]:
    """Operators that mix whole axes."""
    x, scale = floats(2, 4, 3), floats(4)
    lines = {"LSTM": 8, "GRU": 6, "RNN": 2}
    quant = [*quantized(2, 2, 3), *quantized(3, 2), *quantized()[1:]]
    return {
        "MatMul": one("MatMul", floats(2, 2, 3), floats(3, 2)),
        "MatMulInteger": one("MatMulInteger", quant[0], quant[3]),
        "QLinearMatMul": one("QLinearMatMul", *quant, fixed=(1, 2, 4, 5, 6, 7)),
        "FusedMatMul": one("FusedMatMul", floats(2, 3, 2), floats(2, 3, 2), domain=MICROSOFT, transA=1),
        "Gemm": one("Gemm", floats(2, 3), floats(2, 3), floats(2), transB=1),
        "Einsum": one("Einsum", floats(2, 2, 3), floats(2, 3, 2), equation="bij,bjk->bik"),
        **{op: one(op, floats(2, 3, 2), axis=1) for op in ("Softmax", "LogSoftmax", "Hardmax", "ArgMax", "ArgMin")},
        **{f"Reduce{op}": one(f"Reduce{op}", x, whole(1), fixed=(1,), opset=18) for op in REDUCE.split()},
        **{op: one(op, floats(2, 3), np.array(1), fixed=(1,)) for op in ("CumSum", "CumProd")},
        "TopK": one("TopK", floats(2, 4), whole(2), fixed=(1,), outputs=2),
        "InstanceNormalization": one("InstanceNormalization", x, scale, scale),
        "GroupNormalization": one("GroupNormalization", x, scale, scale, num_groups=2, opset=21),
        "LayerNormalization": one("LayerNormalization", x, floats(3), floats(3)),
        **{op: one(op, x, floats(3)) for op in ("RMSNormalization", "SimplifiedLayerNormalization")},
        "BatchNormalization": one("BatchNormalization", x, *[scale] * 3, abs(scale)),
        "LpNormalization": one("LpNormalization", x, axis=1),
        "MeanVarianceNormalization": one("MeanVarianceNormalization", floats(2, 2, 2, 2)),
        "Det": one("Det", floats(2, 2, 2)),
        "DFT": one("DFT", floats(2, 4, 1)),
        "STFT": one("STFT", floats(2, 8, 1), np.array(2), None, np.array(4), fixed=(1, 3)),
        **{
            op: one(op, floats(3, 2, 3), floats(1, n, 3), floats(1, n, 2), fixed=(1, 2), outputs=2, hidden_size=2)
            for op, n in lines.items()
        },
    }


def of_moves() -> dict[str, Case]:
    """Operators that move elements."""
    x, index = floats(2, 3), whole([1, 0, 1])
    return {
        "Reshape": one("Reshape", floats(2, 6), whole(0, 2, -1), fixed=(1,)),
        "Flatten": one("Flatten", floats(2, 3, 2), axis=2),
        "Squeeze": one("Squeeze", floats(2, 1, 3), whole(1), fixed=(1,)),
        "Unsqueeze": one("Unsqueeze", x, whole(1, 3), fixed=(1,)),
        "Transpose": one("Transpose", floats(2, 3, 2), perm=[2, 0, 1]),
        "Expand": one("Expand", floats(2, 1, 3), whole(2, 2, 3), fixed=(1,)),
        "Concat": one("Concat", x, floats(2, 2), axis=1),
        "Split": one("Split", floats(2, 5), whole(2, 3), fixed=(1,), axis=1, outputs=2),
        "Slice": one("Slice", floats(2, 5), whole(4, 0), whole(0, 1), whole(1, 0), whole(-2, 1), fixed=(1, 2, 3, 4)),
        "Pad": one("Pad", x, whole(1, 0, 0, 2), fixed=(1,), mode="edge"),
        "Tile": one("Tile", x, whole(2, 2), fixed=(1,)),
        "Trilu": one("Trilu", floats(2, 3, 3), np.array(1), fixed=(1,)),
        "Gather": one("Gather", x, whole([2, 0], [1, 1]), fixed=(1,), axis=1),
        "GatherElements": one("GatherElements", x, index, fixed=(1,)),
        "GatherND": one("GatherND", floats(2, 3, 2), whole([1], [2]), fixed=(1,), batch_dims=1),
        "Scatter": one("Scatter", x, index, floats(1, 3), fixed=(1,), opset=9),
        "ScatterElements": one("ScatterElements", x, index, floats(1, 3), fixed=(1,), reduction="add"),
        "ScatterND": one("ScatterND", x, whole([1, 2], [0, 0]), floats(2), fixed=(1,)),
        "TensorScatter": one("TensorScatter", floats(2, 1, 4, 2), floats(2, 1, 2, 2), whole(1, 2), fixed=(2,)),
        "ReverseSequence": one("ReverseSequence", floats(3, 2), whole(2, 3), fixed=(1,)),
        "Compress": one("Compress", x, whole(1, 0, 1, dtype=bool), fixed=(1,), axis=1),
        "OneHot": one("OneHot", whole([0, 2], [1, 0]), np.array(3), floats(2), fixed=(1,)),
        "Where": one("Where", TABLE, x, floats(3)),
        "Clip": one("Clip", x, np.float32(-0.5), np.float32(0.5)),
        "Mod": one("Mod", x, floats(3), fmod=1),
        "Cast": one("Cast", x, to=TensorProto.INT64),
        "CastLike": one("CastLike", x, NUMBERS, fixed=(1,)),
        "BitCast": one("BitCast", x, to=TensorProto.INT32),
        "Dropout": one("Dropout", x),
        "BitShift": one("BitShift", NUMBERS.astype(BYTES), whole(1, 2, 3, dtype=BYTES), direction="LEFT"),
        "BitwiseNot": one("BitwiseNot", NUMBERS),
        **{f"Bitwise{op}": one(f"Bitwise{op}", NUMBERS, NUMBERS[0]) for op in ("And", "Or", "Xor")},
        **{op: one(op, TABLE, TABLE[0]) for op in ("And", "Or", "Xor")},
        "Not": one("Not", TABLE),
        **{op: one(op, x, floats(3)) for op in OF_TWO.split()},
        **{op: one(op, x) for op in OF_ONE.split()},
    }


def of_scales() -> dict[tuple[str, str], Case]:
    """Quantisation, and what else Microsoft has of its own."""
    scale, zero = np.full(3, 0.1, np.float32), whole(0, 1, 2, dtype=BYTES)
    bytes_ = quantized(2, 3)[0]
    return {
        **{("", op): one(op, x, scale, zero, fixed=(1, 2)) for op, x in _quantizing(bytes_)},
        **{
            (MICROSOFT, op): one(op, x, scale, zero, fixed=(1, 2), domain=MICROSOFT, axis=1)
            for op, x in _quantizing(bytes_)
        },
        **{(MICROSOFT, op): one(op, floats(2, 3), domain=MICROSOFT) for op in ("Gelu", "FastGelu", "QuickGelu")},
        (MICROSOFT, "BiasGelu"): one("BiasGelu", floats(2, 3), floats(3), domain=MICROSOFT),
    }


def _quantizing(whole_: Array) -> list[tuple[str, Array]]:
    return [("QuantizeLinear", floats(2, 3)), ("DequantizeLinear", whole_)]


def of_bodies() -> dict[str, Case]:
    """Bodies, lists, optional values, and what looks at shapes alone."""
    node = helper.make_node
    optional = node("Optional", ["a"], ["o"])
    return {
        "If": chosen(),
        "Loop": looped("Loop"),
        "Scan": looped("Scan"),
        "SequenceConstruct": listed("SequenceConstruct", PAIR, ("ConcatFromSequence", ["s"], "y", JOIN)),
        "ConcatFromSequence": listed(
            "ConcatFromSequence", PAIR, ("ConcatFromSequence", ["s"], "y", {"axis": 1, "new_axis": 1})
        ),
        "SequenceEmpty": listed(
            "SequenceEmpty",
            ("SequenceEmpty", [], "e", {}),
            ("SequenceInsert", ["e", "a"], "s", {}),
            ("ConcatFromSequence", ["s"], "y", JOIN),
        ),
        "SequenceInsert": listed(
            "SequenceInsert",
            PAIR,
            ("SequenceInsert", ["s", "b", "fixedi"], "t", {}),
            ("ConcatFromSequence", ["t"], "y", JOIN),
        ),
        "SequenceErase": listed(
            "SequenceErase", PAIR, ("SequenceErase", ["s", "fixedi"], "t", {}), ("ConcatFromSequence", ["t"], "y", JOIN)
        ),
        "SequenceAt": listed("SequenceAt", PAIR, ("SequenceAt", ["s", "fixedi"], "y", {})),
        "SplitToSequence": listed(
            "SplitToSequence",
            ("SplitToSequence", ["a"], "s", {"axis": 1, "keepdims": 0}),
            ("SequenceAt", ["s", "fixedi"], "y", {}),
        ),
        "SequenceLength": beside(
            "SequenceLength", node("SequenceConstruct", ["a", "a"], ["s"]), node("SequenceLength", ["s"], ["c"])
        ),
        "Optional": beside("Optional", optional, node("OptionalHasElement", ["o"], ["c"])),
        "OptionalHasElement": beside("OptionalHasElement", optional, node("OptionalHasElement", ["o"], ["c"])),
        "OptionalGetElement": beside("OptionalGetElement", node("OptionalGetElement", ["a"], ["g"]), result="g"),
        **{op: beside(op, node(op, ["a"], ["c"])) for op in ("Shape", "Size", "EyeLike")},
        **{op: beside(op, node(op, ["a"], ["c"])) for op in ("RandomNormalLike", "RandomUniformLike")},
        "Constant": beside("Constant", node("Constant", [], ["c"], value_ints=[1, 2])),
        "ConstantOfShape": beside(
            "ConstantOfShape", node("Shape", ["a"], ["n"]), node("ConstantOfShape", ["n"], ["c"])
        ),
        "Range": beside(
            "Range",
            node("Size", ["a"], ["n"]),
            node("Range", ["fixed0", "n", "fixed1"], ["c"]),
            arrays={"fixed0": np.array(0), "fixed1": np.array(2)},
        ),
    }


def every() -> dict[tuple[str, str], Case]:
    plain = {**of_pixels(), **of_axes(), **of_moves(), **of_bodies()}
    microsoft = ("FusedConv", "FusedMatMul")
    return {**{(MICROSOFT if op in microsoft else "", op): made for op, made in plain.items()}, **of_scales()}


with quiet():
    CASES = every()


def test_every_rule_has_a_case() -> None:
    assert set(CASES) == set(RULES)


@pytest.mark.parametrize("key", sorted(CASES), ids=".".join)
def test_a_rule_is_entered_and_right(key: tuple[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    entered = []
    rule = RULES[key]
    monkeypatch.setitem(RULES, key, lambda walk, call: entered.append(call) or rule(walk, call))
    with quiet():
        fastrf.load(CASES[key].bound_model)
    assert entered
    try:
        assert differences(CASES[key]) == []
    except Unsuitable:
        assert key[1] in UNJUDGED


@pytest.mark.parametrize("mode", ["nearest", "linear", "cubic"])
@pytest.mark.parametrize("scales", [(1.5, 1, 1), (1, 2, 1), (2, 0.5, 1.5)])
def test_any_axis_is_resized(mode: str, scales: tuple[float, ...]) -> None:
    factors = whole(*scales, dtype=np.float32)
    made = one(
        "Resize", floats(2, 2, 4), None, factors, fixed=(2,), mode=mode, coordinate_transformation_mode="half_pixel"
    )
    try:
        assert differences(made) == []
    except Unsuitable:  # cubic kernels run over two axes at most
        assert mode == "cubic"
