"""Sequence models drawn with a seed: causal ones, and ones with a leak of a named kind at a drawn place.

Each maps `(batch, steps, features)`, or for `Frames` and `Video` what their shapes say, and keeps to activations whose
gradients are nowhere 0, so that autograd shows every pair of a step and a sample that it reads.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn import functional

FEATURES = 4


class Attention(nn.Module):
    """One head; `form` says how the mask `open_` (steps by keys) is spelled."""

    def __init__(self, open_: torch.Tensor, form: str = "added") -> None:
        super().__init__()
        self.project, self.out, self.form = nn.Linear(FEATURES, 3 * FEATURES), nn.Linear(FEATURES, FEATURES), form
        self.register_buffer("open", open_)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        q, k, v = self.project(x).chunk(3, -1)
        if self.form == "sdpa":
            return self.out(functional.scaled_dot_product_attention(q, k, v, attn_mask=self.open))
        scores = q @ k.transpose(-1, -2) / math.sqrt(FEATURES)
        if self.form == "after":
            return self.out(scores.softmax(-1) * self.open @ v)
        if self.form == "added":
            scores = scores + torch.zeros_like(self.open, dtype=scores.dtype).masked_fill(~self.open, -torch.inf)
        else:
            scores = scores.masked_fill(~self.open, torch.finfo(torch.float32).min)
        return self.out(scores.softmax(-1) @ v)


class BlockSummaries(nn.Module):
    """Keys and values are means of blocks; a step sees the blocks that have begun, or only those that are over."""

    def __init__(self, steps: int, block: int, *, over: bool) -> None:
        super().__init__()
        self.project, self.out, self.block = nn.Linear(FEATURES, 3 * FEATURES), nn.Linear(FEATURES, FEATURES), block
        first = torch.arange(0, steps, block)
        shut = torch.arange(steps)[:, None] < (first + block - 1 if over else first)
        self.register_buffer("shut", shut)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        q, k, v = self.project(x).chunk(3, -1)
        k, v = (part.unflatten(1, (-1, self.block)).mean(2) for part in (k, v))
        none = torch.zeros_like(k[:, :1])
        scores = q @ torch.cat([none, k], 1).transpose(-1, -2)
        scores = scores.masked_fill(functional.pad(self.shut, (1, 0), value=False), -torch.inf)
        return self.out(scores.softmax(-1) @ torch.cat([none, v], 1))


class ChunkMeans(nn.Module):
    """The mean of a step's own chunk, or of the chunk before it."""

    def __init__(self, chunk: int, *, before: bool) -> None:
        super().__init__()
        self.chunk, self.before, self.mix = chunk, before, nn.Linear(FEATURES, FEATURES)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        means = self.mix(x).unflatten(1, (-1, self.chunk)).mean(2)
        if self.before:
            means = functional.pad(means, (0, 0, 1, 0))[:, :-1]
        return means.repeat_interleave(self.chunk, 1)


class Spectral(nn.Module):
    """A filter in the frequency domain; without zeros behind the steps it is circular."""

    def __init__(self, steps: int) -> None:
        super().__init__()
        self.gain = nn.Parameter(torch.randn(steps // 2 + 1, FEATURES, dtype=torch.float64))
        self.mix, self.steps = nn.Linear(FEATURES, FEATURES), steps

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.fft.irfft(torch.fft.rfft(self.mix(x), dim=1) * self.gain, n=self.steps, dim=1)


class Conv(nn.Module):
    """A convolution over steps with so many zeros before and after; `mode` is the padding's."""

    def __init__(self, kernel: int, dilation: int, ahead: int = 0, mode: str = "zeros") -> None:
        super().__init__()
        self.back = dilation * (kernel - 1) - ahead
        self.ahead, self.mode = ahead, "circular" if mode == "circular" else "constant"
        self.conv = nn.Conv1d(FEATURES, FEATURES, kernel, dilation=dilation)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.conv(functional.pad(x.transpose(1, 2), (self.back, self.ahead), self.mode)).transpose(1, 2)


class Recurrent(nn.Module):
    """A GRU, or one that reads both ways."""

    def __init__(self, *, both: bool = False) -> None:
        super().__init__()
        self.gru = nn.GRU(FEATURES, FEATURES // (1 + both), batch_first=True, bidirectional=both)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.gru(x)[0]


class Shift(nn.Module):
    """Every step sees another one: that before it, or that after it."""

    def __init__(self, by: int) -> None:
        super().__init__()
        self.by, self.mix = by, nn.Linear(FEATURES, FEATURES)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        rest = (self.by, 0) if self.by > 0 else (0, -self.by)
        kept = x[:, : -self.by] if self.by > 0 else x[:, -self.by :]
        return self.mix(functional.pad(kept, (0, 0, *rest)))


class Norm(nn.Module):
    """A norm whose statistics are those of all steps, or of the steps so far."""

    def __init__(self, *, so_far: bool) -> None:
        super().__init__()
        self.so_far = so_far

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if not self.so_far:
            return functional.instance_norm(x.transpose(1, 2)).transpose(1, 2)
        count = torch.arange(1, x.shape[1] + 1, dtype=x.dtype)[:, None]
        return x / (1 + x.square().cumsum(1) / count).sqrt()


class Block(nn.Module):
    """A residual block: norm over features, a mixer of steps, and two layers of each step alone."""

    def __init__(self, mixer: nn.Module) -> None:
        super().__init__()
        self.before, self.after, self.mixer = nn.LayerNorm(FEATURES), nn.LayerNorm(FEATURES), mixer
        self.alone = nn.Sequential(nn.Linear(FEATURES, 6), nn.GELU(), nn.Linear(6, FEATURES))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = x + self.mixer(self.before(x))
        return x + self.alone(self.after(x))


class Frames(nn.Module):
    """Audio `(batch, 1, samples)` to frames of features: padded on the left, the mixers over frames, and heads."""

    def __init__(self, stride: int, mixers: list[nn.Module]) -> None:
        super().__init__()
        self.stride, self.conv = stride, nn.Conv1d(1, FEATURES, 2 * stride, stride)
        self.blocks = nn.Sequential(*map(Block, mixers))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        frames = self.conv(functional.pad(x, (self.stride, 0)))
        return self.blocks(frames.transpose(1, 2)).transpose(1, 2)


class Video(nn.Module):
    """`(batch, features, steps, rows, columns)`: a convolution over rows and columns, and mixers over steps."""

    def __init__(self, mixers: list[nn.Module]) -> None:
        super().__init__()
        self.conv = nn.Conv3d(FEATURES, FEATURES, (1, 3, 3), padding=(0, 1, 1))
        self.blocks = nn.Sequential(*map(Block, mixers))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.conv(x).permute(0, 3, 4, 2, 1)
        return self.blocks(y.flatten(0, 2)).reshape(y.shape).permute(0, 4, 3, 1, 2)


def tril(steps: int, diagonal: int = 0) -> torch.Tensor:
    return torch.ones(steps, steps).tril(diagonal).bool()


def causal_mixer(rng: np.random.Generator, steps: int, chunk: int) -> nn.Module:
    """A layer that reads no later step."""
    window = tril(steps) & ~tril(steps, -int(rng.integers(2, steps)))
    form = str(rng.choice(["added", "filled", "sdpa"]))
    kinds = [
        lambda: Attention(tril(steps), form),
        lambda: Attention(window, form),
        lambda: BlockSummaries(steps, chunk, over=True),
        lambda: ChunkMeans(chunk, before=True),
        lambda: Conv(int(rng.integers(2, 4)), int(rng.integers(1, 3))),
        Recurrent,
        lambda: Shift(int(rng.integers(1, 3))),
        lambda: Norm(so_far=True),
    ]
    return kinds[rng.integers(len(kinds))]()


def leaking_mixers(rng: np.random.Generator, steps: int, chunk: int) -> dict[str, Callable[[], nn.Module]]:
    """By kind of leak, what makes a layer that reads later steps."""
    forms = ["added", "filled", "sdpa"]
    return {
        "block summaries": lambda: BlockSummaries(steps, chunk, over=False),
        "chunk means": lambda: ChunkMeans(chunk, before=False),
        "spectral filter": lambda: Spectral(steps),
        "circular embedding": lambda: Conv(3, 1, 1, "circular"),
        "norm over time": lambda: Norm(so_far=False),
        "bidirectional": lambda: Recurrent(both=True),
        "without a mask": lambda: Attention(torch.ones(steps, steps).bool(), "sdpa"),
        "off by one shift": lambda: Shift(-1),
        "off by one mask": lambda: Attention(tril(steps, 1), str(rng.choice(forms[:2]))),
        "off by one padding": lambda: Conv(int(rng.integers(2, 4)), 1, 1),
        "transposed mask": lambda: Attention(tril(steps).T, str(rng.choice(forms))),
        "mask after softmax": lambda: Attention(tril(steps), "after"),
    }


KINDS = tuple(leaking_mixers(np.random.default_rng(0), 4, 2))


@dataclass(frozen=True)
class Drawn:
    """A model, its input without the batch, which axis of input and output holds steps, and samples per step."""

    model: nn.Module
    shape: tuple[int, ...]
    channel_axis: int
    axis: int
    stride: int
    planted: int | None

    def leaks(self, rng: np.random.Generator, draws: int = 3) -> list[list[int]]:
        """Every pair of a step and a later sample with a gradient that is not 0, for some of the weights drawn."""
        read: Any = False
        for _ in range(draws):
            with torch.no_grad():
                for weight in self.model.parameters():
                    weight.copy_(torch.from_numpy(rng.normal(0, 0.6, weight.shape)))
            x = torch.from_numpy(rng.normal(0, 1, (1, *self.shape)))
            gradient = torch.autograd.functional.jacobian(self.model, x, vectorize=True).abs() > 1e-13
            out = gradient.ndim - x.ndim
            kept = 1 + self.axis, out + 1 + self.axis
            read = read | gradient.numpy().any(axis=tuple(k for k in range(gradient.ndim) if k not in kept))
        return [[o, i] for o, i in np.argwhere(read).tolist() if i >= (o + 1) * self.stride]


def drawn(rng: np.random.Generator, kind: str | None = None) -> Drawn:
    """A model of drawn form, sizes and layers, causal but for one layer of a kind at a drawn place."""
    chunk = int(rng.integers(2, 4))
    steps = chunk * int(rng.integers(3, 5))
    mixers = [causal_mixer(rng, steps, chunk) for _ in range(rng.integers(1, 4))]
    planted = None
    if kind is not None:
        planted = int(rng.integers(len(mixers) + 1))
        mixers.insert(planted, leaking_mixers(rng, steps, chunk)[kind]())
    form = rng.integers(4)
    stride, axis, channel_axis = 1, 0, 1
    if form == 0:
        stride = int(rng.integers(2, 4))
        model: nn.Module = Frames(stride, mixers)
        shape, channel_axis, axis = (1, steps * stride), 0, 1
    elif form == 1:
        model, shape, channel_axis, axis = Video(mixers), (FEATURES, steps, 2, 3), 0, 1
    else:
        model, shape = nn.Sequential(*map(Block, mixers)), (steps, FEATURES)
    return Drawn(model.double(), shape, channel_axis, axis, stride, planted)
