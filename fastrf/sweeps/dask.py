"""Running a sweep on a `dask.distributed` cluster: ranges of rows go out, batches come back as they are done.

Only this process writes. A range whose worker is lost is tried again by Dask; one that ends worker after worker is
cut in half until the candidate that does it is alone, and becomes a row with its error.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import logging
import time
from collections.abc import Iterator
from concurrent.futures import CancelledError
from typing import TYPE_CHECKING, Any

from fastrf.errors import FastRFError, UsageError
from fastrf.sweeps.gathered import Gathered, Ranges, Spans
from fastrf.sweeps.table import arrow
from fastrf.sweeps.work import Columnar, Work

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["connected", "run_on"]

#: Seconds to wait for a scheduler.
CONNECT_SECONDS = 5
#: Tasks under way: as many per thread of the cluster, and at least so many.
PER_THREAD, AT_LEAST = 3, 4
#: Seconds after which the scheduler is asked again how many threads there are.
LOOK_SECONDS = 1.0
#: Seconds that a task takes.
TASK_SECONDS = 1.0
#: Rows of the first tasks, where nobody knows how long a row takes.
FIRST_ROWS = 8
#: Tasks per thread that a space is cut into, so that none is waited for long.
CHUNKS_PER_THREAD = 16


@contextlib.contextmanager
def connected(client: Any) -> Iterator[Any]:
    """A `distributed.Client` for an address, or the one that is given. Raises UsageError without a scheduler."""
    distributed = arrow("distributed")
    if isinstance(client, distributed.Client):
        if client.status != "running":
            raise UsageError(f"the Dask client is {client.status}; give one that is connected")
        yield client
        return
    if not isinstance(client, str):
        raise UsageError(f"client must be a distributed.Client or a scheduler's address, not {type(client).__name__}")
    quiet = logging.getLogger("distributed.comm")
    level = quiet.level
    quiet.setLevel(logging.CRITICAL)
    try:
        own = distributed.Client(client, timeout=CONNECT_SECONDS, set_as_default=False)
    except Exception as error:  # addresses fail in many ways
        reason = " ".join(str(error).split())[:120]
        raise UsageError(
            f"no Dask scheduler at {client!r} ({reason}); is it running, and can it be reached?"
        ) from error
    finally:
        quiet.setLevel(level)
    with own:
        yield own


def evaluated(part: Work) -> pa.RecordBatch:
    """Every row of a part, on a worker."""
    return part.run(0, len(part))


def run_on(client: Any, work: Work, spans: Spans, gathered: Gathered) -> None:
    """Evaluate ranges on a cluster. Raises FastRFError where it goes away; what has come back is kept."""
    distributed = arrow("distributed")
    todo = _ranges(work, spans, _threads(client))
    ranges, looked = iter(todo), time.monotonic()
    running: dict[Any, tuple[int, int]] = {}
    finished = distributed.as_completed(loop=client.loop)  # the client need not be the default one

    def send(start: int, stop: int) -> None:
        part = work.part(start, stop)
        future = client.submit(evaluated, part, pure=False, key=f"fastrf-sweep-{id(gathered)}-{start}-{stop}")
        running[future] = start, stop
        finished.add(future)

    def fill() -> None:
        nonlocal looked
        if time.monotonic() > looked + LOOK_SECONDS:  # it takes a while to ask
            todo.workers, looked = _threads(client), time.monotonic()
        wanted = max(AT_LEAST, PER_THREAD * todo.workers) - len(running)
        for span in itertools.islice(ranges, max(wanted, 0)):
            send(*span)

    try:
        fill()
        while running:
            future = next(finished)
            start, stop = running.pop(future)
            batch = _result(distributed, future, work, start, stop)
            if batch is None:
                send(start, (start + stop) // 2)
                send((start + stop) // 2, stop)
            else:
                gathered.add(start, batch)
                todo.done(stop - start)
            future.release()
            fill()
    except BaseException:
        with contextlib.suppress(Exception):
            client.cancel(list(running), force=True)
        raise


def _result(distributed: Any, future: Any, work: Work, start: int, stop: int) -> pa.RecordBatch | None:
    """A range's rows; rows with the reason where it is one row that ends its workers; None for more such rows."""
    try:
        return future.result()
    except distributed.KilledWorker:
        if stop - start > 1:
            return None
        return work.failed(start, stop, "every worker that tried it ended; is there too little memory?")
    except (CancelledError, asyncio.CancelledError) as error:
        raise FastRFError("the sweep's tasks were cancelled, or the scheduler went away; go on with resume") from error
    except FastRFError:
        raise
    except Exception as error:
        reason = " ".join(str(error).split())[:160]
        raise FastRFError(
            f"rows {start} to {stop} failed on the cluster ({type(error).__name__}: {reason}); have all workers the "
            "same fastrf, and the packages of its extras?"
        ) from error


def _threads(client: Any) -> int:
    with contextlib.suppress(OSError, TimeoutError):
        return sum(client.nthreads().values()) or 1
    return 1


def _ranges(work: Work, spans: Spans, threads: int) -> Ranges:
    """A column program in equal ranges, other candidates in as many as take a while."""
    total = sum(stop - start for start, stop in spans)
    if isinstance(work, Columnar):
        size = min(work.chunk, max(512, total // (CHUNKS_PER_THREAD * threads)))
        return Ranges(spans, size, threads, fixed=True)
    return Ranges(spans, FIRST_ROWS, threads, seconds=TASK_SECONDS)
