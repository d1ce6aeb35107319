"""Rows: figures of many candidates of a space column by column, and of any other candidate by itself.

A chunk of candidates becomes one Arrow record batch in their order. `work` says which chunks there are; threads and
Dask workers call this.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from fastrf.analysis import analyze
from fastrf.columns.programs import Columns, Evaluated
from fastrf.columns.states import Memo, Unbounded
from fastrf.errors import FastRFError, MissingExtraError, ShapeError
from fastrf.network import Network
from fastrf.sweeps.metrics import CONVOLUTIONS, Facts, Metric, Values, costs, field_of, layers_beyond
from fastrf.sweeps.sources import Source, last_map

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["arrow", "batch", "by_columns", "one_by_one", "schema", "source_row"]

Array = npt.NDArray[Any]
#: Values and where there is one, per column of the table.
Figures = dict[str, tuple[Array, npt.NDArray[np.bool_]]]

_DTYPES = {"float": np.float64, "int": np.int64, "bool": np.bool_}

#: What this process has learned of spaces; Dask workers have their own.
MEMO = Memo()


def arrow(module: str = "pyarrow") -> Any:
    """pyarrow, or a module of it. Raises MissingExtraError."""
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise MissingExtraError(
            f"{module.partition('.')[0]} is not installed; pip install 'fastrf[sweep]' brings it"
        ) from error


def schema(metrics: Sequence[Metric], n_axes: int) -> pa.Schema:
    """The table's columns: `id`, `ok`, `error`, then those of the metrics."""
    pa = arrow()
    kinds = {"float": pa.float64(), "int": pa.int64(), "bool": pa.bool_()}
    fields = [("id", pa.string()), ("ok", pa.bool_()), ("error", pa.string())]
    fields += [(column, kinds[metric.kind]) for metric in metrics for column in metric.columns(n_axes)]
    return pa.schema(fields)


def batch(ids: Sequence[str], figures: Figures, errors: Mapping[int, str], form: pa.Schema) -> pa.RecordBatch:
    """A record batch; rows in `errors` hold nulls but for their text."""
    pa = arrow()
    n = len(ids)
    ok = np.ones(n, bool)
    ok[list(errors)] = False
    texts = pa.nulls(n, pa.string()) if not errors else _strings([errors.get(i) for i in range(n)])
    columns = [_strings(ids), _numbers(ok, np.ones(n, bool), pa.bool_()), texts]
    for name, kind in zip(form.names[3:], form.types[3:], strict=True):
        values, valid = figures[name]
        columns.append(_numbers(values, valid & ok, kind))
    return pa.RecordBatch.from_arrays(columns, schema=form)


def _numbers(values: Array, valid: npt.NDArray[np.bool_], kind: pa.DataType) -> pa.Array:
    """An Arrow array from its buffers: `pyarrow.array` would import pandas first, which takes as long as a space."""
    pa = arrow()
    bits = None if valid.all() else pa.py_buffer(np.packbits(valid, bitorder="little"))
    if pa.types.is_boolean(kind):
        data = np.packbits(values.astype(bool), bitorder="little")
    else:
        data = np.ascontiguousarray(values, np.float64 if pa.types.is_floating(kind) else np.int64)
    return pa.Array.from_buffers(kind, len(valid), [bits, pa.py_buffer(data)])


def _strings(texts: Sequence[str | None]) -> pa.Array:
    """An Arrow array of texts, likewise."""
    pa = arrow()
    there = [text or "" for text in texts]
    data = "".join(there).encode("utf-8", "replace")
    lengths = np.fromiter(map(len, there), np.int64, len(there))
    if len(data) != lengths.sum():
        lengths = np.fromiter((len(text.encode("utf-8", "replace")) for text in there), np.int64, len(there))
    offsets = np.zeros(len(there) + 1, np.int32)
    np.cumsum(lengths, out=offsets[1:])
    missing = None in texts
    valid = np.packbits([text is not None for text in texts], bitorder="little") if missing else None
    buffers = [None if valid is None else pa.py_buffer(valid), pa.py_buffer(offsets), pa.py_buffer(data)]
    return pa.Array.from_buffers(pa.string(), len(there), buffers)


# A space, column by column ----------------------------------------------------------------------------------------


def by_columns(
    candidates: Any, input_shape: tuple[int, ...], metrics: Sequence[Metric], memo: Memo
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
                _gather(source, wanted, columns, found, channels, figures, errors)
        tallies = {"layers_beyond": columns.layers_beyond, "parameters": found.parameters, "macs": found.macs}
        there = np.ones(len(candidates), bool)
        for metric in metrics:
            if metric.source == "network":
                figures[metric.name] = tallies[metric.name], there
    finally:
        columns.close()
    return figures, errors


def _gather(
    source: str,
    metrics: Sequence[Metric],
    columns: Columns,
    found: Evaluated,
    channels: int,
    figures: Figures,
    errors: dict[int, str],
) -> None:
    """Metrics of one source: worked out per distinct state, then looked up per candidate."""
    table, output = columns.table, found.output
    keys = (output.nominal if source == "nominal" else output.exact).astype(np.int64)
    if source == "field":
        keys = keys * len(table.nominal) + output.nominal
    distinct, where = np.unique(keys, return_inverse=True)
    names = [(metric, metric.columns(len(columns.spatial))) for metric in metrics]
    rows: list[list[Values | str]] = []
    for key in distinct.tolist():
        known = table.measured.setdefault((source, channels, key), {}) if source != "field" else {}
        facts: Facts | None = None
        row: list[Values | str] = []
        for metric, _ in names:
            if metric.name not in known:
                facts = facts or Facts(_field(source, key, columns, channels))
                known[metric.name] = _computed(metric, facts)
            row.append(known[metric.name])
        rows.append(row)
    for k, (metric, own) in enumerate(names):
        cells = [row[k] for row in rows]
        for j, column in enumerate(own):
            values, valid = _typed([None if isinstance(cell, str) else cell[j] for cell in cells], metric.kind)
            figures[column] = values[where], valid[where]
        for state, cell in enumerate(cells):
            if isinstance(cell, str):
                errors.update(dict.fromkeys(np.flatnonzero(where == state).tolist(), cell))


def _field(source: str, key: int, columns: Columns, channels: int) -> Any:
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


def _computed(metric: Metric, facts: Facts) -> Values | str:
    """A metric's values, or why there are none."""
    assert metric.compute is not None
    try:
        return metric.compute(facts)
    except FastRFError as error:
        return f"metric {metric.name!r}: {error}"
    except Exception as error:  # a user's own function may raise anything
        return f"metric {metric.name!r}: {type(error).__name__}: {_line(error)}"


def _typed(values: Sequence[Any], kind: str) -> tuple[Array, npt.NDArray[np.bool_]]:
    """Values as one array, and which of them are there: None and NaN are not, nor integers beyond 64 bits."""
    valid = np.array([value is not None and value == value and not _too_large(value) for value in values], bool)  # noqa: PLR0124
    filled = [value if there else 0 for value, there in zip(values, valid, strict=True)]
    return np.array(filled, _DTYPES[kind]), valid


def _too_large(value: Any) -> bool:
    return isinstance(value, int) and abs(value) >= 1 << 63


def _line(error: BaseException) -> str:
    return " ".join(str(error).split())[:200]


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
        return f"{type(error).__name__}: {_line(error)}"


def network_row(network: Network, node: str | None, metrics: Sequence[Metric], n_axes: int) -> dict[str, Any] | str:
    """The figures of one network's output, or of `node`: its name, or "map" for the last map."""
    target = network.outputs[0] if node is None else last_map(network) if node == "map" else node
    walked = [metric for metric in metrics if metric.source == "network"]
    targets = [target]
    if any(metric.name == "layers_beyond" for metric in walked):
        targets += [other.inputs[0] for other in network.nodes if other.op in CONVOLUTIONS]
    analysis = analyze(network, targets=list(dict.fromkeys(targets)))
    field = analysis[target]
    if len(field.pixel_shape) != n_axes:
        raise ShapeError(
            f"its input has {len(field.pixel_shape)} spatial axes, the table {n_axes}; sweep such candidates apart"
        )
    facts, row = Facts(field), dict[str, Any]()
    for metric in metrics:
        if metric.compute is not None:
            values = _computed(metric, facts)
            if isinstance(values, str):
                return values
            row.update(zip(metric.columns(n_axes), values, strict=True))
    for metric in walked:
        if metric.name == "layers_beyond":
            row[metric.name] = layers_beyond(analysis, field.name)
        else:
            row[metric.name] = costs(network, None if node is None else field.name)[
                ("parameters", "macs").index(metric.name)
            ]
    return row
