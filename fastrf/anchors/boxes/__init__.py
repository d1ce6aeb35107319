"""Boxes as people have them: COCO, YOLO labels, VOC, tables."""
