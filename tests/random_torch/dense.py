"""Steps of random PyTorch networks: products, attention, normalisation, recurrence, reductions."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

from tests.random_torch.core import Draw, Function, op, shifted
from tests.random_torch.windows import named, spatial


@op
def linear(d: Draw, x: Tensor, y: Tensor) -> Function | None:
    return d.module(nn.Linear(x.shape[-1], d.between(1, 5), bias=d.chance()))


class MaskedWeight(nn.Module):
    """A parameter times a constant mask."""

    def __init__(self, mask: Tensor) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(mask.shape))
        self.register_buffer("mask", mask)

    def forward(self) -> Tensor:
        return self.weight * self.mask


@op
def masked_weight(d: Draw, x: Tensor, y: Tensor) -> Function | None:
    kind = d.pick(["linear", "left", "einsum", "conv", "scale"])
    n = x.shape[-2] if kind == "left" and x.ndim > 1 else x.shape[-1]
    rank = spatial(x)
    if kind == "conv" and rank:
        shape = (d.between(1, 3), x.shape[1], *(d.between(1, min(3, side)) for side in x.shape[2:]))
        m = d.module(MaskedWeight(d.floats(shape, 0.5)))
        convolve = getattr(functional, f"conv{rank}d")
        return lambda x: convolve(x, m())
    m = d.module(MaskedWeight(d.floats((d.between(1, 4), n) if kind != "scale" else (n,), 0.5)))
    if kind == "left":
        return (lambda x: m() @ x) if x.ndim > 1 else None
    if kind == "einsum":
        return lambda x: torch.einsum("...i,oi->...o", x, m())
    return (lambda x: x * m()) if kind == "scale" else lambda x: functional.linear(x, m())


@op
def matmul(d: Draw, x: Tensor, y: Tensor) -> Function | None:
    if x.ndim < 2:
        return None
    kind = d.pick(["nt", "tn", "bmm", "vector", "parameter"])
    if kind == "nt":
        return lambda x, y: shifted(x) @ shifted(y).transpose(-1, -2)
    if kind == "tn":
        return lambda x, y: torch.matmul(shifted(x).transpose(-1, -2), shifted(y))
    if kind == "bmm":
        return (lambda x, y: torch.bmm(shifted(x), shifted(y).mT)) if x.ndim == 3 else None
    if kind == "vector":
        return lambda x, y: shifted(x) @ shifted(y).flatten()[: x.shape[-1]]
    m = d.module(nn.Linear(x.shape[-2], 3, bias=False))
    return lambda x: m.weight @ x


@op
def einsum(d: Draw, x: Tensor, y: Tensor) -> Function | None:
    equations = {
        3: ["bij,bkj->bik", "bij,bik->bjk", "bij,bij->bj", "bij,bkj->ik", "bij,bij->bij", "...i,...i->..."],
        4: ["bchw,bdhw->bcd", "bchw,bcvw->bhvc", "...ij,...kj->...ik", "bchw,bchw->bwc", "bchw->bhc"],
    }
    if x.ndim not in equations:
        return None
    equation = d.pick(equations[x.ndim])
    if "," not in equation:
        return lambda x: torch.einsum(equation, x)
    return lambda x, y: torch.einsum(equation, shifted(x), shifted(y))


def attention_mask(d: Draw, heads: int, t: int, s: int) -> Tensor | None:
    """A bool, -inf or finite mask; each row lets at least one key through."""
    kind = d.pick([None, "bool", "inf", "finite"])
    if kind is None:
        return None
    shape = (t, s) if d.chance() else (1, d.pick([1, heads]), t, s)
    allowed = d.mask(shape, 0.6)
    allowed[..., d.between(0, s - 1)] |= ~allowed.any(-1)
    if kind == "bool":
        return allowed
    return torch.zeros(shape).masked_fill(~allowed, -torch.inf if kind == "inf" else -3.0)


@op
def attention(d: Draw, x: Tensor, y: Tensor) -> Function | None:
    if x.ndim not in (3, 4) or x.shape[0] != 1:
        return None
    tokens = math.prod(x.shape[1:-1])
    if tokens > 30:
        return None
    width = x.shape[-1]
    heads, by_hand = d.pick([1, 2]), d.chance(0.4)
    q, k, v = (d.module(nn.Linear(width, 2 * heads)) for _ in range(3))
    fewer = d.between(1, tokens) if d.chance(0.3) else tokens
    mask = attention_mask(d, heads, tokens, fewer)
    held = None if mask is None else d.hold(mask)
    causal = mask is None and d.chance()

    def split(m: nn.Module, x: Tensor, most: int) -> Tensor:
        return m(x.reshape(1, -1, width))[:, :most].unflatten(-1, (heads, 2)).transpose(1, 2)

    def run(x: Tensor) -> Tensor:
        a, b, c = split(q, x, tokens), split(k, y, fewer), split(v, x, fewer)
        given = None if held is None else held.value
        if by_hand:
            scores = a @ b.transpose(-1, -2) / 1.4
            if given is not None:
                scores = scores.masked_fill(~given, -torch.inf) if given.dtype == torch.bool else scores + given
            if causal:
                scores = scores + torch.full(scores.shape[-2:], -torch.inf).triu(1)
            mixed = scores.softmax(-1) @ c
        else:
            mixed = functional.scaled_dot_product_attention(a, b, c, given, is_causal=causal)
        return mixed.transpose(1, 2).flatten(2)

    return run


@op
def multihead(d: Draw, x: Tensor, y: Tensor) -> Function | None:
    if x.ndim != 3 or x.shape[0] != 1 or x.shape[1] > 20 or x.shape[2] % 2:
        return None
    m = d.module(nn.MultiheadAttention(x.shape[-1], 2, batch_first=True))
    weights = d.chance()
    return lambda x, y: m(x, y, y, need_weights=weights)[0]


@op
def softmax(d: Draw, x: Tensor, y: Tensor) -> Function | None:
    axis = d.axis(x)
    kind = d.pick(["plain", "log", "masked", "filled"])
    if kind == "plain":
        return lambda x: x.softmax(axis)
    if kind == "log":
        return lambda x: x.log_softmax(axis)
    allowed = d.mask(x.shape[1:], 0.6).unsqueeze(0)
    allowed.select(axis, 0)[...] = True
    if kind == "filled":
        held = d.hold(~allowed)
        return lambda x: x.masked_fill(held.value, -torch.inf).softmax(axis)
    held = d.hold(torch.zeros(allowed.shape).masked_fill(~allowed, -torch.inf))
    return lambda x: (x + held.value).softmax(axis)


@op
def norm(d: Draw, x: Tensor, y: Tensor) -> Function | None:
    kind = d.pick(["layer", "group", "instance", "batch", "rms", "unit", "response"])
    if kind in ("layer", "rms"):
        shape = list(x.shape)[-d.between(1, max(x.ndim - 1, 1)) :]
        m = d.module(nn.LayerNorm(shape) if kind == "layer" else nn.RMSNorm(shape))
        return lambda x: m(shifted(x))
    if kind == "unit":
        axis = d.axis(x)
        return lambda x: functional.normalize(shifted(x), dim=axis)
    if not spatial(x):
        return None
    c = x.shape[1]
    if kind == "response":
        size = d.between(1, 3)
        return lambda x: functional.local_response_norm(shifted(x).contiguous(), size)
    if kind == "group":
        groups = d.divisor(c)
        if c // groups * math.prod(x.shape[2:]) == 1:
            return None
        m = nn.GroupNorm(groups, c)
    elif kind == "instance":
        frozen = d.chance(0.3)
        if not frozen and math.prod(x.shape[2:]) == 1:
            return None
        m = named("InstanceNorm", spatial(x))(c, affine=d.chance(), track_running_stats=frozen)
    else:
        m = named("BatchNorm", spatial(x))(c, affine=d.chance())
    d.module(m)
    return m


@op
def squeeze_excite(d: Draw, x: Tensor, y: Tensor) -> Function | None:
    if x.ndim < 3:
        return None
    c = x.shape[1]
    down, up = d.module(nn.Linear(c, 2)), d.module(nn.Linear(2, c))
    axes = list(range(2, x.ndim))
    shape = (x.shape[0], c, *[1] * len(axes))
    return lambda x: shifted(x) * up(down(x.mean(axes)).relu()).sigmoid().view(shape)


@op
def recurrent(d: Draw, x: Tensor, y: Tensor) -> Function | None:
    if x.ndim < 3 or x.shape[0] != 1 or math.prod(x.shape[1:-1]) > 20:
        return None
    batch_first = d.chance()
    kind = d.pick([nn.LSTM, nn.GRU, nn.RNN])
    m = d.module(kind(x.shape[-1], 2, d.between(1, 2), batch_first=batch_first, bidirectional=d.chance()))
    width, state = x.shape[-1], d.chance(0.3)

    def run(x: Tensor) -> Tensor:
        output, last = m(x.reshape((1, -1, width) if batch_first else (-1, 1, width)))
        return (last[0] if isinstance(last, tuple) else last) if state else output

    return run


@op
def reduction(d: Draw, x: Tensor, y: Tensor) -> Function | None:
    axes = d.some(range(1, x.ndim)) if x.ndim > 1 else [0]
    keep, name = d.chance(), d.pick(["mean", "sum", "amax", "amin", "std", "logsumexp", "norm", "max", "prod"])
    if name == "std":
        return lambda x: x.std(axes, correction=0, keepdim=keep)
    if name == "norm":
        return lambda x: torch.linalg.vector_norm(x, dim=axes, keepdim=keep)
    if name == "max":
        return lambda x: x.max(axes[0], keepdim=keep)[0]
    if name == "prod":
        return lambda x: x.prod(axes[0], keepdim=keep)
    return lambda x: getattr(torch, name)(x, axes, keepdim=keep)


@op
def cumsum(d: Draw, x: Tensor, y: Tensor) -> Function | None:
    axis = d.axis(x)
    return (lambda x: x.flip(axis).cumsum(axis).flip(axis)) if d.chance(0.3) else lambda x: x.cumsum(axis)
