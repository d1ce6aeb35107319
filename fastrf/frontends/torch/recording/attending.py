"""FlexAttention spelled out for a recording run: its functions of scores and places, for all places at once."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from typing import Any

import torch

from fastrf.frontends.torch.recording.tensors import Recorded, Unfollowed

__all__ = ["flex_attention"]

_Mod = Callable[..., torch.Tensor]
#: Runs a function on plain tensors, unrecorded.
_Plainly = Callable[[Callable[[], Any]], Any]


def flex_attention(
    plainly: _Plainly,
    q: torch.Tensor,
    k: torch.Tensor,
    v: torch.Tensor,
    score: _Mod,
    blocks: Any,
    scale: float,
    *_: Any,
) -> tuple[torch.Tensor, ...]:
    """The output, the logarithms of the sums and (from PyTorch 2.9 on) the largest scores, as the operator has them.

    Raises Unfollowed where a function does not mean the same for all places at once, or a mask is sparser than its
    function says.
    """
    batch, heads, *_rest = q.shape
    k, v = (t.repeat_interleave(heads // t.shape[1], 1) if t.shape[1] != heads else t for t in (k, v))
    lengths = (batch, heads, q.shape[2], k.shape[2])
    places = [torch.arange(n).reshape([-1 if axis == own else 1 for axis in range(4)]) for own, n in enumerate(lengths)]
    allowed = blocks[-1](*places)
    plainly(lambda: _compare_masks(blocks, lengths, places, allowed))
    plainly(lambda: _compare_scores(score, lengths, places))
    scores = score(torch.matmul(q, k.transpose(-2, -1)) * scale, *places).masked_fill(~allowed, -torch.inf)
    result = torch.matmul(scores.softmax(-1), v)
    if plainly(lambda: _keeps(score)):
        result = torch.nn.functional.scaled_dot_product_attention(q, k, v, attn_mask=allowed, scale=scale)
    largest = (scores.amax(-1),) if hasattr(torch.nn.attention.flex_attention, "AuxOutput") else ()
    return result, scores.logsumexp(-1), *largest


def _keeps(score: _Mod) -> bool:
    """Whether a function of scores gives them back."""
    one = torch.zeros(())
    return score(one, *(torch.zeros((), dtype=torch.long) for _ in range(4))) is one


def _one_by_one(function: _Mod, scored: bool) -> _Mod:
    """A function of one score and one place, for all of them."""
    first = (0,) if scored else ()
    for axis in reversed(range(4)):
        function = torch.vmap(function, in_dims=(*first, *(0 if axis == own else None for own in range(4))))
    return function


def _plain_items() -> Any:
    """A mode in which a table may be read at a place that is one of many; PyTorch 2.5 can only do without."""
    with contextlib.suppress(ImportError):
        from torch._dynamo._trace_wrapped_higher_order_op import TransformGetItemToIndex

        return TransformGetItemToIndex()
    return contextlib.nullcontext()


def _compare_masks(blocks: Any, lengths: Sequence[int], places: Sequence[torch.Tensor], allowed: torch.Tensor) -> None:
    if isinstance(allowed, Recorded):
        raise Unfollowed("a mask function of flex_attention reads what the input reaches")
    with _plain_items():
        own = _one_by_one(blocks[-1], scored=False)(*(place.reshape(-1) for place in places))
    if not torch.equal(own.expand(tuple(lengths)), allowed.expand(tuple(lengths))):
        raise Unfollowed("a mask function of flex_attention does not act place by place")
    if (own & ~_kept(blocks, own)).any():
        raise Unfollowed("a block mask of flex_attention leaves out what its mask function keeps")


def _kept(blocks: Any, like: torch.Tensor) -> torch.Tensor:
    """Which places are in blocks that are computed."""
    tables = [item for item in blocks[:-1] if item is None or isinstance(item, torch.Tensor)][:4]
    rows, columns = [item for item in blocks[:-1] if isinstance(item, int)][-2:]
    kept = torch.zeros(like.shape, dtype=torch.bool)
    for counts, indices in (tables[:2], tables[2:]):
        if counts is None or indices is None:
            continue
        for b, h, row in counts.nonzero().tolist():
            batch, head = (
                slice(None) if n == 1 else slice(i, i + 1) for i, n in zip((b, h), counts.shape[:2], strict=True)
            )
            for column in indices[b, h, row, : int(counts[b, h, row])].tolist():
                kept[batch, head, row * rows : (row + 1) * rows, column * columns : (column + 1) * columns] = True
    return kept


def _compare_scores(score: _Mod, lengths: Sequence[int], places: Sequence[torch.Tensor]) -> None:
    """On scores that are drawn; what is equal here is for all."""
    generator = torch.Generator().manual_seed(0)
    drawn = torch.rand(tuple(lengths), generator=generator)
    with _plain_items():
        own = _one_by_one(score, scored=True)(drawn, *(place.reshape(-1) for place in places))
    if not torch.allclose(own, score(drawn, *places).expand(own.shape), equal_nan=True):
        raise Unfollowed("a score function of flex_attention does not act place by place")
