"""Operators that mix whole axes: worked examples, one function at a time, and what they refuse."""

import numpy as np
import pytest

import fastrf
from tests.one_layer import field_of, line, moved, refuses, sees, spans


def test_linear() -> None:
    field = field_of("linear", [2, 3], out_features=4)
    assert field.shape == (2, 4)
    assert sees(field, 1, 3) == [(1, 0), (1, 1), (1, 2)]


def test_matmul() -> None:
    left = field_of("matmul", [2, 3], [3, 4])
    right = field_of("matmul", [2, 3], [3, 4], wrt="b")
    assert left.shape == right.shape == (2, 4)
    assert sees(left, 1, 2) == [(1, 0), (1, 1), (1, 2)]
    assert sees(right, 1, 2) == [(0, 2), (1, 2), (2, 2)]


@pytest.mark.parametrize(
    ("shapes", "wanted"),
    [
        (([3], [3]), ()),
        (([3], [5, 3, 4]), (5, 4)),
        (([5, 4, 3], [3]), (5, 4)),
        (([2, 1, 4, 3], [5, 3, 6]), (2, 5, 4, 6)),
    ],
)
def test_matmul_shapes_follow_numpy(shapes: tuple, wanted: tuple) -> None:
    field = field_of("matmul", *shapes)
    assert field.shape == wanted == np.matmul(*map(np.ones, shapes)).shape
    assert field.neuron_mask((0,) * len(wanted)).sum() == 3


def test_einsum() -> None:
    product = {"equation": "ij,jk->ik"}
    assert sees(field_of("einsum", [2, 3], [3, 4], **product), 1, 2) == [(1, 0), (1, 1), (1, 2)]
    assert sees(field_of("einsum", [2, 3], [3, 4], wrt="b", **product), 1, 2) == [(0, 2), (1, 2), (2, 2)]
    assert moved("einsum", [2, 2], equation="ii->i") == [0, 3]
    assert sees(field_of("einsum", [2, 2], equation="ii")) == [(0, 0), (1, 1)]
    assert sees(field_of("einsum", [2, 2, 2], equation="iii")) == [(0, 0, 0), (1, 1, 1)]
    assert moved("einsum", [2, 3], equation="ba") == [[0, 3], [1, 4], [2, 5]]
    assert field_of("einsum", [2, 1, 3], [4, 3, 2], equation="bqd, kdb -> bqk").shape == (2, 1, 4)


def test_an_einsum_over_nothing_reads_nothing() -> None:
    layers = [
        {"name": "none", "op": "slice", "axis": 1, "stop": 0},
        {"name": "y", "op": "einsum", "inputs": ["none", "input"], "equation": "ij,ik->ik"},
    ]
    field = fastrf.analyze({"input_shape": [2, 3], "layers": layers})["y"]
    assert field.shape == (2, 3)
    assert sees(field, 1, 2) == []


@pytest.mark.parametrize("op", ["softmax", "log_softmax", "softmin"])
def test_softmax(op: str) -> None:
    assert sees(field_of(op, [2, 3], axis=0), 1, 2) == [(0, 2), (1, 2)]
    assert sees(field_of(op, [2, 1], axis=-1), 1, 0) == []


QKV = ([3, 2], [3, 2], [3, 1])


def attended(neuron: tuple[int, int], **attributes: object) -> tuple[set[int], set[int], set[int]]:
    """Which rows of query, key and value a neuron reads."""
    fields = [field_of("attention", *QKV, wrt=wrt, **attributes) for wrt in "abc"]
    return tuple({row for row, _ in sees(field, *neuron)} for field in fields)


def test_attention() -> None:
    assert attended((1, 0)) == ({1}, {0, 1, 2}, {0, 1, 2})
    value = field_of("attention", [2, 4], [3, 4], [3, 2], wrt="c")
    assert value.shape == (2, 2)
    assert sees(value, 1, 1) == [(0, 1), (1, 1), (2, 1)]


def test_a_single_key_has_weight_one() -> None:
    shapes = ([2, 4], [1, 4], [1, 3])
    query, key, value = (field_of("attention", *shapes, wrt=wrt) for wrt in "abc")
    assert (sees(query, 1, 2), sees(key, 1, 2), sees(value, 1, 2)) == ([], [], [(0, 2)])


def test_causal_attention() -> None:
    assert attended((0, 0), causal=True) == (set(), set(), {0})
    assert attended((1, 0), causal=True) == ({1}, {0, 1}, {0, 1})
    assert attended((2, 0), causal=True) == ({2}, {0, 1, 2}, {0, 1, 2})


def test_masked_attention() -> None:
    mask = [[False, False, False], [False, False, True], [True, False, True]]
    assert attended((0, 0), mask=mask) == (set(), set(), set())
    assert attended((1, 0), mask=mask) == (set(), set(), {2})
    assert attended((2, 0), mask=mask) == ({2}, {0, 2}, {0, 2})
    assert attended((1, 0), mask=[[True] * 3] * 3, causal=True) == ({1}, {0, 1}, {0, 1})


def test_layer_norm() -> None:
    assert sees(field_of("layer_norm", [2, 2]), 1, 0) == [(1, 0), (1, 1)]
    assert field_of("layer_norm", [2, 2], axes=[0, 1]).neuron_mask((0, 0)).all()
    assert sees(field_of("layer_norm", [2, 1]), 1, 0) == []


@pytest.mark.parametrize("op", ["rms_norm", "l2_normalize"])
def test_rms_norm(op: str) -> None:
    assert sees(field_of(op, [2, 2], axes=[0]), 1, 0) == [(0, 0), (1, 0)]
    assert sees(field_of(op, [2, 1]), 1, 0) == [(1, 0)]


def test_group_norm() -> None:
    assert sees(field_of("group_norm", [4, 2], groups=2), 3, 0) == [(2, 0), (2, 1), (3, 0), (3, 1)]
    assert sees(field_of("group_norm", [4, 1], groups=4), 3, 0) == []


def test_instance_norm() -> None:
    assert sees(field_of("instance_norm", [2, 2]), 1, 0) == [(1, 0), (1, 1)]
    assert sees(field_of("instance_norm", [2, 1, 1]), 1, 0, 0) == []


@pytest.mark.parametrize("op", ["sum", "mean", "max", "min", "prod", "norm", "logsumexp", "any", "all"])
def test_reduction(op: str) -> None:
    assert sees(field_of(op, [2, 3], axes=[0]), 2) == [(0, 2), (1, 2)]
    assert sees(field_of(op, [2, 1], axes=1), 1) == [(1, 0)]
    assert field_of(op, [2, 3]).shape == ()
    assert field_of(op, [2, 3], keepdims=True).shape == (1, 1)
    assert field_of(op, [2, 3]).neuron_mask(()).all()


@pytest.mark.parametrize("op", ["std", "var"])
def test_deviation(op: str) -> None:
    assert sees(field_of(op, [2, 3], axes=-1, keepdims=True), 1, 0) == [(1, 0), (1, 1), (1, 2)]
    assert sees(field_of(op, [2, 1], axes=-1), 1) == []


@pytest.mark.parametrize("op", ["argmax", "argmin"])
def test_arg_reduction(op: str) -> None:
    assert sees(field_of(op, [2, 3], axis=1), 1) == [(1, 0), (1, 1), (1, 2)]
    assert field_of(op, [2, 3], axis=1, keepdims=True).shape == (2, 1)
    assert sees(field_of(op, [2, 1], axis=1), 1) == []


@pytest.mark.parametrize("op", ["cumsum", "cumprod", "cummax", "cummin", "logcumsumexp"])
def test_cumulation(op: str) -> None:
    assert spans(op, 3, axis=1) == [[0, 1], [0, 2], [0, 3]]
    assert spans(op, 3, axis=-1, reverse=True) == [[0, 3], [1, 3], [2, 3]]
    assert line(op, 3, axis=1, exclusive=True) == [[], [0], [0, 1]]
    assert line(op, 3, axis=1, reverse=True, exclusive=True) == [[1, 2], [2], []]


@pytest.mark.parametrize("mode", ["lstm", "gru", "rnn"])
def test_recurrent(mode: str) -> None:
    both = field_of("recurrent", [3, 2], hidden_size=2, direction="bidirectional", mode=mode)
    assert both.shape == (3, 4)
    assert sees(both, 1, 0) == [(0, 0), (0, 1), (1, 0), (1, 1)]
    assert sees(both, 1, 3) == [(1, 0), (1, 1), (2, 0), (2, 1)]
    stacked = field_of("recurrent", [3, 1], hidden_size=1, direction="bidirectional", num_layers=2, mode=mode)
    assert stacked.neuron_mask((0, 0)).all()
    assert sees(field_of("recurrent", [3, 1], hidden_size=1, num_layers=2), 1, 0) == [(0, 0), (1, 0)]
    assert sees(field_of("recurrent", [3, 1], hidden_size=1, direction="backward"), 2, 0) == [(2, 0)]


def test_squeeze_excitation() -> None:
    field = field_of("squeeze_excitation", [2, 3, 3], squeeze_channels=1)
    assert field.shape == (2, 3, 3)
    assert field.neuron_mask((0, 1, 2)).all()


@pytest.mark.parametrize(
    ("op", "shapes", "attributes", "message"),
    [
        ("linear", ([],), {"out_features": 1}, "a scalar has no axis to be connected; reshape it to (1,)"),
        ("linear", ([2],), {"out_features": -1}, "out_features must be at least 0, not -1"),
        ("matmul", ([], [2]), {}, "a scalar cannot be multiplied as a matrix; use mul"),
        ("matmul", ([2, 3], [2, 3]), {}, "shapes (2, 3) and (2, 3) do not multiply: 3 columns against 2 rows"),
        ("matmul", ([2, 1, 3], [3, 3, 1]), {}, "shapes (2,) and (3,) do not broadcast; make the sizes equal or 1"),
        ("einsum", ([2],), {"equation": "ij"}, "equation 'ij' does not fit operands of shapes [(2,)]"),
        ("einsum", ([2],), {"equation": "i,i"}, "equation 'i,i' does not fit operands of shapes [(2,)]"),
        ("einsum", ([2],), {"equation": "i->j"}, "equation 'i->j' is not an Einstein sum of letters"),
        ("einsum", ([2],), {"equation": "1->"}, "equation '1->' is not an Einstein sum of letters"),
        ("einsum", ([2, 3],), {"equation": "ii->i"}, "letter 'i' of equation 'ii->i' is both 2 and 3"),
        ("softmax", ([2, 3],), {"axis": 2}, "axis 2 is not an axis of shape (2, 3); use -2 to 1"),
        ("attention", ([3, 2], [3, 1], [3, 2]), {}, "attention shapes (3, 2), (3, 1), (3, 2) do not fit each other"),
        ("attention", QKV, {"mask": [[True]]}, "a mask must be 3 rows of 3 booleans"),
        ("layer_norm", ([2],), {"axes": [1]}, "axis 1 is not an axis of shape (2,); use -1 to 0"),
        ("group_norm", ([3, 2],), {"groups": 2}, "2 groups do not divide the channels of shape (3, 2)"),
        ("instance_norm", ([3],), {}, "a feature map of channels and at least one spatial axis is needed"),
        ("sum", ([2],), {"axes": "all"}, "axes must be an integer, not 'all'"),
        ("argmax", ([2],), {"axis": 1}, "axis 1 is not an axis of shape (2,)"),
        ("recurrent", ([3],), {"hidden_size": 1}, "a recurrent layer reads (time, features), not shape (3,); permute"),
        (
            "recurrent",
            ([3, 1],),
            {"hidden_size": 1, "direction": "up"},
            "direction 'up' is unknown; use one of forward",
        ),
        (
            "recurrent",
            ([3, 1],),
            {"hidden_size": 1, "mode": "qrnn"},
            "mode 'qrnn' is unknown; use one of lstm, gru, rnn",
        ),
        ("squeeze_excitation", ([2, 2],), {"squeeze_channels": 0}, "squeeze_channels must be at least 1, not 0"),
    ],
)
def test_errors_name_the_remedy(op: str, shapes: tuple, attributes: dict, message: str) -> None:
    refuses(message, op, *shapes, **attributes)
