"""Engine and queries under pytest-benchmark, for a history."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import fastrf
from fastrf.memory import forget


@pytest.mark.parametrize("name", ["resnet50", "densenet121", "inception_v3", "unet", "wavenet"])
def test_all_layers_fresh(benchmark: Any, name: str) -> None:
    network = fastrf.load(name)
    analysis = benchmark.pedantic(fastrf.analyze, (network,), setup=forget, rounds=5)
    assert len(analysis) == len(network.nodes) + 1


def test_summary(benchmark: Any) -> None:
    assert benchmark(lambda: fastrf.analyze("resnet50").summary()).rows


def test_masks(benchmark: Any) -> None:
    field = fastrf.analyze("resnet50")["layer2"]
    out = np.empty((784, 224, 224), bool)
    benchmark(field.masks, out=out)
    assert out.any()


def test_fill_for_comparison(benchmark: Any) -> None:
    out = np.empty((784, 224, 224), bool)
    benchmark(out.fill, True)
    assert out.all()


@pytest.mark.parametrize("query", ["areas", "boxes", "coverage", "clipped", "to_csr"])
def test_queries(benchmark: Any, query: str) -> None:
    field = fastrf.analyze("inception_v3")["Mixed_7b"]
    assert benchmark(getattr(field, query)) is not None
