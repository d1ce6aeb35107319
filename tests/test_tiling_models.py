"""Tiles of real networks equal the whole bit for bit, through PyTorch and onnxruntime; less context does not do."""

from __future__ import annotations

import copy
import io
import warnings

import numpy as np
import pytest

import fastrf
from fastrf.tiling import plan
from tests.conftest import INTERPRETED

torch = pytest.importorskip("torch")
from tests.tiling_models import MODELS  # noqa: E402 (needs torch)

pytestmark = pytest.mark.skipif(INTERPRETED, reason="convolutions of many layers; halos run both ways elsewhere")


class Case:
    """A model, its plan, an image of whole numbers and the outputs of the whole."""

    def __init__(self, name):
        make, self.shape, tile, wrap = MODELS[name]
        self.model = make()
        self.plan = plan(fastrf.analyze(self.model, self.shape), tile, wrap)
        chance = torch.Generator().manual_seed(1)
        self.image = torch.randint(0, 13, (1, *self.shape), generator=chance).double()
        self.whole = self.outputs(self.image)

    def outputs(self, image):
        with torch.no_grad():
            found = self.model(image)
        return found if isinstance(found, tuple) else (found,)


@pytest.fixture(scope="module", params=MODELS)
def case(request):
    return Case(request.param)


def equal(found, whole):
    found = found if isinstance(found, tuple) else (found,)
    return all(bool((one == other.numpy()).all()) for one, other in zip(map(np.asarray, found), whole, strict=True))


def test_the_whole_is_exact(case):
    """Whole numbers, or fractions of a power of two, that float32 holds, too."""
    for output in case.whole:
        assert (output == output.float().double()).all()
        assert len(output.unique()) > 8


def test_tiles_equal_the_whole(case):
    assert case.plan.n_tiles > 1
    assert equal(case.plan.run(case.model, case.image), case.whole)
    assert equal(case.plan.run(case.model, case.image[0].numpy()), [one[0] for one in case.whole])


def test_tiles_equal_the_whole_through_onnxruntime(case):
    pytest.importorskip("onnx")
    runtime = pytest.importorskip("onnxruntime")
    shape = [1, *case.plan.tile_shape]
    if case.plan.channel_axis is not None:
        shape.insert(1 + case.plan.channel_axis, case.shape[case.plan.channel_axis])
    file = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(copy.deepcopy(case.model).float(), (torch.zeros(shape),), file, dynamo=False)
    session = runtime.InferenceSession(file.getvalue(), providers=["CPUExecutionProvider"])
    assert equal(case.plan.run(session, case.image.float().numpy()), case.whole)


def test_one_pixel_less_differs(case):
    """What lies beyond the context changes nothing; its last pixel does, on either side of every axis that is cut."""
    skip = [1 + k for k in range(len(case.shape)) if k != case.plan.channel_axis]
    for k, (axis, dim) in enumerate(zip(case.plan.axes, skip, strict=True)):
        if len(axis.spans) == 1:
            continue
        middle = axis.size // axis.period // 2
        for side in (-1, 1):
            edge = middle * axis.period - axis.before if side < 0 else (middle + 1) * axis.period + axis.after
            edge = int(edge) - (side > 0)  # the last pixel that is read
            assert not changed(case, dim, k, middle, edge + side)
            assert changed(case, dim, k, middle, edge)


def changed(case, dim, k, block, pixel):
    """Whether an output of a block along an axis changes with one line of pixels."""
    image = case.image.clone()
    line = image.select(dim, pixel % case.plan.axes[k].size)
    line.copy_((line + torch.randint(1, 13, line.shape, generator=torch.Generator().manual_seed(pixel))) % 13)
    for output, before, after in zip(case.plan.outputs, case.whole, case.outputs(image), strict=True):
        n = output.positions[k]
        at = 1 + [axis for axis in range(len(output.shape)) if axis != output.channel_axis][k]
        if (before.narrow(at, block * n, n) != after.narrow(at, block * n, n)).any():
            return True
    return False
