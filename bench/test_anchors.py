"""Reports and suggestions of anchors; the reference beside suggestions is in `anchoring`."""

from __future__ import annotations

from typing import Any

import pytest

import fastrf
from bench.anchoring import PYRAMID, known_boxes, many_boxes, scikit_learn
from fastrf import anchors


@pytest.mark.parametrize("n", [10_000, 1_000_000])
@pytest.mark.benchmark(group="anchors")
def test_report(benchmark: Any, n: int) -> None:
    analysis, sizes = fastrf.analyze("fpn_resnet50"), many_boxes(n)
    done = benchmark.pedantic(lambda: anchors.report(analysis, PYRAMID, "retinanet", sizes), rounds=3, warmup_rounds=1)
    assert done.overall["boxes"] == n


@pytest.mark.parametrize("n", [734, 1_000_000])
@pytest.mark.benchmark(group="anchors")
def test_suggest(benchmark: Any, n: int) -> None:
    analysis, sizes = fastrf.analyze("yolov5s"), many_boxes(n)
    found = benchmark.pedantic(lambda: anchors.suggest(analysis, ["p3", "p4", "p5"], sizes), rounds=2, warmup_rounds=1)
    assert len(found.anchors.flat) == 9


@pytest.mark.benchmark(group="anchors")
def test_scikit_learn_for_comparison(benchmark: Any) -> None:
    pytest.importorskip("sklearn")
    assert benchmark.pedantic(lambda: scikit_learn(known_boxes()[1], 9), rounds=1) > 0
