"""Detection: anchors, effective receptive fields and the assignment of objects to positions."""

from __future__ import annotations

__all__: list[str] = []
