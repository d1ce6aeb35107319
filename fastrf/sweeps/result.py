"""SweepResult: the table of a sweep, in memory or in its file."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fastrf.errors import UsageError, did_you_mean
from fastrf.sweeps.table import FIRST, arrow, form_of, read_table, write_table
from fastrf.system.files import whole_file
from fastrf.system.locks import cached_property
from fastrf.system.tables import Table, document, number

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

__all__ = ["SweepResult"]


#: Candidates that a notebook shows.
_SHOWN = 100


class SweepResult:
    """One row per candidate, in their order: `id`, its own scalars, `ok`, `error`, then the columns of `measured`.

    A candidate that failed has `ok` false, the reason as its `error`, and nulls. Sizes are in pixels, `inf` where
    unbounded; strides and centres are null where nothing is seen. Made by `fastrf.sweep`.
    """

    def __init__(self, rows: list[pa.RecordBatch] | None, schema: pa.Schema, path: Path | None) -> None:
        self._rows, self._schema = rows, schema
        #: The file that holds the table, if one was asked for.
        self.path = path

    @cached_property
    def _table(self) -> pa.Table:
        if self._rows is not None:
            return arrow().Table.from_batches(self._rows, self._schema)
        assert self.path is not None
        return read_table(self.path, self._schema)

    @property
    def columns(self) -> tuple[str, ...]:
        """Names of the columns."""
        return tuple(self._schema.names)

    @property
    def measured(self) -> tuple[str, ...]:
        """Names of the columns that metrics give."""
        return self.columns[self.columns.index(FIRST[-1]) + 1 :]

    def __len__(self) -> int:
        return int(self._table.num_rows)

    def __repr__(self) -> str:
        failed = f", {self.n_failed} failed" if self.n_failed else ""
        columns = [name for name in self.columns if name not in FIRST]
        return f"SweepResult({len(self)} candidates{failed}, columns {', '.join(columns)})"

    def _repr_html_(self) -> str:
        rows = self._table.slice(0, _SHOWN).to_pylist()
        first = [{key: number(v) if isinstance(v, float) else v for key, v in row.items()} for row in rows]
        more = [f"{len(self) - _SHOWN:,} more candidates"] if len(self) > _SHOWN else []
        return Table(first, title=f"{len(self):,} candidates", notes=more, keys=self.columns).to_html()

    @property
    def n_failed(self) -> int:
        """How many candidates failed."""
        return int(len(self) - (arrow("pyarrow.compute").sum(self._table["ok"]).as_py() or 0))

    def to_arrow(self) -> pa.Table:
        """As a `pyarrow.Table`."""
        return self._table

    def to_pandas(self) -> pd.DataFrame:
        """As a `pandas.DataFrame`; where candidates failed, with pandas' nullable integers and booleans."""
        pandas, pa = arrow("pandas"), arrow()
        whole = {pa.int64(): pandas.Int64Dtype(), pa.bool_(): pandas.BooleanDtype()} if self.n_failed else {}
        frame: pd.DataFrame = self._table.to_pandas(types_mapper=whole.get)
        return frame

    def to_rows(self) -> list[dict[str, Any]]:
        """As a list of mappings."""
        rows: list[dict[str, Any]] = self._table.to_pylist()
        return rows

    def to_json(self) -> str:
        """As a JSON object with a list of `rows`, `null` where a figure is infinite, unknown or missing."""
        return Table(self.to_rows(), head=document("sweep", rows=None)).to_json()

    def top(self, n: int = 10, by: str = "density", *, smallest: bool = False) -> SweepResult:
        """The `n` candidates with the largest (or smallest) value of a column, the best first.

        Ties keep the candidates' order; rows without a value are left out. `by` may be a metric with a column per axis:
        then its first column counts. Raises UsageError for an unknown column or a negative `n`.
        """
        compute = arrow("pyarrow.compute")
        if isinstance(n, bool) or not isinstance(n, int) or n < 0:
            raise UsageError(f"n must be a number of rows, not {n!r}")
        column = self.column(by)
        table = self._table.filter(compute.is_valid(self._table[column]))
        order = "ascending" if smallest else "descending"
        chosen = table.take(compute.sort_indices(table, sort_keys=[(column, order)])[:n])
        return SweepResult(chosen.to_batches(), self._schema, None)

    def ties(self, by: str, value: Any) -> int:
        """How many candidates have this value of a column, as `top` reads it."""
        compute = arrow("pyarrow.compute")
        return int(compute.sum(compute.equal(self._table[self.column(by)], value)).as_py() or 0)

    def column(self, by: str) -> str:
        """The column of a name, or the first one of a metric with a column per axis. Raises UsageError."""
        return column_named(by, self.columns)

    def write(self, path: str | os.PathLike[str]) -> None:
        """Write to `.parquet`, `.csv`, or `.arrow` / `.feather` (Arrow IPC); the file appears whole or not at all.

        Raises FormatError for another ending or a file that cannot be written.
        """
        form = form_of(Path(path))
        with whole_file(path) as file:
            write_table(self._table.to_batches(), self._schema, file, form)


def column_named(by: str, columns: tuple[str, ...]) -> str:
    """The column of a name, or the first one of a metric with a column per axis. Raises UsageError."""
    if by in columns:
        return by
    measured = columns[columns.index(FIRST[-1]) + 1 :]
    found = next((name for name in measured if name.rpartition("_")[0] == by), None)
    if found is None:
        known = [name for name in columns if name not in FIRST]
        hint = did_you_mean(by, known, "check its spelling;")
        raise UsageError(f"unknown column {str(by)[:60]!r}; {hint} the table has {', '.join(known)}")
    return found
