"""Jitted loops of the effective receptive field: a sparse matrix along one axis, and spans that hold a share."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from fastrf.engine.compiling import jit

__all__ = ["apply_rows", "half_spans"]

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]


@jit
def apply_rows(indptr: IntArray, indices: IntArray, values: FloatArray, source: FloatArray, out: FloatArray) -> None:
    """CSR matrix times the middle axis of `source` (before, columns, after) into `out` (before, rows, after)."""
    before, rows, after = out.shape
    for b in range(before):
        for row in range(rows):
            for a in range(after):
                out[b, row, a] = 0.0
            for k in range(indptr[row], indptr[row + 1]):
                column = indices[k]
                value = values[k]
                for a in range(after):
                    out[b, row, a] += value * source[b, column, a]


@jit
def half_spans(weights: FloatArray, means: FloatArray, share: float, out: FloatArray) -> None:
    """Per row of `weights` (rows, n), how far from its mean pixels must lie to hold `share` of the row's sum.

    Pixels are taken in the order of their distance from the mean; a row without weight gives NaN.
    """
    n = weights.shape[1]
    for row in range(weights.shape[0]):
        total = 0.0
        for i in range(n):
            total += weights[row, i]
        if not total > 0.0:
            out[row] = np.nan
            continue
        mean = means[row]
        right = min(max(int(np.ceil(mean)), 0), n)
        left = right - 1
        held = 0.0
        reach = 0.0
        while held < share * total * (1.0 - 1e-12) and (left >= 0 or right < n):
            if right >= n or (left >= 0 and mean - left <= right - mean):
                reach = mean - left
                held += weights[row, left]
                left -= 1
            else:
                reach = right - mean
                held += weights[row, right]
                right += 1
        out[row] = abs(reach)
