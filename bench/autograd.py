"""The way of plain autograd: a backward pass per position."""

from __future__ import annotations

import statistics
from typing import Any

from bench.timing import seconds

__all__ = ["position_seconds", "unet"]


def _double(channels: int, width: int) -> Any:
    from torch import nn

    return nn.Sequential(
        nn.Conv2d(channels, width, 3, padding=1), nn.ReLU(), nn.Conv2d(width, width, 3, padding=1), nn.ReLU()
    )


def unet() -> Any:
    """A U-Net of four levels, narrow: its width does not change what it sees."""
    import torch
    from torch import nn

    class UNet(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            widths = (8, 16, 32, 64, 128)
            ins = (1, *widths)
            self.down = nn.ModuleList(_double(a, b) for a, b in zip(ins, widths, strict=False))
            self.up = nn.ModuleList(nn.ConvTranspose2d(w, w // 2, 2, stride=2) for w in widths[:0:-1])
            self.merge = nn.ModuleList(_double(w, w // 2) for w in widths[:0:-1])
            self.pool, self.head = nn.MaxPool2d(2), nn.Conv2d(8, 1, 1)

        def forward(self, x: Any) -> Any:
            kept = []
            for k, block in enumerate(self.down):
                x = block(self.pool(x) if k else x)
                kept.append(x)
            for up, merge, skip in zip(self.up, self.merge, kept[-2::-1], strict=True):
                x = merge(torch.cat([up(x), skip], 1))
            return self.head(x)

    return UNet()


def position_seconds(name: str, side: int, repeats: int) -> float:
    """Seconds of one backward pass from one position of a network's last map; batch 1, one thread."""
    import torch
    import torchvision

    torch.set_num_threads(1)
    model = unet() if name == "unet" else torch.nn.Sequential(*list(torchvision.models.resnet50().children())[:-2])
    image = torch.rand(1, 1 if name == "unet" else 3, side, side, requires_grad=True)
    out = model.eval()(image).sum(1)[0]

    def backward() -> None:
        torch.autograd.grad(out[out.shape[0] // 2, out.shape[1] // 2], image, retain_graph=True)

    backward()
    return statistics.median(seconds(backward) for _ in range(repeats))
