"""Separable resampling, with weights in exact rational arithmetic so that a zero is a zero."""

import math
from fractions import Fraction
from itertools import product

from tests.reference.core import Dep, Reads, assemble, operator, per_axis, require, shape_of
from tests.reference.windows import adaptive_pool


@operator("resize")
def resize(attrs: dict, x: Dep) -> Dep:
    """Separable resampling: reads the product of the per-axis taps with a non-zero weight."""
    sizes = shape_of(x)[1:]
    out = resized(attrs, sizes)
    if attrs.get("mode", "nearest") == "area":
        return adaptive_pool({"output_size": out}, x)
    require(all(n > 0 for n in (*sizes, *out)), "resize: empty axis")
    steps = attrs.get("step") or list(zip(sizes, out, strict=True))
    crops = attrs.get("roi") or [[0, 1]] * len(sizes)
    taps = [
        [axis_taps(attrs, o, n, m, Fraction(*step), crop) for o in range(m)]
        for n, m, step, crop in zip(sizes, out, steps, crops, strict=True)
    ]

    def reads(o: tuple) -> Reads:
        return [(x, (o[0], *index)) for index in product(*(taps[a][p] for a, p in enumerate(o[1:])))]

    return assemble((x.shape[0], *out), x.shape[-1], reads)


def resized(attrs: dict, sizes: tuple) -> list[int]:
    """Spatial output sizes."""
    if attrs.get("output_size") is not None:
        return per_axis(attrs["output_size"], len(sizes))
    require(attrs.get("scale") is not None, "resize: output_size or scale")
    return [math.floor(n * s) for n, s in zip(sizes, per_axis(attrs["scale"], len(sizes)), strict=True)]


def axis_taps(attrs: dict, o: int, n: int, out: int, r: Fraction, crop: list) -> list[int]:
    """The input positions with a non-zero weight for output position o on one axis."""
    mode = attrs.get("mode", "nearest")
    coordinates = attrs.get("coordinates") or ("asymmetric" if mode == "nearest" else "half_pixel")
    if attrs.get("antialias", False) and mode != "nearest":
        weights = antialias_weights(mode, coordinates, o, n, out, r)
    else:
        src = source_coordinate(coordinates, o, n, out, r, crop)
        if coordinates == "tf_crop_and_resize" and not 0 <= src <= n - 1:
            return []
        if mode == "nearest":
            return [min(max(rounded(src, attrs.get("rounding", "floor")), 0), n - 1)]
        require(mode in ("linear", "cubic"), f"unknown resize mode {mode}")
        a = Fraction(attrs.get("cubic_coeff_a", -0.75))
        outside = not attrs.get("exclude_outside", False)
        weights = linear_weights(src, n) if mode == "linear" else cubic_weights(src, n, a, outside=outside)
    return sorted(i for i, w in weights.items() if w != 0)


def source_coordinate(coordinates: str, o: int, n: int, out: int, r: Fraction, crop: list) -> Fraction:
    """Where output position o lies on the input axis, with r inputs per output."""
    if coordinates == "half_pixel" or (coordinates == "pytorch_half_pixel" and out > 1):
        return (o + Fraction(1, 2)) * r - Fraction(1, 2)
    if coordinates == "align_corners" and out > 1:
        return o * Fraction(n - 1, out - 1)
    if coordinates in ("align_corners", "pytorch_half_pixel"):
        return Fraction(0)
    if coordinates == "half_pixel_symmetric":  # sampled around the middle of the input
        return (o + Fraction(1, 2) - Fraction(out, 2)) * r + Fraction(n, 2) - Fraction(1, 2)
    if coordinates == "tf_half_pixel_for_nn":
        return (o + Fraction(1, 2)) * r
    if coordinates == "tf_crop_and_resize":
        start, end = (Fraction(part) * (n - 1) for part in crop)
        return start + o * (end - start) / (out - 1) if out > 1 else (start + end) / 2
    require(coordinates == "asymmetric", f"unknown coordinates {coordinates}")
    return o * r


def rounded(src: Fraction, rounding: str) -> int:
    """A coordinate rounded as told."""
    half = Fraction(1, 2)
    return {
        "floor": math.floor(src),
        "ceil": math.ceil(src),
        "round_prefer_floor": math.ceil(src - half),
        "round_prefer_ceil": math.floor(src + half),
    }[rounding]


def linear_weights(src: Fraction, n: int) -> dict[int, Fraction]:
    """Weights of the two neighbours."""
    src = min(max(src, Fraction(0)), Fraction(n - 1))
    low = math.floor(src)
    return {low: 1 - (src - low), low + 1: src - low}


def keys(t: Fraction, a: Fraction) -> Fraction:
    """Keys' cubic kernel."""
    t = abs(t)
    if t <= 1:
        return (a + 2) * t**3 - (a + 3) * t**2 + 1
    return a * t**3 - 5 * a * t**2 + 8 * a * t - 4 * a if t < 2 else Fraction(0)


def cubic_weights(src: Fraction, n: int, a: Fraction, *, outside: bool) -> dict[int, Fraction]:
    """Weights of the four neighbours, summed where clipping makes them meet, or without those outside."""
    weights: dict[int, Fraction] = {}
    for tap in range(math.floor(src) - 1, math.floor(src) + 3):
        index = min(max(tap, 0), n - 1)
        if outside or index == tap:
            weights[index] = weights.get(index, Fraction(0)) + keys(src - tap, a)
    return weights


def antialias_weights(mode: str, coordinates: str, o: int, n: int, out: int, r: Fraction) -> dict[int, Fraction]:
    """Torch's _upsample_*_aa: a stretched triangle or Keys (A = -1/2) kernel around the centre."""
    require(coordinates in ("half_pixel", "align_corners"), "antialias: coordinates")
    scale = r
    if coordinates == "align_corners":
        scale = Fraction(n - 1, out - 1) if out > 1 else Fraction(0)
    stretch, half = max(scale, Fraction(1)), Fraction(1, 2)
    support, center = (1 if mode == "linear" else 2) * stretch, scale * (o + half)
    weights = {}
    for tap in range(max(int(center - support + half), 0), min(int(center + support + half), n)):
        t = (tap - center + half) / stretch
        weights[tap] = max(1 - abs(t), Fraction(0)) if mode == "linear" else keys(t, Fraction(-1, 2))
    return weights
