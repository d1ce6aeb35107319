"""Models with stored inputs that the onnx package carries: files of its backend tests, and node tests in memory."""

from __future__ import annotations

import functools
import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import numpy_helper

from .perturbation import Array, Dependence, Run, Unsuitable, bound, perturb, quiet, runner

__all__ = ["DATA", "GROUPS", "PARAMETERS", "Case", "cases", "skipped", "weights"]

#: Name, group, model, inputs and outputs, as found.
Raw = tuple[str, str, onnx.ModelProto, list[object], list[object]]
#: The backend test data of the installed onnx package.
DATA = Path(onnx.__file__).parent / "backend/test/data"
#: Three folders of files, and the node tests.
GROUPS = ("simple", "pytorch-converted", "pytorch-operator", "node")

_REDUCE = ("L1", "L2", "LogSum", "LogSumExp", "Max", "Mean", "Min", "Prod", "Sum", "SumSquare")
#: By operator, inputs that are no data (shapes, axes, indices, scales): they keep their value, bound as initialisers.
PARAMETERS: dict[str, tuple[int, ...]] = {
    **{f"Reduce{name}": (1,) for name in _REDUCE},
    **dict.fromkeys(
        ["Reshape", "Expand", "Tile", "Gather", "GatherElements", "GatherND", "Unsqueeze", "Squeeze"], (1,)
    ),
    **dict.fromkeys(
        ["ScatterElements", "ScatterND", "Scatter", "Split", "SplitToSequence", "TopK", "CumSum", "CumProd"], (1,)
    ),
    **dict.fromkeys(
        ["Trilu", "Compress", "CenterCropPad", "AffineGrid", "ReverseSequence", "Upsample", "OneHot"], (1,)
    ),
    **dict.fromkeys(["NegativeLogLikelihoodLoss", "SoftmaxCrossEntropyLoss"], (1,)),
    **dict.fromkeys(["ConstantOfShape", "Loop", "If", "HannWindow", "HammingWindow", "BlackmanWindow"], (0,)),
    **dict.fromkeys(["LSTM", "GRU", "RNN"], (4,)),
    **dict.fromkeys(["QuantizeLinear", "DequantizeLinear", "Dropout", "Col2Im", "DFT", "MaxUnpool"], (1, 2)),
    **dict.fromkeys(["QLinearConv", "QLinearMatMul"], (1, 2, 4, 5, 6, 7)),
    **dict.fromkeys(["ConvInteger", "MatMulInteger"], (2, 3)),
    **dict.fromkeys(["Slice", "MelWeightMatrix"], (1, 2, 3, 4)),
    **{"Pad": (1, 3), "Resize": (1, 2, 3), "Range": (0, 1, 2), "STFT": (1, 3), "RoiAlign": (2,), "Attention": (6,)},
    **{"RotaryEmbedding": (3,), "TensorScatter": (2,), "BatchNormalization": (), "NonMaxSuppression": (2, 3, 4)},
}
#: Operators that perturbation cannot judge, and why.
HOPELESS = {
    **dict.fromkeys(["Bernoulli", "Multinomial", "RandomNormal", "RandomUniform", "RandomNormalLike"], "random"),
    **dict.fromkeys(["NonZero", "Unique", "NonMaxSuppression"], "the shape of the output depends on the values"),
    **dict.fromkeys(["ImageDecoder", "TfIdfVectorizer", "StringNormalizer", "LabelEncoder"], "not on numbers"),
}


@dataclass(frozen=True)
class Case:
    """A model and an input for it.

    Attributes:
        name: as in the onnx package, unique over all groups.
        group: one of `GROUPS`.
        model: as stored; every input free.
        arrays: a value for each input.
        fixed: inputs that are parameters of the operators, see `PARAMETERS`.
        expected: the outputs stored for these inputs; empty where they are no tensors.
    """

    name: str
    group: str
    model: onnx.ModelProto
    arrays: dict[str, Array]
    fixed: frozenset[str]
    expected: tuple[Array, ...]

    @property
    def data(self) -> tuple[str, ...]:
        """Inputs that carry data, of any number type, in order."""
        return tuple(name for name, array in self.arrays.items() if name not in self.fixed and array.size)

    @property
    def bound_model(self) -> onnx.ModelProto:
        """The model with its parameters as initialisers: what a front-end that wants constants should be given."""
        return bound(self.model, {name: self.arrays[name] for name in self.arrays if name in self.fixed})

    @property
    def operators(self) -> set[str]:
        """The operators of the main graph."""
        return {node.op_type for node in self.model.graph.node}

    @property
    def size(self) -> int:
        """Elements of all inputs."""
        return sum(array.size for array in self.arrays.values())

    def dependence(self, evaluations: int = 60_000, seed: int = 0) -> Dependence:
        """Perturb every data input, in a runtime that gives the stored outputs; see `perturbation.perturb`.

        Raises:
            Unsuitable: If none does, or as `perturb`.
        """
        special = bool(self.operators & {"IsNaN", "IsInf"})
        return perturb(
            self.model,
            self.arrays,
            self.data,
            fixed=self.fixed,
            weights=weights(self.model),
            seed=seed,
            evaluations=evaluations,
            special=special,
            runtime=self._runtime(),
        )

    def _runtime(self) -> str:
        """The first runtime that gives the stored outputs: each has errors of its own."""
        run, name = runner(self.model, self.arrays)
        if not self._as_stored(run):
            name = "reference" if name == "onnxruntime" else "onnxruntime"
            if not self._as_stored(runner(self.model, self.arrays, name)[0]):
                raise Unsuitable("no runtime gives the stored outputs")
        return name

    def _as_stored(self, run: Run) -> bool:
        """Whether the model's outputs are those stored, to a hundredth."""
        with quiet():
            for got, stored in zip(run(self.arrays), self.expected, strict=False):
                if got.shape != stored.shape:
                    return False
                if got.dtype.kind != "O" and not np.allclose(
                    got.astype(float), stored.astype(float), rtol=1e-2, atol=1e-3, equal_nan=True
                ):
                    return False
        return True


def weights(model: onnx.ModelProto) -> set[str]:
    """Float initialisers of the main graph that are used as data, so may take any value."""
    fixed = _parameters(model)
    kinds = {onnx.TensorProto.FLOAT, onnx.TensorProto.DOUBLE}
    return {t.name for t in model.graph.initializer if t.data_type in kinds and t.name not in fixed}


def _parameters(model: onnx.ModelProto) -> set[str]:
    """Names used somewhere as a parameter of an operator."""
    return {node.input[i] for node in model.graph.node for i in PARAMETERS.get(node.op_type, ()) if i < len(node.input)}


def cases(
    groups: Collection[str] = GROUPS, operators: Collection[str] | None = None, largest: int = 4_000
) -> Iterator[Case]:
    """All cases that can be judged by perturbation.

    Args:
        groups: which of `GROUPS`.
        operators: only models with one of these operators.
        largest: only models with at most this many input elements.
    """
    for case in _all():
        if not isinstance(case, Case) or case.group not in groups or case.size > largest:
            continue
        if operators is None or case.operators & set(operators):
            yield case


def skipped() -> dict[str, str]:
    """The models that are no `Case`, and why."""
    return dict(case for case in _all() if isinstance(case, tuple))


@functools.cache
def _all() -> list[Case | tuple[str, str]]:
    """Every model, as a case or as a name with the reason why not."""
    found = [_case(*raw) for raw in _stored()] + [_case(*raw) for raw in _collected()]
    by_name = {case.name: case for case in found if isinstance(case, Case)}
    return [_like_parent(case, by_name) if isinstance(case, Case) else case for case in found]


def _like_parent(case: Case, by_name: dict[str, Case]) -> Case:
    """The body of a function operator, whose inputs play the parts they play in the operator; others unchanged."""
    parent = by_name.get(re.sub(r"_expanded(_ver\d+)?$", "", case.name), case)
    fixed = parent.fixed & set(case.arrays) if set(case.arrays) <= set(parent.arrays) else case.fixed
    return replace(case, fixed=fixed)


def _stored() -> Iterator[Raw]:
    for group in GROUPS[:3]:
        for folder in sorted((DATA / group).iterdir()):
            model = onnx.load(folder / "model.onnx")
            files = sorted((folder / "test_data_set_0").glob("input_*.pb"), key=lambda p: int(p.stem.split("_")[1]))
            kinds = [v.type.WhichOneof("value") for v in model.graph.input]
            tensors = all(kind == "tensor_type" for kind in kinds)
            inputs = [onnx.TensorProto.FromString(file.read_bytes()) if tensors else None for file in files]
            outputs: list[object] = []
            if all(v.type.WhichOneof("value") == "tensor_type" for v in model.graph.output):
                files = sorted(
                    (folder / "test_data_set_0").glob("output_*.pb"), key=lambda p: int(p.stem.split("_")[1])
                )
                outputs = [onnx.TensorProto.FromString(file.read_bytes()) for file in files]
            yield folder.name, group, model, list(inputs), outputs


@functools.cache
def _collected() -> list[Raw]:
    with quiet():
        from onnx.backend.test.case.node import collect_testcases

        tests = collect_testcases(None)
        return [(test.name, "node", test.model, *map(list, test.data_sets[0])) for test in tests]


def _case(
    name: str, group: str, model: onnx.ModelProto, inputs: list[object], outputs: list[object]
) -> Case | tuple[str, str]:
    domains = {node.domain for node in model.graph.node} - {"", "ai.onnx"}
    if any(domain.startswith("ai.onnx.") for domain in domains) or "ai.onnx.ml" in domains:
        return name, f"domain {sorted(domains)[0]}"
    for node in model.graph.node:
        if node.op_type in HOPELESS:
            return name, f"{node.op_type}: {HOPELESS[node.op_type]}"
    if name.startswith("test_training_dropout") and "zero_ratio" not in name:
        return name, "Dropout: random"
    known = {tensor.name for tensor in model.graph.initializer}
    free = [value for value in model.graph.input if value.name not in known]
    if len(free) < len(inputs):
        free = list(model.graph.input)
    arrays: dict[str, Array] = {}
    for value, raw in zip(free, inputs, strict=False):
        array = _array(raw)
        if array is None:
            return name, "string, sequence or optional input"
        arrays[value.name] = array
    if len(arrays) < len(free):
        return name, "no value stored for an input"
    whole = {n for n, a in arrays.items() if a.dtype.kind in "iu"} if len(model.graph.node) > 1 else set()
    fixed = frozenset((_parameters(model) | whole) & set(arrays))
    if not any(array.size for n, array in arrays.items() if n not in fixed):
        return name, "no input carries data"
    expected = [_array(raw) for raw in outputs]
    known_outputs = () if any(array is None for array in expected) else tuple(a for a in expected if a is not None)
    return Case(name, group, model, arrays, fixed, known_outputs)


def _array(raw: object) -> NDArray[np.generic] | None:
    """The array, unless the input is a string, a sequence or optional."""
    array = numpy_helper.to_array(raw) if isinstance(raw, onnx.TensorProto) else raw
    if not isinstance(array, (np.ndarray, np.generic)) or np.asarray(array).dtype.kind in "OSUc":
        return None
    return np.asarray(array)
