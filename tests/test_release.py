"""What goes with a release says the same everywhere."""

from __future__ import annotations

import tomllib

import pytest

import fastrf
from tests.snippets import ROOT


def test_the_citation_is_of_this_version() -> None:
    yaml = pytest.importorskip("yaml")
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert citation["version"] == fastrf.__version__
    assert (citation["license"], citation["repository-code"]) == (project["license"], project["urls"]["Repository"])
    assert [author["name"] for author in citation["authors"]] == [author["name"] for author in project["authors"]]


def test_issue_templates_ask_for_what_is_needed() -> None:
    yaml = pytest.importorskip("yaml")
    if not (ROOT / ".github").is_dir():
        pytest.skip("a source distribution has no templates of the repository")
    forms = sorted((ROOT / ".github" / "ISSUE_TEMPLATE").glob("*.yml"))
    assert [form.stem for form in forms] == ["config", "idea", "model_not_read", "wrong_answer"]
    for form in forms[1:]:
        asked = yaml.safe_load(form.read_text())["body"]
        assert any(part.get("validations", {}).get("required") for part in asked), form
