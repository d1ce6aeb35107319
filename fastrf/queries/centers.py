"""Where every position looks: the centres of nominal fields."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from fastrf.budget import require_memory
from fastrf.engine.nominal import Nominal, bounds

__all__ = ["centers"]


def centers(nominal: Nominal) -> npt.NDArray[np.float64]:
    """float64[*shape, input axes]: pixel indices; NaN where nothing is read, or what is read has no end or no rule.

    Raises LimitError where they would not fit the memory.
    """
    n = math.prod(nominal.shape)
    require_memory(16 * n * max(nominal.n_extents, 1), f"centres of {n} positions", "use start and stride")
    found = np.full((*nominal.shape, nominal.n_extents), np.nan)
    for piece in nominal.pieces:
        place = tuple(slice(a, a + m) for a, m in zip(piece.offsets, piece.lengths, strict=True))
        for k in range(nominal.n_extents):
            low, high = bounds(piece, k)
            with np.errstate(invalid="ignore"):
                middle = np.where(np.isfinite(low) & np.isfinite(high), (low + high - 1) / 2, np.nan)
            found[..., k][place] = np.broadcast_to(middle, piece.sizes).reshape(piece.lengths)
    return found
