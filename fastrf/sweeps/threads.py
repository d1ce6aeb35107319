"""A sweep on threads of this machine."""

from __future__ import annotations

import itertools
import os
import time
from concurrent.futures import FIRST_COMPLETED, Future, wait
from typing import Any

from fastrf.budget import thread_pool
from fastrf.sweeps.gathered import Gathered, Spans, chunked
from fastrf.sweeps.work import Work
from fastrf.system import interrupts

__all__ = ["run_here"]

#: Seconds that a chunk of a space is meant to take.
CHUNK_SECONDS = 1.5
#: Rows of the first chunk of a space that this process has not met.
FIRST_CHUNK = 4096

#: Rows per second by space, as last measured.
_rates: dict[str, float] = {}


def run_here(work: Work, spans: Spans, gathered: Gathered, workers: int | None) -> None:
    """Evaluate ranges on threads of this process: one for a space's column program, otherwise one per processor."""
    if work.quick and (workers or 1) == 1:
        _one_after_another(work, spans, gathered)
    else:
        _on_threads(work, spans, gathered, workers or os.cpu_count() or 1)


def _one_after_another(work: Work, spans: Spans, gathered: Gathered) -> None:
    name = str(work.about()["space"])
    for first, stop in spans:
        start = first
        while start < stop:
            rate = _rates.get(name)
            size = FIRST_CHUNK if rate is None else int(min(max(rate * CHUNK_SECONDS, 64), work.largest))
            end = min(start + size, stop)
            began = time.perf_counter()
            batch = work.run(start, end)
            if end - start >= FIRST_CHUNK // 8:
                _rates[name] = (end - start) / max(time.perf_counter() - began, 1e-6)
            gathered.add(start, batch)
            start = end


def _on_threads(work: Work, spans: Spans, gathered: Gathered, workers: int) -> None:
    total = sum(stop - start for start, stop in spans)
    size = max(1, min(work.largest, total // (8 * workers))) if work.quick else 1
    todo = chunked(spans, size)
    pool = thread_pool(workers)
    running: dict[Future[Any], int] = {}

    def submit(count: int) -> None:
        for start, stop in itertools.islice(todo, count):
            running[pool.submit(work.run, start, stop)] = start

    try:
        submit(4 * workers)
        while running:
            done, _ = wait(running, return_when=FIRST_COMPLETED)
            for future in done:
                gathered.add(running.pop(future), future.result())
            submit(4 * workers - len(running))
    finally:
        pool.shutdown(wait=not interrupts.stopping(), cancel_futures=True)
