"""A sweep on threads of this machine."""

from __future__ import annotations

import itertools
import os
from concurrent.futures import FIRST_COMPLETED, Future, wait
from typing import Any

from fastrf.budget import thread_pool
from fastrf.sweeps.gathered import Gathered, Spans, chunked
from fastrf.sweeps.work import Work
from fastrf.system import interrupts

__all__ = ["run_here"]


def run_here(work: Work, spans: Spans, gathered: Gathered, workers: int | None) -> None:
    """Evaluate ranges on threads of this process: one for a space's column program, otherwise one per processor."""
    if work.chunk > 1 and (workers or 1) == 1:
        for start, stop in chunked(spans, work.chunk):
            gathered.add(start, work.run(start, stop))
    else:
        _on_threads(work, spans, gathered, workers or os.cpu_count() or 1)


def _on_threads(work: Work, spans: Spans, gathered: Gathered, workers: int) -> None:
    total = sum(stop - start for start, stop in spans)
    todo = chunked(spans, max(1, min(work.chunk, total // (8 * workers))))
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
