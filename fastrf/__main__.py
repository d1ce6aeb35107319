"""The command `fastrf`, and `python -m fastrf`: signals and streams first, everything heavy after that."""

from __future__ import annotations

import os
import sys

from fastrf.system import interrupts

__all__ = ["main"]


def main() -> None:
    """Run the command line of this process; see `fastrf.cli.commands.main`."""
    interrupts.watch()
    _open_streams()
    from fastrf.cli.commands import main as run

    run()


def _open_streams() -> None:
    """Standard streams that are there, and show every character.

    A stream that was closed is opened anew, or the next file would take its number: input and errors are empty, and
    writing output fails as it should.
    """
    for number, (name, flags) in enumerate((("stdin", os.O_RDONLY), ("stdout", os.O_RDONLY), ("stderr", os.O_WRONLY))):
        if getattr(sys, name) is None:
            taken = os.open(os.devnull, flags)
            if taken != number:
                os.dup2(taken, number)
            mode = "r" if name == "stdin" else "w"
            setattr(sys, name, open(number, mode, encoding="utf-8", closefd=False))  # noqa: SIM115 (stays open)
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")


if __name__ == "__main__":
    main()
