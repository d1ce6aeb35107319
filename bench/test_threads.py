"""One thread and two on masks that take longer to compute than to write."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import fastrf
from fastrf.queries import masks


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.benchmark(group="threads")
def test_threads(benchmark: Any, threads: int) -> None:
    field = fastrf.analyze("densenet121", (3, 224, 224))["features.transition2.relu"]
    rows = np.random.default_rng(0).integers(0, int(np.prod(field.shape)), 10_000)
    out = masks.dense(field.dependency, rows, packed=True, out=None)
    benchmark(masks.dense, field.dependency, rows, packed=True, out=out, threads=threads)
