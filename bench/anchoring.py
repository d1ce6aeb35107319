"""Anchors: reports of many boxes, and suggestions beside plain k-means of scikit-learn refined on IoU."""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt

import fastrf
from bench.figure import Figure
from bench.timing import median_seconds
from fastrf import anchors

__all__ = ["anchoring", "known_boxes", "many_boxes", "scikit_learn"]

FloatArray = npt.NDArray[np.float64]
PYRAMID = ["p3", "p4", "p5", "p6", "p7"]
_DATA = Path("shared", "data", "coco_instances_val2014_fakebbox100_results.json")


def many_boxes(n: int) -> FloatArray:
    """Widths and heights as detection data sets have them."""
    return np.random.default_rng(0).lognormal(4, 0.9, (n, 2)).clip(3, 800)


def known_boxes() -> tuple[str, FloatArray]:
    """COCO's sample of results where it is there, otherwise made ones."""
    for folder in Path(__file__).parent.parent.parents:
        if (folder / _DATA).exists():
            return "COCO's sample of 734 boxes", anchors.read_boxes(folder / _DATA).sizes
    return "734 made boxes", many_boxes(734)


def scikit_learn(sizes: FloatArray, count: int) -> float:
    """The mean best shape IoU of scikit-learn's k-means, refined by k-means on 1 - IoU: the best of four ways.

    On sizes and on their logarithms, refined by means and by medians.
    """
    from sklearn.cluster import KMeans

    best = 0.0
    for data, back in ((sizes, lambda c: c), (np.log(sizes), np.exp)):
        start = back(KMeans(count, n_init=10, random_state=0).fit(data).cluster_centers_)
        for average in (np.mean, np.median):
            centres = start
            for _ in range(100):
                shared = np.minimum(sizes[:, None], centres).prod(axis=2)
                iou = shared / (sizes.prod(axis=1)[:, None] + centres.prod(axis=1) - shared)
                best = max(best, float(iou.max(axis=1).mean()))
                nearest = iou.argmax(axis=1)
                own = [sizes[nearest == k] for k in range(count)]
                centres = np.array([average(o, axis=0) if len(o) else c for o, c in zip(own, centres, strict=True)])
    return best


def anchoring(repeats: int, smoke: bool) -> Iterator[Figure]:
    """Figures of anchors."""
    n = 10_000 if smoke else 1_000_000
    analysis = fastrf.analyze("fpn_resnet50")
    sizes = many_boxes(n)
    spent = median_seconds(
        lambda: anchors.report(analysis, PYRAMID, "retinanet", sizes), 1 if smoke else max(3, repeats // 3)
    )
    yield Figure(f"anchor report, {n:,} boxes x 5 levels x 9 anchors", "5 s", f"{spent:.2f} s", spent < 5)
    rows = [{"image_id": k % 1000, "bbox": [1.0, 2.0, w, h]} for k, (w, h) in enumerate(sizes.tolist())]
    data = json.loads(json.dumps(rows))
    spent = median_seconds(lambda: anchors.read_boxes(data), 1)
    yield Figure(f"{n:,} COCO results checked, after json", "reported", f"{spent:.2f} s", None)
    if importlib.util.find_spec("sklearn") is None:
        return
    what, known = known_boxes()
    detector = fastrf.analyze("yolov5s")
    for per_level in (3,) if smoke else (2, 3, 5):
        found = anchors.suggest(detector, ["p3", "p4", "p5"], known, per_level=per_level)
        ours, theirs = found.report.overall["mean_iou"], scikit_learn(known, 3 * per_level)
        yield Figure(
            f"mean best IoU of {3 * per_level} anchors by k-means, {what}",
            "scikit-learn's k-means refined on IoU",
            f"{ours:.4f} against {theirs:.4f}",
            ours >= theirs,
        )
