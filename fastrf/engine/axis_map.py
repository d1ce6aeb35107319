"""AxisMap: how one output axis reads one input axis, as every operator describes it.

An axis map carries the exact relation at the given sizes and its *pattern*, the same thing on an unbounded
axis. `ops` builds them with the functions below; `dependency` uses the relation, `nominal` the pattern.
Equal arguments give the identical map, so recipes compare and hash cheaply.
"""

from __future__ import annotations

import math
import weakref
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, cast

import numpy as np
import numpy.typing as npt

from fastrf.budget import limits, require_memory
from fastrf.engine import stretched
from fastrf.engine.regular import MAX_WORK, rule_of
from fastrf.engine.relation import Relation
from fastrf.engine.stretched import stretched_family
from fastrf.errors import ShapeError
from fastrf.system.locks import cached_property

if TYPE_CHECKING:
    from scipy.sparse import csr_array

__all__ = [
    "AxisMap",
    "Pattern",
    "adaptive",
    "blocks",
    "cumulative",
    "flip",
    "from_relation",
    "nearest",
    "overlap",
    "pad",
    "phased",
    "place",
    "roll",
    "shifted",
    "strided_slice",
    "take",
    "tile",
    "transposed_window",
    "window",
    "windows",
]

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]

#: Bytes that one row takes while a relation of one run each is made.
_ROW_BYTES = 40
_SMALLER = "use a smaller input_shape"
#: A map does not keep a relation of more bytes than this.
MAX_KEPT = 1 << 25


@dataclass(frozen=True, eq=False)
class Pattern:
    """An axis map on an unbounded axis: output `o + period` reads what `o` reads, moved by `shift`.

    `low` and `high`, float64[period], bound what outputs `0 .. period - 1` read: `[low, high)`, `inf` where
    unbounded, and `low > high` where nothing is read. `reads` gives the very indices of a phase where the input's
    order may not be that of the pixels below it. `irregular` says why there is no such rule, where there is none.
    """

    period: int
    shift: int
    low: FloatArray
    high: FloatArray
    reads: Callable[[int], IntArray] | None = None
    irregular: str = ""

    @property
    def is_everything(self) -> bool:
        """Whether every output reads the whole axis."""
        return bool(np.isneginf(self.low).all() and np.isposinf(self.high).all())


@dataclass(frozen=True, eq=False)
class AxisMap:
    """How `n_out` output indices read `n_in` input indices along one axis.

    `build` and `sketch` make the relation and the pattern when they are first asked for. `shorter(times)`, where
    there is one, is the same map on axes that are `times` periods of the pattern shorter; its ends need `shortest`
    inputs. `weigh` makes the weights (n_out rows by n_in columns) of a map that has fixed ones, as interpolation does.
    """

    n_in: int
    n_out: int
    build: Callable[[], Relation]
    sketch: Callable[[], Pattern]
    shorter: Callable[[int], AxisMap] | None = None
    shortest: int = 0
    weigh: Callable[[], csr_array] | None = None

    @property
    def relation(self) -> Relation:
        """The exact relation, `n_out` rows by `n_in` columns. Raises LimitError for an axis beyond the limit `axis`.

        A large one is made anew once nobody holds it any more: maps are remembered, and would keep it for good.
        """
        told, longest = f"an axis goes from {self.n_in} to {self.n_out} indices", max(self.n_in, self.n_out)
        limits.require("axis", longest, told, _SMALLER)  # also of one that was made when more was allowed
        kept, made_for = self.__dict__.get("_kept", (lambda: None, 0))
        relation: Relation | None = kept()
        if relation is None or made_for != stretched.MIN_ROWS:
            relation = self._stretched() or self._built(told)
            kept = weakref.ref(relation) if relation.nbytes > MAX_KEPT else lambda: relation
            self.__dict__["_kept"] = kept, stretched.MIN_ROWS
        return relation

    def _built(self, told: str) -> Relation:
        """The relation, row by row."""
        require_memory(_ROW_BYTES * self.n_out, f"{told}, whose rows", _SMALLER)
        return self.build()

    def _stretched(self) -> Relation | None:
        """The relation of a long axis, without making its rows."""
        if self.shorter is None or min(self.n_in, self.n_out) <= stretched.MIN_ROWS:
            return None
        pattern, shorter = self.pattern, self.shorter
        hulls = np.stack([pattern.low, pattern.high], axis=1)
        if pattern.irregular or np.isinf(hulls[pattern.low < pattern.high]).any():
            return None
        hulls[pattern.low >= pattern.high] = 0
        shape = (self.n_out, self.n_in)
        return stretched_family(
            shape,
            pattern.period,
            pattern.shift,
            hulls.astype(np.int64),
            lambda times: shorter(times).relation,
            self.shortest,
        )

    @cached_property
    def is_identity(self) -> bool:
        """Whether every output reads the input of the same index."""
        return self.relation.is_identity

    @property
    def pattern(self) -> Pattern:
        """The same on an unbounded axis, within as many phases as allowed."""
        made_for, pattern = self.__dict__.get("_pattern", (0, None))
        if made_for != limits.phases:
            made_for, pattern = self.__dict__["_pattern"] = limits.phases, self.sketch()
        return cast("Pattern", pattern)


def shifted(shift: int, low: float, high: float) -> Pattern:
    """The pattern of one phase."""
    return Pattern(1, shift, np.array([low], float), np.array([high], float))


def phased(period: int, shift: int, bounds: Callable[[IntArray], tuple[IntArray, IntArray]]) -> Pattern:
    """The pattern whose phases `bounds` gives; none where there are too many of them."""
    if period > limits.phases:
        return _no_rule(f"more than {limits.phases} phases")
    low, high = bounds(np.arange(period, dtype=np.int64))
    return Pattern(period, shift, low.astype(np.float64), high.astype(np.float64))


def _no_rule(reason: str) -> Pattern:
    return Pattern(1, 1, np.array([np.nan]), np.array([np.nan]), irregular=reason)


def _recognised(relation: Relation) -> Pattern:
    """The rule that a table of indices follows away from the borders, if there is one."""
    found = rule_of(relation)
    return _no_rule("indices in no regular order") if found is None else Pattern(*found)


def _indices(n: int) -> IntArray:
    return np.arange(n, dtype=np.int64)


def _reading(n_in: int, index: IntArray) -> Relation:
    """Each row reads one index, or nothing where that is outside."""
    return Relation.from_runs(n_in, index, index + 1)


@lru_cache(maxsize=4096)
def window(n_in: int, n_out: int, kernel: int, stride: int, before: int, dilation: int) -> AxisMap:
    """Output `o` reads `o * stride - before + t * dilation` for `0 <= t < kernel`, where that is inside."""

    def build() -> Relation:
        first = _indices(n_out) * stride - before
        if dilation == 1 or kernel == 1:
            return Relation.from_runs(n_in, first, first + kernel)
        low = np.clip(-(first // dilation), 0, kernel)
        counts = np.maximum(np.clip(-((first - n_in) // dilation), 0, kernel) - low, 0)
        indptr = np.zeros(n_out + 1, np.int64)
        np.cumsum(counts, out=indptr[1:])
        taps = _indices(int(indptr[-1])) - np.repeat(indptr[:-1] - low, counts)
        start = np.repeat(first, counts) + taps * dilation
        return Relation.from_arrays(n_in, indptr, start, start + 1)

    return AxisMap(
        n_in,
        n_out,
        build,
        lambda: shifted(stride, -before, dilation * (kernel - 1) + 1 - before),
        lambda times: window(n_in - times * stride, n_out - times, kernel, stride, before, dilation),
    )


@lru_cache(maxsize=1024)
def transposed_window(n_in: int, n_out: int, kernel: int, stride: int, before: int, dilation: int) -> AxisMap:
    """Input `i` writes outputs `i * stride - before + t * dilation` for `0 <= t < kernel`."""
    forward = window(n_out, n_in, kernel, stride, before, dilation)

    def sketch() -> Pattern:
        return _written(stride, 1, kernel, lambda o: _writers(o + before, kernel, stride, dilation)[0])

    return AxisMap(
        n_in,
        n_out,
        lambda: forward.relation.transpose,
        sketch,
        lambda times: transposed_window(n_in - times, n_out - times * stride, kernel, stride, before, dilation),
    )


def _writers(place: int, kernel: int, stride: int, dilation: int) -> tuple[IntArray, IntArray]:
    """The windows that write a place, and by which of their taps."""
    taps = _indices(kernel)
    source, rest = np.divmod(place - taps * dilation, stride)
    return source[rest == 0], taps[rest == 0]


def _written(period: int, shift: int, kernel: int, reads: Callable[[int], IntArray]) -> Pattern:
    """The pattern of explicit reads."""
    if max(period, kernel) > limits.phases:
        return _no_rule(f"more than {limits.phases} phases")
    phases = [reads(o) for o in range(period)]
    low = np.array([read.min() if read.size else np.inf for read in phases], float)
    high = np.array([read.max() + 1 if read.size else -np.inf for read in phases], float)
    return Pattern(period, shift, low, high, phases.__getitem__)


@lru_cache(maxsize=1024)
def windows(n_in: int, n_out: int, kernel: int, stride: int, before: int, dilation: int) -> AxisMap:
    """Index `o * kernel + t` reads `o * stride - before + t * dilation`: window positions, then taps."""

    def read(index: IntArray) -> IntArray:
        return index // kernel * stride - before + index % kernel * dilation

    return AxisMap(
        n_in,
        n_out * kernel,
        lambda: _reading(n_in, read(_indices(n_out * kernel))),
        lambda: phased(kernel, stride, lambda o: (read(o), read(o) + 1)),
    )


@lru_cache(maxsize=1024)
def overlap(n_windows: int, n_out: int, kernel: int, stride: int, before: int, dilation: int) -> AxisMap:
    """`windows` reversed: output `i` reads every `o * kernel + t` with `i = o * stride - before + t * dilation`."""
    forward = windows(n_out, n_windows, kernel, stride, before, dilation)

    def reads(place: int) -> IntArray:
        source, tap = _writers(place + before, kernel, stride, dilation)
        return source * kernel + tap

    return AxisMap(
        n_windows * kernel, n_out, lambda: forward.relation.transpose, lambda: _written(stride, kernel, kernel, reads)
    )


@lru_cache(maxsize=1024)
def adaptive(n_in: int, n_out: int) -> AxisMap:
    """Output `o` reads `[floor(o n_in / n_out), ceil((o + 1) n_in / n_out))`, as adaptive pooling does."""
    return _proportional(
        n_in, n_out, lambda o: (o * n_in // max(n_out, 1), -(-(o + 1) * n_in // max(n_out, 1))), adaptive
    )


@lru_cache(maxsize=1024)
def nearest(n_in: int, n_out: int) -> AxisMap:
    """Output `o` reads `floor(o n_in / n_out)`."""
    return _proportional(n_in, n_out, lambda o: (o * n_in // max(n_out, 1), o * n_in // max(n_out, 1) + 1), nearest)


def _proportional(
    n_in: int, n_out: int, bounds: Callable[[IntArray], tuple[IntArray, IntArray]], kind: Callable[[int, int], AxisMap]
) -> AxisMap:
    """A map of a kind whose outputs read between `bounds`, which go on after the largest common part of both axes."""
    common = math.gcd(n_in, n_out) or 1
    shift, period = n_in // common, n_out // common
    return AxisMap(
        n_in,
        n_out,
        lambda: Relation.from_runs(n_in, *bounds(_indices(n_out))),
        lambda: phased(max(period, 1), shift, bounds),
        lambda times: kind(n_in - times * shift, n_out - times * period),
    )


@lru_cache(maxsize=1024)
def pad(n_in: int, before: int, after: int, mode: str = "constant") -> AxisMap:
    """Lengthen an axis (negative: crop). `constant` reads nothing; the other modes read inside the axis."""
    n_out = n_in + before + after
    if n_out < 0:
        raise ShapeError(f"cropping {-before} and {-after} leaves nothing of an axis of {n_in}; crop less")
    if mode == "constant":
        return window(n_in, n_out, 1, 1, before, 1)
    limit = {"reflect": n_in - 1, "replicate": max(before, after)}.get(mode, n_in)
    if min(before, after) < 0 or n_in == 0 or max(before, after) > limit:
        raise ShapeError(
            f"{mode} padding ({before}, {after}) does not fit an axis of {n_in}; pad less or crop by slice"
        )

    def build() -> Relation:
        source = np.arange(-before, n_in + after, dtype=np.int64)
        if mode == "reflect":
            source = (n_in - 1) - np.abs((n_in - 1) - np.abs(source))
        elif mode == "symmetric":
            source = np.maximum(source, -1 - source)
            source = np.minimum(source, 2 * n_in - 1 - source)
        elif mode == "circular":
            source %= n_in
        else:
            source = np.clip(source, 0, n_in - 1)
        return _reading(n_in, source)

    return AxisMap(
        n_in,
        n_out,
        build,
        lambda: shifted(1, -before, 1 - before),
        None if mode == "circular" else lambda times: pad(n_in - times, before, after, mode),
        max(before, after) + 1,
    )


@lru_cache(maxsize=4096)
def strided_slice(n_in: int, start: int, step: int, n_out: int) -> AxisMap:
    """Output `o` reads `start + o * step`."""
    return AxisMap(
        n_in,
        n_out,
        lambda: _reading(n_in, start + _indices(n_out) * step),
        lambda: shifted(step, start, start + 1),
        lambda times: strided_slice(n_in - times * step, start, step, n_out - times),
    )


def flip(n: int) -> AxisMap:
    """Output `o` reads `n - 1 - o`."""
    return strided_slice(n, n - 1, -1, n)


@lru_cache(maxsize=1024)
def roll(n: int, shift: int) -> AxisMap:
    """Output `(i + shift) mod n` reads `i`; on an unbounded axis nothing wraps."""
    return AxisMap(
        n, n, lambda: _reading(n, (_indices(n) - shift % max(n, 1)) % max(n, 1)), lambda: shifted(1, -shift, 1 - shift)
    )


@lru_cache(maxsize=1024)
def tile(n: int, times: int) -> AxisMap:
    """Output `o` reads `o mod n`."""

    def build() -> Relation:
        return _reading(n, _indices(n * times) % max(n, 1))

    def sketch() -> Pattern:
        return _recognised(build()) if n * times <= MAX_WORK else _no_rule("indices in no regular order")

    return AxisMap(n, n * times, build, sketch)


def place(n_in: int, n_out: int, offset: int) -> AxisMap:
    """Outputs `offset .. offset + n_in - 1` read the inputs in order, the others nothing."""
    return strided_slice(n_in, -offset, 1, n_out)


@lru_cache(maxsize=4096)
def blocks(n_in: int, n_out: int, groups: int) -> AxisMap:
    """Both axes cut into `groups` equal parts: outputs of a part read the whole input part."""

    def build() -> Relation:
        first = _indices(n_out) // max(n_out // groups, 1) * (n_in // groups)
        return Relation.from_runs(n_in, first, first + n_in // groups)

    return AxisMap(n_in, n_out, build, lambda: shifted(1, -math.inf, math.inf))


@lru_cache(maxsize=1024)
def cumulative(n: int, reverse: bool = False, exclusive: bool = False) -> AxisMap:
    """Output `o` reads everything up to `o` (from `o` on when reversed), without `o` when exclusive."""
    skip = int(exclusive)

    def build() -> Relation:
        index = _indices(n)
        if reverse:
            return Relation.from_runs(n, index + skip, np.full(n, n))
        return Relation.from_runs(n, np.zeros(n, np.int64), index + 1 - skip)

    return AxisMap(n, n, build, lambda: shifted(1, skip, math.inf) if reverse else shifted(1, -math.inf, 1 - skip))


def take(n_in: int, indices: npt.ArrayLike) -> AxisMap:
    """Output `o` reads `indices[o]`; an index of -1 or less reads nothing."""
    index = np.asarray(indices, np.int64)
    return from_relation(Relation.from_runs(n_in, index, np.where(index < 0, index, index + 1)))


@lru_cache(maxsize=4096)
def from_relation(relation: Relation) -> AxisMap:
    """Any relation; on an unbounded axis it goes on as it does away from its borders (see `regular`)."""
    return AxisMap(relation.n_cols, relation.n_rows, lambda: relation, lambda: _recognised(relation))
