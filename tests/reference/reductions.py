"""Operators over whole axes: reductions, running totals and normalisation."""

import math

from tests.reference.core import (
    ALL,
    Dep,
    Reads,
    assemble,
    axes_of,
    axis_of,
    empty_like,
    operator,
    rank,
    replaced,
    require,
    shape_of,
)
from tests.reference.shape import drop_axes

REDUCTIONS = ["sum", "mean", "max", "min", "prod", "norm", "logsumexp", "any", "all"]


def whole_axes(x: Dep, axes: list[int]) -> Dep:
    """Every element reads all elements that differ from it only along the axes."""
    return assemble(shape_of(x), x.shape[-1], lambda o: [(x, tuple(ALL if a in axes else i for a, i in enumerate(o)))])


def count_along(x: Dep, axes: list[int]) -> int:
    """Number of elements over the axes."""
    return math.prod(x.shape[a] for a in axes)


@operator("layer_norm")
def layer_norm(attrs: dict, x: Dep) -> Dep:
    """Every element reads its group; a constant for a group of one."""
    axes = axes_of(attrs.get("axes", [-1]), rank(x))
    return empty_like(x) if count_along(x, axes) == 1 else whole_axes(x, axes)


@operator("rms_norm", "l2_normalize")
def rms_norm(attrs: dict, x: Dep) -> Dep:
    """Every element reads its group."""
    return whole_axes(x, axes_of(attrs.get("axes", [-1]), rank(x)))


@operator("group_norm")
def group_norm(attrs: dict, x: Dep) -> Dep:
    """Every element reads its channel group at all positions; a constant for a group of one element."""
    groups = attrs["groups"]
    require(groups > 0 and x.shape[0] % groups == 0, "group_norm: channels must divide")
    size = x.shape[0] // groups
    if size * math.prod(shape_of(x)[1:]) == 1:
        return empty_like(x)
    return assemble(shape_of(x), x.shape[-1], lambda o: [(x, (slice(o[0] // size * size, (o[0] // size + 1) * size),))])


@operator("instance_norm")
def instance_norm(attrs: dict, x: Dep) -> Dep:
    """Every element reads its channel; a constant for a channel of one element."""
    return layer_norm({"axes": list(range(1, rank(x)))}, x)


@operator("local_response_norm")
def local_response_norm(attrs: dict, x: Dep) -> Dep:
    """Every element reads a window of neighbouring channels at its pixel."""
    size = attrs["size"]

    def reads(o: tuple) -> Reads:
        return [(x, (slice(max(o[0] - size // 2, 0), o[0] + (size - 1) // 2 + 1), *o[1:]))]

    return assemble(shape_of(x), x.shape[-1], reads)


@operator(*REDUCTIONS)
def reduce(attrs: dict, x: Dep) -> Dep:
    """The reduced element reads its group."""
    axes = axes_of(attrs.get("axes"), rank(x))
    out = x.any(axis=tuple(axes), keepdims=True) if axes else x.copy()
    return out if attrs.get("keepdims", False) else drop_axes(out, axes)


@operator("std", "var")
def deviation(attrs: dict, x: Dep) -> Dep:
    """As every reduction; over one element a constant."""
    out = reduce(attrs, x)
    return empty_like(out) if count_along(x, axes_of(attrs.get("axes"), rank(x))) == 1 else out


@operator("argmax", "argmin")
def arg_reduction(attrs: dict, x: Dep) -> Dep:
    """The position of the maximum reads the whole axis; a constant over one element."""
    axis = axis_of(attrs.get("axis", -1), rank(x))
    out = reduce({"axes": axis, "keepdims": attrs.get("keepdims", False)}, x)
    return empty_like(out) if x.shape[axis] == 1 else out


@operator("cumsum", "cumprod", "cummax", "cummin", "logcumsumexp")
def cumulative(attrs: dict, x: Dep) -> Dep:
    """Element i reads elements up to i (after i if reversed, without i if exclusive)."""
    axis, exclusive = axis_of(attrs["axis"], rank(x)), attrs.get("exclusive", False)

    def reads(o: tuple) -> Reads:
        i = o[axis]
        before, after = slice(0, i + (not exclusive)), slice(i + exclusive, None)
        return [(x, replaced(o, axis, after if attrs.get("reverse", False) else before))]

    return assemble(shape_of(x), x.shape[-1], reads)
