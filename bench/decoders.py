"""A decoder of twelve layers: module to field, with its mask written out or `is_causal`; proofs of causality."""

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
#: Of proofs, which look at all of them.
LONG = 8192


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
    yield from _proofs(repeats, 256 if smoke else LONG)


def _proofs(repeats: int, tokens: int) -> Iterator[Figure]:
    """From the captured network to a verdict on all pairs of tokens, or to the leaking ones; beside the capture."""
    kinds = (
        ("is_causal", None, False),
        ("explicit window mask", 0, False),
        ("mask off by one", 1, False),
        ("attention spelled out", 0, True),
        ("spelled out, mask off by one", 1, True),
    )
    for kind, ahead, eager in kinds:
        model = _decoder(tokens, explicit=ahead is not None, eager=eager, ahead=ahead or 0)
        capture = median_seconds(lambda: fastrf.load(model, (tokens, WIDTH)), 1)  # noqa: B023 (called at once)
        network = fastrf.load(model, (tokens, WIDTH))
        proof = median_seconds(lambda: _proved(network, ahead), repeats)  # noqa: B023 (called at once)
        yield Figure(
            f"{LAYERS}-layer decoder, T = {tokens}, {kind}: proof of causality, or leaks and where they begin",
            "1 s after capture",
            f"{proof:.2f} s, {proof / capture:.2f} times its capture",
            proof <= 1,
        )


def _proved(network: fastrf.Network, ahead: int | None) -> None:
    forget()
    analysis = fastrf.analyze(network)
    assert analysis.output.is_causal() == (not ahead)
    if ahead:
        found = analysis.leaks()
        assert sum(leak.count for leak in found) == len(analysis.output.leaks()) > 0


def _decoder(tokens: int, *, explicit: bool, eager: bool = False, ahead: int = 0) -> Any:
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
            window = torch.zeros(tokens, tokens).masked_fill((behind < -ahead) | (behind >= REACH), -torch.inf)
            self.register_buffer("mask", window if explicit else None)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            for block in self.blocks:
                x = block(x, self.mask)
            out: torch.Tensor = self.norm(x)
            return out

    return Decoder().eval()
