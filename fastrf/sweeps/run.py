"""sweep(): figures of many candidate architectures, one row each."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fastrf.errors import FastRFError
from fastrf.sweeps.gathered import Gathered, gaps_between
from fastrf.sweeps.parts import Parts
from fastrf.sweeps.result import SweepResult
from fastrf.sweeps.table import arrow
from fastrf.sweeps.threads import run_here
from fastrf.sweeps.work import Work, work_of
from fastrf.system import interrupts
from fastrf.system.terminal import Progress, progress_bar

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["sweep"]


def sweep(
    candidates: Any,
    input_shape: Sequence[int] | None = None,
    metrics: Iterable[Any] | None = None,
    workers: int | None = None,
    client: Any = None,
    output: str | os.PathLike[str] | None = None,
    resume: bool = False,
    progress: bool | Progress = True,
    *,
    node: str | None = None,
    overwrite: bool = False,
) -> SweepResult:
    """Exact receptive-field figures of many candidate architectures, one row each, in the candidates' order.

    `candidates` is a space of `fastrf.spaces`, `Candidates` of one, or an iterable of what `fastrf.load` takes, each
    with an id before and an input shape behind it if wanted; `docs/sweep.md` has all forms. `metrics` are names of
    `fastrf.sweeps.metrics.DEFAULT` (all by default), or functions of a ReceptiveField that give a number. What has no
    column program is evaluated on `workers` processes or threads (default: one per processor); listed networks are
    looked at on `node` ("map": the last map before a head). `client` is a `dask.distributed.Client` or a scheduler's
    address. A candidate that fails is a row with its error.

    `output` is a `.parquet`, `.csv`, `.arrow` or `.feather` file, kept in parts beside it while the sweep runs; with
    `resume` a run goes on where another one ended; `overwrite` replaces a table that is there, once the new one is
    whole. `progress` shows a bar, or is called with the rows done and all.

    Raises UsageError for no candidates, an unknown metric or a scheduler that is not there; FormatError for an output
    that exists, cannot be written, or is another sweep's; ShapeError; and MissingExtraError without the extra `sweep`.
    """
    arrow()  # before anything is looked at
    work = work_of(candidates, input_shape, metrics, node)
    parts = None if output is None else Parts(output, work.manifest(), work.schema, resume, overwrite)
    if parts is not None and parts.complete:
        return SweepResult(None, work.schema, parts.output)
    rows = _gathered(work, parts, workers, client, progress)
    return SweepResult(rows, work.schema, None if parts is None else Path(parts.output))


def _gathered(
    work: Work, parts: Parts | None, workers: int | None, client: Any, progress: bool | Progress
) -> list[pa.RecordBatch] | None:
    """Evaluate the rows that are missing; give all of them back, or None where they are in a file."""
    spans = [] if parts is None else parts.spans()
    with interrupts.orderly, progress_bar("sweep", progress) as report:
        gathered = Gathered(len(work), parts, sum(stop - start for start, stop in spans), report)
        try:
            gaps = gaps_between(spans, len(work))
            if gaps and client is None:
                run_here(work, gaps, gathered, workers)
            elif gaps:
                from fastrf.sweeps.dask import connected, run_on

                with connected(client) as cluster:
                    run_on(cluster, work, gaps, gathered)
        except BaseException:
            if parts is not None:
                with contextlib.suppress(FastRFError):
                    gathered.flush()
                parts.discard_if_empty()
            raise
        return gathered.finish()
