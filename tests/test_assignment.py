"""Dense assignment against masks looked at one position and one box at a time."""

import math

import numpy as np
import pytest

import fastrf
from fastrf.anchors.assignment import containment
from fastrf.anchors.assignment.dense import assign, covered_pixels
from fastrf.errors import FormatError, ShapeError, UnknownNodeError, UsageError


def conv(name, *reads, **attributes):
    return {"name": name, "op": "conv", "out_channels": 2, "kernel_size": 3, "inputs": list(reads), **attributes}


CROSS = [
    conv("stem", "input", padding=1, stride=2),
    conv("tall", "stem", kernel_size=[5, 1], padding=[2, 0]),
    conv("wide", "stem", kernel_size=[1, 5], padding=[0, 2]),
    {"name": "cross", "op": "add", "inputs": ["tall", "wide"]},
    conv("holes", "input", dilation=3, padding=3, stride=3),
    {"name": "up", "op": "resize", "scale": 2.0, "inputs": ["cross"]},
    conv("side", "input", padding=1),
    {"name": "both", "op": "slice", "axis": 1, "start": 0, "stop": 12, "inputs": ["up"]},
]


def layer(name, op, read, **attributes):
    return {"name": name, "op": op, "inputs": [read], **attributes}


def summed(*parts):
    return {"name": "c", "op": "add", "inputs": list(parts)}


WIDE = conv("a", "input", padding=1)
GLOBAL = [conv("a", "input"), layer("b", "global_avg_pool", "a")]
VOLUME = [conv("a", "input", stride=2, padding=1), conv("b", "input", kernel_size=1, stride=2), summed("a", "b")]
CROSSED = [conv("a", "input", kernel_size=[5, 1, 1], padding=[2, 0, 0]), WIDE | {"name": "b"}, summed("a", "b")]
WINDOWS = [layer("a", "window_partition", "input", window=4), layer("b", "sum", "a", axes=[2])]
DIAGONAL = [layer("a", "reshape", "input", shape=[1, 48]), layer("b", "max_pool", "a", kernel_size=5, stride=3)]
NETWORKS = {
    "plain": ([conv("a", "input", padding=1, stride=2), conv("b", "a", padding=1, stride=2)], (3, 19, 26), "b"),
    "valid": ([conv("a", "input"), conv("b", "a", stride=3)], (1, 17, 15), "b"),
    "cross": (CROSS, (2, 18, 23), "cross"),
    "holes": (CROSS, (2, 18, 23), "holes"),
    "up": (CROSS, (2, 18, 23), "both"),
    "flipped": ([WIDE, layer("b", "flip", "a", axes=[2])], (1, 9, 8), "b"),
    "swapped": ([layer("b", "transpose", "input", axis0=1, axis1=2), conv("c", "b")], (1, 9, 8), "c"),
    "global": (GLOBAL, (1, 9, 8), "b"),
    "vector": ([layer("b", "global_avg_pool", "input", keepdims=False)], (1, 9, 8), "b"),
    "guarded": ([WIDE, layer("b", "pad", "a", padding=[[0, 0], [2, 1], [0, 3]])], (1, 9, 8), "b"),
    "line": ([conv("a", "input", kernel_size=5, stride=2)], (1, 31), "a"),
    "volume": (VOLUME, (1, 7, 9, 6), "c"),
    "crossed volume": (CROSSED, (1, 7, 5, 6), "c"),
    "windows": (WINDOWS, (1, 8, 12), "b"),
    "diagonal": (DIAGONAL, (1, 6, 8), "b"),
    "blind": ([layer("a", "constant", "input", shape=[1, 3, 3])], (1, 6, 8), "a"),
}


def some_boxes(pixel_shape, n, seed=0):
    """Boxes of every size, some partly and one wholly outside."""
    rng = np.random.default_rng(seed)
    sizes = np.array(pixel_shape[::-1], float)
    low = rng.uniform(-0.1, 0.95, (n, len(sizes))) * sizes
    high = low + rng.uniform(0.3, 1.0, (n, len(sizes))) ** 2 * rng.choice([0.1, 0.4, 1.2], (n, 1)) * sizes
    low[0], high[0] = sizes + 1, sizes + 2
    low[1], high[1] = 0, 1
    low[2], high[2] = 0, sizes
    return np.concatenate([low, high], axis=1)


def plainly(field, boxes):
    """Every position's mask, every box: are all, or any, of the box's pixels in it?"""
    ndim = len(field.pixel_shape)
    whole = np.zeros((len(boxes), *field.position_shape), bool)
    part = whole.copy()
    for position in np.ndindex(*field.position_shape):
        mask = field.mask(position)
        for b, box in enumerate(boxes):
            inside = tuple(
                slice(max(math.floor(box[ndim - 1 - axis]), 0), max(math.ceil(box[2 * ndim - 1 - axis]), 0))
                for axis in range(ndim)
            )
            seen = mask[inside]
            whole[(b, *position)] = seen.size > 0 and seen.all()
            part[(b, *position)] = seen.any()
    return whole, part


@pytest.fixture(params=NETWORKS)
def case(request):
    layers, shape, node = NETWORKS[request.param]
    field = fastrf.analyze({"input_shape": shape, "layers": layers})[node]
    return field, some_boxes(field.pixel_shape, 40)


def check(level, whole, part):
    np.testing.assert_array_equal(level.contains(), whole)
    np.testing.assert_array_equal(level.overlaps(), part)
    if whole.ndim > 1:
        np.testing.assert_array_equal(level.contains(packed=True), np.packbits(whole, axis=-1))
        np.testing.assert_array_equal(level.overlaps(slice(3, 9), packed=True), np.packbits(part[3:9], axis=-1))
    axes = tuple(range(1, whole.ndim))
    np.testing.assert_array_equal(level.counts, whole.sum(axis=axes))
    np.testing.assert_array_equal(level.overlap_counts, part.sum(axis=axes))
    np.testing.assert_array_equal(level.position_counts, whole.sum(axis=0))
    np.testing.assert_array_equal(level.position_overlap_counts, part.sum(axis=0))


def test_equals_looking_at_every_mask(case):
    field, boxes = case
    check(assign({"level": field}, ["level"], boxes)["level"], *plainly(field, boxes))


@pytest.mark.parametrize("name", ["plain", "cross", "up", "guarded", "volume", "line"])
def test_all_ways_give_the_same(name, monkeypatch):
    layers, shape, node = NETWORKS[name]
    field = fastrf.analyze({"input_shape": shape, "layers": layers})[node]
    boxes = some_boxes(field.pixel_shape, 30, seed=1)
    whole, part = plainly(field, boxes)
    monkeypatch.setattr(containment.Ranges, "of", lambda *_: None)
    check(assign({"level": field}, ["level"], boxes)["level"], whole, part)
    monkeypatch.setattr(containment.Tables, "of", lambda *_: None)
    monkeypatch.setattr(containment, "CHUNK", 1000)
    check(assign({"level": field}, ["level"], boxes)["level"], whole, part)


def test_retinanet_levels_of_real_boxes_sizes():
    """Ranges of an FPN's levels, box by box, from the hulls, which are the masks there."""
    analysis = fastrf.analyze("fpn_resnet50", (3, 320, 256))
    levels = ["p3", "p5", "p7"]
    boxes = some_boxes((320, 256), 50, seed=2)
    found = assign(analysis, levels, boxes)
    assert list(found) == levels
    assert found.counts.shape == (50, 3)
    for level in levels:
        hulls = analysis[level].boxes()
        low, high = hulls[..., 0], hulls[..., 1]
        for b, box in enumerate(found.pixels):
            seen = ((low <= box[:, 0]) & (box[:, 1] <= high)).all(axis=-1) & (box[0, 0] < box[0, 1])
            np.testing.assert_array_equal(found[level].contains(slice(b, b + 1))[0], seen)
    np.testing.assert_array_equal(found.outside, found.overlap_counts.sum(axis=1) == 0)


def test_chunks_bound_the_memory():
    layers, shape, node = NETWORKS["cross"]
    field = fastrf.analyze({"input_shape": shape, "layers": layers})[node]
    level = assign({"a": field}, ["a"], some_boxes(field.pixel_shape, 25))["a"]
    chunks = list(level.chunks(10))
    assert [chunk.boxes for chunk in chunks] == [slice(0, 10), slice(10, 20), slice(20, 25)]
    np.testing.assert_array_equal(np.concatenate([chunk.contains for chunk in chunks]), level.contains())
    (packed,) = level.chunks(packed=True)
    width = level.map_shape[-1]
    np.testing.assert_array_equal(np.unpackbits(packed.overlaps, axis=-1, count=width), level.overlaps())
    with pytest.raises(UsageError, match="positive number of boxes"):
        next(level.chunks(0))


def test_pixels_that_boxes_cover():
    boxes = [[1.5, 0, 3, 2.01], [2, 3, 4, 5], [-5, -5, 1, 1], [7, 0, 99, 1], [50, 50, 60, 60]]
    assert covered_pixels(boxes, (6, 8)).tolist() == [
        [[0, 3], [1, 3]],
        [[3, 5], [2, 4]],
        [[0, 1], [0, 1]],
        [[0, 1], [7, 8]],
        [[0, 0], [0, 0]],
    ]
    np.testing.assert_array_equal(covered_pixels([[2, 3, 2, 2]], (6, 8), form="xywh"), [[[3, 5], [2, 4]]])
    assert covered_pixels([], (6, 8)).shape == (0, 2, 2)


def test_no_boxes():
    found = assign(fastrf.analyze("alexnet"), ["conv1", "conv5"], [])
    assert found.counts.shape == (0, 2)
    assert found["conv1"].position_counts.sum() == 0
    assert list(found["conv1"].chunks()) == []
    assert repr(found) == "Assignment(0 boxes, levels=['conv1', 'conv5'])"
    assert repr(found["conv1"]) == "LevelAssignment('conv1', 0 boxes, map (55, 55))"
    assert len(found) == 2


@pytest.mark.parametrize(
    ("boxes", "error", "message"),
    [
        ([[0, 0, 5, 5], [0, 0, np.nan, 3], [1, 1, 1, 2]], FormatError, "2 of 3 boxes .* the first is box 1"),
        ([[3, 3, 2, 5]], FormatError, "1 of 1 boxes"),
        ([[0, 0, np.inf, 5]], FormatError, "not finite"),
        ([[0, 0, 5]], ShapeError, r"shape \(n, 4\)"),
        ([["a"]], ShapeError, "must be numbers"),
        ([[0, 1], [2]], ShapeError, "must be numbers"),
    ],
)
def test_boxes_that_are_none(boxes, error, message):
    with pytest.raises(error, match=message) as caught:
        assign(fastrf.analyze("alexnet"), ["conv1"], boxes)
    assert "\n" not in str(caught.value)


def test_arguments_that_do_not_fit():
    analysis = fastrf.analyze("alexnet")
    with pytest.raises(UnknownNodeError, match="no_such"):
        assign(analysis, ["conv1", "no_such"], [[0, 0, 1, 1]])
    with pytest.raises(UsageError, match="list of node names"):
        assign(analysis, "conv1", [[0, 0, 1, 1]])
    with pytest.raises(UsageError, match="xyxy or xywh"):
        assign(analysis, ["conv1"], [[0, 0, 1, 1]], form="cxcywh")
    other = fastrf.analyze("alexnet", (3, 239, 239))
    with pytest.raises(ShapeError, match="different shapes"):
        assign({"a": analysis["conv1"], "b": other["conv1"]}, ["a", "b"], [[0, 0, 1, 1]])
