"""The explorer's JavaScript: its unit tests, `tests/explorer/*.test.js`, by Node's own runner; rules of its files."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

import fastrf
from tests.browser import chromium

PAGE = Path(fastrf.__file__).parent / "explorer" / "page"
TESTS = Path(__file__).parent / "explorer"
UNITS = sorted(TESTS.glob("*.test.js"))
MODULES = sorted(PAGE.rglob("*.js"))

#: What would run text as a program or ask for something elsewhere, and what the page's policy would forbid.
FORBIDDEN = re.compile(
    r"\beval\(|new Function|innerHTML|outerHTML|insertAdjacentHTML|document\.write|\bfetch\(|XMLHttpRequest|WebSocket"
    r"|EventSource|sendBeacon|importScripts|localStorage|document\.cookie|setAttribute\(\s*[\"'](?:on|style\b)"
)


@pytest.fixture(scope="module")
def node():
    """Node; without it these tests are skipped, or fail where browsers are required."""
    found = chromium.node()
    if found is None and os.environ.get("FASTRF_BROWSER") == "required":
        pytest.fail("there is no node")
    if found is None:
        pytest.skip("there is no node")
    return found


@pytest.fixture(scope="module")
def tree(tmp_path_factory):
    """The tests beside the modules of the fastrf that is imported, which may be installed elsewhere."""
    root = tmp_path_factory.mktemp("explorer")
    shutil.copytree(PAGE, root / "fastrf/explorer/page")
    shutil.copytree(TESTS, root / "tests/explorer")
    (root / "package.json").write_text('{"type": "module"}')
    return root


@pytest.mark.parametrize("test", UNITS, ids=lambda path: path.name)
def test_units(test, node, tree):
    command = [node, "--test", "--test-reporter=spec", f"tests/explorer/{test.name}"]
    settings = {name: value for name, value in os.environ.items() if name != "NODE_OPTIONS"}
    done = subprocess.run(command, cwd=tree, env=settings, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr
    assert int(re.search(r"pass (\d+)", done.stdout)[1]) > 0
    assert re.search(r"skipped 0\b", done.stdout)


@pytest.mark.parametrize("module", MODULES, ids=lambda path: path.stem)
def test_modules_are_short_and_run_no_text(module):
    text = module.read_text()
    assert len(text.splitlines()) <= 420
    assert not FORBIDDEN.findall(text)
