"""Spoilt files of every reader: an answer or one clear line, in bounded time and memory, and nothing else touched."""

from __future__ import annotations

import importlib
import importlib.util
import os
import random
import subprocess
import sys

import pytest

from tests.conftest import scaled
from tests.fuzz import files
from tests.fuzz.readers import READERS

pytestmark = pytest.mark.slow

for needed in ("onnx", "pyarrow", "zarr"):
    pytest.importorskip(needed)


@pytest.mark.parametrize("name", [name for name in READERS if name != "onnx"])
def test_every_reader_reads_what_is_not_spoilt(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for k, seed in enumerate(READERS[name].seeds()):
        folder = tmp_path / str(k)
        for path, content in seed.items():
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            (folder / path).write_bytes(content)
        monkeypatch.chdir(folder)
        READERS[name].read()


def test_without_torch_no_programs_are_drawn():
    hidden = "import importlib.util as u; find = u.find_spec; u.find_spec = lambda n, *a: n != 'torch' and find(n, *a)"
    code = f"{hidden}; from tests.fuzz.readers import READERS; print(*READERS)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, "pt2" in done.stdout, "spec" in done.stdout) == (0, False, True)


def test_a_short_run(tmp_path, capsys):
    """What `python -m tests.fuzz.files` does for as long as it is told."""
    code = files.main(["--cases", str(scaled(150)), "--folder", str(tmp_path)])
    assert (code, capsys.readouterr().out.splitlines()[:-1]) == (0, [])


def test_what_no_file_may_do_is_noticed(tmp_path, monkeypatch):
    def harmful(do):
        files.make("spec", random.Random(0), tmp_path / "c")
        monkeypatch.setitem(files.READERS, "spec", files.READERS["spec"].__class__(list, do))
        with pytest.raises(AssertionError, match=r"the case did|was changed|MiB"):
            files.target(str(tmp_path / "c"))
        monkeypatch.undo()
        monkeypatch.syspath_prepend(tmp_path / "c" / "case")

    harmful((tmp_path / "c" / "home" / "precious").unlink)
    harmful(lambda: (tmp_path / "mark").write_text("x"))
    harmful(lambda: importlib.import_module("payload"))
    harmful(lambda: os.system("true"))
