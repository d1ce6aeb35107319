"""Every rule that knows a batch, on frames that were merged into it, against autograd."""

from __future__ import annotations

import math

import numpy as np
import pytest

import fastrf

torch = pytest.importorskip("torch")
nn, functional = torch.nn, torch.nn.functional
frontend = pytest.importorskip("fastrf.frontends.torch")

FRAMES = 3
ROW, MAP, VOLUME, TOKENS = (2, 6), (2, 4, 4), (2, 3, 3, 3), (4, 3)
TRIANGLE = torch.ones(4, 4).tril().bool()
HEADS = torch.stack([TRIANGLE, ~TRIANGLE | torch.eye(4).bool(), torch.eye(4).bool()])
AT = torch.tensor([2, 0])
GRID = torch.linspace(-1, 1, 24).reshape(1, 3, 4, 2).expand(3, 3, 4, 2)


def flipped(x):
    return x.flip(2).mT + 0.1


#: What runs on frames of a shape.
CASES: dict[str, tuple] = {
    "conv1d": (ROW, nn.Conv1d(2, 3, 3, padding=1)),
    "conv2d": (MAP, nn.Conv2d(2, 3, 3, padding="same", dilation=2)),
    "conv3d": (VOLUME, nn.Conv3d(2, 2, 2)),
    "conv_transpose1d": (ROW, nn.ConvTranspose1d(2, 3, 3, stride=2)),
    "conv_transpose2d": (MAP, nn.ConvTranspose2d(2, 3, 3, stride=2, output_padding=1)),
    "conv of windows": (MAP, lambda x: functional.conv2d(x, torch.ones(2, 1, 3, 3).tril(), groups=2)),
    "max_pool1d": (ROW, lambda x: functional.max_pool1d(x, 2, 1)),
    "max_pool2d": (MAP, lambda x: functional.max_pool2d(x, 3, 2, 1)),
    "max_pool with indices": (MAP, lambda x: functional.max_pool2d(x, 2, return_indices=True)[0]),
    "avg_pool3d": (VOLUME, lambda x: functional.avg_pool3d(x, 2, 1)),
    "lp_pool2d": (MAP, lambda x: functional.lp_pool2d(x, 2, 2)),
    "adaptive_avg_pool": (MAP, lambda x: functional.adaptive_avg_pool2d(x, (2, 3))),
    "adaptive_avg_pool1d": (ROW, lambda x: functional.adaptive_avg_pool1d(x, 4)),
    "adaptive_max_pool": (MAP, lambda x: functional.adaptive_max_pool2d(x, (3, None))),
    **{
        f"{mode} {given}": (MAP, lambda x, m=mode, g=given: functional.interpolate(x, **g, mode=m))
        for mode in ("nearest", "nearest-exact", "bilinear", "bicubic", "area")
        for given in ({"scale_factor": 2}, {"size": (3, 7)}, {"scale_factor": 1.7})
    },
    "linear resized": (ROW, lambda x: functional.interpolate(x, scale_factor=2, mode="linear")),
    "trilinear": (VOLUME, lambda x: functional.interpolate(x, scale_factor=2, mode="trilinear")),
    "corners": (MAP, lambda x: functional.interpolate(x, (7, 7), mode="bilinear", align_corners=True)),
    "antialias": (MAP, lambda x: functional.interpolate(x, (3, 2), mode="bicubic", antialias=True)),
    "grid_sample": (MAP, lambda x: functional.grid_sample(x, GRID)),
    "computed grid": (MAP, lambda x: functional.grid_sample(x, x.permute(0, 2, 3, 1).tanh())),
    "unfold": (MAP, lambda x: functional.unfold(x, 2, padding=1, stride=2)),
    "fold": ((8, 9), lambda x: functional.fold(x, (4, 4), 2)),
    "sliding": (ROW, lambda x: x.unfold(2, 3, 2)),
    "pixel_shuffle": ((4, 2, 3), lambda x: functional.pixel_shuffle(x, 2)),
    "pixel_shuffle of clips": ((4, 2, 3), lambda x: functional.pixel_shuffle(x.unsqueeze(1), 2)),
    "pixel_unshuffle": ((2, 4, 2), lambda x: functional.pixel_unshuffle(x, 2)),
    "channel_shuffle": ((4, 2, 2), lambda x: functional.channel_shuffle(x, 2)),
    "channel_shuffle of rows": ((4, 2), lambda x: functional.channel_shuffle(x, 2)),
    "batch norm": (MAP, nn.BatchNorm2d(2)),
    "batch norm of the batch": (MAP, nn.BatchNorm2d(2, track_running_stats=False)),
    "layer norm": (MAP, nn.LayerNorm((4, 4))),
    "group norm": ((4, 3, 3), nn.GroupNorm(2, 4)),
    "instance norm": (MAP, nn.InstanceNorm2d(2)),
    "rms norm": (TOKENS, nn.RMSNorm(3)),
    "response norm": ((5, 2, 2), lambda x: functional.local_response_norm(x + 0.3, 3)),
    "bmm": (TOKENS, lambda x: torch.bmm(x + 0.1, flipped(x))),
    "baddbmm": (TOKENS, lambda x: torch.baddbmm(x[:, :, :1].expand(3, 4, 4), x + 0.1, flipped(x))),
    "baddbmm of a mask": (
        TOKENS,
        lambda x: torch.baddbmm(torch.zeros(4, 4).masked_fill(~TRIANGLE, -torch.inf), x + 0.1, flipped(x)).softmax(-1),
    ),
    "addbmm": (TOKENS, lambda x: torch.addbmm(x[0, :, :1].expand(4, 4), x + 0.1, flipped(x))),
    "matmul": (TOKENS, lambda x: (x + 0.1) @ flipped(x)),
    "matmul with one frame": (TOKENS, lambda x: (x + 0.1) @ flipped(x)[:1]),
    "matmul from the left": (TOKENS, lambda x: HEADS.float() @ x),
    "einsum": (TOKENS, lambda x: torch.einsum("bij,bkj->bik", x + 0.1, x.flip(2) + 0.1)),
    "einsum of frames": (TOKENS, lambda x: torch.einsum("bij,cij->bc", x + 0.1, x.flip(2) + 0.1)),
    "einsum with zeros": (TOKENS, lambda x: torch.einsum("bij,bjd->bid", HEADS.float(), x)),
    "attention": (TOKENS, lambda x: functional.scaled_dot_product_attention(x, x.flip(-1), x)),
    "causal attention": (TOKENS, lambda x: functional.scaled_dot_product_attention(x, x.flip(-1), x, is_causal=True)),
    "attention by mask": (TOKENS, lambda x: functional.scaled_dot_product_attention(x, x.flip(-1), x, TRIANGLE)),
    "attention by masks": (TOKENS, lambda x: functional.scaled_dot_product_attention(x, x.flip(-1), x, HEADS)),
    "heads": ((4, 4), nn.TransformerEncoderLayer(4, 2, 4, batch_first=True)),
    "linear": (TOKENS, nn.Linear(3, 2)),
    "bilinear": (TOKENS, lambda x: functional.bilinear(x + 0.1, x.flip(1) + 0.1, torch.ones(2, 3, 3))),
    "lstm": (TOKENS, nn.LSTM(3, 2, batch_first=True)),
    "gru": (TOKENS, nn.GRU(3, 2, 2, bidirectional=True)),
    "padded": (MAP, lambda x: functional.pad(x, (1, 2, 0, 1))),
    "padded frames": (MAP, lambda x: functional.pad(x, (0, 0, 0, 0, 0, 0, 1, 1))),
    "reflect": (MAP, lambda x: functional.pad(x, (1, 2, 0, 1), mode="reflect")),
    "replicate": (MAP, lambda x: functional.pad(x, (1, 2, 0, 1), mode="replicate")),
    "circular": (MAP, lambda x: functional.pad(x, (1, 2, 0, 1), mode="circular")),
    "cropped": (MAP, lambda x: functional.pad(x, (-1, 0, 1, -1))),
    "softmax of frames": (TOKENS, lambda x: x.softmax(0)),
    "log softmax": (TOKENS, lambda x: x.log_softmax(1)),
    "cumsum of frames": (TOKENS, lambda x: x.cumsum(0)),
    "cumsum": (TOKENS, lambda x: x.cumsum(1)),
    "sum of frames": (TOKENS, lambda x: x.sum(0)),
    "std": (TOKENS, lambda x: x.std(0)),
    "max": (TOKENS, lambda x: x.max(0)[0]),
    "amax": (TOKENS, lambda x: x.amax((0, 2))),
    "similarity": (TOKENS, lambda x: functional.cosine_similarity(x + 0.1, x.flip(1) + 0.1, dim=2)),
    "sorted": (TOKENS, lambda x: x.sort(0)[0]),
    "glu": ((4, 3), lambda x: functional.glu(x, 1)),
    "flip": (TOKENS, lambda x: x.flip(0)),
    "roll": (TOKENS, lambda x: x.roll((1, 1), (0, 1))),
    "roll flat": (TOKENS, lambda x: x.roll(2)),
    "shift": (MAP, lambda x: torch.cat([torch.zeros(1, 1, 4, 4), x[:-1, :1]]) + x[:, 1:]),
    "repeat": (TOKENS, lambda x: x.repeat(2, 1, 2)),
    "repeat_interleave": (TOKENS, lambda x: x.repeat_interleave(2, 0)),
    "split": (TOKENS, lambda x: x.split([1, 2])[1]),
    "unbind": (TOKENS, lambda x: x.unbind(0)[1]),
    "select": (TOKENS, lambda x: x[1]),
    "narrow": (TOKENS, lambda x: x.narrow(0, 1, 2)),
    "index": (TOKENS, lambda x: x[AT]),
    "index of pairs": (TOKENS, lambda x: x[AT, torch.tensor([1, 3])]),
    "index_select": (TOKENS, lambda x: x.index_select(0, AT)),
    "gather": (TOKENS, lambda x: x.gather(0, torch.zeros(1, 4, 3, dtype=torch.long))),
    "as_strided": (TOKENS, lambda x: (x + 0).as_strided((2, 3), (12, 1), 1)),
    "diagonal": ((3, 3), lambda x: x.diagonal(dim1=1, dim2=2)),
    "rot90": ((3, 3), lambda x: x.rot90(1, (1, 2))),
    "tril": ((3, 3), lambda x: x.tril()),
    "stack": (TOKENS, lambda x: torch.stack([x, x.flip(0)], 1)),
    "index_add": (TOKENS, lambda x: torch.zeros(3, 4, 3).index_add(0, torch.tensor([0, 0, 2]), x)),
    "index_put": (TOKENS, lambda x: torch.zeros(5, 4, 3).index_put((torch.tensor([0, 4, 2]),), x)),
    "select_scatter": (TOKENS, lambda x: x.select_scatter(x[0] * 2, 0, 1)),
    "slice_scatter": (TOKENS, lambda x: x.slice_scatter(x[:2], 0, 1)),
}  # fmt: skip


class Frames(nn.Module):
    """Every case on frames that a reshape merges into the batch."""

    def __init__(self) -> None:
        super().__init__()
        self.own = nn.ModuleDict({str(k): f for k, (_, f) in enumerate(CASES.values()) if isinstance(f, nn.Module)})

    def forward(self, x):
        results = {}
        for k, (shape, function) in enumerate(CASES.values()):
            frames = x[0, : FRAMES * math.prod(shape)].reshape(FRAMES, *shape)
            result = (self.own[str(k)] if isinstance(function, nn.Module) else function)(frames)
            results[f"case{k}"] = result[0] if isinstance(result, tuple) else result
        return results


@pytest.fixture(scope="module")
def analysed() -> tuple:
    """The analysis of all cases, and the oracle."""
    from tests.autograd import Oracle

    size = FRAMES * max(math.prod(shape) for shape, _ in CASES.values())
    exported = frontend.capture(Frames(), (size,))
    results = dict(zip([f"case{k}" for k in range(len(CASES))], exported.graph_signature.user_outputs, strict=True))
    return fastrf.analyze(exported), Oracle(exported, (torch.ones(1, size),)), results, exported


@pytest.mark.parametrize("name", CASES)
def test_frames_in_the_batch_equal_autograd(name: str, analysed, rng: np.random.Generator) -> None:
    analysis, oracle, results, _ = analysed
    label = f"case{list(CASES).index(name)}"
    field, node = analysis[label], results[label]
    full = tuple(oracle.values[node].shape)
    for k in rng.choice(math.prod(full), min(8, math.prod(full)), replace=False):
        index = tuple(int(i) for i in np.unravel_index(k, full))
        mine = field.neuron_mask(index[len(full) - len(field.shape) :])
        truth = oracle.mask(node, index).reshape(mine.shape)
        assert not (truth & ~mine).any(), index
        assert not field.exact or np.array_equal(mine, truth), index


#: Rules of operators that captured programs hold only inside others, that look at no axis, or that no gradient passes.
NEVER_CAPTURED = {
    *("batch_norm", "fourier", "of_matrix", "roughly", "distances", "as_complex", "as_real", "moved", "distance"),
    *("bilinear", "deform_conv", "narrow", "module", "counted", "grouped", "searched", "bags", "unpool"),
}


def test_every_rule_of_whole_axes_has_a_case(analysed) -> None:
    from fastrf.frontends.torch.arguments import short_name
    from fastrf.frontends.torch.registry import RULES

    used = {RULES.get(short_name(node)) for node in analysed[-1].graph.nodes if node.op == "call_function"}
    wanted = {rule for rule in RULES.values() if not rule.__module__.endswith("rules_pointwise")}
    assert {rule.__name__ for rule in wanted - used} <= NEVER_CAPTURED
