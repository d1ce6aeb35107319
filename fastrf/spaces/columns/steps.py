"""Step: what one operator of a skeleton, or a short sequence of them, reads along the spatial axes.

Column programs of search spaces are written with these constructors (see `columns`, which exports them); `states`
applies them. Channels are not looked at: a step acts on a map whose channels have been mixed.
"""

from __future__ import annotations

from collections.abc import Sequence as ListOf
from dataclasses import dataclass
from typing import TypeVar

from fastrf.errors import NetworkError

__all__ = ["Branches", "Sequence", "Step", "Whole", "Window", "branches", "conv", "crop", "identity", "pool"]

Entry = TypeVar("Entry", int, int | tuple[int, int])
Ints = int | tuple[int, ...]
Pairs = int | tuple[int | tuple[int, int], ...]


class Step:
    """One operator or short sequence of operators of a skeleton. Frozen and hashable; equal steps are equal."""

    __slots__ = ()


@dataclass(frozen=True, slots=True)
class Window(Step):
    """A sliding window; `layers` layers of the tally begin at its input (see `columns.Columns.apply`)."""

    kernel: Ints
    stride: Ints = 1
    padding: Pairs = 0
    dilation: Ints = 1
    layers: int = 0


@dataclass(frozen=True, slots=True)
class Sequence(Step):
    """One step after another; of none, the map as it is."""

    steps: tuple[Step, ...] = ()


@dataclass(frozen=True, slots=True)
class Branches(Step):
    """What any of the steps reads, all on the same map."""

    steps: tuple[Step, ...]


@dataclass(frozen=True, slots=True)
class Whole(Step):
    """Every position reads the whole map, and itself."""


def conv(kernel: Ints, stride: Ints = 1, padding: Pairs = 0, dilation: Ints = 1, *, layers: int = 0) -> Step:
    """A convolution: output `o` reads `o stride - padding + t dilation` for `0 <= t < kernel`.

    Everything is an integer or a tuple with one entry per spatial axis; an entry of `padding` may be a pair `(before,
    after)`. `layers=1` counts it as a layer where `Columns.apply` tallies.
    """
    return Window(_frozen(kernel), _frozen(stride), _frozen(padding), _frozen(dilation), layers)


def pool(kernel: Ints, stride: Ints | None = None, padding: Pairs = 0) -> Step:
    """A pooling window of either kind, which reads what a convolution reads; the stride is the kernel by default."""
    return conv(kernel, kernel if stride is None else stride, padding)


def crop(before: Ints, after: Ints = 0) -> Step:
    """The map without its first `before` and last `after` rows and columns: `x[before:]`. Negative: padded."""
    first, last = ((part,) if isinstance(part, int) else tuple(part) for part in (before, after))
    n = max(len(first), len(last))
    pairs = zip(per_axis(first, n), per_axis(last, n), strict=True)
    return Window(1, 1, tuple((-a, -b) for a, b in pairs))


def sequence(*steps: Step) -> Step:
    """Steps one after another, the first one on the map."""
    flat: list[Step] = []
    for step in steps:
        flat.extend(step.steps if isinstance(step, Sequence) else (step,))
    return flat[0] if len(flat) == 1 else Sequence(tuple(flat))


def branches(*steps: Step) -> Step:
    """The union of what several steps read of the same map; all give the same size."""
    if not steps:
        raise NetworkError("branches() needs at least one step; for no dependency choose None")
    return steps[0] if len(steps) == 1 else Branches(tuple(dict.fromkeys(steps)))


def whole() -> Step:
    """Every position reads the whole map, too, as where a squeeze-and-excitation gate multiplies it."""
    return Whole()


#: The map as it is.
identity: Step = Sequence()


def _frozen(value: Ints | Pairs | ListOf[int]) -> Ints:
    if isinstance(value, int):
        return value
    return tuple(_frozen(item) if isinstance(item, list | tuple) else item for item in value)  # type: ignore[misc]


def per_axis(value: Entry | tuple[Entry, ...], n: int) -> tuple[Entry, ...]:
    """One entry for each of `n` axes. Raises NetworkError where there are more or fewer."""
    entries = value if isinstance(value, tuple) else (value,)
    if len(entries) not in (1, n):
        raise NetworkError(f"a step with {value} does not fit {n} spatial axes; give one entry, or one per axis")
    return entries * n if len(entries) == 1 else entries
