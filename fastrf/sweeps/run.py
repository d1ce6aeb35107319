"""sweep(): figures of many candidate architectures, one row each."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from fastrf.errors import FastRFError, ShapeError, UsageError
from fastrf.sweeps.candidates import Broken, InSpace, Source, sources_of
from fastrf.sweeps.gathered import Gathered, gaps_between
from fastrf.sweeps.metrics import metrics_named
from fastrf.sweeps.parts import Parts
from fastrf.sweeps.result import SweepResult
from fastrf.sweeps.table import arrow
from fastrf.sweeps.threads import run_here
from fastrf.sweeps.work import Columnar, Listed, Work
from fastrf.system import interrupts
from fastrf.system.terminal import progress_bar

__all__ = ["sweep"]


def sweep(
    candidates: Any,
    input_shape: Sequence[int] | None = None,
    metrics: Iterable[Any] | None = None,
    workers: int | None = None,
    client: Any = None,
    output: str | os.PathLike[str] | None = None,
    resume: bool = False,
    progress: bool | Callable[[int, int], None] = True,
    *,
    node: str | None = None,
) -> SweepResult:
    """Exact receptive-field figures of many candidate architectures, one row each.

    `candidates` is a space of `fastrf.spaces` (every candidate), `Candidates` of one, or an iterable of what
    `fastrf.load` takes; of those each may be `(id, source)`, `(source, input_shape)` or `(id, source, input_shape)`.
    `input_shape` is without the batch (default: the space's, or what each source says). Candidates of a space are
    evaluated column by column, others by themselves on `workers` threads (default: one per processor); of those
    `node` names the node to look at, "map" being the last map before a head (default: the first output). `client` is a
    `dask.distributed.Client` or a scheduler's address.

    `metrics` are names of `fastrf.sweeps.metrics.DEFAULT` (all by default), or functions of a ReceptiveField that give
    a number. A candidate that fails is a row with its error. Rows are in the candidates' order, however they were made.

    `output` is a `.parquet`, `.csv`, `.arrow` or `.feather` file; while the sweep runs, its parts are kept beside it,
    and with `resume` a run goes on where another one ended, losing and repeating no row. `progress` shows a bar on a
    terminal, or is called with the rows done and their number.

    Raises UsageError for no candidates, an unknown metric or a scheduler that is not there; FormatError for an output
    that exists, cannot be written, or is another sweep's; ShapeError; and MissingExtraError without the extra `sweep`.
    """
    arrow()
    work = work_of(candidates, input_shape, metrics, node)
    parts = None if output is None else Parts(output, work.manifest(), work.schema, resume)
    if parts is not None and parts.complete:
        return SweepResult(None, work.schema, parts.output)
    spans = [] if parts is None else parts.spans()
    gaps = gaps_between(spans, len(work))
    with interrupts.orderly, progress_bar("sweep", progress) as report:
        gathered = Gathered(len(work), parts, sum(stop - start for start, stop in spans), report)
        try:
            _run(work, gaps, gathered, workers, client)
        except BaseException:
            if parts is not None:
                with contextlib.suppress(FastRFError):
                    gathered.flush()
                parts.discard_if_empty()
            raise
        rows = gathered.finish()
    return SweepResult(rows, work.schema, None if parts is None else Path(parts.output))


def _run(work: Work, gaps: list[tuple[int, int]], gathered: Gathered, workers: int | None, client: Any) -> None:
    if not gaps:
        return
    if client is None:
        run_here(work, gaps, gathered, workers)
        return
    from fastrf.sweeps.dask import connected, run_on

    with connected(client) as cluster:
        run_on(cluster, work, gaps, gathered)


def work_of(
    candidates: Any, input_shape: Sequence[int] | None, metrics: Iterable[Any] | None, node: str | None
) -> Work:
    """What is to be done, checked before anything is. Raises UsageError and ShapeError."""
    wanted = metrics_named(metrics)
    if isinstance(candidates, Work):
        return candidates
    if hasattr(candidates, "evaluate") and hasattr(candidates, "all"):
        candidates = candidates.all()
    if hasattr(candidates, "codes") and hasattr(candidates, "space"):
        return _of_space(candidates, input_shape, wanted, node)
    if isinstance(candidates, str | bytes | dict) or not isinstance(candidates, Iterable):
        raise UsageError(
            f"candidates must be a space or an iterable of networks, not a {type(candidates).__name__}; "
            "for one network use fastrf.analyze"
        )
    sources = sources_of(candidates, input_shape, node)
    if not sources:
        raise UsageError("there are no candidates; give at least one")
    return _of_one_space(sources, wanted, node) or Listed(wanted, _listed_axes(sources), sources)


def _of_one_space(sources: Sequence[Source], metrics: Any, node: str | None) -> Work | None:
    """Listed candidates that are all of one space with a column program, on one image; None where they are not."""
    given = [source.given for source in sources if isinstance(source.given, InSpace)]
    if not given or node is not None or any(not isinstance(s.given, InSpace | Broken) for s in sources):
        return None
    space = given[0].space
    shapes = {source.input_shape for source in sources if isinstance(source.given, InSpace)}
    if len(shapes) > 1 or any(item.space is not space for item in given) or not getattr(space, "columnar", True):
        return None
    codes: list[Any] = []
    broken: dict[int, str] = {}
    for i, source in enumerate(sources):
        codes.append(None)
        try:
            codes[i] = source.code()
        except FastRFError as error:
            broken[i] = str(error)
    filler = next((code for code in codes if code is not None), None)
    if filler is None:
        return None
    rows = np.array([filler if code is None else code for code in codes], np.int64)
    work = _of_space(_candidates(space, rows), shapes.pop(), metrics, None)
    assert isinstance(work, Columnar)
    return replace(work, names=[source.id for source in sources], broken=broken)


def _candidates(space: Any, rows: npt.NDArray[np.int64]) -> Any:
    from fastrf.spaces import Candidates

    return Candidates(space, rows)


def _of_space(candidates: Any, input_shape: Sequence[int] | None, metrics: Any, node: str | None) -> Columnar | Listed:
    space = candidates.space
    if node is not None:
        raise UsageError("node is for listed networks; candidates of a space are looked at on their last map")
    if not len(candidates):
        raise UsageError(f"there are no candidates of {space.name}; give at least one")
    shape = tuple(space.input_shape if input_shape is None else input_shape)
    if not getattr(space, "columnar", True):
        sources = [
            Source(text, InSpace(space, text), None if input_shape is None else shape) for text in candidates.ids()
        ]
        return Listed(metrics, len(shape) - 1 if shape else _listed_axes(sources), sources, space.name)
    if len(shape) < 2 or not all(type(n) is int and n > 0 for n in shape):
        raise ShapeError(f"input_shape must be positive sizes such as (3, 32, 32), not {str(shape)[:60]}")
    return Columnar(metrics, len(shape) - 1, candidates, shape)


def _listed_axes(sources: Sequence[Source]) -> int:
    """The spatial axes of the table: those of the first shape that is given, otherwise of the first that loads."""
    for source in sources:
        shape = source.input_shape
        shape = next(iter(shape.values()), None) if isinstance(shape, dict) else shape
        if shape is not None:
            return max(len(tuple(shape)) - 1, 1)
    for source in sources:
        try:
            given = next(iter(source.network().inputs.values()))
        except Exception:  # its row will say so
            continue
        return len(given.shape) - (given.channel_axis is not None)
    return 2
