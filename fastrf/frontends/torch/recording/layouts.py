"""What results look like, where that is known without running an operator, and where it is not.

Kernels and devices choose in which order some results lie in memory. `reshape` shares it or does not, as strides allow:
who writes to its result then writes to both tensors, or to one.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
import torch.utils._pytree as pytree

from fastrf.frontends.torch.names import CONVOLUTIONS, NORMS, ROUNDS, SUMS
from fastrf.frontends.torch.recording.tensors import Contents, Unfollowed, twin

__all__ = ["LAID_OUT", "all_plain", "by_ones", "joined", "lay_out", "like_first", "tie"]

#: Operators of which kernels choose the strides of the result, unless arguments are laid out plainly.
LAID_OUT = CONVOLUTIONS | NORMS | {"scaled_dot_product_attention"}
#: Operators whose results share memory or not.
_MAY_SHARE = frozenset(("reshape", "contiguous", "flatten", "ravel"))


def all_plain(tensors: Sequence[torch.Tensor]) -> bool:
    """Whether all tensors are laid out plainly."""
    return all(map(_is_plain, tensors))


def lay_out(name: str, plainly: bool, sources: Sequence[Contents], made: Contents) -> bool:
    """Note of a result whether its strides are unsure, and whether it may share memory; whether they are."""
    if name in LAID_OUT:
        made.unsure |= not plainly or name == "scaled_dot_product_attention"
    if name not in SUMS or name in CONVOLUTIONS:
        made.unsure |= any(source.unsure for source in sources)
    tie(name, [*sources, made])
    return made.unsure


def tie(name: str, contents: Sequence[Contents]) -> None:
    """Note of arguments and result that they may share memory."""
    if name in _MAY_SHARE and any(one.unsure for one in contents):
        for one in contents:
            one.tied = True


def _is_plain(tensor: torch.Tensor) -> bool:
    step = 1
    for size, stride in zip(reversed(tensor.shape), reversed(tensor.stride()), strict=True):
        if stride != step:
            return False
        step *= max(size, 1)
    return True


#: Operators whose result is as large as their first argument, which must fit those that are named.
_KEEPS_SHAPE = frozenset(("batch_norm", "instance_norm"))


def like_first(name: str, args: Any) -> torch.Tensor | None:
    """A result of which the first arguments surely tell what it looks like; torch takes long to find out, or fails."""
    x, *rest = args
    if name == "_grouped_mm" and x.dim() == 2 and rest[0].dim() == 3:  # without data it takes half precision alone
        return torch.empty(x.shape[0], rest[0].shape[2], dtype=x.dtype, device="meta")
    fits = all(not isinstance(t, torch.Tensor) or t.shape == x.shape[1:2] for t in rest[:4])
    if name not in ROUNDS and not (fits and name in _KEEPS_SHAPE):
        return None
    return twin(x) if x.is_contiguous() else torch.empty_like(x)


def joined(parts: Sequence[torch.Tensor], dim: Any = 0) -> torch.Tensor | None:
    """Contiguous tensors of one type joined along an axis, along which alone they differ; likewise."""
    axes = parts[0].dim()
    if dim not in range(-axes, axes) or not all(part.is_contiguous() for part in parts):
        return None
    axis = dim % axes
    around = {(part.dtype, part.shape[:axis], part.shape[axis + 1 :]) for part in parts}
    if len(around) > 1:
        return None
    dtype, before, after = around.pop()
    return torch.empty((*before, sum(part.shape[axis] for part in parts), *after), dtype=dtype, device="meta")


def by_ones(operator: Any, args: Any, kwargs: Any) -> Any:
    """What an operator without an implementation for shapes makes of ones, which it may divide by."""
    if any(result.alias_info is not None for result in operator._schema.returns):
        raise Unfollowed(f"{operator} tells no shape")
    ones = pytree.tree_map_only(torch.Tensor, lambda t: torch.ones(t.size(), dtype=t.dtype), (args, kwargs))
    try:
        return pytree.tree_map_only(torch.Tensor, twin, operator(*ones[0], **ones[1]))
    except (NotImplementedError, RuntimeError) as error:
        raise Unfollowed(f"{operator} tells no shape") from error
