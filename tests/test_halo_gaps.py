"""Tiles behind positions that read no pixel: what stands there, such as a bias, is missing where padding is."""

from __future__ import annotations

import numpy as np
import pytest

import fastrf
from fastrf.tiling import plan, stream

torch = pytest.importorskip("torch")
nn = torch.nn


def whole_numbers(model):
    with torch.no_grad():
        for k, parameter in enumerate(model.parameters()):
            parameter.copy_(torch.arange(parameter.numel()).view(parameter.shape) % 3 + k % 2 + 1)
    return model.double()


class Normalised(nn.Module):
    """A convolution of the image, and one of a constant of its size."""

    def __init__(self, of):
        super().__init__()
        self.near, self.wide, self.of = nn.Conv1d(1, 1, 3, padding=1), nn.Conv1d(1, 1, 7, padding=3), of

    def forward(self, x):
        return self.near(x) + self.wide(self.of(x))


GAPPED = [
    nn.Sequential(nn.ConvTranspose1d(1, 1, 1, stride=2, output_padding=1), nn.Conv1d(1, 1, 3, padding=1)),
    nn.Sequential(nn.ConvTranspose1d(1, 1, 1, stride=4, output_padding=3), nn.Conv1d(1, 1, 7, padding=3)),
    nn.Sequential(nn.Conv1d(1, 1, 3), nn.ConvTranspose1d(1, 1, 2, stride=4), nn.Conv1d(1, 1, 5, padding=2)),
    nn.Sequential(nn.ConvTranspose1d(1, 1, 2, 4, output_padding=2), nn.ConstantPad1d((2, 0), 0.0), nn.Conv1d(1, 1, 3)),
    Normalised(lambda x: x * 0 + 1),
]


@pytest.mark.parametrize("model", GAPPED)
def test_tiles_and_streams_equal_the_whole(model, rng):
    image = torch.from_numpy(rng.integers(-3, 4, (1, 1, 64))).double()
    analysis, whole = fastrf.analyze(whole_numbers(model), (1, 32)), model(image).detach()
    assert torch.equal(plan(analysis, 16, image_shape=(1, 64)).run(model, image), whole)
    pieces = list(stream(analysis, chunk=4).run(model, image.split(7, -1)))
    assert torch.equal(torch.cat(pieces, -1), whole)


@pytest.mark.parametrize(
    ("layers", "expected"),
    [
        ([fastrf.conv_transpose(1, 2, stride=2), fastrf.conv(1, 3, padding=1)], (1, 1, 1, 2)),
        ([fastrf.conv_transpose(1, 3, stride=2, padding=1), fastrf.conv(1, 3, padding=1)], (1, 1, 1, 2)),
        ([fastrf.conv_transpose(1, 1, stride=4), fastrf.conv(1, 7, padding=3)], (1, 2, 1, 4)),
    ],
)
def test_only_gaps_need_more(layers, expected):
    """Of 4 pixels, a kernel of 1 in steps of 4 makes 13 positions: the gap behind the last one is not there."""
    halo = fastrf.analyze(layers, (1, 32)).output.halo()
    assert (*halo.before, *halo.after, *halo.period, *halo.positions) == expected


def test_files_keep_the_reach(tmp_path):
    layers = [fastrf.conv_transpose(1, 1, stride=4), fastrf.conv(1, 3, padding=1)]
    field = fastrf.analyze(layers, (1, 32)).output
    field.save(tmp_path / "f.npz")
    assert fastrf.load_field(tmp_path / "f.npz").halo() == field.halo()
    assert np.isfinite(field.halo().before).all()
