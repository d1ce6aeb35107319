"""Nominal fields against the exact ones on an input so long that no border is near."""

from __future__ import annotations

import math

import numpy as np
import pytest

import fastrf
from fastrf.engine.extent import NOTHING, UNBOUNDED, Extent, Phase, irregular, opened, united
from fastrf.engine.nominal import Nominal, bounds

LONG = 600


def hulls_in_the_middle(layers):
    """(nominal field, exact hulls) of positions whose exact field touches no border."""
    field = fastrf.analyze(layers, (4, LONG)).output
    return field, field.intervals(0)


CHAINS = {
    "stride": [fastrf.conv(4, 3, stride=2, padding=1), fastrf.max_pool(3, stride=3)],
    "dilation": [fastrf.conv(4, 3, dilation=4, padding=4), fastrf.conv(4, 2)],
    "transposed": [fastrf.max_pool(4), fastrf.conv_transpose(4, 3, stride=2, padding=1), fastrf.conv(4, 3, padding=1)],
    "gaps": [fastrf.max_pool(2), fastrf.conv_transpose(4, 2, stride=3), fastrf.max_pool(2, stride=1)],
    "nearest": [fastrf.max_pool(3), fastrf.resize(scale=2.0), fastrf.conv(4, 3, padding=1)],
    "linear": [fastrf.max_pool(4), fastrf.resize(scale=2.0, mode="linear"), fastrf.conv(4, 3)],
    "cubic": [fastrf.max_pool(4), fastrf.resize(scale=3.0, mode="cubic")],
    "shrunk": [fastrf.resize(scale=0.4, mode="linear", antialias=True), fastrf.conv(4, 3)],
    "adaptive": [fastrf.adaptive_avg_pool([400]), fastrf.conv(4, 3, padding=1)],
    "windows": [
        fastrf.layer("reshape", [4, 75, 8]),
        fastrf.layer("softmax", 2),
        fastrf.layer("reshape", [4, 600]),
        fastrf.conv(4, 3, padding=1),
    ],
    "shuffle": [
        fastrf.conv(4, 3, padding=1),
        fastrf.layer("reshape", [4, 300, 2]),
        fastrf.layer("permute", [0, 2, 1]),
        fastrf.layer("reshape", [8, 300]),
        fastrf.conv(4, 3, padding=1),
    ],
    "unfold": [fastrf.layer("unfold", 4, stride=2), fastrf.conv(4, 3, padding=1)],
    "fold": [fastrf.layer("unfold", 4, stride=2), fastrf.layer("fold", [600], 4, stride=2), fastrf.conv(4, 3)],
    "crop": [fastrf.layer("pad", [[0, 0], [-7, -3]]), fastrf.conv(4, 3)],
    "step": [fastrf.layer("slice", 1, 5, None, 3), fastrf.conv(4, 3)],
    "tile": [fastrf.max_pool(2), fastrf.layer("repeat_interleave", 1, 2), fastrf.conv(4, 3)],
}


@pytest.mark.parametrize("name", CHAINS)
def test_sizes_and_places_by_phase(name):
    field, hulls = hulls_in_the_middle(CHAINS[name])
    n = len(hulls)
    low, high = (bound.ravel() for bound in bounds(*field.nominal.pieces, 0))
    inside = (low >= 0) & (high <= LONG) & (low < high)
    middle = slice(n // 4, 3 * n // 4)
    assert inside[middle].any()
    assert np.array_equal(np.stack([low, high], 1)[middle][inside[middle]], hulls[middle][inside[middle]])
    widths = np.ptp(hulls, axis=1)[middle]
    assert field.size_range[0] == (widths.min(), widths.max())
    assert (field.clipped()[middle] == ~inside[middle])[widths > 0].all()


def test_branches_that_are_not_aligned():
    spec = {
        "input_shape": [1, 32],
        "layers": [
            {"name": "a", "op": "conv", "out_channels": 1, "kernel_size": 3, "stride": 2, "padding": 1},
            {"name": "b", "op": "max_pool", "kernel_size": 2, "inputs": ["input"]},
            {"name": "sum", "op": "add", "inputs": ["a", "b"]},
            {"name": "slow", "op": "adaptive_avg_pool", "output_size": 8, "inputs": ["input"]},
            {"name": "again", "op": "repeat", "repeats": [1, 2], "inputs": ["slow"]},
            {"name": "strides", "op": "add", "inputs": ["sum", "again"]},
            {"name": "all", "op": "global_avg_pool", "inputs": ["input"]},
            {"name": "gate", "op": "mul", "inputs": ["sum", "all"]},
        ],
    }
    analysis = fastrf.analyze(spec)
    assert (analysis["sum"].size, analysis["sum"].stride, analysis["sum"].padding) == ((3,), (2,), (1,))
    assert math.isnan(analysis["strides"].size[0])
    assert math.isnan(analysis["strides"].stride[0])
    assert analysis["strides"].irregular[0]
    assert analysis["gate"].size == (math.inf,)
    assert analysis["gate"].clipped().all()
    assert analysis["gate"].clipped_share == 1.0


def test_unbounded_on_one_side_only():
    field = fastrf.analyze([fastrf.layer("cumsum", 1), fastrf.conv(1, 3)], (1, 20)).output
    assert field.size == (math.inf,)
    assert field.stride == (1,)
    assert field.padding == (math.inf,)
    assert math.isnan(field.start[0])
    reverse = fastrf.analyze([fastrf.layer("cumsum", 1, True)], (1, 20)).output
    assert reverse.padding == (0,)
    assert reverse.size == (math.inf,)


def test_a_strided_flip_and_a_channel_only_network():
    flipped = fastrf.analyze([fastrf.layer("flip", 1), fastrf.conv(1, 3)], (1, 9)).output
    assert flipped.stride == (-1,)
    assert flipped.size == (3,)
    vector = fastrf.analyze([fastrf.linear(3)], (7,)).output
    assert vector.size == (math.inf,)
    assert vector.position_shape == ()
    assert vector.mask(()).all()


def test_too_many_phases_are_not_regular(monkeypatch):
    monkeypatch.setattr("fastrf.engine.extent.MAX_TABLE", 4)
    layers = [fastrf.resize(13, mode="linear"), fastrf.resize(7, mode="linear"), fastrf.conv(1, 1)]
    assert math.isnan(fastrf.analyze(layers, (1, 9)).output.size[0])
    spec = {
        "input_shape": [1, 30],
        "layers": [
            {"name": "a", "op": "adaptive_avg_pool", "output_size": 20},
            {"name": "b", "op": "max_pool", "kernel_size": 11, "stride": 1, "inputs": ["input"]},
            {"name": "sum", "op": "add", "inputs": ["a", "b"]},
        ],
    }
    assert math.isnan(fastrf.analyze(spec)["sum"].size[0])


def test_patterns_with_too_many_phases(monkeypatch):
    monkeypatch.setattr(fastrf.limits, "phases", 4)
    field = fastrf.analyze([fastrf.adaptive_avg_pool([13])], (1, 17)).output
    assert field.size_range == ((2, 3),)  # every position by itself, since no period is tabulated
    assert math.isnan(field.stride[0])


def test_merged_and_scalar_shapes():
    tokens = fastrf.analyze([fastrf.conv(8, 2, stride=2), fastrf.layer("reshape", [8, 16])], (1, 8, 8)).output
    assert tokens.size == (2, 2)
    scalar = fastrf.analyze([fastrf.layer("reshape", [])], (1, 1)).output
    assert scalar.size == (1,)
    nothing = fastrf.analyze([fastrf.layer("softmax", 0)], (1, 5)).output
    assert (nothing.size, nothing.clipped().any()) == ((0,), False)


def test_what_reads_nothing_adds_nothing_to_a_union():
    # a branch of a constant, which has been through layers of its own, leaves the other branch's size and stride alone
    layers = [
        {"name": "stem", "op": "conv", "out_channels": 2, "kernel_size": 3, "stride": 4, "padding": 1},
        {"name": "still", "op": "constant", "shape": [2, 4, 7]},
        {"name": "side", "op": "conv", "out_channels": 2, "kernel_size": 3, "padding": 1},
        {"name": "sum", "op": "add", "inputs": ["side", "stem"]},
        {"name": "last", "op": "conv", "out_channels": 2, "kernel_size": 3, "padding": 1},
    ]
    field = fastrf.analyze({"input_shape": [3, 16, 28], "layers": layers}).output
    assert (field.size, field.stride, field.center) == ((11, 11), (4, 4), (0.0, 0.0))


def moving(*steps):
    """An extent of `(factor, shift, low, high)`, one phase each, all of which add up."""
    phases = tuple(Phase(factor, 1, shift) for factor, shift, _, _ in steps)
    low, high = (np.full((1,) * len(steps), float(sum(step[k] for step in steps))) for k in (2, 3))
    return Extent(phases, low, high)


@pytest.mark.parametrize(
    ("shape", "extents", "pixels", "share"),
    [
        # one axis of the map moves on both axes of the image: cut at 0 and 5 on the first, at 4 and 5 on the second
        ((6,), [moving((0, 1, -1, 2)), moving((0, 2, 0, 3))], (6, 10), 3 / 6),
        ((6, 5), [moving((0, 1, -1, 2)), moving((1, 2, 0, 3))], (6, 10), 1 - 4 / 6 * 4 / 5),
        # position (i, j) reads i + 2j of the first axis: beyond 8 for (2, 3), (3, 3), and j of the second: beyond 3
        ((4, 4), [moving((0, 1, 0, 1), (1, 2, 0, 0)), moving((1, 1, 0, 1))], (8, 3), 4 / 16),
        ((4, 4), [moving((0, 1, 0, 1), (1, 2, 0, 0)), moving((1, 1, 0, 1))], (8, 4), 2 / 16),
    ],
)
def test_share_of_positions_cut_on_any_axis(shape, extents, pixels, share):
    nominal = Nominal.of(shape, extents)
    assert nominal.clipped(pixels).mean() == pytest.approx(share)
    assert nominal.clipped_share(pixels) == pytest.approx(share)


def test_answers_are_worked_out_once_and_their_own():
    nominal = Nominal.of((6,), [moving((0, 2, -1, 3))])
    assert nominal.reduce(0) is nominal.reduce(0)
    nominal.phases(0)[:] = 7
    assert nominal.phases(0).tolist() == [[-1, 3]]
    shares = [nominal.clipped_share((n,)) for n in (12, 99, 6, 12)]
    assert shares == pytest.approx([2 / 6, 1 / 6, 5 / 6, 2 / 6])


def test_the_first_reason_is_told():
    extent = moving((0, 1, 0, 1))
    twice = irregular(irregular(extent, extent.phases, "first"), extent.phases, "second")
    assert (twice.irregular, twice.phases) == ("first", extent.phases)
    assert math.isnan(twice.low[0])
    everything = irregular(UNBOUNDED, [Phase(1, 1, 0), Phase(0, 1, 2)], "why")
    assert everything.is_everything
    assert (everything.irregular, everything.phases) == ("why", (Phase(0, 1, 2), Phase(1, 1, 0)))
    assert irregular(NOTHING, extent.phases, "why") is NOTHING


def test_steps_that_differ_say_nothing_of_a_single_index():
    slow, fast = opened(moving((0, 1, 0, 1))), opened(moving((0, 2, 0, 1)))
    assert united([slow, fast], (1,)).phases == ()
    assert united([slow, fast], (5,)).phases == (Phase(0, 1, 0),)
    assert united([slow, opened(moving((0, 1, 0, 3)))], (5,)).phases == slow.phases


def test_cumulative_reads_of_a_flipped_axis_are_open_at_the_other_end():
    layers = [fastrf.layer("flip", axes=[1]), fastrf.layer("cumsum", axis=1)]
    field = fastrf.analyze(layers, (1, 9)).output
    assert field.phases(0).tolist() == [[8.0, math.inf]]
    assert field.mask((2,)).tolist() == [False] * 6 + [True] * 3


def test_what_recipes_make_of_the_same_input_is_remembered() -> None:
    layers = [fastrf.conv(4, 3), fastrf.adaptive_avg_pool([12])]
    first, second = (fastrf.analyze(layers, (1, 37)) for _ in range(2))
    assert first._nominal[first.output.name] is second._nominal[second.output.name]
    assert not np.isnan(first.output.stride).any()
    with fastrf.limits(phases=2):
        assert np.isnan(fastrf.analyze(layers, (1, 37)).output.stride).all()
    assert fastrf.analyze(layers, (1, 37)).output.stride == first.output.stride


def test_a_channel_taken_out_of_blocks_goes_nowhere():
    layers = [
        fastrf.layer("space_to_depth", block=2),
        fastrf.layer("slice", axis=0, start=1, stop=2),
        fastrf.layer("reshape", shape=[4, 8]),
        fastrf.layer("reshape", shape=[1, 4, 8]),
        fastrf.layer("mean", axes=[1, 2]),
    ]
    field = fastrf.analyze(layers, (2, 8, 16)).output
    assert (field.size, field.stride) == ((math.inf, math.inf), (math.inf, math.inf))


def test_factors_of_equal_phases_change_places():
    """What is listed for taps and positions is told by the one and the other, also where there are as many of both."""
    layers = [
        {"op": "gather", "axis": 1, "indices": [4, 0, 5, 4]},
        {"name": "windows", "op": "unfold", "kernel_size": [2], "stride": [3], "padding": [1]},
    ]
    field = fastrf.analyze({"input_shape": [2, 7], "layers": layers})["windows"]
    assert field.boxes().tolist() == [[[4, 5]], [[4, 6]]] == field.phases(0)[:, None].tolist()
