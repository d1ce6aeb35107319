"""How other assigners choose positions for objects, to lay beside dense assignment: RFLA and ATSS.

One image at a time: objects of one image compete for its positions.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from fastrf.anchors.assignment.dense import corners
from fastrf.anchors.kernels import nearest
from fastrf.errors import ShapeError, UsageError

__all__ = ["Candidates", "Labels", "atss", "gaussian_scores", "rfla"]

BoolArray = npt.NDArray[np.bool_]
FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]


class Labels(NamedTuple):
    """What RFLA assigns: per prior the object it is for (int64[m], -1 none), and the score of that choice."""

    objects: IntArray
    scores: FloatArray


class Candidates(NamedTuple):
    """What ATSS looks at: per object its candidates, nearest first level by level.

    `positions` int64[n, k] numbers the centres of all levels one after another (-1 where a level has too few), `iou`
    float64[n, k] is that of the candidate's anchor, `threshold` float64[n] mean plus standard deviation of them, and
    `positive` bool[n, k] says which are chosen.
    """

    positions: IntArray
    iou: FloatArray
    threshold: FloatArray
    positive: BoolArray


def gaussian_scores(boxes: npt.ArrayLike, priors: npt.ArrayLike, *, metric: str = "kld") -> FloatArray:
    """float64[n, m]: 1 / (1 + distance) of boxes and priors (both xyxy) as Gaussians, half their size the deviation.

    "kld" is the Kullback-Leibler divergence
    `(w2^2/w1^2 + h2^2/h1^2 + 4 dx^2/w1^2 + 4 dy^2/h1^2 + ln(w1^2/w2^2) + ln(h1^2/h2^2) - 2) / 2`, "wd" the squared
    Wasserstein distance `dx^2 + dy^2 + ((w1 - w2)^2 + (h1 - h2)^2) / 4`; 1 is the box, 2 the prior.
    Source: Xu et al. 2022, "RFLA: Gaussian receptive field based label assignment". Raises as `rfla`.
    """
    _check_metric(metric)
    one, two = _centred(boxes, "boxes")[:, None], _centred(priors, "priors")
    moved, size1, size2 = two[..., :2] - one[..., :2], one[..., 2:], two[..., 2:]
    if metric == "wd":
        far = (moved**2).sum(axis=-1) + ((size1 - size2) ** 2).sum(axis=-1) / 4
    else:
        ratio = size2 / size1
        far = (ratio**2 + 4 * (moved / size1) ** 2 - 2 * np.log(ratio)).sum(axis=-1) / 2 - 1
    return np.asarray(1 / (1 + far))


def rfla(
    boxes: npt.ArrayLike,
    priors: npt.ArrayLike,
    *,
    metric: str = "kld",
    topk: Sequence[int] = (3, 1),
    rescale: float = 0.9,
) -> Labels:
    """RFLA's hierarchical label assignment of one image's boxes (float[n, 4]) to priors (float[m, 4]), both xyxy.

    A prior is the Gaussian of a position's effective receptive field, as a box: its centre, twice its deviation either
    way. First every box gets its `topk[0]` best priors; then, with priors `rescale` times their size, its `topk[1]`
    best ones where they are still free. A prior that several boxes want goes to the one that it scores best with, the
    first of equals. Source: Xu et al. 2022. Raises ShapeError, FormatError for boxes or priors without size, and
    UsageError.
    """
    _check_metric(metric)
    if len(topk) != 2 or not all(isinstance(k, int) and k > 0 for k in topk):
        raise UsageError(f"topk {topk!r} must be two positive integers, as (3, 1)")
    if not rescale > 0:
        raise UsageError(f"rescale {rescale!r} must be positive")
    objects, fields = _centred(boxes, "boxes"), _centred(priors, "priors")
    first = _best(objects, fields, metric, topk[0])
    second = _best(objects, fields * [1, 1, rescale, rescale], metric, topk[1])
    free = first.objects < 0
    return Labels(*(np.where(free, again, before) for before, again in zip(first, second, strict=True)))


def _best(boxes: FloatArray, priors: FloatArray, metric: str, k: int) -> Labels:
    """Per prior the box that wants it most."""
    index, far = _nearest(boxes, priors, metric == "kld", k)
    order = np.argsort(far, axis=None, kind="stable")
    order = order[index.ravel()[order] >= 0]
    taken, at = np.unique(index.ravel()[order], return_index=True)
    labels = Labels(np.full(len(priors), -1, np.int64), np.zeros(len(priors)))
    labels.objects[taken], labels.scores[taken] = order[at] // k, 1 / (1 + far.ravel()[order[at]])
    return labels


def _nearest(boxes: FloatArray, priors: FloatArray, leibler: bool, k: int) -> tuple[IntArray, FloatArray]:
    """Per box the `k` nearest priors (-1 where there are fewer) and how far they are, both [n, k]."""
    index, far = np.full((len(boxes), k), -1, np.int64), np.full((len(boxes), k), np.inf)
    nearest(boxes, priors, leibler, far, index)
    return index, far


def atss(
    boxes: npt.ArrayLike, centres: Sequence[npt.ArrayLike], sizes: Sequence[float], *, topk: int = 9
) -> Candidates:
    """ATSS's candidates of boxes (float[n, 4], xyxy).

    `centres` are float[m, 2] (x, y) per level and `sizes` the side of each level's square anchors (8 strides in the
    paper). From every level the `topk` nearest centres are candidates; those are chosen whose anchor's IoU with the box
    is at least mean plus standard deviation (with Bessel's correction) of all its candidates, and whose centre lies
    inside the box. Source: Zhang et al. 2020, "Bridging the gap between anchor-based and anchor-free detection". Raises
    ShapeError, FormatError for boxes without size and UsageError.
    """
    if not isinstance(topk, int) or topk < 1:
        raise UsageError(f"topk {topk!r} must be a positive integer")
    if not centres or len(centres) != len(sizes) or not all(size > 0 for size in sizes):
        raise UsageError(f"{len(centres)} levels of centres need as many positive sizes, not {list(sizes)!r}")
    given, places = corners(boxes, 2), [_points(level) for level in centres]
    index = np.full((len(given), topk * len(places)), -1, np.int64)
    middles = np.pad((given[:, :2] + given[:, 2:]) / 2, ((0, 0), (0, 2)))
    offset = 0
    for level, points in enumerate(places):
        found, _ = _nearest(middles, np.pad(points, ((0, 0), (0, 2))), False, topk)
        index[:, level * topk : (level + 1) * topk] = np.where(found >= 0, found + offset, -1)
        offset += len(points)
    there, side = index >= 0, np.repeat(np.array(sizes, np.float64), topk)
    chosen = np.concatenate([*places, np.zeros((1, 2))])[index]  # where there is none, -1 reads the last
    low, high, half = given[:, None, :2], given[:, None, 2:], side[:, None] / 2
    common = np.maximum(np.minimum(high, chosen + half) - np.maximum(low, chosen - half), 0).prod(axis=-1)
    iou = np.where(there, common / ((high - low).prod(axis=-1) + side * side - common), 0)
    inside = there & (np.minimum(chosen - low, high - chosen).min(axis=-1) > 0)
    known = np.ma.masked_where(~there, iou)
    threshold = (known.mean(axis=1) + known.std(axis=1, ddof=1).filled(0)).filled(0)
    return Candidates(index, iou, threshold, inside & (iou >= threshold[:, None]))


def _centred(boxes: npt.ArrayLike, what: str) -> FloatArray:
    """float64[n, 4]: centre and size."""
    low, high = np.split(corners(boxes, 2, what), 2, axis=1)
    return np.concatenate([(low + high) / 2, high - low], axis=1)


def _points(centres: npt.ArrayLike) -> FloatArray:
    given = np.asarray(centres, np.float64)
    if given.ndim != 2 or given.shape[1] != 2 or not np.isfinite(given).all():
        raise ShapeError(f"centres must be finite numbers of shape (m, 2), not shape {given.shape}")
    return np.ascontiguousarray(given)


def _check_metric(metric: str) -> None:
    if metric not in ("kld", "wd"):
        raise UsageError(f"metric {metric!r} is unknown; use kld or wd")
