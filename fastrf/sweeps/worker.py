"""A process that evaluates parts of a sweep for the one that began it (`processes`): pickles on stdin, and back."""

from __future__ import annotations

import contextlib
import io
import os
import pickle
import signal
import sys
from typing import Any

__all__ = ["COMMAND", "serve"]

#: What such a process runs: the modules of the one that began it are found where that finds them.
COMMAND = """import sys, json
sys.path[:] = json.loads(sys.stdin.buffer.readline())
from fastrf.sweeps.worker import serve
serve()"""


def serve() -> None:
    """Answer until there are no more questions.

    The first message is `(limits, rules, modules)`; each of the others is a part, answered by `(True, rows)`, or
    `(False, why)` where it cannot be read here. Signals from the terminal are left to the process that began this one.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    source, sink = sys.stdin.buffer, os.fdopen(os.dup(1), "wb")
    sys.stdin = open(os.devnull)  # noqa: SIM115 (for what candidates read)
    with contextlib.suppress(OSError):
        os.dup2(2, 1)  # what candidates print is no answer
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(line_buffering=True)  # nor lost when the process is ended
    ready = False
    with contextlib.suppress(EOFError, BrokenPipeError):
        while True:
            message = pickle.load(source)
            try:
                given = pickle.loads(message)
                answer = (True, given.run(0, len(given))) if ready else _begin(*given)
            except Exception as error:  # whatever is not to be found here
                answer = False, f"{type(error).__name__}: {error}"
            ready = True
            pickle.dump(answer, sink, pickle.HIGHEST_PROTOCOL)
            sink.flush()


def _begin(changed: dict[str, int], rules: dict[str, Any], modules: dict[type, Any]) -> tuple[bool, Any]:
    from fastrf.budget import limits
    from fastrf.ops.rules import MODULES, RULES

    for name, value in changed.items():
        setattr(limits, name, value)
    RULES.update(rules)
    MODULES.update(modules)
    return True, None
