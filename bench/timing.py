"""Medians of repeated runs."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable

__all__ = ["median_seconds"]


def median_seconds(action: Callable[[], object], repeats: int = 7, before: Callable[[], object] | None = None) -> float:
    """The median time of an action, run once beforehand; `before` runs untimed before each."""
    times = []
    action()
    for _ in range(repeats):
        if before is not None:
            before()
        began = time.perf_counter()
        action()
        times.append(time.perf_counter() - began)
    return statistics.median(times)
