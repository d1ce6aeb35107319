"""Names of files as they can be shown."""

from __future__ import annotations

__all__ = ["printable"]

#: Longer names are cut.
MAX_SHOWN = 200


def printable(name: str | bytes) -> str:
    """A name that can be shown: control characters escaped, long ones cut."""
    name = name.decode("utf-8", "replace") if isinstance(name, bytes) else name
    shown = "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in name[:MAX_SHOWN])
    return shown if len(name) <= MAX_SHOWN else f"{shown}…"
