"""Spoilt files for every reader, one after the other, in a worker that notices what no file may do.

    python -m tests.fuzz.files --seconds 600 --seed 0

A case is fine if it succeeds or raises `fastrf.FastRFError` with one clear line. Any other exception, a crash, a hang,
a lack of memory, or a step outside its folder is a fault: the case and its report are saved. Exit code 1 if there was
one.
`--again FOLDER` repeats a saved case here, with its traceback.
"""

from __future__ import annotations

import argparse
import collections
import contextlib
import os
import random
import resource
import shutil
import sys
import tempfile
import time
import warnings
from pathlib import Path
from typing import Any

from tests.onnx_oracle.fuzz import FAILURES, Worker

from .readers import READERS

__all__ = ["main", "target"]

#: Bytes that a case may add to the most that the worker ever held.
GROWTH = 700 << 20
#: Events of Python that a reader has no use for, and those that name a path which they change.
FORBIDDEN = ("os.system", "os.exec", "os.posix_spawn", "subprocess.Popen", "socket.connect")
#: What pickles of code name; those of Numba's cache name other things.
CALLED = ("exec", "eval", "system", "__import__", "Popen")
CHANGING = ("os.remove", "os.rename", "os.rmdir", "os.link", "os.symlink", "os.truncate", "os.chmod", "os.mkdir")
#: Where code of others may write meanwhile: caches of bytecode and kernels, and devices.
_ELSEWHERE = ("__pycache__", "/dev/", os.environ.get("NUMBA_CACHE_DIR", "/dev/"), "torchinductor")

_watched: list[str] = []
_noticed: list[str] = []
_warmed: list[bool] = []
_held = 0


def _notice(event: str, arguments: tuple[Any, ...]) -> None:
    """The audit hook: what a case did that no file may."""
    if not _watched:
        return
    imported = event == "open" and "payload.py" in str(arguments[0])
    if event in FORBIDDEN or imported or (event == "pickle.find_class" and arguments[1] in CALLED):
        _noticed.append(f"{event} {arguments!r:.200}")
    elif event == "open":
        path, _, flags = arguments
        if isinstance(path, str | bytes) and (flags or 0) & (os.O_WRONLY | os.O_RDWR | os.O_CREAT):
            _changes(event, path)
    elif event in CHANGING:
        for path in arguments[: 2 if event == "os.rename" else 1]:
            _changes(event, path)


def _changes(event: str, path: Any) -> None:
    where = os.path.abspath(os.fsdecode(path)) if isinstance(path, str | bytes | os.PathLike) else ""  # noqa: PTH100
    inside = where.startswith(_watched[0] + "/case/")
    if not inside and where and not any(part in where for part in _ELSEWHERE):
        _noticed.append(f"{event} {where}")


sys.addaudithook(_notice)


def target(path: str) -> None:
    """Read the case of a folder, which names the reader; AssertionError for what it may not do."""
    global _held
    folder = Path(path)
    reader = READERS[(folder / "reader").read_text()]
    os.chdir(folder / "case")
    if not _warmed:
        for name in READERS:
            READERS[name].warm()
        _warmed.append(True)
    _held = _held or _peak()
    _noticed.clear()
    _watched[:] = [str(folder)]
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            reader.read()
    finally:
        _watched.clear()
        os.chdir("/")
        held, _held = _held, max(_peak(), _held)
        assert not _noticed, f"the case did {_noticed[:3]}"
        assert _precious(folder) == PRECIOUS, "a file that is none of the case's was changed"
        assert _held - held < GROWTH, f"the case took {(_held - held) >> 20} MiB"


def _peak() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss << 10


#: Files beside a case, which nothing may touch.
PRECIOUS = {
    "home/precious": "precious",
    "home/manifest.json": "{}",
    "home/000000000000-000000000003.parquet": "precious",
}


def _precious(folder: Path) -> dict[str, str]:
    return {str(p.relative_to(folder)): p.read_text() for p in (folder / "home").iterdir()}


def make(name: str, rng: random.Random, folder: Path) -> None:
    """A case of a reader, with a neighbourhood that it had better leave alone."""
    shutil.rmtree(folder, ignore_errors=True)
    (folder / "case").mkdir(parents=True)
    (folder / "home").mkdir()
    (folder / "reader").write_text(name)
    for path, text in PRECIOUS.items():
        (folder / path).write_text(text)
    READERS[name].make(rng, folder / "case")
    if name in ("parts", "zarr") and rng.random() < 0.3:
        _link(rng, folder)
    elif rng.random() < 0.01:
        spoilt = rng.choice(sorted(p for p in (folder / "case").rglob("*") if p.is_file()))
        spoilt.unlink()
        os.mkfifo(spoilt) if rng.random() < 0.5 else spoilt.symlink_to("/dev/zero")
    if name in ("spec", "lines"):
        (folder / "case" / "payload.py").write_text("open('mark', 'w')")


def _link(rng: random.Random, folder: Path) -> None:
    """Something of the case becomes a link to what is outside."""
    case = folder / "case"
    spoilt = rng.choice(sorted(case.rglob("*")))
    shutil.rmtree(spoilt) if spoilt.is_dir() else spoilt.unlink()
    spoilt.symlink_to(folder / "home" if rng.random() < 0.5 else folder / "home" / "precious")


def _run(options: argparse.Namespace) -> collections.Counter[str]:
    """Cases until the time is over; count the verdicts."""
    counts: collections.Counter[str] = collections.Counter()
    names = options.readers.split(",") if options.readers else list(READERS)
    weights = [READERS[name].weight for name in names]
    worker = Worker("tests.fuzz.files:target", options.memory, options.limit, strict=True)
    end = time.monotonic() + options.seconds
    with tempfile.TemporaryDirectory() as scratch, contextlib.chdir(scratch):
        number = options.first
        while time.monotonic() < end and sum(counts.values()) < options.cases:
            rng = random.Random(f"{options.seed}-{number}")
            name, folder = rng.choices(names, weights)[0], Path(scratch) / "folder"
            make(name, rng, folder)
            kind, text = worker(folder)
            counts[kind] += 1
            if kind in FAILURES:
                _record(options.folder, f"{kind}-{options.seed}-{number}", folder, f"{name}\n{kind}\n{text}")
            number += 1
    worker.stop()
    return counts


def _record(folder: Path, name: str, case: Path, text: str) -> None:
    """Save a fault."""
    shutil.copytree(case, folder / name, symlinks=True, dirs_exist_ok=True, copy_function=_copied)
    (folder / name / "report.txt").write_text(text)
    sys.stdout.write(f"{name}: {text.splitlines()[0]}: {text.strip().splitlines()[-1][:300]!a}\n")
    sys.stdout.flush()


def _copied(source: str, target: str) -> None:
    if Path(source).is_file():
        shutil.copy(source, target)
    else:
        os.mkfifo(target)


def main(arguments: list[str] | None = None) -> int:
    """The command; its exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=60, help="how long to run")
    parser.add_argument("--cases", type=float, default=float("inf"), help="how many cases, at most")
    parser.add_argument("--seed", type=int, default=0, help="of the cases")
    parser.add_argument("--first", type=int, default=0, help="the number of the first case")
    parser.add_argument("--readers", help=f"some of {','.join(READERS)}")
    parser.add_argument("--limit", type=float, default=30, help="seconds per case")
    parser.add_argument("--memory", type=int, default=12000, help="address space of the worker in MiB")
    parser.add_argument("--folder", type=Path, default=Path("fuzz-failures").absolute(), help="where faults are saved")
    parser.add_argument("--again", type=Path, help="repeat a saved case")
    options = parser.parse_args(arguments)
    if options.again:
        target(str(options.again.absolute()))
        return 0
    options.folder = options.folder.absolute()
    counts = _run(options)
    faults = sum(counts[kind] for kind in FAILURES)
    counted = ", ".join(f"{count} {kind}" for kind, count in sorted(counts.items()))
    sys.stdout.write(f"{sum(counts.values())} cases: {counted or 'none'}; {faults} faults\n")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
