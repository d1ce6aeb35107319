"""Surrogates of Fourier transforms, for `linearise`."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from tests.autograd.core import Args, finite, handles


@handles("fft_fft", "fft_ifft", "fft_rfft", "fft_irfft", "fft_fft2", "fft_ifft2", "fft_rfft2", "fft_irfft2", "fft_fftn",
         "fft_ifftn", "fft_rfftn", "fft_irfftn")  # fmt: skip
def fourier(op: Any, args: Args) -> Tensor:
    """Every frequency reads every sample of the transformed axes."""
    x = finite(args["self"])
    axes = args.get("dim")
    axes = list(range(x.ndim)) if axes is None else [axes] if isinstance(axes, int) else list(axes)
    like = op(**{**args, "self": torch.zeros(x.shape, dtype=torch.cfloat if "ifft" in op._schema.name
                                             or "irfft" in op._schema.name else torch.float)})  # fmt: skip
    return x.sum(axes, keepdim=True).expand(like.shape) + 0


@handles("stft")
def short_fourier(op: Any, args: Args) -> Tensor:
    """Every frequency of a frame reads the samples under its window."""
    x, size = finite(args["self"]), args["n_fft"]
    frames = x.unfold(-1, size, args["hop_length"] or size // 4)
    read = (frames * shown(args)).sum(-1)
    count = size if args["onesided"] is False else size // 2 + 1
    result = read.unsqueeze(-2).expand(*read.shape[:-1], count, read.shape[-1]) + 0
    return result if args["return_complex"] else result.unsqueeze(-1).expand(*result.shape, 2) + 0


@handles("istft")
def short_fourier_back(op: Any, args: Args) -> Tensor:
    """Every sample reads all frequencies of the frames whose windows lie over it."""
    x, size = finite(args["self"]), args["n_fft"]
    frames = x.sum(-2)
    line = frames.reshape(-1, 1, frames.shape[-1])
    window = shown(args).reshape(1, 1, size)
    y = torch.nn.functional.conv_transpose1d(line, window, stride=args["hop_length"] or size // 4)
    begin = size // 2 if args["center"] else 0
    length = args["length"] or y.shape[-1] - 2 * begin
    y = torch.nn.functional.pad(y, (0, max(begin + length - y.shape[-1], 0)))[..., begin : begin + length]
    return y.reshape(*frames.shape[:-1], length)


def shown(args: Args) -> Tensor:
    """Where a window, in the middle of a frame, is not zero."""
    size, length = args["n_fft"], args["win_length"] or args["n_fft"]
    window = torch.ones(length) if args["window"] is None else (args["window"] != 0)
    before = (size - length) // 2
    return torch.nn.functional.pad(window.to(torch.float64), (before, size - length - before))


@handles("complex")
def of_two(op: Any, args: Args) -> Tensor:
    """A complex number, kept as one element."""
    parts = [finite(part) if isinstance(part, Tensor) and part.requires_grad else 0 for part in args.values()]
    return sum(parts, torch.zeros(())) + 0


@handles("view_as_real")
def two_of(op: Any, args: Args) -> Tensor:
    """Both parts of a number read it."""
    x = finite(args["self"])
    return x.unsqueeze(-1).expand(*x.shape, 2) + 0
