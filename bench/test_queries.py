"""Questions about all positions, beside the same from dense masks."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

import fastrf

Masks = npt.NDArray[np.bool_]

FROM_MASKS: dict[str, Callable[[Masks], object]] = {
    "areas": lambda masks: masks.sum(axis=(1, 2)),
    "coverage": lambda masks: masks.sum(axis=0),
    "boxes": lambda masks: [(rows.argmax(), rows[::-1].argmax()) for rows in masks.any(axis=2)],
}


def field() -> fastrf.ReceptiveField:
    return fastrf.analyze("inception_v3", (3, 512, 512))["Mixed_7b"]


@pytest.mark.parametrize("query", ["areas", "boxes", "coverage", "densities", "clipped", "halo"])
@pytest.mark.benchmark(group="queries")
def test_query(benchmark: Any, query: str) -> None:
    assert benchmark(getattr(field(), query)) is not None


@pytest.mark.parametrize("query", FROM_MASKS)
@pytest.mark.benchmark(group="queries")
def test_from_masks_for_comparison(benchmark: Any, query: str) -> None:
    one = field()
    assert benchmark.pedantic(lambda: FROM_MASKS[query](one.masks()), rounds=3, warmup_rounds=1) is not None


WHY: dict[str, Callable[[fastrf.ReceptiveField], object]] = {
    "size": lambda one: one.why(),
    "path": lambda one: one.why((0, 0), (9, 9)),
    "far path": lambda one: one.why((0, 0), (150, 150)),
    "outside": lambda one: one.why((0, 0), (223, 223)),
}


@pytest.mark.parametrize("asked", WHY)
@pytest.mark.benchmark(group="why")
def test_why(benchmark: Any, asked: str) -> None:
    one = fastrf.analyze("resnet50", (3, 224, 224))["layer4"]
    assert benchmark(lambda: WHY[asked](one)) is not None


@pytest.mark.benchmark(group="why")
def test_an_analysis_for_comparison(benchmark: Any) -> None:
    network = fastrf.load("resnet50", (3, 224, 224))
    assert benchmark(fastrf.analyze, network) is not None
