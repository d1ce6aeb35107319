"""Texts of strangers: none names code that runs, none is obeyed by what shows it."""

from __future__ import annotations

import csv
import json
import re

import pytest

import fastrf
from fastrf.system import texts

# Text that names code -----------------------------------------------------------------------------------------


def test_lines_of_candidates_name_no_code(tmp_path, monkeypatch):
    pytest.importorskip("pyarrow")
    from fastrf.sweeps.candidates import candidates_of

    monkeypatch.chdir(tmp_path)
    (tmp_path / "payload.py").write_text("open('mark', 'w')")
    (tmp_path / "net.json").write_text('{"conv": [3, 1, 1]}')
    lines = [
        '"payload:x"',
        '{"source": "payload:x"}',
        '{"id": "a", "source": {"source": "payload:x"}}',
        '{"id": "b", "source": ["payload:x"]}',
        '"sys:exit"',
        '{"id": "c", "space": "payload:x", "arch": "payload:x"}',
        '{"id": "d", "source": "./payload:x.pt2"}',
        "[" * 500 + "]" * 500,
        '"resnet18"',
        '{"id": "net", "source": "net.json", "input_shape": [1, 8, 8]}',
    ]
    (tmp_path / "c.jsonl").write_text("\n".join(lines))
    rows = fastrf.sweep(candidates_of(["c.jsonl"], None, 0), (3, 64, 64), ["size"], progress=False).to_rows()
    assert [row["ok"] for row in rows] == [False] * 8 + [True] * 2
    assert "names code, which a file may not" in rows[0]["error"]
    assert not (tmp_path / "mark").exists()


def test_python_text_repeats_nothing_without_end():
    from fastrf.anchors.forms import literals

    lines = ["a = [1] * 10000", *(f"{b} = [{a}] * 10000" for a, b in zip("abcdef", "bcdefg", strict=True))]
    found = literals.parse("\n".join([*lines, "h = dict(x=a)", "i = [h, h]", "j = [i] * 9999"]), "here")
    assert found["a"] == [1] * 10000
    assert found["c"] is literals.OPAQUE
    assert sum(1 for _ in literals.mappings(found)) < 100


# Text that leaves ---------------------------------------------------------------------------------------------

HOSTILE = (
    "=1+1",
    "+x()",
    "-x()",
    "@x",
    "\t=1",
    "\r=1",
    "a|b",
    "<b>",
    "`c`",
    "[d](e)",
    "\\|",
    "\x1b[31m",
    "\u202e",
    "[bold]",
)


def test_texts_are_shown_and_not_obeyed():
    cells = [texts.csv_cell(text) for text in HOSTILE]
    assert not any(cell[0] in "=+-@\t\r" for cell in cells)
    assert all(cell.isprintable() for cell in cells)
    assert [texts.csv_cell(value) for value in ("-1.5x-2", "+3", "-inf", "-", 5, None)] == [
        *("-1.5x-2", "+3", "-inf", "-"),
        *(5, None),
    ]
    assert [texts.from_csv_cell(texts.csv_cell(text)) for text in HOSTILE[:4]] == list(HOSTILE[:4])
    assert texts.from_csv_cell(texts.csv_cell("'=1")) == "'=1"
    table = texts.markdown_rows(["name"], [[text] for text in HOSTILE])
    assert len(table.splitlines()) == 2 + len(HOSTILE)
    assert "<" not in table
    assert all(len(re.findall(r"(?<!\\)(?:\\\\)*\|", line)) == 2 for line in table.splitlines())


def test_names_of_a_network_are_shown_and_not_obeyed(tmp_path):
    names = [name for name in HOSTILE if name.isprintable()]
    layers = [{"name": name, "op": "relu"} for name in names]
    summary = fastrf.analyze({"name": "=n|<i>", "input_shape": [1, 4], "layers": layers}).summary()
    for row, name in zip(csv.reader(summary.to_csv().splitlines()[1:]), names, strict=True):
        assert row[0] == texts.csv_cell(name)
    assert "<" not in summary.to_markdown()
    assert all(name in str(summary) for name in names)
    assert [row["name"] for row in json.loads(summary.to_json())["layers"]] == names
    for name in HOSTILE:
        if not name.isprintable():
            with pytest.raises(fastrf.NetworkError, match="printable"):
                fastrf.load({"name": name, "input_shape": [1, 4], "layers": [{"op": "relu"}]})
    (tmp_path / "a\x1b[31m\nb.json").write_text('{"input_shape": [1, 4], "layers": [{"op": "relu"}]}')
    assert fastrf.load(tmp_path / "a\x1b[31m\nb.json").name == "a\\x1b[31m\\nb"
    with pytest.raises(fastrf.FormatError) as error:
        fastrf.load(tmp_path / "c\x1b[31m\n.json")
    assert str(error.value).isprintable()


def test_ids_of_candidates_are_shown_and_not_obeyed(tmp_path):
    pytest.importorskip("pyarrow")
    candidates = [(name, {"a": [3, 1, 1]}) for name in (*HOSTILE, "\ud800")]
    path = tmp_path / "t.csv"
    result = fastrf.sweep(candidates, (1, 8, 8), ["size"], output=path, progress=False)
    assert [row["id"] for row in result.to_rows()] == [texts.shown(name) for name, _ in candidates]
    assert not any(line[1] in "=+-@" for line in path.read_text().splitlines())
