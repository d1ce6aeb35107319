"""The pages of documentation: every snippet runs, every public name has its place, every command its page."""

from __future__ import annotations

import inspect
import json
import re
import sys
import tomllib
from dataclasses import fields, is_dataclass
from pathlib import Path

import numpy as np
import pytest

import fastrf
from bench import reference
from fastrf import anchors, ops, plot, spaces, testing, tiling, zoo
from fastrf.cli.commands import app
from fastrf.ops.rules import MODULES, RULES
from tests import snippets
from tests.conftest import INTERPRETED

DOCS = snippets.ROOT / "docs"
PAGES = sorted(str(path.relative_to(DOCS)) for path in DOCS.rglob("*.md"))
#: Pages whose snippets other tests run: on smaller data, or beside a brute force.
ELSEWHERE = {
    "anchors.md": "test_anchors_docs",
    "ci.md": "test_ci",
    "rules.md": "test_torch_rules",
    "search.md": "test_search",
}
API = "".join((DOCS / page).read_text() for page in PAGES if page.startswith("api/"))


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """The current folder, with the files that pages speak of."""
    monkeypatch.chdir(tmp_path)
    sizes = np.random.default_rng(0).lognormal(4, 0.8, (60, 2)).clip(4, 400).round(1).tolist()
    boxes = [{"id": k, "image_id": k % 6, "category_id": 1, "bbox": [5, 7, *size]} for k, size in enumerate(sizes)]
    images = [{"id": k, "width": 640, "height": 480} for k in range(6)]
    Path("instances.json").write_text(json.dumps({"images": images, "annotations": boxes}))
    Path("candidates.jsonl").write_text('{"source": "alexnet"}\n{"source": "resnet18"}\n')
    Path("net.toml").write_text('input_shape = [1, 8, 8]\n[[layers]]\nop = "conv"\nout_channels = 1\nkernel_size = 3\n')
    if snippets.installed("onnx"):
        Path("models").mkdir()
        for name in ("model.onnx", "a.onnx", "models/a.onnx", "models/b.onnx"):
            write_model(name)
    if snippets.installed("matplotlib"):
        monkeypatch.setenv("MPLBACKEND", "agg")
        from matplotlib import image

        image.imsave("photo.png", np.linspace(0, 1, 260 * 260).reshape(260, 260))
    yield tmp_path
    if "matplotlib.pyplot" in sys.modules:
        sys.modules["matplotlib.pyplot"].close("all")


def write_model(path):
    """A file with open sizes."""
    import onnx

    sizes = [("images", [1, 3, "height", "width"]), ("y", None)]
    ends = [onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, shape) for name, shape in sizes]
    kernel = onnx.numpy_helper.from_array(np.ones((8, 3, 3, 3), np.float32), "w")
    node = onnx.helper.make_node("Conv", ["images", "w"], ["y"], strides=[2, 2])
    graph = onnx.helper.make_graph([node], "g", ends[:1], ends[1:], [kernel])
    onnx.save(onnx.helper.make_model(graph), path)


@pytest.fixture
def own_rules(monkeypatch):
    """Rules that a page registers are gone after it."""
    kept = dict(RULES), dict(MODULES)
    yield
    for registry, before in zip((RULES, MODULES), kept, strict=True):
        registry.clear()
        registry.update(before)


@pytest.mark.skipif(INTERPRETED, reason="pages run with compiled kernels")
@pytest.mark.parametrize("page", [page for page in PAGES if page not in ELSEWHERE] + ["../README.md"])
def test_snippets_run_and_what_they_say_is_true(page, folder, own_rules):
    snippets.Reader().read((DOCS / page).read_text())


def test_pages_that_are_run_elsewhere():
    for page, test in ELSEWHERE.items():
        assert page in (snippets.ROOT / "tests" / f"{test}.py").read_text()


def test_only_what_needs_a_cluster_is_not_run():
    assert [page for page in PAGES if snippets.blocks((DOCS / page).read_text(), "py")] == ["sweep.md"]


def test_written_pages_are_what_the_program_says():
    for page, text in reference.written():
        assert (DOCS / page).read_text() == text, f"python -m bench.reference writes {page}"


def test_every_page_is_in_the_navigation_and_can_be_reached():
    listed = re.findall(r"[\w/]+\.md", (snippets.ROOT / ".ci" / "mkdocs.yml").read_text())
    assert sorted(listed) == PAGES


PLACES = {part.__name__: part for part in (fastrf, anchors, ops, plot, spaces, testing, tiling, zoo)}


@pytest.mark.parametrize("name", [f"{place}.{name}" for place, module in PLACES.items() for name in module.__all__])
def test_every_public_name_has_an_entry(name):
    assert re.search(rf"^::: {re.escape(name)}$|`{re.escape(name)}[`(]|^::: {re.escape(name)}\.", API, re.MULTILINE)


def members(kind):
    """The public members of a class: methods, properties, fields of a data class, what `__init__` sets."""
    found = {name for name in dir(kind) if not name.startswith("_")}
    if is_dataclass(kind):
        return found | {one.name for one in fields(kind)}
    return found | set(re.findall(r"^        self\.([a-z]\w*)\b.* = ", inspect.getsource(kind.__init__), re.MULTILINE))


CLASSES = {
    fastrf.ReceptiveField: "api/field.md",
    fastrf.Why: "api/field.md",
    fastrf.Reason: "api/field.md",
    fastrf.Analysis: "api/analysis.md",
    fastrf.Network: "api/analysis.md",
    fastrf.Summary: "api/tables.md",
    fastrf.CheckResult: "api/checks.md",
    fastrf.Diff: "api/checks.md",
    fastrf.Lock: "api/checks.md",
    fastrf.Change: "api/checks.md",
    fastrf.SweepResult: "api/sweeps.md",
}


@pytest.mark.parametrize("kind", CLASSES, ids=lambda kind: kind.__name__)
def test_every_member_has_an_example(kind):
    code = "\n".join(snippets.blocks((DOCS / CLASSES[kind]).read_text(), "python"))
    code = re.sub(r"#.*", "", code)
    of_mapping = {"get", "items", "keys", "values"} if kind is fastrf.Analysis else set()
    missing = [name for name in sorted(members(kind) - of_mapping) if not re.search(rf"\w[\])]?\.{name}\b", code)]
    assert not missing


@pytest.mark.parametrize("name", [command.name or command.callback.__name__ for command in app.registered_commands])
def test_every_command_has_a_page_with_an_example(name):
    page = (DOCS / "commands" / f"{name}.md").read_text()
    lines = "\n".join(snippets.blocks(page, "sh"))
    assert re.search(rf"^fastrf {name}\b", lines, re.MULTILINE)
    assert f"({name}.md)" in (DOCS / "commands" / "index.md").read_text()


def test_readers_see_what_is_false(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    ticks = "```"
    for block in (
        "python\n1 + 1  # 3\n",
        "python\nprint(1)\n```\n\n```text\n2\n",
        "sh\nfastrf summary nothing.toml\n",
        "sh\nfastrf zoo --json\n```\n\n```text\n{}\n",
        "py\n1 +\n",
        "toml\na = \n",
    ):
        with pytest.raises((AssertionError, SyntaxError, tomllib.TOMLDecodeError)):
            snippets.Reader().read(f"{ticks}{block}{ticks}\n")
    absent = f"{ticks}python\nimport nothing_like_it\nx = 1\n{ticks}\n{ticks}python\nx + 1  # 3\n{ticks}\n"
    assert snippets.Reader().read(absent) == 0
    assert snippets.Reader().read(f"{ticks}python\n2 * 3  # 6: six\n[1]  # a list\n{ticks}\n") == 1
