"""What a person sees beside the answer, on stderr: notes, and a progress bar with rate and time left on a terminal."""

from __future__ import annotations

import contextlib
import os
import shutil
import sys
from collections.abc import Callable, Iterator
from typing import Any

from fastrf.system import interrupts

__all__ = ["Progress", "error", "note", "progress_bar", "shows_bold", "silent", "speak", "status", "terminal_width"]

#: Called with how many are done, and how many there are.
Progress = Callable[[int, int], None]


def silent(_: int, __: int) -> None:
    """Progress that nobody follows."""


class _Spoken:
    """How much is said beside the answer."""

    quiet = False


def speak(*, quiet: bool = False, verbose: bool = False) -> None:
    """From now on, say nothing but errors, or also what fastrf does and when."""
    _Spoken.quiet = quiet
    if verbose:
        import logging

        logging.basicConfig(stream=sys.stderr, format="%(relativeCreated)6d ms  %(message)s")
        logging.getLogger("fastrf").setLevel(logging.DEBUG)


def error(text: str) -> None:
    """One line on stderr; what nobody can read is lost."""
    _write(f"{text}\n")


def note(text: str) -> None:
    """One line on stderr for those who want to know."""
    if not _Spoken.quiet:
        error(text)


def terminal_width() -> int | None:
    """How many characters a line of stdout has, if it is a terminal."""
    return shutil.get_terminal_size().columns if _is_terminal(sys.stdout) else None


def shows_bold() -> bool:
    """Whether stdout is a terminal that knows bold letters, and its user wants more than plain ones."""
    plain = os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb" or sys.platform == "win32"
    return _is_terminal(sys.stdout) and not plain


@contextlib.contextmanager
def status(text: str) -> Iterator[None]:
    """A line on stderr while something takes its time, gone afterwards; nothing where stderr is no terminal."""
    if _Spoken.quiet or not _is_terminal(sys.stderr):
        yield
        return
    line = " ".join(text.split())[: shutil.get_terminal_size().columns - 1]
    _write(f"{line}\r")
    try:
        yield
    finally:
        _write(f"{' ' * len(line)}\r")


def _is_terminal(stream: Any) -> bool:
    with contextlib.suppress(OSError, ValueError, AttributeError):
        return bool(stream.isatty())
    return False


def _write(text: str) -> None:
    with contextlib.suppress(OSError, ValueError, AttributeError):
        sys.stderr.write(text)
        sys.stderr.flush()


@contextlib.contextmanager
def progress_bar(title: str, progress: bool | Progress = True) -> Iterator[Progress | None]:
    """What to call with those done and their number: the caller's own, a bar where stderr is a terminal, or nothing."""
    if callable(progress):
        yield progress
        return
    if not progress or _Spoken.quiet:
        yield None
        return
    from rich.console import Console

    console = Console(stderr=True)
    if not console.is_terminal:
        yield None
        return
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    rate = TextColumn("{task.fields[rate]}")
    columns = (TextColumn(title), BarColumn(), MofNCompleteColumn(), rate, TimeRemainingColumn())
    with interrupts.orderly, Progress(*columns, console=console, transient=True) as bar:
        task = bar.add_task(title, total=None, rate="")

        def report(done: int, total: int) -> None:
            interrupts.check()
            speed = bar.tasks[0].speed
            bar.update(task, completed=done, total=total, rate=f"{speed:,.0f}/s" if speed else "")

        yield report
