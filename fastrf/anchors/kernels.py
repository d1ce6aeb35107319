"""Jitted loops over boxes: which positions hold them, how well shapes agree, and anchors that agree better."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from fastrf.engine.compiling import jit, jit_of

__all__ = ["box_sets", "evolve", "fill_ranges", "fill_table", "match_levels", "nearest"]

BytesArray = npt.NDArray[np.uint8]
FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]
Runs = tuple[IntArray, IntArray, IntArray]


@jit
def fill_ranges(
    top: IntArray, bottom: IntArray, left: IntArray, right: IntArray, packed: bool, out: BytesArray
) -> None:
    """Write 1 where rows `top[b] : bottom[b]` and columns `left[b] : right[b]` cross, else 0, into uint8[n, h, w].

    `packed` has eight columns a byte, the first in its highest bit: `out` is uint8[n, h, ceil(w / 8)]. The first row of
    a range is copied in doubling steps.
    """
    width = out.shape[2]
    for b in range(out.shape[0]):
        plane = out[b].reshape(-1)
        first = top[b] * width
        stop = bottom[b] * width if right[b] > left[b] else first
        plane[:first] = 0
        plane[stop:] = 0
        if stop == first:
            continue
        if packed:
            for x in range(width):
                begin = min(max(left[b] - 8 * x, 0), 8)
                end = min(max(right[b] - 8 * x, 0), 8)
                plane[first + x] = (0xFF >> begin) & ~(0xFF >> end) & 0xFF
        else:
            plane[first : first + width] = 0
            plane[first + left[b] : first + right[b]] = 1
        ready = width
        while first + ready < stop:
            count = min(ready, stop - first - ready)
            source = plane[first : first + count]
            target = plane[first + ready : first + ready + count]
            for k in range(count):
                target[k] = source[k]
            ready += count


@jit
def fill_table(table: BytesArray, first: BytesArray, second: BytesArray, out: BytesArray) -> None:
    """Write `table[first[b, y], second[b, x]]` into `out` (uint8[n, h, w])."""
    for b in range(out.shape[0]):
        for y in range(out.shape[1]):
            values = table[first[b, y]]
            for x in range(out.shape[2]):
                out[b, y, x] = values[second[b, x]]


@jit_of(lambda _, __, ___, known, out: out.size * known.size)
def box_sets(pieces: Runs, low: IntArray, high: IntArray, known: IntArray, out: BytesArray) -> int:
    """For each box and row, which kinds of piece the columns `[low[b], high[b])` meet.

    `pieces` is `(indptr, start, kind)` with kinds from 0 to 61. A set of kinds is a bit mask; every one met is put into
    `known` (int64, as many as may be told apart), and `out` (uint8[boxes, rows]) gets its place there. Returns how many
    there are, or -1 where `known` is too short.
    """
    ptr, start, kind = pieces
    count = 0
    for b in range(out.shape[0]):
        for row in range(out.shape[1]):
            met = 0
            if high[b] > low[b]:
                k = ptr[row]
                end = ptr[row + 1]
                while end - k > 1:
                    middle = (k + end) // 2
                    if start[middle] <= low[b]:
                        k = middle
                    else:
                        end = middle
                while k < ptr[row + 1] and start[k] < high[b]:
                    met |= 1 << kind[k]
                    k += 1
            place = 0
            while place < count and known[place] != met:
                place += 1
            if place == count:
                if count == known.size:
                    return -1
                known[count] = met
                count += 1
            out[b, row] = place
    return count


@jit_of(lambda boxes, priors, *_: 40 * len(boxes) * len(priors))
def nearest(boxes: FloatArray, priors: FloatArray, leibler: bool, far: FloatArray, index: IntArray) -> None:
    """Per box the nearest priors, both float64[., 4] (centre and size): nearest first, equal ones in order.

    The distance is that of the two as Gaussians: Kullback-Leibler or Wasserstein. `far` (float64[n, k]) starts at
    infinity and `index` (int64[n, k]) at -1.
    """
    for b in range(boxes.shape[0]):
        width, height = boxes[b, 2], boxes[b, 3]
        for p in range(priors.shape[0]):
            dx, dy = priors[p, 0] - boxes[b, 0], priors[p, 1] - boxes[b, 1]
            if leibler:
                wide, tall = priors[p, 2] / width, priors[p, 3] / height
                moved = 4 * (dx * dx / (width * width) + dy * dy / (height * height))
                distance = (wide * wide + tall * tall + moved - 2 * math.log(wide * tall) - 2) / 2
            else:
                distance = dx * dx + dy * dy + ((width - priors[p, 2]) ** 2 + (height - priors[p, 3]) ** 2) / 4
            place = far.shape[1]
            while place > 0 and far[b, place - 1] > distance:
                place -= 1
                if place + 1 < far.shape[1]:
                    far[b, place + 1] = far[b, place]
                    index[b, place + 1] = index[b, place]
            if place < far.shape[1]:
                far[b, place] = distance
                index[b, place] = p


@jit
def _iou(w: float, h: float, aw: float, ah: float) -> float:
    """The IoU of a box and an anchor with the same centre."""
    shared = min(w, aw) * min(h, ah)
    return float(shared / (w * h + aw * ah - shared))


@jit_of(lambda sizes, anchors, *_: 20 * len(sizes) * len(anchors))
def match_levels(
    sizes: FloatArray,
    anchors: FloatArray,
    starts: IntArray,
    threshold: float,
    best_iou: FloatArray,
    above: IntArray,
) -> None:
    """Per box and level: the best IoU of shapes, and how many anchors no side of which is off by `threshold` times.

    Level `l` owns the anchors `starts[l] <= k < starts[l + 1]`; `best_iou` and `above` are [n, levels].
    """
    least = 1.0 / threshold
    for i in range(sizes.shape[0]):
        w, h = sizes[i, 0], sizes[i, 1]
        for level in range(starts.size - 1):
            best = 0.0
            count = 0
            for k in range(starts[level], starts[level + 1]):
                aw, ah = anchors[k, 0], anchors[k, 1]
                best = max(best, _iou(w, h, aw, ah))
                if min(w / aw, aw / w, h / ah, ah / h) > least:
                    count += 1
            best_iou[i, level] = best
            above[i, level] = count


@jit_of(lambda sizes, anchors, _, factors, __: 20 * len(sizes) * len(anchors) * len(factors))
def evolve(sizes: FloatArray, anchors: FloatArray, limits: FloatArray, factors: FloatArray, trial: FloatArray) -> float:
    """Multiply anchors by each row of factors in turn, cut to their limits; keep what raises the mean best IoU.

    `anchors` and `limits` are [k, 2], `factors` [generations, k, 2], `trial` is work space like `anchors`, which are
    changed in place. Returns the mean best IoU reached.
    """
    n, count = sizes.shape[0], anchors.shape[0]
    reached = -1.0
    for step in range(-1, factors.shape[0]):
        for k in range(count):
            for axis in range(2):
                factor = 1.0 if step < 0 else factors[step, k, axis]
                trial[k, axis] = min(anchors[k, axis] * factor, limits[k, axis])
        total = 0.0
        for i in range(n):
            best = 0.0
            for k in range(count):
                best = max(best, _iou(sizes[i, 0], sizes[i, 1], trial[k, 0], trial[k, 1]))
            total += best
        if total > reached:
            reached = total
            for k in range(count):
                anchors[k, 0], anchors[k, 1] = trial[k, 0], trial[k, 1]
    return float(reached / n)
