"""Maps of all positions (areas, densities, what borders cut) and of all pixels (coverage, blind spots)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

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


class _Map(NamedTuple):
    """Values of cells along axes of a `shape`, of whose `places` some may be one index alone; `of` positions or pixels.

    `unit` says what a value is, `shares` whether it goes from 0 to 1.
    """

    field: ReceptiveField
    values: Values
    shape: tuple[int, ...]
    places: Sequence[Cells | int]
    unit: str
    of: str = "positions"
    shares: bool = False
    colours: str = "viridis"

    @property
    def cells(self) -> list[Cells]:
        """Of the axes that are drawn."""
        return [wanted for wanted in self.places if not isinstance(wanted, int)]

    def title(self, what: str, left_out: str = "one of {0} {1} is drawn") -> str:
        """The name, what it is, and what is left out of the picture."""
        planes = [wanted for wanted in self.places if isinstance(wanted, int)]
        steps = [one.step for one in self.cells]
        told = f"\nplane {', '.join(map(str, planes))}" if planes else ""
        if max(steps, default=1) > 1:
            told += f"\n{left_out.format(canvas.joined(steps), self.of)}"
        return f"{canvas.one_of(self.field)}: {what}{told}"


def areas(field: ReceptiveField, *, ax: canvas.Where = None) -> Axes:
    """How many pixels each position sees, as `ReceptiveField.areas` counts them: a map, or a line of a map of one axis.

    Of a map larger than the picture, one position of each cell is counted, which is said. Of a map of more than two
    axes the plane in the middle of the others is drawn. Returns the Axes. Raises LimitError beyond 62 terms, UsageError
    for what is no field, and MissingExtraError.
    """
    field = canvas.checked(field)
    places = _places(field.position_shape)
    values: Values = np.zeros(0)
    if 0 not in field.position_shape:
        values = counting.areas(picked(field.positional, places))
    drawn = _Map(field, values, field.position_shape, places, f"{canvas.unit_of(field)} that a position sees")
    return _of_positions(ax, drawn, drawn.title("area"))


def densities(field: ReceptiveField, *, ax: canvas.Where = None) -> Axes:
    """Which share of its box each position sees, as `ReceptiveField.densities`; otherwise as `areas`."""
    field = canvas.checked(field)
    places = _places(field.position_shape)
    values: Values = np.zeros(0)
    if 0 not in field.position_shape:
        part = picked(field.positional, places)
        boxes = counting.boxes(part)
        values = counting.areas(part) / np.maximum(np.prod(boxes[..., 1] - boxes[..., 0], axis=-1), 1)
    drawn = _Map(field, values, field.position_shape, places, "share of its box that a position sees", shares=True)
    return _of_positions(ax, drawn, drawn.title("density"))


def clipped(field: ReceptiveField, *, ax: canvas.Where = None) -> Axes:
    """Which positions a border of the input cuts, as `ReceptiveField.clipped`; otherwise as `areas`.

    Of a map larger than the picture, the share of the positions in each cell.
    """
    field = canvas.checked(field)
    places, nominal = _places(field.position_shape), field.nominal
    for axis, (n, wanted) in enumerate(zip(field.position_shape, places, strict=True)):
        if isinstance(wanted, int):
            nominal = nominal.map_axis(axis, maps.strided_slice(n, wanted, 1, 1))
    cells = [Cells(1, 1) if isinstance(wanted, int) else wanted for wanted in places]
    values: Values = clipped_shares(nominal, field.pixel_shape, cells)
    unit = "share of positions that a border cuts"
    drawn = _Map(field, values, field.position_shape, places, unit, shares=True, colours="")
    share = field.clipped_share
    told = "unknown which" if math.isnan(share) else f"{share:.2g} of all" if 0 < share < 0.0005 else f"{share:.1%}"
    return _of_positions(ax, drawn, drawn.title(f"{told} cut by a border", "{0} {1} in a cell"))


def coverage(field: ReceptiveField, *, ax: canvas.Where = None) -> Axes:
    """How many positions see each pixel, as `ReceptiveField.coverage`, and the blind spots, which none sees.

    Of an input larger than the picture, one pixel of each cell is counted; a cell is marked blind where any pixel of it
    is. Returns the Axes. Errors are those of `areas`.
    """
    field = canvas.checked(field)
    shape, places, unit = field.pixel_shape, _places(field.pixel_shape), canvas.unit_of(field)
    if not shape or 0 in shape:
        axes = canvas.one(ax)
        axes.set_title(canvas.one_of(field), fontsize="medium")
        return canvas.said(axes, "the input has no pixels")
    values = counting.areas(picked(field.positional.transpose(), places))
    drawn = _Map(field, values, shape, places, f"positions that see a {unit[:-1]}", unit)
    seen = anywhere(field.positional)
    blind = math.prod(shape) - n_seen(seen)
    spots = unseen(_through(seen, places), drawn.cells) if blind else None
    axes = canvas.one(ax)
    _draw(axes, drawn)
    if spots is not None:
        _mark_blind(axes, spots, drawn)
    told = f"{blind:,} of {math.prod(shape):,} {unit} are blind" if blind else "no blind spot"
    axes.set_title(drawn.title(f"coverage, {told}"), fontsize="medium")
    return axes


def _places(shape: Sequence[int]) -> list[Cells | int]:
    """Cells of the last two axes, and the middle of those before."""
    before = max(len(shape) - 2, 0)
    return [*(n // 2 for n in shape[:before]), *canvas.cells_of(shape[before:])]


def _through(seen: Dependency, places: Sequence[Cells | int]) -> Dependency:
    """What is seen in one plane."""
    turned = seen.transpose()
    for axis, wanted in reversed(list(enumerate(places))):
        if isinstance(wanted, int):
            turned = turned.map_axis(axis, maps.strided_slice(turned.shape[axis], wanted, 1, 1))
            turned = turned.reduce(axis)
    return turned.transpose()


def _of_positions(ax: canvas.Where, drawn: _Map, title: str) -> Axes:
    """A map of positions, or a sentence where there are none."""
    axes, field = canvas.one(ax), drawn.field
    if drawn.places and drawn.values.size:
        _draw(axes, drawn)
        axes.set_title(title, fontsize="medium")
        return axes
    axes.set_title(canvas.one_of(field), fontsize="medium")
    if drawn.places:
        return canvas.said(axes, f"{canvas.short(field.name, 40)} has no positions: its map is {field.position_shape}")
    unit = drawn.unit.replace("a position", "it").replace("share of positions", "1 where it is one")
    return canvas.said(axes, f"{canvas.short(field.name, 40)} has no positions:\n{float(drawn.values):,.4g} {unit}")


def _draw(ax: Axes, drawn: _Map) -> None:
    """Values of two axes as colours, or of one axis as a line."""
    cells = drawn.cells
    values = drawn.values.reshape([one.number for one in cells])
    low, high = (0.0, 1.0) if drawn.shares else (float(values.min()), float(values.max()))
    if len(cells) == 1:
        ax.plot(cells[0].chosen, values, color=canvas.COLORS["blue"], drawstyle="steps-mid")
        ax.set_xlim(-0.5, cells[0].n - 0.5)
        ax.set_ylim(0, 1.05 * (high or 1))
        ax.set_xlabel(drawn.of.removesuffix("s"))
        ax.set_ylabel(drawn.unit)
        return
    colours = drawn.colours or canvas.between("grey", "vermillion")
    image = canvas.image(ax, values, cells, colours, 0.0 if low == high else low, high)
    canvas.frame(ax, drawn.shape[-2:], drawn.of)
    canvas.colorbar(ax, image, drawn.unit)


def _mark_blind(ax: Axes, blind: npt.NDArray[np.bool_], drawn: _Map) -> None:
    cells = drawn.cells
    if len(cells) == 1:
        places, color = cells[0].chosen[blind], canvas.COLORS["vermillion"]
        ax.plot(places, np.zeros(places.size), "|", color=color, ms=14, label="blind spots")
    else:
        marked: Any = np.ma.masked_equal(blind, False)
        canvas.image(ax, marked, cells, canvas.colours("white"))  # which no one takes for one of the map's colours
        ax.plot([], [], "s", color="white", mec="black", ms=9, label="blind spots")
        canvas.frame(ax, drawn.shape[-2:], drawn.of)
    canvas.legend(ax)
