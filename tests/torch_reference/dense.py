"""Operators that mix whole axes, in torch."""

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional

from tests.torch_reference.core import weight


def attention(a: dict, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """Scaled dot-product attention; rows without an allowed key are zero."""
    allowed = torch.ones(q.shape[-2], k.shape[-2], dtype=torch.bool)
    if a.get("mask") is not None:
        allowed = torch.tensor(a["mask"])
    elif a.get("causal", False) and k.shape[-2] > 0:
        return functional.scaled_dot_product_attention(q, k, v, is_causal=True)
    if a.get("causal", False):
        allowed = allowed & torch.ones_like(allowed).tril()
    some = allowed.any(1)
    out = functional.scaled_dot_product_attention(q, k, v, attn_mask=allowed | ~some[:, None])
    return out * some[:, None]


def recurrent(a: dict, x: Tensor) -> Tensor:
    """nn.LSTM, nn.GRU, nn.RNN; backward is forward on the reversed sequence."""
    direction = a.get("direction", "forward")
    cls = {"lstm": torch.nn.LSTM, "gru": torch.nn.GRU, "rnn": torch.nn.RNN}[a.get("mode", "lstm")]
    both = direction == "bidirectional"
    net = cls(x.shape[1], a["hidden_size"], a.get("num_layers", 1), bidirectional=both, dtype=torch.float64)
    for p in net.parameters():
        p.data = weight(*p.shape)
    x = x / x.shape[1]  # no saturation
    return net(x.flip(0))[0].flip(0) if direction == "backward" else net(x)[0]


def squeeze_excitation(a: dict, x: Tensor) -> Tensor:
    """A gate from two 1x1 convolutions on the global mean."""
    hidden = torch.relu(weight(a["squeeze_channels"], x.shape[0]) @ x.flatten(1).mean(1))
    gate = torch.sigmoid(weight(x.shape[0], a["squeeze_channels"]) @ hidden)
    return x * gate.reshape(-1, *[1] * (x.ndim - 1))


def layer_norm(a: dict, x: Tensor) -> Tensor:
    """Layer norm over any axes."""
    axes = a.get("axes", [-1])
    return (x - x.mean(axes, True)) / (x.var(axes, False, True) + 0.1).sqrt()


def group_norm(groups: int, x: Tensor) -> Tensor:
    """functional.group_norm; by hand for groups of one element, which it refuses."""
    return (x - x) if x.numel() == groups else functional.group_norm(x[None], groups, eps=0.1)[0]


def axes_of(a: dict, x: Tensor) -> list[int]:
    """Reduced axes."""
    axes = a.get("axes")
    return list(range(x.ndim)) if axes is None else [axes] if isinstance(axes, int) else axes


def reduction(op: str) -> Callable:
    """A reduction by torch's function."""

    def run(a: dict, x: Tensor) -> Tensor:
        axes, keep = axes_of(a, x), a.get("keepdims", False)
        if op == "prod":
            for axis in sorted((i % x.ndim for i in axes), reverse=True):
                x = x.prod(axis, keepdim=keep)
            return x
        simple = {"sum": torch.sum, "mean": torch.mean, "max": torch.amax, "min": torch.amin}
        if op in simple:
            return simple[op](x, axes, keepdim=keep)
        if op in ("std", "var"):
            variance = x.var(axes, False, keep)
            return variance if op == "var" else (variance + 0.1).sqrt()
        return x.logsumexp(axes, keep) if op == "logsumexp" else x.square().sum(axes, keepdim=keep).sqrt()

    return run


def cumulative(op: str) -> Callable:
    """A cumulative operator; exclusive by a shift with a constant."""

    def run(a: dict, x: Tensor) -> Tensor:
        axis = a["axis"]
        x = x.flip(axis) if a.get("reverse", False) else x
        y = getattr(torch, op)(x, axis)
        y = y[0] if op in ("cummax", "cummin") else y
        if a.get("exclusive", False):
            n = x.shape[axis]
            y = torch.cat([torch.zeros_like(y.narrow(axis, 0, min(n, 1))), y.narrow(axis, 0, max(n - 1, 0))], axis)
        return y.flip(axis) if a.get("reverse", False) else y

    return run


def channels_linear(a: dict, x: Tensor) -> Tensor:
    """functional.linear."""
    return functional.linear(x, weight(a["out_features"], x.shape[-1]))


def dynamic_gather(a: dict, x: Tensor, index: Tensor) -> Tensor:
    """Any elements of the axis."""
    return x.index_select(a["axis"], (index * 1000).long() % x.shape[a["axis"]]) + 0 * index.sum()


def grid_sample(a: dict, x: Tensor, grid: Tensor) -> Tensor:
    """functional.grid_sample at positions within the image."""
    return functional.grid_sample(x[None], (grid - 1)[None], align_corners=False)[0]


def keep(a: dict, axes: list, x: Tensor, op: Callable) -> Tensor:
    """Global pooling."""
    return op(x, axes, keepdim=a.get("keepdims", True))
