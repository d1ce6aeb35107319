"""What pictures are made of: cells of any resolution against dense masks, on random networks of every operator."""

from __future__ import annotations

import math

import numpy as np
import pytest

import fastrf
from fastrf.queries import counting, rasters
from fastrf.queries.rasters import Cells
from tests.conftest import scaled
from tests.strategies import random_spec


def in_cells(values, cells, join):
    """Values joined within the cells of every axis, the plain way."""
    for axis, one in enumerate(cells):
        parts = [values.take(range(k, min(k + one.step, one.n)), axis) for k in range(0, one.n, one.step)]
        values = np.stack([join(part, axis=axis) for part in parts], axis=axis)
    return values


def fields_of(rng):
    """Fields of a random network that have pixels and positions."""
    analysis = fastrf.analyze(random_spec(rng, layers=6))
    return [f for f in analysis.values() if math.prod(f.pixel_shape) and math.prod(f.position_shape)]


def drawn(rng, shape):
    return [Cells(n, int(rng.integers(1, n + 1))) for n in shape]


@pytest.mark.parametrize("rng", range(scaled(40)), indirect=True)
def test_cells_of_a_mask_are_marked_where_any_pixel_is(rng):
    for field in fields_of(rng)[-3:]:
        position = tuple(int(rng.integers(n)) for n in field.position_shape)
        mask, seen = field.mask(position), rasters.at(field.positional, position)
        cells = drawn(rng, field.pixel_shape)
        assert rasters.n_seen(seen) == mask.sum()
        assert np.array_equal(counting.box(seen, ()), field.box(position))
        assert np.array_equal(rasters.raster(seen, dict(enumerate(cells))), in_cells(mask, cells, np.any))
        blind = rasters.unseen(rasters.anywhere(field.positional), cells)
        assert np.array_equal(blind, in_cells(field.coverage() == 0, cells, np.any))


@pytest.mark.parametrize("rng", range(scaled(40)), indirect=True)
def test_cells_of_some_axes(rng):
    """Others are held at an index, or any index of them will do."""
    for field in fields_of(rng)[-3:]:
        position = tuple(int(rng.integers(n)) for n in field.position_shape)
        mask, seen = field.mask(position), rasters.at(field.positional, position)
        kinds = rng.integers(0, 3, mask.ndim)
        shown = {axis: cells for axis, cells in enumerate(drawn(rng, mask.shape)) if kinds[axis] == 0}
        fixed = {axis: int(rng.integers(mask.shape[axis])) for axis in np.flatnonzero(kinds == 1)}
        for axis in reversed(range(mask.ndim)):
            if axis in fixed:
                mask = mask.take(fixed[axis], axis)
            elif axis not in shown:
                mask = mask.any(axis=axis)
        assert np.array_equal(rasters.raster(seen, shown, fixed), in_cells(mask, [*shown.values()], np.any))


@pytest.mark.parametrize("rng", range(scaled(30)), indirect=True)
def test_positions_that_are_picked_see_what_they_saw(rng):
    for field in fields_of(rng)[-3:]:
        cells = drawn(rng, field.position_shape)
        picked = rasters.picked(field.positional, cells)
        places = np.ix_(*(one.chosen for one in cells))
        assert np.array_equal(counting.areas(picked), field.areas()[places])
        assert np.array_equal(counting.boxes(picked), field.boxes()[places])
        alone = [int(one.chosen[-1]) for one in cells]
        assert counting.areas(rasters.picked(field.positional, alone)).sum() == field.areas()[tuple(alone)]


@pytest.mark.parametrize("rng", range(scaled(20)), indirect=True)
def test_shares_that_a_border_cuts(rng, monkeypatch):
    monkeypatch.setattr(rasters, "BATCH", 8)
    for field in fields_of(rng)[-3:]:
        cells = drawn(rng, field.position_shape)
        found = rasters.clipped_shares(field.nominal, field.pixel_shape, cells)
        expected = in_cells(field.clipped().astype(np.float64), cells, np.mean)
        assert np.allclose(found, expected) if cells else found.shape == ()


def test_blind_spots_of_many_terms_on_one_axis_each():
    """A cross leaves corners, whatever the resolution."""
    layers = [
        {"name": "row", "op": "conv", "out_channels": 1, "kernel_size": [1, 5], "stride": 9, "inputs": ["input"]},
        {"name": "column", "op": "conv", "out_channels": 1, "kernel_size": [5, 1], "stride": 9, "inputs": ["input"]},
        {"name": "cross", "op": "add", "inputs": ["row", "column"]},
    ]
    spec = {"input_shape": [1, 14, 14], "layers": [{**one} for one in layers[:1]] + layers[1:]}
    field = fastrf.analyze(
        {**spec, "layers": [layers[0] | {"padding": [4, 0]}, layers[1] | {"padding": [0, 4]}]}
    ).output
    cells = [Cells(14, 3), Cells(14, 4)]
    blind = rasters.unseen(rasters.anywhere(field.positional), cells)
    assert np.array_equal(blind, in_cells(field.coverage() == 0, cells, np.any))


def test_long_axes_are_not_unrolled():
    """Ten million samples in a thousand cells: rows are taken from the period that repeats."""
    analysis = fastrf.analyze([fastrf.conv(1, 3, dilation=4, padding=4), fastrf.conv(1, 2, stride=2)], (1, 10_000_000))
    field = analysis.output
    relation = field.positional.terms[0][0].relation
    picked = rasters.picked(field.positional, [Cells.of(field.position_shape[0], 1000)])
    assert counting.areas(picked).tolist() == [6] * 1000
    assert not {"indptr", "start", "stop"} & set(vars(relation))


def test_an_empty_input_has_no_cells():
    assert Cells.of(0, 10) == Cells(0, 1)
    assert Cells.of(0, 10).number == 0
    assert Cells.of(11, 10) == Cells(11, 2)
    assert Cells.of(11, 10, 4) == Cells(11, 3)
    assert (Cells(11, 3, 5).begins // 1).tolist() == [5, 8, 11, 14]
    for one in (Cells(11, 3), Cells(100, 7), Cells(5, 9), Cells(4, 1)):
        assert np.array_equal(one.chosen // one.step, np.arange(one.number))
        assert one.chosen.max() < one.n


def test_what_repeats_does_not_look_constant():
    assert len(set((Cells(10_000, 20).chosen % 4).tolist())) == 4


@pytest.mark.parametrize("rng", range(scaled(20)), indirect=True)
def test_windows_of_a_mask(rng):
    for field in fields_of(rng)[-3:]:
        position = tuple(int(rng.integers(n)) for n in field.position_shape)
        seen, window = rasters.at(field.positional, position), []
        for n in field.pixel_shape:
            first = int(rng.integers(n))
            window.append(Cells(int(rng.integers(1, n - first + 1)), int(rng.integers(1, 4)), first))
        part = field.mask(position)[tuple(slice(one.first, one.first + one.n) for one in window)]
        expected = in_cells(part, [one._replace(first=0) for one in window], np.any)
        assert np.array_equal(rasters.raster(seen, dict(enumerate(window))), expected)
