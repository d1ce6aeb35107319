"""Torch's own warnings and logged tracebacks, silenced: errors are told in one line.

All of this is switched for the whole process, so one thread at a time does it: what captures or traces runs in turn.
"""

from __future__ import annotations

import contextlib
import io
import logging
import os
import sys
import threading
import warnings
from collections.abc import Iterator
from pathlib import Path

__all__ = ["quiet"]

_lock = threading.RLock()


def _renew() -> None:
    """A forked process has no thread that would give the lock back."""
    global _lock
    _lock = threading.RLock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_renew)


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Nothing is logged, warned of or written to the error stream while it lasts."""
    with _lock:
        before = logging.root.manager.disable
        logging.disable(logging.CRITICAL)
        try:
            with warnings.catch_warnings(), contextlib.redirect_stderr(io.StringIO()), _no_error_stream():
                warnings.simplefilter("ignore")
                yield
        finally:
            logging.disable(before)


@contextlib.contextmanager
def _no_error_stream() -> Iterator[None]:
    """What is written past Python, as torch's operators do, goes nowhere."""
    try:
        kept = os.dup(2)
    except OSError:  # there is no such stream
        yield
        return
    try:
        if sys.__stderr__ is not None:
            sys.__stderr__.flush()
        with Path(os.devnull).open("w") as nothing:
            os.dup2(nothing.fileno(), 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
