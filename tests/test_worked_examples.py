"""Numbers that a person can redo by hand, from the classic guides."""

from __future__ import annotations

import math

import numpy as np
import pytest

import fastrf

# Dang Ha The Hien, "A guide to receptive field arithmetic for convolutional neural networks" (2017).
ALEXNET = {
    "conv1": [11, 4, 0],
    "pool1": [3, 2, 0],
    "conv2": [5, 1, 2],
    "pool2": [3, 2, 0],
    "conv3": [3, 1, 1],
    "conv4": [3, 1, 1],
    "conv5": [3, 1, 1],
    "pool5": [3, 2, 0],
    "fc6-conv": [6, 1, 0],
    "fc7-conv": [1, 1, 0],
}


@pytest.mark.parametrize("source", ["alexnet", ALEXNET], ids=["zoo", "table"])
def test_classic_alexnet_table(source):
    analysis = fastrf.analyze(source, input_shape=(3, 227, 227))
    fields = [analysis[name] for name in ALEXNET]
    assert [f.position_shape for f in fields] == [(n, n) for n in (55, 27, 27, 13, 13, 13, 13, 6, 1, 1)]
    assert [f.size for f in fields] == [(r, r) for r in (11, 19, 51, 67, 99, 131, 163, 195, 355, 355)]
    assert [f.stride for f in fields] == [(j, j) for j in (4, 8, 8, 16, 16, 16, 16, 32, 32, 32)]
    starts = (5.5, 9.5, 9.5, 17.5, 17.5, 17.5, 17.5, 33.5, 113.5, 113.5)
    assert [f.start for f in fields] == [(s, s) for s in starts]


def test_two_strided_convolutions_on_five_pixels():
    layers = [fastrf.conv(1, 3, stride=2, padding=1), fastrf.conv(1, 3, stride=2, padding=1)]
    first, second = list(fastrf.analyze(layers, (1, 5, 5)).values())[1:]
    assert (first.position_shape, second.position_shape) == ((3, 3), (2, 2))
    assert (first.size, second.size) == ((3, 3), (7, 7))
    assert (first.stride, second.stride) == ((2, 2), (4, 4))
    assert first.start == second.start == (0.5, 0.5)


def test_the_border_cuts_the_corner_of_a_small_network():
    layers = [fastrf.conv(4, 3, padding=1), fastrf.max_pool(2), fastrf.conv(4, 3, padding=1), fastrf.max_pool(2)]
    fields = list(fastrf.analyze(layers, (1, 32, 32)).values())[1:]
    assert [f.size[0] for f in fields] == [3, 4, 8, 10]
    assert [f.stride[0] for f in fields] == [1, 2, 2, 4]
    corner = fields[-1].mask((0, 0))
    assert corner.sum() == 7 * 7
    assert corner[:7, :7].all()
    assert fields[-1].box((0, 0)).tolist() == [[0, 7], [0, 7]]
    assert fields[-1].clipped()[0, 0]
    assert not fields[-1].clipped()[3, 3]


def test_two_convolutions_on_five_pixels_neuron_by_neuron():
    layers = [fastrf.conv(1, 3, padding=1, name="inner"), fastrf.conv(1, 3, padding=1, name="outer")]
    analysis = fastrf.analyze(layers, (1, 5, 5))
    assert analysis["outer"].box((2, 2)).tolist() == [[0, 5], [0, 5]]
    read = analysis["outer"].neuron_mask((0, 2, 2))
    between = fastrf.analyze(layers, (1, 5, 5), wrt="inner")["outer"].mask((2, 2))
    assert np.argwhere(between).tolist() == [[y, x] for y in (1, 2, 3) for x in (1, 2, 3)]
    union = np.zeros((5, 5), bool)
    for y, x in np.argwhere(between):
        assert analysis["inner"].box((y, x)).tolist() == [[y - 1, y + 2], [x - 1, x + 2]]
        union |= analysis["inner"].mask((y, x))
    assert (union == read[0]).all()


def test_stacks_of_three_by_three():
    layers = [fastrf.conv(8, 3, padding=1, bias=False) for _ in range(4)]
    analysis = fastrf.analyze(layers, (8, 16, 16))
    assert [f.size[0] for f in analysis.values()] == [1, 3, 5, 7, 9]
    three = sum(node.parameters for node in analysis.network.nodes[:3])
    seven = fastrf.load([fastrf.conv(8, 7, bias=False)], (8, 16, 16)).nodes[0].parameters
    assert (three, seven) == (27 * 8**2, 49 * 8**2)


@pytest.mark.parametrize(
    "last", [[fastrf.flatten(), fastrf.linear(10)], [fastrf.global_avg_pool()]], ids=["linear", "pool"]
)
def test_dense_layers_see_everything(last):
    field = fastrf.analyze([fastrf.conv(4, 3, padding=1), *last], (3, 9, 7)).output
    position = (0,) * len(field.position_shape)
    assert field.mask(position).all()
    assert field.neuron_mask((1, *position)).all()
    assert field.size == (math.inf, math.inf)
    assert math.isnan(field.start[0])


def test_crosses_of_parallel_one_by_three():
    spec = {
        "input_shape": [1, 5, 5],
        "layers": [
            {"name": "rows", "op": "conv", "out_channels": 1, "kernel_size": [3, 1], "padding": [1, 0]},
            {
                "name": "columns",
                "op": "conv",
                "out_channels": 1,
                "kernel_size": [1, 3],
                "padding": [0, 1],
                "inputs": ["input"],
            },
            {"name": "cross", "op": "add", "inputs": ["rows", "columns"]},
        ],
    }
    field = fastrf.analyze(spec).output
    assert field.mask((2, 2))[1:4, 1:4].tolist() == [[False, True, False], [True, True, True], [False, True, False]]
    assert (field.areas()[2, 2], field.densities()[2, 2]) == (5, 5 / 9)


def test_factorised_reduction_sees_a_diagonal_pair():
    """DARTS' FactorizedReduce: a strided 1x1 convolution beside one of the image moved by (1, 1)."""
    spec = {
        "input_shape": [1, 6, 6],
        "layers": [
            {"name": "even", "op": "conv", "out_channels": 2, "kernel_size": 1, "stride": 2},
            {"name": "moved", "op": "pad", "padding": [[0, 0], [-1, 0], [-1, 0]], "inputs": ["input"]},
            {"name": "odd", "op": "conv", "out_channels": 2, "kernel_size": 1, "stride": 2},
            {"name": "both", "op": "concat", "axis": 0, "inputs": ["even", "odd"]},
        ],
    }
    field = fastrf.analyze(spec).output
    assert np.argwhere(field.mask((1, 1))).tolist() == [[2, 2], [3, 3]]
    assert field.box((1, 1)).tolist() == [[2, 4], [2, 4]]
    assert field.densities()[1, 1] == 0.5
    assert np.argwhere(field.neuron_mask((0, 1, 1))).tolist() == [[0, 2, 2]]


# Wang et al., "Understanding convolution for semantic segmentation" (2018): taps that a stack of dilations leaves.
@pytest.mark.parametrize(
    ("dilations", "taps", "hull"),
    [
        ([1, 2, 5], 17, 17),
        ([1, 2, 9], 21, 25),
        ([2, 2, 2], 7, 13),
        ([1, 2, 3], 13, 13),
        ([2, 4, 8], 15, 29),
        ([6, 12, 18], 13, 73),
        ([1, 2, 4, 8, 16], 63, 63),
    ],
)
def test_dilated_stacks_leave_holes(dilations, taps, hull):
    layers = [fastrf.conv(1, 3, dilation=d, padding=d) for d in dilations]
    field = fastrf.analyze(layers, (1, 201)).output
    assert field.areas()[100] == taps
    assert np.ptp(field.box((100,))) == hull
    assert field.size == (hull,)
