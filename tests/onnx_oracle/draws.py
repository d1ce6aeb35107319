"""Random values for perturbation: base points of many kinds, and changes to their elements."""

from __future__ import annotations

import ml_dtypes
import numpy as np
from numpy.typing import NDArray

__all__ = ["ROUNDS", "draw", "moved", "sort_of"]

Array = NDArray[np.generic]

#: (base point, change) of each round; a pass over all rounds is repeated until one brings nothing new.
ROUNDS = (
    *(("positive", "fresh"), ("normal", "up"), ("normal", "down"), ("permuted", "up"), ("permuted", "down")),
    *(("above", "fresh"), ("large", "fresh"), ("normal", "tiny"), ("stored", "fresh"), ("stored", "up")),
    *(("stored", "down"), ("normal", "negated"), ("positive", "tiny"), ("tied", "fresh")),
)


def sort_of(dtype: np.dtype) -> str:
    """Whether "bool", "int" or "float", small machine-learning types included; "" for all others."""
    if dtype.kind in "bc":
        return "bool" if dtype.kind == "b" else ""
    for kind, limits in (("int", ml_dtypes.iinfo), ("float", ml_dtypes.finfo)):
        try:
            limits(dtype)
        except (ValueError, TypeError, KeyError):
            continue
        return kind
    return ""


def draw(rng: np.random.Generator, kind: str, stored: Array) -> Array:
    """A random array of the base point's kind, like the stored one in shape and dtype."""
    shape, size, sort = stored.shape, stored.size, sort_of(stored.dtype)
    if kind == "stored" or sort == "":
        return stored.copy()
    if sort == "bool":
        return rng.random(shape) < 0.5
    if sort == "int":
        limits = ml_dtypes.iinfo(stored.dtype)
        low, high = {"positive": (1, 9), "above": (1, 3), "tied": (1, 2)}.get(kind, (-9, 9))
        low, high = (-120, 250) if kind == "large" else (low, high)
        values = rng.integers(max(low, int(limits.min)), min(high, int(limits.max)) + 1, shape)
        return np.where(values == 0, 1, values).astype(stored.dtype)
    values = {
        "positive": lambda: rng.uniform(0.1, 0.9, shape),
        "normal": lambda: rng.normal(size=shape),
        "permuted": lambda: (rng.permutation(size).reshape(shape) + 1) / max(size, 1) * 4 - 1.3,
        "above": lambda: rng.uniform(1.1, 3, shape),
        "large": lambda: rng.normal(size=shape) * 20,
        "tied": lambda: rng.integers(1, 3, shape) / 2,
    }[kind]()
    return np.asarray(values).astype(stored.dtype)


def moved(rng: np.random.Generator, change: str, kind: str, base: Array) -> Array:
    """A new value for each element of the base point."""
    sort = sort_of(base.dtype)
    if sort == "bool":
        return ~base
    if sort == "int":
        limits = ml_dtypes.iinfo(base.dtype)
        step = {"tiny": 1, "up": 60, "down": -60, "negated": -2}.get(change)
        steps = rng.integers(1, 7, base.shape) if step is None else np.full(base.shape, step)
        values = np.clip(base.astype(np.int64) + steps, int(limits.min), int(limits.max))
        return np.where(values == 0, 3, values).astype(base.dtype)
    wide = base.astype(np.float64)
    if change == "negated":
        return (-wide).astype(base.dtype)
    if change == "fresh":
        fresh = draw(rng, "normal" if kind == "stored" else kind, base)
        return np.where(fresh == base, (wide + 0.125).astype(base.dtype), fresh)
    scale = rng.uniform(0.003, 0.03, base.shape) * rng.choice([-1, 1], base.shape)
    steps = {"tiny": scale, "up": rng.uniform(5, 90, base.shape), "down": -rng.uniform(5, 90, base.shape)}[change]
    return (wide + steps).astype(base.dtype)
