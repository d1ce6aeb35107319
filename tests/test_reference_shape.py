"""The reference against numbers worked out by hand: operators that move or resample elements."""

from fractions import Fraction

import numpy as np
import pytest

from tests.reference import propagate
from tests.reference.resize import cubic_weights, linear_weights, source_coordinate
from tests.reference.single import dep_of, dep_wrt, line, numbers, read


def test_moves() -> None:
    """Moving operators, by element numbers."""
    n = np.arange(6).reshape(2, 3)
    assert numbers("flatten", [2, 3]).tolist() == list(range(6))
    assert numbers("flatten", [2, 3, 2], start_axis=1).shape == (2, 6)
    assert numbers("reshape", [2, 3], shape=[3, -1]).tolist() == n.reshape(3, 2).tolist()
    assert numbers("permute", [2, 3], order=[1, 0]).tolist() == n.T.tolist()
    assert numbers("transpose", [2, 3], axis0=-1, axis1=0).tolist() == n.T.tolist()
    assert numbers("unsqueeze", [2, 3], axis=-1).shape == (2, 3, 1)
    assert numbers("squeeze", [1, 3, 1], axes=[-1]).shape == (1, 3)
    assert numbers("expand", [3, 1], shape=[2, -1, 2]).tolist() == [[[0, 0], [1, 1], [2, 2]]] * 2
    assert numbers("slice", [2, 3], axis=1, start=-1, step=-2).tolist() == n[:, ::-2].tolist()
    assert numbers("slice", [2, 3], axis=1, start=1, stop=1).shape == (2, 0)
    assert numbers("select", [2, 3], axis=0, index=-1).tolist() == n[-1].tolist()
    assert numbers("flip", [2, 3], axes=[0, -1]).tolist() == n[::-1, ::-1].tolist()
    assert numbers("roll", [2, 3], shifts=1, axes=1).tolist() == [[2, 0, 1], [5, 3, 4]]
    assert numbers("gather", [2, 3], axis=1, indices=[-1, 0, 0]).tolist() == [[2, 0, 0], [5, 3, 3]]
    assert numbers("repeat", [2, 3], repeats=[2, 1]).tolist() == np.tile(n, (2, 1)).tolist()
    assert numbers("repeat_interleave", [2, 3], axis=0, repeats=2).tolist() == [[0, 1, 2]] * 2 + [[3, 4, 5]] * 2
    assert numbers("channel_shuffle", [6, 1], groups=2)[:, 0].tolist() == [0, 3, 1, 4, 2, 5]


def test_split_and_chunk() -> None:
    """The last part is smaller."""
    assert [numbers("split", [5], axis=0, sections=2, index=i).tolist() for i in range(3)] == [[0, 1], [2, 3], [4]]
    assert [numbers("chunk", [5], axis=0, chunks=2, index=i).tolist() for i in range(2)] == [[0, 1, 2], [3, 4]]
    assert numbers("split", [5], axis=0, sections=[1, 4], index=1).tolist() == [1, 2, 3, 4]


def test_pad() -> None:
    """Constants, crops and borders over any axis."""
    assert line("pad", 3, padding=[[0, 0], [1, -1]]) == [[], [0], [1]]
    assert numbers("pad", [3], padding=[[2, 1]], mode="reflect").tolist() == [2, 1, 0, 1, 2, 1]
    assert numbers("pad", [2, 1], padding=[[1, 1], [0, 1]], mode="circular").tolist() == [
        [1, 1],
        [0, 0],
        [1, 1],
        [0, 0],
    ]
    with pytest.raises(ValueError, match="reflect"):
        dep_of("pad", [2], padding=[[2, 0]], mode="reflect")


def test_scatter() -> None:
    """The last duplicate wins; add keeps all."""
    shapes = {"x": [3], "u": [2]}
    x, u = (dep_wrt(name, "scatter", shapes, axis=0, indices=[1, -2]) for name in shapes)
    assert [read(x, i) for i in range(3)] == [[0], [], [2]]
    assert [read(u, i) for i in range(3)] == [[], [1], []]
    x, u = (dep_wrt(name, "scatter", shapes, axis=0, indices=[1, 1], reduce="add") for name in shapes)
    assert [read(x, i) for i in range(3)] == [[0], [1], [2]]
    assert [read(u, i) for i in range(3)] == [[], [0, 1], []]


def test_concat_and_stack() -> None:
    """Where the second input goes."""
    shapes = {"a": [1, 2], "b": [1, 2]}
    assert np.argwhere(dep_wrt("b", "concat", shapes, axis=-1)).tolist() == [[0, 2, 0, 0], [0, 3, 0, 1]]
    assert np.argwhere(dep_wrt("b", "stack", shapes, axis=-1)).tolist() == [[0, 0, 1, 0, 0], [0, 1, 1, 0, 1]]


def test_blocks() -> None:
    """Channel orders of the shuffles."""
    assert numbers("pixel_shuffle", [4, 1, 1], factor=2).tolist() == [[[0, 1], [2, 3]]]
    assert numbers("depth_to_space", [8, 1, 1], block=2)[1].tolist() == [[1, 3], [5, 7]]
    assert numbers("depth_to_space", [8, 1, 1], block=2, mode="CRD")[1].tolist() == [[4, 5], [6, 7]]
    assert numbers("pixel_unshuffle", [2, 2, 2], factor=2)[:, 0, 0].tolist() == list(range(8))
    assert numbers("space_to_depth", [2, 2, 2], block=2)[:, 0, 0].tolist() == [0, 4, 1, 5, 2, 6, 3, 7]


def test_windows_there_and_back() -> None:
    """Partition and reverse are inverse."""
    dep = numbers("window_partition", [1, 2, 4], window=2)
    assert dep[1, 0].tolist() == [[2, 3], [6, 7]]
    layers = [
        {"name": "p", "op": "window_partition", "window": [2, 3]},
        {"name": "r", "op": "window_reverse", "window": [2, 3], "output_size": [4, 6]},
    ]
    got = propagate({"input_shape": [2, 4, 6], "layers": layers})
    assert got["p"].shape[:4] == (4, 2, 2, 3)
    assert np.array_equal(got["r"], got["input"])


def test_nearest() -> None:
    """Asymmetric floor is the default."""
    assert line("resize", 2, scale=1.5) == [[0], [0], [1]]
    assert line("resize", 4, output_size=2) == [[0], [2]]
    exact = {"coordinates": "half_pixel", "rounding": "round_prefer_ceil"}
    assert line("resize", 4, output_size=2, **exact) == [[1], [3]]
    assert line("resize", 4, output_size=2, coordinates="half_pixel", rounding="round_prefer_floor") == [[0], [2]]
    assert line("resize", 2, output_size=4, rounding="ceil") == [[0], [1], [1], [1]]


def test_linear_drops_taps_of_weight_zero() -> None:
    """Exact coordinates read one pixel."""
    half = line("resize", 4, mode="linear", scale=2)
    assert half == [[0], [0, 1], [0, 1], [1, 2], [1, 2], [2, 3], [2, 3], [3]]
    assert line("resize", 3, mode="linear", output_size=5, coordinates="align_corners") == [
        [0],
        [0, 1],
        [1],
        [1, 2],
        [2],
    ]
    assert line("resize", 6, mode="linear", output_size=2) == [[1], [4]]
    assert line("resize", 4, mode="linear", output_size=1, coordinates="align_corners") == [[0]]
    assert line("resize", 4, mode="linear", output_size=1) == [[1, 2]]
    assert line("resize", 4, mode="linear", output_size=1, coordinates="pytorch_half_pixel") == [[0]]
    assert line("resize", 2, mode="linear", output_size=4, coordinates="asymmetric") == [[0], [0, 1], [1], [1]]
    dep = dep_of("resize", [2, 3, 2], mode="linear", output_size=[1, 1])
    assert read(dep, 1, 0, 0) == [(1, 1, 0), (1, 1, 1)]


def test_cubic() -> None:
    """Four taps, one on the grid, clipped taps merged."""
    assert line("resize", 6, mode="cubic", output_size=3)[1] == [1, 2, 3, 4]
    assert line("resize", 9, mode="cubic", output_size=3) == [[1], [4], [7]]
    assert line("resize", 1, mode="cubic", output_size=2) == [[0], [0]]


def test_cubic_weights_sum_to_one() -> None:
    """Partition of unity."""
    for n, out in [(1, 3), (2, 5), (5, 3), (7, 4)]:
        for o in range(out):
            src = source_coordinate("half_pixel", o, n, out, Fraction(n, out), [])
            assert (
                sum(cubic_weights(src, n, Fraction(-3, 4), outside=True).values())
                == sum(linear_weights(src, n).values())
                == 1
            )


def test_antialias_widens_when_shrinking() -> None:
    """Triangle of half-width 2; its ends have weight zero."""
    assert line("resize", 8, mode="linear", output_size=4, antialias=True)[1] == [1, 2, 3, 4]
    assert line("resize", 4, mode="linear", output_size=8, antialias=True) == line("resize", 4, mode="linear", scale=2)


def test_area_is_adaptive_pooling() -> None:
    """The same windows."""
    assert line("resize", 5, mode="area", output_size=3) == line("adaptive_avg_pool", 5, output_size=3)
