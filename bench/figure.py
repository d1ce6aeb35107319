"""A measured figure beside its target."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Figure"]


@dataclass(frozen=True)
class Figure:
    """What was measured, the target in words, and whether it is met (None: nothing to compare with)."""

    what: str
    target: str
    measured: str
    met: bool | None
