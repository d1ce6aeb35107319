"""Which input samples an interpolation reads, in exact rational arithmetic: a tap of weight zero does not count."""

from __future__ import annotations

from fractions import Fraction
from functools import lru_cache
from math import floor
from typing import Any

import numpy as np
from numpy.typing import NDArray

HALF = Fraction(1, 2)


def cubic(x: Fraction, a: Fraction) -> Fraction:
    """Keys' convolution kernel."""
    x = abs(x)
    if x <= 1:
        return ((a + 2) * x - (a + 3)) * x * x + 1
    return ((a * x - 5 * a) * x + 8 * a) * x - 4 * a if x < 2 else Fraction(0)


def triangle(x: Fraction) -> Fraction:
    """The linear kernel."""
    return max(Fraction(0), 1 - abs(x))


def plain_row(o: int, n: int, scale: Fraction, *, aligned: bool, is_cubic: bool) -> dict[int, Fraction]:
    """Weights of output sample `o`: linear clamps the place, cubic clamps the indices."""
    place = scale * o if aligned else scale * (o + HALF) - HALF
    if not is_cubic:
        place = max(place, Fraction(0))
    low = floor(place)
    weights: dict[int, Fraction] = {}
    for tap in range(-1, 3) if is_cubic else range(2):
        weight = cubic(place - low - tap, Fraction(-3, 4)) if is_cubic else triangle(place - low - tap)
        index = min(max(low + tap, 0), n - 1)
        weights[index] = weights.get(index, Fraction(0)) + weight
    return weights


def antialiased_row(o: int, n: int, scale: Fraction, *, aligned: bool, is_cubic: bool) -> dict[int, Fraction]:
    """Weights of output sample `o` where the kernel widens on the way down."""
    stretch = max(scale, Fraction(1))
    reach = (2 if is_cubic else 1) * stretch
    centre = scale * (o + HALF)
    del aligned  # only changes the scale, as in ATen
    low, high = max(int(centre - reach + HALF), 0), min(int(centre + reach + HALF), n)
    places = {j: (j - centre + HALF) / stretch for j in range(low, high)}
    return {j: cubic(x, Fraction(-1, 2)) if is_cubic else triangle(x) for j, x in places.items()}


@lru_cache(maxsize=256)
def axis_matrix(n: int, out: int, factor: float | None, aligned: bool, is_cubic: bool, smooth: bool) -> NDArray[Any]:
    """Boolean (out, n) matrix, as float64, of taps with non-zero weight along one axis."""
    if aligned:
        scale = Fraction(n - 1, out - 1) if out > 1 else Fraction(0)
    else:
        scale = 1 / Fraction(factor).limit_denominator(10**6) if factor else Fraction(n, out)
    matrix = np.zeros((out, n))
    if n == out and not smooth and scale == 1:
        return np.eye(n)
    row = antialiased_row if smooth else plain_row
    for o in range(out):
        for index, weight in row(o, n, scale, aligned=aligned, is_cubic=is_cubic).items():
            matrix[o, index] = weight != 0
    return matrix


def resize_matrices(
    op: Any, args: dict[str, Any], before: tuple[int, ...], after: tuple[int, ...]
) -> list[NDArray[Any]]:
    """One tap matrix per spatial axis of an ATen upsampling operator."""
    dims = len(before) - 2
    names = ["scales"] if dims == 1 else ["scales_d", "scales_h", "scales_w"][3 - dims :]
    factors = args.get("scale_factors") or [args.get(name) for name in names]
    name = op._schema.name
    return [
        axis_matrix(n, out, factor, bool(args["align_corners"]), "cubic" in name, name.endswith("_aa"))
        for n, out, factor in zip(before[2:], after[2:], factors, strict=True)
    ]
