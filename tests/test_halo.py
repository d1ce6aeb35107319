"""Halos: worked numbers, and inference on tiles equal to inference on the whole image."""

from __future__ import annotations

import math
import pickle

import numpy as np
import pytest

import fastrf

INF = math.inf


@pytest.mark.parametrize(
    ("layers", "expected"),
    [
        ([fastrf.conv(1, 3, padding=1)], (1, 1, 1, 1)),
        ([fastrf.conv(1, 3)], (0, 2, 1, 1)),
        ([fastrf.conv(1, 3, padding=[[2, 0]])], (2, 0, 1, 1)),
        ([fastrf.conv(1, 3, dilation=4, padding=4), fastrf.conv(1, 3, padding=1)], (5, 5, 1, 1)),
        ([fastrf.conv(1, 3, stride=2, padding=1)], (1, 0, 2, 1)),
        ([fastrf.max_pool(2), fastrf.max_pool(3, 3)], (0, 0, 6, 1)),
        ([fastrf.max_pool(2), fastrf.conv_transpose(1, 2, stride=2)], (0, 0, 2, 2)),
        ([fastrf.max_pool(2), fastrf.conv_transpose(1, 3, stride=2, padding=1)], (0, 2, 2, 2)),
        ([fastrf.layer("softmax", axis=1)], (INF, INF, 1, 1)),
        ([fastrf.layer("pad", padding=[[0, 0], [1, 1]], mode="circular"), fastrf.conv(1, 3)], (INF, INF, 1, 1)),
        ([fastrf.layer("pad", padding=[[0, 0], [1, 1]], mode="reflect"), fastrf.conv(1, 3)], (1, 1, 1, 1)),
    ],
)
def test_worked_halos(layers, expected):
    halo = fastrf.analyze(layers, (1, 48)).output.halo()
    assert (*halo.before, *halo.after, *halo.period, *halo.positions) == expected


def test_a_wide_branch_does_not_hide_the_steps_of_a_narrow_one():
    spec = {
        "input_shape": [1, 32],
        "layers": [
            {"name": "wide", "op": "conv", "out_channels": 1, "kernel_size": 9, "padding": 4},
            {"name": "down", "op": "max_pool", "kernel_size": 2, "stride": 2, "inputs": ["input"]},
            {"name": "up", "op": "resize", "scale": 2, "mode": "nearest"},
            {"name": "sum", "op": "add", "inputs": ["wide", "up"]},
        ],
    }
    halo = fastrf.analyze(spec).output.halo()
    assert (halo.before, halo.after, halo.period, halo.positions) == ((4,), (4,), (2,), (2,))


def test_unet():
    halo = fastrf.analyze("unet", (1, 64, 64)).output.halo()
    assert halo.period == halo.positions == (16, 16)
    assert halo.aligned == ((96, 96), (96, 96))
    assert halo.before == halo.after


def test_axes_may_differ_and_be_missing(tmp_path):
    field = fastrf.analyze([fastrf.conv(1, [3, 1], stride=[2, 1], padding=[1, 0])], (1, 8, 8)).output
    halo = field.halo()
    assert (halo.before, halo.after, halo.period) == ((1, 0), (0, 0), (2, 1))
    field.save(tmp_path / "f.npz")
    assert fastrf.load_field(tmp_path / "f.npz").halo() == halo
    assert field.projective().halo().before == (INF, INF)


CROPPED = fastrf.layer("slice", axis=1, start=3, stop=46)
PADDED = fastrf.layer("pad", padding=[[0, 0], [3, 2]])


@pytest.mark.parametrize(
    ("layers", "expected"),
    [
        ([CROPPED], (0, 5, 1, 1)),  # position p reads pixel p + 3, and is there where pixel p + 5 is
        ([CROPPED, PADDED], (3, 2, 1, 1)),
        ([fastrf.conv_transpose(1, 2, stride=2, padding=1), fastrf.conv(1, 3, padding=1)], (1, 2, 1, 2)),
        ([fastrf.conv(1, 3), PADDED, fastrf.conv(1, 3)], (3, 1, 1, 1)),
    ],
)
def test_what_is_cropped_and_padded_again_needs_context(layers, expected, tmp_path):
    """A tile has padding where the whole has values, though the tile holds every pixel that these read."""
    field = fastrf.analyze(layers, (1, 48)).output
    halo = field.halo()
    assert (*halo.before, *halo.after, *halo.period, *halo.positions) == expected
    field.save(tmp_path / "f.npz")
    assert fastrf.load_field(tmp_path / "f.npz").halo() == pickle.loads(pickle.dumps(field)).halo() == halo


def random_module(torch, rng):
    """Layers of every kind that go in steps, with random weights, in one dimension."""
    nn = torch.nn
    made, coarse = [], 1
    for _ in range(rng.integers(1, 6)):
        kernel, dilation = int(rng.integers(1, 5)), int(rng.integers(1, 4))
        kind = rng.integers(0, 5)
        if kind == 0:
            made.append(nn.Conv1d(1, 1, kernel, padding=int(rng.integers(0, kernel)), dilation=dilation))
        elif kind == 1 and coarse < 12:
            stride = int(rng.integers(2, 4))
            coarse *= stride
            made.append(nn.Conv1d(1, 1, kernel, stride=stride, padding=int(rng.integers(0, kernel))))
        elif kind == 2 and coarse < 12:
            coarse *= 2
            made.append(nn.MaxPool1d(3, 2, padding=1))
        elif kind == 3:
            stride = int(rng.integers(1, 4))
            made.append(nn.ConvTranspose1d(1, 1, kernel + stride - 1, stride=stride))
        else:
            made.append(nn.Tanh())
    deep = nn.Sequential(*made)
    return deep.double()


@pytest.mark.parametrize("seed", range(25))
def test_tiles_equal_the_whole(seed):
    torch = pytest.importorskip("torch")
    rng = np.random.default_rng(seed)
    torch.manual_seed(seed)
    model, n = random_module(torch, rng), 288
    field = fastrf.analyze(model, (1, n)).output
    halo = field.halo()
    (before, after), (period,), (positions,) = halo.aligned[0], halo.period, halo.positions
    image = torch.rand(1, 1, n, dtype=torch.float64)
    with torch.no_grad():
        whole = model(image)[0, 0].numpy()
        for a in range(0, n // period, max(1, n // period // 5)):
            first, last = a * period, min((a + 2) * period, n)
            begin, end = max(first - before, 0), min(last + after, n)
            tile = model(image[..., begin:end])[0, 0].numpy()
            skip = (first - begin) // period * positions
            there = whole[a * positions : (a + 2) * positions]
            here = tile[skip : skip + len(there)]
            assert np.allclose(there, here, rtol=1e-12, atol=1e-12)
            assert len(there) == len(here)


def test_less_context_is_not_enough():
    torch = pytest.importorskip("torch")
    torch.manual_seed(0)
    model = torch.nn.Sequential(torch.nn.Conv1d(1, 1, 5, padding=2), torch.nn.Conv1d(1, 1, 3, padding=1)).double()
    (before,) = fastrf.analyze(model, (1, 64)).output.halo().before
    image = torch.rand(1, 1, 64, dtype=torch.float64)
    with torch.no_grad():
        whole = model(image)[0, 0, 30]
        for context in (before, before - 1):
            same = bool(torch.isclose(model(image[..., 30 - context :])[0, 0, context], whole, rtol=1e-12, atol=0))
            assert same is (context == before)


def test_what_has_no_positions_names_the_last_map():
    with pytest.raises(
        fastrf.PositionError, match=r"'fc' has no positions to tile.*the last map is 'layer4\.2\.relu3'"
    ):
        fastrf.analyze("resnet50").output.halo()


def test_an_unbounded_halo_names_the_nodes_that_make_it_so():
    assert fastrf.analyze("deeplabv3_resnet50").output.halo().unbounded_at == ("classifier.0.convs.4.0",)
    layers = [fastrf.conv(4, 3), fastrf.layer("instance_norm"), fastrf.conv(4, 3), fastrf.layer("softmax", axis=2)]
    analysis = fastrf.analyze(layers, (1, 20, 20))
    norm, soft = list(analysis)[2], list(analysis)[4]
    assert analysis[soft].halo().unbounded_at == analysis[norm].halo().unbounded_at == (norm,)
    assert analysis[list(analysis)[1]].halo().unbounded_at == ()
