"""Attribute values as users write them, checked and brought to one form per spatial axis."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

from fastrf.engine.recipe import Tensor
from fastrf.errors import NetworkError, ShapeError

__all__ = ["Ints", "Padding", "integer", "integers", "paddings", "per_axis", "spatial_axes", "window_output"]

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
    if isinstance(value, list | tuple):
        return [integer(item, name, low) for item in value]
    return [integer(value, name, low)]


def per_axis(value: object, n: int, name: str, low: int | None = None) -> list[int]:
    """One integer for all of `n` spatial axes, or one for each."""
    values = integers(value, name, low)
    if not isinstance(value, list | tuple):
        values *= n
    if len(values) != n:
        raise NetworkError(f"{name} has {len(values)} values for {n} axes; give one, or one per axis")
    return values


def spatial_axes(x: Tensor) -> range:
    """The axes after the channel axis, which is the first one of a feature map."""
    if x.ndim < 2:
        raise ShapeError(f"a feature map of channels and at least one spatial axis is needed, not shape {x.shape}")
    return range(1, x.ndim)


def paddings(
    value: object, sizes: Sequence[int], kernel: Sequence[int], stride: Sequence[int], dilation: Sequence[int]
) -> list[tuple[int, int]]:
    """Padding before and after each spatial axis, from an int, a list, pairs, "same", "same_lower" or "valid"."""
    n = len(sizes)
    if isinstance(value, str):
        if value == "valid":
            return [(0, 0)] * n
        if value not in ("same", "same_lower"):
            raise NetworkError(f"padding {value!r} is unknown; use an int, pairs, 'valid', 'same' or 'same_lower'")
        pairs = []
        for size, k, s, d in zip(sizes, kernel, stride, dilation, strict=True):
            total = max((-(-size // s) - 1) * s + d * (k - 1) + 1 - size, 0)
            half = total // 2
            pairs.append((half, total - half) if value == "same" else (total - half, half))
        return pairs
    if isinstance(value, list | tuple) and any(isinstance(item, list | tuple) for item in value):
        if len(value) != n:
            raise NetworkError(f"padding has {len(value)} pairs for {n} spatial axes; give one per axis")
        both = [per_axis(item, 2, "padding", 0) for item in value]
        return [(before, after) for before, after in both]
    return [(p, p) for p in per_axis(value, n, "padding", 0)]


def window_output(
    size: int, kernel: int, stride: int, pads: tuple[int, int], dilation: int, *, ceil: bool = False
) -> int:
    """How many windows fit an axis; with `ceil`, a last one that starts inside the input or the padding before it."""
    before, after = pads
    room = size + before + after - dilation * (kernel - 1) - 1
    if room < 0:
        raise ShapeError(
            f"kernel {kernel}{f' with dilation {dilation}' if dilation > 1 else ''} does not fit input {size} "
            f"with padding {before if before == after else pads}; enlarge input_shape or the padding"
        )
    count = (-(-room // stride) if ceil else room // stride) + 1
    return count - 1 if ceil and (count - 1) * stride >= size + before else count
