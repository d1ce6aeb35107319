"""Hostile and spoilt files, one after the other, through `fastrf.analyze` in a worker with limits.

    python -m tests.onnx_oracle.fuzz --seconds 3600 --seed 0 --jobs 1

A case is fine if it succeeds or raises `fastrf.FastRFError`. Any other exception, a crash, a hang or a lack of memory
is a failure: its bytes and its report go to the folder. Exit code 1 if there was one.
"""

from __future__ import annotations

import argparse
import collections
import contextlib
import importlib
import itertools
import json
import math
import os
import queue
import random
import resource
import subprocess
import sys
import tempfile
import threading
import time
import traceback
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from .hostile import CORPUS, SLOW
from .mutation import mutant

__all__ = ["Worker", "main"]

#: A worker that has had less than half of its time may take so many times as long.
PATIENCE = 5
FAILURES = ("exception", "memory", "crash", "hang", "message")


def target(path: str) -> None:
    """What is tested: read and analyse a file, and write its table."""
    import fastrf

    fastrf.analyze(path).summary()


def _work(name: str, megabytes: int, strict: bool) -> None:
    """The worker: a path on each line of the input, a verdict on each line of the output."""
    import fastrf

    module, function = name.split(":")
    run = getattr(importlib.import_module(module), function)
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # whatever the target prints is no verdict
    resource.setrlimit(resource.RLIMIT_AS, (megabytes << 20, megabytes << 20))
    for line in sys.stdin:
        kind, text = "fine", ""
        try:
            run(line.rstrip("\n"))
        except fastrf.FastRFError as error:
            text = str(error)
            unclear = not text.strip() or len(text) > 2000 or not all(c.isprintable() for c in text)
            kind = "message" if strict and unclear else "refused"
        except MemoryError:
            kind, text = "memory", traceback.format_exc(limit=-8)
        except BaseException:  # a verdict on everything else
            kind, text = "exception", traceback.format_exc(limit=-8)
        answers.write(json.dumps([kind, text[:4000]]) + "\n")
        answers.flush()


def _processor_seconds(pid: int) -> float:
    """The time of the processor that a process has had; where the system does not say, NaN."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        return sum(map(int, fields[11:13])) / os.sysconf("SC_CLK_TCK")
    except OSError:
        return math.nan


class Worker:
    """A process that analyses one file at a time, replaced when it dies or hangs.

    Args:
        function: `module:function` called with each path.
        megabytes: its address space.
        seconds: the time limit of a case; a fresh process has a minute more, to import and compile.
        strict: whether an unclear message of a FastRFError (empty, long, or unprintable) is a failure.
    """

    def __init__(self, function: str, megabytes: int = 6000, seconds: float = 30, *, strict: bool = False) -> None:
        self.command = [
            sys.executable,
            "-m",
            "tests.onnx_oracle.fuzz",
            "--worker",
            function,
            "--memory",
            str(megabytes),
        ]
        self.command += ["--strict-messages"] if strict else []
        self.seconds = seconds
        self.process: subprocess.Popen[str] | None = None
        self.lines: queue.Queue[str] = queue.Queue()

    def __call__(self, path: Path) -> tuple[str, str]:
        """The verdict on one file: "fine", "refused" or one of `FAILURES`, and a text."""
        fresh = self.process is None
        process = self._start() if self.process is None else self.process
        try:
            assert process.stdin is not None
            process.stdin.write(f"{path}\n")
            process.stdin.flush()
            line = self._answer(process, self.seconds + 60 * fresh)
        except queue.Empty:
            self.stop()
            return "hang", f"no answer in {self.seconds} s"
        except BrokenPipeError:
            line = ""
        if not line:
            code = process.wait()
            self.process = None
            return "crash", f"the worker ended with code {code}"
        kind, text = json.loads(line)
        return kind, text

    def _answer(self, process: subprocess.Popen[str], seconds: float) -> str:
        """A line of the worker's, within seconds of its processor time; where others are at work, it waits longer."""
        began = _processor_seconds(process.pid)
        for _ in range(PATIENCE):
            with contextlib.suppress(queue.Empty):
                return self.lines.get(timeout=seconds)
            if not _processor_seconds(process.pid) - began < seconds / 2:
                break
        raise queue.Empty

    def stop(self) -> None:
        """End the process."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            if self.process.stdin is not None:
                self.process.stdin.close()
        self.process = None

    def _start(self) -> subprocess.Popen[str]:
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL}
        found = os.pathsep.join([str(Path(__file__).parents[2]), os.environ.get("PYTHONPATH", "")]).rstrip(os.pathsep)
        environment = {**os.environ, "PYTHONPATH": found}  # whatever the working directory is
        self.process = subprocess.Popen(self.command, text=True, env=environment, **pipes)
        self.lines = queue.Queue()
        threading.Thread(target=_forward, args=(self.process, self.lines), daemon=True).start()
        return self.process


def _forward(process: subprocess.Popen[str], lines: queue.Queue[str]) -> None:
    """Put each line of the worker on the queue, and "" at its end."""
    assert process.stdout is not None
    with process.stdout:
        for line in process.stdout:
            lines.put(line)
    lines.put("")


def _files(seed: int, *, corpus: bool, slow: bool) -> Iterator[tuple[str, bytes]]:
    """Names and bytes: the corpus first, then mutants without end."""
    for name, build in CORPUS.items() if corpus else ():
        if slow or name not in SLOW:
            yield name, build()
    for number in itertools.count():
        yield f"mutant {seed}-{number}", mutant(random.Random(f"{seed}-{number}"))


def _fuzz(options: argparse.Namespace) -> collections.Counter[str]:
    """Run the workers until the time is over; count the verdicts."""
    counts: collections.Counter[str] = collections.Counter()
    files, lock = _files(options.seed, corpus=not options.no_corpus, slow=options.slow), threading.Lock()
    end = time.monotonic() + options.seconds

    def work(scratch: Path) -> None:
        worker = Worker(options.function, options.memory, options.limit, strict=options.strict_messages)
        while time.monotonic() < end:
            with lock:
                name, data = next(files)
            scratch.write_bytes(data)
            started = time.monotonic()
            kind, text = worker(scratch)
            with lock:
                counts[kind] += 1
                if kind in FAILURES:
                    took = f"{time.monotonic() - started:.1f} s"
                    _record(options.folder, f"{kind}-{counts[kind]}", data, f"{name}\n{kind} after {took}\n{text}")
        worker.stop()

    with tempfile.TemporaryDirectory() as folder:
        paths = [Path(folder) / f"case{job}.onnx" for job in range(options.jobs)]
        with ThreadPoolExecutor(options.jobs) as pool:
            list(pool.map(work, paths))
    return counts


def _record(folder: Path, name: str, data: bytes, text: str) -> None:
    """Save a failure."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{name}.onnx").write_bytes(data)
    (folder / f"{name}.txt").write_text(text)
    sys.stdout.write(f"{name}: {text.splitlines()[0]!a}: {text.strip().splitlines()[-1]!a}\n")


def main(arguments: list[str] | None = None) -> int:
    """The command; its exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=60, help="how long to run")
    parser.add_argument("--seed", type=int, default=0, help="of the mutants")
    parser.add_argument("--jobs", type=int, default=1, help="how many workers")
    parser.add_argument("--limit", type=float, default=30, help="seconds per case")
    parser.add_argument("--memory", type=int, default=6000, help="address space of a worker in MiB")
    parser.add_argument("--folder", type=Path, default=Path("fuzz-failures"), help="where failures are saved")
    parser.add_argument("--no-corpus", action="store_true", help="mutants only")
    parser.add_argument("--slow", action="store_true", help="also the corpus' largest files")
    parser.add_argument("--strict-messages", action="store_true", help="unprintable or long error texts fail too")
    parser.add_argument("--function", default="tests.onnx_oracle.fuzz:target", help="module:function to test")
    parser.add_argument("--worker", metavar="FUNCTION", help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    if options.worker:
        with contextlib.suppress(KeyboardInterrupt, BrokenPipeError):
            _work(options.worker, options.memory, options.strict_messages)
        return 0
    counts = _fuzz(options)
    failed = sum(counts[kind] for kind in FAILURES)
    counted = ", ".join(f"{count} {kind}" for kind, count in sorted(counts.items()))
    sys.stdout.write(f"{sum(counts.values())} cases: {counted or 'none'}; {failed} failures\n")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
