"""Rows: figures of many candidates of a space column by column, and of any other candidate by itself.

A chunk of candidates becomes one Arrow record batch in their order. `work` says which chunks there are; threads and
Dask workers call this.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from fastrf.analysis import analyze
from fastrf.errors import FastRFError, ShapeError
from fastrf.field import ReceptiveField
from fastrf.network import Network, total
from fastrf.ops import find
from fastrf.queries.naming import resolve
from fastrf.spaces.columns.programs import Column, Columns
from fastrf.spaces.columns.states import Memo, Unbounded
from fastrf.spaces.space import Candidates
from fastrf.sweeps.candidates import Source
from fastrf.sweeps.metrics import Facts, Metric, Value, Values, field_of, layers_beyond, on_one_line
from fastrf.sweeps.onnx import last_map
from fastrf.sweeps.table import Figures
from fastrf.sweeps.walks import Walk, can_walk

__all__ = ["by_columns", "one_by_one", "source_row"]

Array = npt.NDArray[Any]

_DTYPES = {"float": np.float64, "int": np.int64, "bool": np.bool_}

#: What this process has learned of spaces; Dask workers have their own.
MEMO = Memo()


# A space, column by column ----------------------------------------------------------------------------------------


def by_columns(
    candidates: Candidates, input_shape: tuple[int, ...], metrics: Sequence[Metric], memo: Memo
) -> tuple[Figures, dict[int, str]]:
    """Figures of candidates of one space, and errors by row (of a user's own metrics). Raises what `evaluate` does."""
    channels, *image = input_shape
    columns = Columns(len(candidates), tuple(image), memo)
    try:
        found = candidates.space.evaluate(candidates, columns, channels)
        figures: Figures = {}
        errors: dict[int, str] = {}
        for source in ("exact", "nominal", "field"):
            wanted = [metric for metric in metrics if metric.source == source]
            if wanted:
                own, wrong = _gathered(source, wanted, columns, found.output, channels)
                figures |= own
                errors |= wrong
        tallies = {"layers_beyond": columns.layers_beyond, "parameters": found.parameters, "macs": found.macs}
        there = np.ones(len(candidates), bool)
        for metric in metrics:
            if metric.source == "network":
                figures[metric.name] = tallies[metric.name], there
    finally:
        columns.close()
    return figures, errors


def _gathered(
    source: str, metrics: Sequence[Metric], columns: Columns, output: Column, channels: int
) -> tuple[Figures, dict[int, str]]:
    """Metrics of one source: worked out per distinct state, then looked up per candidate; and errors by row."""
    table = columns.table
    keys = (output.nominal if source == "nominal" else output.exact).astype(np.int64)
    if source == "field":
        keys = keys * len(table.nominal) + output.nominal
    distinct, where = np.unique(keys, return_inverse=True)
    rows: list[list[Values | str]] = []
    for key in distinct.tolist():
        known = table.measured.setdefault((source, channels, key), {}) if source != "field" else {}
        facts: Facts | None = None
        row: list[Values | str] = []
        for metric in metrics:
            if metric.name not in known:
                facts = facts or Facts(_field(source, key, columns, channels))
                found = metric.tried(facts)
                if isinstance(found, str):
                    row.append(found)  # perhaps a limit's, which may be raised
                    continue
                known[metric.name] = found
            row.append(known[metric.name])
        rows.append(row)
    figures: Figures = {}
    errors: dict[int, str] = {}
    for metric, cells in zip(metrics, zip(*rows, strict=True), strict=True):
        for j, column in enumerate(metric.columns(len(columns.spatial))):
            values, valid = _typed([None if isinstance(cell, str) else cell[j] for cell in cells], metric.kind)
            figures[column] = values[where], valid[where]
        for state, cell in enumerate(cells):
            if isinstance(cell, str):
                errors.update(dict.fromkeys(np.flatnonzero(where == state).tolist(), cell))
    return figures, errors


def _field(source: str, key: int, columns: Columns, channels: int) -> ReceptiveField:
    table = columns.table
    if source == "field":
        exact, nominal = (table.exact[key // len(table.nominal)], table.nominal[key % len(table.nominal)])
    elif source == "exact":
        exact = table.exact[key]
        nominal = Unbounded(exact.shape, table.nominal[1].extents)
    else:
        nominal = table.nominal[key]
        exact = table.exact[1]._replace(shape=nominal.shape)
    return field_of(exact, nominal, columns.spatial, channels)


def _typed(values: Sequence[Value], kind: str) -> tuple[Array, npt.NDArray[np.bool_]]:
    """Values as one array, and which of them are there: None and NaN are not, nor integers beyond 64 bits."""
    valid = np.array([value is not None and value == value and not _too_large(value) for value in values], bool)  # noqa: PLR0124
    filled = [value if there else 0 for value, there in zip(values, valid, strict=True)]
    return np.array(filled, _DTYPES[kind]), valid


def _too_large(value: Value) -> bool:
    return isinstance(value, int) and abs(value) >= 1 << 63


# Candidates by themselves -----------------------------------------------------------------------------------------


def one_by_one(sources: Sequence[Source], metrics: Sequence[Metric], n_axes: int) -> tuple[Figures, dict[int, str]]:
    """Figures of any candidates, and errors by row."""
    rows = [source_row(source, metrics, n_axes) for source in sources]
    errors = {i: row for i, row in enumerate(rows) if isinstance(row, str)}
    figures: Figures = {}
    for metric in metrics:
        for column in metric.columns(n_axes):
            cells = [None if isinstance(row, str) else row[column] for row in rows]
            figures[column] = _typed(cells, metric.kind)
    return figures, errors


def source_row(source: Source, metrics: Sequence[Metric], n_axes: int) -> dict[str, Any] | str:
    """The figures of one candidate by column, or the text of its error."""
    try:
        return network_row(source.network(), source.node, metrics, n_axes)
    except FastRFError as error:
        return str(error)
    except RecursionError:
        return "it is nested too deep"
    except MemoryError:
        return "out of memory; use a smaller input_shape"
    except Exception as error:  # a candidate may be a program, such as a torch module, that raises anything
        return f"{type(error).__name__}: {on_one_line(error)}"


def network_row(network: Network, node: str | None, metrics: Sequence[Metric], n_axes: int) -> dict[str, Any] | str:
    """The figures of one network's output, or of `node`: its name, or "map" for the last map."""
    target = network.outputs[0] if node is None else last_map(network) if node == "map" else resolve(network, node)
    found = Walk(network, target) if can_walk(network) else _Analysed(network, target, metrics)
    if found.n_axes != n_axes:
        raise ShapeError(f"its input has {found.n_axes} spatial axes, the table {n_axes}; sweep such candidates apart")
    row = dict[str, Any]()
    for metric in metrics:
        if metric.compute is not None:
            values = found.values(metric)
            if isinstance(values, str):
                return values
            row.update(zip(metric.columns(n_axes), values, strict=True))
        elif metric.name == "layers_beyond":
            row[metric.name] = found.layers_beyond()
        else:
            nodes = network.nodes if node is None else network.needed([target])
            row[metric.name] = total(getattr(each, metric.name) for each in nodes)
    return row


class _Analysed:
    """A network that shares nothing: values on long axes go as soon as nothing needs them."""

    def __init__(self, network: Network, target: str, metrics: Sequence[Metric]) -> None:
        targets = [target]
        if any(metric.name == "layers_beyond" for metric in metrics):
            targets += [other.inputs[0] for other in network.needed(targets) if find(other.op).convolution]
        self._analysis, self._target = analyze(network, targets=list(dict.fromkeys(targets))), target
        self._facts = Facts(self._analysis[target])
        self.n_axes = len(self._facts.field.pixel_shape)

    def values(self, metric: Metric) -> Values | str:
        """What a metric says of the target, or why it says nothing."""
        return metric.tried(self._facts)

    def layers_beyond(self) -> int:
        """See the metric."""
        return layers_beyond(self._analysis, self._target)
