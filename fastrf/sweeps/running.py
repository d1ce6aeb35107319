"""Running a sweep on this machine, and gathering what comes back, from here or from a cluster, in the order of rows."""

from __future__ import annotations

import itertools
import os
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from typing import TYPE_CHECKING, Any

from fastrf.sweeps.parts import Parts
from fastrf.sweeps.work import Work
from fastrf.system import interrupts

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["Gathered", "Spans", "run_here"]

Spans = Sequence[tuple[int, int]]
#: Called with how many rows are done, and how many there are.
Progress = Callable[[int, int], None]

#: Seconds between two parts.
FLUSH_SECONDS = 2.0
#: Seconds that a chunk of a space is meant to take.
CHUNK_SECONDS = 1.5
#: Rows of the first chunk of a space that this process has not met.
FIRST_CHUNK = 4096

#: Rows per second by space, as last measured.
_rates: dict[str, float] = {}


class Gathered:
    """Batches as they come, by the row they start at; with `parts`, written every FLUSH_SECONDS."""

    def __init__(self, n: int, parts: Parts | None, done: int, progress: Progress | None) -> None:
        self.n, self.parts, self.done, self._progress = n, parts, done, progress
        self._held: dict[int, pa.RecordBatch] = {}
        self._written = done > 0
        self._last = time.monotonic()
        self._report()

    def add(self, start: int, batch: pa.RecordBatch) -> None:
        """One more chunk."""
        self._held[start] = batch
        self.done += batch.num_rows
        if self.parts is not None and self.done < self.n and time.monotonic() - self._last > FLUSH_SECONDS:
            self.flush()
        self._report()

    def _report(self) -> None:
        if self._progress is not None:
            self._progress(self.done, self.n)

    def flush(self) -> None:
        """Write what is held, a part for every unbroken range."""
        if self.parts is None:
            return
        for run in _runs(self._held):
            self.parts.write(run[0][0], [batch for _, batch in run])
            for start, _ in run:
                del self._held[start]
        self._written = True
        self._last = time.monotonic()

    def finish(self) -> list[pa.RecordBatch] | None:
        """Everything in order; or with `parts` the one file, and nothing."""
        if self.parts is None:
            return [batch for _, batch in sorted(self._held.items())]
        if self._written:
            self.flush()
            self.parts.finish()
        else:
            self.parts.finish([batch for _, batch in sorted(self._held.items())])
        return None


def _runs(held: dict[int, pa.RecordBatch]) -> Iterator[list[tuple[int, pa.RecordBatch]]]:
    run: list[tuple[int, pa.RecordBatch]] = []
    for start, batch in sorted(held.items()):
        if run and run[-1][0] + run[-1][1].num_rows != start:
            yield run
            run = []
        run.append((start, batch))
    if run:
        yield run


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


def chunked(spans: Spans, size: int) -> Iterator[tuple[int, int]]:
    """Ranges of at most `size` rows."""
    for first, stop in spans:
        for start in range(first, stop, size):
            yield start, min(start + size, stop)


def _on_threads(work: Work, spans: Spans, gathered: Gathered, workers: int) -> None:
    total = sum(stop - start for start, stop in spans)
    size = max(1, min(work.largest, total // (8 * workers))) if work.quick else 1
    todo = chunked(spans, size)
    pool = ThreadPoolExecutor(workers)
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
