"""Resizing: nearest, linear, cubic and area interpolation, with exact rational sample places."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from fastrf.engine.axis_map import MAX_LENGTH, AxisMap, Pattern, adaptive, nearest, phased
from fastrf.engine.recipe import Tensor
from fastrf.engine.relation import Relation
from fastrf.errors import LimitError, NetworkError
from fastrf.ops.arguments import MAX_INTEGER, Ints, integer, per_axis, spatial_axes
from fastrf.ops.registry import operator

if TYPE_CHECKING:
    from scipy.sparse import csr_array

__all__ = ["resize"]

IntArray = npt.NDArray[np.int64]
_COORDINATES = ("half_pixel", "align_corners", "asymmetric", "pytorch_half_pixel")
_ROUNDINGS = ("floor", "ceil", "round_prefer_floor", "round_prefer_ceil")
#: Keys' cubic parameter; the antialiased form uses -0.5.
_CUBIC = -0.75


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
) -> Tensor:
    """Each spatial axis sampled at `r = n / m` times as many places, by one of four kernels.

    `coordinates` gives the place of output `o`: half_pixel `(o + 1/2) r - 1/2`, align_corners
    `o (n - 1) / (m - 1)`, asymmetric `o r`, pytorch_half_pixel as half_pixel but 0 where m is 1. The default
    is asymmetric for nearest (torch's "nearest"), else half_pixel. A tap of weight 0 does not count. `step` gives
    `r` as `[numerator, denominator]` per spatial axis where it is not `n / m`.
    Example: linear, half_pixel, 2 pixels to 4 read `[0]`, `[0, 1]`, `[0, 1]`, `[1]`.
    Source: ONNX Resize; torch.nn.functional.interpolate.
    """
    axes = spatial_axes(x)
    place = coordinates or ("asymmetric" if mode == "nearest" else "half_pixel")
    for value, known, name in (
        (mode, ("nearest", "linear", "cubic", "area"), "mode"),
        (place, _COORDINATES, "coordinates"),
        (rounding, _ROUNDINGS, "rounding"),
    ):
        if value not in known:
            raise NetworkError(f"{name} {value!r} is unknown; use one of {', '.join(known)}")
    if (output_size is None) == (scale is None):
        raise NetworkError("give either output_size or scale")
    if output_size is not None:
        sizes = per_axis(output_size, len(axes), "output_size", 0)
    else:
        factors: list[Any] = list(scale) if isinstance(scale, list | tuple) else [scale] * len(axes)
        if len(factors) != len(axes) or not all(
            isinstance(f, int | float) and f > 0 and math.isfinite(f) for f in factors
        ):
            raise NetworkError(f"scale must be a positive number, or one per spatial axis, not {scale!r}")
        sizes = [_scaled_size(x.shape[a], f) for a, f in zip(axes, factors, strict=True)]
    steps = [(x.shape[a], m) for a, m in zip(axes, sizes, strict=True)] if step is None else _steps(step, len(axes))
    for axis, m, ratio in zip(axes, sizes, steps, strict=True):
        x = x.map_axis(axis, resize_axis(x.shape[axis], m, mode, place, rounding, antialias, ratio))
    return x


def _scaled_size(n: int, factor: float) -> int:
    """The floor of a size times a factor, bounded."""
    return math.floor(min(n * factor, float(MAX_INTEGER)))


def _steps(step: Sequence[Sequence[int]], n: int) -> list[tuple[int, int]]:
    if len(step) != n or not all(len(pair) == 2 and min(pair) > 0 for pair in step):
        raise NetworkError(f"step must be one [numerator, denominator] per spatial axis, not {step!r}")
    return [(integer(a, "step", 1), integer(b, "step", 1)) for a, b in step]


@lru_cache(maxsize=1024)
def resize_axis(
    n_in: int, n_out: int, mode: str, coordinates: str, rounding: str, antialias: bool, ratio: tuple[int, int]
) -> AxisMap:
    """The axis map of one resized axis."""
    if n_in == 0 or n_out == 0:
        return adaptive(n_in, n_out)
    if mode == "area":
        return adaptive(n_in, n_out)
    if mode == "nearest" and coordinates == "asymmetric" and rounding == "floor" and ratio == (n_in, n_out):
        return nearest(n_in, n_out)
    sampling = _Sampling(n_in, n_out, mode, coordinates, rounding, antialias, ratio)
    weigh = None if mode == "nearest" else sampling.weights
    return AxisMap(n_in, n_out, sampling.relation, sampling.pattern, weigh=weigh)


@dataclass(frozen=True)
class _Sampling:
    """Where one axis is sampled, in exact integer arithmetic."""

    n_in: int
    n_out: int
    mode: str
    coordinates: str
    rounding: str
    antialias: bool
    ratio: tuple[int, int]

    def source(self, o: IntArray) -> tuple[IntArray, int]:
        """The place of each output, as numerators over one denominator."""
        step, unit = self._step
        if self.coordinates in ("align_corners", "asymmetric"):
            return o * step, unit
        if self.coordinates == "pytorch_half_pixel" and self.n_out == 1:
            return o * 0, 1
        return (2 * o + 1) * step - unit, 2 * unit

    @property
    def _step(self) -> tuple[int, int]:
        """Inputs per output as a fraction."""
        if self.coordinates == "align_corners":
            return (self.n_in - 1, self.n_out - 1) if self.n_out > 1 else (0, 1)
        return self.ratio

    def taps(self, o: IntArray, *, clip: bool) -> tuple[IntArray, npt.NDArray[np.bool_]]:
        """int64[outputs, taps] input indices, and whether each counts."""
        if self.antialias and self.mode != "nearest":
            return self._antialiased(o)
        place, unit = self.source(o)
        if self.mode == "nearest":
            return self._rounded(place, unit)[:, None], np.ones((o.size, 1), bool)
        if self.mode == "linear":
            place = np.clip(place, 0, (self.n_in - 1) * unit) if clip else place
            base, rest = place // unit, place % unit
            return base[:, None] + np.arange(2), np.stack([np.ones(o.size, bool), rest > 0], axis=1)
        base, rest = place // unit, place % unit
        index = base[:, None] + np.arange(-1, 3)
        weights = _cubic(np.abs(np.arange(-1, 3) - (rest / unit)[:, None]))
        if clip:
            index = np.clip(index, 0, self.n_in - 1)
            weights = np.where(index[:, :, None] == index[:, None, :], weights[:, None, :], 0.0).sum(axis=2)
        return index, np.abs(weights) > 1e-12

    def _rounded(self, place: IntArray, unit: int) -> IntArray:
        if self.rounding == "floor":
            return place // unit
        if self.rounding == "ceil":
            return -(-place // unit)
        if self.rounding == "round_prefer_floor":
            return -((unit - 2 * place) // (2 * unit))
        return (2 * place + unit) // (2 * unit)

    def _antialiased(self, o: IntArray) -> tuple[IntArray, npt.NDArray[np.bool_]]:
        """Taps within the kernel stretched by the scale; its zeros (1 and 2 for cubic) do not count."""
        step, unit = self._step
        reach = 2 if self.mode == "cubic" else 1
        wide = max(step, unit)
        width = 2 * reach * wide // unit + 3
        if width * o.size > MAX_LENGTH:
            raise LimitError(
                f"antialiasing {self.n_in} to {self.n_out} reads {width} taps each, too many; resize in steps"
            )
        first = ((2 * o + 1) * step - 2 * reach * wide) // (2 * unit) - 1
        index = first[:, None] + np.arange(width)
        distance = np.abs((2 * index + 1) * unit - ((2 * o + 1) * step)[:, None])
        return index, (distance < 2 * reach * wide) & ((distance != 2 * wide) | (reach == 1))

    def relation(self) -> Relation:
        """The exact relation at the true size."""
        o = np.arange(self.n_out, dtype=np.int64)
        index, counts = self.taps(o, clip=True)
        if self.mode == "nearest":
            index = np.clip(index, 0, self.n_in - 1)
        rows = np.broadcast_to(np.arange(o.size)[:, None], index.shape)
        return Relation.from_points(o.size, self.n_in, rows[counts], index[counts])

    def weights(self) -> csr_array:
        """The size of each tap's weight; every row sums to 1 but for the signs of a cubic kernel."""
        from scipy.sparse import csr_array

        o = np.arange(self.n_out, dtype=np.int64)
        index, _ = self.taps(o, clip=True)
        place, unit = self.source(o)
        step, per = self._step
        if self.antialias:
            wide = max(step, per)
            distance = ((2 * index + 1) * per - ((2 * o + 1) * step)[:, None]) / (2 * wide)
        else:
            place = np.clip(place, 0, (self.n_in - 1) * unit) if self.mode == "linear" else place
            first = place // unit - (self.mode == "cubic")
            distance = first[:, None] + np.arange(index.shape[1]) - (place / unit)[:, None]
        distance = np.abs(distance)
        linear = self.mode == "linear"
        kernel = np.maximum(1 - distance, 0) if linear else _cubic(distance, -0.5 if self.antialias else _CUBIC)
        kept = (index >= 0) & (index < self.n_in) & (kernel != 0)
        kernel = kernel / np.where(kept, kernel, 0.0).sum(axis=1, keepdims=True)
        rows = np.broadcast_to(o[:, None], index.shape)
        shape = (self.n_out, self.n_in)
        summed = csr_array((kernel[kept], (rows[kept], index[kept])), shape=shape)
        return csr_array(abs(summed).multiply(self.relation().to_scipy()))

    def pattern(self) -> Pattern:
        """What is read where no border is near."""
        step, unit = self._step
        common = math.gcd(step, unit) or 1
        return phased(unit // common, step // common, self._bounds)

    def _bounds(self, o: IntArray) -> tuple[IntArray, IntArray]:
        index, counts = self.taps(o, clip=False)
        low = np.where(counts, index, np.iinfo(np.int64).max).min(axis=1)
        return low, np.where(counts, index, np.iinfo(np.int64).min).max(axis=1) + 1


def _cubic(distance: npt.NDArray[np.float64], a: float = _CUBIC) -> npt.NDArray[np.float64]:
    """Keys' convolution kernel."""
    d = distance
    near = ((a + 2) * d - (a + 3)) * d * d + 1
    far = ((a * d - 5 * a) * d + 8 * a) * d - 4 * a
    return np.where(d < 1, near, np.where(d < 2, far, 0.0))
