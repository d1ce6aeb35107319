"""Time against the side of the image."""

from __future__ import annotations

from typing import Any

import pytest

import fastrf
from fastrf.engine.memo import forget


@pytest.mark.parametrize("side", [224, 896, 3584, 14336])
@pytest.mark.parametrize("name", ["resnet50", "unet"])
@pytest.mark.benchmark(group="growth")
def test_side(benchmark: Any, name: str, side: int) -> None:
    network = fastrf.load(name, (1 if name == "unet" else 3, side, side))
    assert benchmark.pedantic(fastrf.analyze, (network,), setup=forget, rounds=3)
