"""The README: short, with the two commands first, and links that hold wherever it is read.

`tests/test_docs.py` runs its snippets.
"""

from __future__ import annotations

import re
import tomllib

from tests import snippets

README = (snippets.ROOT / "README.md").read_text()
PROJECT = tomllib.loads((snippets.ROOT / "pyproject.toml").read_text())["project"]


def test_it_is_short():
    assert len(README.splitlines()) <= 150


def test_the_two_commands_open_the_readme():
    first, second = re.findall(r"^pip install .* && .*$", README, re.MULTILINE)
    assert re.fullmatch(r"pip install \. && fastrf summary \w+ --depth 1", first)
    assert re.fullmatch(r"pip install '\.\[test\]' && pytest -q", second)


def test_links_lead_somewhere():
    """To the web, or to a file of the project; once it has an address, all of them from there."""
    home = PROJECT.get("urls", {}).values()
    links = re.findall(r"\]\(([^)]+)\)", README)
    assert links
    for link in links:
        if re.match(r"https?://", link):
            continue
        assert not home, f"{link}: write it from {next(iter(home))}, since a package index knows no other files"
        assert (snippets.ROOT / link.partition("#")[0]).is_file(), link
