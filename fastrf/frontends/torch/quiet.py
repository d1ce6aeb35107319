"""Torch's own warnings and logged tracebacks, silenced: errors are told in one line.

All of this is switched for the whole process, so one thread at a time does it: what captures or traces runs in turn.
"""

from __future__ import annotations

import contextlib
import io
import logging
import os
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path

from fastrf.system.locks import process_lock

__all__ = ["quiet"]

_lock = process_lock()


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
