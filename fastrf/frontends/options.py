"""What users say of a source beside its shape; every front-end gets it as one value."""

from __future__ import annotations

import numbers
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from types import EllipsisType
from typing import Any

from fastrf.errors import NetworkError, ShapeError

__all__ = ["DEFAULTS", "MASK_BELOW", "ChannelAxis", "Options", "plain_shape"]

#: A finite constant at most this, added to what a softmax reads, excludes its place.
MASK_BELOW = -1e6

ChannelAxis = int | None | EllipsisType | Mapping[str, int | None]


@dataclass(frozen=True)
class Options:
    """Options of `fastrf.load`; `channel_axis` is `...` where it is left to a guess.

    With `trust`, a `.pt2` file may run code.
    """

    channel_axis: ChannelAxis = ...
    values: Mapping[str, Any] = field(default_factory=dict)
    mask_below: float = MASK_BELOW
    on_unsupported: str = "raise"
    trust: bool = False
    capture: str = "auto"

    def __post_init__(self) -> None:
        """Raise NetworkError for what no option can be."""
        if self.on_unsupported not in ("raise", "full"):
            raise NetworkError(f"on_unsupported must be 'raise' or 'full', not {self.on_unsupported!r}")
        if self.capture not in ("auto", "record", "export"):
            raise NetworkError(f"capture must be 'auto', 'record' or 'export', not {self.capture!r}")
        below = self.mask_below
        if isinstance(below, bool) or not isinstance(below, int | float) or not below < 0:
            raise NetworkError(f"mask_below must be a number below 0, such as -1e6 or -math.inf, not {below!r}")
        if not isinstance(self.values, Mapping) or not all(isinstance(name, str) for name in self.values):
            raise NetworkError(f"values must map names of inputs to values, not {str(self.values)[:60]!r}")
        axis = self.channel_axis
        axes = axis.values() if isinstance(axis, Mapping) else [axis]
        if not all(one is None or one is ... or type(one) is int for one in axes):
            raise ShapeError(f"channel_axis must be an axis, None, or a mapping by input name, not {axis!r}")

    @property
    def full(self) -> bool:
        """Whether operators without a rule are over-approximated."""
        return self.on_unsupported == "full"

    def axis_of(self, name: str, shape: tuple[int, ...]) -> int | EllipsisType | None:
        """The channel axis that is given for an input (its shape without the batch); `...` where none is.

        Raises ShapeError for an axis that the input has not.
        """
        given = self.channel_axis.get(name, ...) if isinstance(self.channel_axis, Mapping) else self.channel_axis
        if given is None or given is ...:
            return given
        if not -len(shape) <= given < len(shape):
            raise ShapeError(f"channel_axis {given} of input {name!r} is not an axis of {shape} (without the batch)")
        return given % len(shape)

    def check_names(self, names: Iterable[str]) -> None:
        """Raise ShapeError where `channel_axis` names what is no input."""
        known = list(names)
        unknown = (
            [name for name in self.channel_axis if name not in known] if isinstance(self.channel_axis, Mapping) else []
        )
        if unknown:
            raise ShapeError(f"channel_axis names {unknown[0]!r}, which is no input; the inputs are {', '.join(known)}")


#: Nothing said.
DEFAULTS = Options()


def plain_shape(given: Any, rank: int | None = None) -> Any:
    """An input shape without the batch: an array stands for its own, a leading 1 before `rank` numbers for a batch.

    Raises ShapeError for a number alone.
    """
    if isinstance(given, Mapping):
        return {name: plain_shape(item) for name, item in given.items()}
    if isinstance(given, numbers.Integral):
        raise ShapeError(f"input_shape={given} is one number; give every axis, such as (3, {given}, {given})")
    found = tuple(given.shape) if len(getattr(given, "shape", ())) > 1 else given
    batch = found is not given or (isinstance(found, list | tuple) and len(found) - 1 == rank)
    return found[1:] if batch and found[0] == 1 else found
