"""The commands and snippets of docs/anchors.md run, and what they say is true."""

from __future__ import annotations

import json
import re
import shlex

import numpy as np
import pytest

import fastrf
from fastrf.anchors.forms.anchor_set import FORMS
from fastrf.cli import commands as cli
from tests.anchor_data import ROOT, shrink
from tests.conftest import INTERPRETED

#: The header of a picture of 64 x 48.
PNG = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\0\x40\0\0\0\x30\x08\x02\0\0\0"
PAGE = (ROOT / "docs" / "anchors.md").read_text()


def blocks(language):
    return re.findall(rf"```{language}\n(.*?)```", PAGE, re.DOTALL)


COMMANDS = [line for block in blocks("sh") for line in block.splitlines()]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """The files that the page speaks of, with 120 boxes in six images."""
    folder = tmp_path_factory.mktemp("docs")
    rng = np.random.default_rng(0)
    sizes = rng.lognormal(4, 0.8, (120, 2)).clip(4, 400).round(1).tolist()
    boxes = [{"id": k, "image_id": k % 6, "category_id": 1, "bbox": [5, 7, *sizes[k]]} for k in range(120)]
    images = [{"id": k, "width": 640 + 40 * k, "height": 480} for k in range(6)]
    (folder / "instances.json").write_text(json.dumps({"images": images, "annotations": boxes}))
    (folder / "results.json").write_text(json.dumps([{**box, "score": 0.5} for box in boxes]))
    (folder / "coco8" / "images").mkdir(parents=True)
    (folder / "coco8" / "labels").mkdir()
    (folder / "coco8" / "data.yaml").write_text("path: ../coco8\ntrain: images\n")
    (folder / "coco8" / "images" / "a.png").write_bytes(PNG)
    (folder / "coco8" / "labels" / "a.txt").write_text("0 0.5 0.5 0.2 0.1\n")
    (folder / "labels").mkdir()
    (folder / "labels" / "a.txt").write_text("0 0.5 0.5 0.2 0.1\n1 0.25 0.25 0.1 0.4\n")
    return folder


@pytest.fixture(autouse=True)
def there(folder, monkeypatch):
    monkeypatch.chdir(folder)
    shrink(monkeypatch)


@pytest.mark.parametrize("line", COMMANDS)
def test_commands(line, capsys):
    if INTERPRETED and "effective" in line:
        pytest.skip("minutes with the JIT off")
    with pytest.raises(SystemExit) as stop:
        cli.main(shlex.split(line)[1:])
    out, err = capsys.readouterr()
    assert not stop.value.code, err
    assert out or "wrote" in err


@pytest.mark.skipif(INTERPRETED, reason="effective fields are left out with the JIT off")
def test_the_printed_table(capsys):
    with pytest.raises(SystemExit):
        cli.main(shlex.split(COMMANDS[0])[1:])
    out = {tuple(line.split()) for line in capsys.readouterr().out.splitlines()}
    (table,) = re.findall(r"\n```\n(  level.*?)```", PAGE, re.DOTALL)
    assert {tuple(line.split()) for line in table.splitlines()} <= out


def test_python_snippets_and_their_comments():
    names: dict[str, object] = {"fastrf": fastrf}
    checked = 0
    for line in "\n".join(blocks("python")).splitlines():
        code, _, comment = line.partition("#")
        if comment:
            assert eval(code, names) == eval(comment.strip().partition(":")[0], names)
            checked += 1
        else:
            exec(line, names)
    assert checked == 8


def test_every_form_and_method_is_in_the_page():
    for word in (
        *fastrf.anchors.suggestions.METHODS,
        *FORMS,
        *fastrf.anchors.resize_rules.RULES,
    ):
        assert word in PAGE
