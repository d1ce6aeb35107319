"""Attribute values as users write them, checked and brought to one form per spatial axis."""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from typing import NamedTuple, TypeAlias

from fastrf.engine.recipe import Tensor
from fastrf.errors import NetworkError, ShapeError

__all__ = [
    "Ints",
    "Padding",
    "Window",
    "in_groups",
    "integer",
    "integers",
    "one_of",
    "per_axis",
    "rearranged",
    "spatial_axes",
    "windows",
]

#: No attribute may be larger: index arithmetic stays within 64 bits.
MAX_INTEGER = 1 << 40

Ints: TypeAlias = int | Sequence[int]
Padding: TypeAlias = int | str | Sequence[int] | Sequence[Sequence[int]]


def integer(value: object, name: str, low: int | None = None) -> int:
    """One integer, at least `low` and at most 2^40 away from 0."""
    if isinstance(value, bool) or not isinstance(value, int):
        raise NetworkError(f"{name} must be an integer, not {repr(value)[:60]}")
    if abs(value) > MAX_INTEGER:
        raise NetworkError(f"{name} is beyond 2**40; use a smaller number")
    if low is not None and value < low:
        raise NetworkError(f"{name} must be at least {low}, not {value}")
    return value


def integers(value: object, name: str, low: int | None = None) -> list[int]:
    """One integer or a list of them, as a list."""
    return [integer(item, name, low) for item in (value if isinstance(value, list | tuple) else [value])]


def per_axis(value: object, n: int, name: str, low: int | None = None) -> list[int]:
    """One integer for all of `n` spatial axes, or one for each."""
    values = integers(value, name, low) * (1 if isinstance(value, list | tuple) else n)
    if len(values) != n:
        raise NetworkError(f"{name} has {len(values)} values for {n} axes; give one, or one per axis")
    return values


def one_of(value: object, known: Collection[str], name: str) -> None:
    """Raise NetworkError unless a word is a known one."""
    if value not in known:
        raise NetworkError(f"{name} {value!r} is unknown; use one of {', '.join(known)}")


def spatial_axes(x: Tensor) -> range:
    """The axes after the channel axis, which is the first one of a feature map."""
    if x.ndim < 2:
        raise ShapeError(f"a feature map of channels and at least one spatial axis is needed, not shape {x.shape}")
    return range(1, x.ndim)


class Window(NamedTuple):
    """How a window slides along one axis."""

    kernel: int
    stride: int
    before: int
    after: int
    dilation: int

    @property
    def reach(self) -> int:
        """Inputs from the first tap to the last."""
        return self.dilation * (self.kernel - 1) + 1

    def count(self, size: int, *, ceil: bool = False) -> int:
        """How many fit an axis; with `ceil`, a last one that starts inside the input or the padding before it."""
        room = size + self.before + self.after - self.reach
        if room < 0 and not (ceil and room > -self.stride):
            raise ShapeError(
                f"kernel {self.kernel}{f' with dilation {self.dilation}' if self.dilation > 1 else ''} does not fit "
                f"input {size} with padding {self.before if self.before == self.after else (self.before, self.after)}; "
                "enlarge input_shape or the padding"
            )
        count = (-(-room // self.stride) if ceil else room // self.stride) + 1
        return count - 1 if ceil and (count - 1) * self.stride >= size + self.before else count


def windows(sizes: Sequence[int], kernel_size: Ints, stride: Ints, padding: Padding, dilation: Ints) -> list[Window]:
    """The window of each spatial axis; padding is an int, a list, pairs, "same", "same_lower", "causal" or "valid".

    Two numbers for one axis are a pair.
    """
    n = len(sizes)
    kernel, steps = per_axis(kernel_size, n, "kernel_size", 1), per_axis(stride, n, "stride", 1)
    found = [Window(k, s, 0, 0, d) for k, s, d in zip(kernel, steps, per_axis(dilation, n, "dilation", 1), strict=True)]
    if isinstance(padding, str):
        pairs = [_same(window, size, padding) for window, size in zip(found, sizes, strict=True)]
    elif (
        n == 1 and isinstance(padding, list | tuple) and len(padding) == 2 and not isinstance(padding[0], list | tuple)
    ):
        pairs = [integers(padding, "padding", 0)]
    elif isinstance(padding, list | tuple) and any(isinstance(item, list | tuple) for item in padding):
        if len(padding) != n:
            raise NetworkError(f"padding has {len(padding)} pairs for {n} spatial axes; give one per axis")
        pairs = [per_axis(item, 2, "padding", 0) for item in padding]
    else:
        pairs = [[p, p] for p in per_axis(padding, n, "padding", 0)]
    return [window._replace(before=b, after=a) for window, (b, a) in zip(found, pairs, strict=True)]


def _same(window: Window, size: int, padding: str) -> list[int]:
    """What a padding in words is on one axis."""
    if padding == "causal":
        return [window.reach - 1, 0]
    if padding not in ("valid", "same", "same_lower"):
        said = "use an int, pairs, 'valid', 'same', 'same_lower' or 'causal'"
        raise NetworkError(f"padding {padding!r} is unknown; {said}")
    total = max((-(-size // window.stride) - 1) * window.stride + window.reach - size, 0) * (padding != "valid")
    less, more = total // 2, total - total // 2
    return [less, more] if padding == "same" else [more, less]


def in_groups(x: Tensor, groups: int) -> tuple[int, int]:
    """The number of groups that channels come in, and the channels of each."""
    parts = integer(groups, "groups", 1)
    if x.ndim < 1 or x.shape[0] % parts:
        raise ShapeError(f"{parts} groups do not divide the channels of shape {x.shape}")
    return parts, x.shape[0] // parts


def rearranged(x: Tensor, factors: Sequence[Sequence[int]], order: Sequence[Sequence[int]]) -> Tensor:
    """Axes cut into factors, and put together anew: which factors, numbered through all axes, make each new axis."""
    sizes = [size for axis in factors for size in axis]
    moved = x.reshape(sizes).permute([k for axis in order for k in axis])
    return moved.reshape([math.prod(sizes[k] for k in axis) for axis in order])
