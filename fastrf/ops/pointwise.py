"""Operators that act on every element by itself, with one input or several."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from fastrf.engine import axis_map as maps
from fastrf.engine.axis_map import AxisMap
from fastrf.engine.paired import some_pairs
from fastrf.engine.recipe import Tensor
from fastrf.engine.relation import Relation
from fastrf.errors import ShapeError
from fastrf.ops.arguments import Ints, integers
from fastrf.ops.dense import affine_cost, broadcast_shape
from fastrf.ops.registry import operator
from fastrf.ops.truths import Truths

__all__ = ["elementwise", "pointwise"]

UNARY = (
    "relu relu6 leaky_relu prelu rrelu elu selu celu gelu silu hardswish hardsigmoid hardtanh sigmoid "
    "tanh softplus softsign mish glu_gate exp log sqrt rsqrt square abs neg clip dropout identity pow "
    "sign floor ceil round erf sin cos tan reciprocal logical_not cast"
).split()
PRODUCTS = ("mul", "div")
OTHERS = ("add", "sub", "maximum", "minimum", "where", "elementwise", "compare", "logical_and", "logical_or")
N_ARY = (*PRODUCTS, *OTHERS)


@operator(*UNARY, paths="sum", role="pointwise")
@operator("batch_norm", paths="sum", cost=affine_cost, role="pointwise")
def pointwise(x: Tensor) -> Tensor:
    """A function of one element: it reads the element itself.

    `batch_norm` is one: its statistics are frozen when a network is used.
    """
    return x


@operator(*PRODUCTS, paths="sum", product=True, role="pointwise")
@operator(*OTHERS, paths="sum", role="pointwise")
def elementwise(*parts: Tensor) -> Tensor:
    """A function of elements at one place, broadcast by NumPy's rules: it reads all of its inputs there.

    Channels are where they are in the inputs that are not broadcast; where those disagree, on the first such axis.
    Without, they are on an axis of another input that is not broadcast itself: an axis of 1 tells nothing of others.
    """
    shape = broadcast_shape([part.shape for part in parts])
    same = [part.broadcast_to(shape) for part in parts]
    whole = [part.channel_axis for part in parts if part.shape == shape]
    told = [axis for axis in whole if axis is not None]
    told = told or [axis for axis in map(_told, parts, same) if axis is not None and (shape[axis] > 1 or not whole)]
    return same[0].union(*same[1:]).with_channel(min(told, default=None))


def _told(part: Tensor, wide: Tensor) -> int | None:
    """The channel axis of a broadcast input, unless that axis was broadcast."""
    old, new = part.channel_axis, wide.channel_axis
    return None if old is None or new is None or part.shape[old] != wide.shape[new] else new


@operator(paths="sum", role="pointwise")
def constant(x: Tensor, *, shape: Ints) -> Tensor:
    """A tensor of a given shape that depends on nothing; `x` only says on what it might.

    With the shape of `x` it has its channels, too.
    """
    found = x.reduce().broadcast_to(integers(shape, "shape", 0)).nothing()
    return found.with_channel(x.channel_axis) if found.shape == x.shape else found


@operator(paths="sum", role="pointwise")
def keep(x: Tensor, *, mask: Sequence[Any], axes: Ints) -> Tensor:
    """Elements where a constant mask over some axes is true; the others become constants.

    `mask` is a nested list of booleans with one level per axis in `axes`.
    """
    listed = [x.axis(a) for a in integers(axes, "axes")]
    kept = np.array(mask, bool)
    if kept.shape != tuple(x.shape[a] for a in listed):
        raise ShapeError(f"a mask of shape {kept.shape} does not fit axes {listed} of shape {x.shape}")
    rest = [a for a in range(x.ndim) if a not in listed]
    order = [*listed, *rest]
    moved = x.permute(order)
    places = mask.once("kept", lambda: _kept(kept)) if isinstance(mask, Truths) else _kept(kept)
    flat = moved.reshape([kept.size, *[x.shape[a] for a in rest]]).map_axis(0, places)
    back = flat.reshape(moved.shape).permute([order.index(a) for a in range(x.ndim)])
    return back.with_channel(x.channel_axis)


def _kept(mask: npt.NDArray[np.bool_]) -> AxisMap:
    """The elements of a table, in order, of which some read nothing."""
    if mask.ndim == 2:
        return maps.from_relation(some_pairs(Relation.from_mask(mask)))
    return maps.take(mask.size, np.where(mask.ravel(), np.arange(mask.size), -1))
