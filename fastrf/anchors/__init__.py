"""Anchors designed from receptive fields: what levels see, where anchors stand, and which to use instead.

`report` and `suggest` are the two questions; `read_boxes` and `read_anchors` read what people have.
"""

from __future__ import annotations

from fastrf.anchors.assignment.assigners import Candidates, Labels, atss, gaussian_scores, rfla
from fastrf.anchors.assignment.dense import Assignment, assign
from fastrf.anchors.boxes.box_set import Boxes, Rejected
from fastrf.anchors.boxes.readers import read_boxes
from fastrf.anchors.forms.anchor_set import Anchors
from fastrf.anchors.forms.readers import read_anchors
from fastrf.anchors.reports import report
from fastrf.anchors.resize_rules import Resize
from fastrf.anchors.suggestions import Suggestion, suggest
from fastrf.anchors.tables import LevelRow, Report, SizeRow
from fastrf.erf.gradients import gradient_effective
from fastrf.erf.maps import Effective, Moments, effective, marginals, moments, path_weights, radii, sigmas

__all__ = [
    "Anchors",
    "Assignment",
    "Boxes",
    "Candidates",
    "Effective",
    "Labels",
    "LevelRow",
    "Moments",
    "Rejected",
    "Report",
    "Resize",
    "SizeRow",
    "Suggestion",
    "assign",
    "atss",
    "effective",
    "gaussian_scores",
    "gradient_effective",
    "marginals",
    "moments",
    "path_weights",
    "radii",
    "read_anchors",
    "read_boxes",
    "report",
    "rfla",
    "sigmas",
    "suggest",
]
