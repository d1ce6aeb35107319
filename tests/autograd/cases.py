"""Small modules, one per operator or habit, for tests of the PyTorch front-end and of the oracle.

`CASES` maps a name to (input shape with batch, function, its submodules); every neuron of each is compared.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn

__all__ = ["CASES", "Weighted", "Wrapped", "module"]


class Wrapped(nn.Module):
    """A function, perhaps with a parameter list, as a module."""

    def __init__(self, function: Callable[..., Tensor], *parts: nn.Module) -> None:
        super().__init__()
        self.function, self.parts = function, nn.ModuleList(parts)

    def forward(self, x: Tensor) -> Tensor:
        return self.function(x, *self.parts)


class Weighted(nn.Module):
    """A function of the input and of parameters of given shapes."""

    def __init__(self, function: Callable[..., Tensor], *shapes: tuple[int, ...]) -> None:
        super().__init__()
        self.function = function
        self.weights = nn.ParameterList([nn.Parameter(torch.ones(shape)) for shape in shapes])

    def forward(self, x: Tensor) -> Tensor:
        return self.function(x, *self.weights)


def slices(x):
    y = x.clone()
    y[:, :, 1:4:2] += x[:, :, :2]
    y[:, 0, 2] = 0
    return y


def rotate(x):
    t = torch.arange(x.shape[-2])[:, None] * torch.tensor([0.3, 0.7])
    a, b = x.chunk(2, -1)
    return torch.cat([a * t.cos() - b * t.sin(), a * t.sin() + b * t.cos()], -1)


def masked_attention(x, mask):
    return F.scaled_dot_product_attention(x, x.flip(-1), x.roll(1, -2), attn_mask=mask)


def rectangular(x):
    return F.scaled_dot_product_attention(x[:, :, :3], x[..., :4], x[..., :2], is_causal=True)


def unfold_fold(x):
    columns = F.unfold(x, 3, dilation=2, padding=2)[:, :, ::2].repeat_interleave(2, 2)
    return F.fold(columns, (6, 5), 3, dilation=2, padding=2)


def standardised(x, m):
    return F.conv2d(x, m.weight - m.weight.mean((1, 2, 3), keepdim=True))


def autocast(x):
    with torch.autocast("cpu", enabled=False):
        y = x * 2
    return x + y.float().sum(-1, keepdim=True)


def module(name):
    """The case's module, in evaluation mode."""
    _, function, *parts = CASES[name]
    return Wrapped(function, *parts).eval()


def windows(x):
    """Windows merged into the batch, as in Swin."""
    return F.pad(x, (0, 1, 0, 0)).unflatten(3, (2, 3)).unflatten(2, (2, 3)).permute(0, 2, 4, 1, 3, 5).flatten(0, 2)


def merged(x, conv, norm):
    """A convolution over windows in the batch."""
    return norm(conv(windows(x))).unflatten(0, (1, 2, 2)).permute(0, 3, 1, 4, 2, 5).flatten(4).flatten(2, 3)


def written(x):
    """Several in-place writes, some through views."""
    y = torch.zeros_like(x)
    y[:, 1:3] = x[:, :2]
    y[:, :, -1] = x[:, :, 0]
    y[:, 3].copy_(x[:, 0] * 2)
    z = y.view(1, -1)
    z[:, ::7] += 1
    z[:, 2:4].zero_()
    return y


def heads(x):
    """A mask that differs by head."""
    mask = torch.stack([torch.ones(5, 5).tril(), torch.ones(5, 5).triu()]).bool()
    return F.scaled_dot_product_attention(x, x.flip(-1), x, attn_mask=mask)


def masked_by_hand(x):
    """masked_fill(-inf), softmax, product."""
    scores = (x @ x.flip(-1).mT).masked_fill(~torch.ones(5, 5, dtype=torch.bool).tril(), -torch.inf)
    return scores.softmax(-1) @ x


def finite_by_hand(x):
    """masked_fill(-1e4): a number that ordinary scores overcome excludes nothing."""
    scores = (x @ x.flip(-1).mT).masked_fill(~torch.ones(5, 5, dtype=torch.bool).tril(), -1e4)
    return scores.softmax(-1) @ x


def scaled_fill(x):
    """Products with tables of zeros and ones."""
    mask = torch.zeros(6, 5)
    mask[1:4, ::2] = 1
    return x * mask + x.roll(1, 2) * (1 - mask)


def shifted(x):
    """A cyclic shift there and back, with pooling between."""
    y = torch.roll(x, (-1, 2), (2, 3))
    return torch.roll(F.avg_pool2d(y, 3, 1, 1), (1, -2), (2, 3))


def final_states(x, rnn):
    """All final states."""
    states = rnn(x)[1]
    return torch.cat(states, 0) if isinstance(states, tuple) else states


HALF = torch.rand(5, 5, generator=torch.Generator().manual_seed(3)) > 0.5
HALF[2] = False
HALF[2, 4] = HALF[0, :2] = True  # row 2: one key
INF = torch.zeros(5, 5).masked_fill(~HALF, -torch.inf)
BIG = torch.zeros(5, 5).masked_fill(~HALF, -3.0)
P, S, T = (1, 4, 6, 5), (1, 5, 4), (1, 2, 5, 4)
GRID = torch.rand(1, 3, 3, 2) * 2 - 1

CASES: dict[str, tuple] = {
    "conv": (P, lambda x, m: m(x), nn.Conv2d(4, 6, 3, stride=2, padding=1)),
    "conv groups dilated": (P, lambda x, m: m(x), nn.Conv2d(4, 6, (3, 2), padding=2, dilation=2, groups=2)),
    "conv same": (P, lambda x, m: m(x), nn.Conv2d(4, 4, 4, padding="same", groups=4)),
    "conv circular": (P, lambda x, m: m(x), nn.Conv2d(4, 2, 3, padding=1, padding_mode="circular")),
    "conv reflect": (P, lambda x, m: m(x), nn.Conv2d(4, 2, 5, padding=2, padding_mode="reflect")),
    "conv1d": ((1, 4, 9), lambda x, m: m(x), nn.Conv1d(4, 6, 3, padding=1, groups=2)),
    "conv3d": ((1, 2, 4, 4, 3), lambda x, m: m(x), nn.Conv3d(2, 2, (3, 2, 1), padding=1)),
    "conv transpose": (P, lambda x, m: m(x), nn.ConvTranspose2d(4, 6, 3, 2, 1, 1, groups=2)),
    "conv fixed zero tap": (P, lambda x: F.conv2d(x[:, :1], torch.tensor([[[[1.0, 0, -1], [2, 0, -2]]]]).to(x))),
    "conv weights computed": (P, lambda x: F.conv2d(x, x.mean((2, 3))[..., None, None].expand(2, 4, 2, 2), padding=1)),
    "max pool": (P, lambda x: F.max_pool2d(x, 3, 2, 1)),
    "max pool ceil dilated": ((1, 1, 7, 8), lambda x: F.max_pool2d(x, 2, 2, 1, dilation=2, ceil_mode=True)),
    "max pool ceil": ((1, 1, 7, 8), lambda x: F.max_pool2d(x, 3, 2, ceil_mode=True)),
    "max pool indices": (P, lambda x: F.max_pool2d(x, 2, return_indices=True)[0]),
    "max pool1d": ((1, 2, 9), lambda x: F.max_pool1d(x, 3, 2)),
    "max pool3d": ((1, 1, 4, 4, 4), lambda x: F.max_pool3d(x, 2)),
    "avg pool": (P, lambda x: F.avg_pool2d(x, 3, 2, 1, ceil_mode=True, count_include_pad=False)),
    "avg pool wider than all": ((1, 2, 3, 4), lambda x: F.avg_pool2d(x, 9, ceil_mode=True)),
    "lp pool": (P, lambda x: F.lp_pool2d(x, 2.0, 2)),
    "adaptive": (P, lambda x: F.adaptive_avg_pool2d(x, (4, 3)) + F.adaptive_max_pool2d(x, (4, 3))),
    "adaptive max1d": ((1, 2, 7), lambda x: F.adaptive_max_pool1d(x, 3)),
    "local response": ((1, 7, 2, 2), lambda x: F.local_response_norm(x + 0.3, 4)),
    "batch norm": (P, lambda x, m: m(x), nn.BatchNorm2d(4)),
    "layer norm": (S, lambda x, m: m(x), nn.LayerNorm(4)),
    "layer norm one": ((1, 5, 1), lambda x, m: m(x), nn.LayerNorm(1)),
    "group norm": (P, lambda x, m: m(x), nn.GroupNorm(2, 4)),
    "instance norm": (P, lambda x, m: m(x), nn.InstanceNorm2d(4, affine=True)),
    "rms norm": (S, lambda x, m: m(x), nn.RMSNorm(4)),
    "rms norm padded": (S, lambda x, m: m(F.pad(x, (1, 0))), nn.RMSNorm(5)),
    "normalize": (S, lambda x: F.normalize(x, dim=1)),
    "softmax": (S, lambda x: x.softmax(1)),
    "softmax one": ((1, 1, 4), lambda x: x.softmax(1) + x.log_softmax(1)),
    "softmax masked": ((1, 5, 5), lambda x: (x + INF).softmax(-1)),
    "log softmax": (S, lambda x: x.log_softmax(-1)),
    "attention": (T, lambda x: masked_attention(x, None)),
    "attention bool": (T, lambda x: masked_attention(x, HALF)),
    "attention inf": (T, lambda x: masked_attention(x, INF)),
    "attention finite": (T, lambda x: masked_attention(x, BIG)),
    "attention causal": (T, lambda x: F.scaled_dot_product_attention(x, x.flip(-1), x, is_causal=True)),
    "attention rectangular": (T, rectangular),
    "attention gqa": (T, lambda x: F.scaled_dot_product_attention(torch.cat([x, x.flip(1)], 1), x, x, enable_gqa=True)),
    "attention bias computed": (T, lambda x: masked_attention(x, x.mean((1, 3))[:, None, None, :] + INF)),
    "attention by hand": (T, lambda x: ((x @ x.flip(-1).mT) + INF).softmax(-1) @ x),
    "attention one key": (T, lambda x: F.scaled_dot_product_attention(x, x[:, :, :1], x[:, :, 1:2])),
    "multihead": (S, lambda x, m: m(x, x, x)[0], nn.MultiheadAttention(4, 2, batch_first=True)),
    "encoder layer": (S, lambda x, m: m(x), nn.TransformerEncoderLayer(4, 2, 8, 0.0, F.gelu, batch_first=True)),
    "lstm": (S, lambda x, m: m(x)[0], nn.LSTM(4, 3, batch_first=True)),
    "lstm two ways": (S, lambda x, m: m(x)[0], nn.LSTM(4, 3, 2, batch_first=True, bidirectional=True)),
    "lstm state": (S, lambda x, m: torch.cat(m(x)[1], 0), nn.LSTM(4, 3, batch_first=True, bidirectional=True)),
    "gru": (S, lambda x, m: m(x)[0], nn.GRU(4, 3, 2, batch_first=True)),
    "bilinear x2": ((1, 1, 4, 5), lambda x: F.interpolate(x, scale_factor=2, mode="bilinear")),
    "bilinear x3": ((1, 1, 4, 5), lambda x: F.interpolate(x, scale_factor=3, mode="bilinear")),
    "bilinear aligned": ((1, 1, 4, 5), lambda x: F.interpolate(x, (7, 9), mode="bilinear", align_corners=True)),
    "bilinear down": ((1, 1, 9, 8), lambda x: F.interpolate(x, (4, 3), mode="bilinear")),
    "bilinear factor": ((1, 1, 9, 8), lambda x: F.interpolate(x, scale_factor=0.7, mode="bilinear")),
    "bicubic": ((1, 1, 5, 6), lambda x: F.interpolate(x, (9, 18), mode="bicubic")),
    "bicubic aligned": ((1, 1, 5, 6), lambda x: F.interpolate(x, (9, 6), mode="bicubic", align_corners=True)),
    "bicubic down": ((1, 1, 9, 9), lambda x: F.interpolate(x, (3, 6), mode="bicubic")),
    "bicubic aa": ((1, 1, 9, 12), lambda x: F.interpolate(x, (4, 6), mode="bicubic", antialias=True)),
    "bilinear aa": ((1, 1, 9, 12), lambda x: F.interpolate(x, (4, 18), mode="bilinear", antialias=True)),
    "linear1d": ((1, 2, 5), lambda x: F.interpolate(x, 8, mode="linear")),
    "trilinear": ((1, 1, 3, 2, 4), lambda x: F.interpolate(x, (4, 4, 4), mode="trilinear")),
    "nearest": ((1, 1, 4, 5), lambda x: F.interpolate(x, (7, 3)) + F.interpolate(x, (7, 3), mode="nearest-exact")),
    "unfold fold": (P, unfold_fold),
    "tensor unfold": (P, lambda x: x.unfold(2, 3, 2)),
    "shuffles": (P, lambda x: F.pixel_unshuffle(F.channel_shuffle(F.pixel_shuffle(x, 2).repeat(1, 2, 1, 1), 2), 2)),
    "in place": (P, slices),
    "rotary": (T, rotate),
    "squeeze excite": (P, lambda x, m: x * m(x.mean((2, 3), keepdim=True)).sigmoid(), nn.Conv2d(4, 4, 1)),
    "gated": (P, lambda x: F.glu(x, 1) * F.hardswish(x[:, :2]) - F.silu(x[:, 2:]) / (2 + x[:, :2].abs())),
    "product with padding": (P, lambda x: F.pad(x, (1, 0)) * F.pad(x, (0, 1)).flip(2)),
    "product with constant": (P, lambda x: x * torch.tensor([1.0, 0.0, -2.0, 0.0, 3.0])),
    "product plus one": (P, lambda x: (1 + F.pad(x, (1, 0))) * F.pad(x, (0, 1)).flip(2)),
    "masked fill": ((1, 5, 5), lambda x: x.masked_fill(HALF, 0.0) + torch.where(HALF, x.mT, 1.0)),
    "relu of masked": ((1, 5, 5), lambda x: F.relu(x + INF) * x.flip(1) + (x + INF).exp()),
    "einsum": (T, lambda x: torch.einsum("bhqd,bhkd->bqhk", x, x.flip(2))),
    "matmul padded": (T, lambda x: F.pad(x, (0, 2)) @ F.pad(x, (2, 0)).mT),
    "matmul constant": (T, lambda x: x @ torch.tensor([[1.0, 0], [0, 1], [-1, 1], [0, 0]]).to(x)),
    "addcmul lerp": (S, lambda x: torch.addcmul(x, x.flip(1), x.flip(2)) + torch.lerp(x, x.roll(1, 1), x.roll(1, 2))),
    "baddbmm": (S, lambda x: torch.baddbmm(x[..., :1], x, x.mT)),
    "linear computed": (S, lambda x: F.linear(x, x.mean(0)[:2])),
    "cumsum flip": (S, lambda x: x.cumsum(1) + x.flip(1)),
    "reductions": (S, lambda x: torch.cat([x.amax(1), x.std(1), x.logsumexp(1), x.max(1)[0], x.norm(dim=1)], -1)),
    "variance of one": ((1, 1, 4), lambda x: x.var(1, correction=0) + x.mean(1)[:, :1]),
    "var mean": (S, lambda x: torch.cat(torch.var_mean(x, 1), -1)),
    "prod": (S, lambda x: x.prod(1)),
    "topk": (S, lambda x: x.topk(2, 1)[0]),
    "sort": (S, lambda x: x.sort(1)[0]),
    "cosine": (S, lambda x: F.cosine_similarity(x, x.roll(1, 1), dim=-1)),
    "activations": (S, lambda x: F.mish(x) + F.elu(x) + F.relu6(x * 9) + F.hardsigmoid(x) + F.leaky_relu(x)),
    "where computed": (S, lambda x: torch.where(x > 0, x.roll(1, 1), 2 * x.roll(1, 1)) + 0.1 * x),
    "minimum": (S, lambda x: torch.minimum(x, x.roll(1, 1)) + torch.maximum(x, x.mean(-1, keepdim=True))),
    "indexing": (P, lambda x: x[:, torch.tensor([3, 0]), :, torch.tensor([1, 2])] + x[:, :2, :, 0].transpose(0, 1)),
    "index put": (P, lambda x: torch.index_put(x, (torch.tensor([0]), torch.tensor([1, 2])), x[0, :1])),
    "weight standardised": (P, standardised, nn.Conv2d(4, 2, 3)),
    "grid sample": ((1, 2, 4, 5), lambda x: F.grid_sample(x, GRID.to(x), align_corners=False)),
    "autocast": (S, autocast),
    "prelu pow": (S, lambda x, m: m(x) + x.pow(3) - 2 / (3 + x.abs()), nn.PReLU()),
    "stack roll unbind": (S, lambda x: torch.stack(x.unbind(1)[::-1], 2).roll((1, 2), (1, 2)).reshape(1, 2, -1)),
    "written in place": (P, written),
    "as strided": (P, lambda x: x.contiguous().as_strided((2, 3, 4), (30, 5, 1), 6)),
    "as strided overlapping": (P, lambda x: x.as_strided((1, 4, 3, 5, 2), (120, 30, 10, 1, 5))),
    "roll flat": (S, lambda x: x.roll(3)),
    "shifted": (P, shifted),
    "windows": (P, windows),
    "merged batch": (P, merged, nn.Conv2d(4, 4, 3, padding=1), nn.GroupNorm(2, 4)),
    "attention by head": (T, heads),
    "attention masked by hand": (T, masked_by_hand),
    "attention finite by hand": (T, finite_by_hand),
    "scaled fill": (P, scaled_fill),
    "gru two ways": ((5, 1, 4), lambda x, m: m(x)[0], nn.GRU(4, 3, bidirectional=True)),
    "gru state": (S, final_states, nn.GRU(4, 3, 2, batch_first=True)),
    "lstm state two layers": ((5, 1, 4), final_states, nn.LSTM(4, 3, 2, bidirectional=True)),
    "lstm over rows": (
        P,
        lambda x, m: m(x.permute(0, 2, 3, 1).flatten(0, 1))[0],
        nn.LSTM(4, 2, 2, batch_first=True, bidirectional=True),
    ),
    "gru over rows": (P, lambda x, m: m(x.permute(3, 0, 2, 1).flatten(1, 2))[0], nn.GRU(4, 2, bidirectional=True)),
    "gru states over rows": (P, lambda x, m: m(x.permute(3, 0, 2, 1).flatten(1, 2))[1], nn.GRU(4, 2, 2)),
    "rnn": (S, lambda x, m: m(x)[0], nn.RNN(4, 3, batch_first=True)),
    "einsum contracted": (T, lambda x: torch.einsum("bhqd,bhkd->bhqk", x[:, :, :3], x)),
    "einsum ellipsis": (P, lambda x: torch.einsum("...hw,...hv->...wv", x, x[..., :2])),
    "einsum diagonal": ((1, 4, 4), lambda x: torch.einsum("bii->bi", x)),
    "gathered": (S, lambda x: x.gather(1, torch.tensor([[[4, 0, 1, 2], [3, 3, 0, 1]]]))),
    "index two arrays": (P, lambda x: x[:, :, torch.tensor([[0], [5]]), torch.tensor([[1, 2, 4]])]),
    "index apart": (P, lambda x: x[:, torch.tensor([3, 0]), :, torch.tensor([1, 2])]),
    "index put adding": (S, lambda x: x.index_put((torch.tensor([0]), torch.tensor([2])), x[0, :1], accumulate=True)),
    "index add": (S, lambda x: x.index_add(1, torch.tensor([0, 0, 3]), x[:, 1:4])),
    "index copy": (S, lambda x: x.index_copy(1, torch.tensor([4, 0]), x[:, 1:3])),
    "scattered": (S, lambda x: x.scatter(1, torch.tensor([[[1, 2, 0, 4]]]), x[:, :1])),
    "scatter add": (S, lambda x: x.scatter_add(2, torch.tensor([[[1, 1, 1]] * 5]), x[..., 1:])),
    "pad constant": (P, lambda x: F.pad(x, (1, 2, -1, 0, 1, 0))),
    "pad circular": (P, lambda x: F.pad(x, (2, 1, 3, 0), mode="circular")),
    "pad reflect 1d": (S, lambda x: F.pad(x, (3, 2), mode="reflect")),
    "pad replicate 3d": ((1, 1, 2, 3, 2), lambda x: F.pad(x, (1, 1, 2, 0, 0, 1), mode="replicate")),
    "nearest factor": ((1, 1, 4, 7), lambda x: F.interpolate(x, scale_factor=(1.5, 0.6))),
    "nearest exact factor": ((1, 1, 4, 7), lambda x: F.interpolate(x, scale_factor=(1.5, 0.6), mode="nearest-exact")),
    "bilinear kept factor": (
        (1, 1, 5, 6),
        lambda x: F.interpolate(x, scale_factor=1.7, mode="bilinear", recompute_scale_factor=False),
    ),
    "bilinear recomputed": (
        (1, 1, 5, 6),
        lambda x: F.interpolate(x, scale_factor=1.7, mode="bilinear", recompute_scale_factor=True),
    ),
    "bicubic factor": ((1, 1, 5, 6), lambda x: F.interpolate(x, scale_factor=0.6, mode="bicubic")),
    "pixel shuffle": (P, lambda x: F.pixel_shuffle(x, 2)),
    "pixel unshuffle": ((1, 2, 4, 6), lambda x: F.pixel_unshuffle(x, 2)),
    "layer norm two axes": (P, lambda x, m: m(x), nn.LayerNorm((6, 5))),
    "layer norm channels": (P, lambda x, m: m(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2), nn.LayerNorm(4)),
    "instance norm statistics": (P, lambda x, m: m(x), nn.InstanceNorm2d(4, track_running_stats=True)),
    "batch norm of the batch": (P, lambda x, m: m(x), nn.BatchNorm2d(4, track_running_stats=False)),
    "conv transpose dilated": (P, lambda x, m: m(x), nn.ConvTranspose2d(4, 2, 3, 3, 2, 1, dilation=2)),
    "conv transpose 1d": ((1, 4, 5), lambda x, m: m(x), nn.ConvTranspose1d(4, 2, 4, 2, 1)),
    "conv unbatched": ((4, 6, 5), lambda x, m: m(x), nn.Conv2d(4, 2, 3)),
    "pool unbatched": ((4, 6, 5), lambda x: F.max_pool2d(x, 2)),
    "split unequal": (P, lambda x: torch.cat(x.split([1, 3], 1)[::-1], 1)),
    "tensor split": (P, lambda x: torch.cat([t.mean(2, keepdim=True) for t in x.tensor_split((1, 4), 2)], 2)),
    "repeat tile": (S, lambda x: x.repeat(2, 1, 3) + x.tile(2, 1, 3)),
    "rows by batch": (P, lambda x: x.transpose(0, 1).flatten(2).softmax(-1)),
    "local attention": (P, lambda x: F.unfold(x, 3, padding=1).unflatten(1, (4, 9)).softmax(2).sum(2)),
    "outer sums": (S, lambda x: x[:, :, None] + x[:, None] * x.mean((1, 2), keepdim=True)[..., None]),
    "copies expanded": (S, lambda x: x.mean(1, keepdim=True).expand(-1, 3, -1).contiguous().view(1, -1)),
    "logsumexp prod": (S, lambda x: x.logsumexp((1, 2)) + x.prod(1).sum(-1)),
    "argmax": (S, lambda x: F.one_hot(x.argmax(1), 5).to(x) + x[:, :4, :1]),
    "triangles": ((1, 5, 5), lambda x: x.tril(-1) + x.mT.triu(2)),
    "masked sum": ((1, 5, 5), lambda x: (x * torch.ones(5, 5).tril()).sum(-1)),
    "clamped": (S, lambda x: x.clamp(x.roll(1, 1), None)),
    "zero": (S, lambda x: x * 0 + x[:, :1]),
    "swiglu": (S, lambda x, a, b: a(F.silu(b(x)) * b(x.flip(1))), nn.Linear(3, 4), nn.Linear(4, 3)),
    "diagonal": ((1, 5, 5), lambda x: x.diagonal(1, 1, 2)),
    "cumulated": (S, lambda x: x.cumprod(1) + x.cummax(2)[0]),
    "spectrogram": ((1, 30), lambda x: torch.stft(x, 8, 4, 6, torch.hann_window(6).to(x), return_complex=True).abs()),
    "spectra": ((1, 30), lambda x: torch.view_as_real(torch.stft(x, 8, 3, center=False, return_complex=True))),
    "waves": ((1, 2, 9, 5), lambda x: torch.istft(torch.complex(x[0], x[0]), 16, 6, 12, torch.ones(12).to(x))),
    "waves of a length": ((1, 9, 5), lambda x: torch.istft(torch.complex(x, x), 16, 4, length=17)),
    "meshed": (P, lambda x: x[:, :, torch.arange(6).clamp(max=3)] + torch.arange(5.0)),
}
