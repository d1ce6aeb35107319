"""Medians of repeated runs, alternating with a reference, and runs in processes of their own."""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["alternating", "median_seconds", "parallel_fill", "peak_megabytes", "process_seconds", "seconds"]


def seconds(action: Callable[[], object]) -> float:
    """The time of one run."""
    began = time.perf_counter()
    action()
    return time.perf_counter() - began


def median_seconds(action: Callable[[], object], repeats: int = 7, before: Callable[[], object] | None = None) -> float:
    """The median time of an action, run once beforehand; `before` runs untimed before each."""
    times = []
    action()
    for _ in range(repeats):
        if before is not None:
            before()
        times.append(seconds(action))
    return statistics.median(times)


def alternating(reference: Callable[[], object], action: Callable[[], object], repeats: int) -> tuple[float, float]:
    """The median times of a reference and an action that take turns, so that both see the same noise."""
    reference()
    action()
    pairs = [(seconds(reference), seconds(action)) for _ in range(repeats)]
    first, second = zip(*pairs, strict=True)
    return statistics.median(first), statistics.median(second)


def parallel_fill(out: npt.NDArray[Any]) -> Callable[[], None]:
    """An action that writes all bytes of an array, by as many threads as there are processors."""
    flat = out.reshape(-1).view(np.uint8)
    parts = [flat[part] for part in _parts(flat.size, 32)]

    def fill() -> None:
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            list(pool.map(lambda part: part.fill(1), parts))

    return fill


def _parts(n: int, count: int) -> list[slice]:
    return [slice(k * n // count, (k + 1) * n // count) for k in range(count)]


def process_seconds(*arguments: str, repeats: int = 5, **environment: str) -> float:
    """The median time of `python ARGUMENTS` from start to end, with bytecode kept, as it is once installed."""
    settings = {**os.environ, **environment}
    settings.pop("PYTHONDONTWRITEBYTECODE", None)

    def run() -> None:
        subprocess.run([sys.executable, *arguments], check=True, capture_output=True, env=settings)

    return statistics.median(seconds(run) for _ in range(repeats))


def peak_megabytes() -> float:
    """Peak memory of this process (not, as getrusage has it, of what started it)."""
    status = Path("/proc/self/status").read_text()
    return next(int(line.split()[1]) / 1024 for line in status.splitlines() if line.startswith("VmHWM"))
