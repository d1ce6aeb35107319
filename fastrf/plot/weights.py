"""Effective receptive fields: how much each pixel weighs, with contours around given shares of all weight."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from fastrf.erf.maps import Effective, theoretical_size
from fastrf.errors import UsageError, a_kind
from fastrf.field import ReceptiveField
from fastrf.plot import canvas
from fastrf.queries.rasters import Cells

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["effective"]

FloatArray = npt.NDArray[np.float64]


def effective(
    weights: Effective,
    field: ReceptiveField | None = None,
    *,
    shares: Sequence[float] = (0.5, 0.9, 0.99),
    ax: canvas.Where = None,
) -> Axes:
    """An effective receptive field as a heat map, each share of its weight inside of a contour.

    `weights` is what `fastrf.anchors.effective` or `gradient_effective` gives. A contour encloses the share where the
    map, smoothed by a fifth of its own spread, is highest. `field` adds the exact box of the same position. Of a large
    input the weights of a cell are added up. Of one axis, a line, and how far from the mean each share lies. Returns
    the Axes. Raises UsageError for a share outside (0, 1), for more axes, and for the field of something else.
    """
    if not isinstance(weights, Effective):
        raise UsageError(f"give what fastrf.anchors.effective(analysis, node) says, not {a_kind(weights)}")
    shape = weights.weights.shape
    if not 1 <= len(shape) <= 2:
        raise UsageError(f"{weights.name!r} is weighed over {len(shape)} pixel axes; heat maps are of one or two")
    wrong = [share for share in shares if not 0 < share < 1]
    if wrong:
        raise UsageError(f"share {wrong[0]!r} must lie between 0 and 1")
    cells = canvas.cells_of(shape)
    values = weights.weights
    for axis, one in enumerate(cells):
        values = np.add.reduceat(values, one.begins, axis=axis) if one.step > 1 else values
    box = None if field is None or weights.position is None else _box(weights, canvas.checked(field))
    axes = canvas.one(ax)
    (_line if len(shape) == 1 else _map)(axes, weights, values, cells, sorted(shares, reverse=True))
    if box is not None and len(shape) == 2:
        canvas.outline(axes, box, "orange")
    canvas.legend(axes)
    where = "the mean of positions" if weights.position is None else canvas.spelt(weights.position)
    axes.set_title(f"{canvas.short(weights.name, 36)} at {where}: effective receptive field", fontsize="medium")
    return axes


def _box(weights: Effective, field: ReceptiveField) -> Any:
    """The exact box of the position that is weighed. Raises UsageError where the field cannot be of the same layer."""
    assert weights.position is not None
    box, shape = field.box(weights.position), weights.weights.shape
    sizes = (theoretical_size(field, weights.position), shape)  # gradients may not know theirs
    is_own = field.pixel_shape == shape
    if is_own:
        inside = weights.weights[tuple(slice(low, high) for low, high in box.tolist())]
        is_own = any(np.array_equal(weights.theoretical, size, equal_nan=True) for size in sizes)
        is_own = is_own and weights.weights.sum() - inside.sum() < 1e-9
    if not is_own:
        raise UsageError(
            f"field is {field.name!r} over {canvas.joined(field.pixel_shape)}, and the weights are of {weights.name!r} "
            f"over {canvas.joined(shape)}; give the field of the same layer of the same analysis"
        )
    return box


def _map(ax: Axes, weights: Effective, values: FloatArray, cells: Sequence[Cells], shares: Sequence[float]) -> None:
    high = float(values.max(initial=0)) or 1.0
    drawn = canvas.image(ax, values / high, cells, "cividis")
    canvas.frame(ax, [one.n for one in cells])
    canvas.colorbar(ax, drawn, "weight, of the heaviest pixel")
    smooth = _smooth(values, weights.sigma / [one.step for one in cells])
    places = [one.begins + (one.step - 1) / 2 for one in cells]
    for share, style in zip(shares, itertools.cycle(["dotted", "dashed", "solid"])):
        level = _level(values, smooth, share)
        if min(values.shape) > 1 and smooth.min() < level < smooth.max():
            ax.contour(places[1], places[0], smooth, [level], colors="#F0F0F0", linestyles=style, linewidths=1.4)
        ax.plot([], [], color="#888888", linestyle=style, label=f"holds {share:.4g} of the weight")


def _smooth(values: FloatArray, sigma: FloatArray) -> FloatArray:
    """Without the comb that strides leave, so that a contour is one line; spread by a fifth of its own."""
    from scipy.ndimage import gaussian_filter

    return np.asarray(gaussian_filter(values, np.nan_to_num(sigma) / 5, mode="constant"))


def _level(values: FloatArray, smooth: FloatArray, share: float) -> float:
    """How high the smooth map is on the edge of the region that holds the share of the weight itself."""
    order = np.argsort(-smooth, axis=None, kind="stable")
    held = np.cumsum(values.ravel()[order])
    total = held[-1] if held.size else 0.0
    return float(smooth.ravel()[order[np.searchsorted(held, share * total * (1 - 1e-12))]]) if total > 0 else 0.0


def _line(ax: Axes, weights: Effective, values: FloatArray, cells: Sequence[Cells], shares: Sequence[float]) -> None:
    ax.plot(cells[0].begins + (cells[0].step - 1) / 2, values, color=canvas.COLORS["blue"], drawstyle="steps-mid")
    ax.set_xlim(-0.5, cells[0].n - 0.5)
    ax.set_ylim(bottom=0)
    ax.set_xlabel("sample")
    ax.set_ylabel("share of the weight")
    mean = float(weights.mean[0])
    for share, alpha in zip(shares, np.linspace(0.12, 0.4, len(shares)), strict=True):
        radius = float(weights.radius(share)[0])
        if np.isfinite(radius):
            label = f"holds {share:.4g} of the weight"
            ax.axvspan(mean - radius, mean + radius, color=canvas.COLORS["orange"], alpha=alpha, lw=0, label=label)
