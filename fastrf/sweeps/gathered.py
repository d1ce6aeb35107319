"""What comes back of a sweep, from threads or from a cluster, in the order of rows; and ranges of rows."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING

from fastrf.sweeps.parts import Parts
from fastrf.system.terminal import Progress

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["Gathered", "Ranges", "Spans", "gaps_between"]

Spans = Sequence[tuple[int, int]]

#: Seconds between two parts, or this share of the time so far, so that parts of long sweeps are few; no more than this.
FLUSH_SECONDS, FLUSH_SHARE, FLUSH_MOST = 2.0, 0.02, 60.0
#: Seconds that a range takes where nothing else is said.
RANGE_SECONDS = 0.5


class Gathered:
    """Batches as they come, by the row they start at; with `parts`, written every FLUSH_SECONDS."""

    def __init__(self, n: int, parts: Parts | None, done: int, progress: Progress | None) -> None:
        self.n, self.parts, self.done, self._progress = n, parts, done, progress
        self._held: dict[int, pa.RecordBatch] = {}
        self._written = done > 0
        self._began = self._last = time.monotonic()
        self._report()

    def add(self, start: int, batch: pa.RecordBatch) -> None:
        """One more chunk."""
        self._held[start] = batch
        self.done += batch.num_rows
        now = time.monotonic()
        wait = max(FLUSH_SECONDS, min(FLUSH_SHARE * (now - self._began), FLUSH_MOST))
        if self.parts is not None and self.done < self.n and now - self._last > wait:
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


class Ranges:
    """Ranges of rows that are still to do, cut into ones that take about `seconds`, smaller ones towards the end.

    `size` rows are cut off at first, and always where `fixed`; then as many as `workers` have been seen to do.
    """

    def __init__(
        self, spans: Spans, size: int, workers: int, *, fixed: bool = False, seconds: float = RANGE_SECONDS
    ) -> None:
        self._spans = [span for span in spans if span[1] > span[0]][::-1]
        self._size, self.workers, self._fixed, self._seconds = size, workers, fixed, seconds
        self._done = 0
        self._began: float | None = None
        #: Rows that have not been cut off.
        self.left = sum(stop - start for start, stop in self._spans)

    def __iter__(self) -> Iterator[tuple[int, int]]:
        while self._spans:
            start, end = self._spans.pop()
            size = self._size
            if not self._fixed:  # so that none is waited for long, and few rows are not many ranges
                size = max(1, size // 16, min(size, self.left // (4 * self.workers)))
            stop = min(start + size, end)
            self.left -= stop - start
            if stop < end:
                self._spans.append((stop, end))
            yield start, stop

    def give_back(self, start: int, stop: int) -> None:
        """A range that has not been done after all."""
        self._spans.append((start, stop))
        self.left += stop - start

    def restart(self, workers: int) -> None:
        """Others go on with what is left."""
        self.workers, self._done, self._began = workers, 0, None

    def done(self, rows: int) -> None:
        """So many rows more are there: how large ranges are from now on."""
        now = time.monotonic()
        if self._fixed or self._began is None:  # what came before was the start of processes
            self._began = now
            return
        self._done += rows
        rate = self._done / max(now - self._began, 1e-3) / self.workers
        self._size = max(1, min(int(rate * self._seconds), 4 * self._size))
        if now - self._began > 2 * self._seconds:
            self._began, self._done = now, 0


def gaps_between(spans: Iterable[tuple[int, int]], n: int) -> list[tuple[int, int]]:
    """The ranges of `range(n)` that no span holds."""
    gaps, reached = [], 0
    for start, stop in spans:
        if start > reached:
            gaps.append((reached, start))
        reached = stop
    return [*gaps, (reached, n)] if reached < n else gaps
