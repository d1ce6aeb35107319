"""Maps of all positions (areas, densities, what borders cut) and of all pixels (coverage, blind spots)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from fastrf.engine import axis_map as maps
from fastrf.engine.dependency import Dependency
from fastrf.field import ReceptiveField
from fastrf.plot import canvas
from fastrf.queries import counting
from fastrf.queries.rasters import Cells, anywhere, clipped_shares, n_seen, picked, unseen

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["areas", "clipped", "coverage", "densities"]

Values = npt.NDArray[np.int64] | npt.NDArray[np.float64]


def areas(field: ReceptiveField, *, ax: canvas.Where = None) -> Axes:
    """How many pixels each position sees, as `ReceptiveField.areas` counts them: a map, or a line of a map of one axis.

    Of a map larger than the picture, evenly spaced positions are counted, which is said. Of a map of more than two axes
    the plane in the middle of the others is drawn. Returns the Axes. Raises LimitError beyond 62 terms, UsageError for
    what is no field, and MissingExtraError.
    """
    field = canvas.checked(field)
    places = _places(field)
    values = counting.areas(picked(field.positional, places)) if 0 not in field.position_shape else np.zeros(0)
    return _drawn(ax, field, values, places, "area", "pixels that a position sees")


def densities(field: ReceptiveField, *, ax: canvas.Where = None) -> Axes:
    """Which share of its box each position sees, as `ReceptiveField.densities`; otherwise as `areas`."""
    field = canvas.checked(field)
    places = _places(field)
    values: Values = np.zeros(0)
    if 0 not in field.position_shape:
        part = picked(field.positional, places)
        boxes = counting.boxes(part)
        values = counting.areas(part) / np.maximum(np.prod(boxes[..., 1] - boxes[..., 0], axis=-1), 1)
    return _drawn(ax, field, values, places, "density", "share of its box that a position sees", (0, 1))


def clipped(field: ReceptiveField, *, ax: canvas.Where = None) -> Axes:
    """Which positions a border of the input cuts, as `ReceptiveField.clipped`; otherwise as `areas`.

    Of a map larger than the picture, the share of the positions in each cell.
    """
    field = canvas.checked(field)
    places, nominal = _places(field), field.nominal
    for axis, (n, wanted) in enumerate(zip(field.position_shape, places, strict=True)):
        if isinstance(wanted, int):
            nominal = nominal.map_axis(axis, maps.strided_slice(n, wanted, 1, 1))
    cells = [Cells(1, 1) if isinstance(wanted, int) else wanted for wanted in places]
    values: Values = clipped_shares(nominal, field.pixel_shape, cells)
    if not places:
        values = nominal.clipped(field.pixel_shape).astype(np.float64)
    share = field.clipped_share
    told = "unknown which" if math.isnan(share) else f"{share:.1%}"
    return _drawn(
        ax, field, values, places, f"{told} cut by a border", "share of positions that a border cuts", (0, 1), "grey"
    )


def coverage(field: ReceptiveField, *, ax: canvas.Where = None) -> Axes:
    """How many positions see each pixel, as `ReceptiveField.coverage`, and the blind spots, which none sees.

    Of an input larger than the picture, evenly spaced pixels are counted; a cell is marked blind where any pixel of it
    is. Returns the Axes. Errors are those of `areas`.
    """
    field = canvas.checked(field)
    shape = field.pixel_shape
    places = _middle(shape)
    values: Values = np.zeros(0) if 0 in shape else counting.areas(picked(field.positional.transpose(), places))
    axes = canvas.one(ax)
    _draw(axes, values, shape, places, "positions that see a pixel", "pixels")
    seen = anywhere(field.positional)
    blind = math.prod(shape) - n_seen(seen)
    told = f"{blind:,} of {math.prod(shape):,} pixels are blind" if blind else "no blind spot"
    if blind:
        _mark_blind(axes, _through(seen, places), places)
    axes.set_title(_title(field, f"coverage, {told}", places, "pixels"), fontsize="medium")
    return axes


def _places(field: ReceptiveField) -> list[Cells | int]:
    return _middle(field.position_shape)


def _middle(shape: Sequence[int]) -> list[Cells | int]:
    """Cells of the last two axes, and the middle of those before."""
    before = max(len(shape) - 2, 0)
    return [n // 2 if axis < before else Cells.of(n, canvas.MOST) for axis, n in enumerate(shape)]


def _through(seen: Dependency, places: Sequence[Cells | int]) -> Dependency:
    """What is seen in one plane."""
    turned = seen.transpose()
    for axis, wanted in reversed(list(enumerate(places))):
        if isinstance(wanted, int):
            turned = turned.map_axis(axis, maps.strided_slice(turned.shape[axis], wanted, 1, 1))
            turned = turned.reduce(axis)
    return turned.transpose()


def _drawn(
    ax: canvas.Where,
    field: ReceptiveField,
    values: Values,
    places: Sequence[Cells | int],
    what: str,
    unit: str,
    limits: tuple[float, float] | None = None,
    lowest: str = "",
) -> Axes:
    """A map of positions, or a sentence where there are none."""
    axes = canvas.one(ax)
    if not places or values.size == 0:
        told = f"{float(values):,.4g} {unit.replace('a position', 'it')}" if values.size else "its map is empty"
        axes.set_title(canvas.one_of(field), fontsize="medium")
        return canvas.said(axes, f"{field.name} has no positions:\n{told}")
    _draw(axes, values, field.position_shape, places, unit, "positions", limits, lowest)
    axes.set_title(_title(field, what, places, "positions"), fontsize="medium")
    return axes


def _draw(
    ax: Axes,
    values: Values,
    shape: Sequence[int],
    places: Sequence[Cells | int],
    unit: str,
    what: str,
    limits: tuple[float, float] | None = None,
    lowest: str = "",
) -> None:
    """Values of the last two axes as colours, or of one axis as a line."""
    cells = [wanted for wanted in places if not isinstance(wanted, int)]
    values = values.reshape([one.number for one in cells])
    low, high = limits or (float(values.min()), float(values.max()))
    if len(cells) == 1:
        ax.plot(cells[0].middles, values, color=canvas.COLORS["blue"], drawstyle="steps-mid")
        ax.set_xlim(-0.5, cells[0].n - 0.5)
        ax.set_ylim(0, 1.05 * (high or 1))
        ax.set_xlabel("sample" if what == "pixels" else "position")
        ax.set_ylabel(unit)
        return
    low = 0.0 if low == high else low
    cmap = canvas.between(lowest, "vermillion") if lowest else "viridis"
    image = ax.imshow(values, cmap, vmin=low, vmax=high, extent=canvas.extent(cells), interpolation="nearest")
    canvas.frame(ax, shape[-2:], what)
    canvas.colorbar(ax, image, unit)


def _mark_blind(ax: Axes, seen: Dependency, places: Sequence[Cells | int]) -> None:
    cells = [wanted for wanted in places if not isinstance(wanted, int)]
    blind = unseen(seen, cells)
    color = canvas.COLORS["vermillion"]
    if len(cells) == 1:
        ax.plot(cells[0].middles[blind], np.zeros(blind.sum()), "|", color=color, ms=14, label="blind spots")
    else:
        marked: Any = np.ma.masked_equal(blind, False)
        ax.imshow(marked, canvas.colours("vermillion"), extent=canvas.extent(cells), interpolation="nearest")
        ax.plot([], [], "s", color=color, label="blind spots")
        canvas.frame(ax, [one.n for one in cells])
    canvas.legend(ax)


def _title(field: ReceptiveField, what: str, places: Sequence[Cells | int], of: str) -> str:
    """The name, and what is left out of the picture."""
    steps = [wanted.step for wanted in places if not isinstance(wanted, int)]
    planes = [wanted for wanted in places if isinstance(wanted, int)]
    told = f"\nplane {', '.join(map(str, planes))}" if planes else ""
    if max(steps, default=1) > 1:
        told += f"\none of {canvas.joined(steps)} {of} is drawn"
    return f"{canvas.one_of(field)}: {what}{told}"
