"""sweep(): rows against the analysis of each network, metrics, errors as rows, and what is refused at once."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest

import fastrf
from fastrf.spaces import DARTS, Custom, NASBench101, NASBench201, OFAMobileNetV3
from fastrf.sweeps.metrics import DEFAULT
from fastrf.sweeps.run import work_of
from fastrf.sweeps.work import Columnar

pytest.importorskip("pyarrow")

NB201 = "|nor_conv_3x3~0|+|nor_conv_3x3~0|nor_conv_3x3~1|+|skip_connect~0|nor_conv_3x3~1|nor_conv_3x3~2|"
SMALL = {"conv1": [3, 1, 1], "pool1": [2, 2, 0], "conv2": [3, 1, 1]}


def figures(network):
    """Every default metric by its definition, from the public members of the analysis."""
    analysis = fastrf.analyze(network)
    field = analysis.output
    masks = field.masks().reshape(-1, math.prod(field.pixel_shape))
    boxes = field.boxes().reshape(len(masks), -1, 2)
    needed, beyond = {network.outputs[0]}, 0
    for node in reversed(network.nodes):
        if node.name in needed:
            needed.update(node.inputs)
            if node.op in ("conv", "depthwise_conv", "conv_transpose"):
                reads = analysis[node.inputs[0]]
                beyond += all(size >= n for size, n in zip(reads.size, reads.pixel_shape, strict=True))
    counts = masks.sum(axis=1)
    row = {
        **{f"size_{axis}": size for axis, size in zip("yx", field.size, strict=True)},
        **{f"stride_{axis}": stride for axis, stride in zip("yx", field.stride, strict=True)},
        **{f"center_{axis}": center for axis, center in zip("yx", field.center, strict=True)},
        "area_min": counts.min(),
        "area_mean": counts.mean(),
        "area_max": counts.max(),
        "density": (counts / np.maximum(np.prod(boxes[..., 1] - boxes[..., 0], axis=1), 1)).mean(),
        "clipped_share": field.clipped_share,
        "blind_pixels": (~masks.any(axis=0)).sum(),
        "sees_everything": bool(masks.all()),
        "layers_beyond": beyond,
        "parameters": sum(node.parameters for node in network.nodes),
        "macs": sum(node.macs for node in network.nodes),
    }
    return {name: None if math.isnan(value) else value for name, value in row.items()}


@pytest.mark.parametrize(
    ("space", "shape", "count"),
    [
        (NASBench201(), (3, 20, 28), 12),
        (NASBench101(), (3, 20, 28), 10),
        (DARTS(layers=5), (3, 16, 24), 5),
        (DARTS("imagenet", layers=4), (3, 64, 64), 3),
        (OFAMobileNetV3(), (3, 40, 64), 3),
        (OFAMobileNetV3(squeeze_excitation=False), (3, 40, 64), 3),
    ],
    ids=lambda value: getattr(value, "name", None),
)
def test_rows_of_every_space_are_those_of_its_networks(space, shape, count):
    candidates = space.sample(count, 5)
    rows = fastrf.sweep(candidates, shape).to_rows()
    assert [row["id"] for row in rows] == list(candidates)
    for index, row in enumerate(rows):
        assert row.pop("ok")
        assert row.pop("error") is None
        assert row.pop("id") == candidates[index]
        assert row == figures(candidates.network(index, shape))


def test_all_of_nasbench201_has_the_published_counts():
    # 6 ** 5 cells by the most 3x3 operators on a path: none 341, then 21 + 70 L
    result = fastrf.sweep(NASBench201(), metrics=["size"])
    sizes, counts = np.unique(result.to_arrow()["size_x"].to_numpy(), return_counts=True)
    assert dict(zip(sizes.tolist(), counts.tolist(), strict=True)) == {0: 341, 21: 1642, 91: 7122, 161: 5520, 231: 1000}
    assert len(result) == 5**6


def test_listed_networks_of_every_kind():
    field = fastrf.analyze(SMALL, (1, 16, 16)).output
    layers = [fastrf.conv(4, 3, padding=1), fastrf.max_pool(2, 2)]
    given = [(SMALL, (1, 16, 16)), ("mine", layers, (3, 8, 8)), "vgg16", (fastrf.load(SMALL, (1, 9, 9)), (1, 9, 12))]
    result = fastrf.sweep(given, metrics=["size", "area_mean"], workers=2)
    rows = result.to_rows()
    assert [row["id"] for row in rows] == ["0 1x16x16", "mine", "vgg16", "3 1x9x12"]
    assert all(row["ok"] for row in rows)
    assert (rows[0]["size_x"], rows[0]["area_mean"]) == (field.size[1], field.areas().mean())
    assert (rows[1]["size_y"], rows[1]["size_x"]) == (4, 4)
    assert repr(result) == "SweepResult(4 candidates, columns size_y, size_x, area_mean)"


@pytest.mark.parametrize("workers", [1, 2, 5])
def test_rows_are_in_order_for_any_number_of_threads(workers):
    given = [(SMALL, (1, n, n)) for n in range(6, 36)]
    rows = fastrf.sweep(given, metrics=["area_max"], workers=workers).to_rows()
    assert [row["id"] for row in rows] == [f"{i} 1x{n}x{n}" for i, n in enumerate(range(6, 36))]
    largest = [int(fastrf.analyze(SMALL, (1, n, n)).output.areas().max()) for n in range(6, 36)]
    assert [row["area_max"] for row in rows] == largest
    some = NASBench201().all()[:3000]
    assert fastrf.sweep(some, workers=workers).to_arrow().equals(fastrf.sweep(some).to_arrow())


def test_chunks_make_no_difference(monkeypatch):
    some = NASBench201().sample(700, 1)
    whole = fastrf.sweep(some).to_arrow()
    monkeypatch.setattr(Columnar, "chunk", 64)
    seen = []
    result = fastrf.sweep(some, progress=lambda done, total: seen.append((done, total)))
    assert result.to_arrow().combine_chunks().equals(whole.combine_chunks())
    assert seen[0] == (0, 700)
    assert seen[-1] == (700, 700)
    assert len(seen) > 5


def test_a_metric_of_ones_own():
    def reach(field):
        return field.boxes()[0, 0, 1, 1]

    def fails(field):
        raise KeyError("no such thing")

    cells = NASBench201().candidates([NB201, NB201.replace("nor_conv_3x3", "none")])
    result = fastrf.sweep(cells, (3, 16, 16), metrics=[reach, ("twice", lambda f: 2 * f.size[0]), "stride"])
    assert result.columns[3:] == ("reach", "twice", "stride_y", "stride_x")
    field = fastrf.analyze(cells.network(0, (3, 16, 16))).output
    assert result.to_rows()[0]["reach"] == field.box((0, 0))[1, 1]
    assert result.to_rows()[0]["twice"] == 2 * 231
    failed = fastrf.sweep([(SMALL, (1, 8, 8))], metrics=[fails]).to_rows()[0]
    assert (failed["ok"], failed["error"], failed["fails"]) == (
        False,
        "metric 'fails': KeyError: 'no such thing'",
        None,
    )
    words = fastrf.sweep(cells, metrics=[("word", lambda _: "text")])
    assert words.n_failed == 2
    assert words.to_rows()[1]["error"] == "metric 'word': a metric must give a number, not str"


def test_a_candidate_that_fails_is_a_row():
    given = [
        ("fine", SMALL, (1, 8, 8)),
        ("bad", {"conv1": [9, 1, 0]}, (1, 4, 4)),
        ("fine", SMALL),
        ("none", object()),
        ("line", SMALL, (1, 8)),
        {"space": "nasbench201", "arch": "|nonsense~0|"},
        {"space": "nowhere", "arch": "x"},
        {"space": "nasbench201"},
    ]
    result = fastrf.sweep(given, metrics=["size", "sees_everything", "parameters"])
    rows = result.to_rows()
    assert [row["ok"] for row in rows] == [True] + [False] * 7
    assert "kernel 9 does not fit input 4" in rows[1]["error"]
    assert "is that of row 0, too" in rows[2]["error"]
    assert "object is not a network" in rows[3]["error"]
    assert "1 spatial axes, the table 2" in rows[4]["error"]
    assert "nonsense" in rows[5]["error"]
    assert "unknown space 'nowhere'" in rows[6]["error"]
    assert "{space, arch}" in rows[7]["error"]
    assert rows[1]["size_x"] is None
    assert result.n_failed == 7
    frame = result.to_pandas()
    assert str(frame["parameters"].dtype) == "Int64"
    assert frame["ok"].sum() == 1
    assert len(result.top(5, "size")) == 1


def test_notations_in_mappings_go_through_the_column_program():
    lines = [{"space": "nasbench201", "arch": NB201}, {"space": "nasbench201", "arch": "|x|", "id": "broken"}] * 2
    result = fastrf.sweep(lines, (3, 16, 16), metrics=["size"]).to_rows()
    assert [row["ok"] for row in result] == [True, False, True, False]
    assert result[0]["size_x"] == result[2]["size_x"] == 231
    assert "is that of row 1" in result[3]["error"]
    both = [*lines[:1], {"space": "darts", "arch": DARTS().sample(1)[0], "input_shape": [3, 16, 16]}]
    assert [row["ok"] for row in fastrf.sweep(both, (3, 16, 16), metrics=["size"]).to_rows()] == [True, True]


def test_where_a_column_program_fails_the_others_go_on(monkeypatch):
    space = NASBench201()
    some = space.sample(9, 2)
    plain = fastrf.sweep(some, metrics=["size", "area_mean"]).to_rows()
    whole = space.evaluate

    def evaluate(candidates, columns, channels=None):
        if some[4] in list(candidates):
            raise fastrf.LimitError("too many terms")
        return whole(candidates, columns, channels)

    monkeypatch.setattr(NASBench201, "evaluate", lambda _, *given: evaluate(*given))
    assert fastrf.sweep(some, metrics=["size", "area_mean"]).to_rows() == plain  # that one by its network
    monkeypatch.setattr(NASBench201, "network", lambda *_: (_ for _ in ()).throw(fastrf.ShapeError("no room")))
    rows = fastrf.sweep(some, metrics=["size", "area_mean"]).to_rows()
    assert [row["error"] for row in rows] == [None] * 4 + ["no room"] + [None] * 4
    assert rows[5] == plain[5]


def test_custom_spaces_are_analysed_one_by_one():
    space = Custom(lambda k: [fastrf.conv(2, k, padding=k // 2)], [1, 3, 5, 4], "kernels", (1, 8, 8))
    rows = fastrf.sweep(space, metrics=["size", "area_max"]).to_rows()
    assert [(row["id"], row["size_x"], row["area_max"]) for row in rows] == [
        ("1", 1, 1),
        ("3", 3, 9),
        ("5", 5, 25),
        ("4", 4, 16),
    ]


def test_node_map_is_the_last_map_before_the_head():
    given = [("resnet18", (3, 64, 64))]
    whole, last = (fastrf.sweep(given, node=node).to_rows()[0] for node in (None, "map"))
    assert (whole["size_x"], last["size_x"]) == (math.inf, 435)
    assert whole["parameters"] - last["parameters"] == 513_000
    named = fastrf.sweep(given, node="layer1", metrics=["size"]).to_rows()[0]
    assert named["size_x"] == 43
    vector = fastrf.sweep([([fastrf.linear(3)], (7,))], node="map", metrics=["density"]).to_rows()[0]
    assert "no layer on the way to the output is a map" in vector["error"]


def test_what_is_refused_at_once():
    space = NASBench201()
    with pytest.raises(fastrf.UsageError, match=r"unknown metric 'sizes'; did you mean size.*area_min"):
        fastrf.sweep(space, metrics=["sizes"])
    with pytest.raises(fastrf.UsageError, match="there twice"):
        fastrf.sweep(space, metrics=["size", "size"])
    with pytest.raises(fastrf.UsageError, match="no metrics"):
        fastrf.sweep(space, metrics=[])
    with pytest.raises(fastrf.UsageError, match="there are no candidates"):
        fastrf.sweep([])
    with pytest.raises(fastrf.UsageError, match="no candidates of nasbench201"):
        fastrf.sweep(space.all()[:0])
    with pytest.raises(fastrf.UsageError, match=r"for one network use fastrf\.analyze"):
        fastrf.sweep("resnet50")
    with pytest.raises(fastrf.UsageError, match="node is for listed networks"):
        fastrf.sweep(space, node="map")
    with pytest.raises(fastrf.ShapeError, match="positive sizes"):
        fastrf.sweep(space, (3, 0, 32))
    with pytest.raises(fastrf.LimitError, match="draw some with sample"):
        fastrf.sweep(DARTS())


def test_names_in_any_script():
    given = [
        ("schön", SMALL, (1, 8, 8)),
        ("数", {"conv1": [9, 1, 0]}, (1, 4, 4)),
        ("", SMALL, (1, 9, 8)),
        ("\ud800", 3),
    ]
    table = fastrf.sweep(given, metrics=["size"]).to_arrow()
    table.validate(full=True)
    assert table["id"].to_pylist() == ["schön", "数", "", "\\ud800"]
    assert [error is None for error in table["error"].to_pylist()] == [True, False, True, False]


def test_what_a_candidate_may_raise(monkeypatch):
    for error, said in (
        (RecursionError(), "nested too deep"),
        (MemoryError(), "out of memory"),
        (OSError(2), "OSError: 2"),
    ):

        def load(*_, error=error):
            raise error

        monkeypatch.setattr("fastrf.sweeps.candidates.load", load)
        assert said in fastrf.sweep([(SMALL, (1, 8, 8))]).to_rows()[0]["error"]


def test_work_travels():
    import pickle

    some = NASBench201().sample(5, 0)
    lines = [{"space": "nasbench201", "arch": text} for text in [*some, "|bad|"]]
    listed = [("net", SMALL, (1, 8, 8)), ("layers", [fastrf.conv(3, 3)], (1, 8, 8)), (fastrf.load("vgg16"), None)]
    for given in (some, lines, listed[:2]):
        work = work_of(given, None, ["size"], None)
        part = pickle.loads(pickle.dumps(work.part(1, 4)))
        assert part.run(0, len(part)).equals(work.run(1, min(4, len(work))))
        assert pickle.loads(pickle.dumps(work)).manifest() == work.manifest()
        assert work.part(0, 1).manifest() != work.manifest()
    assert work_of(listed[:1], None, ["size"], None).manifest() != work_of(listed[1:2], None, ["size"], None).manifest()


def test_top_and_columns():
    result = fastrf.sweep(NASBench201().all()[:2000])
    best = result.top(5, by="size")
    sizes = result.to_arrow()["size_y"].to_numpy()
    assert [row["size_y"] for row in best.to_rows()] == sorted(sizes, reverse=True)[:5]
    first = [row["id"] for row in result.to_rows() if row["size_y"] == sizes.max()]
    assert best.to_rows()[0]["id"] == first[0]
    assert result.top(1, "macs", smallest=True).to_rows()[0]["macs"] == result.to_pandas()["macs"].min()
    assert json.loads(best.to_json())["rows"][0]["size_y"] == sizes.max()
    with pytest.raises(fastrf.UsageError, match="unknown column 'densitee'; did you mean density"):
        result.top(3, "densitee")
    with pytest.raises(fastrf.UsageError, match="number of rows"):
        result.top(-1)
    assert {name for name in DEFAULT if name not in ("size", "stride", "center")} < set(result.columns)
