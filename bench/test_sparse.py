"""`to_csr` beside products of the layers' matrices."""

from __future__ import annotations

from typing import Any

import pytest

import fastrf
from bench import sparse

NETWORK = ("vgg16", (3, 64, 64))


@pytest.mark.benchmark(group="sparse")
def test_to_csr(benchmark: Any) -> None:
    network = fastrf.load(*NETWORK)
    field = fastrf.analyze(network)[sparse.last_window(network)]
    assert benchmark(field.to_csr).nnz


@pytest.mark.benchmark(group="sparse")
def test_products_for_comparison(benchmark: Any) -> None:
    network = fastrf.load(*NETWORK)
    field = fastrf.analyze(network)[sparse.last_window(network)]
    found = benchmark.pedantic(sparse.product, (network, field.name), rounds=2)
    assert (found != field.to_csr()).nnz == 0
