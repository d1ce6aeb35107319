"""Which positions are for which boxes: by exact masks, and as RFLA and ATSS choose them."""

from fastrf.anchors.assignment.dense import Assignment, LevelAssignment, assign

__all__ = ["Assignment", "LevelAssignment", "assign"]
