"""Sweeps of spaces and of listed networks."""

from __future__ import annotations

from typing import Any

import pytest

import fastrf
from fastrf.spaces import DARTS, NASBench101, NASBench201, OFAMobileNetV3

SPACES = {
    "nasbench201, all": (NASBench201(), None),
    "nasbench101, 20,000": (NASBench101(), 20_000),
    "darts, 2,000": (DARTS(), 2_000),
    "ofa, 2,000": (OFAMobileNetV3(), 2_000),
}


@pytest.mark.parametrize("name", SPACES)
@pytest.mark.benchmark(group="sweep")
def test_space_warm(benchmark: Any, name: str) -> None:
    space, count = SPACES[name]
    candidates = space.all() if count is None else space.sample(count, 0)
    result = benchmark.pedantic(fastrf.sweep, (candidates,), rounds=5, warmup_rounds=1)
    assert result.n_failed == 0


@pytest.mark.benchmark(group="sweep")
def test_listed_networks(benchmark: Any) -> None:
    given = [(name, (3, n, n)) for name in ("resnet18", "vgg16") for n in range(96, 116)]
    result = benchmark.pedantic(fastrf.sweep, (given,), {"node": "map"}, rounds=3)
    assert result.n_failed == 0


@pytest.mark.benchmark(group="sweep")
def test_to_parquet(benchmark: Any, tmp_path: Any) -> None:
    paths = (tmp_path / f"{k}.parquet" for k in range(1000))
    benchmark.pedantic(lambda: fastrf.sweep(NASBench201(), output=next(paths)), rounds=5, warmup_rounds=1)
