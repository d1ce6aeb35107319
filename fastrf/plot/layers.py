"""Many layers in one picture: how fields grow through depth, and where the levels of a detector look."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from fastrf.analysis import Analysis
from fastrf.anchors.forms.readers import read_anchors
from fastrf.anchors.levels import Level, levels_of
from fastrf.anchors.reports import input_pixels
from fastrf.errors import UsageError, a_kind
from fastrf.field import ReceptiveField
from fastrf.plot import canvas
from fastrf.queries import counting
from fastrf.queries.rasters import at

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["growth", "lattice"]

FloatArray = npt.NDArray[np.float64]

#: Names of layers that are written below a picture.
NAMES = 12
#: Strides of a level that a lattice shows.
STRIDES = 4


def growth(analysis: Analysis, *, ax: canvas.Where = None) -> Axes:
    """How the receptive field grows from layer to layer, and where it is as large as the input.

    Per pixel axis the nominal size, with its range where positions differ, and dashed the side of the box that the
    position in the middle of each map has left of it, which cannot grow beyond the input. Unbounded sizes are triangles
    at the top, unknown ones are left out. Axes that grow alike are drawn once. Returns the Axes. Raises UsageError for
    what is no Analysis.
    """
    _check(analysis)
    fields = [field for field in analysis.values() if field.dependency.terms]
    axes = canvas.one(ax, (7.5, 4.4))
    if not fields or not fields[0].pixel_shape:
        return canvas.said(axes, f"no layer sees pixels of {analysis.wrt!r}")
    pixels = fields[0].pixel_shape
    ranges = np.array([field.size_range for field in fields], float)
    boxes = np.array([_middle_box(field) for field in fields])
    top = _top(ranges, pixels)
    for axis, which in _alike(ranges):
        _draw_sizes(axes, ranges[:, axis], top, canvas.SERIES[axis % len(canvas.SERIES)], which)
    for axis, which in _alike(boxes):
        style: dict[str, Any] = {"color": canvas.SERIES[axis % len(canvas.SERIES)], "linestyle": "dashed"}
        axes.plot(boxes[:, axis], linewidth=1.2, label=f"box of the middle position{which}", **style)
    for axis, which in _alike(np.array([pixels])):
        _draw_input(axes, pixels[axis], which)
    axes.axhspan(max(pixels), top, color=canvas.COLORS["grey"], zorder=0, linewidth=0, label="beyond the input")
    axes.set_ylabel(f"receptive field ({'samples' if len(pixels) == 1 else 'pixels'})")
    axes.set_ylim(0, top)
    axes.set_xlim(-0.5, max(len(fields) - 0.5, 0.5))
    _name_layers(axes, [field.name for field in fields])
    axes.legend(loc="upper left", fontsize="small", framealpha=0.9)
    exact = "" if all(field.exact for field in fields) else " (some are over-approximated)"
    axes.set_title(f"{analysis.network.name}: receptive field through depth{exact}", fontsize="medium")
    return axes


def _check(analysis: Any) -> None:
    if not isinstance(analysis, Analysis):
        raise UsageError(f"give an analysis, as fastrf.analyze makes it, not {a_kind(analysis)}")


def _middle_box(field: ReceptiveField) -> npt.NDArray[np.int64]:
    """int64[axes]: the sides of what the position in the middle sees."""
    if 0 in field.position_shape:
        return np.zeros(len(field.pixel_shape), np.int64)
    box = counting.box(at(field.positional, [n // 2 for n in field.position_shape]), ())
    return np.asarray(box[:, 1] - box[:, 0])


def _top(ranges: FloatArray, pixels: Sequence[int]) -> float:
    """The end of the scale: a little above the largest size, and the input."""
    finite = ranges[np.isfinite(ranges)]
    return 1.12 * max(float(finite.max(initial=1)), *pixels)


def _alike(values: npt.NDArray[Any]) -> list[tuple[int, str]]:
    """The first of the axes that have equal values (of `[layers, axes]`), and which ones they are."""
    groups: dict[bytes, list[int]] = {}
    for axis in range(values.shape[1]):
        groups.setdefault(values[:, axis].tobytes(), []).append(axis)
    n = values.shape[1]
    names = list("zyx"[-n:]) if n <= 3 else [f"axis {k}" for k in range(n)]
    told = [f" ({', '.join(names[k] for k in same)})" if len(groups) > 1 else "" for same in groups.values()]
    return [(same[0], which) for same, which in zip(groups.values(), told, strict=True)]


def _draw_sizes(ax: Axes, sizes: FloatArray, top: float, color: str, which: str) -> None:
    """Nominal sizes along one axis, float64[layers, 2]."""
    x = np.arange(len(sizes))
    low, high = (np.where(np.isfinite(side), side, np.nan) for side in sizes.T)
    ax.plot(x, high, color=color, marker=".", ms=4, linewidth=1.5, label=f"nominal size{which}")
    if (low < high).any():
        ax.fill_between(x, low, high, color=color, alpha=0.25, linewidth=0, label=f"smallest to largest{which}")
    endless = np.flatnonzero(np.isinf(sizes[:, 1]))
    if endless.size:
        place = np.full(endless.size, 0.97 * top)
        ax.plot(endless, place, "^", color=color, ms=6, clip_on=False, label=f"unbounded{which}")


def _draw_input(ax: Axes, n: int, which: str) -> None:
    """The side of the input."""
    color = canvas.COLORS["quiet"]
    ax.axhline(n, color=color, linewidth=1, linestyle="dotted")
    place, moved = ("axes fraction", "data"), (-4, 3)
    ax.annotate(
        f"input: {n:,}{which}", (1, n), moved, place, "offset points", ha="right", fontsize="small", color=color
    )


def _name_layers(ax: Axes, names: Sequence[str]) -> None:
    """The names of modules below their layers: of the longest ones, as many as there is room for."""
    for depth in range(1, 4):  # deeper, where one module holds most of them
        tops = [".".join(name.split(".")[:depth]) for name in names]
        starts = [k for k in range(len(names)) if k == 0 or tops[k] != tops[k - 1]]
        sizes = np.diff([*starts, len(names)])
        if sizes.max() <= len(names) / 2:
            break
    kept: list[int] = []
    room = max(len(names) / NAMES, 1)
    for k in np.argsort(-sizes, kind="stable"):
        middle = starts[k] + (sizes[k] - 1) / 2
        if all(abs(middle - starts[o] - (sizes[o] - 1) / 2) >= room for o in kept):
            kept.append(int(k))
    kept.sort()
    ticks = [starts[k] + (sizes[k] - 1) / 2 for k in kept]
    ax.set_xticks(ticks, [canvas.short(tops[starts[k]]) for k in kept], rotation=35, ha="right", fontsize="small")
    ax.set_xticks([k - 0.5 for k in starts[1:]] if len(starts) <= 4 * NAMES else [], minor=True)
    ax.tick_params(axis="x", which="major", length=0)
    ax.set_xlabel("layer, in the network's order")


def lattice(
    analysis: Analysis, levels: Sequence[str] | str | None = None, anchors: Any = None, *, ax: canvas.Where = None
) -> list[Axes]:
    """Where the neurons of a detector's levels look, and where its anchors stand: a corner of the input for each level.

    Centres of receptive fields are circles, those of anchors crosses, lines are strides apart. `levels` names nodes
    (default: all outputs), `anchors` is anything that `fastrf.anchors.read_anchors` takes. `ax` is a Figure, or a
    sequence of an Axes for each level. Returns them. Errors are those of `fastrf.anchors.report`.
    """
    _check(analysis)
    found = levels_of(analysis, list(analysis.network.outputs) if levels is None else levels)
    size = input_pixels(analysis)
    table = None if anchors is None else read_anchors(anchors, found, size)
    if table is not None:
        table.check(found)
    axes = canvas.several(ax, len(found), (3.2, 3.6), min(len(found), 3))
    for k, (one, level) in enumerate(zip(axes, found, strict=True)):
        stands = None if table is None else table.center(k, (level.stride[1], level.stride[0]))
        _draw_level(one, level, size, None if stands is None else (stands[1] - 0.5, stands[0] - 0.5))
    canvas.legend(axes[(len(axes) - 1) // 3 * 3])
    return axes


def _draw_level(ax: Axes, level: Level, size: tuple[int, int], stands: tuple[float, float] | None) -> None:
    """A corner of the input; `stands` is the pixel index (row, column) where the first anchors do."""
    ends = [min(float(n), STRIDES * step) - 0.5 for n, step in zip(size, level.stride, strict=True)]
    for axis, lines in enumerate((ax.axhline, ax.axvline)):
        step = level.stride[axis]
        for k in range(int((ends[axis] + 0.5) // step) + 1):
            lines(
                k * step - 0.5, color=canvas.COLORS["quiet"] if k == 0 else "#D0D0D0", linewidth=1.2 if k == 0 else 0.8
            )
    y, x = (_centers(level, axis, ends[axis]) for axis in (0, 1))
    told = "neurons look" if y.size and x.size else "neurons look everywhere"
    color = canvas.COLORS["blue"]
    rows, columns = (mesh.ravel() for mesh in np.meshgrid(y, x, indexing="ij"))
    ax.plot(columns, rows, "o", color=color, mec=color, mfc="#0072B240", ms=11, mew=1.6, label=told)
    if stands is not None:
        at_y, at_x = (_steps(level, axis, stands[axis], ends[axis]) for axis in (0, 1))
        rows, columns = (mesh.ravel() for mesh in np.meshgrid(at_y, at_x, indexing="ij"))
        ax.plot(columns, rows, "x", color=canvas.COLORS["vermillion"], ms=8, mew=2, label="anchors stand")
    canvas.frame(ax, [math.ceil(end + 0.5) for end in ends])
    margin = 0.45 * max(level.stride)
    ax.set_xlim(-margin - 0.5, ends[1] + 0.5)
    ax.set_ylim(ends[0] + 0.5, -margin - 0.5)
    ax.set_title(f"{level.name}, stride {canvas.joined(dict.fromkeys(level.stride))}", fontsize="medium")


def _centers(level: Level, axis: int, end: float) -> FloatArray:
    """Pixel indices of the centres of the first positions along an axis."""
    phases = np.array(level.centers[axis])
    positions = np.arange(min(level.grid[axis], 4 * STRIDES * len(phases)))
    found = phases[positions % len(phases)] + positions * level.stride[axis]
    return np.asarray(found[found <= end])


def _steps(level: Level, axis: int, first: float, end: float) -> FloatArray:
    """Pixel indices of the first anchors along an axis."""
    found = first + level.stride[axis] * np.arange(min(level.grid[axis], 4 * STRIDES))
    return np.asarray(found[found <= end])
