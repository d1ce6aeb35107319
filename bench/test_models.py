"""What tells right models from wrong ones: a small model is well, and one whose graph is changed is not."""

from __future__ import annotations

import time

import pytest

torch = pytest.importorskip("torch")
nn = torch.nn

from bench.models.case import Case  # noqa: E402  (needs torch)
from bench.models.comparing import compared  # noqa: E402
from bench.models.page import is_well, report  # noqa: E402
from bench.models.replaying import unlike  # noqa: E402
from fastrf.frontends.options import DEFAULTS  # noqa: E402
from fastrf.frontends.torch import captured  # noqa: E402


def small() -> Case:
    """Two convolutions, something that writes, and a classifier."""
    layers = [nn.Conv2d(3, 4, 3, padding=1), nn.ReLU(inplace=True), nn.Conv2d(4, 4, 3, stride=2), nn.Flatten()]
    return Case(nn.Sequential(*layers, nn.Linear(36, 2)).eval(), (3, 8, 8))


def test_a_model_is_compared_in_every_way() -> None:
    found = compared(small(), 24, time.perf_counter() + 60, export=True, sizes=False)
    assert (found["how"], found["approximate"], found["unlike"], found["captures"]) == ("recorded", [], [], [])
    assert found["compared"] == found["agreed"] >= 24
    assert found["size"] == ["2", [5.0, 5.0]]
    row = {"source": "torchvision", "name": "alexnet", "input": small().told, **found}
    assert is_well(row)
    assert "| alexnet | 3x8x8 | recorded | 5 | 1 | yes | 5 x 5 (2) |" in report([row])
    assert not is_well({**row, "agreed": 23})


def test_a_graph_that_computes_something_else_is_noticed() -> None:
    case = small()
    program = captured(case.model, case.given, DEFAULTS)
    assert unlike(program, case) == []
    relu = next(node for node in program.graph.nodes if "relu" in str(node.target))
    relu.target = torch.ops.aten.neg.default
    assert unlike(program, case) == ["1", "2", "3", "4", "output"]
