"""A progress bar with rate and time left, on a terminal only."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator

__all__ = ["shown"]


@contextlib.contextmanager
def shown(progress: bool | Callable[[int, int], None]) -> Iterator[Callable[[int, int], None] | None]:
    """What to call with the rows done and their number: the caller's own, a bar on stderr's terminal, or nothing."""
    if callable(progress):
        yield progress
        return
    if not progress:
        yield None
        return
    from rich.console import Console

    console = Console(stderr=True)
    if not console.is_terminal:
        yield None
        return
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    rate = TextColumn("{task.fields[rate]}")
    columns = (TextColumn("sweep"), BarColumn(), MofNCompleteColumn(), rate, TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True) as bar:
        task = bar.add_task("sweep", total=None, rate="")

        def report(done: int, total: int) -> None:
            speed = bar.tasks[0].speed
            bar.update(task, completed=done, total=total, rate=f"{speed:,.0f}/s" if speed else "")

        yield report
