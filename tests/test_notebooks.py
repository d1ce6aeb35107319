"""What a notebook shows: one plain table each, self-contained, with every name escaped."""

from __future__ import annotations

from xml.etree import ElementTree

import pytest

import fastrf

NASTY = "<script>alert('x')</script>"
SPEC = {
    "name": NASTY,
    "input_shape": [3, 16, 16],
    "layers": [
        {"name": f"body.{NASTY}", "op": "conv", "out_channels": 4, "kernel_size": 3, "padding": 1},
        {"name": "body.pool", "op": "max_pool", "kernel_size": 2},
    ],
}


def shown(value):
    """The cells and texts of a value's HTML, which must be well-formed and fetch nothing."""
    page = value._repr_html_()
    assert "<script" not in page
    assert "http" not in page
    tree = ElementTree.fromstring(f"<div>{page}</div>")
    return ["".join(cell.itertext()) for cell in tree.iter() if cell.tag in ("td", "th")], "".join(tree.itertext())


def test_networks_analyses_and_summaries_are_tables():
    analysis = fastrf.analyze(SPEC)
    cells, told = shown(analysis.network)
    assert {f"body.{NASTY}", "conv", "4x16x16", "input"} <= set(cells)
    assert "channels on axis 0" in told
    for value in (analysis, analysis.summary(), analysis.summary(depth=1)):
        cells, told = shown(value)
        assert "receptive field" in cells
        assert "total: " in told


def test_a_field_tells_its_facts():
    field = fastrf.analyze(SPEC)["body"]
    cells, told = shown(field)
    facts = dict(zip(cells[2::2], cells[3::2], strict=True))
    assert facts["receptive field"] == "4"
    assert facts["stride"] == "2"
    assert facts["shape"] == "4x8x8, channels on axis 0"
    assert facts["exact"] == "yes"
    assert "'body' = 'body.pool'" in told
    assert repr(field).startswith("ReceptiveField('body' = 'body.pool', shape=(4, 8, 8), size=4, stride=2")
    assert "approximate" not in repr(field)


def test_a_field_without_positions_has_its_facts():
    field = fastrf.analyze(
        [fastrf.conv(3, 2), {"op": "flatten"}, {"op": "linear", "out_features": 5}], (3, 8, 8)
    ).output
    assert "size=inf" in repr(field)
    assert "start" in shown(field)[0]


def test_sweeps_are_tables():
    pytest.importorskip("pyarrow")
    cells, told = shown(fastrf.sweep(["alexnet", "vgg16", NASTY], (3, 227, 227), progress=False))
    assert "vgg16" in cells
    assert "3 candidates" in told


def test_reports_and_suggestions_are_tables():
    analysis = fastrf.analyze("yolov5s", (3, 128, 128))
    suggested = fastrf.anchors.suggest(analysis, ["P3", "P4"], method="lffd")
    for value in (suggested, suggested.report):
        cells, _ = shown(value)
        assert {"level", "stride", "P3"} <= set(cells)


def test_long_tables_end():
    layers = [{"name": f"relu{k}", "op": "relu"} for k in range(500)]
    cells, told = shown(fastrf.load({"input_shape": [1, 4], "layers": layers}))
    assert len(cells) == 4 * 301
    assert "200 more rows" in told
