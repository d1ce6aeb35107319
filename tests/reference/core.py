"""What every reference operator is made of: boolean dependency arrays, index sets and the table of operators.

A tensor is represented by a boolean array `dep` of shape (*tensor_shape, N): dep[i] is the set of the N elements of
the origin that element i depends on. An operator maps (attributes, *input deps) to its output's dep.
"""

from collections.abc import Callable, Iterable

import numpy as np

Dep = np.ndarray
Reads = Iterable[tuple[Dep, tuple]]
ALL = slice(None)

#: The definition of every operator by name.
OPERATORS: dict[str, Callable[..., Dep]] = {}


def operator(*names: str) -> Callable[[Callable[..., Dep]], Callable[..., Dep]]:
    """Make a function the definition of the named operators."""

    def register(function: Callable[..., Dep]) -> Callable[..., Dep]:
        OPERATORS.update(dict.fromkeys(names, function))
        return function

    return register


def shape_of(x: Dep) -> tuple[int, ...]:
    """Shape of the tensor a dependency array stands for."""
    return x.shape[:-1]


def rank(x: Dep) -> int:
    """Number of tensor axes."""
    return x.ndim - 1


def require(condition: bool, message: str) -> None:
    """Raise ValueError for an invalid spec."""
    if not condition:
        raise ValueError(message)


def table_of(attrs: dict, shape: tuple[int, ...]) -> np.ndarray:
    """Where a weight of this shape is used; axes of 1 stand for all."""
    return np.broadcast_to(np.array(attrs.get("used", True), bool), shape)


def axis_of(axis: int, ndim: int) -> int:
    """A non-negative axis number."""
    require(-ndim <= axis < ndim, f"axis {axis} out of range for {ndim} axes")
    return axis % ndim


def axes_of(axes: int | list | None, ndim: int) -> list[int]:
    """Sorted non-negative axes; None means all."""
    if axes is None:
        return list(range(ndim))
    return sorted(axis_of(a, ndim) for a in ([axes] if isinstance(axes, int) else axes))


def per_axis(value: float | list | None, count: int) -> list:
    """One value per spatial axis."""
    values = list(value) if isinstance(value, (list, tuple)) else [value] * count
    require(len(values) == count, f"{count} spatial axes, but got {value}")
    return values


def assemble(shape: Iterable[int], width: int, reads: Callable[[tuple], Reads]) -> Dep:
    """The definition: element o depends on the union of what reads(o) = (tensor, index) pairs depend on."""
    shape = tuple(shape)
    require(all(s >= 0 for s in shape), f"negative size in {shape}")
    out = np.zeros((*shape, width), dtype=bool)
    if width == 0:  # only the shape is wanted
        return out
    for o in np.ndindex(*shape):
        for x, index in reads(o):
            part = x[index]
            out[o] |= part.any(axis=tuple(range(part.ndim - 1)))
    return out


def replaced(index: tuple, axis: int, value: int | slice) -> tuple:
    """The index with one entry replaced."""
    return (*index[:axis], value, *index[axis + 1 :])


def empty_like(x: Dep) -> Dep:
    """A constant tensor: depends on nothing."""
    return np.zeros_like(x)


def border(j: int, n: int, mode: str) -> int | None:
    """The source position of (possibly out-of-range) position j on an axis of size n; None for a constant."""
    if 0 <= j < n:
        return j
    if mode in ("zeros", "constant"):
        return None
    if mode == "reflect":
        return -j if j < 0 else 2 * (n - 1) - j
    if mode == "symmetric":
        return -1 - j if j < 0 else 2 * n - 1 - j
    if mode == "replicate":
        return 0 if j < 0 else n - 1
    if mode == "circular":
        return j % n
    raise ValueError(f"unknown padding mode {mode}")


def check_border(n: int, before: int, after: int, mode: str) -> None:
    """Raise ValueError where a padding mode cannot be applied."""
    if mode in ("zeros", "constant") or (before, after) == (0, 0):
        return
    limit = {"reflect": n - 1, "replicate": before + after if n else -1}.get(mode, n)
    require(0 <= before <= limit and 0 <= after <= limit, f"{mode} padding {before, after} too large for size {n}")
