"""Running a plan: arrays of every kind, runs that go on after an interruption, and what does not fit."""

from __future__ import annotations

import numpy as np
import pytest

import fastrf
from fastrf.tiling import plan

LAYERS = [fastrf.conv(2, 3, padding=1), fastrf.max_pool(2)]
SHAPE = (1, 14, 18)


def network(image):
    """A conv of ones in two scales and a max pool, in NumPy: the network that LAYERS describe, batch or none."""
    padded = np.pad(image, [(0, 0)] * (image.ndim - 2) + [(1, 1)] * 2)
    h, w = image.shape[-2:]
    found = sum(padded[..., y : y + h, x : x + w] * (3 * y + x + 1) for y in range(3) for x in range(3))
    both = np.concatenate([found, -2 * found], axis=-3)[..., : h // 2 * 2, : w // 2 * 2]
    return both.reshape(*both.shape[:-2], h // 2, 2, w // 2, 2).max((-3, -1))


@pytest.fixture
def made():
    return plan(fastrf.analyze(LAYERS, SHAPE), (8, 6))


@pytest.fixture
def image(rng):
    return rng.integers(0, 100, SHAPE)


def test_arrays_with_a_batch_or_without(made, image, rng):
    assert made.n_tiles == 3 * 7
    assert (made.run(network, image) == network(image)).all()
    batch = rng.integers(0, 100, (3, *SHAPE))
    assert (made.run(network, batch) == network(batch)).all()
    out = np.full((2, 7, 9), -1)
    assert made.run(network, image, out=out) is out
    assert (out == network(image)).all()


def test_progress_is_told(made, image):
    told = []
    made.run(network, image, progress=lambda done, total: told.append((done, total)))
    assert told == [(done, 21) for done in range(22)]


@pytest.mark.parametrize("form", ["zarr", "npy"])
def test_a_run_goes_on_where_it_was_killed(made, image, tmp_path, form):
    if form == "zarr":
        pytest.importorskip("zarr")
    path, runs = tmp_path / f"out.{form}", []

    def dies(tile):
        runs.append(1)
        if len(runs) == 6:
            raise KeyboardInterrupt
        return network(tile)

    with pytest.raises(KeyboardInterrupt):
        made.run(dies, image, out=path)
    assert len((tmp_path / f"out.{form}.tiles").read_text().splitlines()) == 1 + 5
    with (tmp_path / f"out.{form}.tiles").open("a") as record:
        record.write("1")  # cut off while it was written: no line
    assert (made.run(dies, image, out=path, resume=True)[...] == network(image)).all()
    assert len(runs) == 6 + 21 - 5
    assert (made.run(dies, image, out=str(path), resume=True)[...] == network(image)).all()
    assert len(runs) == 6 + 21 - 5
    with pytest.raises(fastrf.FormatError, match="exists; choose another name, or go on with resume=True"):
        made.run(network, image, out=path)
    other = plan(fastrf.analyze(LAYERS, SHAPE), 8)
    with pytest.raises(fastrf.FormatError, match="is of another plan or image"):
        other.run(network, image, out=path, resume=True)


def test_zarr_in_and_out(made, image, tmp_path):
    zarr = pytest.importorskip("zarr")
    stored = zarr.create_array(str(tmp_path / "in.zarr"), data=image, chunks=(1, 5, 5))
    assert (made.run(network, stored) == network(image)).all()
    out = made.run(network, stored, out=tmp_path / "out.zarr")
    assert isinstance(out, zarr.Array)
    assert (out[:] == network(image)).all()
    own = zarr.create_array(zarr.storage.MemoryStore(), shape=(2, 7, 9), dtype=out.dtype)
    assert (made.run(network, stored, out=own)[:] == network(image)).all()


def test_dask_arrays_are_lazy(made, image, tmp_path):
    da = pytest.importorskip("dask.array")
    runs = []

    def counted(tile):
        runs.append(1)
        return network(tile)

    lazy = made.run(counted, da.from_array(image, chunks=(1, 5, 7)))
    assert isinstance(lazy, da.Array)
    assert (lazy.shape, lazy.dtype, len(runs)) == ((2, 7, 9), np.int64, 1)
    assert (lazy.compute(scheduler="synchronous") == network(image)).all()
    assert len(runs) == 22
    assert (lazy[:, :1, :1].compute(scheduler="synchronous") == network(image)[:, :1, :1]).all()
    assert len(runs) == 23
    out = made.run(network, da.from_array(image, chunks=(1, 5, 7)), out=tmp_path / "out.npy")
    assert (out == network(image)).all()


def test_dask_arrays_around_an_axis_with_two_outputs(rng):
    da = pytest.importorskip("dask.array")
    spec = {
        "input_shape": [1, 12],
        "layers": [
            {"name": "pad", "op": "pad", "padding": [[0, 0], [1, 2]], "mode": "circular"},
            {"name": "wide", "op": "conv", "out_channels": 1, "kernel_size": 4},
            {"name": "half", "op": "max_pool", "kernel_size": 2},
        ],
        "outputs": ["half", "wide"],
    }

    def around(x):
        x = np.pad(x, [(0, 0)] * (x.ndim - 1) + [(1, 2)], mode="wrap")
        wide = sum(x[..., k : x.shape[-1] - 3 + k] * (k + 1) for k in range(4))
        return {"wide": wide, "half": wide.reshape(*wide.shape[:-1], -1, 2).max(-1)}

    made = plan(fastrf.analyze(spec), 8, wrap=0)
    image = rng.integers(0, 100, (2, 1, 12))
    half, wide = made.run(around, da.from_array(image, chunks=(1, 1, 5)))
    expected = around(image)
    assert (half.compute(scheduler="synchronous") == expected["half"]).all()
    assert (wide.compute(scheduler="synchronous") == expected["wide"]).all()
    found = made.run(lambda x: [around(x)["half"], around(x)["wide"]], image)
    assert all((one == expected[name]).all() for one, name in zip(found, ("half", "wide"), strict=True))
    with pytest.raises(fastrf.ShapeError, match="gives a, b, the plan is of half, wide"):
        made.run(lambda x: dict(zip("ab", around(x).values(), strict=True)), image)


@pytest.mark.parametrize("padding", [0, 1])
def test_a_ring_of_a_network_that_pads_is_an_endless_image(padding, rng):
    """Positions are those of the image repeated on both sides, however the network treats its borders."""
    layers = [fastrf.conv(1, 3, padding=padding), fastrf.max_pool(2)]

    def valid(x):
        y = sum(x[..., k : x.shape[-1] - 2 + k] * (k + 1) for k in range(3))
        return y[..., : y.shape[-1] // 2 * 2].reshape(*y.shape[:-1], -1, 2).max(-1)

    def padded(x):
        return valid(np.pad(x, [(0, 0), (1, 1)]))

    image = rng.integers(0, 100, (1, 24))
    made = plan(fastrf.analyze(layers, (1, 24)), 10, wrap=0)
    around = np.concatenate([image[:, -padding:] if padding else image[:, :0], image, image[:, : 2 - padding]], 1)
    assert (made.run(padded if padding else valid, image) == valid(around)).all()
    assert "not all of the network goes around it" in made.assumes[0]
    with pytest.raises(fastrf.ShapeError, match="that is wrapped must be whole steps, such as 24"):
        plan(fastrf.analyze(layers, (1, 25)), 10, wrap=0)


def test_sessions_of_a_fixed_size_say_so(made, image):
    class Session:
        def get_inputs(self):
            return [type("Input", (), {"name": "x", "shape": [1, 1, 64, 64]})]

        def run(self, _, given):
            return [network(given["x"])]

    with pytest.raises(fastrf.ShapeError, match="the session takes 1x1x64x64, tiles are 1x1x8x6; plan tiles of that"):
        made.run(Session(), image)


@pytest.mark.parametrize(
    ("function", "given", "said"),
    [
        (network, {"image": np.zeros((1, 14, 19))}, r"the image has shape \(1, 14, 19\).*plan with image_shape="),
        (network, {"image": [1, 2]}, "a list is no image"),
        (3, {}, "an int cannot run a tile"),
        (lambda tile: tile, {}, r"'max_pool2' has shape .* where \(2, .*is this the network that was analysed"),
        (lambda tile: (network(tile), 1), {}, "gives 2 outputs, the plan is of 1"),
        (network, {"out": np.zeros((2, 3))}, r"out has shape \(2, 3\), .* of the whole has \(2, 7, 9\)"),
        (network, {"out": np.zeros((2, 7, 9), np.float32)}, "int64, where the output so far is float32"),
        (network, {"resume": True}, "resume needs an output on a disk"),
        (network, {"out": "out.tif"}, "ending '.tif' is unknown here; use .zarr or .npy"),
        (network, {"out": "no/where/out.npy"}, "there is no folder"),
        (network, {"out": [None, None]}, "one for each of the 1 outputs"),
        (lambda tile: tile, {"out": "out.npy"}, "is this the network"),
    ],
)
def test_what_does_not_fit_leaves_nothing(made, image, tmp_path, monkeypatch, function, given, said):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(fastrf.FastRFError, match=said) as caught:
        made.run(function, **{"image": image, **given})
    assert "\n" not in str(caught.value)
    assert not list(tmp_path.iterdir())


def test_types_must_not_change(made, image):
    runs = []

    def changes(tile):
        runs.append(1)
        return network(tile).astype(np.float32 if len(runs) > 2 else np.float64)

    with pytest.raises(fastrf.ShapeError, match=r"tile \(0, 2\): 'max_pool2' is float32, where .* float64"):
        made.run(changes, image)


def test_errors_of_the_network_say_at_which_tile(made, image):
    def fails(tile):
        raise ValueError("no")

    with pytest.raises(ValueError, match="no") as caught:
        made.run(fails, image)
    assert caught.value.__notes__ == ["tile (0, 0), pixels ((0, 8), (0, 6))"]


def test_modules_of_pytorch():
    torch = pytest.importorskip("torch")
    model = torch.nn.Sequential(torch.nn.Conv2d(1, 2, 3, padding=1), torch.nn.BatchNorm2d(2)).double()
    made = plan(fastrf.analyze(model.eval(), (1, 20, 20)), 8)
    image = torch.rand(1, 20, 20, dtype=torch.float64)
    found = made.run(model, image)
    assert not found.requires_grad
    assert found.shape == (2, 20, 20)
    assert torch.allclose(found, model(image[None])[0], rtol=1e-12)
    with pytest.raises(fastrf.UsageError, match=r"'1' is training.*call \.eval\(\) first"):
        made.run(model.train(), image)
