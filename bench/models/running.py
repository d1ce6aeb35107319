"""Models one after another in a worker process, which is killed where a model takes too long or too much memory."""

from __future__ import annotations

import multiprocessing
import os
import resource
import time
import traceback
import warnings
import zlib
from typing import Any

__all__ = ["Worker"]

MEMORY = 14 * 2**30
#: A process is replaced after so many models, since torch's caches grow.
MODELS = 60
#: Of one model in so many, both captures are compared.
BOTH = 6


def _work(library: str, name: str, cap: float, before: dict[str, Any] | None) -> dict[str, Any]:
    """All figures of one model, or its error; of one that stands already, times alone are taken anew."""
    from bench.models.comparing import compared, timed
    from bench.models.libraries import FIRST, LIBRARIES

    start = time.perf_counter()
    found = LIBRARIES[library]
    result: dict[str, Any] = {"source": library, "name": name, "family": name}
    problem: Exception = ValueError("no input size accepted")
    try:
        for case in found.cases(name):
            result |= {"family": type(case.model).__module__.rpartition(".")[2], "input": case.told}
            export = zlib.crc32(name.encode()) % BOTH == 0
            try:
                if before is not None:
                    return before | timed(case, sizes=library in FIRST)
                result |= compared(case, found.neurons, start + cap * 0.8, export=export, sizes=library in FIRST)
                problem = None  # type: ignore[assignment]
                break
            except Exception as error:
                problem = error
    except Exception as error:
        problem = error
    if problem is not None:
        result["error"] = f"{type(problem).__name__}: {str(problem)[:600]}"
        result["trace"] = "".join(traceback.format_exception(problem)[-3:])[-1500:]
    result["total_s"] = time.perf_counter() - start
    return result


def _serve(connection: Any) -> None:
    """The worker: models in, results out."""
    hard = resource.getrlimit(resource.RLIMIT_AS)[1]
    allowed = MEMORY if hard == resource.RLIM_INFINITY else min(MEMORY, hard)
    resource.setrlimit(resource.RLIMIT_AS, (allowed, hard))
    warnings.simplefilter("ignore")
    os.environ.setdefault("KERAS_BACKEND", "torch")
    import torch

    import fastrf

    torch.set_num_threads(1)
    fastrf.analyze("resnet18", (3, 64, 64))  # kernels loaded before anything is timed
    while (order := connection.recv()) is not None:
        connection.send(_work(*order))


class Worker:
    """A process that survives nothing and is replaced."""

    def __init__(self) -> None:
        self.process: Any = None
        self.count = 0

    def close(self) -> None:
        """Let the process end."""
        if self.process is not None and self.process.is_alive():
            self.connection.send(None)
            self.process.join()

    def _start(self) -> None:
        context = multiprocessing.get_context("spawn")
        self.connection, theirs = context.Pipe()
        self.process = context.Process(target=_serve, args=(theirs,), daemon=True)
        self.process.start()
        theirs.close()
        self.count = 0

    def run(self, library: str, name: str, cap: float, before: dict[str, Any] | None = None) -> dict[str, Any]:
        """One model's figures, perhaps only times anew; an error where the process dies or exceeds `cap` seconds."""
        if self.count >= MODELS:
            self.close()
        if self.process is None or not self.process.is_alive():
            self._start()
        self.count += 1
        self.connection.send((library, name, cap, before))
        try:
            if self.connection.poll(cap + 40):
                return self.connection.recv()  # type: ignore[no-any-return]
            problem = f"more than {cap:.0f} s"
        except (EOFError, OSError):
            problem = "the process died (out of memory?)"
        self.process.kill()
        self.process.join()
        return {"source": library, "name": name, "family": name, "error": problem}
