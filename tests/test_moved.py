"""Classes by the names of their modules that pickles of version 0.1 hold."""

from __future__ import annotations

import importlib
import subprocess
import sys

import pytest

from fastrf.system.moved import MOVED

CLASSES = [
    *("anchors.reporting.Report", "anchors.reporting.LevelRow", "anchors.reporting.SizeRow"),
    *("anchors.suggesting.Suggestion", "anchors.resizing.Resize", "anchors.forms.Anchors", "anchors.boxes.Boxes"),
    *("anchors.boxes.Rejected", "anchors.assignment.Assignment", "anchors.assignment.LevelAssignment"),
    *("anchors.label_scores.Labels", "anchors.label_scores.Candidates", "anchors.effective.Effective"),
    *("spaces.genotypes.Genotype", "spaces.nasbench101.Cell", "spaces.ofa.Subnet", "spaces.space.Candidates"),
    *("sweeps.sources.Source", "sweeps.sources.InSpace", "sweeps.work.Columnar", "sweeps.metrics.Metric"),
    *("sweeps.result.SweepResult", "sweeps.columns.Column", "sweeps.states.Exact", "sweeps.steps.Window"),
]


@pytest.mark.parametrize("name", CLASSES)
def test_classes_are_found_where_they_were(name):
    module, _, kind = name.rpartition(".")
    assert isinstance(getattr(importlib.import_module(f"fastrf.{module}"), kind), type)


def test_every_module_is_found_where_it_was():
    for old, new in MOVED.items():
        assert importlib.import_module(f"fastrf.{old}") is importlib.import_module(f"fastrf.{new}")


def test_no_old_name_hides_what_is_public():
    """In a process of its own: an import sets the module on its package."""
    told = """
import importlib, pkgutil, fastrf
from fastrf.system.moved import MOVED
names = ["fastrf", *(found.name for found in pkgutil.walk_packages(fastrf.__path__, "fastrf.") if found.ispkg)]
packages = [importlib.import_module(name) for name in names if "frontends" not in name]
before = {(p, name): getattr(p, name) for p in packages for name in getattr(p, "__all__", ())}
for old in MOVED:
    importlib.import_module(f"fastrf.{old}")
assert len(before) > 100
print([name for (p, name), value in before.items() if getattr(p, name) is not value])
"""
    done = subprocess.run([sys.executable, "-c", told], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
