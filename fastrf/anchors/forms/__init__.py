"""Anchors in the forms of torchvision, mmdetection, YOLO and LFFD, and those of published detectors."""
