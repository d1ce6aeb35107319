"""The pytest plugin: rules and lock files in tests, and what it costs those who do not ask for it."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

import fastrf
from fastrf import testing
from fastrf.errors import FormatError, UsageError
from fastrf.testing import assert_receptive_field as asserted
from tests.test_ci import run_pytest

NET = [fastrf.conv(4, 3, padding=1, name="one"), fastrf.conv(4, 3, padding=1, name="two")]
OTHER = [fastrf.conv(4, 3, padding=1, name="one"), fastrf.conv(4, 3, padding=2, dilation=2, name="two")]
TEST = """
import fastrf

NET = [fastrf.conv(4, 3, padding=1, name="one"), fastrf.conv(4, 3, padding={padding}, dilation={dilation}, name="two")]

def test_net(assert_receptive_field):
    assert assert_receptive_field(NET, (1, 16, 16)).output.name == "two"
    assert_receptive_field(NET[:1], (1, 16, 16))

class TestMore:
    def test_rules(self, assert_receptive_field):
        assert_receptive_field(NET, (1, 16, 16), rules=["two.size <= 5"])

    def test_named(self, assert_receptive_field):
        assert_receptive_field(NET, (1, 16, 16), rules=["two.exact == true"], lock="a net")
        assert_receptive_field(NET, (1, 16, 16), lock="deeper/own.json")
"""


def test_rules_and_lock_files(tmp_path):
    path = tmp_path / "deep" / "rf.lock.json"
    with pytest.raises(
        AssertionError, match=r"there is no lock file .*rf\.lock\.json; pytest --fastrf-update writes it"
    ):
        asserted(NET, (1, 16, 16), lock=path)
    found = asserted(NET, (1, 16, 16), rules="two.size == 5", lock=path, update=True)
    assert found["two"].size == (5, 5)
    assert fastrf.Lock.read(path).entries["two"].size == (5, 5)
    asserted(found, lock=path)
    with pytest.raises(AssertionError) as failed:
        asserted(OTHER, (1, 16, 16), lock=path)
    told = str(failed.value)
    assert "size 5 -> 7" in told
    assert "changed itself" in told
    assert "if this is meant, pytest --fastrf-update writes the lock file anew" in told
    with pytest.raises(AssertionError) as failed:
        asserted(NET, (1, 16, 16), rules=["two.size >= 5", "one.size >= 5"])
    assert "one.size >= 5" in str(failed.value)
    assert "two.size" not in str(failed.value)
    assert "--fastrf-update" not in str(failed.value)


def test_what_is_wrong_is_no_failure_of_the_model(tmp_path):
    path = tmp_path / "rf.lock.json"
    for arguments, options, kind, said in (
        ((NET, (1, 16, 16)), {}, UsageError, "nothing to assert"),
        ((fastrf.analyze(NET, (1, 16, 16)), (1, 8, 8)), {"lock": path}, UsageError, "this is an analysis"),
        ((NET, (1, 16, 16)), {"rules": "two.sise >= 3"}, UsageError, "sise"),
        ((NET, (1, 16, 16)), {"rules": "two.sise >= 3", "lock": path, "update": True}, UsageError, "sise"),
    ):
        with pytest.raises(kind, match=said):
            asserted(*arguments, **options)
    assert not path.exists()
    path.write_text("{")
    with pytest.raises(FormatError, match="not JSON"):
        asserted(NET, (1, 16, 16), lock=path)


def test_the_fixture(tmp_path):
    test = tmp_path / "tests" / "test_net.py"
    test.parent.mkdir()
    test.write_text(TEST.format(padding=1, dilation=1))
    done = run_pytest(folder=tmp_path)
    assert "2 failed, 1 passed" in done.stdout, done.stdout
    assert "pytest --fastrf-update writes it" in done.stdout
    assert not (test.parent / "fastrf_locks").exists()
    done = run_pytest("--fastrf-update", "-n", "2", folder=tmp_path)
    assert "3 passed" in done.stdout, done.stdout
    locks = sorted(str(path.relative_to(test.parent)) for path in test.parent.rglob("*.json"))
    assert locks == [
        "deeper/own.json",
        f"fastrf_locks/{testing._file_name('a net')}.json",
        "fastrf_locks/test_net.test_net.2.json",
        "fastrf_locks/test_net.test_net.json",
    ]
    assert done.stdout.count("wrote ") == 4
    assert set(json.loads((test.parent / locks[3]).read_text())["entries"]) == {"one", "two"}
    done = run_pytest("--fastrf-update", folder=tmp_path)
    assert ("3 passed" in done.stdout, "wrote" in done.stdout) == (True, False)
    test.write_text(TEST.format(padding=2, dilation=2))
    done = run_pytest(folder=tmp_path)
    assert "3 failed" in done.stdout
    assert done.stdout.count("size 5 -> 7") >= 2
    assert "testing.py" not in done.stdout.partition("short test summary")[0]


def test_names_of_files():
    assert testing._file_name("test_a.test_b") == "test_a.test_b"
    names = {testing._file_name(name) for name in ("a/b", "a b", "a_b", "..\\a", "\u00e9", "x" * 300)}
    assert len(names) == 6
    assert all(name.isascii() and len(name) < 140 and "/" not in name for name in names)


def test_the_plugin_reads_nothing_before_it_is_asked():
    heavy = ["numba", "numpy", "scipy", "torch", "rich", "typer"]
    code = f"import sys, fastrf.testing; print([m for m in {heavy} if m in sys.modules])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"


def test_without_pytest_the_assertion_is_there():
    code = "import sys; sys.modules['pytest'] = None\nfrom fastrf.testing import assert_receptive_field as f\n"
    code += "import fastrf; print(f([fastrf.conv(1, 3)], (1, 8, 8), rules='output.size == 3').output.size)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "(3, 3)\n"


def test_pytest_finds_the_plugin():
    import tomllib

    from tests.snippets import ROOT

    points = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["entry-points"]["pytest11"]
    assert points == {"fastrf.testing": "fastrf.testing"}
