"""Dense masks in one, two and three dimensions, one term and several, against brute force."""

from __future__ import annotations

import math

import numpy as np
import pytest

import fastrf
from fastrf.queries import masks
from tests import reference


def crossing(ndim, shape):
    """A network whose output has several terms, each with holes: long windows along one axis each."""

    def window(axis):
        sizes = [1] * ndim
        sizes[axis] = 3
        return {
            "name": f"along{axis}",
            "op": "conv",
            "out_channels": 1,
            "kernel_size": sizes,
            "dilation": 2,
            "padding": [n - 1 for n in sizes],
            "inputs": ["input"],
        }

    layers = [window(axis) for axis in range(ndim)]
    if ndim > 1:
        layers.append({"name": "all", "op": "add", "inputs": [layer["name"] for layer in layers]})
    layers.append({"name": "out", "op": "max_pool", "kernel_size": 2, "stride": 2})
    return fastrf.load({"input_shape": [1, *shape], "layers": layers})


def swapped(shape):
    """A network that entangles its axes: a gather over the flattened map."""
    n = math.prod(shape)
    layers = [
        {"op": "conv", "out_channels": 1, "kernel_size": 3, "padding": 1},
        {"op": "flatten", "start_axis": 1},
        {"op": "gather", "axis": 1, "indices": [n - 1, 0, n // 2, 1]},
    ]
    return fastrf.load({"input_shape": [1, *shape], "layers": layers})


NETWORKS = [
    crossing(1, (23,)),
    crossing(2, (11, 9)),
    crossing(2, (5, 17)),
    crossing(3, (5, 7, 6)),
    crossing(3, (4, 2, 9)),
    swapped((5, 9)),
]


@pytest.fixture(params=range(len(NETWORKS)))
def network(request):
    return NETWORKS[request.param]


def truth(network, field):
    """bool[n, *pixels] by brute force."""
    whole = reference.propagate(network.to_dict())[network.outputs[0]]
    whole = whole.any(axis=len(field.shape) + field.input_channel_axis).any(axis=field.channel_axis)
    return whole.reshape(-1, *field.pixel_shape)


@pytest.mark.parametrize("slab", [1, 100, 1 << 24])
def test_all_masks_are_those_of_brute_force(network, slab, monkeypatch):
    monkeypatch.setattr(masks, "SLAB_BYTES", slab)
    field = fastrf.analyze(network).output
    expected = truth(network, field)
    assert (field.masks() == expected).all()
    assert (field.masks(packed=True) == np.packbits(expected, axis=-1)).all()
    assert (field.areas().ravel() == expected.reshape(len(expected), -1).sum(axis=1)).all()
    assert (field.coverage() == expected.sum(axis=0)).all()
    assert (field.to_csr().toarray() == expected.reshape(len(expected), -1)).all()


def test_threads_do_not_change_a_bit(network, monkeypatch):
    monkeypatch.setattr(masks, "SLAB_BYTES", 64)
    positional = fastrf.analyze(network).output.positional
    for packed in (False, True):
        one, four = (masks.dense(positional, None, packed=packed, out=None, threads=n) for n in (1, 4))
        assert (one == four).all()


def test_what_was_in_the_array_is_overwritten(network, tmp_path, rng):
    field = fastrf.analyze(network).output
    expected = field.masks()
    dirty = rng.integers(0, 2, expected.shape).astype(bool)
    assert (field.masks(out=dirty) == expected).all()
    on_disk = np.memmap(tmp_path / "masks", bool, "w+", shape=expected.shape)
    on_disk[...] = True
    assert field.masks(out=on_disk) is on_disk
    on_disk.flush()
    assert (np.fromfile(tmp_path / "masks", bool).reshape(expected.shape) == expected).all()
    protected = np.memmap(tmp_path / "masks", bool, "r", shape=expected.shape)
    with pytest.raises(fastrf.ShapeError, match="writeable"):
        field.masks(out=protected)


def test_a_part_of_a_larger_array(network):
    field = fastrf.analyze(network).output
    expected = field.masks()
    large = np.ones((len(expected) + 2, *expected.shape[1:]), bool)
    field.masks(out=large[1:-1])
    assert (large[1:-1] == expected).all()
    assert large[0].all()
    assert large[-1].all()


def test_masks_of_neurons_hold_the_channels(network):
    field = fastrf.analyze(network).output
    expected = reference.propagate(network.to_dict())[network.outputs[0]].reshape(-1, *field.input_shape)
    assert (field.neuron_masks() == expected).all()
    chosen = [tuple(n - 1 for n in field.shape), (0,) * len(field.shape)]
    assert (field.neuron_masks(chosen, packed=True) == np.packbits(expected[[-1, 0]], axis=-1)).all()
    with pytest.raises(fastrf.PositionError):
        field.neuron_masks([field.shape])


def test_no_positions_have_no_masks(network):
    field = fastrf.analyze(network).output
    none = np.zeros((0, len(field.position_shape)), int)
    assert field.masks(none).shape == (0, *field.pixel_shape)
    assert field.masks(none, packed=True).shape == (0, *field.masks(packed=True).shape[1:])


@pytest.mark.parametrize("packed", [False, True])
def test_masks_sent_around_the_caches_are_the_same_wherever_they_begin(network, packed, monkeypatch):
    field = fastrf.analyze(network).output
    expected = field.neuron_masks(packed=packed), field.masks(packed=packed)
    monkeypatch.setattr(masks, "AROUND", 0)
    for first in (0, 1, 7, 8, 17):
        for dependency, told in zip((field.dependency, field.positional), expected, strict=True):
            room = np.full(told.nbytes + 64, 1, np.uint8)
            out = room[first : first + told.nbytes].view(told.dtype).reshape(told.shape)
            masks.dense(dependency, None, packed=packed, out=out)
            assert (out == told).all()
            assert (room[:first] == 1).all()
            assert (room[first + told.nbytes :] == 1).all()
