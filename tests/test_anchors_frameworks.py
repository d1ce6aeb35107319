"""Suggestions for a framework: where it places anchors, its form alone, the layout of its heads, and a verdict."""

from __future__ import annotations

import json
import re

import numpy as np
import pytest

import fastrf
from fastrf import anchors
from fastrf.anchors.forms.folding import folded
from fastrf.anchors.levels import levels_of
from fastrf.cli import commands as cli
from tests.anchor_data import coco_results, shrink
from tests.conftest import INTERPRETED

PYRAMID = ("p3", "p4", "p5", "p6", "p7")


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    shrink(monkeypatch)


@pytest.fixture(scope="module")
def pyramid():
    return fastrf.analyze("fpn_resnet50")


@pytest.fixture
def sizes(rng):
    return rng.lognormal(4, 0.8, (150, 2)).clip(4, 400)


# Where they stand -------------------------------------------------------------------------------------------


# torchvision's AnchorGenerator, detectron2's configuration and mmdetection's AnchorGenerator: position * stride;
# ultralytics, and mmdetection's YOLOAnchorGenerator: the middle of the cell
@pytest.mark.parametrize(
    ("framework", "layout", "strides_in"),
    [
        ("torchvision", None, 0),
        ("torchvision", "2x3", 0),
        ("detectron2", "2x3", 0),
        ("mmdetection", "2x3", 0),
        ("mmdetection", None, 0.5),
        ("yolo", None, 0.5),
    ],
)
def test_the_framework_keeps_its_centres(pyramid, sizes, framework, layout, strides_in):
    found = anchors.suggest(pyramid, PYRAMID, sizes, framework=framework, layout=layout, generations=5)
    strides = [row.stride[0] for row in found.report.levels]
    assert found.anchors.centers == tuple((strides_in * step, strides_in * step) for step in strides)
    for row, step in zip(found.report.levels, strides, strict=True):
        assert row.anchor_center == (strides_in * step - 0.5,) * 2
        assert row.offset[0] == tuple(strides_in * step - 0.5 - center for center in row.center[0])
    assert list(found.forms) == [framework]
    text = found.to_form(framework)
    assert "centers" not in text
    read = anchors.read_anchors(text, levels_of(pyramid, PYRAMID))
    assert [read.center(k, (step, step)) for k, step in enumerate(strides)] == list(found.anchors.centers)
    for mine, theirs in zip(found.anchors.sizes, read.sizes, strict=True):
        assert np.sort(theirs, axis=0) == pytest.approx(
            np.sort(mine, axis=0), rel=1e-4, abs=0.5 if framework == "yolo" else 1e-3
        )


def test_small_anchors_are_not_moved_off_their_cells(pyramid):
    """Where P3 looks is 1.5 cells from its cells, by phases: reported, and nothing moved."""
    found = anchors.suggest(pyramid, ["p3"], [[4, 11]] * 9, framework="torchvision", per_level=1, generations=0)
    assert found.report.levels[0].offset[0] == (15.5, 7.5, 15.5, 7.5)
    assert "aspect_ratios=((2.75,),)" in found.to_form("torchvision")
    assert "p3: anchors stand up to 15.5 pixels from where the neurons look" in found.report.notes


def test_without_a_framework_every_form_has_its_own_centres(pyramid):
    found = anchors.suggest(pyramid, PYRAMID[:3], method="s3fd", ratios=[0.5, 1, 2])
    assert found.anchors.centers[0] == (4, 4)
    assert set(found.forms) == {"torchvision", "detectron2", "mmdetection", "yolo"}
    assert "cell_anchors" not in found.forms["torchvision"]
    assert "offset=0," in found.forms["detectron2"]
    assert "centers" not in found.forms["mmdetection"]
    assert "name a framework" in found.notes[-1]
    nominal = anchors.suggest(pyramid, PYRAMID[:3], method="s3fd", ratios=[0.5, 1, 2], centers="nominal")
    assert "cell_anchors" in nominal.forms["torchvision"]
    assert "centers=[(-11.5, -11.5), " in nominal.forms["mmdetection"]
    assert "detectron2" not in nominal.forms
    assert nominal.forms["yolo"].startswith("# YOLO has no place for centres")
    assert not nominal.notes


def test_lffd_stands_where_the_neurons_look():
    analysis = fastrf.analyze("lffd_8")
    names = list(analysis.network.outputs)
    found = anchors.suggest(analysis, names, method="lffd", framework="torchvision")
    assert found.anchors.centers == ((0, 0),) * 8
    assert "center_start = [3, 3, 7, 7, 15, 31, 31, 31]" in found.to_form("lffd")
    assert all(row.offset == ((0,), (0,)) for row in anchors.suggest(analysis, names, method="lffd").report.levels)


def test_centres_of_anchors_in_use_are_kept(pyramid, sizes):
    moved = {"type": "AnchorGenerator", "ratios": [1], "scales": [4], "strides": [8, 16, 32, 64, 128]}
    moved["centers"] = [(k, 2 * k) for k in range(5)]
    found = anchors.suggest(pyramid, PYRAMID, sizes, anchors=moved, layout="1x2", generations=3)
    assert found.anchors.centers == tuple(moved["centers"])
    assert found.centers == "in use"
    assert "centers=[(0, 0), (1, 2), (2, 4), (3, 6), (4, 8)]" in found.to_form("mmdetection")
    with pytest.raises(fastrf.FormatError, match="one share of every stride"):
        found.to_form("detectron2")


def test_torchvision_steps_by_the_image(pyramid):
    """Of 800 pixels, P6 has 13 positions; torchvision steps 800 // 13 = 61 of them, and the neurons 64."""
    found = anchors.suggest(pyramid, PYRAMID, method="s3fd", framework="torchvision")
    assert [note.partition(":")[0] for note in found.notes] == ["p6", "p7"]
    assert "torchvision steps 61 pixels" in found.notes[0]
    assert "36 pixels short" in found.notes[0]
    whole = fastrf.analyze("fpn_resnet50", (3, 768, 768))
    assert not anchors.suggest(whole, PYRAMID, method="s3fd", framework="torchvision").notes


def test_ssd_stands_by_its_maps():
    """Liu et al. 2016: (i + 0.5) / map, of the input."""
    analysis = fastrf.analyze([fastrf.conv(4, 3, stride=2), fastrf.conv(4, 3, stride=2)], (3, 19, 31))
    rows = anchors.report(analysis, list(analysis)[1:], "ssd").levels
    assert [row.grid for row in rows] == [(9, 15), (4, 7)]
    assert [row.anchor_center for row in rows] == [
        (19 / 9 / 2 - 0.5, 31 / 15 / 2 - 0.5),
        (19 / 4 / 2 - 0.5, 31 / 7 / 2 - 0.5),
    ]


# Shares of fields -------------------------------------------------------------------------------------------


def test_rfla_on_a_top_down_level_warns(pyramid):
    note = anchors.suggest(pyramid, ["p2", "p3", "p5"], method="rfla", framework="yolo").notes[0]
    assert "p2 (213.5 pixels on stride 4), p3 (213.5 pixels on stride 8): top-down" in note
    backbone = [f"body.layer{k}" for k in range(1, 5)]
    found = anchors.suggest(pyramid, backbone, method="rfla", framework="yolo")
    assert not found.notes
    assert [level[1, 0] for level in found.anchors.sizes] == [35 / 2, 91 / 2, 267 / 2, 427 / 2]  # as its authors
    assert not anchors.suggest(pyramid, ["p2"], method="s3fd", framework="yolo").notes


# Layouts ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("layout", ["3x3", (2, 1), "1 x 4"])
def test_a_layout_is_scales_times_shared_ratios(pyramid, sizes, layout):
    found = anchors.suggest(pyramid, PYRAMID, sizes, layout=layout, generations=20)
    scales, ratios = (int(n) for n in re.findall(r"\d+", str(layout)))
    for level in found.anchors.sizes:
        table = level.reshape(ratios, scales, 2)  # numbered as torchvision and mmdetection do
        areas, tall = table.prod(axis=2), table[..., 1] / table[..., 0]
        assert areas == pytest.approx(np.tile(areas[0], (ratios, 1)))
        assert tall == pytest.approx(np.tile(tall[:, :1], scales))
        first = found.anchors.sizes[0].reshape(ratios, scales, 2)
        assert tall == pytest.approx(first[..., 1] / first[..., 0])
        assert np.sqrt(areas[0] / areas[0, 0]) == pytest.approx(np.sqrt(first.prod(axis=2)[0] / first[0, 0].prod()))
    assert "type='AnchorGenerator'" in found.to_form("mmdetection")
    again = anchors.suggest(pyramid, PYRAMID, sizes, layout=layout, generations=20)
    assert np.array_equal(again.anchors.flat, found.anchors.flat)


@pytest.mark.skipif(INTERPRETED, reason="minutes with the JIT off")
def test_a_layout_beats_the_published_one(pyramid):
    found = anchors.suggest(pyramid, PYRAMID, coco_results(), layout="3x3", anchors="retinanet")
    assert found.before.overall["mean_iou"] == pytest.approx(0.647569, abs=5e-7)
    assert found.report.overall["mean_iou"] > 0.75


def test_a_layout_stays_within_what_levels_see(rng):
    analysis = fastrf.analyze("s3fd")
    names, boxes = list(analysis.network.outputs), rng.lognormal(5, 0.8, (200, 2)).clip(2, 600)
    found = anchors.suggest(analysis, names, boxes, layout="3x3", generations=20)
    assert all(row.anchor_share[1] <= 1 + 1e-12 for row in found.report.levels)
    rule = anchors.suggest(analysis, names, method="s3fd", layout="3x2", framework="mmdetection")
    assert [level[0].prod() ** 0.5 for level in rule.anchors.sizes[:4]] == pytest.approx([16, 32, 64, 128])
    assert rule.anchors.sizes[0][:, 1] / rule.anchors.sizes[0][:, 0] == pytest.approx([0.5] * 3 + [2] * 3)
    assert all(row.anchor_share[1] <= 1 + 1e-12 for row in rule.report.levels)


# The verdict ------------------------------------------------------------------------------------------------


def test_the_verdict_compares(pyramid, sizes):
    found = anchors.suggest(pyramid, PYRAMID, sizes, anchors="retinanet", generations=20)
    before = anchors.report(pyramid, PYRAMID, "retinanet", sizes, effective=False)
    assert found.before == before
    told = [f"{o['recall']['0.5']:.2%}" for o in (before.overall, found.report.overall)]
    assert found.verdict.startswith(f"verdict: recall at IoU >= 0.5 {told[0]} -> {told[1]}, best possible recall ")
    assert found.verdict in str(found)
    assert found.verdict.replace(">", "&gt;") in found._repr_html_()
    records = json.loads(json.dumps(found.to_records()))
    assert records["verdict"] == found.verdict
    assert records["before"]["recall"]["0.5"] == before.overall["recall"]["0.5"]
    assert "3 anchors a position, where 9 are in use: a trained head does not fit them" in found.notes
    assert not anchors.suggest(pyramid, PYRAMID[:1], sizes, anchors=[[8, 16, 32]], layout="1x3", generations=0).notes
    alone = anchors.suggest(pyramid, PYRAMID, sizes, generations=0)
    assert "give the anchors in use" in alone.verdict
    assert anchors.suggest(pyramid, PYRAMID, method="s3fd", anchors="retinanet").verdict == ""


# Levels by keys ---------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def keyed():
    """A detector's network with what its modules return by keys, as the PyTorch front-end has it."""
    layers = [{"name": f"c{k}", "op": "conv", "out_channels": 4, "kernel_size": 3, "stride": 2} for k in range(4)]
    returns = {"backbone.body[0]": "c0", "backbone.body[1]": "c1"}
    returns |= {"backbone[1]": "c2", "backbone[0]": "c1", "backbone[p6]": "c3"}
    return fastrf.analyze({"input_shape": [3, 64, 64], "layers": layers, "returns": returns})


def test_keys_of_the_outermost_module(keyed):
    found = levels_of(keyed, ["0", "1", "P6"])
    assert [(level.name, level.node) for level in found] == [("0", "c1"), ("1", "c2"), ("P6", "c3")]
    assert [level.node for level in levels_of(keyed, ["c0", "p6"])] == ["c0", "c3"]


def test_an_unknown_level_lists_the_outputs(keyed):
    with pytest.raises(fastrf.UnknownNodeError, match=r"^level 'P7' .* Its outputs: c3; 'backbone' returns 0, 1, p6; "):
        levels_of(keyed, ["0", "P7"])
    with pytest.raises(fastrf.UnknownNodeError, match=r"Its outputs: p2, p3, p4, p5, p6, p7$"):
        levels_of(fastrf.analyze("fpn_resnet50", (3, 128, 128)), ["P8"])


def test_keys_that_could_be_several(keyed):
    spec = keyed.network.to_dict()
    spec["returns"] = {"a[x]": "c0", "a[y]": "c1", "b[x]": "c2", "b[y]": "c3", "d[z]": "c0", "d[y]": "c1"}
    with pytest.raises(fastrf.UnknownNodeError, match=r"levels x, y could be of a, b; write a\[x\]"):
        levels_of(fastrf.analyze(spec), ["x", "y"])
    assert [level.node for level in levels_of(fastrf.analyze(spec), ["z"])] == ["c0"]


def test_an_input_that_is_resized_is_told():
    layers = [
        {"name": "up", "op": "resize", "output_size": [80, 80], "mode": "nearest"},
        {"name": "conv", "op": "conv", "out_channels": 4, "kernel_size": 2, "stride": 2},
    ]
    spec = {"input_shape": [3, 64, 64], "layers": layers}
    (note,) = anchors.report(fastrf.analyze(spec), ["conv"], effective=False).notes
    assert "wrt 'up', 3x80x80" in note
    assert not anchors.report(fastrf.analyze(spec, wrt="up"), ["conv"], effective=False).notes


# As it is printed -------------------------------------------------------------------------------------------


def run(capsys, *arguments):
    with pytest.raises(SystemExit) as stop:
        cli.main(["anchors", "fpn_resnet50", "--levels", ",".join(PYRAMID), *map(str, arguments)])
    out, err = capsys.readouterr()
    return stop.value.code or 0, out, err


def test_command(tmp_path, sizes, capsys):
    np.save(tmp_path / "b.npy", sizes)
    common = ["-i", "3x800x800", "--boxes", tmp_path / "b.npy", "--suggest"]
    code, out, _ = run(capsys, *common, "kmeans", "--layout", "3x3", "--framework", "torchvision", "-a", "retinanet")
    assert code == 0
    assert re.search(r"^verdict: recall at IoU >= 0.5 \S+ -> \S+, ", out, re.MULTILINE)
    assert out.count("\n# ") == 1
    assert out.count("sees: objects that fit") == 1
    assert out.rstrip().endswith(")")
    code, out, _ = run(capsys, *common, "rfla", "--fraction", "0.25", "--json")
    assert json.loads(out)["suggestion"]["anchors"][0][1] == pytest.approx([427 / 4, 427 / 4])
    assert run(capsys, *common, "rfla", "--fraction", "half")[0] == 2
    assert run(capsys, *common, "rfla", "--framework", "yolo", "--form", "mmdetection")[0] == 2
    assert "--framework places what --suggest finds" in run(capsys, "--framework", "yolo")[2]


@pytest.mark.skipif(INTERPRETED, reason="minutes with the JIT off")
def test_effective_fraction_on_the_command_line(capsys):
    code, out, _ = run(capsys, "--suggest", "rfla", "--fraction", "effective", "--form", "yolo", "-i", "3x128x128")
    assert code == 0
    assert out.startswith("anchors:\n")


def test_columns_and_files_that_are_there(tmp_path, capsys):
    code, out, _ = run(capsys, "-a", "retinanet", "--columns", "level,off by,anchors", "-i", "3x256x256")
    assert code == 0
    assert ["level", "off", "by"] in [line.split() for line in out.splitlines()]
    assert ["level", "anchors"] in [line.split() for line in out.splitlines()]
    assert "there is no column 'nope'; choose from level, grid, " in run(capsys, "--columns", "nope")[2]
    (tmp_path / "a.yaml").write_text("mine")
    given = ["-s", "s3fd", "--form", "yolo", "-i", "3x256x256", "-o", tmp_path / "a.yaml"]
    assert "exists; --overwrite replaces it" in run(capsys, *given)[2]
    assert (tmp_path / "a.yaml").read_text() == "mine"
    assert run(capsys, *given, "--overwrite")[0] == 0
    assert "anchors:" in (tmp_path / "a.yaml").read_text()


def test_given_anchors_stay_where_they_stand(capsys):
    assert "cell_anchors" not in run(capsys, "-a", "retinanet", "--form", "torchvision")[1]
    assert "cell_anchors" in run(capsys, "-a", "retinanet", "--form", "torchvision", "--centers", "nominal")[1]
    assert "'nope' is unknown" in run(capsys, "-a", "retinanet", "--form", "yolo", "--centers", "nope")[2]


@pytest.fixture(scope="module")
def found(pyramid):
    sizes = np.random.default_rng(0).lognormal(4, 0.8, (150, 2)).clip(4, 400)
    return anchors.suggest(pyramid, PYRAMID, sizes, per_level=9, anchors="retinanet", generations=2, centers="nominal")


@pytest.mark.parametrize("width", [60, 80, 120, 200])
@pytest.mark.parametrize("encoding", ["utf-8", "cp1252", "ascii"])
def test_no_line_is_wider_and_no_number_wrapped(found, width, encoding, monkeypatch):
    class Out:
        pass

    Out.encoding = encoding
    with monkeypatch.context() as patched:
        patched.setattr("sys.stdout", Out)
        text = found.to_text(width)
    text.encode(encoding)
    assert max(map(len, text.splitlines())) <= width
    for form, whole in found.forms.items():
        narrow = folded(whole, width)
        assert narrow in text + "\n"
        assert sorted(re.findall(r"[-\w.]+", narrow)) == sorted(re.findall(r"[-\w.]+", whole))
        assert max(map(len, narrow.splitlines())) <= width
        again = anchors.read_anchors(narrow)
        theirs = anchors.read_anchors(whole)
        assert [a.tolist() for a in again.sizes] == [a.tolist() for a in theirs.sizes], form


def test_names_of_levels_and_files_are_shortened_where_they_are_told():
    layers = [{"name": "a_module_of_many_words." * 9 + "conv", "op": "conv", "out_channels": 2, "kernel_size": 3}]
    analysis = fastrf.analyze({"input_shape": [3, 9, 9], "layers": layers})
    found = anchors.suggest(analysis, [layers[0]["name"]], method="s3fd", anchors=[[(50, 50)]])
    for width in (60, 80):
        assert max(map(len, found.to_text(width).splitlines())) <= width
        assert max(map(len, found.before.to_text(width).splitlines())) <= width
    assert layers[0]["name"] in str(found)


def test_columns_are_explained_where_they_are_shown(found):
    wide, narrow = found.report.to_text(200), found.report.to_text(60)
    assert "off by: that less the centre, in pixels" in wide
    assert "grid: positions" in wide
    assert "share of field: " in wide
    assert "share of field: " not in narrow
    assert "off by: " not in found.report.to_text(200, explained=False)


def test_many_phases_are_told_by_their_ends():
    layers = [{"name": "c", "op": "conv", "out_channels": 2, "kernel_size": 4, "stride": 2}]
    layers += [{"name": "up", "op": "resize", "output_size": [45, 45], "mode": "nearest"}]
    row = anchors.report(fastrf.analyze({"input_shape": [1, 20, 20], "layers": layers}), ["up"], effective=False)
    assert len(set(row.levels[0].center[0])) > 4
    assert re.search(r"  -?[\d.]+\.\.-?[\d.]+$", row.to_text().splitlines()[4])
