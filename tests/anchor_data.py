"""Boxes for the tests of anchors: COCO's sample of results where it is there, and the definitions written plainly."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from fastrf.anchors import kmeans, reports
from tests.conftest import INTERPRETED

ROOT = Path(__file__).parent.parent
NAME = "coco_instances_val2014_fakebbox100_results.json"


def coco_results() -> str:
    """cocodataset/cocoapi, results/instances_val2014_fakebbox100_results.json: 734 boxes in 99 images."""
    folders = [Path(os.environ.get("FASTRF_SHARED_DATA", "."))] + [p / "shared" / "data" for p in ROOT.parents]
    for folder in folders:
        if (folder / NAME).exists():
            return str(folder / NAME)
    pytest.skip(f"{NAME} is not here")


def shrink(monkeypatch):
    """With the JIT off: k-means from one start with next to no generations, and no effective fields of networks."""
    if INTERPRETED:
        for name, value in (("STARTS", 1), ("REFINED", 1), ("STEPS", 2), ("SAMPLE", 60)):
            monkeypatch.setattr(kmeans, name, value)
        monkeypatch.setattr(reports, "spreads", lambda *_: ())
        draw = kmeans.factors
        monkeypatch.setattr(kmeans, "factors", lambda rng, n, count: draw(rng, min(n, 2), count))


def shape_iou(sizes, anchors):
    """float[n, k]: the IoU of boxes and anchors with the same centre."""
    shared = np.minimum(sizes[:, None], anchors).prod(axis=2)
    return shared / (sizes.prod(axis=1)[:, None] + anchors.prod(axis=1) - shared)


def worst_ratio(sizes, anchors):
    """float[n, k]: ultralytics' autoanchor: of w and h, the smaller of ratio and inverse ratio."""
    ratio = sizes[:, None] / anchors
    return np.minimum(ratio, 1 / ratio).min(axis=2)
