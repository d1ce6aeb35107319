"""Tables for people: they fit the terminal, and no number is wrapped, cut or shown in a character that is not there."""

from __future__ import annotations

import io
import sys

import pytest

import fastrf
from fastrf.outputs.tabular import Table
from fastrf.system import terminal as console

HEADER = ["layer", "operator", "parameters", "receptive field", "exact"]
ROWS = [
    [f"encoder.layers.{k}.attention: scores_{k}", "softmax", f"{10**k:,}", f"{k}..{10**k}", "yes"] for k in range(9)
]
wide = Table(HEADER, ROWS, names=2, left=2, drop=["parameters", "operator"])


@pytest.mark.parametrize("width", [32, 40, 60, 80, 100, 200])
def test_numbers_are_whole_at_every_width(width):
    lines = wide.lines(width)
    assert max(map(len, lines)) <= width
    text = "\n".join(lines)
    assert all(row[3] in text for row in ROWS)
    assert all((row[2] in text) == ("parameters" not in text.partition("left out")[2]) for row in ROWS[3:])
    assert ("left out to fit the terminal:" in text) == (width < 80)
    assert ("names are shortened" in text) == (width < 100)


def test_columns_go_from_the_right_but_for_those_to_keep():
    table = Table(["id", "a", "b", "c"], [["one", "1" * 20, "2" * 20, "3" * 20]], keep=("b",))
    text = "\n".join(table.lines(40))
    assert "2" * 20 in text
    assert "left out to fit the terminal: a, c" in text
    assert table.lines() == table.lines(100)


def test_names_are_cut_in_the_middle_by_the_width_that_a_terminal_gives_them():
    table = Table(["name", "n"], [["数" * 30 + "end", "7"], ["short", "8"]])
    rows = table.lines(40)[2:4]
    assert "…" in rows[0]
    assert rows[0].endswith("end   7")
    assert rows[1].endswith(" 8")
    assert ".." in table.lines(40, ascii_only=True)[2]


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
