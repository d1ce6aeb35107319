"""Hashes of whole arrays, by which relations are found again."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["fingerprint"]

IntArray = npt.NDArray[np.int64]


def _mixed(n: int) -> IntArray:
    """Numbers without a pattern (SplitMix64), the same in every process; `numpy.random` takes long to import."""
    bits: npt.NDArray[Any] = np.arange(1, n + 1, dtype=np.uint64) * 0x9E3779B97F4A7C15
    bits = (bits ^ (bits >> 30)) * 0xBF58476D1CE4E5B9
    bits = (bits ^ (bits >> 27)) * 0x94D049BB133111EB
    return np.asarray((bits ^ (bits >> 31)).view(np.int64))


_weights = _mixed(1 << 15)


def fingerprint(array: IntArray) -> int:
    """Hash of an array, linear with fixed random weights in blocks; equality is checked after it."""
    if array.size <= _weights.size:
        return int(np.dot(array, _weights[: array.size]))
    blocks = (array[at : at + _weights.size] for at in range(0, array.size, _weights.size))
    return hash(tuple(int(np.dot(block, _weights[: block.size])) for block in blocks))
