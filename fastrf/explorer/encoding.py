"""The explorer's document: what a page knows of one analysis or two, in few bytes.

A header of JSON and one stream of numbers behind it, deflated together. Relations stand in it once each, in the form
that the engine keeps them in; the page works out of them what it shows.
"""

from __future__ import annotations

import base64
import json
import zlib
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from fastrf.errors import FastRFError
from fastrf.explorer.relations import Tables, plain
from fastrf.network import Node, split_name, total
from fastrf.queries.naming import row_name
from fastrf.summary import Row, Summary
from fastrf.system import VERSION
from fastrf.system.terminal import Progress, silent

if TYPE_CHECKING:
    from fastrf.analysis import Analysis
    from fastrf.field import ReceptiveField

__all__ = ["FORMAT", "encoded"]

#: `page/engine/document.js` reads the same.
FORMAT = "fastrf explorer 1"
_NUMBERS = ("size", "stride", "start", "padding")
#: Steps along longer axes are not gone through.
_MANY_STEPS = 1 << 26


def encoded(
    analyses: Sequence[Analysis],
    title: str = "",
    image: Mapping[str, Any] | None = None,
    changes: Sequence[Mapping[str, Any]] = (),
    progress: Progress | None = None,
) -> str:
    """The document of one analysis, or of an old and a new one with what changed, as base64."""
    tables, n_nodes, done = Tables(), sum(len(one.network.inputs) + len(one.network.nodes) for one in analyses), 0
    models = []
    for one in analyses:
        models.append(_Model(one, tables).told(lambda k, before=done: (progress or silent)(before + k, n_nodes)))
        done += len(models[-1]["nodes"])
    names = list(dict.fromkeys(model["name"] for model in models))
    head = {"format": FORMAT, "version": VERSION, "title": title or " -> ".join(names), "image": image}
    text = json.dumps(head | {"models": models, "changes": [*changes]} | tables.header, separators=(",", ":"))
    header = text.encode()
    whole = len(header).to_bytes(4, "little") + header + tables.stream
    return base64.b64encode(zlib.compress(whole, 9)).decode()


class _Model:
    """One analysis as the document tells it."""

    def __init__(self, analysis: Analysis, tables: Tables) -> None:
        self._analysis, self._network, self._tables = analysis, analysis.network, tables
        names = [*self._network.inputs, *(node.name for node in self._network.nodes)]
        self._numbers = {name: k for k, name in enumerate(names)}
        self._known: dict[tuple[int, int], list[list[Any] | None]] = {}

    def told(self, progress: Any) -> dict[str, Any]:
        """All that the page knows of it; `progress` is called with how many nodes are done."""
        network, nodes, rows = self._network, [], []
        for k, name in enumerate(self._numbers):
            row = self._row(name)
            rows += [row] if row is not None and name in network.by_name else []
            nodes.append(self._node(name, row))
            progress(k + 1)
        return {
            "name": network.name,
            "wrt": self._analysis.wrt,
            "nodes": nodes,
            "outputs": [self._numbers[name] for name in network.outputs],
            "notes": list(Summary("", tuple(rows), network.unused).notes),
            "total": {
                "layers": len(network.nodes),
                "parameters": total(node.parameters for node in network.nodes),
                "macs": total(node.macs for node in network.nodes),
            },
        }

    def _row(self, name: str) -> Row | None:
        """The figures of a node; None where it is not among the targets."""
        if name not in self._analysis:
            return None
        node = self._network.by_name.get(name)
        costs = (0, 0) if node is None else (node.parameters, node.macs)
        return Row.of(name, "input" if node is None else node.op, costs, self._analysis[name])

    def _node(self, name: str, row: Row | None) -> dict[str, Any]:
        network = self._network
        node, shape, channels = network.by_name.get(name), network.shape_of(name), network.channel_axis_of(name)
        label = name if node is None else row_name(node)
        return {
            "name": name,
            "op": "input" if node is None else node.op,
            "module": network.classes.get(split_name(label)[0], ""),
            "path": _path(name, node),
            "inputs": [] if node is None else [self._numbers[read] for read in node.inputs],
            "shape": shape,
            "channelAxis": channels,
            "positionShape": [n for axis, n in enumerate(shape) if axis != channels],
            "exact": None if row is None else row.exact,
            "approximateAt": [] if row is None else row.approximate_at,
            "assumes": [] if row is None else row.assumes,
            "figures": _figures(row, node),
            "field": None if row is None else self._field(self._analysis[name]),
        }

    def _field(self, field: ReceptiveField) -> dict[str, Any]:
        """The exact relations and what is read on an unbounded input, by their numbers."""
        tables = self._tables
        positions, nominal = tables.dependency(field.positional), tables.nominal(field.nominal)
        if (positions, nominal) not in self._known:
            self._known[positions, nominal] = [_looks(field, axis) for axis in range(len(field.pixel_shape))]
        told = {"neurons": tables.dependency(field.dependency), "positions": positions, "nominal": nominal}
        return told | {"inputChannelAxis": field.input_channel_axis, "looks": self._known[positions, nominal]}


def _looks(field: ReceptiveField, axis: int) -> list[Any] | None:
    """Look-back and look-ahead along a pixel axis; None where it has no steps."""
    if max(field.position_shape, default=0) > _MANY_STEPS:
        return ["NaN", "NaN"]
    try:
        return [plain(field.lookback(axis)), plain(field.lookahead(axis))]
    except FastRFError:
        return None


def _figures(row: Row | None, node: Node | None) -> dict[str, Any]:
    """The numbers of a row; of a node that is not among the targets, its costs alone."""
    costs: dict[str, Any] = {name: 0 if node is None else getattr(node, name) for name in ("parameters", "macs")}
    if row is None:
        return {name: [] for name in _NUMBERS} | {"sizeRange": [], "clipped": "NaN", "irregular": ""} | costs
    told: dict[str, Any] = {name: [plain(value) for value in getattr(row, name)] for name in _NUMBERS}
    ranges = [[plain(low), plain(high)] for low, high in row.size_range]
    return told | {"sizeRange": ranges, "clipped": plain(row.clipped), "irregular": row.irregular} | costs


def _path(name: str, node: Node | None) -> list[str]:
    """The modules that a node runs in, outermost first, and what it is called there."""
    if node is None:
        return [name]
    own = name.partition("~")[0]
    module = node.scope[-1].partition("@")[0] if node.scope else ""
    if not module:
        return own.split(".")
    inner = own[len(module) :].lstrip(".") if own == module or own.startswith(f"{module}.") else own
    return [*module.split("."), *([inner] if inner else [])]
