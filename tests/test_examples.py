"""The files of docs/examples: they are read, the notebook runs, and what it shows is what it would show now."""

from __future__ import annotations

import ast
import contextlib
import io
import json
from pathlib import Path
from typing import Any

import pytest

import fastrf
from tests.snippets import ROOT

EXAMPLES = ROOT / "docs" / "examples"
NOTEBOOK = json.loads((EXAMPLES / "first_look.ipynb").read_text())


def ran(source: str, names: dict[str, Any]) -> tuple[str, object]:
    """What a cell prints, and the value of its last expression."""
    body = ast.parse(source).body
    last = body.pop() if isinstance(body[-1], ast.Expr) else None
    with contextlib.redirect_stdout(io.StringIO()) as printed:
        exec(compile(ast.Module(body, []), "cell", "exec"), names)
        value = eval(compile(ast.Expression(last.value), "cell", "eval"), names) if last is not None else None
    return printed.getvalue(), value


def test_the_notebook_shows_what_it_would_show_now(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("onnx")
    pytest.importorskip("pyarrow")
    monkeypatch.chdir(EXAMPLES)
    names: dict[str, Any] = {}
    shown = 0
    for cell in NOTEBOOK["cells"]:
        if cell["cell_type"] != "code":
            continue
        printed, value = ran("".join(cell["source"]), names)
        for output in cell["outputs"]:
            if output["output_type"] == "stream":
                assert printed == "".join(output["text"])
            elif "text/html" in output["data"]:
                assert value._repr_html_() == "".join(output["data"]["text/html"])  # type: ignore[attr-defined]
            else:
                told = "".join(output["data"]["text/plain"])
                assert value == ast.literal_eval(told)
            shown += 1
    assert shown >= 5


def test_a_line_of_the_candidates_is_a_network() -> None:
    lines = (EXAMPLES / "candidates.jsonl").read_text().splitlines()
    assert len(lines) == 12
    assert all(fastrf.analyze(json.loads(line)).output.exact for line in lines[:3])


def test_examples_are_small() -> None:
    assert sum(path.stat().st_size for path in Path(EXAMPLES).iterdir()) < 100_000
