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
    """To pages of the site or files of the repository, by their addresses: a package index knows no other files."""
    pages, files = PROJECT["urls"]["Documentation"], f"{PROJECT['urls']['Repository']}/blob/main/"
    links = re.findall(r"\]\(([^)]+)\)", README)
    assert len(links) > 10
    for link in links:
        name = link.removeprefix(files).removeprefix(files.replace("/blob/", "/raw/"))
        if link.startswith(pages):
            name = f"docs/{link.removeprefix(pages).removesuffix('.html') or 'index'}.md"
        assert (snippets.ROOT / name).is_file(), link
