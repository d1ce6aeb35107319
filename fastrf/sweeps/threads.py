"""A sweep on this machine: in this thread, on threads, or on processes where there is work enough for them."""

from __future__ import annotations

import itertools
import multiprocessing
import os
import sys
import time
from concurrent.futures import FIRST_COMPLETED, Future, wait
from typing import Any

from fastrf.budget import thread_pool
from fastrf.sweeps.gathered import Gathered, Ranges, Spans
from fastrf.sweeps.processes import on_processes
from fastrf.sweeps.work import Columnar, Work
from fastrf.system import interrupts

__all__ = ["run_here"]

#: Candidates one by one begin in this thread, to see how long they take.
ALONE_SECONDS = 0.5
#: Processes are begun for no less than this, of all of them together: to begin one takes a second.
WORTH_SECONDS = 4.0


def run_here(work: Work, spans: Spans, gathered: Gathered, workers: int | None) -> None:
    """Evaluate ranges: a column program in this thread, other candidates on as many processes as there are processors.

    Threads take their place where there is little to do, or what there is cannot be sent away, and are what several
    `workers` of a column program are.
    """
    count = workers or (1 if isinstance(work, Columnar) else _processors())
    if isinstance(work, Columnar):
        size = min(work.chunk, sum(stop - start for start, stop in spans) // (8 * count)) if count > 1 else work.chunk
        todo = Ranges(spans, max(1, size), count, fixed=True)
        _alone(work, todo, gathered, float("inf") if count == 1 else 0)
    else:
        todo = Ranges(spans, 1, count)
        seconds = _alone(work, todo, gathered, float("inf") if count == 1 else ALONE_SECONDS)
        worth = WORTH_SECONDS * (3 if "torch" in sys.modules else 1)  # which takes seconds to import
        if todo.left and seconds * todo.left >= worth and (workers or multiprocessing.parent_process() is None):
            on_processes(work, todo, gathered, min(count, 1 + int(seconds * todo.left / worth)))
    if todo.left:
        _on_threads(work, todo, gathered, count)


def _processors() -> int:
    """How many this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _alone(work: Work, todo: Ranges, gathered: Gathered, seconds: float) -> float:
    """Evaluate ranges in this thread for a while; the seconds that a row took."""
    began, rows = time.monotonic(), 0
    for start, stop in todo if seconds else ():
        gathered.add(start, work.run(start, stop))
        todo.done(stop - start)
        rows += stop - start
        if time.monotonic() - began > seconds:
            break
    return (time.monotonic() - began) / max(rows, 1)


def _on_threads(work: Work, todo: Ranges, gathered: Gathered, workers: int) -> None:
    pool = thread_pool(workers)
    running: dict[Future[Any], tuple[int, int]] = {}
    ranges = iter(todo)

    def submit(count: int) -> None:
        for start, stop in itertools.islice(ranges, count):
            running[pool.submit(work.run, start, stop)] = start, stop

    try:
        submit(4 * workers)
        while running:
            done, _ = wait(running, return_when=FIRST_COMPLETED)
            for future in done:
                start, stop = running.pop(future)
                gathered.add(start, future.result())
                todo.done(stop - start)
            submit(4 * workers - len(running))
    finally:
        pool.shutdown(wait=not interrupts.stopping(), cancel_futures=True)
