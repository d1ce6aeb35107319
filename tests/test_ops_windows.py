"""Operators that slide a window: worked examples, one function at a time, and what they refuse."""

import numpy as np
import pytest

from tests.one_layer import field_of, line, moved, refuses, sees, spans


def test_conv() -> None:
    assert spans("conv", 5, out_channels=1, kernel_size=3, stride=2, padding=1) == [[0, 2], [1, 4], [3, 5]]
    field = field_of("conv", [2, 3, 4], out_channels=5, kernel_size=[1, 3])
    assert field.shape == (5, 3, 2)
    assert sees(field, 4, 2, 1) == [(c, 2, x) for c in (0, 1) for x in (1, 2, 3)]
    assert field_of("conv", [1, 3, 4, 5], out_channels=1, kernel_size=[1, 2, 3]).shape == (1, 3, 3, 3)


def test_dilation_leaves_holes() -> None:
    assert line("conv", 6, out_channels=1, kernel_size=3, dilation=2) == [[0, 2, 4], [1, 3, 5]]


def test_groups_keep_channels_apart() -> None:
    field = field_of("conv", [4, 1], out_channels=2, kernel_size=1, groups=2)
    assert [sees(field, c, 0) for c in range(2)] == [[(0, 0), (1, 0)], [(2, 0), (3, 0)]]


@pytest.mark.parametrize(
    ("padding", "wanted"),
    [
        (0, [[0, 2], [1, 3]]),
        ("valid", [[0, 2], [1, 3]]),
        ([1], [[0, 1], [0, 2], [1, 3], [2, 3]]),
        ([[1, 0]], [[0, 1], [0, 2], [1, 3]]),
        ("same", [[0, 2], [1, 3], [2, 3]]),
        ("same_lower", [[0, 1], [0, 2], [1, 3]]),
        ("causal", [[0, 1], [0, 2], [1, 3]]),
        ([1, 0], [[0, 1], [0, 2], [1, 3]]),
        ((1, 0), [[0, 1], [0, 2], [1, 3]]),
    ],
)
def test_padding_of_a_window_of_two_over_three_pixels(padding: object, wanted: list) -> None:
    assert spans("conv", 3, out_channels=1, kernel_size=2, padding=padding) == wanted


@pytest.mark.parametrize(
    ("mode", "wanted"),
    [
        ("zeros", [[], [], [0], [1], [2], [], []]),
        ("reflect", [[2], [1], [0], [1], [2], [1], [0]]),
        ("replicate", [[0], [0], [0], [1], [2], [2], [2]]),
        ("circular", [[1], [2], [0], [1], [2], [0], [1]]),
    ],
)
def test_padding_modes(mode: str, wanted: list) -> None:
    assert line("conv", 3, out_channels=1, kernel_size=1, padding=2, padding_mode=mode) == wanted


def test_depthwise_conv() -> None:
    field = field_of("depthwise_conv", [2, 3], kernel_size=2, multiplier=2)
    assert field.shape == (4, 2)
    assert [sees(field, c, 0) for c in range(4)] == [[(0, 0), (0, 1)]] * 2 + [[(1, 0), (1, 1)]] * 2


def test_conv_transpose() -> None:
    assert line("conv_transpose", 3, out_channels=1, kernel_size=2, stride=2) == [[0], [0], [1], [1], [2], [2]]
    overlapping = line("conv_transpose", 2, out_channels=1, kernel_size=3, stride=2)
    assert overlapping == [[0], [0], [0, 1], [1], [1]]
    assert line("conv_transpose", 2, out_channels=1, kernel_size=3, stride=2, padding="valid") == overlapping
    assert line("conv_transpose", 2, out_channels=1, kernel_size=3, stride=2, padding=[[1, 2]]) == overlapping[1:-2]
    assert line("conv_transpose", 2, out_channels=1, kernel_size=1, stride=2, output_padding=1) == [[0], [], [1], []]
    assert line("conv_transpose", 2, out_channels=1, kernel_size=2, dilation=2) == [[0], [1], [0], [1]]
    field = field_of("conv_transpose", [4, 1], out_channels=2, kernel_size=1, groups=2)
    assert sees(field, 1, 0) == [(2, 0), (3, 0)]


@pytest.mark.parametrize("op", ["max_pool", "avg_pool", "lp_pool"])
def test_pool(op: str) -> None:
    assert spans(op, 6, kernel_size=3, stride=2) == [[0, 3], [2, 5]]
    assert spans(op, 6, kernel_size=3, stride=2, ceil_mode=True) == [[0, 3], [2, 5], [4, 6]]
    assert spans(op, 5, kernel_size=2) == [[0, 2], [2, 4]]
    assert sees(field_of(op, [2, 2], kernel_size=2), 1, 0) == [(1, 0), (1, 1)]


def test_a_last_window_must_start_inside() -> None:
    assert spans("max_pool", 3, kernel_size=2, padding=1, ceil_mode=True) == [[0, 1], [1, 3]]


@pytest.mark.parametrize("op", ["adaptive_avg_pool", "adaptive_max_pool"])
def test_adaptive_pool(op: str) -> None:
    assert spans(op, 7, output_size=3) == [[0, 3], [2, 5], [4, 7]]
    assert spans(op, 2, output_size=[3]) == [[0, 1], [0, 2], [1, 2]]
    assert spans(op, 4, output_size=1) == [[0, 4]]
    assert spans(op, 2, output_size=None) == [[0, 1], [1, 2]]
    field = field_of(op, [2, 4, 6], output_size=[None, 2])
    assert field.shape == (2, 4, 2)
    assert sees(field, 1, 3, 1) == [(1, 3, 3), (1, 3, 4), (1, 3, 5)]


@pytest.mark.parametrize("op", ["global_avg_pool", "global_max_pool"])
def test_global_pool(op: str) -> None:
    field = field_of(op, [2, 2, 3])
    assert field.shape == (2, 1, 1)
    assert field.neuron_mask((1, 0, 0)).tolist() == np.repeat([[[False]], [[True]]], 6).reshape(2, 2, 3).tolist()
    assert field_of(op, [2, 2, 3], keepdims=False).shape == (2,)


def test_window() -> None:
    field = field_of("window", [2, 4], kernel_size=2, stride=2)
    assert field.shape == (2, 2)
    assert sees(field, 0, 1) == [(0, 2), (0, 3), (1, 2), (1, 3)]


def test_unfold() -> None:
    # Channels slowest, then the taps of a 2x2 window; columns are window positions, both row-major.
    columns = moved("unfold", [2, 2, 3], kernel_size=2)
    assert np.shape(columns) == (8, 2)
    assert [row[0] for row in columns] == [0, 1, 3, 4, 6, 7, 9, 10]
    assert [row[1] for row in columns] == [1, 2, 4, 5, 7, 8, 10, 11]
    assert moved("unfold", [1, 4], kernel_size=2, dilation=2, padding=1, stride=3) == [[-1, 2], [1, -1]]


def test_fold() -> None:
    # Windows of 2 over 3 pixels: the middle pixel is tap 1 of the first window and tap 0 of the second.
    field = field_of("fold", [2, 2], output_size=[3], kernel_size=[2])
    assert [sees(field, 0, p) for p in range(3)] == [[(0, 0)], [(0, 1), (1, 0)], [(1, 1)]]
    assert field_of("fold", [6, 4], output_size=4, kernel_size=3, padding=1).shape == (2, 4)
    assert field_of("fold", [8, 2], output_size=[2, 3], kernel_size=2).shape == (2, 2, 3)


def test_local_response_norm() -> None:
    field = field_of("local_response_norm", [4, 1], size=2)
    assert [sees(field, c, 0) for c in range(3)] == [[(0, 0)], [(0, 0), (1, 0)], [(1, 0), (2, 0)]]


CONV = {"op": "conv", "out_channels": 2, "kernel_size": 3}


@pytest.mark.parametrize(
    ("shape", "layer", "message"),
    [
        ([5], CONV, "a feature map of channels and at least one spatial axis is needed, not shape (5,)"),
        ([1, 2], CONV, "kernel 3 does not fit input 2 with padding 0; enlarge input_shape or the padding"),
        ([1, 4], {**CONV, "dilation": 2}, "kernel 3 with dilation 2 does not fit input 4 with padding 0"),
        ([1, 1], {**CONV, "padding": [[0, 1]]}, "kernel 3 does not fit input 1 with padding (0, 1)"),
        ([3, 4], {**CONV, "groups": 2}, "2 groups do not divide 3 input and 2 output channels"),
        ([1, 4], {**CONV, "padding": "full"}, "padding 'full' is unknown; use an int, pairs, 'valid', 'same'"),
        ([1, 4], {**CONV, "padding": [[1, 1], [1, 1]]}, "padding has 2 pairs for 1 spatial axes; give one per axis"),
        ([1, 4], {**CONV, "padding": [1, 1, 1]}, "padding has 3 values for 1 axes; give one, or one per axis"),
        ([1, 4], {**CONV, "padding": -1}, "padding must be at least 0, not -1"),
        ([1, 4], {**CONV, "padding_mode": "wrap"}, "padding_mode 'wrap' is unknown; use one of zeros, reflect"),
        ([1, 4], {**CONV, "padding": 4, "padding_mode": "reflect"}, "reflect"),
        ([1, 4], {**CONV, "stride": 0}, "stride must be at least 1, not 0"),
        ([1, 4], {**CONV, "kernel_size": 1.5}, "kernel_size must be an integer, not 1.5"),
        ([1, 4], {**CONV, "groups": True}, "groups must be an integer, not True"),
        ([1, 4], {"op": "depthwise_conv", "kernel_size": 1, "multiplier": 0}, "multiplier must be at least 1, not 0"),
        (
            [1, 4],
            {"op": "conv_transpose", "out_channels": 1, "kernel_size": 1, "padding": "same"},
            "padding 'same' has no one meaning for a transposed convolution; give numbers",
        ),
        (
            [1, 1],
            {"op": "conv_transpose", "out_channels": 1, "kernel_size": 1, "padding": 1},
            "padding (1, 1) removes more than the 1 outputs; pad less",
        ),
        ([1, 4], {"op": "max_pool", "kernel_size": 5}, "kernel 5 does not fit input 4 with padding 0"),
        ([1, 4], {"op": "adaptive_avg_pool", "output_size": [1, 2]}, "output_size has 2 values for 1 axes"),
        ([4], {"op": "global_avg_pool"}, "a feature map of channels and at least one spatial axis is needed"),
        ([1, 4], {"op": "window", "kernel_size": 5}, "kernel 5 does not fit input 4 with padding 0"),
        ([1, 4], {"op": "unfold", "kernel_size": 5}, "kernel 5 does not fit input 4 with padding 0"),
        (
            [3, 2],
            {"op": "fold", "output_size": [3], "kernel_size": 2},
            "shape (3, 2) is not 2 taps by 2 windows; check the sizes",
        ),
        ([3, 2], {"op": "local_response_norm", "size": 0}, "size must be at least 1, not 0"),
    ],
)
def test_errors_name_the_remedy(shape: list[int], layer: dict, message: str) -> None:
    refuses(message, layer["op"], shape, **{key: value for key, value in layer.items() if key != "op"})
