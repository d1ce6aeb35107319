"""Anchors designed from receptive fields: what levels see, where anchors stand, and which to use instead.

`report` and `suggest` are the two questions; `read_boxes` and `read_anchors` read what people have.
"""

from __future__ import annotations

from fastrf.anchors.assignment import Assignment, assign
from fastrf.anchors.boxes import Boxes, Rejected, read_boxes
from fastrf.anchors.effective import Effective, effective, marginals, moments, path_weights, radii, sigmas
from fastrf.anchors.forms import Anchors, read_anchors
from fastrf.anchors.gradients import gradient_effective
from fastrf.anchors.label_scores import atss, gaussian_scores, rfla
from fastrf.anchors.reporting import LevelRow, Report, SizeRow, report
from fastrf.anchors.resizing import Resize
from fastrf.anchors.suggesting import Suggestion, suggest

__all__ = [
    "Anchors",
    "Assignment",
    "Boxes",
    "Effective",
    "LevelRow",
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
