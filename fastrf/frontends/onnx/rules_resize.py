"""Rules of ONNX operators that resample: every coordinate mode, kernel and policy."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Any

import numpy as np
import numpy.typing as npt

from fastrf.engine.axis_map import MAX_LENGTH
from fastrf.errors import FormatError, LimitError
from fastrf.frontends.hiding import kept
from fastrf.frontends.lowering import Value
from fastrf.frontends.moving import on_axis
from fastrf.frontends.onnx.registry import Call, Walk, rule
from fastrf.network import MAX_AXIS

__all__: list[str] = []

_Array = npt.NDArray[Any]

#: Modes that the operator `resize` of networks knows; the others are spelled out tap by tap.
_PLAIN = ("half_pixel", "align_corners", "asymmetric", "pytorch_half_pixel")


@rule("Resize", "Upsample")
def resize(walk: Walk, call: Call) -> Value:
    """Each axis sampled at other places."""
    x = call.operand(walk, 0)
    result = x
    for axis, way in _ways(call, x.full):
        if way.n_out != way.n_in or way.moves:
            result = _one_axis(walk, result, axis, way)
    return replace(result, known=None)


@dataclass(frozen=True)
class _Way:
    """How one axis is sampled."""

    n_in: int
    n_out: int
    scale: Fraction
    mode: str
    place: str
    rounding: str
    coefficient: float
    exclude: bool
    antialias: bool
    roi: tuple[float, float]

    @property
    def moves(self) -> bool:
        """Whether even a size that stays reads other places."""
        return self.scale != 1 or self.place in ("tf_crop_and_resize", "tf_half_pixel_for_nn")

    def source(self) -> _Array:
        """The place of each output in the input."""
        o, scale = np.arange(self.n_out, dtype=np.float64), float(self.scale)
        inverse = 1 / self.scale
        exact = o * inverse.numerator / inverse.denominator
        if self.place == "align_corners":
            length = self.scale * self.n_in  # as the standard has it, a fraction where scales are given
            step = (self.n_in - 1) / (length - 1) if self.n_out > 1 else Fraction(0)
            return o * step.numerator / step.denominator
        if self.place == "asymmetric":
            return exact
        if self.place == "tf_half_pixel_for_nn":
            return (2 * o + 1) * inverse.numerator / (2 * inverse.denominator)
        if self.place == "pytorch_half_pixel" and self.n_out == 1:
            return o * 0
        if self.place == "tf_crop_and_resize":
            start, end = self.roi
            if self.n_out == 1:
                return o * 0 + 0.5 * (start + end) * (self.n_in - 1)
            return start * (self.n_in - 1) + o * ((end - start) * (self.n_in - 1) / (self.n_out - 1))
        middle = (2 * o + 1) * inverse.numerator / (2 * inverse.denominator) - 0.5
        if self.place == "half_pixel_symmetric":
            adjustment = self.n_out / (scale * self.n_in)
            return middle + self.n_in / 2 * (1 - adjustment)
        return middle

    def taps(self) -> tuple[_Array, _Array]:
        """int64[outputs, taps] indices, and whether each counts."""
        place = self.source()
        inside = (
            (place >= 0) & (place <= self.n_in - 1) if self.place == "tf_crop_and_resize" else np.ones(self.n_out, bool)
        )
        if self.mode == "nearest":
            index = np.clip(self._rounded(place), 0, self.n_in - 1)[:, None]
            return index, inside[:, None]
        reach = {"linear": 1, "cubic": 2}[self.mode]
        wide = max(1.0, float(1 / self.scale)) if self.antialias else 1.0
        width = 2 * math.ceil(reach * wide) + 2
        if width * self.n_out > MAX_LENGTH:
            raise LimitError(f"resampling {self.n_in} to {self.n_out} reads {width} taps each, too many")
        index = np.floor(place)[:, None].astype(np.int64) + np.arange(-(width // 2) + 1, width // 2 + 1)
        weights = self._kernel(np.abs(index - place[:, None]) / wide)
        within = (index >= 0) & (index < self.n_in)
        if self.exclude:
            weights = np.where(within, weights, 0.0)
        else:
            index = np.clip(index, 0, self.n_in - 1)
            first = index == index[:, :1]
            last = index == index[:, -1:]
            for edge in (first, last):  # taps beyond an edge all read the edge: their weights add up there
                total = np.where(edge, weights, 0.0).sum(1)
                lead = edge & (np.cumsum(edge, 1) == 1)
                weights = np.where(edge, np.where(lead, total[:, None], 0.0), weights)
        return np.clip(index, 0, self.n_in - 1), (np.abs(weights) > 1e-7) & inside[:, None]

    def _rounded(self, place: _Array) -> _Array:
        rounding = {
            "floor": np.floor(place),
            "ceil": np.ceil(place),
            "round_prefer_ceil": np.floor(place + 0.5),
            "round_prefer_floor": np.ceil(place - 0.5),
        }
        if self.rounding not in rounding:
            raise FormatError(f"nearest_mode {self.rounding!r} is unknown")
        found: _Array = rounding[self.rounding].astype(np.int64)
        return found

    def _kernel(self, distance: _Array) -> _Array:
        if self.mode == "linear":
            return np.asarray(np.maximum(0.0, 1 - distance))
        a, d = self.coefficient, distance
        near = ((a + 2) * d - (a + 3)) * d * d + 1
        far = ((a * d - 5 * a) * d + 8 * a) * d - 4 * a
        return np.where(d < 1, near, np.where(d < 2, far, 0.0))


def _ways(call: Call, full: Sequence[int]) -> list[tuple[int, _Way]]:
    """The axes that are sampled anew, and how."""
    old = call.op == "Upsample" or call.version < 11
    scales = call.array(1 if old else 2).ravel() if call.has(1 if old else 2) else call.get("scales")
    scales = None if scales is None or len(scales) == 0 else [float(s) for s in scales]
    sizes = None if old else call.integers(3)
    axes = [a % len(full) for a in call.get("axes") or range(len(full))]
    roi = [float(v) for v in call.array(1).ravel()] if not old and call.has(1) and call.full(1) != (0,) else []
    mode = call.get("mode", "nearest")
    mode = {"bilinear": "linear", "trilinear": "linear", "bicubic": "cubic"}.get(mode, mode)
    if mode not in ("nearest", "linear", "cubic"):
        raise FormatError(f"mode {mode!r} is unknown")
    place = "asymmetric" if old else call.get("coordinate_transformation_mode", "half_pixel")
    if place not in (*_PLAIN, "half_pixel_symmetric", "tf_half_pixel_for_nn", "tf_crop_and_resize"):
        raise FormatError(f"coordinate_transformation_mode {place!r} is unknown")
    if (scales is None) == (not sizes):
        raise FormatError("it needs either scales or sizes")
    given = len(scales or sizes or [])
    if given != len(axes):
        raise FormatError(f"{given} scales or sizes for {len(axes)} axes")
    factors, targets = _targets(call, [full[a] for a in axes], scales, sizes)
    ways = []
    for k, axis in enumerate(axes):
        ways.append(
            (
                axis,
                _Way(
                    full[axis],
                    targets[k],
                    factors[k],
                    mode,
                    place,
                    "floor" if old else call.get("nearest_mode", "round_prefer_floor"),
                    float(call.get("cubic_coeff_a", -0.75)),
                    bool(call.get("exclude_outside", 0)),
                    bool(call.get("antialias", 0)),
                    (roi[k], roi[len(axes) + k]) if len(roi) == 2 * len(axes) else (0.0, 1.0),
                ),
            )
        )
    return ways


def _targets(
    call: Call, lengths: Sequence[int], scales: Sequence[float] | None, sizes: Sequence[int] | None
) -> tuple[list[Fraction], list[int]]:
    """The scale and the size of each sampled axis."""
    if scales is not None:
        if any(not math.isfinite(s) or s <= 0 or s > MAX_AXIS for s in scales):
            raise FormatError(f"scales {list(scales)[:8]} must be positive numbers")
        factors = [Fraction(s).limit_denominator(1 << 20) or Fraction(s) for s in scales]
        return factors, [math.floor(n * np.float32(s)) for n, s in zip(lengths, scales, strict=True)]
    assert sizes is not None
    if any(n < 1 for n in (*sizes, *lengths)):
        raise FormatError(f"sizes {list(sizes)[:8]} must be positive")
    policy = call.get("keep_aspect_ratio_policy", "stretch")
    factors = [Fraction(m, n) for m, n in zip(sizes, lengths, strict=True)]
    if policy == "stretch":
        return factors, list(sizes)
    one = (min if policy == "not_larger" else max)(factors)
    return [one] * len(factors), [math.floor(one * n + Fraction(1, 2)) for n in lengths]


def _one_axis(walk: Walk, x: Value, axis: int, way: _Way) -> Value:
    """One axis, by the operator for it where there is one."""
    at = x.axis(axis)
    shape = (walk.spread(x) if at < 0 else x).shape
    plain = way.place in _PLAIN and (way.place != "align_corners" or way.scale * way.n_in == way.n_out)
    plain = plain and not way.exclude and (way.coefficient == -0.75 or way.mode != "cubic")
    ratio = 1 / way.scale
    if plain and at > 0 and len(shape) > 1 and max(ratio.numerator, ratio.denominator) < 1 << 31:
        n = len(shape) - 1
        sizes, steps = list(shape[1:]), [[1, 1]] * n
        sizes[at - 1], steps[at - 1] = way.n_out, [ratio.numerator, ratio.denominator]
        return walk.emit(
            "resize",
            x,
            output_size=sizes,
            mode=way.mode,
            coordinates=way.place,
            rounding=way.rounding,
            antialias=way.antialias,
            step=steps,
        )
    if way.n_out > MAX_LENGTH:
        raise LimitError(f"an axis of {way.n_out} is longer than {MAX_LENGTH}")
    index, counts = way.taps()
    parts = []
    for tap in range(index.shape[1]):
        if not counts[:, tap].any():
            continue
        taken = on_axis(walk, x, axis, "gather", indices=index[:, tap].tolist())
        line = counts[:, tap].reshape([-1 if k == axis else 1 for k in range(len(x.full))])
        parts.append(kept(walk, taken, line))
    full = (*x.full[:axis], way.n_out, *x.full[axis + 1 :])
    if not parts:
        return walk.emit_nothing(on_axis(walk, x, axis, "gather", indices=index[:, 0].tolist()))
    return walk.elementwise("add", parts, full)
