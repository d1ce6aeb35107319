"""The reference against numbers worked out by hand, and against its own algebra: windows, features, whole axes."""

import math

import numpy as np
import pytest

from tests.reference import propagate
from tests.reference.single import dep_of, dep_wrt, line, numbers, read


def test_conv_corner_reads_four_pixels_of_every_channel() -> None:
    """3x3, padding 1."""
    dep = dep_of("conv", [2, 3, 3], out_channels=4, kernel_size=3, padding=1)
    assert dep.shape == (4, 3, 3, 2, 3, 3)
    assert read(dep, 3, 0, 0) == [(c, y, x) for c in (0, 1) for y in (0, 1) for x in (0, 1)]
    assert dep[0, 1, 1].all()


def test_dilation_leaves_holes() -> None:
    """Taps 0, 2, 4."""
    assert line("conv", 7, out_channels=1, kernel_size=3, dilation=2) == [[0, 2, 4], [1, 3, 5], [2, 4, 6]]


def test_groups() -> None:
    """Output channels of one group read its input channels."""
    dep = dep_of("conv", [4, 1], out_channels=2, kernel_size=1, groups=2)
    assert [read(dep, c, 0) for c in range(2)] == [[(0, 0), (1, 0)], [(2, 0), (3, 0)]]
    dep = dep_of("depthwise_conv", [2, 1], kernel_size=1, multiplier=2)
    assert [read(dep, c, 0) for c in range(4)] == [[0], [0], [(1, 0)], [(1, 0)]]


def test_padding_kinds() -> None:
    """Pairs, same (extra at the end) and same_lower (extra at the start)."""
    assert line("conv", 3, out_channels=1, kernel_size=2, padding=[[1, 0]]) == [[0], [0, 1], [1, 2]]
    assert line("conv", 3, out_channels=1, kernel_size=2, padding="same") == [[0, 1], [1, 2], [2]]
    assert line("conv", 3, out_channels=1, kernel_size=2, padding="same_lower") == [[0], [0, 1], [1, 2]]
    assert line("conv", 3, out_channels=1, kernel_size=2, padding="causal") == [[0], [0, 1], [1, 2]]
    assert line("conv", 4, out_channels=1, kernel_size=2, stride=2, padding=[2, 1]) == [[], [0, 1], [2, 3]]
    assert line("conv", 4, out_channels=1, kernel_size=3, stride=2, padding="same") == [[0, 1, 2], [2, 3]]
    assert line("conv", 5, out_channels=1, kernel_size=1, stride=3, padding="same") == [[0], [3]]


def test_padding_modes() -> None:
    """Borders of a conv with kernel 3 and padding 2."""
    conv = {"out_channels": 1, "kernel_size": 1, "padding": 2}
    assert line("conv", 3, **conv) == [[], [], [0], [1], [2], [], []]
    assert line("conv", 3, **conv, padding_mode="reflect") == [[2], [1], [0], [1], [2], [1], [0]]
    assert line("conv", 3, **conv, padding_mode="replicate") == [[0], [0], [0], [1], [2], [2], [2]]
    assert line("conv", 3, **conv, padding_mode="circular") == [[1], [2], [0], [1], [2], [0], [1]]


def test_conv_transpose() -> None:
    """Stride 2 and kernel 3 interleave one and two sources."""
    assert line("conv_transpose", 3, out_channels=1, kernel_size=3, stride=2) == [
        [0],
        [0],
        [0, 1],
        [1],
        [1, 2],
        [2],
        [2],
    ]
    assert line("conv_transpose", 2, out_channels=1, kernel_size=1, stride=2, output_padding=1) == [[0], [], [1], []]
    assert line("conv_transpose", 2, out_channels=1, kernel_size=2, padding=[[1, 0]]) == [[0, 1], [1]]


def test_pool_ceil_mode() -> None:
    """A last window must start inside the input or the left padding."""
    assert line("max_pool", 5, kernel_size=2) == [[0, 1], [2, 3]]
    assert line("max_pool", 5, kernel_size=2, ceil_mode=True) == [[0, 1], [2, 3], [4]]
    assert line("max_pool", 3, kernel_size=2, padding=1, ceil_mode=True) == [[0], [1, 2]]
    assert line("avg_pool", 4, kernel_size=1, stride=3, padding=0, ceil_mode=True) == [[0], [3]]


def test_pool_keeps_channels_apart() -> None:
    """Channel 1 reads channel 1."""
    assert read(dep_of("lp_pool", [2, 2], kernel_size=2), 1, 0) == [(1, 0), (1, 1)]
    assert read(dep_of("window", [2, 2], kernel_size=2), 1, 0) == [(0, 0), (0, 1), (1, 0), (1, 1)]
    assert dep_of("global_avg_pool", [3, 2, 2]).shape == (3, 1, 1, 3, 2, 2)
    assert dep_of("global_max_pool", [3, 2, 2], keepdims=False).shape == (3, 3, 2, 2)


def test_adaptive_pool() -> None:
    """Overlapping windows, and more outputs than inputs."""
    assert line("adaptive_avg_pool", 5, output_size=3) == [[0, 1], [1, 2, 3], [3, 4]]
    assert line("adaptive_max_pool", 2, output_size=3) == [[0], [0, 1], [1]]
    assert line("adaptive_max_pool", 2, output_size=[None]) == [[0], [1]]


def test_unfold() -> None:
    """Channel slowest, taps row-major, positions row-major."""
    dep = dep_of("unfold", [2, 2, 3], kernel_size=2)
    assert dep.shape == (8, 2, 2, 2, 3)
    assert read(dep, 5, 1) == [(1, 0, 2)]  # channel 1, tap (0, 1), position (0, 1)
    assert read(dep, 6, 0) == [(1, 1, 0)]  # channel 1, tap (1, 0), position (0, 0)


@pytest.mark.parametrize("spatial", [[7], [4, 5], [3, 4, 3]])
@pytest.mark.parametrize("window", [{"padding": 1}, {"stride": 2}, {"dilation": 2, "padding": 2}])
def test_fold_is_the_adjoint_of_unfold(spatial: list[int], window: dict) -> None:
    """Transposed dependency matrices."""
    unfold = dep_of("unfold", [2, *spatial], kernel_size=2, **window)
    fold = dep_of("fold", list(unfold.shape[:2]), kernel_size=2, output_size=spatial, **window)
    assert np.array_equal(fold.reshape(math.prod([2, *spatial]), -1), unfold.reshape(-1, math.prod([2, *spatial])).T)


@pytest.mark.parametrize("padding", [0, 1, [[2, 0]], [[0, 1]]])
@pytest.mark.parametrize("stride", [1, 2, 3])
@pytest.mark.parametrize("dilation", [1, 2])
def test_conv_transpose_is_the_adjoint_of_conv(padding: object, stride: int, dilation: int) -> None:
    """Transposed dependency matrices, output_padding making up for the rounding."""
    window = {"kernel_size": 3, "stride": stride, "padding": padding, "dilation": dilation, "groups": 2}
    conv = dep_of("conv", [2, 9], out_channels=4, **window)
    pads = 2 * padding if isinstance(padding, int) else sum(padding[0])
    extra = (9 + pads - dilation * 2 - 1) % stride
    transposed = dep_of("conv_transpose", list(conv.shape[:2]), out_channels=2, output_padding=extra, **window)
    assert np.array_equal(transposed.reshape(18, -1), conv.reshape(-1, 18).T)


def test_local_response_norm() -> None:
    """An even size reaches further down."""
    dep = dep_of("local_response_norm", [4, 1], size=2)
    assert [read(dep, c, 0) for c in range(3)] == [[0], [(0, 0), (1, 0)], [(1, 0), (2, 0)]]


def test_linear_and_matmul() -> None:
    """Rows and columns; 1-D operands."""
    assert read(dep_of("linear", [2, 3], out_features=1), 1, 0) == [(1, 0), (1, 1), (1, 2)]
    shapes = {"a": [2, 3], "b": [3, 4]}
    assert read(dep_wrt("a", "matmul", shapes), 1, 2) == [(1, 0), (1, 1), (1, 2)]
    assert read(dep_wrt("b", "matmul", shapes), 1, 2) == [(0, 2), (1, 2), (2, 2)]
    assert dep_wrt("a", "matmul", {"a": [3], "b": [5, 3, 4]}).shape == (5, 4, 3)
    assert dep_wrt("a", "matmul", {"a": [5, 4, 3], "b": [3]}).shape == (5, 4, 5, 4, 3)
    assert dep_wrt("a", "matmul", {"a": [3], "b": [3]}).shape == (3,)
    assert dep_wrt("a", "matmul", {"a": [2, 0], "b": [0, 2]}).shape == (2, 2, 2, 0)


def test_einsum() -> None:
    """Diagonals, traces, sums, implicit results."""
    assert numbers("einsum", [2, 2], equation="ii->i").tolist() == [0, 3]
    assert read(dep_of("einsum", [2, 2], equation="ii")) == [(0, 0), (1, 1)]
    assert numbers("einsum", [2, 3], equation="ba").shape == (3, 2)
    assert numbers("einsum", [2, 3], equation="aB").shape == (3, 2)
    shapes = {"q": [1, 2, 3, 4], "k": [1, 2, 5, 4]}
    dep = dep_wrt("k", "einsum", shapes, equation="bhqd,bhkd->bhqk")
    assert dep.shape == (1, 2, 3, 5, 1, 2, 5, 4)
    assert read(dep, 0, 1, 2, 3) == [(0, 1, 3, d) for d in range(4)]


def test_softmax() -> None:
    """A whole axis, or nothing for an axis of one."""
    assert read(dep_of("softmax", [2, 3], axis=0), 1, 2) == [(0, 2), (1, 2)]
    assert not dep_of("softmax", [2, 1], axis=-1).any()


def test_causal_attention() -> None:
    """Row 0 has no choice, row 1 has."""
    shapes = {"q": [3, 2], "k": [3, 2], "v": [3, 1]}
    q, k, v = (dep_wrt(name, "attention", shapes, causal=True) for name in shapes)
    assert (read(q, 0, 0), read(k, 0, 0), read(v, 0, 0)) == ([], [], [0])
    assert read(q, 1, 0) == [(1, 0), (1, 1)]
    assert read(k, 1, 0) == [(0, 0), (0, 1), (1, 0), (1, 1)]
    assert read(v, 1, 0) == [(0, 0), (1, 0)]


def test_attention_mask() -> None:
    """A row without keys, a row with one, a row with two."""
    shapes = {"q": [3, 1], "k": [3, 1], "v": [3, 1]}
    mask = [[False, False, False], [False, False, True], [True, False, True]]
    q, k, v = (dep_wrt(name, "attention", shapes, mask=mask) for name in shapes)
    assert [read(v, i, 0) for i in range(3)] == [[], [(2, 0)], [(0, 0), (2, 0)]]
    assert [read(k, i, 0) for i in range(3)] == [[], [], [(0, 0), (2, 0)]]
    assert [read(q, i, 0) for i in range(3)] == [[], [], [(2, 0)]]
    both = dep_wrt("v", "attention", shapes, mask=[[False, True, True]] * 3, causal=True)
    assert [read(both, i, 0) for i in range(3)] == [[], [(1, 0)], [(1, 0), (2, 0)]]


def test_norms() -> None:
    """Groups, and constants for groups of one element."""
    assert read(dep_of("layer_norm", [2, 2]), 1, 0) == [(1, 0), (1, 1)]
    assert dep_of("layer_norm", [2, 2], axes=[0, 1]).all()
    assert not dep_of("layer_norm", [2, 1]).any()
    assert dep_of("rms_norm", [1, 1]).all()
    assert read(dep_of("group_norm", [4, 1], groups=2), 3, 0) == [(2, 0), (3, 0)]
    assert not dep_of("group_norm", [4, 1], groups=4).any()
    assert read(dep_of("instance_norm", [2, 2]), 1, 0) == [(1, 0), (1, 1)]
    assert not dep_of("instance_norm", [2, 1, 1]).any()
    assert np.array_equal(dep_of("batch_norm", [2, 2]), dep_of("relu", [2, 2]))


def test_reductions() -> None:
    """Axes as list, int, None; constants."""
    assert dep_of("sum", [2, 3]).shape == (2, 3)
    assert dep_of("sum", [2, 3], keepdims=True).shape == (1, 1, 2, 3)
    assert read(dep_of("mean", [2, 3], axes=[0]), 2) == [(0, 2), (1, 2)]
    assert read(dep_of("logsumexp", [2, 3], axes=-1), 1) == [(1, 0), (1, 1), (1, 2)]
    assert not dep_of("std", [2, 1], axes=1).any()
    assert dep_of("max", [2, 1], axes=1).any()
    assert not dep_of("argmax", [2, 1], axis=1).any()
    assert dep_of("argmax", [2, 3], axis=1, keepdims=True).shape == (2, 1, 2, 3)
    assert dep_of("sum", [2, 0], axes=1).shape == (2, 2, 0)


def test_cumulative() -> None:
    """All four directions."""
    assert line("cumsum", 3, axis=1) == [[0], [0, 1], [0, 1, 2]]
    assert line("cumprod", 3, axis=1, exclusive=True) == [[], [0], [0, 1]]
    assert line("cummax", 3, axis=-1, reverse=True) == [[0, 1, 2], [1, 2], [2]]
    assert line("cumsum", 3, axis=1, reverse=True, exclusive=True) == [[1, 2], [2], []]


def test_recurrent() -> None:
    """Forward features then backward features; the second layer mixes them."""
    dep = dep_of("recurrent", [3, 1], hidden_size=2, direction="bidirectional")
    assert [len(read(dep, 1, h)) for h in range(4)] == [2, 2, 2, 2]
    assert read(dep, 0, 1) == [0]
    assert len(read(dep, 0, 2)) == 3
    assert dep_of("recurrent", [3, 1], hidden_size=1, direction="bidirectional", num_layers=2).all()
    assert read(dep_of("recurrent", [3, 1], hidden_size=1, num_layers=2), 0, 0) == [0]
    assert read(dep_of("recurrent", [3, 1], hidden_size=1, direction="backward"), 2, 0) == [(2, 0)]


def test_squeeze_excitation_and_nary() -> None:
    """Everything; and broadcasting."""
    assert dep_of("squeeze_excitation", [2, 2, 2], squeeze_channels=1).all()
    shapes = {"x": [2, 2], "s": [2, 1], "c": []}
    assert read(dep_wrt("s", "where", shapes), 1, 0) == read(dep_wrt("s", "where", shapes), 1, 1) == [(1, 0)]
    assert dep_wrt("c", "mul", shapes).all()


def test_data_dependent() -> None:
    """Everything that may be read."""
    shapes = {"x": [2, 4], "o": [3, 2]}
    assert dep_wrt("x", "deform_conv", shapes, out_channels=1, kernel_size=3).all()
    assert read(dep_wrt("o", "deform_conv", shapes, out_channels=1, kernel_size=3), 0, 1) == [(c, 1) for c in range(3)]
    shapes = {"x": [2, 2, 2], "g": [1, 3, 2]}
    assert dep_wrt("x", "grid_sample", shapes)[1, 0, 2, 1].all()
    assert not dep_wrt("x", "grid_sample", shapes)[1, :, :, 0].any()
    assert read(dep_wrt("g", "grid_sample", shapes), 1, 0, 2) == [(0, 2, 0), (0, 2, 1)]
    shapes = {"x": [2, 3], "i": [4]}
    assert read(dep_wrt("x", "dynamic_gather", shapes, axis=1), 1, 3) == [(1, 0), (1, 1), (1, 2)]
    assert read(dep_wrt("i", "dynamic_gather", shapes, axis=1), 1, 3) == [3]
    assert dep_of("topk", [2, 3], axis=1, k=2).shape == (2, 2, 2, 3)


def test_composition_and_default_inputs() -> None:
    """Two 3x3 convs see 5x5; a residual adds nothing; other inputs do not matter."""
    conv = {"op": "conv", "out_channels": 1, "kernel_size": 3, "padding": 1}
    layers = [
        {"name": "a", **conv},
        {"name": "b", **conv},
        {"name": "s", "op": "add", "inputs": ["a", "b"]},
        {"name": "m", "op": "relu", "inputs": ["mask"]},
    ]
    got = propagate({"input_shape": {"x": [1, 7, 7], "mask": [1]}, "layers": layers})
    assert got["b"][0, 3, 3].sum() == 25
    assert np.array_equal(got["s"], got["b"])
    assert got["m"].shape == (1, 1, 7, 7)
    assert not got["m"].any()
    assert not got["mask"].any()
