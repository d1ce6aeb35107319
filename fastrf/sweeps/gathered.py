"""What comes back of a sweep, from threads or from a cluster, in the order of rows; and ranges of rows."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING

from fastrf.sweeps.parts import Parts
from fastrf.system.terminal import Progress

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["Gathered", "Spans", "chunked", "gaps_between"]

Spans = Sequence[tuple[int, int]]

#: Seconds between two parts.
FLUSH_SECONDS = 2.0


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


def chunked(spans: Spans, size: int) -> Iterator[tuple[int, int]]:
    """Ranges of at most `size` rows."""
    for first, stop in spans:
        for start in range(first, stop, size):
            yield start, min(start + size, stop)


def gaps_between(spans: Iterable[tuple[int, int]], n: int) -> list[tuple[int, int]]:
    """The ranges of `range(n)` that no span holds."""
    gaps, reached = [], 0
    for start, stop in spans:
        if start > reached:
            gaps.append((reached, start))
        reached = stop
    return [*gaps, (reached, n)] if reached < n else gaps
