"""A sweep on processes of this machine, each an interpreter of its own that evaluates one range after another.

They are not forked, since threads of PyTorch and others would be missing, nor do they run the caller's script again, as
`multiprocessing` does: functions of scripts and notebooks go there by value. A range that ends its process is cut in
half until the candidate that does it is alone. What fails there for a reason that has not been seen here is tried here,
and where it does not fail, this process does all that is left.
"""

from __future__ import annotations

import contextlib
import importlib
import itertools
import json
import os
import pickle
import queue
import re
import subprocess
import sys
from concurrent.futures import FIRST_COMPLETED, Future, wait
from typing import TYPE_CHECKING, Any

from fastrf.budget import changed, thread_pool
from fastrf.ops.rules import MODULES, RULES
from fastrf.sweeps.gathered import Gathered, Ranges
from fastrf.sweeps.work import Listed, Work
from fastrf.sweeps.worker import COMMAND

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["on_processes"]

#: Threads that libraries start in each process, where nobody says otherwise.
_ONE_EACH = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1")


_Rows = list[tuple[int, "pa.RecordBatch"]]
#: Times that a candidate is tried which ends its process, and what its row says then.
_TRIES = 2
_ENDED = "every process that tried it ended; is there too little memory?"


class _UnableError(Exception):
    """Processes cannot do this work."""


def on_processes(work: Work, todo: Ranges, gathered: Gathered, count: int) -> None:
    """Evaluate ranges on so many processes, as far as these can: what they cannot do stays in `todo`."""
    if (isinstance(work, Listed) and not work.is_light) or getattr(sys, "frozen", False):  # no interpreter to begin
        return
    try:
        crew = _Crew(_pickled((changed(), RULES, MODULES)), count)
        _pickled(work.part(0, 1))
    except _UnableError:
        return
    todo.restart(count)
    pool = thread_pool(count)
    running: dict[Future[_Rows], tuple[int, int]] = {}
    ranges, seen = iter(todo), {_masked(_ENDED)}
    try:
        while True:
            for start, stop in itertools.islice(ranges, 2 * count - len(running)):
                running[pool.submit(crew.evaluated, work, start, stop)] = start, stop
            if not running:
                return
            done, _ = wait(running, return_when=FIRST_COMPLETED)
            for future in done:
                rows = future.result()
                _confirm(work, rows, seen)
                for start, batch in rows:
                    gathered.add(start, batch)
                start, stop = running.pop(future)
                todo.done(stop - start)
    except _UnableError:
        for start, stop in running.values():
            todo.give_back(start, stop)
    finally:
        crew.end()
        pool.shutdown(cancel_futures=True)


def _confirm(work: Work, rows: _Rows, seen: set[str]) -> None:
    """Raise _UnableError where a candidate failed that does not fail here, or in another way."""
    for start, batch in rows:
        for row, text in enumerate(batch.column("error").to_pylist()):
            kind = _masked(text) if text else None
            if kind is not None and kind not in seen:
                here = work.run(start + row, start + row + 1).column("error")[0].as_py()
                if here is None or _masked(here) != kind:
                    raise _UnableError
                seen.add(kind)


def _masked(text: str) -> str:
    """An error without its numbers."""
    return re.sub(r"0x[0-9a-f]+|\d+", "0", text)


def _pickled(value: object) -> bytes:
    """The value, functions and classes of the script or notebook with it. Raises _UnableError."""
    try:
        return bytes(importlib.import_module("cloudpickle").dumps(value))
    except Exception as error:  # whatever cannot be sent, or no cloudpickle, which comes with Dask
        raise _UnableError from error


class _Crew:
    """Processes, begun when they are needed, each asked by one thread at a time."""

    def __init__(self, setup: bytes, count: int) -> None:
        self._setup = setup
        self._idle: queue.SimpleQueue[_Process | None] = queue.SimpleQueue()
        self._begun: list[_Process] = []
        self._over = False
        for _ in range(count):
            self._idle.put(None)

    def evaluated(self, work: Work, start: int, stop: int) -> _Rows:
        """The rows of a range. Raises _UnableError."""
        part = _pickled(work.part(start, stop))
        for _ in range(_TRIES if stop - start == 1 else 1):
            found = self._asked(part)
            if found is not None:
                return [(start, found)]
        if stop - start == 1:
            return [(start, work.failed(start, stop, _ENDED))]
        middle = (start + stop) // 2
        return [*self.evaluated(work, start, middle), *self.evaluated(work, middle, stop)]

    def _asked(self, part: bytes) -> pa.RecordBatch | None:
        """What a process answers; None where it ended."""
        process = self._idle.get()
        try:
            if self._over:
                raise _UnableError
            if process is None:
                process = _Process(self._begun)
                process.ask(self._setup)
            return process.ask(part)
        except (OSError, EOFError, pickle.UnpicklingError) as error:
            if self._over or process is None or not process.answers:
                raise _UnableError from error
            process.end()
            process = None
            return None
        finally:
            self._idle.put(process)

    def end(self) -> None:
        """End them all; what they are at is lost."""
        self._over = True
        for process in self._begun:
            process.end()


class _Process:
    """One process; `answers` once it has."""

    def __init__(self, begun: list[_Process]) -> None:
        own: dict[str, Any] = {"process_group": 0} if os.name == "posix" else {"creationflags": 0x200}  # no Ctrl-C
        own |= {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "env": _ONE_EACH | os.environ}
        words = [sys.executable, *(f"-W{option}" for option in sys.warnoptions), "-c", COMMAND]
        self._process = subprocess.Popen(words, **own)
        self.answers = False
        begun.append(self)
        assert self._process.stdin is not None
        self._process.stdin.write(f"{json.dumps(sys.path)}\n".encode())

    def ask(self, message: bytes) -> Any:
        """What it answers. Raises OSError and EOFError where it ends, _UnableError where it cannot."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        pickle.dump(message, self._process.stdin)
        self._process.stdin.flush()
        is_able, found = pickle.load(self._process.stdout)
        if not is_able:
            raise _UnableError(found)
        self.answers = True
        return found

    def end(self) -> None:
        """End it now."""
        self._process.kill()
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            with contextlib.suppress(OSError, AttributeError):
                pipe.close()  # type: ignore[union-attr]
