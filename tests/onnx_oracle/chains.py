"""Random pairs and triples of operators, each model a tree in which `x` and `y` stand once; for `perturbation`.

    python -m tests.onnx_oracle.chains --seconds 600 --seed 0

Constants stand among the operators (padding, joins, masks, casts, comparisons), so that what is known of a tensor must
pass each operator as its own reference says. A tree has no value that cancels another, so that what the analysis finds
and what changes an output must be equal.
"""

from __future__ import annotations

import argparse
import random
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from .perturbation import Unsuitable, perturb, quiet

__all__ = ["Chain", "disagreements", "draw_chain"]

Array = NDArray[Any]
#: Tensors of more elements are not grown further.
LARGEST = 120


@dataclass
class Chain:
    """A model that grows: nodes, stored tensors, and which of these are weights."""

    rng: random.Random
    nodes: list[onnx.NodeProto] = field(default_factory=list)
    stored: list[TensorProto] = field(default_factory=list)
    weights: list[str] = field(default_factory=list)

    def constant(self, values: Any, dtype: Any = np.float32) -> str:
        """A constant node; its output's name."""
        name = f"c{len(self.nodes)}"
        tensor = numpy_helper.from_array(np.asarray(values, dtype), name)
        self.nodes.append(helper.make_node("Constant", [], [name], value=tensor))
        return name

    def weight(self, *shape: int) -> str:
        """A stored tensor of trained numbers."""
        name = f"w{len(self.stored)}"
        values = np.random.default_rng(len(self.stored)).normal(size=shape).astype(np.float32)
        self.stored.append(numpy_helper.from_array(values, name))
        self.weights.append(name)
        return name

    def add(self, op: str, *inputs: str, **attributes: Any) -> str:
        """A node; its output's name."""
        name = f"t{len(self.nodes)}"
        self.nodes.append(helper.make_node(op, list(inputs), [name], **attributes))
        return name

    def table(self, shape: tuple[int, ...]) -> Array:
        """Numbers of few kinds, broadcastable to a shape: 0 and 1, halves, minus infinity, signs."""
        cut = tuple(n if self.rng.random() < 0.7 else 1 for n in shape)
        kinds = ([0.0, 1.0], [0.0, 1.5, -2.0], [0.5, 1.5, 2.5], [-1.0, 0.0, 1.0], [2.0])
        return np.array(self.rng.choices(self.rng.choice(kinds), k=int(np.prod(cut)))).reshape(cut)

    def model(self, shapes: dict[str, tuple[int, ...]], output: str) -> onnx.ModelProto:
        """The model with these inputs and one output."""
        inputs = [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in shapes.items()]
        end = helper.make_tensor_value_info(output, TensorProto.FLOAT, None)
        graph = helper.make_graph(self.nodes, "chain", inputs, [end], self.stored)
        return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8)


Step = Callable[[Chain, str, tuple[int, ...]], str]


def _unary(chain: Chain, x: str, shape: tuple[int, ...]) -> str:
    op, attributes = chain.rng.choice(
        [
            *(("Relu", {}), ("LeakyRelu", {"alpha": 0.5}), ("Abs", {}), ("Neg", {}), ("Elu", {"alpha": 2.0})),
            *(("Celu", {}), ("Selu", {}), ("Softplus", {}), ("Identity", {}), ("Dropout", {})),
            *(("Mish", {}), ("Sqrt", {})),
        ]
    )
    return chain.add(op, x, **attributes)


def _stepwise(chain: Chain, x: str, shape: tuple[int, ...]) -> str:
    op, attributes = chain.rng.choice(
        [
            *(("Sign", {}), ("Floor", {}), ("Ceil", {}), ("Round", {}), ("ThresholdedRelu", {"alpha": 1.0})),
            *(("HardSigmoid", {"alpha": 0.5, "beta": 0.0}), ("Shrink", {"lambd": 1.0}), ("HardSwish", {})),
            *(("Tanh", {}), ("Softsign", {}), ("Erf", {}), ("Softmax", {"axis": chain.rng.randrange(len(shape))})),
        ]
    )
    return chain.add(op, x, **attributes)


def _through(chain: Chain, x: str, shape: tuple[int, ...]) -> str:
    """Through another type and back."""
    kind = chain.rng.choice([TensorProto.INT32, TensorProto.INT64, TensorProto.DOUBLE, TensorProto.FLOAT16])
    return chain.add("Cast", chain.add("Cast", x, to=kind), to=TensorProto.FLOAT)


def _integers(chain: Chain, x: str, shape: tuple[int, ...]) -> str:
    whole = chain.add("Cast", x, to=TensorProto.INT32)
    op = chain.rng.choice(["BitwiseAnd", "BitwiseOr", "Mul", "Div", "Mod", "Max", "Min"])
    table = np.abs(chain.table(shape)).astype(np.int32)
    table = table + 1 if op in ("Div", "Mod") else table
    return chain.add("Cast", chain.add(op, whole, chain.constant(table, np.int32)), to=TensorProto.FLOAT)


def _with_constant(chain: Chain, x: str, shape: tuple[int, ...]) -> str:
    op = chain.rng.choice(["Add", "Sub", "Mul", "Mul", "Mul", "Div", "PRelu", "Sum", "Mean"])
    table = chain.table(shape)
    if op == "Div":
        table = np.where(table == 0, 0.5, table)
    operands = [x, chain.constant(table)]
    if op in ("Add", "Mul", "Sub") and chain.rng.random() < 0.4:
        operands.reverse()
    return chain.add(op, *operands)


def _clip(chain: Chain, x: str, shape: tuple[int, ...]) -> str:
    if chain.rng.random() < 0.5:
        op = chain.rng.choice(["Max", "Min", "Pow"])
        table = chain.table(shape)
        return chain.add(op, x, chain.constant(np.abs(np.floor(table)) if op == "Pow" else table))
    low, high = chain.rng.choice([(-1.0, 1.0), (0.0, 6.0), (2.0, 2.0), (0.5, 1.5)])
    return chain.add("Clip", x, chain.constant(low), chain.constant(high))


def _compared(chain: Chain, x: str, shape: tuple[int, ...]) -> str:
    op = chain.rng.choice(["Greater", "Less", "GreaterOrEqual"])
    truth = chain.add(op, x, chain.constant(chain.rng.choice([0.0, 0.25, 1.5])))
    what = chain.rng.randrange(3)
    if what == 0:
        return chain.add("Cast", chain.add("Not", truth), to=TensorProto.FLOAT)
    if what == 1:
        both = chain.add(chain.rng.choice(["And", "Or", "Xor"]), truth, chain.constant(chain.table(shape) > 0, bool))
        return chain.add("Cast", both, to=TensorProto.FLOAT)
    return chain.add("Where", truth, chain.constant(1.5), chain.constant(chain.table(shape)))


def _chosen(chain: Chain, x: str, shape: tuple[int, ...]) -> str:
    mask, other = chain.constant(chain.table(shape) > 0, bool), chain.constant(chain.table(shape))
    return chain.add("Where", mask, *chain.rng.sample([x, other], 2))


def _pad(chain: Chain, x: str, shape: tuple[int, ...]) -> str:
    widths = [chain.rng.choice([0, 0, 0, 1, 2]) if n > 1 else 0 for n in shape]
    after = [chain.rng.choice([0, 0, 1, -1]) if n > 2 else 0 for n in shape]
    mode = chain.rng.choice(["constant", "constant", "edge", "reflect"])
    fill = [chain.constant(chain.rng.choice([0.0, 1.5, -0.3, 1.0]))] if mode == "constant" else []
    if mode == "reflect":
        widths = [min(w, n - 1) for w, n in zip(widths, shape, strict=True)]
        after = [max(a, 0) for a in after]
    return chain.add("Pad", x, chain.constant([*widths, *after], np.int64), *fill, mode=mode)


def _joined(chain: Chain, x: str, shape: tuple[int, ...]) -> str:
    axis = chain.rng.randrange(len(shape))
    piece = tuple(1 if k == axis else n for k, n in enumerate(shape))
    extra = chain.constant(np.broadcast_to(chain.table(piece), piece))
    return chain.add("Concat", *chain.rng.sample([x, extra], 2), axis=axis)


def _moved(chain: Chain, x: str, shape: tuple[int, ...]) -> str:
    what, n = chain.rng.randrange(8), len(shape)
    axis = chain.rng.randrange(n)
    if what == 0:
        return chain.add("Transpose", x, perm=chain.rng.sample(range(n), n))
    if what == 1:
        return chain.add("Reshape", x, chain.constant([shape[0], -1], np.int64))
    if what == 2:
        start = chain.rng.randrange(shape[axis])
        more = [chain.constant([v], np.int64) for v in (start, 2**31, axis, chain.rng.choice([1, 2]))]
        return chain.add("Slice", x, *more)
    if what == 3:
        picked = [chain.rng.randrange(shape[axis]) for _ in range(3)]
        return chain.add("Gather", x, chain.constant(picked, np.int64), axis=axis)
    if what == 4:
        return chain.add("Tile", x, chain.constant([2 if k == axis else 1 for k in range(n)], np.int64))
    if what == 5:
        return chain.add("Trilu", x, upper=chain.rng.randrange(2)) if n > 1 else x
    if what == 6:
        index = np.array([chain.rng.randrange(shape[axis]) for _ in range(int(np.prod(shape)))]).reshape(shape)
        return chain.add("GatherElements", x, chain.constant(index, np.int64), axis=axis)
    index = chain.constant(np.full([1] * n, chain.rng.randrange(shape[axis])), np.int64)
    return chain.add("ScatterElements", x, index, chain.constant(np.full([1] * n, 1.5)), axis=axis)


def _mixed(chain: Chain, x: str, shape: tuple[int, ...]) -> str:
    what, n = chain.rng.randrange(1, 8), len(shape)
    axis = chain.rng.randrange(n)
    if what == 1:
        op = chain.rng.choice(["ReduceSum", "ReduceMean", "ReduceMax", "ReduceMin"])
        return chain.add(op, x, chain.constant([axis], np.int64), keepdims=chain.rng.randrange(2))
    if what == 2:
        return chain.add("CumSum", x, chain.constant(axis, np.int64), exclusive=chain.rng.randrange(2))
    if what == 3:
        return chain.add("MatMul", x, chain.constant(chain.table((shape[-1], 2)) * np.ones((shape[-1], 2))))
    if what == 4:
        return chain.add("MatMul", x, chain.weight(shape[-1], 3))
    if n != 4:
        return x
    if what == 5:
        weight = chain.weight(2, shape[1], min(2, shape[2]), min(3, shape[3]))
        return chain.add("Conv", x, weight, pads=[1, 0, 0, 1])
    op = chain.rng.choice(["MaxPool", "AveragePool"])
    return chain.add(op, x, kernel_shape=[min(2, shape[2]), min(2, shape[3])])


def _masked_weight(chain: Chain, x: str, shape: tuple[int, ...]) -> str:
    size = (shape[-1], 3)
    mask = chain.constant(np.broadcast_to(chain.table(size), size))
    return chain.add("MatMul", x, chain.add("Mul", chain.weight(*size), mask))


STEPS: tuple[Step, ...] = (
    *(_unary, _unary, _with_constant, _with_constant, _chosen, _pad, _pad, _joined, _moved, _moved, _moved, _mixed),
    *(_mixed, _masked_weight),
)
#: Steps that give the same number for many: behind two of them random numbers do not show all that matters.
ROUGH: tuple[Step, ...] = (_stepwise, _through, _integers, _clip, _compared)


def _met(chain: Chain, x: str, y: str, *, rough: bool) -> str:
    """Both inputs at one place, `y` broadcast to the shape."""
    what = chain.rng.randrange(4 if rough else 5)
    if what == 4:
        truth = chain.add("Greater", x, chain.constant(chain.rng.choice([0.0, 0.5])))
        return chain.add("Where", truth, y, chain.constant(0.0))
    return chain.add(["Mul", "Mul", "Add", "Mul"][what], *chain.rng.sample([x, y], 2))


def _shape(chain: Chain, shapes: dict[str, tuple[int, ...]], name: str) -> tuple[int, ...]:
    """The shape of a tensor, or Unsuitable."""
    with quiet():
        try:
            found = onnx.shape_inference.infer_shapes(chain.model(shapes, name), strict_mode=True, data_prop=True)
        except Exception as error:
            raise Unsuitable(str(error).splitlines()[0]) from error
    info = next((v for v in (*found.graph.value_info, *found.graph.output) if v.name == name), None)
    dims = [] if info is None else [d.dim_value for d in info.type.tensor_type.shape.dim]
    if info is None or any(n < 1 for n in dims) or not 0 < len(dims) <= 5 or np.prod(dims) > LARGEST:
        raise Unsuitable("a shape that does not serve")
    return tuple(dims)


def draw_chain(seed: str) -> tuple[onnx.ModelProto, dict[str, Array], list[str]]:
    """A model of a few operators, its inputs, and its weights. Raises Unsuitable for a draw that fails."""
    rng = random.Random(seed)
    chain, length = Chain(rng), rng.randint(2, 4)
    shape = rng.choice([(1, 2, 3, 4), (1, 1, 4, 3), (2, 3, 2), (1, 3, 3), (3, 4)])
    shapes = {"x": shape, "y": (1,)}
    meeting, rough = rng.randint(length // 2, length), rng.randint(0, length * 2)
    name = "x"
    for k in range(length + 1):
        if k == meeting:
            shapes["y"] = shape
            name = _met(chain, name, "y", rough=rough <= length)
        elif k == rough:
            name = rng.choice(ROUGH)(chain, name, shape)
        else:
            name = rng.choice(STEPS)(chain, name, shape)
        if name != "x":
            shape = _shape(chain, shapes, name)
    draw = np.random.default_rng(len(seed))
    arrays = {n: draw.uniform(0.5, 1.5, s).astype(np.float32) for n, s in shapes.items()}
    return chain.model(shapes, name), arrays, chain.weights


def disagreements(model: onnx.ModelProto, arrays: dict[str, Array], weights: list[str], seeds: int = 6) -> list[str]:
    """Where the analysis of the output and perturbation differ, after several seeds."""
    import fastrf

    with quiet():
        network = fastrf.load(model)
    output, found = model.graph.output[0].name, [""]
    seen: dict[str, Any] = {}
    for seed in range(seeds):
        with quiet():
            truth = perturb(model, arrays, list(arrays), weights=weights, seed=seed, evaluations=7_000)
        found = []
        for name, array in arrays.items():
            wanted = truth.columns[output][name].reshape(-1, array.size)
            seen[name] = wanted | seen.get(name, False)
            with quiet():
                analysis = fastrf.analyze(network, wrt=name)
            got = analysis[output].to_csr(channels=True).toarray() if output in analysis else np.zeros_like(wanted)
            missed, extra = int((seen[name] & ~got).sum()), int((got & ~seen[name]).sum())
            if missed or (extra and analysis[output].exact):
                found.append(f"{name}: {missed} missed, {extra} too many")
        if not found or any(" 0 missed" not in line for line in found):
            break
    return found


def main(arguments: list[str] | None = None) -> int:
    """Compare chains until the time is over; 1 if any differs."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args(arguments)
    end, number, judged, failed = time.monotonic() + options.seconds, 0, 0, 0
    while time.monotonic() < end:
        seed, number = f"{options.seed}-{number}", number + 1
        try:
            model, arrays, weights = draw_chain(seed)
            found = disagreements(model, arrays, weights)
        except Unsuitable:
            continue
        except Exception as error:
            found = [f"{type(error).__name__}: {error}"[:300]]
        judged += 1
        if found:
            failed += 1
            operators = [node.op_type for node in model.graph.node if node.op_type != "Constant"]
            sys.stdout.write(f"{seed}: {' -> '.join(operators)}: {'; '.join(found)}\n")
            sys.stdout.flush()
    sys.stdout.write(f"{number} drawn, {judged} compared, {failed} differ\n")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
