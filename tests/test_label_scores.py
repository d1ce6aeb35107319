"""RFLA and ATSS against their formulas, one box and one prior at a time."""

import math

import numpy as np
import pytest

from fastrf.anchors.assignment.assigners import atss, gaussian_scores, rfla
from fastrf.errors import FormatError, ShapeError, UsageError


def some(n, seed):
    rng = np.random.default_rng(seed)
    low = rng.uniform(0, 80, (n, 2))
    return np.concatenate([low, low + rng.uniform(4, 60, (n, 2))], axis=1)


def plain_score(box, prior, metric):
    (x1, y1, w1, h1), (x2, y2, w2, h2) = (
        ((b[0] + b[2]) / 2, (b[1] + b[3]) / 2, b[2] - b[0], b[3] - b[1]) for b in (box, prior)
    )
    dx, dy = x2 - x1, y2 - y1
    if metric == "wd":
        return 1 / (1 + dx**2 + dy**2 + ((w1 - w2) ** 2 + (h1 - h2) ** 2) / 4)
    kl = w2**2 / w1**2 + h2**2 / h1**2 + 4 * dx**2 / w1**2 + 4 * dy**2 / h1**2
    kl += math.log(w1**2 / w2**2) + math.log(h1**2 / h2**2) - 2
    return 1 / (1 + kl / 2)


@pytest.mark.parametrize("metric", ["kld", "wd"])
def test_scores_follow_the_formulas(metric):
    boxes, priors = some(6, 1), some(9, 2)
    scores = gaussian_scores(boxes, priors, metric=metric)
    wanted = [[plain_score(box, prior, metric) for prior in priors] for box in boxes]
    np.testing.assert_allclose(scores, wanted, rtol=1e-12)
    np.testing.assert_allclose(np.diag(gaussian_scores(boxes, boxes, metric=metric)), 1)


@pytest.mark.parametrize("metric", ["kld", "wd"])
def test_rfla_gives_boxes_their_best_priors(metric):
    boxes, priors = some(7, 3), some(40, 4)
    middle, half = (priors[:, :2] + priors[:, 2:]) / 2, (priors[:, 2:] - priors[:, :2]) / 2
    smaller = np.concatenate([middle - 0.9 * half, middle + 0.9 * half], axis=1)
    owners = [-1] * 40
    scores = [0.0] * 40
    for k, these in ((3, priors), (1, smaller)):
        table = gaussian_scores(boxes, these, metric=metric)
        wants = [(-table[b, p], b, p) for b in range(7) for p in np.argsort(-table[b], kind="stable")[:k]]
        before = list(owners)
        for negative, b, p in sorted(wants):
            if before[p] < 0 and owners[p] < 0:
                owners[p], scores[p] = b, -negative
    found = rfla(boxes, priors, metric=metric)
    assert found.objects.tolist() == owners
    np.testing.assert_allclose(found.scores, scores, rtol=1e-12)
    assert (found.objects >= 0).sum() >= 7


def test_rfla_with_fewer_priors_than_asked_for():
    found = rfla([[0, 0, 4, 4], [0, 0, 8, 8]], [[0, 0, 4, 4]])
    assert found.objects.tolist() == [0]
    assert rfla([], [[0, 0, 4, 4]]).objects.tolist() == [-1]
    assert rfla([[0, 0, 4, 4]], []).objects.tolist() == []


def grid(n, stride):
    return [[x * stride, y * stride] for y in range(n) for x in range(n)]


def test_atss_chooses_by_mean_and_deviation():
    boxes, levels, sizes = some(8, 5), [grid(13, 8), grid(7, 16), grid(2, 64)], [64, 128, 512]
    found = atss(boxes, levels, sizes)
    assert found.positions.shape == (8, 27)
    for b, (left, top, right, bottom) in enumerate(boxes):
        x, y = (left + right) / 2, (top + bottom) / 2
        index, ious, inside, offset = [], [], [], 0
        for centres, size in zip(levels, sizes, strict=True):
            near = sorted(range(len(centres)), key=lambda c: ((centres[c][0] - x) ** 2 + (centres[c][1] - y) ** 2, c))
            for c in near[:9]:
                u, v = centres[c]
                w = max(min(right, u + size / 2) - max(left, u - size / 2), 0)
                h = max(min(bottom, v + size / 2) - max(top, v - size / 2), 0)
                index.append(c + offset)
                ious.append(w * h / ((right - left) * (bottom - top) + size**2 - w * h))
                inside.append(left < u < right and top < v < bottom)
            offset += len(centres)
        there = found.positions[b] >= 0
        assert found.positions[b][there].tolist() == index
        np.testing.assert_allclose(found.iou[b][there], ious, rtol=1e-12)
        threshold = np.mean(ious) + np.std(ious, ddof=1)
        np.testing.assert_allclose(found.threshold[b], threshold, rtol=1e-12)
        assert found.positive[b][there].tolist() == [
            ok and iou >= threshold for ok, iou in zip(inside, ious, strict=True)
        ]
        assert not found.positive[b][~there].any()


def test_atss_of_no_boxes_or_no_centres():
    assert atss([], [grid(3, 8)], [64]).positions.shape == (0, 9)
    assert not atss([[0, 0, 5, 5]], [np.zeros((0, 2))], [64]).positive.any()


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: rfla([[0, 0, 1]], [[0, 0, 1, 1]]), ShapeError, r"boxes must have shape \(n, 4\)"),
        (lambda: rfla([["a"]], [[0, 0, 1, 1]]), ShapeError, "boxes must be numbers"),
        (lambda: rfla([[0, 0, 1, 1]], [[0, 0, 0, 1]]), FormatError, "1 of 1 priors"),
        (lambda: rfla([[0, 0, 1, 1]], [[0, 0, 1, 1]], metric="iou"), UsageError, "kld or wd"),
        (lambda: gaussian_scores([[0, 0, 1, 1]], [[0, 0, 1, 1]], metric="iou"), UsageError, "kld or wd"),
        (lambda: rfla([[0, 0, 1, 1]], [[0, 0, 1, 1]], topk=(3,)), UsageError, "two positive integers"),
        (lambda: rfla([[0, 0, 1, 1]], [[0, 0, 1, 1]], rescale=0), UsageError, "positive"),
        (lambda: atss([[0, 0, 1, 1]], [[[0, 0]]], [8], topk=0), UsageError, "topk"),
        (lambda: atss([[0, 0, 1, 1]], [[[0, 0]]], [8, 16]), UsageError, "as many positive sizes"),
        (lambda: atss([[0, 0, 1, 1]], [[[0, 0, 0]]], [8]), ShapeError, r"shape \(m, 2\)"),
        (lambda: atss([[0, 0, np.nan, 1]], [[[0, 0]]], [8]), FormatError, "1 of 1 boxes"),
    ],
)
def test_what_does_not_fit(call, error, message):
    with pytest.raises(error, match=message):
        call()
