"""What tiles, streams and what runs them refuse, each in one line that says what helps; NumPy's integers are taken."""

from __future__ import annotations

import math

import numpy as np
import pytest

import fastrf
from fastrf.tiling import costs, plan, stream

LAYERS = [fastrf.conv(1, 5, padding=2)]


def twice(tile):
    return tile + tile


@pytest.fixture(scope="module")
def analysis():
    return fastrf.analyze(LAYERS, (1, 64, 64))


@pytest.mark.parametrize("tile", [np.int64(20), (20, np.int32(20)), np.array([20, 20])])
def test_integers_of_numpy_are_taken(analysis, tile):
    assert plan(analysis, tile, wrap=np.int64(1), image_shape=np.array([1, 64, 64])) == plan(analysis, 20, wrap=1)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"tile": 20.5}, "whole numbers of 1 or more"),
        ({"tile": math.nan}, "whole numbers of 1 or more"),
        ({"tile": True}, "whole numbers of 1 or more"),
        ({"tile": "20"}, "whole numbers of 1 or more"),
        ({"wrap": 1.5}, "wrap names axis 1.5"),
        ({"wrap": None}, "wrap names axis None"),
        ({"wrap": "x"}, "wrap names axis 'x'"),
        ({"outputs": 3}, "outputs must be names of nodes, not 3"),
        ({"image_shape": 7}, r"image_shape \(7,\) does not fit"),
        ({"image_shape": (1, 64.5, 64)}, r"image_shape \(1, 64.5, 64\) does not fit"),
        ({"image_shape": "x"}, "does not fit"),
        ({"image_shape": (1, 10**12, 10**12)}, "62,500,000,000 tiles along one axis"),
        ({"image_shape": (1, 10**12, 64), "wrap": 0}, "62,500,000,000 tiles along one axis"),
    ],
)
def test_plans_refuse(analysis, given, said):
    with pytest.raises(fastrf.FastRFError, match=said) as error:
        plan(analysis, **{"tile": 20, **given})
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("ask", [plan, stream, costs])
@pytest.mark.parametrize("given", ["unet", None, fastrf.load(LAYERS, (1, 64, 64))])
def test_what_is_no_analysis(ask, given):
    with pytest.raises(fastrf.UsageError, match=r"give fastrf\.analyze"):
        ask(given)


@pytest.mark.parametrize("kind", [object, "U1", "M8[s]"])
def test_images_hold_numbers(analysis, kind):
    with pytest.raises(fastrf.UsageError, match="give numbers"):
        plan(analysis, 20).run(twice, np.zeros((1, 64, 64), kind))


def test_types_that_a_module_does_not_take(analysis):
    torch = pytest.importorskip("torch")
    model, image = torch.nn.Conv2d(1, 1, 5, padding=2), np.zeros((1, 64, 64))
    with pytest.raises(fastrf.UsageError, match="image is complex128"):
        plan(analysis, 20).run(model, image.astype(complex))
    for given in (image, torch.from_numpy(image)):
        with pytest.raises(fastrf.UsageError, match="image is float64, the module's weights are float32; give the"):
            plan(analysis, 20).run(model, given)


def test_outputs_that_cannot_be_written(analysis, tmp_path):
    image, made = np.zeros((1, 64, 64)), plan(analysis, 20)
    fixed = image.copy()
    fixed.setflags(write=False)
    with pytest.raises(fastrf.UsageError, match="read-only"):
        made.run(twice, image, out=fixed)
    np.save(tmp_path / "i.npy", image)
    one, other = (np.load(tmp_path / "i.npy", mmap_mode="r+") for _ in range(2))
    both = np.zeros((2, 64, 64))
    for data, out in ((image, image), (image, image[:, ::-1]), (both[:1], both[0][None]), (one, other)):
        with pytest.raises(fastrf.UsageError, match="same memory or file as the image"):
            made.run(twice, data, out=out)
    assert made.run(twice, both[:1], out=both[1:]) is not None


def test_tensors_and_stores_that_are_the_image(analysis, tmp_path):
    torch, zarr = pytest.importorskip("torch"), pytest.importorskip("zarr")
    made, image = plan(analysis, 20), torch.zeros(1, 64, 64)
    stored = zarr.create_array(store=str(tmp_path / "i.zarr"), shape=(1, 64, 64), dtype="f4")
    again = zarr.open_array(store=str(tmp_path / "i.zarr"), mode="r+")
    for data, out in ((image, image), (image, image.numpy()), (stored, again)):
        with pytest.raises(fastrf.UsageError, match="same memory or file as the image"):
            made.run(twice, data, out=out)


def test_outputs_must_keep_their_type(analysis):
    calls = []

    def uneven(tile):
        calls.append(tile)
        return tile.astype(np.float32 if len(calls) > 1 else np.float64)

    with pytest.raises(fastrf.ShapeError, match="is float32, where the output so far is float64"):
        plan(analysis, 20).run(uneven, np.zeros((1, 64, 64)))


def test_streams_refuse(analysis):
    field = fastrf.analyze([fastrf.conv(1, 5, padding=[[4, 0]])], (1, 64)).output
    with pytest.raises(fastrf.UsageError, match="chunks must be arrays one after another, not a NoneType"):
        list(stream(field).run(twice, None))
    for stride in (10**30, True, math.nan):
        with pytest.raises(fastrf.UsageError, match="stride"):
            field.lookahead(0, stride=stride)
