"""Forms of anchors: read from what frameworks write, written so that they read back the same."""

from __future__ import annotations

import ast
import json
import math

import numpy as np
import pytest

import fastrf
from fastrf.anchors import Anchors, read_anchors
from fastrf.anchors.forms import literals
from fastrf.anchors.levels import levels_of

YOLO_YAML = """# YOLOv5
nc: 80  # number of classes
depth_multiple: 0.33
anchors:
  - [10,13, 16,30, 33,23]  # P3/8
  - [30,61, 62,45, 59,119]  # P4/16
  - [116,90, 156,198, 373,326]  # P5/32

backbone:
  [[-1, 1, Conv, [64, 6, 2, 2]]]
"""
MMDET = """
norm_cfg = dict(type='BN', requires_grad=True)
num_levels = 5
model = dict(
    type='RetinaNet',
    backbone=dict(type='ResNet', norm_cfg=norm_cfg, init_cfg=make(load('x')) if True else None),
    bbox_head=dict(
        type='RetinaHead',
        anchor_generator=dict(
            type='AnchorGenerator',
            octave_base_scale=4,
            scales_per_octave=3,
            ratios=[0.5, 1.0, 2.0],
            strides=[8, 16, 32, 64, 128])))
"""
TORCHVISION = """
from torchvision.models.detection.anchor_utils import AnchorGenerator
anchor_sizes = ((32, 40, 50), (64, 80, 101), (128, 161, 203), (256, 322, 406), (512, 645, 812))
aspect_ratios = ((0.5, 1.0, 2.0),) * len(anchor_sizes)
generator = AnchorGenerator(anchor_sizes, aspect_ratios)
"""
LFFD = """
param_num_output_scales = 2
param_receptive_field_stride = [4, 8]
param_receptive_field_center_start = [3, 7]
param_bbox_small_list = [10, 20]
param_bbox_large_list = [20, 40]
"""


@pytest.fixture(scope="module")
def levels():
    return levels_of(fastrf.analyze("yolov5s"), ["p3", "p4", "p5"])


def sorted_sizes(anchors):
    return [sorted(map(tuple, np.round(level, 6).tolist())) for level in anchors.sizes]


# Reading ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["yolov5", "retinanet", "s3fd", "lffd"])
def test_built_in_names(name):
    anchors = read_anchors(name)
    assert (len(anchors), len(anchors.flat)) == {
        "yolov5": (3, 9),
        "retinanet": (5, 45),
        "s3fd": (6, 6),
        "lffd": (8, 8),
    }[name]
    assert anchors.is_monotone()
    assert repr(anchors).startswith(f"Anchors('{name}'")


def test_ssd_spreads_from_a_fifth_to_nine_tenths(levels):
    """Liu et al. 2016: scales 0.2 to 0.9 of the input; ratios 1, 2, 1/2, 3, 1/3 and a larger square."""
    anchors = read_anchors("ssd", levels, (300, 500))
    assert np.array([level[0] for level in anchors.sizes]) == pytest.approx(
        np.array([[60, 60], [165, 165], [270, 270]])
    )
    assert anchors.sizes[0].prod(axis=1)[:5] == pytest.approx(np.full(5, 3600))
    assert anchors.sizes[0][5] == pytest.approx(np.sqrt([60 * 165] * 2))
    with pytest.raises(fastrf.FormatError, match="two levels or more"):
        read_anchors("ssd", levels[:1])


@pytest.mark.parametrize(
    "text",
    [
        YOLO_YAML,
        "anchors: [[10,13, 16,30, 33,23], [30,61, 62,45, 59,119], [116,90, 156,198, 373,326]]\n",
        "anchors:\n- [10, 13, 16, 30, 33, 23]\n- [30, 61, 62, 45,\n   59, 119]\n# last\n"
        "- [116,90, 156,198, 373,326]\nhead: 3\n",
        "anchors:\n  -\n    - 10\n    - 13\n    - 16\n    - 30\n    - 33\n    - 23\n  - - [30, 61]\n    - [62, 45]\n"
        "    - [59, 119]\n  - 116,90, 156,198, 373,326\n",
    ],
    ids=["flow", "one line", "over lines", "blocks"],
)
def test_yolo_yaml(tmp_path, text):
    (tmp_path / "m.yaml").write_text(text)
    found = read_anchors(tmp_path / "m.yaml")
    assert sorted_sizes(found) == sorted_sizes(read_anchors("yolov5"))
    assert found.center_offset == 0.5
    assert sorted_sizes(read_anchors(text)) == sorted_sizes(found)


def test_mmdetection(tmp_path):
    (tmp_path / "config.py").write_text(MMDET)
    anchors = read_anchors(tmp_path / "config.py")
    assert [len(level) for level in anchors.sizes] == [9] * 5
    base = 4 * 8 * 2 ** (np.arange(3) / 3)
    expected = [(s / math.sqrt(r), s * math.sqrt(r)) for r in (0.5, 1, 2) for s in base]
    assert anchors.sizes[0] == pytest.approx(np.array(expected))
    assert anchors.strides == ((8, 8), (16, 16), (32, 32), (64, 64), (128, 128))
    assert anchors.center(0, (8, 8)) == (0, 0)


def test_mmdetection_members():
    """Faster R-CNN's scales, base sizes, centres, offsets in base sizes, and the order of scales and ratios."""
    common = {"type": "AnchorGenerator", "ratios": [0.5, 2], "scales": [8, 16], "strides": [4, (8, 16)]}
    anchors = read_anchors(common)
    assert sorted_sizes(anchors)[0] == sorted(
        (round(4 * s / math.sqrt(r), 6), round(4 * s * math.sqrt(r), 6)) for s in (8, 16) for r in (0.5, 2)
    )
    assert anchors.strides == ((4, 4), (8, 16))
    assert np.sqrt(anchors.sizes[1].prod(axis=1)) == pytest.approx([64, 128, 64, 128])
    minor = read_anchors({**common, "scale_major": False})
    assert np.sqrt(minor.sizes[1].prod(axis=1)) == pytest.approx([64, 64, 128, 128])
    assert read_anchors({**common, "center_offset": 0.5, "base_sizes": [10, 20]}).centers == ((5, 5), (10, 10))
    assert read_anchors({**common, "centers": [(1, 2), (3, 4)]}).centers == ((1, 2), (3, 4))


def test_mmdetections_yolo():
    text = "g=dict(type='YOLOAnchorGenerator', base_sizes=[[(116, 90), (156, 198)], [(30, 61)]], strides=[32, 16])"
    anchors = read_anchors(text)
    assert [level.tolist() for level in anchors.sizes] == [[[116, 90], [156, 198]], [[30, 61]]]
    assert anchors.center(1, (16, 16)) == (8, 8)


def test_rfla_reads_the_exact_receptive_fields():
    """The published list has 35, 91, 267, 427, 555, 811 for P2..P7: of the backbone alone, and wrong at the end."""
    levels = levels_of(fastrf.analyze("fpn_resnet50"), [f"p{k}" for k in range(2, 8)])
    form = {"type": "RFGenerator", "fpn_layer": "p2", "fraction": 0.5, "strides": [4, 8, 16, 32, 64, 128]}
    assert [level[0, 0] for level in read_anchors(form, levels).sizes] == [213.5, 213.5, 229.5, 245.5, 277.5, 341.5]
    with pytest.raises(fastrf.FormatError, match="is for 6 levels, but 2"):
        read_anchors(form, levels[:2])


def test_torchvision_text(tmp_path):
    (tmp_path / "a.txt").write_text(TORCHVISION)
    found = read_anchors(tmp_path / "a.txt")
    assert sorted_sizes(found) == sorted_sizes(read_anchors("retinanet"))
    assert found.center_offset == 0
    assert [len(s) for s in read_anchors("AnchorGenerator(sizes=(32, 64), aspect_ratios=(0.5, 1.0))").sizes] == [2, 2]
    assert [len(s) for s in read_anchors("AnchorGenerator()").sizes] == [9]


def test_lffd_lists():
    anchors = read_anchors(LFFD)
    assert anchors.ranges == ((10, 20), (20, 40))
    assert anchors.centers == ((3.5, 3.5), (7.5, 7.5))
    assert [level.tolist() for level in anchors.sizes] == [[[15, 15]], [[30, 30]]]


def test_lists(tmp_path, levels):
    assert [level.tolist() for level in read_anchors([[16], [(32, 40)]]).sizes] == [[[16, 16]], [[32, 40]]]
    (tmp_path / "a.json").write_text("[[10, 13], [16, 30], [33, 23], [30, 61], [62, 45], [59, 119]]")
    assert [len(level) for level in read_anchors(str(tmp_path / "a.json"), levels).sizes] == [2, 2, 2]
    assert [len(level) for level in read_anchors("[[1, 2], [3, 4], [5, 6]]", levels).sizes] == [1, 1, 1]
    assert len(read_anchors(np.ones((3, 2, 2))).flat) == 6
    assert read_anchors(anchors := read_anchors("s3fd")) is anchors


# Writing ----------------------------------------------------------------------------------------------------


def test_mmdetection_snippet_is_a_literal_with_centres(levels):
    anchors = Anchors(
        "mine", tuple(np.array([[s, 2 * s], [2 * s, s], [4 * s, 8 * s], [8 * s, 4 * s]]) for s in (3.0, 6, 9))
    )
    text = anchors.on(levels).to_form("mmdetection")
    (call,) = (node for node in ast.walk(ast.parse(text)) if isinstance(node, ast.Call))
    values = {word.arg: ast.literal_eval(word.value) for word in call.keywords}
    assert values["type"] == "AnchorGenerator"
    assert values["strides"] == [8, 16, 32]
    assert values["centers"] == [(-11, -11), (-7, -7), (1, 1)]
    assert values["scales"] == [1, 4]
    assert values["ratios"] == [0.5, 2]
    read = read_anchors(text)
    assert [np.sort(a, axis=0) for a in read.sizes] == [
        pytest.approx(np.sort(a, axis=0), rel=1e-4) for a in anchors.sizes
    ]
    assert read.centers == anchors.on(levels).centers


def test_mmdetection_snippet_of_any_sizes(levels):
    anchors = read_anchors("yolov5").on(levels)
    text = anchors.to_form("mmdetection")
    assert text.startswith("#")
    assert ast.parse(text)
    assert sorted_sizes(read_anchors(text)) == sorted_sizes(anchors)


def test_yolo_rows(levels):
    text = read_anchors("yolov5").on(levels).to_form("yolo")
    assert "  - [30,61, 62,45, 59,119]  # stride 16\n" in text
    assert sorted_sizes(read_anchors(text)) == sorted_sizes(read_anchors("yolov5"))


def test_lffd_snippet():
    levels = levels_of(fastrf.analyze("lffd_8"), list(fastrf.load("lffd_8").outputs))
    anchors = read_anchors("lffd").on(levels)
    text = anchors.to_form("lffd")
    assert "param_receptive_field_center_start = [3, 3, 7, 7, 15, 31, 31, 31]" in text
    assert "param_bbox_small_gray_list = [9, 13, 18, 36, 63, 99, 225, 360]" in text
    # ceil(v * 1.1) in floating point, as LFFD's configuration has it: 110 * 1.1 is a little above 121
    assert "param_bbox_large_gray_list = [17, 22, 44, 77, 122, 275, 441, 616]" in text
    assert read_anchors(text).ranges == anchors.ranges


def test_forms_that_cannot_hold_them(levels):
    anchors = read_anchors("yolov5")
    with pytest.raises(fastrf.FormatError, match="have no strides"):
        anchors.to_form("mmdetection")
    with pytest.raises(fastrf.FormatError, match="have no ranges"):
        anchors.on(levels).to_form("lffd")
    tall = read_anchors({"type": "AnchorGenerator", "ratios": [1], "scales": [8], "strides": [(4, 8)]})
    with pytest.raises(fastrf.FormatError, match="one stride and centre"):
        Anchors("tall", tall.sizes, strides=tall.strides, ranges=((1, 2),)).to_form("lffd")
    with pytest.raises(fastrf.UsageError, match="form 'nope' is unknown"):
        anchors.to_form("nope")


# What cannot be read ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("nope", "no anchors of that name; use yolov5"),
        ("anchors: 3\n", "holds no rows"),
        ("anchors:\n  - [1,2,3]\n", "odd count"),
        ("anchors:\n  - [1,x]\n", "could not convert"),
        ("anchors:\n  - [0,3]\n", "anchor 0 is 0 x 3; sizes are positive"),
        ("AnchorGenerator(sizes=((-3,),), aspect_ratios=((1.0,),))", "anchor 0 is -3 x -3"),
        ("AnchorGenerator(sizes=((3,), (4,)), aspect_ratios=((1.0,),))", "for 2 levels, aspect_ratios for 1"),
        ("AnchorGenerator(sizes=((open('x').read(),),))", "no literals"),
        ("AnchorGenerator(sizes=((3,),), aspect_ratios=((0,),))", "no literals or do not fit"),
        ("dict(type='SSDAnchorGenerator', strides=[8])", "SSDAnchorGenerator is not known"),
        ("dict(type='AnchorGenerator', strides=[8], ratios=[1])", "do not fit"),
        (
            "dict(type='AnchorGenerator', strides=[8], ratios=[1], octave_base_scale=1, scales_per_octave=1000)",
            "not between",
        ),
        (
            "dict(type='AnchorGenerator', strides=[8], ratios=[1], scales=[1], base_sizes=[1, 2])",
            "base_sizes are for 2",
        ),
        (
            "dict(type='AnchorGenerator', strides=[8], ratios=[1], scales=[1], centers=[(1, 2)] * 2)",
            "centers are for 2",
        ),
        ("f(x)[\n", "not Python"),
        ("x = 3\n", "holds no AnchorGenerator"),
        ("import os\nos.system('true')\n", "holds no AnchorGenerator"),
        ("[]", "no list of anchors"),
        ("[[1, 2], [3, 4]]", "cannot be dealt evenly to 0 levels"),
        ("[[[1, 2, 3]]]", "pairs of width and height"),
        ("[[1, 'a']]", "not numbers"),
        ("(" * 5000 + ")" * 5000, "not Python|too deeply"),
        ("x = " + "-" * 3000 + "1\n", "too deeply|not Python"),
        (LFFD.replace("[20, 40]", "[20]"), "2, 2, 2, 1 entries"),
        (LFFD.replace("[20, 40]", "[20, 4]"), "smallest face is not below"),
        (LFFD.replace("[20, 40]", "['a', 4]"), "do not hold numbers"),
        (object(), "object is no list of anchors"),
        ({}, "holds no AnchorGenerator"),
        ([], "no list of anchors"),
        ([[(3, math.nan)]], "anchor 0 is 3 x nan"),
        ([[(1, 1)] * 1001], "more than 1000"),
    ],
)
def test_bad_anchors(source, message):
    with pytest.raises(fastrf.FormatError, match=message) as caught:
        read_anchors(source)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("a.json", "{", "not JSON"),
        ("a.json", "[" * 100_000, "not JSON"),
        ("a.json", "[[[0, 1]]]", "sizes are positive"),
        ("a.yaml", "nc: 3\n", "has no line 'anchors:'"),
        ("a.yaml", "- anchors\n", "has no line 'anchors:'"),
        ("a.yaml", "anchors: 3\n", "holds no rows"),
        ("a.yaml", "anchors: {a: 3}\n", "holds no rows"),
        ("a.yaml", "anchors: [[10, {a: 3}]]\n", "anchors hold"),
        ("a.yaml", "anchors: [", "not YAML"),
        ("a.yaml", "anchors: " + "[" * 10_000, "not YAML"),
        ("a.yaml", "a: &a [1, 2]\nanchors: [*a, *a]\n", "has a YAML alias"),
        ("a.yaml", "anchors: !!python/object/apply:os.getcwd []\n", "holds no rows"),
        ("a.yaml", "#" * 70_000, "at most 65,536"),
        ("a.py", " \n", "the file is empty"),
    ],
)
def test_bad_files(tmp_path, name, text, message):
    (tmp_path / name).write_text(text)
    with pytest.raises(fastrf.FormatError, match=message):
        read_anchors(str(tmp_path / name))
    (tmp_path / "large.py").write_text("#" * (fastrf.limits.anchor_file + 1))
    with pytest.raises(fastrf.LimitError, match="anchor_file="):
        read_anchors(str(tmp_path / "large.py"))


def test_an_lffd_mapping_and_bounded_text():
    values = literals.parse(LFFD, "here")
    assert read_anchors(values).ranges == ((10, 20), (20, 40))
    with pytest.raises(fastrf.LimitError, match="anchor_file="):
        literals.parse("#" * (fastrf.limits.anchor_file + 1), "here")


def test_literals_are_worked_out_and_nothing_else():
    text = "a = (1, -2.5) * 2\nb = 2 ** (1 / 3) + int(7.9) - 1\nc = [1] + [2]\nd = {'x': [a, None], 'y': open}\n"
    text += "e = tuple([1]) \nf = [1] * 10 ** 9\ng = 1 / 0\nh = list(3)\ni = a.b = 3\n"
    text += "j = 3 * [1]\nk = ~1\nl = int('3')\nm = -a\n"
    names = literals.parse(text, "here")
    assert names["a"] == (1, -2.5, 1, -2.5)
    assert names["b"] == pytest.approx(2 ** (1 / 3) + 6)
    assert names["c"] == [1, 2]
    assert names["d"] == {"x": [(1, -2.5, 1, -2.5), None], "y": literals.OPAQUE}
    assert names["e"] == (1,)
    assert names["j"] == [1, 1, 1]
    assert {names[name] for name in "fghklm"} == {literals.OPAQUE}
    assert "i" not in names
    assert repr(literals.OPAQUE) == "(not a literal)"


def test_json_mapping(tmp_path):
    (tmp_path / "a.json").write_text(
        json.dumps({"anchor_generator": {"type": "AnchorGenerator", "sizes": [[8]], "aspect_ratios": [[1]]}})
    )
    assert read_anchors(tmp_path / "a.json").flat.tolist() == [[8, 8]]
