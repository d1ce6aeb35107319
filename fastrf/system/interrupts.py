"""Ctrl-C and its kin on the command line: whatever it is doing, the process ends quietly and leaves nothing half made.

`fastrf.__main__` calls `watch` before anything heavy is imported, so this module imports next to nothing. A signal ends
the process where it stands: an exception in the middle of an import, or of a library's callback, is lost or comes out
as another one. Only blocks that have something to put in order (`orderly`) are left by KeyboardInterrupt first. Where
fastrf is used as a library no handler is installed, and KeyboardInterrupt is Python's own.
"""

from __future__ import annotations

import atexit
import contextlib
import os
import signal
import sys
import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path
    from types import FrameType

__all__ = ["check", "leftovers", "orderly", "stopping", "watch"]

#: Signals that ask a process to end, as far as the system has them.
SIGNALS = ("SIGINT", "SIGTERM", "SIGHUP")
#: Seconds within which a second signal is the first one again: what started a process often passes signals on to it.
SAME = 0.5
_SHOW_CURSOR = b"\x1b[?25h"

#: Files that are being written under another name; they vanish with the process.
leftovers: set[Path] = set()

_blocks: list[object] = []
_number = 0
_again = 0.0


class _Orderly:
    """A block that a signal leaves by KeyboardInterrupt; when the outermost one is left, the process ends."""

    def __enter__(self) -> None:
        _blocks.append(self)

    def __exit__(self, *raised: object) -> None:
        _blocks.pop()
        if _number and not _blocks:
            _end()


orderly = _Orderly()


def watch() -> None:
    """Let signals end this process with exit code 128 + their number; those that are ignored stay so."""
    _handle(_stop)
    atexit.register(_handle, signal.SIG_IGN)  # runs last, when all is done and Python takes itself apart


def _handle(handler: Callable[[int, FrameType | None], None] | signal.Handlers) -> None:
    for name in SIGNALS:
        number = getattr(signal, name, None)
        if number is not None and signal.getsignal(number) != signal.SIG_IGN:
            signal.signal(number, handler)


def stopping() -> bool:
    """Whether a signal came: nothing needs to be waited for."""
    return _number != 0


def check() -> None:
    """Raise KeyboardInterrupt again where a library has swallowed it."""
    if _number:
        raise KeyboardInterrupt


def _stop(number: int, _: FrameType | None) -> None:
    global _number, _again
    if _number and time.monotonic() < _again:
        return
    is_first, _number, _again = not _number, number, time.monotonic() + SAME
    if not (is_first and _blocks):
        _end()
    sys.unraisablehook = lambda _: None  # what is lost in a callback would be printed
    raise KeyboardInterrupt


def _end() -> None:
    for path in list(leftovers):
        with contextlib.suppress(OSError):  # it has its name already
            path.unlink()
    if os.isatty(2):
        os.write(2, _SHOW_CURSOR)
    os._exit(128 + _number)
