"""Plans as tables: every tile, for programs; the tiles along each axis, for people."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from fastrf.system.tables import Column, Record, Table, count, document, number
from fastrf.tiling.grids import Grid
from fastrf.tiling.tiles import Axis, Pair

__all__ = ["by_axis", "every_tile"]


def every_tile(plan: Grid) -> Table:
    """A row for every tile; a JSON document says before them what the plan is."""
    rows = [
        {
            "tile": tile.index,
            "read": tile.read,
            "keep": {part.output: part.keep for part in tile.parts},
            "place": {part.output: part.place for part in tile.parts},
        }
        for tile in plan.tiles
    ]
    head = document(
        "tiling",
        units="pixels",
        image=plan.image_shape,
        channel_axis=plan.channel_axis,
        tile=plan.tile_shape,
        wrap=plan.wrap,
        period=[axis.period for axis in plan.axes],
        before=[axis.before for axis in plan.axes],
        after=[axis.after for axis in plan.axes],
        outputs={output.name: output.shape for output in plan.outputs},
        pixels=plan.pixels,
        pixels_read=plan.pixels_read,
        cost=plan.cost,
        assumes=plan.assumes,
        tiles=None,
    )
    flat: dict[str, Callable[[Any], str]] = {"read": _intervals, "keep": _by_output, "place": _by_output}
    return Table(rows, keys=("tile", "read", "keep", "place"), flat=flat, head=head)


def by_axis(plan: Grid) -> Table:
    """A row for every tile along each axis; columns of outputs are those of positions."""
    rows = [row for k, axis in enumerate(plan.axes) for row in _rows(plan, k, axis)]
    columns = [Column("axis", lambda r: str(r["axis"])), Column("tile", lambda r: str(r["tile"]))]
    columns.append(Column("reads", lambda r: _interval(r["read"])))
    for k, output in enumerate(plan.outputs):
        columns.append(Column(f"{output.name} keeps", lambda r, k=k: _interval(r["keep"][k])))  # type: ignore[misc]
        columns.append(Column("at", lambda r, k=k: _interval(r["place"][k])))  # type: ignore[misc]
    return Table(
        rows, columns, title=_title(plan), notes=[*map(_context, range(len(plan.axes)), plan.axes), *plan.assumes]
    )


def _rows(plan: Grid, k: int, axis: Axis) -> list[Record]:
    found: list[Record] = []
    for tile, span in enumerate(axis.spans):
        kept = [
            span.kept(output.positions[k], output.position_shape[k]) if k < len(output.positions) else None
            for output in plan.outputs
        ]
        keep, place = [one and one[0] for one in kept], [one and one[1] for one in kept]
        found.append({"axis": k, "tile": tile, "read": (span.start, span.stop), "keep": keep, "place": place})
    return found


def _title(plan: Grid) -> str:
    size, image = ("x".join(map(str, shape)) for shape in (plan.tile_shape, plan.pixel_shape))
    what = "tile" if plan.n_tiles == 1 else "tiles"
    return f"{count(plan.n_tiles)} {what} of {size} for {image} pixels, each read {plan.cost:.2f} times in the mean"


def _context(k: int, axis: Axis) -> str:
    around = ", goes around" if axis.wrapped else ""
    told = f"{number(axis.before)} before and {number(axis.after)} after"
    return f"axis {k}: context {told}, tiles begin at multiples of {axis.period}{around}"


def _interval(pair: Pair | None) -> str:
    return "all" if pair is None else f"[{pair[0]}, {pair[1]})"


def _intervals(pairs: Sequence[Pair]) -> str:
    return " ".join(f"{low}:{high}" for low, high in pairs)


def _by_output(kept: dict[str, Any]) -> str:
    return "; ".join(map(_intervals, kept.values()))
