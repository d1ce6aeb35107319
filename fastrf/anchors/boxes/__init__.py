"""Boxes as people have them: COCO, YOLO labels, VOC, tables."""

from fastrf.anchors.boxes.box_set import Boxes, Rejected
from fastrf.anchors.boxes.readers import read_boxes

__all__ = ["Boxes", "Rejected", "read_boxes"]
