"""The table of a sweep: its columns, record batches of rows, and its Parquet, CSV and Arrow files."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np
import numpy.typing as npt

from fastrf.errors import FormatError
from fastrf.sweeps.metrics import Metric
from fastrf.sweeps.scalars import Scalars
from fastrf.system.extras import require
from fastrf.system.files import opened
from fastrf.system.texts import csv_cell, from_csv_cell

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = [
    "ENDINGS",
    "FIRST",
    "KEY",
    "Figures",
    "arrow",
    "batch",
    "form_of",
    "manifest_of",
    "read_table",
    "schema",
    "write_table",
]

Array = npt.NDArray[Any]
#: Values and where there is one, per column of the table.
Figures = dict[str, tuple[Array, npt.NDArray[np.bool_]]]

#: Formats by ending.
ENDINGS = {".parquet": "parquet", ".csv": "csv", ".arrow": "arrow", ".feather": "arrow"}
#: The columns of every table, whatever is measured.
FIRST = ("id", "ok", "error")
#: Where a file's metadata hold the manifest of its sweep.
KEY = b"fastrf"


def arrow(module: str = "pyarrow") -> Any:
    """pyarrow, or a module of it. Raises MissingExtraError."""
    return require(module, "sweep", "a sweep")


def schema(metrics: Sequence[Metric], n_axes: int, scalars: Scalars = ()) -> pa.Schema:
    """The table's columns: `id`, scalars of the candidate, `ok`, `error`, then those of the metrics."""
    pa = arrow()
    kinds = {"float": pa.float64(), "int": pa.int64(), "bool": pa.bool_(), "text": pa.string()}
    fields = [("id", pa.string()), *[(one.column, kinds[one.kind]) for one in scalars]]
    fields += [("ok", pa.bool_()), ("error", pa.string())]
    fields += [(column, kinds[metric.kind]) for metric in metrics for column in metric.columns(n_axes)]
    return pa.schema(fields)


def batch(
    ids: Sequence[str], figures: Figures, errors: Mapping[int, str], form: pa.Schema, own: Sequence[Sequence[Any]] = ()
) -> pa.RecordBatch:
    """A record batch, `own` being the columns behind the ids; figures of rows in `errors` are nulls."""
    pa = arrow()
    n = len(ids)
    ok = np.ones(n, bool)
    ok[list(errors)] = False
    texts = pa.nulls(n, pa.string()) if not errors else _strings([errors.get(i) for i in range(n)])
    columns = [_strings(ids), *[_own(*each) for each in zip(own, form.types[1:], strict=False)]]
    columns += [_numbers(ok, np.ones(n, bool), pa.bool_()), texts]
    for name, kind in zip(form.names[len(columns) :], form.types[len(columns) :], strict=True):
        values, valid = figures[name]
        columns.append(_numbers(values, valid & ok, kind))
    return pa.RecordBatch.from_arrays(columns, schema=form)


def _own(values: Sequence[Any], kind: pa.DataType) -> pa.Array:
    """Texts, or numbers or truths, of which some are None."""
    if arrow().types.is_string(kind):
        return _strings(values)
    there = np.array([value is not None for value in values], bool)
    return _numbers(np.array([0 if value is None else value for value in values]), there, kind)


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
    encoded = [(text or "").encode("utf-8", "replace") for text in texts]
    offsets = np.zeros(len(encoded) + 1, np.int32)
    np.cumsum(np.fromiter(map(len, encoded), np.int64, len(encoded)), out=offsets[1:])
    missing = None in texts
    valid = pa.py_buffer(np.packbits([text is not None for text in texts], bitorder="little")) if missing else None
    buffers = [valid, pa.py_buffer(offsets), pa.py_buffer(b"".join(encoded))]
    return pa.Array.from_buffers(pa.string(), len(encoded), buffers)


# Files ------------------------------------------------------------------------------------------------------------


def form_of(path: Path) -> str:
    """The format of a file. Raises FormatError."""
    form = ENDINGS.get(path.suffix.lower())
    if form is None:
        raise FormatError(f"{path}: ending {path.suffix!r} is unknown here; use {', '.join(ENDINGS)}")
    return form


def write_table(batches: Iterable[pa.RecordBatch], schema: pa.Schema, file: BinaryIO, form: str) -> None:
    """Batches to an open file as "parquet", "csv" or "arrow" (Arrow IPC, also called Feather)."""
    pa = arrow()
    if form == "csv":
        writer = arrow("pyarrow.csv").CSVWriter(file, schema.remove_metadata())
        batches = (_with_texts(batch.replace_schema_metadata(None), csv_cell) for batch in batches)
    elif form == "arrow":
        writer = pa.ipc.new_file(file, schema)
    else:
        writer = arrow("pyarrow.parquet").ParquetWriter(file, schema)
    with writer:
        for batch in batches:
            writer.write_batch(batch)


def _with_texts(rows: Any, change: Callable[[str], str]) -> Any:
    """A batch or table with every text changed."""
    pa = arrow()
    columns = [
        pa.array([None if text is None else change(text) for text in column.to_pylist()], pa.string())
        if pa.types.is_string(column.type)
        else column
        for column in rows.columns
    ]
    return type(rows).from_arrays(columns, schema=rows.schema)


def read_table(path: Path, schema: pa.Schema) -> pa.Table:
    """A finished table. Raises FormatError where it is damaged, or has other columns."""
    try:
        table = _read(path, form_of(path), schema)
        table.validate(full=True)
    except Exception as error:  # a damaged file can fail in any of its readers
        raise FormatError(f"{path}: {str(error)[:160]}; was it written by a sweep?") from error
    if not table.schema.equals(schema):
        raise FormatError(f"{path}: has other columns than this sweep; choose another name")
    return table


def _read(path: Path, form: str, schema: pa.Schema) -> pa.Table:
    with opened(path) as file:
        if form == "csv":
            csv = arrow("pyarrow.csv")
            options = csv.ConvertOptions(
                column_types=schema, strings_can_be_null=True, quoted_strings_can_be_null=False, null_values=[""]
            )
            return _with_texts(csv.read_csv(file, convert_options=options), from_csv_cell)
        if form == "arrow":
            return arrow().ipc.open_file(file).read_all()
        return arrow("pyarrow.parquet").read_table(file)


def manifest_of(path: Path) -> dict[str, Any] | None:
    """What a finished file says of its sweep; None where it says nothing, as CSV cannot."""
    pa = arrow()
    try:
        if form_of(path) == "parquet":
            metadata = arrow("pyarrow.parquet").read_schema(path).metadata
        elif form_of(path) == "arrow":
            with pa.OSFile(str(path)) as file:
                metadata = pa.ipc.open_file(file).schema.metadata
        else:
            return None
        found = json.loads((metadata or {})[KEY])
    except Exception:  # a damaged file can fail in any of its readers
        return None
    return found if isinstance(found, dict) else None
