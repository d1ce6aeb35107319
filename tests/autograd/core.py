"""Supports of tensors, and the tables of ATen operators, for `linearise`."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils import _pytree as pytree

Args = dict[str, Any]
Handler = Callable[[Any, Args], Any]
HANDLERS: dict[str, Handler] = {}


#: A constant at most this counts as minus infinity where it is added to scores.
EXCLUDES = -1e6


class UnknownOperatorError(NotImplementedError):
    """An operator on input-dependent tensors has no surrogate."""


# --------------------------------------------------------------------------------------------- supports


class Support(torch.autograd.Function):
    """Reduces a value to {0, 1, -inf} and the gradient flowing back to {0, 1}."""

    @staticmethod
    def forward(ctx: Any, value: Tensor) -> Tensor:
        """Keep where the value is zero, and where it is minus infinity."""
        excluded = value <= EXCLUDES
        result = (value != 0).to(torch.float64)
        ctx.excluded = excluded if bool(excluded.any()) else None
        return result if ctx.excluded is None else result.masked_fill_(excluded, -torch.inf)

    @staticmethod
    def backward(ctx: Any, *gradients: Any) -> Tensor:
        """Keep where the gradient is positive; constants (-inf) pass nothing on."""
        gradient = gradients[0]
        if not bool((gradient >= 0).all()):
            raise ArithmeticError("a surrogate has a negative or undefined Jacobian entry")
        result = (gradient > 0).to(torch.float64)
        return result if ctx.excluded is None else result.masked_fill_(ctx.excluded, 0)


def dependent(value: Any) -> bool:
    """Whether a value is a tensor that the input reaches."""
    return isinstance(value, Tensor) and value.requires_grad


def settle(value: Any) -> Any:
    """Apply `Support` to every dependent tensor of a node's value."""
    return pytree.tree_map(lambda v: Support.apply(v) if dependent(v) else v, value)


def support(value: Any) -> Tensor:
    """The support of an operand as a constant float64 tensor; what excludes is -inf."""
    value = value.detach() if isinstance(value, Tensor) else torch.tensor(value)
    result = (value != 0).to(torch.float64)
    return result.masked_fill_(value <= EXCLUDES, -torch.inf) if value.is_floating_point() else result


def factor(value: Any) -> Tensor:
    """The support of a factor: a finite number, however low, is one."""
    value = value.detach() if isinstance(value, Tensor) else torch.tensor(value)
    return ((value != 0) & ~value.isneginf()).to(torch.float64)


def finite(x: Tensor) -> Tensor:
    """The tensor with excluded elements as zeros without gradient."""
    excluded = x.detach().isneginf()
    return x.masked_fill(excluded, 0.0) if bool(excluded.any()) else x


def multilinear(function: Callable[..., Tensor], *operands: Any) -> Tensor:
    """Surrogate of a product: the sum over dependent operands with all others replaced by their supports."""
    others = [factor(v) for v in operands]
    terms = [function(*others[:i], finite(v), *others[i + 1 :]) for i, v in enumerate(operands) if dependent(v)]
    return sum(terms[1:], terms[0]) if terms else function(*others)


def mixed(x: Tensor, dim: int, *, logarithm: bool) -> Tensor:
    """Softmax: couples what is not excluded along the axis; a single allowed element gives a constant."""
    allowed = ~x.detach().isneginf()
    coupled = allowed & (allowed.sum(dim, keepdim=True) > 1)
    total = finite(x).sum(dim, keepdim=True).expand(x.shape)  # a sum holds the element itself
    rest = torch.where(allowed, 0.0, -torch.inf) if logarithm else allowed
    return torch.where(coupled, total + 1, rest.to(torch.float64))


# --------------------------------------------------------------------------------------------- tables


def words(text: str) -> list[str]:
    """Names separated by blanks."""
    return text.split()


# linear with a non-negative Jacobian: run as they are
PASSED = words(
    """
    _reshape_copy as_strided
    adaptive_avg_pool1d adaptive_avg_pool2d adaptive_avg_pool3d alias avg_pool1d avg_pool2d avg_pool3d broadcast_to
    cat channel_shuffle chunk clone col2im concat constant_pad_nd contiguous cumsum diag_embed diagonal
    expand expand_as fill flatten flip hstack im2col index_add index_copy lift_fresh
    lift_fresh_copy masked_fill mean meshgrid movedim narrow native_channel_shuffle pad permute pixel_shuffle
    pixel_unshuffle reflection_pad1d reflection_pad2d reflection_pad3d repeat repeat_interleave replication_pad1d
    replication_pad2d replication_pad3d roll rot90 scatter scatter_add select select_scatter slice slice_scatter split
    split_with_sizes squeeze stack sum swapaxes t take_along_dim tensor_split tile transpose tril triu unbind
    unflatten unfold unsqueeze view_as_real vstack
    """
)

# depend on the same element of each (broadcast) operand
POINTWISE = words(
    """
    abs absolute acos acosh add asin asinh atan atan2 atanh ceil celu clamp clip clamp_max clamp_min cos cosh elu
    erf erfc erfinv exp exp2 expm1 floor floor_divide fmax fmin fmod frac gelu hardshrink hardsigmoid hardswish
    hardtanh hypot leaky_relu lerp log log10 log1p log2 log_sigmoid logaddexp logit maximum minimum mish nan_to_num
    neg negative pow prelu reciprocal relu relu6 remainder round rrelu rsqrt rsub selu sigmoid sign silu sin sinc
    sinh softplus softshrink softsign sqrt square sub subtract tan tanh tanhshrink threshold trunc
    """
)

# as POINTWISE, of type bool
PREDICATES = words(
    """
    bitwise_and bitwise_not bitwise_or bitwise_xor eq ge gt isclose isfinite isinf isnan isneginf isposinf le
    logical_and logical_not logical_or logical_xor lt ne signbit
    """
)

# take only shapes
CONSTANTS = words(
    """
    empty_like full_like zero is_nonzero new_empty new_full new_ones new_zeros ones_like rand_like randn_like sym_numel
    sym_size sym_stride zeros_like
    """
)

SKIPPED = words(
    """
    _assert_async _assert_scalar _assert_tensor_metadata sym_constrain_range sym_constrain_range_for_size
    """
)
CASTS = words(
    """
    _to_copy alpha_dropout detach dropout feature_dropout native_dropout to type_as
    """
)


def handles(*names: str) -> Callable[[Handler], Handler]:
    """Register a surrogate for the named ATen operators (without overload)."""

    def register(handler: Handler) -> Handler:
        HANDLERS.update(dict.fromkeys(names, handler))
        return handler

    return register


def bind(op: Any, args: Sequence[Any], kwargs: Args) -> Args:
    """All arguments of an operator by their names in its schema, with defaults."""
    bound = {}
    for position, argument in enumerate(op._schema.arguments):
        if position < len(args):
            bound[argument.name] = args[position]
        elif argument.name in kwargs:
            bound[argument.name] = kwargs[argument.name]
        else:
            bound[argument.name] = argument.default_value
    return bound


def first(args: Args) -> Any:
    """The first operand, whatever its name."""
    return next(iter(args.values()))


def axes_of(args: Args, ndim: int) -> list[int]:
    """The reduced axes, non-negative."""
    dim = args.get("dim")
    dims = range(ndim) if dim is None or dim == [] else [dim] if isinstance(dim, int) else dim
    return sorted(d % max(ndim, 1) for d in dims)


def extent(x: Tensor, axes: Iterable[int]) -> int:
    """The number of elements over some axes."""
    return int(np.prod([x.shape[a] for a in axes], dtype=np.int64)) if x.ndim else 1
