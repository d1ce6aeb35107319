"""Anchors as people write them: torchvision, mmdetection, YOLO, and the built-in ones."""
