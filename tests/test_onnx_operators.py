"""Every operator's model in the onnx package against perturbation: what is found equals what changes the outputs."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

import fastrf

onnx = pytest.importorskip("onnx")

from fastrf.frontends.onnx.walk import printable  # noqa: E402
from tests.onnx_oracle.cases import Case  # noqa: E402
from tests.onnx_oracle.perturbation import quiet  # noqa: E402


def dense(field: Any) -> Any:
    """bool[out elements, in elements] of a field."""
    rows = [
        field.neuron_mask(tuple(int(i) for i in np.unravel_index(k, field.shape))).ravel()
        for k in range(math.prod(field.shape))
    ]
    return np.array(rows, bool).reshape(math.prod(field.shape), -1)


def differences(case: Case, evaluations: int = 6_000) -> list[str]:
    """Outputs and inputs of a case where analysis and perturbation differ; an inexact field may only be larger."""
    with quiet():
        network = fastrf.load(case.bound_model)
        truth = case.dependence(evaluations)
    found = []
    for name in truth.probed:
        with quiet():
            analysis = fastrf.analyze(network, wrt=printable(name))
        for output, columns in truth.columns.items():
            if name not in columns:
                continue
            wanted = columns[name].reshape(-1, len(truth.probed[name]))
            shown = printable(output)
            if shown not in analysis:
                found += [f"{case.name}: {output} is missing, but depends on {name}"] if wanted.any() else []
                continue
            field = analysis[shown]
            mine = dense(field)[:, truth.probed[name]]
            if mine.shape != wanted.shape:
                found.append(f"{case.name}: {output} has shape {field.shape}, {len(wanted)} elements are right")
            elif (wanted & ~mine).any() or (field.exact and (mine & ~wanted).any()):
                missed, extra = int((wanted & ~mine).sum()), int((mine & ~wanted).sum())
                found.append(f"{case.name}: {output} / {name}: {missed} missed, {extra} too many")
    return found
