"""Operators that move elements: worked examples, one function at a time, and what they refuse.

Elements are numbered row-major: a (2, 3) input is [[0, 1, 2], [3, 4, 5]], and -1 stands for a constant.
"""

import numpy as np
import pytest

import fastrf
from fastrf.engine.recipe import record
from tests.one_layer import field_of, line, moved, refuses, sees


@pytest.mark.parametrize(
    ("attributes", "shape"),
    [
        ({}, (24,)),
        ({"start_axis": 1}, (2, 12)),
        ({"end_axis": 1}, (6, 4)),
        ({"start_axis": -2, "end_axis": 1}, (2, 3, 4)),
    ],
)
def test_flatten(attributes: dict, shape: tuple) -> None:
    assert moved("flatten", [2, 3, 4], **attributes) == np.arange(24).reshape(shape).tolist()


def test_flatten_a_scalar() -> None:
    assert moved("flatten", []) == [0]


@pytest.mark.parametrize("shape", [[3, 2], [-1, 2], [6], -1, [1, 3, 1, -1]])
def test_reshape(shape: list[int]) -> None:
    assert moved("reshape", [2, 3], shape=shape) == np.arange(6).reshape(shape).tolist()


@pytest.mark.parametrize("order", [[1, 0, 2], [2, 0, 1], [-1, -2, -3], [0, 1, 2]])
def test_permute(order: list[int]) -> None:
    assert moved("permute", [2, 3, 4], order=order) == np.arange(24).reshape(2, 3, 4).transpose(order).tolist()


def test_transpose() -> None:
    assert moved("transpose", [2, 3], axis0=0, axis1=-1) == [[0, 3], [1, 4], [2, 5]]


def test_squeeze() -> None:
    assert field_of("squeeze", [1, 3, 1]).shape == (3,)
    assert field_of("squeeze", [1, 3, 1], axes=[-1]).shape == (1, 3)
    assert moved("squeeze", [1, 3], axes=0) == [0, 1, 2]


@pytest.mark.parametrize(("axis", "shape"), [(0, (1, 2, 3)), (2, (2, 3, 1)), (-1, (2, 3, 1)), (-3, (1, 2, 3))])
def test_unsqueeze(axis: int, shape: tuple) -> None:
    assert moved("unsqueeze", [2, 3], axis=axis) == np.arange(6).reshape(shape).tolist()


def test_expand() -> None:
    assert moved("expand", [3, 1], shape=[2, -1, 2]) == [[[0, 0], [1, 1], [2, 2]]] * 2


@pytest.mark.parametrize(
    ("mode", "wanted"),
    [
        ("constant", [-1, -1, 0, 1, 2, -1]),
        ("reflect", [2, 1, 0, 1, 2, 1]),
        ("symmetric", [1, 0, 0, 1, 2, 2]),
        ("replicate", [0, 0, 0, 1, 2, 2]),
        ("circular", [1, 2, 0, 1, 2, 0]),
    ],
)
def test_pad(mode: str, wanted: list[int]) -> None:
    assert moved("pad", [3], padding=[[2, 1]], mode=mode) == wanted


def test_negative_padding_crops() -> None:
    assert moved("pad", [2, 3], padding=[[0, 1], [-1, 0]]) == [[1, 2], [4, 5], [-1, -1]]


@pytest.mark.parametrize(
    ("attributes", "wanted"),
    [
        ({}, [0, 1, 2, 3, 4]),
        ({"start": 1, "stop": -1}, [1, 2, 3]),
        ({"step": 2}, [0, 2, 4]),
        ({"start": -1, "step": -2}, [4, 2, 0]),
        ({"start": 3, "stop": 3}, []),
    ],
)
def test_slice(attributes: dict, wanted: list[int]) -> None:
    assert moved("slice", [5], axis=0, **attributes) == wanted


@pytest.mark.parametrize(
    ("n", "kept"), [(5, [1, 2, 3]), (2, [0]), (4, [2]), (6, [2]), (8, [4]), (5, [2, 3]), (3, [0, 1]), (3, [0, 1, 2])]
)
def test_center_crop(n: int, kept: list[int]) -> None:
    field = field_of("center_crop", [1, n], [2, len(kept)])
    assert [np.flatnonzero(field.mask(o)).tolist() for o in range(len(kept))] == [[place] for place in kept]
    assert not field_of("center_crop", [1, n], [2, len(kept)], wrt="b").to_csr().nnz


def test_select() -> None:
    assert moved("select", [2, 3], axis=1, index=-1) == [2, 5]


def test_flip() -> None:
    assert moved("flip", [2, 3], axes=[0, -1]) == [[5, 4, 3], [2, 1, 0]]


def test_roll() -> None:
    assert moved("roll", [2, 3], shifts=1, axes=1) == [[2, 0, 1], [5, 3, 4]]
    assert moved("roll", [2, 3], shifts=[-1, 1], axes=[1, 0]) == [[4, 5, 3], [1, 2, 0]]


def test_gather() -> None:
    assert moved("gather", [2, 3], axis=1, indices=[-1, 0, 0]) == [[2, 0, 0], [5, 3, 3]]
    assert moved("gather", [2, 3], indices=[-1, 0, 0, 4], shape=[2, 2]) == [[5, 0], [0, 4]]
    assert moved("gather", [2, 3], indices=[4, 0]) == [4, 0]


def test_scatter() -> None:
    kept, written = (field_of("scatter", [3], [2], wrt=wrt, axis=0, indices=[1, 1]) for wrt in "ab")
    assert [sees(kept, i) for i in range(3)] == [[(0,)], [], [(2,)]]
    assert [sees(written, i) for i in range(3)] == [[], [(1,)], []]  # the last update stays
    kept, written = (field_of("scatter", [3], [2], wrt=wrt, axis=0, indices=[1, -2], reduce="add") for wrt in "ab")
    assert [sees(kept, i) for i in range(3)] == [[(0,)], [(1,)], [(2,)]]
    assert [sees(written, i) for i in range(3)] == [[], [(0,), (1,)], []]
    kept, written = (field_of("scatter", [2, 2], [1, 1], wrt=wrt, indices=[2]) for wrt in "ab")
    assert [sees(kept, *i) for i in np.ndindex(2, 2)] == [[(0, 0)], [(0, 1)], [], [(1, 1)]]
    assert [sees(written, *i) for i in np.ndindex(2, 2)] == [[], [], [(0, 0)], []]


def test_concat() -> None:
    second = field_of("concat", [2, 1], [2, 2], [2, 1], wrt="b", axis=-1)
    assert second.shape == (2, 4)
    assert [sees(second, 1, x) for x in range(4)] == [[], [(1, 0)], [(1, 1)], []]


@pytest.mark.parametrize(("axis", "neuron"), [(0, (1, 0, 2)), (1, (0, 1, 2)), (-1, (0, 2, 1))])
def test_stack(axis: int, neuron: tuple) -> None:
    assert sees(field_of("stack", [2, 3], [2, 3], wrt="b", axis=axis), *neuron) == [(0, 2)]
    assert sees(field_of("stack", [2, 3], [2, 3], wrt="a", axis=axis), *neuron) == []


@pytest.mark.parametrize(
    ("sections", "parts"), [(2, [[0, 1], [2, 3], [4]]), ([1, 4], [[0], [1, 2, 3, 4]]), (9, [[0, 1, 2, 3, 4]])]
)
def test_split(sections: int | list[int], parts: list[list[int]]) -> None:
    assert [moved("split", [5], axis=0, sections=sections, index=i) for i in range(len(parts))] == parts
    assert moved("split", [5], axis=0, sections=sections, index=-1) == parts[-1]


def test_chunk() -> None:
    assert [moved("chunk", [5], axis=0, chunks=2, index=i) for i in range(2)] == [[0, 1, 2], [3, 4]]


@pytest.mark.parametrize("repeats", [[2, 1], [1, 3], [2, 2], 2])
def test_repeat(repeats: list[int]) -> None:
    tiled = np.tile(np.arange(6).reshape(2, 3), [2, 2] if repeats == 2 else repeats)
    assert moved("repeat", [2, 3], repeats=repeats) == tiled.tolist()


def test_repeat_interleave() -> None:
    assert moved("repeat_interleave", [3], axis=0, repeats=2) == [0, 0, 1, 1, 2, 2]
    assert field_of("repeat_interleave", [3], axis=0, repeats=0).shape == (0,)


def test_pixel_shuffle() -> None:
    assert moved("pixel_shuffle", [4, 1, 1], factor=2) == [[[0, 1], [2, 3]]]
    assert moved("pixel_shuffle", [4, 2], factor=2) == [[0, 2, 1, 3], [4, 6, 5, 7]]
    assert field_of("pixel_shuffle", [8, 2, 3, 4], factor=2).shape == (1, 4, 6, 8)


def test_pixel_unshuffle() -> None:
    assert np.ravel(moved("pixel_unshuffle", [2, 2, 2], factor=2)).tolist() == list(range(8))
    assert moved("pixel_unshuffle", [1, 4], factor=2) == [[0, 2], [1, 3]]


def test_depth_to_space() -> None:
    # Channels (offset, c) in DCR, (c, offset) in CRD; channel 1 of the output.
    assert moved("depth_to_space", [8, 1, 1], block=2)[1] == [[1, 3], [5, 7]]
    assert moved("depth_to_space", [8, 1, 1], block=2, mode="CRD")[1] == [[4, 5], [6, 7]]


def test_space_to_depth() -> None:
    assert np.ravel(moved("space_to_depth", [2, 2, 2], block=2)).tolist() == [0, 4, 1, 5, 2, 6, 3, 7]


def test_channel_shuffle() -> None:
    assert np.ravel(moved("channel_shuffle", [6, 1], groups=2)).tolist() == [0, 3, 1, 4, 2, 5]


def test_window_partition() -> None:
    # A 2x4 image [[0, 1, 2, 3], [4, 5, 6, 7]] in two windows of 2x2.
    assert moved("window_partition", [1, 2, 4], window=2) == [[[[0, 1], [4, 5]]], [[[2, 3], [6, 7]]]]
    assert field_of("window_partition", [3, 4, 6], window=[2, 3]).channel_axis == 1


def test_window_reverse() -> None:
    reverse = {"window": 2, "output_size": [2, 4]}
    assert moved("window_reverse", [2, 1, 2, 2], **reverse) == [[[0, 1, 4, 5], [2, 3, 6, 7]]]
    assert field_of("window_reverse", [2, 3, 2, 2], **reverse).channel_axis == 0


def test_moving_along_positions_keeps_the_channels_known() -> None:
    assert line("flip", 3, axes=1) == [[2], [1], [0]]
    assert line("slice", 5, axis=1, step=2) == [[0], [2], [4]]


@pytest.mark.parametrize(
    ("op", "shapes", "attributes", "message"),
    [
        (
            "flatten",
            ([2, 3],),
            {"start_axis": 1, "end_axis": 0},
            "start_axis 1 comes after end_axis 0 in shape (2, 3)",
        ),
        ("reshape", ([2, 3],), {"shape": [4]}, "shape (2, 3) of 6 elements cannot be reshaped to (4,)"),
        ("reshape", ([2, 3],), {"shape": [-1, -1]}, "shape (2, 3) of 6 elements cannot be reshaped to (-1, -1)"),
        ("permute", ([2, 3],), {"order": [0, 0]}, "order (0, 0) is not a permutation of the 2 axes of shape (2, 3)"),
        ("transpose", ([2],), {"axis0": 0, "axis1": 1}, "axis 1 is not an axis of shape (2,); use -1 to 0"),
        ("squeeze", ([2, 1],), {"axes": [0]}, "axes [0] of shape (2, 1) are not all 1; only those can be squeezed"),
        ("unsqueeze", ([2],), {"axis": 2}, "axis 2 is out of range for a new axis of shape (2,)"),
        ("expand", ([2],), {"shape": [3]}, "axis 0 of shape (2,) cannot be broadcast to 3; only an axis of 1 can"),
        ("expand", ([2, 1],), {"shape": [2]}, "shape (2, 1) cannot be broadcast to (2,); it has more axes"),
        ("pad", ([2, 3],), {"padding": [[1, 1]]}, "padding has 1 pairs for the 2 axes of shape (2, 3); give one per"),
        (
            "pad",
            ([2],),
            {"padding": [[1, 1]], "mode": "edge"},
            "pad mode 'edge' is unknown; use one of constant, reflect",
        ),
        ("pad", ([2],), {"padding": [[2, 0]], "mode": "reflect"}, "reflect"),
        ("slice", ([2],), {"axis": 0, "step": 0}, "step must not be 0"),
        ("select", ([2],), {"axis": 0, "index": 2}, "index 2 is outside axis 0 of shape (2,)"),
        ("flip", ([2],), {"axes": 1}, "axis 1 is not an axis of shape (2,)"),
        ("roll", ([2],), {"shifts": [1, 1], "axes": 0}, "2 shifts for 1 axes; give one each"),
        ("gather", ([2],), {"axis": 0, "indices": [2]}, "index 2 is outside axis 0 of shape (2,)"),
        ("gather", ([2, 2],), {"indices": [4]}, "index 4 is outside axis 0 of shape (4,)"),
        ("gather", ([2],), {"axis": 0, "indices": [0], "shape": [1]}, "takes a shape only where it has no axis"),
        (
            "scatter",
            ([2], [1]),
            {"axis": 0, "indices": [0], "reduce": "mul"},
            "reduce 'mul' is unknown; use one of none, add",
        ),
        (
            "scatter",
            ([2], [1]),
            {"axis": 0, "indices": [0, 1]},
            "updates of shape (1,) do not fit 2 indices along axis 0 of (2,)",
        ),
        ("concat", ([2, 1], [3, 1]), {"axis": 1}, "shapes (2, 1) and (3, 1) differ outside axis 1; they cannot be"),
        ("stack", ([2], [3]), {"axis": 0}, "shapes (1, 2) and (1, 3) differ outside axis 0"),
        (
            "split",
            ([5],),
            {"axis": 0, "sections": [1, 2], "index": 0},
            "sections [1, 2] do not add up to 5, the length",
        ),
        ("split", ([5],), {"axis": 0, "sections": 3, "index": 2}, "part 2 is outside the 2 parts"),
        ("chunk", ([5],), {"axis": 0, "chunks": 0, "index": 0}, "chunks must be at least 1, not 0"),
        (
            "center_crop",
            ([1, 4, 5], [2, 4, 6]),
            {},
            "the centre of shape (1, 4, 5) cannot be as large as shape (2, 4, 6); pad it",
        ),
        ("center_crop", ([1, 4, 5], [1, 4]), {}, "the centre of shape (1, 4, 5) cannot be as large as shape (1, 4)"),
        ("repeat", ([5],), {"repeats": [1, 2]}, "repeats has 2 values for 1 axes"),
        ("repeat_interleave", ([5],), {"axis": 0, "repeats": -1}, "repeats must be at least 0, not -1"),
        ("pixel_shuffle", ([3, 1, 1],), {"factor": 2}, "3 channels do not divide into blocks of 4"),
        ("pixel_unshuffle", ([1, 3, 2],), {"factor": 2}, "blocks of 2 do not divide shape (1, 3, 2)"),
        ("depth_to_space", ([4, 1, 1],), {"block": 2, "mode": "RCD"}, "mode 'RCD' is unknown; use one of DCR, CRD"),
        ("space_to_depth", ([1, 3, 2],), {"block": 2}, "blocks of 2 do not divide shape (1, 3, 2)"),
        ("channel_shuffle", ([3, 1],), {"groups": 2}, "2 groups do not divide the channels of shape (3, 1)"),
        ("window_partition", ([1, 4, 3],), {"window": 2}, "windows of [2, 2] do not divide shape (1, 4, 3); pad first"),
        (
            "window_reverse",
            ([3, 1, 2, 2],),
            {"window": 2, "output_size": 4},
            "shape (3, 1, 2, 2) is not windows of [2, 2] that make up [4, 4]",
        ),
    ],
)
def test_errors_name_the_remedy(op: str, shapes: tuple, attributes: dict, message: str) -> None:
    refuses(message, op, *shapes, **attributes)


@pytest.mark.parametrize(
    ("old", "axis", "new", "expected"),
    [
        ((4, 6, 6), 0, (4, 36), 0),
        ((4, 6, 6), 0, (2, 2, 6, 6), 1),
        ((4, 6, 6), 0, (144,), 0),
        ((8, 12), 1, (8, 3, 4), 2),
        ((4, 6, 6), 0, (4, 1, 36), 0),
        ((4, 6, 6), 0, (1, 4, 36), 1),
        ((4, 6, 6), 0, (24, 6), 0),
        ((4, 6, 6), 2, (4, 36), 1),
        ((4, 4, 3), 0, (2, 8, 3), 1),
        ((4, 6, 6), 1, (4, 2, 3, 6), 2),
        ((2, 3, 4), 1, (6, 4), 0),
        ((1, 6, 6), 0, (6, 6), None),
        ((6, 6, 1), 2, (6, 6), None),
        ((6, 1, 6), 1, (6, 6), None),
        ((1, 6, 6), 0, (2, 3, 6), None),
        ((1, 6), 0, (6,), None),
        ((1, 6, 6), 0, (1, 36), 0),
        ((1, 6, 6), 0, (36,), 0),
        ((6, 1, 6), 1, (36,), 0),
    ],
)
def test_channels_after_a_reshape_are_on_the_last_axis_that_holds_a_part_of_them(
    old: tuple, axis: int, new: tuple, expected: int | None
) -> None:
    """The old channel axis spans a stretch of the flattened tensor; new axes hold a part of it or lie beside it."""
    (tensor,), _ = record([old], [axis])
    assert tensor.reshape(new).channel_axis == expected


def test_channels_of_three_networks() -> None:
    """Shuffled groups, a flattened map, and tokens of a map put back into it."""
    layers = [
        {"name": "map", "op": "conv", "out_channels": 8, "kernel_size": 1},
        {"name": "groups", "op": "reshape", "shape": [2, 4, 6, 6]},
        {"name": "turned", "op": "permute", "order": [1, 0, 2, 3]},
        {"name": "shuffled", "op": "reshape", "shape": [8, 6, 6]},
        {"name": "flat", "op": "reshape", "shape": [288], "inputs": ["map"]},
        {"name": "lines", "op": "reshape", "shape": [8, 36], "inputs": ["map"]},
        {"name": "tokens", "op": "permute", "order": [1, 0]},
        {"name": "last", "op": "reshape", "shape": [6, 6, 8]},
    ]
    network = fastrf.load({"input_shape": [3, 6, 6], "layers": layers})
    axes = {name: network.channel_axis_of(name) for name in network.by_name}
    assert axes == {
        **{"map": 0, "groups": 1, "turned": 0, "shuffled": 0},
        **{"flat": 0, "lines": 0, "tokens": 1, "last": 2},
    }
