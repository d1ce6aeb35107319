"""Pages of the explorer beside the analyses that they show."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import fastrf
from fastrf.engine.memo import forget


def analysed(name: str) -> fastrf.Analysis:
    forget()
    return fastrf.analyze(name)


@pytest.mark.parametrize("name", ["resnet50", "densenet121", "unet"])
@pytest.mark.benchmark(group="explorer")
def test_report(benchmark: Any, tmp_path: Path, name: str) -> None:
    path = tmp_path / "page.html"
    benchmark.pedantic(lambda one: fastrf.report(one, path), setup=lambda: ((analysed(name),), {}), rounds=5)
    benchmark.extra_info["bytes"] = path.stat().st_size


@pytest.mark.parametrize("name", ["resnet50", "densenet121", "unet"])
@pytest.mark.benchmark(group="explorer")
def test_analysis_for_comparison(benchmark: Any, name: str) -> None:
    benchmark.pedantic(analysed, (name,), rounds=5)
