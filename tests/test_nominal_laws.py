"""The law of nominal numbers: neither the input's length nor the order of operands changes them."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest

import fastrf
from fastrf import layer
from fastrf.engine.nominal import Nominal
from tests.fuzz import networks

INF, NAN = math.inf, math.nan


def named(name, op, *inputs, **attributes):
    return {"name": name, "op": op, "inputs": list(inputs), **attributes}


def conv(name, source, **attributes):
    return named(name, "conv", source, **{"out_channels": 2, "kernel_size": 3, "padding": 1, **attributes})


def field_of(shape, *layers):
    return fastrf.analyze({"input_shape": shape, "layers": list(layers)}).output


def numbers(field):
    return field.size_range, field.stride, field.start


@pytest.mark.parametrize("seed", range(40))
def test_networks_at_two_sizes_turned_and_swapped(seed):
    networks.scaled_case(5000 + seed)


@pytest.mark.parametrize("seed", range(40))
def test_random_networks_hold_what_nominal_numbers_say(seed):
    networks.random_case(7000 + seed)


def test_the_fuzzer_says_what_it_ran(capsys):
    assert networks.main(["--seconds", "1", "--seed", "4"]) == 0
    assert "0 faults" in capsys.readouterr().out


@pytest.mark.parametrize("name", ["resnet18", "densenet121", "unet", "yolov5s", "fpn_resnet50"])
def test_zoo_at_two_sizes(name):
    small, large = fastrf.analyze(name, (3, 224, 224)), fastrf.analyze(name, (3, 448, 448))
    for node in small:
        same = networks.same(networks.values_of(small[node]), networks.values_of(large[node]))
        assert same or 0 in small[node].shape, node


def check_of(shape, *layers):
    field = field_of(shape, *layers)
    networks.check_nominal(field, list(layers))
    return field


def test_a_window_cut_on_one_axis_may_lose_taps_on_another_that_it_does_not_move_along():
    """The first column of row 1 and the last of row 6: at an edge one of the rows is missing, and none moves."""
    used = [[[k == 1, False, k == 6] for k in range(8)]]
    rows = named("rows", "conv", "row", out_channels=1, kernel_size=[3], padding=1, used=used)
    field = check_of([1, 8, 8], named("row", "select", "input", axis=0, index=0), rows)
    assert field.boxes()[:, 0].tolist() == [[6, 7], *[[1, 7]] * 6, [1, 2]]
    assert (field.size, field.stride) == ((6, 3), (INF, 1))
    window = named("window", "gather", "windows", axis=0, indices=[1, 11])
    field = check_of([1, 8, 8], named("windows", "unfold", "input", kernel_size=[4, 3], stride=[5, 1]), window)
    assert field.stride == (INF, 1)


def test_elements_that_a_mask_or_a_write_hides_are_no_motion():
    """Columns 0 and 5 of every row, some of them constant: numbers are those of rows where neither is."""
    columns = [named(f"column{k}", "gather", "masked", axis=2, indices=[k]) for k in (0, 5)]
    both = named("both", "add", "column0", "column5")
    mask = [[k != row % 6 for k in range(7)] for row in range(7)]
    masked = named("masked", "keep", "input", mask=mask, axes=[1, 2])
    assert numbers(check_of([2, 7, 7], masked, *columns, both))[:2] == (((1, 1), (6, 6)), (1, INF))
    masked, zeros = named("masked", "relu", "input"), named("zeros", "constant", "input", shape=[2, 2, 1])
    written = named("written", "scatter", "column0", "zeros", axis=1, indices=[2, 4])
    both = named("both", "add", "written", "column5")
    field = check_of([2, 7, 7], masked, *columns, zeros, written, both)
    assert numbers(field)[:2] == (((1, 1), (6, 6)), (1, INF))


def test_the_check_notices_boxes_that_move_where_the_stride_says_none_does(monkeypatch):
    monkeypatch.setattr(Nominal, "stride", lambda _self, _axis: math.inf)
    with pytest.raises(networks.FaultError, match="boxes move"):
        check_of([1, 12], conv("conv", "input"), named("picked", "gather", "conv", axis=1, indices=[5, 1, 9, 2]))


# Worked examples ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("n", [16, 64])
def test_levels_of_a_detector_in_one_axis(n):
    # widths 3 and 3 x 2 + 2 = 8: no position has another, and the steps 1 and 2 have nothing in common
    field = field_of(
        [1, n, n],
        conv("a", "input"),
        named("down", "max_pool", "a", kernel_size=2),
        conv("b", "down"),
        named("flat_a", "reshape", "a", shape=[2, n * n]),
        named("flat_b", "reshape", "b", shape=[2, n * n // 4]),
        named("both", "concat", "flat_a", "flat_b", axis=1),
        named("last", "permute", "both", order=[1, 0]),
    )
    assert field.size_range == ((3, 8), (3, 8))
    assert np.isnan(field.stride).all()
    assert field.start == (0.5, 0.5)
    assert field.irregular[0] == "parts that move by 1 and 2 pixels a step"
    assert 0 < field.clipped_share < 1


@pytest.mark.parametrize("operands", [("x", "gate"), ("gate", "x")])
def test_a_gate_leaves_the_stride(operands):
    field = field_of(
        [1, 32, 32],
        conv("x", "input", stride=2),
        named("mean", "global_avg_pool", "x"),
        named("gate", "sigmoid", "mean"),
        named("scaled", "mul", *operands),
        conv("out", "scaled", stride=2),
    )
    assert (field.size, field.stride) == ((INF, INF), (4, 4))


@pytest.mark.parametrize("norm", [layer("instance_norm"), layer("group_norm", 2), layer("softmax", 1)])
def test_statistics_leave_the_stride(norm):
    field = fastrf.analyze([fastrf.conv(2, 3, stride=2, padding=1), norm, fastrf.conv(2, 3)], (1, 32, 32)).output
    assert field.stride == (2, 2)
    assert field.size[0] == INF


def test_interleaved_branches_step_by_half_a_pixel():
    layers, shape = [], 16
    source = "input"
    for k in range(2):
        layers += [conv(f"a{k}", source), conv(f"b{k}", source)]
        layers.append(named(f"stack{k}", "stack", f"a{k}", f"b{k}", axis=2))
        shape *= 2
        source = f"flat{k}"
        layers.append(named(source, "reshape", f"stack{k}", shape=[2, shape]))
        assert field_of([1, 16], *layers).stride == (0.5 ** (k + 1),)


def test_frames_by_a_list_of_indices():
    frames = [start + tap for start in range(0, 57, 4) for tap in range(8)]
    field = fastrf.analyze([layer("gather", 1, frames), layer("reshape", [1, 15, 8]), layer("sum", 2)], (1, 64)).output
    assert (field.size, field.stride, field.start) == ((8,), (4,), (4.0,))


def test_a_reversal_by_a_list_of_indices_is_a_flip():
    back = layer("gather", 1, list(range(19, -1, -1)))
    field = fastrf.analyze([back, fastrf.conv(1, 3), layer("flip", 1)], (1, 20)).output
    assert (field.size, field.stride) == ((3,), (1,))


def test_tokens_keep_their_grid():
    layers = [
        fastrf.conv(4, 4, stride=4),
        layer("reshape", [4, 64]),
        layer("permute", [1, 0]),
        fastrf.linear(4),
        layer("permute", [1, 0]),
        layer("reshape", [4, 8, 8]),
        fastrf.conv(4, 3, padding=1),
    ]
    analysis = fastrf.analyze(layers, (3, 32, 32))
    assert [numbers(analysis[node])[:2] for node in ("reshape2", "linear4")] == [(((4, 4), (4, 4)), (4, 4))] * 2
    assert numbers(analysis.output) == (((12, 12), (12, 12)), (4, 4), (2.0, 2.0))


def test_a_class_token_in_front_changes_nothing():
    field = field_of(
        [3, 32, 32],
        conv("patches", "input", kernel_size=8, stride=8, padding=0),
        named("flat", "reshape", "patches", shape=[2, 16]),
        named("token", "constant", "flat", shape=[2, 1]),
        named("all", "concat", "token", "flat", axis=1),
        named("tokens", "permute", "all", order=[1, 0]),
    )
    assert numbers(field) == (((8, 8), (8, 8)), (8, 8), (4.0, 4.0))
    assert field.clipped_share == 0


def test_windows_under_a_mask_move_along():
    n, width = 24, 4
    mask = [[0 <= q - k < width for k in range(n)] for q in range(n)]
    layers = []
    source = "input"
    for k in range(3):
        layers.append(named(f"a{k}", "attention", source, source, source, mask=mask))
        layers.append(named(f"s{k}", "add", source, f"a{k}"))
        source = f"s{k}"
    field = fastrf.analyze({"input_shape": [n, 2], "layers": layers}, channel_axis=1).output
    assert (field.size, field.stride) == ((10,), (1,))
    halo = field.halo()
    assert (halo.before, halo.after, halo.period) == ((9,), (0,), (1,))


def test_windows_over_flattened_tokens_are_those_of_the_grid():
    side, width = 8, 2
    cells = [(y // width, x // width) for y in range(side) for x in range(side)]
    mask = [[a == b for b in cells] for a in cells]
    field = field_of(
        [2, side, side],
        named("flat", "reshape", "input", shape=[2, side * side]),
        named("tokens", "permute", "flat", order=[1, 0]),
        named("attended", "attention", "tokens", "tokens", "tokens", mask=mask),
        named("back", "permute", "attended", order=[1, 0]),
        named("map", "reshape", "back", shape=[2, side, side]),
    )
    assert (field.size, field.stride) == ((2, 2), (1, 1))


def test_two_axes_in_the_batch_need_no_context():
    field = fastrf.analyze(
        [
            layer("permute", [2, 3, 0, 1]),
            layer("reshape", [16, 2, 9]),
            layer("pad", [[0, 0], [0, 0], [2, 0]]),
            layer("slice", 2, 0, 9),
            layer("reshape", [4, 4, 2, 9]),
            layer("permute", [2, 3, 0, 1]),
        ],
        (2, 9, 4, 4),
    ).output
    halo = field.halo()
    assert (halo.before, halo.after) == ((2, 0, 0), (0, 0, 0))


@pytest.mark.parametrize("shape", [(3, 8, 8), (3, 8, 1), (1, 1, 5)])
def test_one_element_of_everything_flattened(shape):
    field = fastrf.analyze([layer("reshape", [-1]), layer("select", 0, 0)], shape).output
    assert field.size == (1, 1)
    with pytest.raises(fastrf.PositionError, match="has no positions to tile"):
        field.halo()
    assert field.clipped_share == 0


def test_branches_that_drift_apart_are_not_regular():
    aligned = {"mode": "linear", "coordinates": "align_corners"}
    layers, source = [], "input"
    for k in range(6):
        layers += [
            named(f"down{k}", "max_pool", source, kernel_size=3, stride=2, padding=1),
            named(f"up{k}", "resize", f"down{k}", output_size=[16, 16], **aligned),
            named(f"x{k}", "mul", source, f"up{k}"),
        ]
        source = f"x{k}"
    field = field_of([1, 16, 16], *layers)
    assert np.isnan(field.size).all()
    assert "drift apart" in field.irregular[0]
    assert math.isnan(field.clipped_share)
    assert field.clipped().all()
    assert field.halo().before == (INF, INF)
    table = str(fastrf.analyze({"input_shape": [1, 16, 16], "layers": layers}).summary())
    assert "not regular: branches that move by 14/15 and by 1 pixels a step drift apart, first in 'x0'" in table
    assert "nan" not in table


def test_listed_positions_keep_their_sizes(rng):
    chosen = [5, 0, 9, 9, 2, 7, 1]
    field = fastrf.analyze([fastrf.conv(1, 3, padding=1), layer("gather", 1, chosen)], (1, 12)).output
    assert field.size == (3,)
    assert math.isnan(field.stride[0])
    assert field.irregular == ("positions listed one by one",)
    assert field.clipped().tolist() == [False, True, False, False, False, False, False]


def test_what_depends_on_many_lists_ends_soon(rng):
    n = 147
    layers = [layer("reshape", [n])]
    for k in range(6):
        layers.append(layer("gather", 0, rng.integers(0, n, n).tolist()))
        layers.append(layer("cumsum", 0, bool(k % 2)))
    field = fastrf.analyze(layers, (1, 3, 7, 7)).output
    assert len(field.size) == len(field.pixel_shape) == 3


@pytest.mark.parametrize("reverse", [False, True])
def test_a_part_that_reads_nothing_reads_nothing_of_an_endless_axis(reverse):
    """Three rows, the middle one of another input: listed, and summed up along the columns."""
    layers = [
        named("rows", "concat", "aux", "image", "aux", axis=1),
        named("sums", "cumsum", "rows", axis=2, reverse=reverse),
    ]
    spec = {"input_shape": {"image": [2, 1, 4], "aux": [2, 1, 4]}, "layers": layers}
    field = fastrf.analyze(spec, wrt="aux").output
    networks.check_nominal(field, layers)
    assert field.size_range == ((0, 1), (0, INF))
    assert field.stride[1] == 1


def test_positions_that_read_different_things_and_do_not_move_are_listed():
    """Features, with every channel read by other taps: what a position reads follows no rule, and no stride is said."""
    used = [[[False, True, False, False]], [[False, False, False, True]], [[False, False, True, True]]]
    layers = [
        {"op": "reshape", "shape": [3, 1]},
        {"op": "conv_transpose", "out_channels": 1, "kernel_size": 4, "used": used},
    ]
    field = fastrf.analyze({"input_shape": [3], "layers": layers}).output
    assert field.boxes().tolist() == [[[0, 0]], [[0, 1]], [[2, 3]], [[1, 3]]]
    assert math.isnan(field.stride[0])
    assert field.irregular == ("positions listed one by one",)


def test_rows_that_take_turns_with_the_phases_of_columns():
    """Odd outputs read rows 0 to 4, even ones rows 1 to 6: no position reads all seven, and none moves."""
    used = [[[False, True, False]], [[True, False, False]], *[[[False] * 3]] * 2, [[False, True, False]]]
    used += [[[False] * 3], [[False, False, True]], [[False] * 3]]
    layers = [
        {"name": "any", "op": "any", "axes": [0]},
        {"name": "up", "op": "conv_transpose", "out_channels": 1, "kernel_size": [3], "stride": 2, "used": used},
    ]
    field = fastrf.analyze({"input_shape": [2, 8, 7], "layers": layers}).output
    boxes = field.boxes().reshape(-1, 2, 2)
    assert {tuple(box) for box in boxes[2:-2, 0].tolist()} == {(0, 5), (1, 7)}
    assert (field.size, field.size_range[0]) == ((6, 2), (5, 6))
    assert math.isnan(field.stride[0])
    assert field.stride[1] == 0.5


@pytest.mark.parametrize("order", list(itertools.permutations(["input", "normed", "sorted"])))
def test_one_position_has_no_stride_in_any_order_of_operands(order):
    layers = [
        {"name": "normed", "op": "l2_normalize"},
        {"name": "padded", "op": "pad", "padding": [[0, 0], [1, 0], [0, 0], [1, 0]], "inputs": ["input"]},
        {"name": "pooled", "op": "global_max_pool", "keepdims": True},
        {"name": "sorted", "op": "sort", "axis": 0},
        {"name": "sum", "op": "add", "inputs": list(order)},
    ]
    field = fastrf.analyze({"input_shape": [2, 3, 1, 1], "layers": layers}).output
    assert (field.size, field.stride) == ((math.inf, 1, math.inf), (1, math.inf, math.inf))
