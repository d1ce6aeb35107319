"""Summary: the table of an analysis, a row per node or per module, for people and for programs."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from typing import TYPE_CHECKING, Any

from fastrf.errors import NetworkError
from fastrf.network import Input, Network, Node, split_name, total
from fastrf.queries.naming import labelled, result_within, row_name
from fastrf.system.tables import Column, Shown, Table, agreed, brief_count, count, document, number, share, spans

if TYPE_CHECKING:
    import pandas as pd

    from fastrf.field import ReceptiveField

__all__ = ["Row", "Summary"]

#: What people see of a row.
_COLUMNS = (
    Column("layer", lambda r: _told(r["name"], r["ends"])),
    Column("operator", lambda r: r["module"] or r["op"]),
    Column("output shape", lambda r: "x".join(map(str, r["shape"])) or "scalar"),
    Column("parameters", lambda r: count(r["parameters"]), lambda r: brief_count(r["parameters"]), "params"),
    Column("MACs", lambda r: count(r["macs"]), lambda r: brief_count(r["macs"])),
    Column("receptive field", lambda r: agreed(spans(r["size_range"])), initials="RF"),
    Column("stride", lambda r: agreed([number(step) for step in r["stride"]])),
    Column("padding", lambda r: agreed([number(size) for size in r["padding"]])),
    Column("start", lambda r: agreed([number(place) for place in r["start"]])),
    Column("cut by border", lambda r: share(r["clipped"], 0 if r["clipped"] in (0, 1) else 1)),
    Column("exact", lambda r: "yes" if r["exact"] else "no"),
)
#: What a narrow terminal is spared, first to last.
_DROPPED = ("padding", "start", "MACs", "parameters", "cut by border", "operator", "stride", "output shape")
#: Cells of CSV that are not as they are elsewhere.
_FLAT = {"size_range": lambda ranges: "x".join(f"{low:.10g}..{high:.10g}" for low, high in ranges)}
_FLAT |= dict.fromkeys(("approximate_at", "assumes", "ends"), "; ".join)

#: As many assumptions stand under a table.
_NOTES = 6


@dataclass(frozen=True)
class Row:
    """One node, or several folded into one.

    `size_range` holds `(smallest, largest)` over output phases and `size` the largest, per pixel axis, `inf` where
    unbounded; `clipped` is the share of positions whose field a border cuts; `approximate_at` lists the nodes on
    the way that are over-approximated, `assumes` what the row takes for granted beyond structure. `module` is the class
    of the module of that name, where there is one, and `ends` lists the other modules that return what it tells of.
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
    module: str = ""
    ends: tuple[str, ...] = ()

    @classmethod
    def of(cls, name: str, op: str, costs: tuple[int | None, int | None], field: ReceptiveField) -> Row:
        """The row of a field."""
        same = ("shape", "size", "size_range", "stride", "padding", "start", "exact", "approximate_at", "assumes")
        irregular = "; ".join(dict.fromkeys(filter(None, field.irregular)))
        parameters, macs = costs
        told: dict[str, Any] = {key: getattr(field, key) for key in same}
        return cls(name, op, parameters=parameters, macs=macs, clipped=field.clipped_share, irregular=irregular, **told)


@dataclass(frozen=True, repr=False)
class Summary(Shown):
    """Rows in the network's order. `str()` is the table; `to_json`, `to_csv`, `to_markdown`, `to_pandas` the rest.

    A parameter counts in the row that uses it first; `unused` counts those that no layer uses, by module.
    """

    title: str
    rows: tuple[Row, ...]
    unused: Mapping[str, int] = field(default_factory=dict)
    model: str = "network"
    wrt: str = "input"
    inputs: tuple[Input, ...] = ()
    n_layers: int = 0

    @classmethod
    def of(cls, network: Network, wrt: str, of_node: Mapping[str, ReceptiveField], depth: int | None = None) -> Summary:
        """The summary of fields by node; `depth` folds neighbours that share so many leading parts of their module.

        Raises NetworkError for a depth below 1.
        """
        rows, ended, told_of = [], _ends(network), [node for node in network.nodes if node.name in of_node]
        for name, nodes in _folded(told_of, depth):
            op = nodes[-1].op if len(nodes) == 1 or depth is None else f"{len(nodes)} layers"
            costs = total(node.parameters for node in nodes), total(node.macs for node in nodes)
            label, node = (name, nodes[-1].name) if depth is None else _shown(network, name, nodes)
            row = Row.of(label, op, costs, of_node[node])
            module = network.classes.get(split_name(label)[0], "")
            rows.append(replace(row, module=module, ends=ended.get(node, ()) if depth is None else ()))
        shape = "x".join(map(str, network.shape_of(wrt)))
        title = f"{network.name}, {len(network.nodes)} layers, measured against {wrt!r} {shape}"
        measured = network.inputs.get(wrt) or Input(wrt, network.shape_of(wrt), network.channel_axis_of(wrt))
        told = network.name, wrt, tuple(network.inputs.values()), len(told_of)
        return cls(f"{title}, {measured.told_axis}", tuple(rows), network.unused, *told)

    @property
    def table(self) -> Table:
        """The table that all forms are made of."""
        records, keys = list(map(vars, self.rows)), [field.name for field in fields(Row)]
        looks: dict[str, Any] = {"names": 2, "left": 3, "drop": _DROPPED, "idle": "yes", "strong": "receptive field"}
        notes, above = (self.total, *self.notes), [vars(_input_row(one, one.name == self.wrt)) for one in self.inputs]
        return Table(records, _COLUMNS, self.title, notes, keys, _FLAT, above=above, head=self._head, **looks)

    @property
    def _head(self) -> dict[str, Any]:
        """What JSON says before the layers: `docs/json.md` has every key."""
        given = {i.name: {"shape": i.shape, "channel_axis": i.channel_axis, "guessed": i.guessed} for i in self.inputs}
        return document("summary", model=self.model, inputs=given, wrt=self.wrt, units="pixels", layers=None)

    @property
    def total(self) -> str:
        """Layers, parameters and multiply-accumulates in all; `?` where one is not known."""
        parameters, macs = total(row.parameters for row in self.rows), total(row.macs for row in self.rows)
        return f"total: {self.n_layers} layers, {count(parameters)} parameters, {count(macs)} MACs"

    def to_text(self, width: int | None = None) -> str:
        """As a table with its notes: as wide as it is, or within a terminal's width, for which columns are left out."""
        return self.table.to_text(width)

    @property
    def notes(self) -> tuple[str, ...]:
        """What rows take for granted, why some have no size or stride, and what no row counts; of many, the first."""
        assumed = dict.fromkeys(sentence for row in self.rows for sentence in row.assumes)
        unknown: dict[str, str] = {}
        for row in self.rows:
            if row.irregular:
                unknown.setdefault(row.irregular, f"{row.irregular}, first in {row.name!r}")
        unused = [f"parameters: {_left_out(self.unused)}"] if self.unused else []
        return (*_noted("assumes", list(assumed)), *_noted("not regular", list(unknown.values())), *unused)

    def to_markdown(self) -> str:
        """As a Markdown table."""
        return self.table.to_markdown()

    def to_csv(self) -> str:
        """As CSV with a header; per-axis values are joined by `x`, unbounded is `inf`."""
        return self.table.to_csv()

    def to_records(self) -> list[dict[str, Any]]:
        """As plain mappings; numbers that JSON does not have (unbounded) are None."""
        return self.table.to_records()

    def to_json(self) -> str:
        """As a JSON object (`docs/json.md`): its layers are `to_records`, `null` where unbounded or unknown."""
        return self.table.to_json()

    def to_pandas(self) -> pd.DataFrame:
        """As a `pandas.DataFrame`. Raises MissingExtraError without pandas."""
        return self.table.to_pandas()


def _input_row(given: Input, is_measured: bool) -> Row:
    """What stands above the layers: an input, which sees itself where it is the one that is measured against."""
    n_axes = len(given.shape) - (given.channel_axis is not None) if is_measured else 0
    told: dict[str, Any] = {"size": (1.0,), "size_range": ((1.0, 1.0),), "stride": (1.0,), "padding": (0.0,)}
    told = {name: n_axes * value for name, value in (told | {"start": (0.5,)}).items()}
    return Row(given.name, "input", given.shape, 0, 0, clipped=0.0, exact=True, approximate_at=(), **told)


def _noted(kind: str, told: list[str]) -> list[str]:
    more = [f"{kind}: {len(told) - _NOTES} more; --json lists them"] if len(told) > _NOTES else []
    return [*(f"{kind}: {sentence}" for sentence in told[:_NOTES]), *more]


def _left_out(unused: Mapping[str, int]) -> str:
    named = [f"{name} ({count:,})" for name, count in unused.items()]
    more = f" and {len(named) - _NOTES} more" if len(named) > _NOTES else ""
    return f"{sum(unused.values()):,} that no layer uses, in {', '.join(named[:_NOTES])}{more}"


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
    return labelled(name, last), last


def _ends(network: Network) -> dict[str, tuple[str, ...]]:
    """By node, which modules that it runs in return it, but for the one that it is named by."""
    found: dict[str, tuple[str, ...]] = {}
    for key, name in network.returns.items():
        node, module = network.by_name.get(name), split_name(key)[0]
        if node is not None and key != name and any(split_name(inner)[0] == module for inner in node.scope):
            found[name] = (*found.get(name, ()), key)
    return found


def _module(node: Node, depth: int | None) -> str:
    """The name that a node's row goes by."""
    if depth is None:
        return row_name(node)
    path = node.scope[-1].partition("@")[0] if node.scope else node.name
    return ".".join(path.split(".")[:depth])


def _told(name: str, ends: Sequence[str]) -> str:
    """A row's name, and the outermost module that ends with it."""
    return f"{name} = {min(ends, key=len)}" if ends else name
