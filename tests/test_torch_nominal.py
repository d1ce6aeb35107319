"""Nominal numbers of what PyTorch models do with views, frames, rotations and gates."""

from __future__ import annotations

import math

import pytest

import fastrf

torch = pytest.importorskip("torch")
nn = torch.nn


class Does(nn.Module):
    """A convolution, and a function of it and of the input."""

    def __init__(self, function, **options):
        super().__init__()
        self.conv = nn.Conv2d(1, 1, 3, padding=1, **options)
        self.function = function

    def forward(self, x):
        return self.function(self.conv, x)


def numbers(field):
    return field.size, field.stride, field.start


@pytest.mark.parametrize("turns", [1, 2, 3])
def test_a_rotation_and_back(turns):
    model = Does(lambda conv, x: torch.rot90(conv(torch.rot90(x, turns, (2, 3))), -turns, (2, 3)))
    assert numbers(fastrf.analyze(model, (1, 8, 10)).output) == ((3, 3), (1, 1), (0.5, 0.5))


@pytest.mark.parametrize(
    "frames",
    [
        lambda x: x.unfold(-1, 16, 4),
        lambda x: torch.as_strided(x, (1, 1, 13, 16), (64, 64, 4, 1)),
        lambda x: x[:, :, (torch.arange(13)[:, None] * 4 + torch.arange(16)).flatten()].reshape(1, 1, 13, 16),
        lambda x: torch.stack([x[..., k : k + 49 : 4] for k in range(16)], -1),
    ],
)
def test_frames(frames):
    model = Does(lambda _, x: frames(x).mean(-1))
    assert numbers(fastrf.analyze(model, (1, 64)).output) == ((16,), (4,), (8.0,))


def test_a_spectrogram():
    window = torch.hann_window(16, periodic=False) + 0.1
    model = Does(lambda _, x: torch.stft(x[:, 0], 16, 4, 16, window, center=True, return_complex=True).abs())
    assert numbers(fastrf.analyze(model, (1, 64)).output) == ((16,), (4,), (0.0,))


@pytest.mark.parametrize(
    ("periodic", "size", "start"),
    [(True, 15, 8.5), (False, 14, 8.0)],  # Hann's window is 0 at its first sample; at its last one, too, if symmetric
)
def test_taps_that_a_window_makes_zero_are_in_no_frame(periodic, size, start):
    window = torch.hann_window(16, periodic=periodic)
    model = Does(lambda _, x: torch.stft(x[:, 0], 16, 4, 16, window, center=False, return_complex=True).abs())
    field = fastrf.analyze(model, (1, 100)).output
    assert numbers(field) == ((size,), (4,), (start,))
    assert field.box((0, 10)).tolist() == [[41, 41 + size]]


@pytest.mark.parametrize(
    ("weights", "size", "start"), [([0, 1, 1, 0], 2, 2.0), ([0, 0, 0, 1], 1, 3.5), ([1, 0, 0, 0], 1, 0.5)]
)
def test_frames_times_a_constant(weights, size, start):
    table = torch.tensor(weights, dtype=torch.float32)
    model = Does(lambda _, x: (x.unfold(-1, 4, 2) * table).sum(-1))
    assert numbers(fastrf.analyze(model, (1, 20)).output) == ((size,), (2,), (start,))


@pytest.mark.parametrize("swapped", [False, True])
def test_a_gate_in_either_order(swapped):
    def gated(conv, x):
        y = conv(x)
        gate = torch.sigmoid(y.mean((2, 3), keepdim=True))
        return gate * y if swapped else y * gate

    analysis = fastrf.analyze(Does(gated, stride=2), (1, 16, 16))
    assert (analysis.output.size, analysis.output.stride) == ((math.inf, math.inf), (2, 2))
    # only maps of one position have no stride
    assert all(math.isfinite(f.stride[0]) for f in analysis.values() if math.prod(f.position_shape) > 1)


@pytest.mark.parametrize("n", [16, 32])
def test_flattened_levels(n):
    def head(conv, x):
        return torch.cat([conv(x).flatten(2), conv(torch.max_pool2d(x, 2)).flatten(2)], 2)

    field = fastrf.analyze(Does(head), (1, n, n)).output
    assert field.size_range == ((3, 6), (3, 6))
    assert all(map(math.isnan, field.stride))


def test_window_attention_over_tokens():
    """Tokens cut into windows of 4 by 4 and put back; a convolution before it and one after."""

    def attend(conv, x):
        tokens = conv(x).flatten(2).transpose(1, 2)
        cut = tokens.view(1, 2, 4, 3, 4, 1).permute(0, 1, 3, 2, 4, 5).reshape(6, 16, 1)
        mixed = (cut @ cut.transpose(1, 2)).softmax(-1) @ cut
        back = mixed.view(1, 2, 3, 4, 4, 1).permute(0, 1, 3, 2, 4, 5).reshape(1, 96, 1)
        return (tokens + back).transpose(1, 2).view(1, 1, 8, 12)

    field = fastrf.analyze(Does(attend), (1, 8, 12)).output
    assert (field.size, field.stride) == ((6, 6), (1, 1))
    halo = field.halo()
    assert (halo.before, halo.after, halo.period) == ((1, 1), (1, 1), (4, 4))


def test_attention_over_a_grid_of_blocks_reads_as_far_as_there_is_image():
    """Every fourth pixel reads every fourth: how far that is depends on the image, so it is not a size."""

    def attend(conv, x):
        cut = conv(x).view(1, 4, 4, 6, 4).permute(0, 2, 4, 1, 3).reshape(16, 24, 1)
        mixed = (cut @ cut.transpose(1, 2)).softmax(-1) @ cut
        return mixed.view(1, 4, 4, 4, 6).permute(0, 3, 1, 4, 2).reshape(1, 1, 16, 24)

    assert fastrf.analyze(Does(attend), (1, 16, 24)).output.size == (math.inf, math.inf)


def test_a_border_put_on_by_concatenation():
    model = Does(lambda conv, x: conv(torch.cat([x[:, :, :1], x, x[:, :, -1:]], 2)))
    assert numbers(fastrf.analyze(model, (1, 16, 16)).output) == ((3, 3), (1, 1), (-0.5, 0.5))


class Shifted(nn.Module):
    """The first channel is moved one step back in time, the second one step on, as temporal shifts do."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv1d(3, 2, 1)

    def forward(self, x):
        moved = torch.zeros_like(x)
        moved[:, :1, :-1] = x[:, :1, 1:]
        moved[:, 1:2, 1:] = x[:, 1:2, :-1]
        moved[:, 2:] = x[:, 2:]
        return self.conv(moved)


@pytest.mark.parametrize("n", [6, 12])
def test_channels_that_are_not_written_read_nothing(n):
    field = fastrf.analyze(Shifted(), (3, n)).output
    assert (field.size, field.stride, field.start) == ((3,), (1,), (0.5,))
