"""New processes: a bare interpreter, NumPy, fastrf, and a first summary with compiled kernels."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest


@pytest.mark.parametrize(
    "arguments",
    [
        ("-c", "pass"),
        ("-c", "import numpy"),
        ("-c", "import fastrf"),
        ("-m", "fastrf", "--help"),
        ("-m", "fastrf", "summary", "alexnet"),
    ],
    ids=" ".join,
)
@pytest.mark.benchmark(group="import")
def test_process(benchmark: Any, arguments: tuple[str, ...]) -> None:
    def run() -> None:
        subprocess.run([sys.executable, *arguments], check=True, capture_output=True)

    benchmark.pedantic(run, rounds=3, warmup_rounds=1)
