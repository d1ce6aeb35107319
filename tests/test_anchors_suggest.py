"""Suggestions: published tables by rule, k-means beside plain ones, and nothing larger than its level sees."""

from __future__ import annotations

import json

import numpy as np
import pytest

import fastrf
from fastrf import anchors
from fastrf.anchors import kernels, kmeans
from fastrf.anchors.kmeans import clustered
from tests.anchor_data import coco_results, shape_iou, shrink
from tests.conftest import INTERPRETED


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    shrink(monkeypatch)


@pytest.fixture(scope="module")
def analyses():
    return {name: fastrf.analyze(name) for name in ("yolov5s", "fpn_resnet50", "s3fd", "lffd_8")}


def outputs(analysis):
    return list(analysis.network.outputs)


def sides(suggestion):
    return [level[0, 0] for level in suggestion.anchors.sizes]


# Rules ------------------------------------------------------------------------------------------------------


def test_s3fd(analyses):
    """Its own table; where the neurons look is pixel index 15.5 on the last two levels, too."""
    plain = anchors.suggest(analyses["s3fd"], outputs(analyses["s3fd"]), method="s3fd")
    assert [row.offset[0][0] for row in plain.report.levels] == [0, 0, 0, 0, 16, 48]  # as S3FD itself
    found = anchors.suggest(analyses["s3fd"], outputs(analyses["s3fd"]), method="s3fd", centers="nominal")
    assert sides(found) == sides(plain) == [16, 32, 64, 128, 256, 512]
    assert [row.offset[0][0] for row in found.report.levels] == [0] * 6
    assert found.anchors.centers == ((2, 2), (4, 4), (8, 8), (16, 16), (16, 16), (16, 16))
    assert "centers=[(2, 2), (4, 4), (8, 8), (16, 16), (16, 16), (16, 16)])" in found.to_form("mmdetection")
    assert "lffd" not in found.forms


def test_lffd(analyses):
    """He et al. 2019: the ranges of the eight branches, from their receptive fields."""
    found = anchors.suggest(analyses["lffd_8"], outputs(analyses["lffd_8"]), method="lffd")
    published = ((10, 15), (15, 20), (20, 40), (40, 70), (70, 110), (110, 250), (250, 400), (400, 560))
    assert found.anchors.ranges == published
    assert "param_receptive_field_center_start = [3, 3, 7, 7, 15, 31, 31, 31]" in found.to_form("lffd")


def test_lffd_by_fraction_and_levels_alike(analyses):
    found = anchors.suggest(analyses["fpn_resnet50"], ["p2", "p3", "p4"], method="lffd", fraction=0.5)
    lows, highs = zip(*found.anchors.ranges, strict=True)
    assert lows[0] == 10
    assert (highs[1], highs[2]) == (213.5, 229.5)
    assert lows[1] == highs[0] == pytest.approx(np.sqrt(10 * 213.5))
    assert lows[2] == highs[1]


def test_rfla(analyses):
    """Xu et al. 2022 with exact fields: squares of half the smallest field, and ratios 1/2, 1, 2."""
    names = [f"p{k}" for k in range(2, 8)]
    found = anchors.suggest(analyses["fpn_resnet50"], names, method="rfla")
    areas = [np.sqrt(level.prod(axis=1)) for level in found.anchors.sizes]
    fields = [427, 427, 459, 491, 555, 683]
    assert areas == [pytest.approx(np.full(3, field / 2)) for field in fields]
    assert found.anchors.sizes[0][:, 1] / found.anchors.sizes[0][:, 0] == pytest.approx([0.5, 1, 2])
    smaller = anchors.suggest(analyses["fpn_resnet50"], names, method="rfla", fraction=0.25, ratios=[1])
    assert sides(smaller) == [field / 4 for field in fields]


@pytest.mark.skipif(INTERPRETED, reason="minutes with the JIT off")
def test_effective_fraction_and_centres(analyses):
    found = anchors.suggest(
        analyses["s3fd"],
        outputs(analyses["s3fd"])[:3],
        method="rfla",
        fraction="effective",
        ratios=[1],
        centers="effective",
    )
    sigma = [anchors.effective(analyses["s3fd"], name).sigma[0] for name in outputs(analyses["s3fd"])[:3]]
    assert sides(found) == pytest.approx([4 * value for value in sigma])
    assert np.array(found.anchors.centers) == pytest.approx(np.array([[2, 2], [4, 4], [8, 8]]))


def test_no_anchor_exceeds_what_its_level_sees():
    analysis = fastrf.analyze([fastrf.conv(4, 2, stride=2), fastrf.conv(4, 2, stride=2)], (3, 64, 64))
    names = list(analysis)[1:]
    found = anchors.suggest(analysis, names, method="s3fd", ratios=[1, 4])
    assert [level.tolist() for level in found.anchors.sizes] == [[[2, 2], [0.5, 2]], [[4, 4], [1, 4]]]
    assert found.notes[:-1] == tuple(f"{name}: 2 anchors were shrunk to its receptive field" for name in names)
    assert "were shrunk" in str(found)


def test_rules_need_bounded_fields():
    layers = [{"name": "mix", "op": "softmax", "axis": 1}]
    analysis = fastrf.analyze({"input_shape": [3, 16, 16], "layers": layers})
    for method in ("lffd", "rfla"):
        with pytest.raises(fastrf.NetworkError, match="sees the whole image"):
            anchors.suggest(analysis, ["mix"], method=method)
    with pytest.raises(fastrf.UnsupportedOpError):
        anchors.suggest(analysis, ["mix"], method="s3fd", centers="effective")


# K-means ----------------------------------------------------------------------------------------------------


def plain_k_means(sizes, count, rng):
    """k-means on 1 - shape IoU with means, a few random starts: the mean best IoU it reaches."""
    best = 0.0
    for _ in range(5):
        centres = sizes[rng.choice(len(sizes), count, replace=False)]
        for _ in range(40):
            iou = shape_iou(sizes, centres)
            best = max(best, iou.max(axis=1).mean())
            nearest = iou.argmax(axis=1)
            centres = np.array(
                [sizes[nearest == k].mean(axis=0) if (nearest == k).any() else c for k, c in enumerate(centres)]
            )
    return best


@pytest.mark.skipif(INTERPRETED, reason="minutes with the JIT off")
def test_k_means_reaches_a_plain_one(analyses, rng):
    boxes = anchors.read_boxes(coco_results())
    found = anchors.suggest(analyses["yolov5s"], ["p3", "p4", "p5"], boxes)
    assert found.report.overall["mean_iou"] >= plain_k_means(boxes.sizes, 9, rng)
    assert found.report.overall["mean_iou"] > 0.6180984  # of YOLOv5's own anchors
    assert found.left_out == 0
    assert found.anchors.is_monotone()


def test_k_means_is_deterministic_by_seed(analyses, rng):
    sizes = rng.lognormal(4, 0.8, (80, 2)).clip(2, 600)
    first, again, other = (
        anchors.suggest(analyses["yolov5s"], ["p3", "p4", "p5"], sizes, seed=seed, generations=10).anchors.flat
        for seed in (3, 3, 4)
    )
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


def test_k_means_stays_within_what_levels_see(analyses, rng):
    sizes = rng.lognormal(5, 0.8, (300, 2)).clip(2, 2000)
    names = outputs(analyses["s3fd"])
    found = anchors.suggest(analyses["s3fd"], names, sizes, per_level=2, generations=20)
    for row in found.report.levels:
        assert row.anchor_share[1] <= 1
    assert found.left_out == (sizes.max(axis=1) > 724).sum() > 0
    assert f"{found.left_out} boxes are larger than what any level may span" in found.notes[0]
    half = anchors.suggest(analyses["s3fd"], names, sizes, per_level=2, generations=20, fraction=0.5)
    assert all(row.anchor_share[1] <= 0.5 for row in half.report.levels)


def test_levels_in_any_order(analyses, rng):
    sizes = rng.lognormal(4, 0.8, (200, 2)).clip(2, 600)
    up = anchors.suggest(analyses["yolov5s"], ["p3", "p4", "p5"], sizes, generations=5)
    down = anchors.suggest(analyses["yolov5s"], ["p5", "p4", "p3"], sizes, generations=5)
    assert [a.tolist() for a in down.anchors.sizes] == [a.tolist() for a in up.anchors.sizes[::-1]]


@pytest.mark.parametrize("layout", [None, "2x2"])
def test_coarser_levels_have_larger_anchors_even_where_they_see_less(rng, layout):
    """A coarse level that sees 27 pixels, and a fine one that looks through it and sees more."""
    layers = [{"name": f"c{k}", "op": "conv", "out_channels": 4, "kernel_size": 7, "stride": 2} for k in range(2)]
    layers += [{"name": "up", "op": "resize", "scale": 2, "mode": "nearest"}]
    layers += [{"name": "fine", "op": "conv", "out_channels": 4, "kernel_size": 3, "padding": 1}]
    analysis = fastrf.analyze({"input_shape": [3, 95, 95], "layers": layers})
    found = anchors.suggest(analysis, ["fine", "c1"], rng.uniform(3, 19, (60, 2)), layout=layout, generations=5)
    fine, coarse = (row.size_range[0][0] for row in found.report.levels)
    assert fine > coarse
    assert found.anchors.is_monotone()


def test_k_means_of_few_boxes(analyses):
    found = anchors.suggest(analyses["yolov5s"], ["p3", "p4", "p5"], [[30, 40], [30, 40]], generations=0)
    assert found.report.overall["mean_iou"] == pytest.approx(1)
    with pytest.raises(fastrf.FormatError, match="no level sees any"):
        anchors.suggest(analyses["s3fd"], outputs(analyses["s3fd"])[:1], [[100, 100]])


def test_large_sets_are_sampled(monkeypatch, rng):
    monkeypatch.setattr(kmeans, "SAMPLE", 50)
    sizes = rng.uniform(5, 100, (400, 2))
    found, left_out = clustered(sizes, np.full((2, 2), np.inf), 2, 5, 0)
    assert left_out == 0
    assert shape_iou(sizes, np.concatenate(found)).max(axis=1).mean() > 0.5


def test_evolve_keeps_only_what_is_better(rng):
    sizes = rng.uniform(5, 100, (60, 2))
    start = np.array([[10.0, 90], [90, 10]])
    found = start.copy()
    factors = rng.normal(1, 0.1, (40, 2, 2))
    reached = kernels.evolve(sizes, found, np.full((2, 2), 80.0), factors, np.empty((2, 2)))
    assert reached == pytest.approx(shape_iou(sizes, found).max(axis=1).mean())
    assert reached >= shape_iou(sizes, start.clip(max=80)).max(axis=1).mean()
    assert found.max() <= 80


# What is asked ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"method": "nope"}, "method 'nope' is unknown"),
        ({}, "clusters boxes"),
        ({"per_level": 0}, "per_level 0 must be"),
        ({"generations": -1}, "generations -1"),
        ({"method": "rfla", "fraction": 2}, "fraction 2 must be"),
        ({"method": "rfla", "fraction": "half"}, "or 'effective'"),
        ({"method": "rfla", "ratios": [0]}, "ratios .0. must be"),
        ({"method": "rfla", "centers": "nope"}, "centers 'nope' is unknown"),
        ({"method": "rfla", "framework": "nope"}, "framework 'nope' is unknown; use torchvision"),
        ({"method": "rfla", "layout": "3by3"}, "layout '3by3' is not scales times ratios such as 3x3"),
        ({"method": "rfla", "layout": (0, 3)}, "layout .0, 3. is not"),
        ({"method": "rfla", "layout": "3x2", "ratios": [1, 2, 3]}, "layout 3x2 has 2 ratios, not 3"),
    ],
)
def test_wrong_arguments(analyses, wrong, message):
    with pytest.raises(fastrf.UsageError, match=message):
        anchors.suggest(analyses["yolov5s"], ["p3"], **wrong)


def test_records(analyses):
    found = anchors.suggest(analyses["s3fd"], outputs(analyses["s3fd"])[:2], method="s3fd")
    records = json.loads(json.dumps(found.to_records()))
    assert records["anchors"] == [[[16, 16]], [[32, 32]]]
    assert set(records["forms"]) == {"torchvision", "detectron2", "mmdetection", "yolo"}
    assert repr(found) == str(found)


@pytest.mark.parametrize(
    "sizes", [[[20.0, 30.0], [40.0, 10.0]], [[5.0, 5.0]] * 50, [[5.0, 5.0]] * 3 + [[7.0, 9.0]] * 2]
)
def test_sizes_that_are_fewer_than_anchors_are_met(sizes):
    boxes = np.array(sizes)
    levels, left_out = kmeans.clustered(boxes, np.full((3, 2), 100.0), per_level=5, generations=20, seed=0)
    assert [level.shape for level in levels] == [(5, 2)] * 3
    assert shape_iou(boxes, np.concatenate(levels)).max(axis=1) == pytest.approx(1)
    assert left_out == 0
