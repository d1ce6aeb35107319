"""Random networks in tiles, exact in whole numbers: crops, pads, ceilings, interleaving, branches of other scales."""

from __future__ import annotations

import numpy as np
import pytest

import fastrf
from fastrf.tiling import plan

torch = pytest.importorskip("torch")
from tests.tiling_models import Shuffled, Skipped, Sliced, Wrapped, exact  # noqa: E402 (needs torch)

nn = torch.nn
MODES = ("zeros", "reflect", "replicate")


def layer(rng):
    """One of many kinds, from 4 channels to 4."""
    k, stride = int(rng.integers(1, 5)), int(rng.integers(1, 4))
    few, half = (int(n) for n in rng.integers(0, 3, 2))
    wide = int(rng.integers(stride, stride + 3))
    twice = nn.ConvTranspose1d(4, 4, 2, stride=2) if rng.integers(2) else nn.Upsample(scale_factor=2)
    kinds = [
        nn.Conv1d(4, 4, k, stride, min(few, k - 1), 1 + half % 2, padding_mode=MODES[half]),
        nn.MaxPool1d(2 + few % 2, stride, padding=half % 2, ceil_mode=bool(rng.integers(2))),
        nn.ConvTranspose1d(4, 4, wide, stride, int(rng.integers(0, wide)), int(rng.integers(0, stride))),
        nn.Upsample(scale_factor=1 + stride, mode="nearest"),
        nn.Upsample(scale_factor=2, mode="linear"),
        Sliced(few, half),
        [nn.ConstantPad1d, nn.ReflectionPad1d, nn.ReplicationPad1d][k % 3](*[(few, half), 0][: 2 if k % 3 == 0 else 1]),
        nn.Sequential(nn.Conv1d(4, 8, 3, padding=1), Shuffled()),
        Skipped(nn.Sequential(nn.MaxPool1d(2), nn.Conv1d(4, 4, 3, padding=1), twice)),
        Wrapped(),
    ]
    return kinds[rng.integers(len(kinds))]


@pytest.mark.parametrize("seed", range(40))
def test_tiles_equal_the_whole(seed):
    rng = np.random.default_rng(seed)
    layers = [layer(rng) for _ in range(rng.integers(1, 6))]
    model = exact(nn.Sequential(nn.Conv1d(1, 4, 1), *layers, nn.Conv1d(4, 2, 1)), seed)
    size = int(rng.integers(150, 260))
    image = torch.randint(0, 13, (1, 1, size), generator=torch.Generator().manual_seed(seed)).double()
    analysis = fastrf.analyze(model, (1, size))
    if not analysis.output.halo().is_bounded:
        pytest.skip("padding repeats what lies outside of the field")
    made = plan(analysis, 140)
    with torch.no_grad():
        whole = model(image)
    assert (made.run(model, image) == whole).all()
