"""Reports of anchors: published tables of centres and sizes, and the figures of known anchors on known boxes."""

from __future__ import annotations

import csv
import io
import json
import math

import numpy as np
import pytest

import fastrf
from fastrf import anchors
from fastrf.anchors import recall
from fastrf.cli import commands as cli
from tests.anchor_data import coco_results, shape_iou, shrink, worst_ratio
from tests.conftest import INTERPRETED

YOLO = ("P3", "P4", "P5")
PYRAMID = ("p3", "p4", "p5", "p6", "p7")


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    shrink(monkeypatch)


@pytest.fixture(scope="module")
def analyses():
    return {name: fastrf.analyze(name) for name in ("yolov5s", "fpn_resnet50", "s3fd", "lffd_8")}


def outputs(analysis):
    return list(analysis.network.outputs)


# Zhang et al., "S3FD", ICCV 2017, table 1 (sizes with the 3x3 prediction), and where its prior boxes stand:
# (i + 0.5) * stride, 16 and 48 pixels beyond the receptive field on the last two levels.
def test_s3fd(analyses):
    found = anchors.report(analyses["s3fd"], outputs(analyses["s3fd"]), "s3fd").levels
    assert [row.size_range[0][1] for row in found] == [48, 108, 228, 340, 468, 724]
    assert [row.center[0] for row in found] == [(1.5,), (3.5,), (7.5,), (15.5,), (15.5,), (15.5,)]
    assert [row.offset[0] for row in found] == [(0,), (0,), (0,), (0,), (16,), (48,)]
    assert [row.offset[1] for row in found] == [row.offset[0] for row in found]
    assert [round(row.anchor_share[0], 3) for row in found] == [0.333, 0.296, 0.281, 0.376, 0.547, 0.707]


# He et al., "LFFD", 2019: symbol_structures.xlsx and the ranges of its configuration.
def test_lffd(analyses):
    found = anchors.report(analyses["lffd_8"], outputs(analyses["lffd_8"]), "lffd").levels
    assert [row.size_range[0][1] for row in found] == [55, 71, 111, 143, 223, 383, 511, 639]
    assert [row.center[0] for row in found] == [(3,), (3,), (7,), (7,), (15,), (31,), (31,), (31,)]
    assert all(row.offset == ((0,), (0,)) for row in found)


def test_yolov5s_centres_by_phase(analyses):
    found = anchors.report(analyses["yolov5s"], YOLO, "yolov5").levels
    assert [sorted({*row.center[0]}) for row in found] == [[-15.5, -7.5], [-15.5, 0.5], [0.5]]
    assert [row.anchor_center for row in found] == [(3.5, 3.5), (7.5, 7.5), (15.5, 15.5)]
    assert [sorted({*row.offset[1]}) for row in found] == [[11, 19], [7, 23], [15]]
    assert [row.size_range[0] for row in found] == [(682, 714), (746, 746), (842, 842)]


def test_pyramid_phases(analyses):
    """Of torchvision's RetinaNet: P2 and P3 alternate; anchors stand at position * stride, pixel index -0.5."""
    found = anchors.report(analyses["fpn_resnet50"], PYRAMID, "retinanet").levels
    assert [row.size_range[0] for row in found] == [(427, 459), (459, 459), (491, 491), (555, 555), (683, 683)]
    assert [row.offset[0] for row in found[2:]] == [(-0.5,)] * 3
    assert found[0].center[0] == (-16, -8, -16, -8)
    assert found[1].center[0] == (-16, 0)


def test_centres_are_those_of_exact_boxes_away_from_borders():
    """The middle of the exact interval of every position that no border cuts."""
    analysis = fastrf.analyze("fpn_resnet50", (3, 1024, 1024))
    for row in anchors.report(analysis, ["p3", "p4"], effective=False).levels:
        field = analysis[row.level]
        intervals = field.intervals(0)
        for o, (low, high) in enumerate(intervals):
            if low > 0 and high < 1024:
                period = row.center[0]
                assert (low + high) / 2 - 0.5 - row.stride[0] * o == period[o % len(period)]


# Known anchors on COCO's sample of results ------------------------------------------------------------------


def test_yolov5_on_coco(analyses):
    done = anchors.report(analyses["yolov5s"], YOLO, "yolov5", coco_results())
    assert done.overall["boxes"] == 734
    assert done.overall["bpr"] == 731 / 734
    assert done.overall["aat"] == 4.5
    assert [round(row.bpr, 4) for row in done.levels] == [0.6594, 0.7997, 0.5858]
    assert [round(row.aat, 4) for row in done.levels] == [1.5218, 1.7807, 1.1975]
    assert [row.boxes for row in done.classes] == [276, 231, 227]


def test_retinanet_on_coco(analyses):
    done = anchors.report(analyses["fpn_resnet50"], PYRAMID, "retinanet", coco_results())
    assert done.overall["recall"]["0.5"] * 734 == pytest.approx(544, abs=1e-9)
    assert done.overall["recall"]["0.4"] == pytest.approx(0.798365, abs=5e-7)
    assert done.overall["mean_iou"] == pytest.approx(0.647569, abs=5e-7)
    assert [round(row.recall["0.5"] * 734) for row in done.levels] == [269, 209, 180, 99, 30]
    assert sum(row.best for row in done.levels) == 734


def test_s3fd_on_coco(analyses):
    done = anchors.report(analyses["s3fd"], outputs(analyses["s3fd"]), "s3fd", coco_results())
    assert round(done.overall["recall"]["0.35"], 4) == 0.8733
    assert round(done.overall["recall"]["0.5"], 4) == 0.6390
    assert round(done.overall["mean_iou"], 4) == 0.5441
    assert [row.seen for row in done.levels][-1] == 734 - done.overall["unseen"]


# Against the definitions ------------------------------------------------------------------------------------


def test_counts_are_the_definitions(rng, monkeypatch, analyses):
    monkeypatch.setattr(recall, "CHUNK", 50)
    sizes = rng.uniform(2, 700, (173, 2))
    done = anchors.report(analyses["s3fd"], outputs(analyses["s3fd"]), "s3fd", sizes, threshold=3, recall_at=[0.6])
    squares = np.array([[side, side] for side in (16, 32, 64, 128, 256, 512)], float)
    iou, ratio = shape_iou(sizes, squares), worst_ratio(sizes, squares)
    assert done.overall["bpr"] == (ratio.max(axis=1) > 1 / 3).mean()
    assert done.overall["aat"] == (ratio > 1 / 3).sum(axis=1).mean()
    assert done.overall["recall"] == {"0.6": (iou.max(axis=1) >= 0.6).mean()}
    assert done.overall["mean_iou"] == pytest.approx(iou.max(axis=1).mean(), rel=1e-12)
    assert [row.best for row in done.levels] == np.bincount(iou.argmax(axis=1), minlength=6).tolist()
    fields = np.array([48, 108, 228, 340, 468, 724])
    assert [row.seen for row in done.levels] == (sizes.max(axis=1)[:, None] <= fields).sum(axis=0).tolist()
    assert sum(row.boxes for row in done.bins) == 173
    large = np.sqrt(sizes.prod(axis=1)) >= 96
    assert done.classes[2].boxes == large.sum()
    assert done.classes[2].recall == pytest.approx((iou.max(axis=1) >= 0.6)[large].mean())


def test_exact_masks_and_places():
    """A box that fits by its size need not lie in any one mask: here the fields are disjoint squares of 8 pixels."""
    analysis = fastrf.analyze([fastrf.conv(4, 8, stride=8)], (3, 32, 32))
    corners = np.array([[8.0, 16, 8, 8], [9, 16, 8, 8], [0, 0, 9, 1]])
    done = anchors.report(analysis, list(analysis)[1:], boxes=corners, exact=True)
    assert (done.levels[0].seen, done.levels[0].seen_in_place) == (2, 1)
    assert "in place" in str(done)
    assert anchors.report(analysis, list(analysis)[1:], boxes=corners).levels[0].seen_in_place is None


def test_ranges_of_the_anchors_say_what_is_in_range(analyses):
    sides = np.array([[12.0, 9], [15, 3], [30, 30], [600, 600]])
    done = anchors.report(analyses["lffd_8"], outputs(analyses["lffd_8"]), "lffd", sides)
    assert [row.in_range for row in done.levels] == [1, 1, 1, 0, 0, 0, 0, 0]
    assert done.levels[-1].seen == 4
    assert [row.name for row in done.uncovered] == ["5.657..8"]


@pytest.mark.skipif(INTERPRETED, reason="minutes with the JIT off")
def test_effective_members(analyses):
    row = anchors.report(analyses["s3fd"], outputs(analyses["s3fd"])[:1]).levels[0]
    expected = anchors.effective(analyses["s3fd"], outputs(analyses["s3fd"])[0])
    assert row.effective_sigma == tuple(expected.sigma)
    assert row.effective_fraction == tuple(4 * expected.sigma / 48)
    assert row.effective_radius == tuple(expected.radius())
    assert row.effective_center == pytest.approx((1.5, 1.5))
    assert (
        anchors.report(analyses["s3fd"], outputs(analyses["s3fd"])[:1], effective=False).levels[0].effective_sigma
        is None
    )


@pytest.mark.skipif(INTERPRETED, reason="effective fields are left out with the JIT off")
def test_no_effective_field_where_weights_depend_on_data():
    layers = [
        {"name": "stem", "op": "conv", "out_channels": 4, "kernel_size": 3, "padding": 1},
        {"name": "mix", "op": "softmax", "axis": 1},
    ]
    done = anchors.report(fastrf.analyze({"input_shape": [3, 16, 16], "layers": layers}), ["stem", "mix"])
    assert done.levels[0].effective_sigma is None
    assert any("no effective receptive fields" in note for note in done.notes)
    assert "inf x 3" in str(done)
    assert json.loads(done.to_json())["levels"][1]["size_range"][0] == [None, None]


def test_notes(analyses):
    sizes = [[[900, 900]], [[20, 20]], [[10, 10]]]
    notes = " ".join(anchors.report(analyses["yolov5s"], YOLO, sizes).notes)
    assert "does not grow" in notes
    assert "P3: its largest anchor is 1.32 times" in notes
    assert "P3: anchors stand up to 19 pixels" in notes


# As what it is printed --------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def done(analyses):
    sizes = np.array([[12.0, 9], [15, 3], [30, 40], [600, 600], [3, 3]])
    return anchors.report(analyses["yolov5s"], YOLO, "yolov5", sizes, effective=not INTERPRETED)


def test_json(done):
    found = json.loads(done.to_json())
    assert [row["level"] for row in found["levels"]] == ["P3", "P4", "P5"]
    assert found["levels"][2]["offset"] == [[15.0], [15.0]]
    assert found["overall"]["boxes"] == 5
    assert found["uncovered"] == [row.name for row in done.uncovered]


def test_csv(done):
    rows = list(csv.DictReader(io.StringIO(done.to_csv())))
    assert rows[0]["anchors"] == "10x13 16x30 33x23"
    assert float(rows[1]["aat"]) == pytest.approx(done.levels[1].aat)
    assert float(rows[0]["recall_0.5"]) == done.levels[0].recall["0.5"]


def test_markdown(done):
    text = done.to_markdown()
    assert "| P5 | 20x20 | 32 | 842 | 100.00% |" in text
    assert text.count("| all |") == 1


def test_pandas(done):
    pytest.importorskip("pandas")
    frame = done.to_pandas()
    assert frame["level"].tolist() == ["P3", "P4", "P5"]
    assert frame["recall_0.5"].tolist() == [row.recall["0.5"] for row in done.levels]


def test_text(done):
    assert "15.5" in str(done)
    assert repr(done) == str(done)
    assert "-15.5|-7.5" in str(done)


def test_without_boxes_or_anchors(analyses):
    bare = anchors.report(analyses["yolov5s"], "p5")
    assert bare.levels[0].anchors is None
    assert bare.overall == {}
    assert bare.to_markdown().count("\n| ") == 3
    seen = anchors.report(analyses["yolov5s"], "p5", boxes=np.array([[10.0, 900], [5, 5]]))
    assert seen.overall == {"boxes": 2, "unseen": 1}
    assert seen.levels[0].seen == 1
    assert "unseen" in str(seen)


def test_progress_counts_boxes(analyses, monkeypatch):
    monkeypatch.setattr(recall, "CHUNK", 2)
    seen = []
    sizes = np.full((5, 2), 30.0)
    anchors.report(analyses["yolov5s"], YOLO, "yolov5", sizes, progress=lambda *step: seen.append(step))
    assert seen == [(2, 5), (4, 5), (5, 5)]


# What cannot be ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("levels", "error", "message"),
    [
        (["P3", "nope"], fastrf.UnknownNodeError, "'nope' is not in network"),
        ([], fastrf.UsageError, "no levels"),
        (["p3", "P3"], fastrf.UsageError, "named twice"),
        ([3], fastrf.UnknownNodeError, "is not a name"),
    ],
)
def test_levels_that_are_none(analyses, levels, error, message):
    with pytest.raises(error, match=message):
        anchors.report(analyses["yolov5s"], levels)


def test_levels_that_are_no_maps():
    analysis = fastrf.analyze("resnet18", (3, 64, 64))
    with pytest.raises(fastrf.NetworkError, match="no two-dimensional feature map"):
        anchors.report(analysis, [outputs(analysis)[0]])
    layers = [{"name": "pool", "op": "global_avg_pool"}, {"name": "Pool", "op": "relu"}]
    analysis = fastrf.analyze({"input_shape": [3, 8, 8], "layers": layers})
    with pytest.raises(fastrf.UnknownNodeError, match="could be any of pool, Pool"):
        anchors.report(analysis, ["POOL"])


def test_anchors_for_other_levels(analyses):
    with pytest.raises(fastrf.FormatError, match="are for 5 levels, but 3 are named"):
        anchors.report(analyses["yolov5s"], YOLO, "retinanet")
    form = {"type": "AnchorGenerator", "strides": [32, 16, 8], "ratios": [1.0], "scales": [8]}
    with pytest.raises(fastrf.FormatError, match="have stride 32 for level 'p3'"):
        anchors.report(analyses["yolov5s"], ["p3", "p4", "p5"], form)


def test_thresholds_that_are_none(analyses):
    for wrong in ({"threshold": 1}, {"threshold": math.nan}, {"recall_at": []}, {"recall_at": [0.5, 1.5]}):
        with pytest.raises(fastrf.UsageError, match="must be"):
            anchors.report(analyses["yolov5s"], YOLO, **wrong)


# The command ------------------------------------------------------------------------------------------------


def run(*arguments):
    with pytest.raises(SystemExit) as stop:
        cli.main(["anchors", *map(str, arguments)])
    return stop.value.code or 0


@pytest.fixture
def instances(tmp_path):
    path = tmp_path / "instances.json"
    annotations = [{"id": k, "image_id": 1, "bbox": [10, 20, 12 + 7 * k, 9 + 11 * k]} for k in range(20)]
    path.write_text(json.dumps({"images": [{"id": 1, "width": 1280, "height": 640}], "annotations": annotations}))
    return path


def test_command_writes_reports(instances, tmp_path, capsys):
    common = ["yolov5s", "--levels", "P3,P4,P5", "--boxes", instances]
    assert run(*common, "--anchors", "yolov5", "-o", tmp_path / "r.json") == 0
    written = json.loads((tmp_path / "r.json").read_text())["report"]
    assert written["overall"]["boxes"] == 20
    assert "letterbox" in written["title"]
    for ending in ("csv", "md", "txt"):
        assert run(*common, "--anchors", "yolov5", "-o", tmp_path / f"r.{ending}") == 0
        assert "P4" in (tmp_path / f"r.{ending}").read_text()
    assert run(*common, "--suggest", "kmeans", "--json") == 0
    assert json.loads(capsys.readouterr().out)["suggestion"]["method"] == "kmeans"
    assert run(*common, "--suggest", "kmeans", "--markdown", "--scale", "0.5,1.5") == 0
    assert "scale 0.5..1.5" in capsys.readouterr().out
    assert run(*common, "--suggest", "rfla") == 0
    assert "anchor_generator=dict(" in capsys.readouterr().out


def test_command_lays_a_suggestion_beside_given_anchors(instances, capsys):
    common = ["yolov5s", "--levels", "P3,P4,P5", "--boxes", instances, "--anchors", "yolov5", "--suggest", "kmeans"]
    assert run(*common, "--json") == 0
    found = json.loads(capsys.readouterr().out)
    assert found["suggestion"]["report"]["overall"]["mean_iou"] > found["report"]["overall"]["mean_iou"]
    assert run(*common, "--markdown") == 0
    assert capsys.readouterr().out.count("mean IoU") >= 2
    assert run(*common) == 0
    assert "anchor_generator=dict(" in capsys.readouterr().out


def test_command_gives_forms(instances, tmp_path, capsys):
    common = ["yolov5s", "--levels", "P3,P4,P5"]
    assert run(*common, "--boxes", instances, "--suggest", "kmeans", "--form", "yolo", "-o", tmp_path / "a.yaml") == 0
    assert run(*common, "--boxes", instances, "--anchors", tmp_path / "a.yaml") == 0
    assert run(*common, "--anchors", "yolov5", "--form", "torchvision") == 0
    assert "cell_anchors" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--form", "yolo"], "say which with --suggest or --anchors"),
        (["--suggest", "kmeans"], "clusters boxes; give boxes"),
        (["--suggest", "nope"], "method 'nope' is unknown"),
        (["--suggest", "s3fd", "--anchors", "yolov5", "--csv"], "CSV holds one table"),
        (["--suggest", "s3fd", "--form", "lffd"], "have no ranges of sizes"),
        (["--suggest", "s3fd", "--form", "nope"], "'nope' is unknown; use torchvision, detectron2"),
        (["--anchors", "nope"], "no anchors of that name"),
        (["--boxes", "{results}"], "holds no image sizes; give --input"),
        (["--boxes", "nope.json"], "no such file"),
        (["--boxes", "{instances}", "--scale", "x"], "is not a range"),
        (["--boxes", "{instances}", "--resize", "nope"], "rule 'nope' is unknown"),
        (["--json", "--csv"], "exclude each other"),
    ],
)
def test_command_refuses(arguments, message, instances, tmp_path, capsys):
    (tmp_path / "results.json").write_text('[{"image_id": 1, "bbox": [1, 2, 3, 4]}]')
    given = [a.format(results=tmp_path / "results.json", instances=instances) for a in arguments]
    assert run("yolov5s", "--levels", "P3,P4,P5", *given) == 2
    err = capsys.readouterr().err
    assert message in err
    assert err.count("\n") == 1


def test_command_in_a_terminal(instances, monkeypatch, capsys):
    """Tables as wide as the terminal, and a bar on stderr."""
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("COLUMNS", "200")
    common = ["yolov5s", "--levels", "P3,P4,P5", "--boxes", instances]
    assert run(*common, "--anchors", "yolov5") == 0
    assert "P4" in capsys.readouterr().out
    assert run(*common, "--suggest", "s3fd") == 0
    assert "anchor_generator=dict(" in capsys.readouterr().out


def test_pandas_is_an_extra(done, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "pandas", None)
    with pytest.raises(fastrf.MissingExtraError, match="needs pandas"):
        done.to_pandas()


def test_the_package_is_reached_lazily():
    assert fastrf.anchors.report is anchors.report
    assert "anchors" in dir(fastrf)
