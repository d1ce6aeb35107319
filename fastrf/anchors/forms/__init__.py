"""Anchors in the forms of torchvision, mmdetection, YOLO and LFFD, and those of published detectors."""

from fastrf.anchors.forms.anchor_set import Anchors
from fastrf.anchors.forms.readers import read_anchors

__all__ = ["Anchors", "read_anchors"]
