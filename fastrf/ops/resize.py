"""Resizing: nearest, linear, cubic and area interpolation, with exact rational sample places."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from fastrf.budget import limits
from fastrf.engine.axis_map import AxisMap, Pattern, adaptive, nearest, phased
from fastrf.engine.recipe import Tensor
from fastrf.engine.relation import Relation
from fastrf.errors import LimitError, NetworkError
from fastrf.ops.arguments import MAX_INTEGER, Ints, integer, one_of, per_axis, spatial_axes
from fastrf.ops.registry import operator
from fastrf.system.locks import cached_property

if TYPE_CHECKING:
    from scipy.sparse import csr_array

__all__ = ["resize"]

IntArray = npt.NDArray[np.int64]
FloatArray = npt.NDArray[np.float64]
_COORDINATES = (
    *("half_pixel", "align_corners", "asymmetric", "pytorch_half_pixel", "half_pixel_symmetric"),
    *("tf_half_pixel_for_nn", "tf_crop_and_resize"),
)
_ROUNDINGS = ("floor", "ceil", "round_prefer_floor", "round_prefer_ceil")


@operator(paths="weighted", channel_axis=0)
def resize(
    x: Tensor,
    *,
    output_size: Ints | None = None,
    scale: float | list[float] | None = None,
    mode: str = "nearest",
    coordinates: str | None = None,
    rounding: str = "floor",
    antialias: bool = False,
    step: list[list[int]] | None = None,
    roi: list[list[float]] | None = None,
    exclude_outside: bool = False,
    cubic_coeff_a: float | None = None,
) -> Tensor:
    """Each spatial axis sampled at `r = n / m` times as many places, by one of four kernels.

    `coordinates` gives the place of output `o`: half_pixel `(o + 1/2) r - 1/2`, align_corners `o (n - 1) / (m - 1)`,
    asymmetric `o r`, and those of ONNX; the default is asymmetric for nearest (torch's "nearest"), else half_pixel. A
    tap of weight 0 does not count. `step` gives `r` as `[numerator, denominator]` per spatial axis where it is not
    `n / m`; `roi` is `[start, end]` per spatial axis for tf_crop_and_resize, where places beyond an end read nothing.
    Example: linear, half_pixel, 2 pixels to 4 read `[0]`, `[0, 1]`, `[0, 1]`, `[1]`.
    Source: ONNX Resize; torch.nn.functional.interpolate.
    """
    axes = spatial_axes(x)
    place = coordinates or ("asymmetric" if mode == "nearest" else "half_pixel")
    one_of(mode, ("nearest", "linear", "cubic", "area"), "mode")
    one_of(place, _COORDINATES, "coordinates")
    one_of(rounding, _ROUNDINGS, "rounding")
    sizes = _sizes([x.shape[a] for a in axes], output_size, scale)
    steps = [(x.shape[a], m) for a, m in zip(axes, sizes, strict=True)] if step is None else _steps(step, len(axes))
    crops = _crops(roi, len(axes))
    for axis, m, ratio, crop in zip(axes, sizes, steps, crops, strict=True):
        more = (mode, place, rounding, bool(antialias), ratio, crop, bool(exclude_outside), cubic_coeff_a)
        x = x.map_axis(axis, resize_axis(Sampling(x.shape[axis], m, *more)))
    return x


def _sizes(lengths: Sequence[int], output_size: Ints | None, scale: Any) -> Sequence[int]:
    """The sizes of outputs, as given or by factors."""
    if (output_size is None) == (scale is None):
        raise NetworkError("give either output_size or scale")
    if output_size is not None:
        return per_axis(output_size, len(lengths), "output_size", 0)
    factors: list[Any] = list(scale) if isinstance(scale, list | tuple) else [scale] * len(lengths)
    if len(factors) != len(lengths) or not all(_is_number(f) and f > 0 for f in factors):
        raise NetworkError(f"scale must be a positive number, or one per spatial axis, not {scale!r}")
    return [math.floor(min(n * f, float(MAX_INTEGER))) for n, f in zip(lengths, factors, strict=True)]


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and math.isfinite(value)


def _steps(step: Sequence[Sequence[int]], n: int) -> list[tuple[int, int]]:
    if len(step) != n or not all(len(pair) == 2 and min(pair) > 0 for pair in step):
        raise NetworkError(f"step must be one [numerator, denominator] per spatial axis, not {step!r}")
    return [(integer(a, "step", 1), integer(b, "step", 1)) for a, b in step]


def _crops(roi: Any, n: int) -> list[tuple[float, float]]:
    """Where sampling begins and ends along each axis, as parts of it."""
    if roi is None:
        return [(0.0, 1.0)] * n
    if len(roi) != n or not all(len(pair) == 2 and all(map(_is_number, pair)) for pair in roi):
        raise NetworkError(f"roi must be one [start, end] per spatial axis, not {roi!r}")
    return [(float(start), float(end)) for start, end in roi]


@dataclass(frozen=True)
class Sampling:
    """How one axis is sampled, in exact integer arithmetic; `ratio` is how many inputs an output stands for."""

    n_in: int
    n_out: int
    mode: str
    coordinates: str
    rounding: str
    antialias: bool
    ratio: tuple[int, int]
    roi: tuple[float, float] = (0.0, 1.0)
    exclude_outside: bool = False
    cubic_coeff_a: float | None = None

    @cached_property
    def places(self) -> tuple[Fraction, Fraction]:
        """Where output 0 lies on the input axis, and how far the next ones are."""
        n, m, r, half = self.n_in, self.n_out, Fraction(*self.ratio), Fraction(1, 2)
        if self.coordinates == "tf_crop_and_resize":
            first, last = (Fraction(v).limit_denominator(1 << 20) * (n - 1) for v in self.roi)
            return ((first + last) * half, Fraction(0)) if m == 1 else (first, (last - first) / (m - 1))
        if self.coordinates == "align_corners":
            step = (n - 1) * r / (n - r) if n != r and m != 1 else Fraction(0)
            return ((step - 1) * half if self.antialias and self.mode != "nearest" else Fraction(0)), step  # as torch
        if self.coordinates == "pytorch_half_pixel" and m == 1:
            return Fraction(0), Fraction(0)
        starts = {
            "asymmetric": Fraction(0),
            "tf_half_pixel_for_nn": r * half,
            "half_pixel_symmetric": (r - 1) * half + (n - m * r) * half,
        }
        return starts.get(self.coordinates, (r - 1) * half), r

    @cached_property
    def stretch(self) -> Fraction:
        """How much wider than without antialiasing the kernel is."""
        if not self.antialias or self.mode == "nearest":
            return Fraction(1)
        return max(self.places[1] if self.coordinates == "align_corners" else Fraction(*self.ratio), Fraction(1))

    @property
    def keys(self) -> float:
        """Keys' cubic parameter."""
        usual = -0.5 if self.antialias else -0.75
        return usual if self.cubic_coeff_a is None else float(self.cubic_coeff_a)

    def source(self, o: IntArray) -> tuple[IntArray, int]:
        """The place of each output, as numerators over one denominator."""
        unit = math.lcm(*(place.denominator for place in self.places))
        start, step = (int(place * unit) for place in self.places)
        farthest = abs(start) + abs(step) * self.n_out + (self.n_in + 8 * math.ceil(self.stretch)) * unit
        if 2 * farthest * (self.stretch.numerator + self.stretch.denominator) >= 1 << 63:
            raise LimitError(f"resizing {self.n_in} to {self.n_out} at places of 1 / {unit} needs more than 64 bits")
        return start + o * step, unit

    def taps(self, o: IntArray, *, clip: bool) -> tuple[IntArray, FloatArray, npt.NDArray[np.bool_]]:
        """[outputs, taps] of input indices, their weights, which need not sum to 1, and whether each counts."""
        place, unit = self.source(o)
        crop = clip and self.coordinates == "tf_crop_and_resize"
        inside = (place >= 0) & (place <= (self.n_in - 1) * unit) if crop else np.ones(o.size, bool)
        if self.mode == "nearest":
            index = self._rounded(place, unit)[:, None]
            return np.clip(index, 0, self.n_in - 1) if clip else index, np.ones(index.shape), inside[:, None]
        index, distance = self._window(place, unit, clip=clip)
        near, wide = distance * self.stretch.denominator, self.stretch.numerator * unit
        weights = self._kernel(near / wide)
        if self.mode == "linear":
            counts = near < wide
        elif self.antialias or self.exclude_outside or not clip:
            counts = (near < 2 * wide) & (near != wide)
            counts &= (np.abs(weights) > 1e-12) if self.keys >= 0 else True
        else:
            index = np.clip(index, 0, self.n_in - 1)
            together = np.where(index[:, :, None] == index[:, None, :], weights[:, None, :], 0.0).sum(axis=2)
            counts = np.abs(together) > 1e-12
        return index, weights, counts & inside[:, None]

    def _window(self, place: IntArray, unit: int, *, clip: bool) -> tuple[IntArray, IntArray]:
        """Indices that a kernel may reach, and how far they are, over the same denominator."""
        if self.mode == "linear" and clip and not self.antialias:
            place = np.clip(place, 0, (self.n_in - 1) * unit)
        reach = math.ceil((2 if self.mode == "cubic" else 1) * self.stretch)
        told = f"antialiasing {self.n_in} to {self.n_out} reads {2 * reach} taps each"
        limits.require("axis", 2 * reach * place.size, told, "resize in steps")
        index = (place // unit)[:, None] + np.arange(1 - reach, reach + 1)
        return index, np.abs(index * unit - place[:, None])

    def _rounded(self, place: IntArray, unit: int) -> IntArray:
        if self.rounding == "floor":
            return place // unit
        if self.rounding == "ceil":
            return -(-place // unit)
        if self.rounding == "round_prefer_floor":
            return -((unit - 2 * place) // (2 * unit))
        return (2 * place + unit) // (2 * unit)

    def _kernel(self, distance: FloatArray) -> FloatArray:
        """A triangle, or Keys' convolution kernel."""
        if self.mode == "linear":
            return np.asarray(np.maximum(1 - distance, 0))
        a, d = self.keys, distance
        near = ((a + 2) * d - (a + 3)) * d * d + 1
        far = ((a * d - 5 * a) * d + 8 * a) * d - 4 * a
        return np.where(d < 1, near, np.where(d < 2, far, 0.0))

    def relation(self) -> Relation:
        """The exact relation at the true size."""
        index, _, counts = self.taps(np.arange(self.n_out, dtype=np.int64), clip=True)
        low, high = _hull(index, counts)
        if (np.diff(index) == 1).all() and (counts.sum(axis=1) == np.maximum(high - low, 0)).all():
            return Relation.from_runs(self.n_in, low, high)
        rows = np.broadcast_to(np.arange(self.n_out)[:, None], index.shape)
        return Relation.from_points(self.n_out, self.n_in, rows[counts], index[counts])

    def weights(self) -> csr_array:
        """The size of each tap's weight; every row sums to 1 but for the signs of a cubic kernel."""
        from scipy.sparse import csr_array

        index, weights, _ = self.taps(np.arange(self.n_out, dtype=np.int64), clip=True)
        within = (index >= 0) & (index < self.n_in)
        total = np.where(within, weights, 0.0).sum(axis=1, keepdims=True)
        weights = weights / np.where(total == 0, 1, total)
        rows = np.broadcast_to(np.arange(self.n_out)[:, None], index.shape)
        summed = csr_array((weights[within], (rows[within], index[within])), shape=(self.n_out, self.n_in))
        return csr_array(abs(summed).multiply(self.relation().to_scipy()))

    def pattern(self) -> Pattern:
        """What is read where no border is near."""
        return phased(self.places[1].denominator, self.places[1].numerator, self._bounds)

    def _bounds(self, o: IntArray) -> tuple[IntArray, IntArray]:
        index, _, counts = self.taps(o, clip=False)
        return _hull(index, counts)


def _hull(index: IntArray, counts: npt.NDArray[np.bool_]) -> tuple[IntArray, IntArray]:
    """The first of the taps that count, and what follows the last; where none does, the first comes after."""
    far = np.iinfo(np.int64)
    return np.where(counts, index, far.max // 2).min(axis=1), np.where(counts, index, far.min // 2).max(axis=1) + 1


@lru_cache(maxsize=1024)
def resize_axis(sampling: Sampling) -> AxisMap:
    """The axis map of one resized axis."""
    n_in, n_out, mode = sampling.n_in, sampling.n_out, sampling.mode
    if n_in == 0 or n_out == 0 or mode == "area":
        return adaptive(n_in, n_out)
    plain = (mode, sampling.coordinates, sampling.rounding, sampling.ratio)
    if plain == ("nearest", "asymmetric", "floor", (n_in, n_out)):
        return nearest(n_in, n_out)
    weigh = None if mode == "nearest" else sampling.weights
    return AxisMap(n_in, n_out, sampling.relation, sampling.pattern, weigh=weigh)
