"""AxisMap: how one output axis reads one input axis, as every operator describes it.

An axis map carries the exact relation at the given sizes and its *pattern*, the same thing on an unbounded
axis. `ops` builds them with the functions below; `dependency` uses the relation, `nominal` the pattern.
Equal arguments give the identical map, so recipes compare and hash cheaply.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property, lru_cache

import numpy as np
import numpy.typing as npt

from fastrf.errors import ShapeError
from fastrf.relation import Relation

__all__ = [
    "AxisMap",
    "Pattern",
    "adaptive",
    "cumulative",
    "flip",
    "from_relation",
    "nearest",
    "overlap",
    "pad",
    "place",
    "roll",
    "strided_slice",
    "take",
    "transposed_window",
    "window",
    "windows",
]

FloatArray = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Pattern:
    """An axis map on an unbounded axis: output `o + period` reads what `o` reads, moved by `shift`.

    `low` and `high`, float64[period], bound what outputs `0 .. period - 1` read: `[low, high)`, `inf` where
    unbounded, and `low > high` where nothing is read.
    """

    period: int
    shift: int
    low: FloatArray
    high: FloatArray


@dataclass(frozen=True, eq=False)
class AxisMap:
    """How `n_out` output indices read `n_in` input indices along one axis."""

    n_in: int
    n_out: int
    pattern: Pattern
    build: Callable[[], Relation]

    @cached_property
    def relation(self) -> Relation:
        """The exact relation, `n_out` rows by `n_in` columns, built on first use."""
        return self.build()


def _single(shift: int, low: float, high: float) -> Pattern:
    return Pattern(1, shift, np.array([low], float), np.array([high], float))


def _tabulated(relation: Relation, shift: int | None = None) -> Pattern:
    """The pattern that repeats the whole axis: every row as it is, moved by one input length."""
    hulls = relation.hulls.astype(float)
    empty = hulls[:, 0] == hulls[:, 1]
    hulls[empty] = [np.inf, -np.inf]
    return Pattern(max(relation.n_rows, 1), relation.n_cols if shift is None else shift, hulls[:, 0], hulls[:, 1])


@lru_cache(maxsize=4096)
def window(n_in: int, n_out: int, kernel: int, stride: int, before: int, dilation: int) -> AxisMap:
    """Output `o` reads `o * stride - before + t * dilation` for `0 <= t < kernel`, where that is inside."""

    def build() -> Relation:
        first = np.arange(n_out, dtype=np.int64) * stride - before
        if dilation == 1 or kernel == 1:
            return Relation.from_runs(n_in, first, first + kernel)
        taps = first[:, None] + np.arange(kernel, dtype=np.int64) * dilation
        rows = np.broadcast_to(np.arange(n_out)[:, None], taps.shape)
        return Relation.from_points(n_out, n_in, rows, taps)

    return AxisMap(n_in, n_out, _single(stride, -before, dilation * (kernel - 1) + 1 - before), build)


@lru_cache(maxsize=1024)
def transposed_window(n_in: int, n_out: int, kernel: int, stride: int, before: int, dilation: int) -> AxisMap:
    """Input `i` writes outputs `i * stride - before + t * dilation` for `0 <= t < kernel`."""

    def build() -> Relation:
        outputs = np.arange(n_in)[:, None] * stride - before + np.arange(kernel) * dilation
        inputs = np.broadcast_to(np.arange(n_in)[:, None], outputs.shape)
        inside = (outputs >= 0) & (outputs < n_out)
        return Relation.from_points(n_out, n_in, outputs[inside], inputs[inside])

    low, high = np.full(stride, np.inf), np.full(stride, -np.inf)
    for phase in range(stride):
        reads = [
            (phase + before - t * dilation) // stride
            for t in range(kernel)
            if (phase + before - t * dilation) % stride == 0
        ]
        if reads:
            low[phase], high[phase] = min(reads), max(reads) + 1
    return AxisMap(n_in, n_out, Pattern(stride, 1, low, high), build)


@lru_cache(maxsize=1024)
def adaptive(n_in: int, n_out: int) -> AxisMap:
    """Output `o` reads `[floor(o n_in / n_out), ceil((o + 1) n_in / n_out))`, as adaptive pooling does."""
    common = math.gcd(n_in, n_out) or 1
    index = np.arange(max(n_out // common, 1), dtype=np.int64)
    low, high = index * n_in // max(n_out, 1), -(-(index + 1) * n_in // max(n_out, 1))
    pattern = Pattern(index.size, n_in // common, low.astype(float), high.astype(float))

    def build() -> Relation:
        o = np.arange(n_out, dtype=np.int64)
        return Relation.from_runs(n_in, o * n_in // max(n_out, 1), -(-(o + 1) * n_in // max(n_out, 1)))

    return AxisMap(n_in, n_out, pattern, build)


@lru_cache(maxsize=1024)
def nearest(n_in: int, n_out: int) -> AxisMap:
    """Output `o` reads `floor(o n_in / n_out)`."""
    common = math.gcd(n_in, n_out) or 1
    index = np.arange(n_out // common, dtype=np.int64) * n_in // max(n_out, 1)
    pattern = Pattern(index.size, n_in // common, index.astype(np.float64), (index + 1).astype(np.float64))

    def build() -> Relation:
        source = np.arange(n_out, dtype=np.int64) * n_in // max(n_out, 1)
        return Relation.from_runs(n_in, source, source + 1)

    return AxisMap(n_in, n_out, pattern, build)


@lru_cache(maxsize=1024)
def pad(n_in: int, before: int, after: int, mode: str = "constant") -> AxisMap:
    """Lengthen an axis (negative: crop). `constant` reads nothing; the other modes read inside the axis."""
    n_out = n_in + before + after
    if n_out < 0:
        raise ShapeError(f"cropping {-before} and {-after} leaves nothing of an axis of {n_in}; crop less")
    if mode == "constant":
        return window(n_in, n_out, 1, 1, before, 1)
    limit = {"reflect": n_in - 1, "circular": n_in, "replicate": None}[mode]
    if min(before, after) < 0 or n_in == 0 or (limit is not None and max(before, after) > limit):
        raise ShapeError(
            f"{mode} padding ({before}, {after}) does not fit an axis of {n_in}; pad less or crop by slice"
        )

    def build() -> Relation:
        source = np.arange(-before, n_in + after, dtype=np.int64)
        if mode == "reflect":
            source = (n_in - 1) - np.abs((n_in - 1) - np.abs(source))
        elif mode == "circular":
            source %= n_in
        else:
            source = np.clip(source, 0, n_in - 1)
        return Relation.from_runs(n_in, source, source + 1)

    return AxisMap(n_in, n_out, _single(1, -before, 1 - before), build)


@lru_cache(maxsize=4096)
def strided_slice(n_in: int, start: int, step: int, n_out: int) -> AxisMap:
    """Output `o` reads `start + o * step`."""

    def build() -> Relation:
        index = start + np.arange(n_out, dtype=np.int64) * step
        return Relation.from_runs(n_in, index, index + 1)

    return AxisMap(n_in, n_out, _single(step, start, start + 1), build)


def flip(n: int) -> AxisMap:
    """Output `o` reads `n - 1 - o`."""
    return strided_slice(n, n - 1, -1, n)


@lru_cache(maxsize=1024)
def roll(n: int, shift: int) -> AxisMap:
    """Output `(i + shift) mod n` reads `i`; on an unbounded axis nothing wraps."""
    index = (np.arange(n, dtype=np.int64) - shift) % max(n, 1)
    return AxisMap(n, n, _single(1, -shift, 1 - shift), lambda: Relation.from_runs(n, index, index + 1))


@lru_cache(maxsize=4096)
def place(n_in: int, n_out: int, offset: int) -> AxisMap:
    """Outputs `offset .. offset + n_in - 1` read the inputs in order, the others nothing."""

    def build() -> Relation:
        index = np.arange(n_out, dtype=np.int64) - offset
        return Relation.from_runs(n_in, index, index + 1)

    return AxisMap(n_in, n_out, _single(1, -offset, 1 - offset), build)


@lru_cache(maxsize=1024)
def cumulative(n: int, reverse: bool = False, exclusive: bool = False) -> AxisMap:
    """Output `o` reads everything up to `o` (from `o` on when reversed), without `o` when exclusive."""
    index = np.arange(n, dtype=np.int64)
    if reverse:
        relation = Relation.from_runs(n, index + exclusive, np.full(n, n))
        pattern = _single(1, float(exclusive), math.inf)
    else:
        relation = Relation.from_runs(n, np.zeros(n, np.int64), index + 1 - exclusive)
        pattern = _single(1, -math.inf, 1.0 - exclusive)
    return AxisMap(n, n, pattern, lambda: relation)


def take(n_in: int, indices: npt.ArrayLike) -> AxisMap:
    """Output `o` reads `indices[o]`; an index of -1 or less reads nothing."""
    index = np.asarray(indices, np.int64)
    return from_relation(Relation.from_runs(n_in, index, np.where(index < 0, index, index + 1)))


@lru_cache(maxsize=4096)
def from_relation(relation: Relation, shift: int | None = None) -> AxisMap:
    """Any relation; beyond its rows the unbounded pattern repeats it, `shift` inputs further on."""
    return AxisMap(relation.n_cols, relation.n_rows, _tabulated(relation, shift), lambda: relation)


@lru_cache(maxsize=1024)
def windows(n_in: int, n_out: int, kernel: int, stride: int, before: int, dilation: int) -> AxisMap:
    """Index `o * kernel + t` reads `o * stride - before + t * dilation`: window positions, then taps."""
    taps = np.arange(kernel, dtype=np.int64) * dilation - before

    def build() -> Relation:
        index = (np.arange(n_out, dtype=np.int64)[:, None] * stride + taps).ravel()
        return Relation.from_runs(n_in, index, index + 1)

    return AxisMap(
        n_in, n_out * kernel, Pattern(kernel, stride, taps.astype(np.float64), (taps + 1).astype(np.float64)), build
    )


@lru_cache(maxsize=1024)
def overlap(n_windows: int, n_out: int, kernel: int, stride: int, before: int, dilation: int) -> AxisMap:
    """`windows` reversed: output `i` reads every `o * kernel + t` with `i = o * stride - before + t * dilation`."""
    forward = windows(n_out, n_windows, kernel, stride, before, dilation)
    low, high = np.full(stride, np.inf), np.full(stride, -np.inf)
    for phase, t in itertools.product(range(stride), range(kernel)):
        window_index, rest = divmod(phase + before - t * dilation, stride)
        if rest == 0:
            low[phase] = min(low[phase], window_index * kernel + t)
            high[phase] = max(high[phase], window_index * kernel + t + 1)
    pattern = Pattern(stride, kernel, low, high)
    return AxisMap(n_windows * kernel, n_out, pattern, lambda: forward.relation.transpose)
