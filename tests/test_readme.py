"""Every snippet of the README runs, and its comments are true."""

from __future__ import annotations

import re
import shlex
import tomllib

import numpy as np
import pytest

import fastrf
from fastrf.cli import commands as cli
from tests import snippets
from tests.conftest import INTERPRETED

README = (snippets.ROOT / "README.md").read_text()


def blocks(language):
    return snippets.blocks(README, language)


def test_python_snippets_and_their_comments():
    assert snippets.check_python(README) >= 8


def test_toml_snippet():
    (text,) = blocks("toml")
    field = fastrf.analyze(tomllib.loads(text)).output
    assert field.densities()[30, 30] < 1


def write_model(path):
    """A file with open sizes."""
    onnx = pytest.importorskip("onnx")
    sizes = [("images", [1, 3, "height", "width"]), ("y", None)]
    ends = [onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, shape) for name, shape in sizes]
    kernel = onnx.numpy_helper.from_array(np.ones((8, 3, 3, 3), np.float32), "w")
    node = onnx.helper.make_node("Conv", ["images", "w"], ["y"], strides=[2, 2])
    graph = onnx.helper.make_graph([node], "g", ends[:1], ends[1:], [kernel])
    path.write_bytes(onnx.helper.make_model(graph).SerializeToString())


@pytest.mark.parametrize(
    "line", [line for block in blocks("sh") for line in block.splitlines() if line.startswith("fastrf ")]
)
def test_command_lines(line, tmp_path, monkeypatch, capsys):
    if INTERPRETED and line.startswith("fastrf masks"):
        pytest.skip("thousands of masks take minutes with the JIT off; tests/test_streams.py writes small ones")
    monkeypatch.chdir(tmp_path)
    if "model.onnx" in line:
        write_model(tmp_path / "model.onnx")
    with pytest.raises(SystemExit) as stop:
        cli.main(shlex.split(line)[1:])
    assert not stop.value.code
    out, err = capsys.readouterr()
    assert out or err


def test_the_two_commands_open_the_readme():
    first, second = (block.strip() for block in blocks("sh")[:2])
    assert re.fullmatch(r"pip install \. && fastrf summary \w+ --depth 1", first)
    assert re.fullmatch(r"pip install '\.\[test\]' && pytest -q", second)
