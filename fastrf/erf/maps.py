"""Effective receptive fields without training: how the weight of all paths is spread over the pixels a position sees.

With kernels of equal weights, the gradient of a position with respect to a pixel is the number of paths between them
(Luo et al. 2016, "Understanding the effective receptive field in deep convolutional neural networks").
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from fastrf.budget import require_memory
from fastrf.erf.path_walks import backwards, check_options, forwards, on_the_way
from fastrf.erf.path_weights import PathWeights
from fastrf.errors import UsageError
from fastrf.queries.naming import last_map
from fastrf.queries.positions import all_or_given, checked_index, hinted
from fastrf.system.locks import cached_property

if TYPE_CHECKING:
    from fastrf.analysis import Analysis
    from fastrf.field import Position, ReceptiveField

__all__ = ["SHARE", "Effective", "Moments", "effective", "marginals", "moments", "path_weights", "radii", "sigmas"]

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]

#: The share of the weight that counts as all of it: two standard deviations of a Gaussian, both sides.
SHARE = 0.9545
#: Elements of the largest map that a batch of positions or pixels may have.
BATCH = 1 << 22


@dataclass(frozen=True, eq=False)
class Effective:
    """How much each pixel weighs for one position.

    `weights` float64[H, W] (the pixel axes) sums to 1, or is 0 everywhere where no path leads to the position.
    `theoretical` is the nominal size of the receptive field per pixel axis, or the size of its box at this position
    where that is unbounded. `position` is None for an average over positions.
    """

    name: str
    position: tuple[int, ...] | None
    weights: FloatArray
    theoretical: tuple[float, ...]

    @cached_property
    def marginals(self) -> tuple[FloatArray, ...]:
        """Per pixel axis float64[n]: the weights added up over all other axes."""
        axes = range(self.weights.ndim)
        return tuple(self.weights.sum(axis=(*axes[:axis], *axes[axis + 1 :])) for axis in axes)

    @cached_property
    def mean(self) -> FloatArray:
        """float64[ndim]: the centre of mass in pixel indices (0 is the centre of pixel 0); NaN without weight."""
        return np.array([_mean(marginal) for marginal in self.marginals])

    @cached_property
    def sigma(self) -> FloatArray:
        """float64[ndim]: the standard deviation per pixel axis in pixels; NaN without weight."""
        spread = [_mean(m, (np.arange(m.size) - c) ** 2) for m, c in zip(self.marginals, self.mean, strict=True)]
        return np.sqrt(spread)

    @property
    def fraction(self) -> FloatArray:
        """float64[ndim]: four standard deviations as a share of the theoretical size."""
        return 4 * self.sigma / np.maximum(self.theoretical, 1)

    def radius(self, share: float = SHARE) -> FloatArray:
        """float64[ndim]: the smallest distance from the mean within which pixel centres hold `share` of the weight.

        Each axis by itself. Raises UsageError for a share outside (0, 1].
        """
        return np.array([float(_radii(marginal[None], share)[0]) for marginal in self.marginals])

    def pixels(self, threshold: float = 1 - SHARE) -> IntArray:
        """int64[ndim]: how many entries of each marginal exceed `threshold` times its largest.

        The size of an effective receptive field as Luo et al. count it, in one dimension.
        """
        return np.array([np.count_nonzero(m > threshold * m.max(initial=0.0)) for m in self.marginals], np.int64)

    def area(self, threshold: float = 1 - SHARE) -> int:
        """How many pixels weigh more than `threshold` times the heaviest one."""
        return int(np.count_nonzero(self.weights > threshold * self.weights.max(initial=0.0)))

    def __repr__(self) -> str:
        sigma = ", ".join(f"{value:.4g}" for value in self.sigma)
        return f"Effective({self.name!r}, position={self.position}, sigma=({sigma}))"


@dataclass(frozen=True, eq=False)
class Moments:
    """Mean and standard deviation of the path weights of every position of a node.

    `mean` float64[*map, ndim] in pixel indices and `sigma` float64[*map, ndim] in pixels; NaN where no path leads.
    """

    mean: FloatArray
    sigma: FloatArray


def effective(
    analysis: Analysis,
    node: str,
    position: Position | None = None,
    *,
    kernels: str = "ones",
    nonlinear: str = "raise",
) -> Effective:
    """The effective receptive field of one position (default: the middle of the map), exactly, borders included.

    Every path from a pixel to the position counts, from any input channel to any channel of the node. `kernels` is

    - "ones": every tap of every convolution, pooling and linear layer weighs 1, so weights count paths;
    - "fan_in": a tap weighs 1 / (taps x channels that an output reads), pooling and means average. Then the weights are
      the expected squared gradients of a network with He initialisation, up to a factor.

    Padding adds no paths. Activations, batch norm and other normalisation pass weights on as they are; sums, products
    and maxima of several tensors add theirs up; interpolation uses its own weights. `nonlinear` says what to do at
    operators whose weights depend on data, such as softmax, attention and sorting: "raise", or "count" all that an
    output may read once.

    Raises UnknownNodeError, PositionError, UnsupportedOpError (naming the node), UsageError for an unknown option, and
    LimitError.
    """
    field = analysis[node]
    middle = tuple(n // 2 for n in field.position_shape)
    with hinted(field.position_shape, lambda: last_map(analysis.network, field.name)):
        where = checked_index(middle if position is None else position, field.position_shape)
    weights = path_weights(analysis, node, [where], kernels=kernels, nonlinear=nonlinear)[0]
    return Effective(field.name, where, weights, theoretical_size(field, where))


def theoretical_size(field: ReceptiveField, position: tuple[int, ...]) -> tuple[float, ...]:
    """The nominal size per pixel axis, or where unbounded that of the box at a position."""
    box = field.box(position)
    return tuple(
        float(high - low) if math.isinf(size) else size for size, (low, high) in zip(field.size, box, strict=True)
    )


def path_weights(
    analysis: Analysis,
    node: str,
    positions: npt.ArrayLike | None = None,
    *,
    kernels: str = "ones",
    nonlinear: str = "raise",
) -> FloatArray:
    """float64[n, H, W]: the path weights of all positions in row-major order, or of `positions` (int[n, axes]).

    Each sums to 1, or is 0 everywhere. Costs one pass backwards through the network per position; options and errors
    are those of `effective`.
    """
    check_options(kernels, nonlinear)
    field = analysis[node]
    with hinted(field.position_shape, lambda: last_map(analysis.network, field.name)):
        where = all_or_given(positions, field.position_shape)
    pixels = math.prod(field.pixel_shape)
    require_memory(8 * len(where) * pixels, f"path weights of {len(where)} positions", "ask for fewer positions")
    out = np.empty((len(where), *field.pixel_shape))
    batch = max(BATCH // _largest_map(analysis, field.name), 1)
    for first in range(0, len(where), batch):
        part = where[first : first + batch]
        # one image per position: 1 at its channels, 0 elsewhere
        images = np.zeros((len(part), *field.position_shape))
        images[(np.arange(len(part)), *part.T)] = 1.0
        if field.channel_axis is not None:
            images = np.expand_dims(images, field.channel_axis + 1)
        start = PathWeights.of(images, field.shape)
        found = backwards(analysis.network, analysis.wrt, field.name, start, kernels, nonlinear)
        if field.input_channel_axis is not None:
            found = found.total(field.input_channel_axis)
        dense = found.dense()
        sums = dense.reshape(len(part), -1).sum(axis=1)
        out[first : first + len(part)] = dense / np.where(sums > 0, sums, 1).reshape(-1, *[1] * (dense.ndim - 1))
    return out


def sigmas(analysis: Analysis, node: str, *, kernels: str = "ones", nonlinear: str = "raise") -> FloatArray:
    """float64[*map, ndim]: the standard deviation of the path weights of every position of a node, per pixel axis.

    As `Effective.sigma`, for all positions in a single pass; see `moments`.
    """
    return moments(analysis, [node], kernels=kernels, nonlinear=nonlinear)[node].sigma


def moments(
    analysis: Analysis, nodes: Sequence[str], *, kernels: str = "ones", nonlinear: str = "raise"
) -> dict[str, Moments]:
    """Mean and standard deviation of the path weights of every position of several nodes.

    One pass forwards through the network for all of them: the images 1, x and x^2 of every pixel axis, carried through
    it as a linear map, give the first moments of the weights of each position. Rounding makes an error of about
    1e-16 n^2 in the variance, n the length of the axis. Options and errors are those of `effective`.
    """
    check_options(kernels, nonlinear)
    fields = {name: analysis[name] for name in nodes}
    targets = {field.name for field in fields.values()}
    first = next(iter(fields.values()), None)
    means: dict[str, list[FloatArray]] = {name: [] for name in fields}
    spreads: dict[str, list[FloatArray]] = {name: [] for name in fields}
    for n, axis in _pixel_axes(first) if first is not None else []:
        x = np.arange(n) - (n - 1) / 2
        found = _carried(analysis, np.stack([np.ones(n), x, x * x]), axis, targets, kernels, nonlinear)
        for name, field in fields.items():
            total, linear, square = _positional(found[field.name], field)
            with np.errstate(invalid="ignore", divide="ignore"):
                mean = linear / total
                spreads[name].append(np.sqrt(np.maximum(square / total - mean * mean, 0)))
            means[name].append(mean + (n - 1) / 2)
    return {
        name: Moments(_stacked(means[name], field), _stacked(spreads[name], field)) for name, field in fields.items()
    }


def marginals(
    analysis: Analysis, node: str, axis: int, *, kernels: str = "ones", nonlinear: str = "raise"
) -> FloatArray:
    """float64[*map, n]: for every position of a node, the path weights along one pixel axis of length n.

    The weights of each position added up over the other pixel axes; they sum to 1, or are 0 everywhere. Raises
    UsageError for an axis that is none, and otherwise as `effective`.
    """
    check_options(kernels, nonlinear)
    field = analysis[node]
    axes = _pixel_axes(field)
    if not isinstance(axis, int) or not -len(axes) <= axis < len(axes):
        raise UsageError(f"axis {axis!r} is not one of the {len(axes)} pixel axes of {field.name!r}")
    n, image_axis = axes[axis]
    count = math.prod(field.position_shape)
    require_memory(16 * count * n, f"marginals of {count} positions", "use sigmas, or path_weights of some positions")
    out = np.empty((n, *field.position_shape))
    power = np.empty(n, np.int64)
    batch = max(BATCH // _largest_map(analysis, field.name), 1)
    for first in range(0, n, batch):
        images = np.zeros((min(batch, n - first), n))
        np.fill_diagonal(images[:, first:], 1.0)
        found = _carried(analysis, images, image_axis, {field.name}, kernels, nonlinear)[field.name]
        out[first : first + batch] = _positional(found, field)
        power[first : first + batch] = found.exponent
    out = np.ldexp(out, (power - power.max(initial=0)).reshape(-1, *[1] * len(field.position_shape)))
    sums = out.sum(axis=0)
    return np.ascontiguousarray(np.moveaxis(out / np.where(sums > 0, sums, 1), 0, -1))


def radii(
    analysis: Analysis, node: str, share: float = SHARE, *, kernels: str = "ones", nonlinear: str = "raise"
) -> FloatArray:
    """float64[*map, ndim]: `Effective.radius` of every position of a node."""
    field = analysis[node]
    found = []
    for axis in range(len(field.pixel_shape)):
        spread = marginals(analysis, node, axis, kernels=kernels, nonlinear=nonlinear)
        found.append(_radii(spread.reshape(-1, spread.shape[-1]), share).reshape(field.position_shape))
    return _stacked(found, field)


def _mean(weights: FloatArray, values: FloatArray | None = None) -> float:
    """The weighted mean of some values, or of the indices."""
    total = float(weights.sum())
    values = np.arange(weights.size, dtype=np.float64) if values is None else values
    return float(weights @ values) / total if total > 0 else math.nan


def _radii(weights: FloatArray, share: float) -> FloatArray:
    """Per row, how far from its mean pixels must lie to hold a share of it, the nearest first; NaN without weight."""
    if not 0 < share <= 1:
        raise UsageError(f"share {share!r} must be above 0 and at most 1")
    rows, (count, n) = np.arange(len(weights)), weights.shape
    total = weights.sum(axis=1)
    if not (total > 0).any():
        return np.full(count, math.nan)
    require_memory(40 * weights.size, f"radii of {count} positions", "use sigmas, or effective of some positions")
    means = weights @ np.arange(n) / np.where(total > 0, total, math.nan)
    distances = np.abs(np.arange(n) - means[:, None])
    order = np.argsort(distances, axis=1, kind="stable")
    held = np.cumsum(np.take_along_axis(weights, order, axis=1), axis=1)
    last = np.argmax(held >= share * held[:, -1:] * (1 - 1e-12), axis=1)
    return np.asarray(distances[rows, order[rows, last]])


def _pixel_axes(field: ReceptiveField) -> list[tuple[int, int]]:
    """Length and number of every axis of the input that holds pixels."""
    return [(n, axis) for axis, n in enumerate(field.input_shape) if axis != field.input_channel_axis]


def _carried(
    analysis: Analysis, images: FloatArray, axis: int, targets: Collection[str], kernels: str, nonlinear: str
) -> Mapping[str, PathWeights]:
    """Images (float64[batch, n]) that change along one input axis only, carried to the targets."""
    shape = analysis.network.shape_of(analysis.wrt)
    sizes = [1] * len(shape)
    sizes[axis] = shape[axis]
    start = PathWeights.of(images.reshape(-1, *sizes), shape)
    return forwards(analysis.network, analysis.wrt, start, targets, kernels, nonlinear)


def _positional(value: PathWeights, field: ReceptiveField) -> FloatArray:
    """float64[batch, *map]: added up over the node's channels."""
    return (value if field.channel_axis is None else value.total(field.channel_axis)).dense()


def _stacked(parts: Sequence[FloatArray], field: ReceptiveField) -> FloatArray:
    """One array per pixel axis as the last axis of one."""
    return np.stack(parts, axis=-1) if parts else np.empty((*field.position_shape, 0))


def _largest_map(analysis: Analysis, target: str) -> int:
    """The most positions that any node on the way to a target has."""
    network = analysis.network
    names = [analysis.wrt, target, *(node.name for node in on_the_way(network, analysis.wrt, [target]))]
    return max(
        math.prod(n for axis, n in enumerate(network.shape_of(name)) if axis != network.channel_axis_of(name))
        for name in names
    )
