"""Tables for people: they fit the terminal, and no number is wrapped, cut or shown in a character that is not there."""

from __future__ import annotations

import io
import json
import math
import sys

import pytest

import fastrf
from fastrf.cli.sweep import _shown
from fastrf.system import tables
from fastrf.system import terminal as console
from fastrf.system.tables import Column, Table, agreed, spans

HEADER = ["layer", "operator", "parameters", "receptive field", "exact"]
ROWS = [
    [f"encoder.layers.{k}.attention: scores_{k}", "softmax", f"{10**k:,}", f"{k}..{10**k}", "yes"] for k in range(9)
]


def table_of(header, rows, **options):
    """A function of a width: the lines of these cells."""
    table = Table([dict(zip(header, row, strict=True)) for row in rows], **options)
    return lambda width=None: table.to_text(width).splitlines()


wide = table_of(HEADER, ROWS, names=2, left=2, drop=["parameters", "operator"])


@pytest.mark.parametrize("width", [32, 40, 60, 80, 100, 200])
def test_numbers_are_whole_at_every_width(width):
    lines = wide(width)
    assert max(map(len, lines)) <= width
    text = "\n".join(lines)
    assert all(row[3] in text for row in ROWS)
    assert all((row[2] in text) == ("parameters" not in text.partition("left out")[2]) for row in ROWS[3:])
    assert ("left out to fit the terminal:" in text) == (width < 80)
    assert ("names are shortened" in text) == (width < 100)


def test_columns_go_from_the_right_but_for_those_to_keep():
    table = table_of(["id", "a", "b", "c"], [["one", "1" * 20, "2" * 20, "3" * 20]], keep=("b",))
    text = "\n".join(table(40))
    assert "2" * 20 in text
    assert "left out to fit the terminal: a, c" in text
    assert table() == table(100)


def test_names_are_cut_in_the_middle_by_the_width_that_a_terminal_gives_them(monkeypatch):
    table = table_of(["name", "n"], [["数" * 30 + "end", "7"], ["short", "8"]])
    rows = table(40)[2:4]
    assert "…" in rows[0]
    assert rows[0].endswith("end   7")
    assert rows[1].endswith(" 8")
    monkeypatch.setattr(tables, "_is_ascii_only", lambda: True)
    assert ".." in table(40)[2]


def test_every_form_says_what_is_unbounded_unknown_and_missing():
    values = {"name": "a|b", "wide": math.inf, "odd": math.nan, "none": None, "pair": (1.0, math.inf), "ok": True}
    table = Table([values], keys=list(values))
    assert json.loads(table.to("json")) == [
        {"name": "a|b", "wide": None, "odd": None, "none": None, "pair": [1.0, None], "ok": True}
    ]
    assert table.to("csv").splitlines() == ["name,wide,odd,none,pair,ok", "a|b,inf,nan,,1xinf,True"]
    assert table.to("markdown").splitlines()[2] == r"| a\|b | inf | - | - | 1xinf | True |"
    assert table.to("table", 80).splitlines()[-1].split() == ["a|b", "inf", "-", "-", "1xinf", "True"]
    pytest.importorskip("pandas")
    assert table.to_pandas()["wide"][0] == math.inf


def test_people_see_the_columns_that_are_described_and_programs_all_of_the_record():
    columns = [Column("receptive field", lambda record: agreed(spans(record["size"])))]
    table = Table([{"size": ((3, 5), (3, 5))}, {"size": ((1, 1), (2, math.inf))}], columns, "A title", ["a note"])
    assert [line.strip() for line in table.to("table").splitlines() if "─" not in line] == [
        "A title",
        "",
        "receptive field",
        "3..5",
        "1 x 2..inf",
        "a note",
    ]
    assert table.to("csv").splitlines() == ["size", "3x5 3x5", "1x1 2xinf"]
    empty = Table([], keys=["a", "b"])
    assert (empty.to("csv"), empty.to("json"), empty.to("markdown")) == ("a,b\n", "[]", "| a | b |\n| --- | --- |")


def test_figures_of_sweeps_are_short_and_say_unknown_as_every_table_does():
    assert list(map(_shown, (math.nan, math.inf, 3.0, 0.123456, 12345.0, "x" * 200, 7))) == [
        *("-", "inf", "3", "0.1235", "12345"),
        "x" * 97 + "...",
        7,
    ]


@pytest.mark.parametrize("model", ["resnet50", "unet3d"])
def test_summaries_fit(model):
    summary = fastrf.analyze(model).summary()
    lines = summary.to_text(80).splitlines()
    assert max(map(len, lines)) <= 80
    assert all(f"{row.size[0]:g}" in " ".join(lines) for row in summary.rows)
    assert str(summary) == summary.to_text()
    assert f"{summary.rows[0].macs:,}" in str(summary)


def test_text_is_ascii_where_stdout_is(monkeypatch):
    summary = fastrf.analyze("alexnet").summary()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(io.BytesIO(), "ascii"))
    assert str(summary).isascii()
    assert console.terminal_width() is None
