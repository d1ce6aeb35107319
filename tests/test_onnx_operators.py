"""Every operator's model in the onnx package against perturbation: what is found equals what changes the outputs."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

import fastrf

onnx = pytest.importorskip("onnx")

from fastrf.frontends.onnx.nodes import printable  # noqa: E402
from tests.conftest import INTERPRETED  # noqa: E402
from tests.onnx_oracle.cases import Case, cases  # noqa: E402
from tests.onnx_oracle.perturbation import Unsuitable, bound, quiet  # noqa: E402


def dense(field: Any) -> Any:
    """bool[out elements, in elements] of a field."""
    count = math.prod(field.shape)
    mask = np.zeros((count, math.prod(field.input_shape)), bool)
    for k in range(count):
        mask[k] = field.neuron_mask(tuple(int(i) for i in np.unravel_index(k, field.shape))).ravel()
    return mask


#: By operator, inputs of which random numbers do not show all: a mask that is minus infinity along a whole row turns
#: that row off, whatever is masked by position; random indices hardly ever name every class.
LARGER = {"attention": ("attn_mask",), "onehot": ("indices", "values")}


def differences(case: Case) -> list[str]:
    """Where analysis and perturbation differ; a field that is not exact may hold more.

    Perturbation may not find all: where there is more in the field, other random numbers have their say.
    """
    with quiet():
        network = fastrf.load(case.bound_model)
    seen: dict[tuple[str, str], Any] = {}
    found: list[str] = []
    for seed in range(12):
        with quiet():
            truth = case.dependence(3_000 if seed == 0 else 20_000, seed)
        whole = seed == 0 or all(map(truth.complete, truth.probed))
        found = []
        for output, columns in truth.columns.items():
            for name, column in columns.items():
                if not whole:
                    seen.pop((output, name), None)
                wanted = column.reshape(-1, len(truth.probed[name]))
                before = seen.get((output, name))
                wanted = wanted | before if before is not None and before.shape == wanted.shape else wanted
                seen[output, name] = wanted
                found += compared(network, case.name, output, name, wanted, truth.probed[name])
        if not found or any(" 0 missed" not in line for line in found):
            break
    return found


def compared(network: Any, title: str, output: str, name: str, wanted: Any, probed: Any) -> list[str]:
    """What is wrong with the dependency of an output on probed elements of an input."""
    with quiet():
        analysis = fastrf.analyze(network, wrt=printable(name))
    shown = printable(output)
    if shown not in analysis:
        return [f"{title}: {output} is missing, but depends on {name}"] if wanted.any() else []
    field = analysis[shown]
    mine = dense(field)[:, probed]
    if mine.shape != wanted.shape:
        return [f"{title}: {output} has shape {field.shape}, {len(wanted)} elements are right"]
    missed, extra = int((wanted & ~mine).sum()), int((mine & ~wanted).sum())
    allowed = any(operator in title and name in names for operator, names in LARGER.items())
    if missed or (extra and field.exact and not allowed):
        return [f"{title}: {output} / {name}: {missed} missed, {extra} too many"]
    return []


def by_operator(largest: int, most: int) -> dict[str, list[Case]]:
    """Cases of at most so many elements by their first operator, at most so many for each."""
    found: dict[str, list[Case]] = {}
    with quiet():
        for case in cases(largest=largest):
            if "_expanded" not in case.name:
                found.setdefault(case.model.graph.node[0].op_type, []).append(case)
    return {name: sorted(several, key=lambda case: case.size)[:most] for name, several in sorted(found.items())}


#: Every case with compiled kernels; the smallest thirty of each operator otherwise.
CASES = by_operator(*((500, 30) if INTERPRETED else (1_500, 1_000)))


@pytest.mark.parametrize("name", CASES)
@pytest.mark.slow
def test_dependencies_equal_perturbation(name: str) -> None:
    judged = 0
    for case in CASES[name]:
        try:
            assert differences(case) == []
            judged += 1
        except (Unsuitable, fastrf.UnsupportedOpError):
            continue
    assert judged or name in UNJUDGED, f"no case of {name} was compared"


#: Operators without a case that both sides can judge.
UNJUDGED = frozenset(("Loop", "MelWeightMatrix"))


#: By operator, the inputs that are no weights.
DATA_INPUTS = {
    **dict.fromkeys(("Conv", "ConvTranspose", "Gemm", "MatMul", "BatchNormalization", "InstanceNormalization"), (0,)),
    **dict.fromkeys(("GroupNormalization", "LayerNormalization", "RMSNormalization", "PRelu"), (0,)),
    **{"LSTM": (0, 5, 6), "GRU": (0, 5), "RNN": (0, 5)},
}


def with_constant_weights(case: Case) -> Case:
    """The same model with its weights stored, as files have them."""
    (only,) = case.model.graph.node
    data = {only.input[k] for k in DATA_INPUTS[only.op_type] if k < len(only.input)}
    arrays = {name: array for name, array in case.arrays.items() if name in data or name in case.fixed}
    stored = {name: array for name, array in case.arrays.items() if name not in arrays}
    return replace(case, model=bound(case.model, stored), arrays=arrays, expected=())


@pytest.mark.parametrize("name", [name for name in DATA_INPUTS if name in CASES])
def test_with_stored_weights_everything_is_exact(name: str) -> None:
    judged = 0
    for case in CASES[name]:
        if "training" in case.name or len(case.model.graph.node) != 1:
            continue
        stored = with_constant_weights(case)
        with quiet():
            assert all(not node.recipe.approximate for node in fastrf.load(stored.bound_model).nodes), case.name
        try:
            assert differences(stored) == []
            judged += 1
        except Unsuitable:
            continue
    assert judged
