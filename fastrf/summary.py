"""Summary: the table of an analysis, a row per node or per module, for people and for programs."""

from __future__ import annotations

import itertools
import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any

from fastrf.errors import NetworkError
from fastrf.outputs.tabular import Table, ascii_only, wrapped
from fastrf.outputs.texts import csv_rows, markdown_rows, markdown_text
from fastrf.queries.naming import result_within
from fastrf.system.extras import require

if TYPE_CHECKING:
    import pandas as pd

    from fastrf.field import ReceptiveField
    from fastrf.network import Network, Node

__all__ = ["Row", "Summary"]

_TITLES = {
    "name": "layer",
    "op": "operator",
    "shape": "output shape",
    "parameters": "parameters",
    "macs": "MACs",
    "size": "receptive field",
    "stride": "stride",
    "padding": "padding",
    "start": "start",
    "clipped": "cut by border",
    "exact": "exact",
}

#: What a narrow terminal is spared, first to last.
_DROPPED = [_TITLES[key] for key in ("padding", "start", "macs", "parameters", "op", "clipped", "stride", "shape")]

#: As many assumptions stand under a table.
_NOTES = 6


@dataclass(frozen=True)
class Row:
    """One node, or several folded into one.

    `size_range` holds `(smallest, largest)` over output phases and `size` the largest, per pixel axis, `inf` where
    unbounded; `clipped` is the share of positions whose field a border cuts; `approximate_at` lists the nodes on
    the way that are over-approximated, `assumes` what the row takes for granted beyond structure.
    """

    name: str
    op: str
    shape: tuple[int, ...]
    parameters: int | None
    macs: int | None
    size: tuple[float, ...]
    size_range: tuple[tuple[float, float], ...]
    stride: tuple[float, ...]
    padding: tuple[float, ...]
    start: tuple[float, ...]
    clipped: float
    exact: bool
    approximate_at: tuple[str, ...]
    assumes: tuple[str, ...] = ()
    irregular: str = ""

    @classmethod
    def of(cls, name: str, op: str, costs: tuple[int | None, int | None], field: ReceptiveField) -> Row:
        """The row of a field."""
        return cls(
            name,
            op,
            field.shape,
            *costs,
            field.size,
            field.size_range,
            field.stride,
            field.padding,
            field.start,
            field.clipped_share,
            field.exact,
            field.approximate_at,
            field.assumes,
            "; ".join(dict.fromkeys(filter(None, field.irregular))),
        )


@dataclass(frozen=True, repr=False)
class Summary:
    """Rows in the network's order. `str()` is the table; `to_json`, `to_csv`, `to_markdown`, `to_pandas` the rest."""

    title: str
    rows: tuple[Row, ...]

    @classmethod
    def of(cls, network: Network, wrt: str, of_node: Mapping[str, ReceptiveField], depth: int | None = None) -> Summary:
        """The summary of fields by node; `depth` folds neighbours that share so many leading parts of their module.

        Raises NetworkError for a depth below 1.
        """
        rows = []
        for name, nodes in _folded([node for node in network.nodes if node.name in of_node], depth):
            op = nodes[0].op if len(nodes) == 1 else f"{len(nodes)} layers"
            costs = _total([node.parameters for node in nodes]), _total([node.macs for node in nodes])
            label, node = (name, nodes[0].name) if depth is None else _shown(network, name, nodes)
            rows.append(Row.of(label, op, costs, of_node[node]))
        shape = "x".join(map(str, network.shape_of(wrt)))
        title = f"{network.name}, {len(network.nodes)} layers, measured against {wrt!r} {shape}"
        return cls(f"{title}, {_channels(network, wrt)}", tuple(rows))

    def __repr__(self) -> str:
        return str(self)

    def __str__(self) -> str:
        return self.to_text()

    def to_text(self, width: int | None = None) -> str:
        """As a table with its notes: as wide as it is, or within a terminal's width, for which columns are left out."""
        table = Table(list(_TITLES.values()), list(map(_cells, self.rows)), names=2, left=3, drop=_DROPPED)
        drawn = table.lines(width, ascii_only=ascii_only())
        return "\n".join([*wrapped([self.title], width), "", *drawn, *wrapped(self.notes, width)])

    @property
    def notes(self) -> tuple[str, ...]:
        """What rows take for granted, and why some have no size or stride, a line each; of many, the first ones."""
        assumed = dict.fromkeys(sentence for row in self.rows for sentence in row.assumes)
        unknown: dict[str, str] = {}
        for row in self.rows:
            if row.irregular:
                unknown.setdefault(row.irregular, f"{row.irregular}, first in {row.name!r}")
        return (*_noted("assumes", list(assumed)), *_noted("not regular", list(unknown.values())))

    def to_markdown(self) -> str:
        """As a Markdown table."""
        table = markdown_rows(list(_TITLES.values()), map(_cells, self.rows))
        return "\n\n".join([table, *map(markdown_text, self.notes)])

    def to_csv(self) -> str:
        """As CSV with a header; per-axis values are joined by `x`, unbounded is `inf`."""
        names = [field.name for field in fields(Row)]
        return csv_rows([names, *([_flat(getattr(row, name)) for name in names] for row in self.rows)])

    def to_records(self) -> list[dict[str, Any]]:
        """As plain mappings; numbers that JSON does not have (unbounded) are None."""
        return [{key: _jsonable(value) for key, value in vars(row).items()} for row in self.rows]

    def to_json(self) -> str:
        """As a JSON list of mappings, `null` where unbounded or unknown."""
        return json.dumps(self.to_records(), indent=1, allow_nan=False)

    def to_pandas(self) -> pd.DataFrame:
        """As a `pandas.DataFrame`. Raises MissingExtraError without pandas."""
        frame: pd.DataFrame = require("pandas", "sweep", "to_pandas").DataFrame([vars(row) for row in self.rows])
        return frame


def _noted(kind: str, told: list[str]) -> list[str]:
    more = [f"{kind}: {len(told) - _NOTES} more; --json lists them"] if len(told) > _NOTES else []
    return [*(f"{kind}: {sentence}" for sentence in told[:_NOTES]), *more]


def _folded(nodes: Sequence[Node], depth: int | None) -> Iterator[tuple[str, list[Node]]]:
    """Neighbouring nodes of one module, or of one dotted prefix, with its name; without a depth, every node."""
    if depth is not None and (type(depth) is not int or depth < 1):
        raise NetworkError(f"depth must be 1 or more, not {depth!r}")
    seen: dict[str, int] = {}
    for name, group in itertools.groupby(nodes, lambda node: _module(node, depth)):
        seen[name] = seen.get(name, -1) + 1
        yield (name if seen[name] == 0 else f"{name} (again, {seen[name]})"), list(group)


def _shown(network: Network, name: str, nodes: Sequence[Node]) -> tuple[str, str]:
    """A row's name and the node that it tells of: what the module returned, otherwise the last node, which is named."""
    last, scoped = nodes[-1].name, bool(nodes[-1].scope)
    result = result_within(network, name.partition(" (again")[0], [node.name for node in nodes])
    if not scoped or result is not None:
        return name, result if scoped and result is not None else last
    return f"{name}: {last}", last


def _module(node: Node, depth: int | None) -> str:
    """The name that a node's row goes by."""
    if depth is None:
        return f"{node.scope[-1]}: {node.name}" if node.scope else node.name
    path = node.scope[-1].partition("@")[0] if node.scope else node.name
    return ".".join(path.split(".")[:depth])


def _total(values: list[int | None]) -> int | None:
    known = [value for value in values if value is not None]
    return sum(known) if len(known) == len(values) else None


def _channels(network: Network, wrt: str) -> str:
    """Which axis of the origin holds channels, in words."""
    if wrt in network.inputs:
        return network.inputs[wrt].told_axis
    axis = network.channel_axis_of(wrt)
    return "no channel axis" if axis is None else f"channels on axis {axis}"


def _cells(row: Row) -> list[str]:
    """The row as people read it."""
    return [
        row.name,
        row.op,
        "x".join(map(str, row.shape)) or "scalar",
        "?" if row.parameters is None else f"{row.parameters:,}",
        "?" if row.macs is None else f"{row.macs:,}",
        _per_axis(
            [_number(high) if low == high else f"{_number(low)}..{_number(high)}" for low, high in row.size_range]
        ),
        _per_axis([_number(value) for value in row.stride]),
        _per_axis([_number(value) for value in row.padding]),
        _per_axis([_number(value) for value in row.start]),
        "-" if math.isnan(row.clipped) else f"{row.clipped:.0%}" if row.clipped in (0, 1) else f"{row.clipped:.1%}",
        "yes" if row.exact else "no",
    ]


def _per_axis(values: list[str]) -> str:
    """One value where all axes agree."""
    return values[0] if len(set(values)) == 1 else " x ".join(values)


def _number(value: float) -> str:
    if math.isnan(value):
        return "-"
    return "inf" if value == math.inf else "-inf" if value == -math.inf else f"{value:.10g}"


def _jsonable(value: Any) -> Any:
    if isinstance(value, list | tuple):
        return [_jsonable(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value


def _flat(value: Any) -> Any:
    if isinstance(value, tuple):
        parts = (
            [f"{_flat(low)}..{_flat(high)}" for low, high in value] if value and isinstance(value[0], tuple) else value
        )
        return "x".join(str(part) for part in parts)
    return "" if value is None else value
