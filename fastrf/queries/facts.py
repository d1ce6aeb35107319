"""What a field says of itself: one line, and a table for a notebook."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from fastrf.system.tables import Column, Table, agreed, number, share, spans

__all__ = ["line", "origin", "table"]


def origin(network: Any, wrt: str) -> dict[str, Any]:
    """What JSON says before anything else: the model, its inputs, and what is measured against what, in which units."""
    inputs = {
        name: {"shape": one.shape, "channel_axis": one.channel_axis, "guessed": one.guessed}
        for name, one in network.inputs.items()
    }
    return {"model": network.name, "inputs": inputs, "wrt": wrt, "units": "pixels"}


def line(field: Any) -> str:
    """The representation of a field: its names, shape, nominal figures, channel axes, and whether it is exact."""
    exact = "exact" if field.exact else f"approximate at {', '.join(field.approximate_at[:3])}"
    exact += ", ..." if len(field.approximate_at) > 3 else ""
    assumed = f", assumes {len(field.assumes)}" if field.assumes else ""
    told = f"shape={field.shape}, size={_size(field)}, stride={_stride(field)}, channel_axis={field.channel_axis}"
    given = f"input_shape={field.input_shape}, input_channel_axis={field.input_channel_axis}"
    return f"ReceptiveField({_names(field)}, {told}, {given}, {exact}{assumed})"


def table(field: Any) -> Table:
    """A row for each fact."""
    rows = [{"fact": fact, "value": value} for fact, value in _facts(field)]
    columns = [Column("fact", lambda row: row["fact"]), Column("value", lambda row: row["value"])]
    notes = [f"assumes: {sentence}" for sentence in field.assumes]
    return Table(rows, columns, f"Receptive field of {_names(field)}", notes, left=2)


def _facts(field: Any) -> Iterator[tuple[str, str]]:
    axis, given = field.channel_axis, field.input_channel_axis
    yield "shape", _shape(field.shape) + _axis(axis)
    yield "input", _shape(field.input_shape) + _axis(given)
    yield "receptive field", _size(field)
    yield "stride", _stride(field)
    yield "padding", agreed([number(n) for n in field.padding]) or "-"
    yield "start", agreed([number(n) for n in field.start]) or "-"
    yield "cut by border", share(field.clipped_share, 1)
    yield "exact", "yes" if field.exact else f"no, at {', '.join(field.approximate_at)}"


def _names(field: Any) -> str:
    return repr(field.name) if field.asked in ("", field.name) else f"{field.asked!r} = {field.name!r}"


def _size(field: Any) -> str:
    return agreed(spans(field.size_range)) or "-"


def _stride(field: Any) -> str:
    return agreed([number(step) for step in field.stride]) or "-"


def _shape(shape: tuple[int, ...]) -> str:
    return "x".join(map(str, shape)) or "scalar"


def _axis(axis: int | None) -> str:
    return ", no channel axis" if axis is None else f", channels on axis {axis}"
