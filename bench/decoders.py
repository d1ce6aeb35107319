"""A decoder of twelve layers from module to field: with its mask written out, beside `is_causal`."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator
from typing import Any

import fastrf
from bench.figure import Figure
from bench.timing import alternating, median_seconds
from fastrf.engine.memo import forget

__all__ = ["decoders"]

TOKENS, WIDTH, HEADS, LAYERS, REACH = 2048, 64, 4, 12, 256


def decoders(repeats: int, smoke: bool) -> Iterator[Figure]:
    """One explicit mask of T x T for all layers, as numbers to add; the figure is a ratio in the same process."""
    if importlib.util.find_spec("torch") is None:
        return
    tokens = 256 if smoke else TOKENS
    masked, causal = _decoder(tokens, explicit=True), _decoder(tokens, explicit=False)

    def field(model: Any) -> None:
        forget()
        assert fastrf.analyze(model, (tokens, WIDTH)).output.relations

    without, given = alternating(lambda: field(causal), lambda: field(masked), repeats)
    spelled = _decoder(tokens, explicit=True, eager=True)
    eager = median_seconds(lambda: field(spelled), repeats)
    name = f"{LAYERS}-layer decoder, T = {tokens}, explicit window mask"
    yield Figure(
        f"{name}, module to field",
        "3 s, 1.5 times is_causal",
        f"{given:.2f} s, {given / without:.2f} times is_causal",
        given <= 3 and given <= 1.5 * without,
    )
    yield Figure(f"{name}, attention spelled out, module to field", "3 s", f"{eager:.2f} s", eager <= 3)


def _decoder(tokens: int, *, explicit: bool, eager: bool = False) -> Any:
    import torch
    from torch import nn

    class Block(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.before, self.after = nn.LayerNorm(WIDTH), nn.LayerNorm(WIDTH)
            self.project, self.out = nn.Linear(WIDTH, 3 * WIDTH), nn.Linear(WIDTH, WIDTH)
            self.grow = nn.Sequential(nn.Linear(WIDTH, 4 * WIDTH), nn.GELU(), nn.Linear(4 * WIDTH, WIDTH))

        def seen(self, q: Any, k: Any, v: Any, mask: torch.Tensor | None) -> torch.Tensor:
            if not eager:
                return nn.functional.scaled_dot_product_attention(q, k, v, attn_mask=mask, is_causal=mask is None)
            scores = q @ k.transpose(-1, -2) / (WIDTH // HEADS) ** 0.5 + mask
            out: torch.Tensor = torch.softmax(scores, dim=-1) @ v
            return out

        def forward(self, x: torch.Tensor, mask: torch.Tensor | None) -> torch.Tensor:
            batch, length, _ = x.shape
            apart = self.project(self.before(x)).view(batch, length, 3, HEADS, WIDTH // HEADS)
            q, k, v = apart.permute(2, 0, 3, 1, 4).unbind(0)
            seen = self.seen(q, k, v, mask)
            x = x + self.out(seen.transpose(1, 2).reshape(batch, length, WIDTH))
            return x + self.grow(self.after(x))

    class Decoder(nn.Module):
        mask: torch.Tensor | None

        def __init__(self) -> None:
            super().__init__()
            self.blocks, self.norm = nn.ModuleList(Block() for _ in range(LAYERS)), nn.LayerNorm(WIDTH)
            behind = torch.arange(tokens)[:, None] - torch.arange(tokens)
            window = torch.zeros(tokens, tokens).masked_fill((behind < 0) | (behind >= REACH), -torch.inf)
            self.register_buffer("mask", window if explicit else None)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            for block in self.blocks:
                x = block(x, self.mask)
            out: torch.Tensor = self.norm(x)
            return out

    return Decoder().eval()
