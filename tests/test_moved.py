"""Classes by the names of their modules that pickles of version 0.1 hold."""

from __future__ import annotations

import importlib

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
