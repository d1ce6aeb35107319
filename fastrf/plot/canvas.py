"""What all pictures share: axes to draw on, colours that everybody tells apart, labels, extents."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from fastrf.errors import UsageError, a_kind
from fastrf.field import ReceptiveField
from fastrf.queries.rasters import Cells
from fastrf.system.extras import require

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    Where = Axes | Figure | Sequence[Axes] | None
else:  # for those who ask functions for their types
    Where = Any

__all__ = [
    "COLORS",
    "FEW",
    "MOST",
    "SERIES",
    "Where",
    "between",
    "cells_of",
    "checked",
    "colorbar",
    "colours",
    "extent",
    "frame",
    "image",
    "joined",
    "legend",
    "one",
    "one_of",
    "outline",
    "said",
    "several",
    "short",
    "spelt",
    "tidy",
    "unit_of",
]

#: Okabe and Ito 2008, "Color Universal Design".
COLORS = {
    "black": "#000000",
    "orange": "#E69F00",
    "sky": "#56B4E9",
    "green": "#009E73",
    "yellow": "#F0E442",
    "blue": "#0072B2",
    "vermillion": "#D55E00",
    "purple": "#CC79A7",
    "grey": "#ECECEC",
    "quiet": "#666666",
}
#: In this order where things are told apart by colour.
SERIES = tuple(COLORS[name] for name in ("blue", "orange", "green", "vermillion", "purple", "sky", "black"))
#: An axis of at most so many indices is drawn whole; a longer one in so few cells that none is lost in a picture.
MOST, FEW = 1024, 512
#: An image that is longer than so many times its width is stretched.
LONGEST = 8


def checked(field: Any) -> ReceptiveField:
    """A field. Raises UsageError for anything else."""
    if isinstance(field, ReceptiveField):
        return field
    raise UsageError(f"a picture is of a field such as analysis['layer4'] or analysis.output, not of {a_kind(field)}")


def one(ax: Where, size: tuple[float, float] = (6.0, 4.8)) -> Axes:
    """Axes to draw on: the ones given, new ones of a figure, or (None) those of a new figure."""
    return several(ax, 1, size)[0]


def several(ax: Where, n: int, size: tuple[float, float] = (3.0, 3.2), columns: int | None = None) -> list[Axes]:
    """`n` Axes: those given, new ones in a figure, or (None) those of a new figure, in so many columns.

    Raises UsageError for another number of them, for Axes without a figure, and for those that are not flat.
    """
    figure = require("matplotlib.figure", "plot", "a picture")
    axes = require("matplotlib.axes", "plot", "a picture").Axes
    columns = columns or n
    if ax is None:
        pyplot = require("matplotlib.pyplot", "plot", "a picture")
        rows = -(-n // columns)
        engine = require("matplotlib.layout_engine", "plot", "a picture").ConstrainedLayoutEngine
        layout = engine(w_pad=0.1, h_pad=0.06)  # tick labels at the ends of an axis need room
        ax = pyplot.figure(figsize=(size[0] * columns, size[1] * rows), layout=layout)
    if isinstance(ax, figure.FigureBase):
        made = ax.subplots(-(-n // columns), columns, squeeze=False).ravel()
        for spare in made[n:]:
            spare.set_axis_off()
        return [*made[:n]]
    given = [ax] if isinstance(ax, axes) else [*np.ravel(np.asarray(ax, object))]
    if len(given) != n or not all(isinstance(item, axes) for item in given):
        told = "Axes or a Figure" if n == 1 else f"{n} Axes or a Figure"
        raise UsageError(f"ax must be {told}, not {len(given)} of {a_kind(given[0] if given else ax)}")
    for item in given:
        if item.figure is None:
            raise UsageError("ax was removed from its figure; give Axes of a figure, or leave ax out")
        if item.name != "rectilinear":
            raise UsageError(f"ax has the projection {item.name!r}, and pictures are flat; give plain Axes")
    return given


def tidy(ax: Where, axes: Sequence[Axes]) -> None:
    """Labels at the edges alone, of Axes that were made here and have the same scale."""
    if ax is None or hasattr(ax, "subplots"):
        for made in axes:
            made.label_outer()


def extent(cells: Sequence[Cells]) -> tuple[float, float, float, float]:
    """Where `imshow` puts rows and columns of cells, in indices; the last ones may reach beyond the axis."""
    (rows, columns) = cells if len(cells) == 2 else (Cells(1, 1), cells[0])
    (top, bottom), (left, right) = ((c.first - 0.5, c.first + c.number * c.step - 0.5) for c in (rows, columns))
    return (left, right, bottom, top)


def cells_of(shape: Sequence[int]) -> list[Cells]:
    """The cells that axes of these lengths are drawn in."""
    return [Cells.of(n, MOST, FEW) for n in shape]


def image(ax: Axes, values: Any, cells: Sequence[Cells], cmap: Any, low: float = 0, high: float = 1) -> Any:
    """Values of cells as colours; where cells are smaller than pixels, colours mix, so that thin things stay."""
    style: dict[str, Any] = {"interpolation": "antialiased", "interpolation_stage": "rgba"}
    return ax.imshow(values, cmap, vmin=low, vmax=high, extent=extent(cells), **style)


def frame(ax: Axes, shape: Sequence[int], what: str = "pixels") -> None:
    """Axes of whole indices around all of a shape of one or two axes: of pixels or voxels, or of positions."""
    locator = require("matplotlib.ticker", "plot", "a picture").MaxNLocator
    height, width = (1, *shape) if len(shape) == 1 else shape
    ax.set_xlim(-0.5, max(width, 1) - 0.5)
    ax.set_ylim(max(height, 1) - 0.5, -0.5)
    long = max(height, width) > LONGEST * min(height, width)
    ax.set_aspect("auto" if len(shape) == 1 or long else "equal")
    ax.xaxis.set_major_locator(locator("auto", integer=True, min_n_ticks=1))
    ax.yaxis.set_major_locator(locator("auto", integer=True, min_n_ticks=1))
    if len(shape) == 1:
        ax.set_yticks([])
        ax.set_xlabel("sample" if what == "pixels" else "position")
    else:
        unit = f"x ({what}), y ({what})".split(", ")
        ax.set_xlabel(unit[0])
        ax.set_ylabel(unit[1])


def colours(*names: str) -> Any:
    """A colour map of these, in equal steps."""
    return require("matplotlib.colors", "plot", "a picture").ListedColormap([COLORS.get(name, name) for name in names])


def colorbar(ax: Axes, drawn: Any, label: str) -> None:
    """What colours mean, as high as the picture."""
    ax.figure.colorbar(drawn, cax=ax.inset_axes((1.03, 0, 0.045, 1)), label=label)


def legend(ax: Axes) -> None:
    """What signs mean, below the picture, where it hides nothing."""
    moved = require("matplotlib.transforms", "plot", "a picture").ScaledTranslation
    below = ax.transAxes + moved(0, -36 / 72, ax.figure.dpi_scale_trans)
    style: dict[str, Any] = {"frameon": False, "fontsize": "small", "borderaxespad": 0, "ncols": 2}
    ax.legend(loc="upper left", bbox_to_anchor=(0, 0), bbox_transform=below, **style)


def outline(ax: Axes, box: Any, color: str) -> None:
    """The edges of a box, int[2, 2] of rows and columns or int[1, 2] of samples."""
    (top, bottom), (left, right) = ([(0, 1), *np.asarray(box).tolist()])[-2:]
    x, y = [left, right, right, left, left], [top, top, bottom, bottom, top]
    style: dict[str, Any] = {"color": COLORS[color], "linewidth": 1.4, "clip_on": False}
    ax.plot(np.array(x) - 0.5, np.array(y) - 0.5, label="box of what is seen", **style)


def short(name: str, most: int = 18) -> str:
    """A name of modest length: the beginning and the end of a long one."""
    return name if len(name) <= most else f"{name[: most // 2 - 1]}…{name[1 - most // 2 :]}"


def spelt(position: Sequence[int]) -> str:
    """A position as people write it."""
    return str(position[0]) if len(position) == 1 else f"({', '.join(map(str, position))})"


def between(low: str, high: str) -> Any:
    """A colour map from one to another."""
    colors = require("matplotlib.colors", "plot", "a picture").LinearSegmentedColormap
    return colors.from_list(f"{low} to {high}", [COLORS[low], COLORS[high]])


def said(ax: Axes, text: str) -> Axes:
    """An empty frame that says why there is no picture."""
    ax.set_xticks([])
    ax.set_yticks([])
    ax.text(0.5, 0.5, text, ha="center", va="center", wrap=True, transform=ax.transAxes, color=COLORS["quiet"])
    return ax


def joined(values: Iterable[Any]) -> str:
    """Numbers as `3 x 4`; whole ones of any size, others short."""
    return " x ".join(f"{int(v):,}" if math.isfinite(v) and v == int(v) else f"{v:.4g}" for v in values)


def unit_of(field: ReceptiveField) -> str:
    """What the pixels of an input are called."""
    return {1: "samples", 3: "voxels"}.get(len(field.pixel_shape), "pixels")


def one_of(field: ReceptiveField) -> str:
    """The name of a field, and what is not exact about it."""
    return short(field.name, 40) + ("" if field.exact else " (over-approximated)")
