"""A model and what it is given; a library of models."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

__all__ = ["Case", "Library", "merged"]

Shape = tuple[int, ...]


@dataclass(frozen=True)
class Case:
    """A module, its inputs as `fastrf.analyze` takes them, and which of these is asked for; `own`: at its own size."""

    model: Any
    given: Any
    values: Mapping[str, Any] = field(default_factory=dict)
    wrt: str | None = None
    own: Callable[[], Case] | None = None

    @property
    def told(self) -> str:
        """The shapes of the inputs, in few characters."""
        shapes = self.given.values() if isinstance(self.given, Mapping) else [self.given]
        return ", ".join("x".join(str(n) for n in _shape(one)) for one in shapes)


def _shape(given: Any) -> Shape:
    return tuple(given.shape[1:]) if hasattr(given, "shape") else tuple(given)


@dataclass(frozen=True)
class Library:
    """Models by name; `cases` gives one model at inputs from small to its own, until one is accepted.

    The page tells `title` and `note`; `neurons` are compared of each model.
    """

    title: str
    names: Callable[[], list[str]]
    cases: Callable[[str], Iterator[Case]]
    neurons: int = 24
    note: str = ""


def merged(*settings: Mapping[str, Any]) -> dict[str, Any]:
    """Settings, later ones first."""
    return {key: value for one in settings for key, value in one.items()}
