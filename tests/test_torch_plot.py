"""Pictures of PyTorch models, over images that are tensors."""

from __future__ import annotations

import numpy as np
import pytest

import fastrf
from fastrf import plot
from fastrf.plot.images import read_picture

pytest.importorskip("matplotlib")
torch = pytest.importorskip("torch")
from matplotlib.figure import Figure  # noqa: E402 (the extra may be missing)

COLORED = np.arange(9 * 9 * 3, dtype=np.uint8).reshape(9, 9, 3)


def test_tensors_are_images():
    tensor = torch.from_numpy(np.moveaxis(COLORED, -1, 0).copy())
    assert np.array_equal(read_picture(tensor).pixels, COLORED)
    real = (tensor / 255).requires_grad_()
    assert np.array_equal(read_picture(real[None]).pixels, COLORED)
    assert np.abs(read_picture(real.to(torch.bfloat16)).pixels.astype(int) - COLORED).max() <= 1


def test_masks_of_modules():
    module = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3, 2, 1), torch.nn.ReLU())
    field = fastrf.analyze(module, (3, 9, 9))["0"]
    ax = plot.mask(field, (0, 1), torch.rand(3, 9, 9), ax=Figure())
    assert np.array_equal(ax.images[1].get_array(), field.mask((0, 1)))
    assert len(plot.growth(fastrf.analyze(module, (3, 9, 9)), ax=Figure()).lines) > 1
