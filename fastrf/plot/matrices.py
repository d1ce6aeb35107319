"""Who reads whom: every position against all of the input, for sequences, tokens and small maps."""

from __future__ import annotations

import functools
import math
from collections.abc import Iterator
from fractions import Fraction
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from fastrf.engine.relation import Relation
from fastrf.engine.terms import expand
from fastrf.errors import PositionError, UsageError
from fastrf.field import ReceptiveField
from fastrf.plot import canvas
from fastrf.queries.counting import joined
from fastrf.queries.rasters import Cells, filled
from fastrf.queries.stepping import along, checked_axis, steps_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["matrix"]

IntArray = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]

#: Rows whose runs are looked at together.
BATCH = 1 << 18


def matrix(field: ReceptiveField, axis: int | None = None, *, ax: canvas.Where = None) -> Axes:
    """Every position (a row) against every sample or pixel of the input (a column): marked where it is read.

    Maps of several axes are flattened, row-major; with an `axis` of the pixels, its steps are drawn instead, as in
    `ReceptiveField.leaks`, each with what any position there reads. Where steps have a stride, samples later than a
    step itself are marked apart, of which a causal model has none. Of a large matrix, a cell is marked where anything
    in it is. Returns the Axes.

    Raises PositionError for an axis without steps, LimitError for maps that are too large to be flattened.
    """
    field = canvas.checked(field)
    relation, stride = _relation(field, axis)
    rows, columns = canvas.cells_of((relation.n_rows, relation.n_cols))
    read, late = _cells(relation, stride, rows, columns)
    axes = canvas.one(ax, (5.6, 5.2))
    told = canvas.one_of(field)
    if 0 in read.shape:
        axes.set_title(told, fontsize="medium")
        return canvas.said(axes, f"nothing of {field.input_shape} is read by {field.shape}")
    shown = read.astype(np.uint8) + (read & late)
    canvas.image(axes, shown, [rows, columns], canvas.colours("grey", "blue", "vermillion"), 0, 2)
    canvas.frame(axes, (relation.n_rows, relation.n_cols))
    axes.set_aspect("equal" if relation.n_rows == relation.n_cols else "auto")
    _label(axes, field, axis)
    if stride is not None:
        told += ", which reads later samples" if late.any() else ", which is causal"
        _legend(axes, relation, stride, bool(late.any()))
    axes.set_title(told if field.position_shape else f"{told}, which has no positions", fontsize="medium")
    return axes


def _relation(field: ReceptiveField, axis: int | None) -> tuple[Relation, Fraction | None]:
    """What is drawn, and how many samples a row covers where that is known."""
    positional = field.positional
    flat = len(field.position_shape) == len(field.pixel_shape) == 1
    if axis is not None or flat:
        k = 0 if axis is None else checked_axis(axis, len(field.pixel_shape), field.name)
        try:
            steps = steps_of(positional, field.nominal, k, field.name)
        except (PositionError, UsageError):
            if not flat:
                raise
            return along(positional, 0, 0), None
        return steps.relation, steps.stride
    sizes = positional.sizes
    parts = [expand(joined(term, positional), range(len(sizes)), sizes) for term in positional.terms]
    shape = math.prod(field.position_shape), math.prod(field.pixel_shape)
    nothing = np.zeros(shape[0], np.int64)
    if not parts:
        return Relation.from_runs(shape[1], nothing, nothing), None
    return functools.reduce(Relation.union, [part.relation for part in parts]), None


def _runs(relation: Relation) -> Iterator[tuple[IntArray, IntArray, IntArray]]:
    """The row, start and stop of runs, some rows at a time: long relations are never whole."""
    for first in range(0, relation.n_rows, BATCH):
        part = relation.take(np.arange(first, min(first + BATCH, relation.n_rows)))
        yield np.repeat(np.arange(first, first + part.n_rows), np.diff(part.indptr)), part.start, part.stop


def _cells(relation: Relation, stride: Fraction | None, rows: Cells, columns: Cells) -> tuple[Mask, Mask]:
    """bool[rows, columns]: where anything is read, and where anything later than the step itself is."""
    shape = rows.number, columns.number
    read, late = np.zeros(shape, bool), np.zeros(shape, bool)
    for row, start, stop in _runs(relation):
        read |= filled(row // rows.step, start // columns.step, (stop - 1) // columns.step, shape)
        if stride is not None:
            end = -(-(row + 1) * stride.numerator // stride.denominator)
            first = np.maximum(start, end)
            k = first < stop
            late |= filled((row // rows.step)[k], first[k] // columns.step, (stop[k] - 1) // columns.step, shape)
    return read, late


def _label(ax: Axes, field: ReceptiveField, axis: int | None) -> None:
    sample = "sample" if len(field.pixel_shape) == 1 else "pixel"
    for put, shape, what in (
        (ax.set_ylabel, field.position_shape, "position"),
        (ax.set_xlabel, field.pixel_shape, f"{sample} of the input"),
    ):
        rows = f" ({canvas.joined(shape)}, row by row)" if len(shape) > 1 else ""
        put(f"{what} along axis {axis}" if axis is not None else f"{what}{rows}")


def _legend(ax: Axes, relation: Relation, stride: Fraction, late: bool) -> None:
    """The step's own place, and what the colours say."""
    ends = np.array([0, relation.n_rows])
    own = ends * float(stride) - 0.5
    ax.plot(own, ends - 0.5, color="black", linewidth=0.8, linestyle="dashed", label="the step itself")
    ax.plot([], [], "s", color=canvas.COLORS["blue"], label="read")
    if late:
        ax.plot([], [], "s", color=canvas.COLORS["vermillion"], label="read, and later than the step")
    ax.legend(loc="upper right", fontsize="small", framealpha=0.9)
