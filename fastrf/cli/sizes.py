"""The command `fastrf sizes`, which `fastrf.cli.commands` registers."""

from __future__ import annotations

from typing import Annotated

import typer

from fastrf.cli.options import Printed, Source, option
from fastrf.errors import UsageError

__all__ = ["sizes"]

_Text = str | None
_WITHIN = "List the sizes from START to before STOP only."
_FOR = "Say which size gives an output of this length, e.g. 388, or 388x404 for each axis."
_FITS = "Say whether a size fits, e.g. 570, or 570x572 for each axis, and where not; exit code 1 if it does not."

_EVEN = "Take only sizes at which every layer with a stride gets a whole multiple of it."


def sizes(
    source: Source,
    printed: Printed,
    within: Annotated[_Text, option(_WITHIN, "--within", metavar="START:STOP")] = None,
    wanted: Annotated[_Text, option(_FOR, "--for", metavar="LENGTH")] = None,
    even: Annotated[bool, option(_EVEN, "--even")] = False,
    tried: Annotated[_Text, option(_FITS, "--fits", metavar="SIZE")] = None,
) -> None:
    """Which sizes of the input fit a network: the smallest, all of them, and the one for an output.

    They are solved from the shapes of the layers, for each spatial axis.

    `fastrf sizes unet_valid --for 388` or `fastrf sizes net.toml --within 500:700 --fits 570`
    """
    form = printed.form
    output, size = _lengths(wanted, "--for"), _lengths(tried, "--fits")
    answer = source.sizes(_range(within))
    table = (answer.evenly if even else answer).table_of(output, size)
    printed.table(table, form)
    if not (table.head or {}).get("fits", True):
        raise typer.Exit(1)


def _whole(text: str, separator: str, said: str) -> list[int]:
    parts = text.split(separator)
    if not all(part.isascii() and part.isdigit() and len(part) < 20 for part in parts):
        raise UsageError(said)
    return [int(part) for part in parts]


def _lengths(text: _Text, name: str) -> int | list[int] | None:
    if text is None:
        return None
    found = _whole(text.lower(), "x", f"{name} {text[:40]!r} is no size; write 572, or 572x588 for each axis")
    return found if len(found) > 1 else found[0]


def _range(text: _Text) -> tuple[int, int] | None:
    if text is None:
        return None
    said = f"--within {text[:40]!r} is no range; write START:STOP such as 1:701"
    found = _whole(text, ":", said)
    if len(found) != 2:
        raise UsageError(said)
    return found[0], found[1]
