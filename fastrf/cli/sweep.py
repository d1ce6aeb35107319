"""The command `fastrf sweep`, which `fastrf.cli.commands` registers."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from fastrf.cli.options import option, parse_input
from fastrf.errors import UsageError
from fastrf.system import terminal as console
from fastrf.system.tables import Table, number

if TYPE_CHECKING:
    from fastrf.sweeps.result import SweepResult

__all__ = ["sweep"]

#: How many of the best are printed where nothing is written.
SHOWN = 10
_Text = str | None
_CANDIDATES = (
    "A space (nasbench101, nasbench201, darts, darts-imagenet, ofa, ofa-without-se), a .jsonl file with a candidate "
    "per line, or networks: files, built-in names, package.module:callable."
)
_OUTPUT = "Write a new .parquet, .csv, .arrow or .feather table."
_INPUT = "Input shape, e.g. 3x32x32; several for each network."
_NODE = "The node of listed networks, or `map`: the last map before the head."


@dataclass(frozen=True)
class SweepOptions:
    """What `fastrf sweep` is asked."""

    candidates: Annotated[list[str], typer.Argument(metavar="CANDIDATES...", help=_CANDIDATES)]
    output: Annotated[Path | None, option(_OUTPUT, "--output", "-o", metavar="FILE")] = None
    input_shape: Annotated[list[str] | None, option(_INPUT, "--input", "-i", metavar="SHAPE")] = None
    metrics: Annotated[_Text, option("Metrics by name, with commas (default: all).", metavar="NAMES")] = None
    node: Annotated[_Text, option(_NODE, "--node", "-n")] = None
    sample: Annotated[int | None, option("Draw so many candidates of a space.", min=1)] = None
    seed: Annotated[int, option("The seed of --sample.", min=0)] = 0
    workers: Annotated[int | None, option("Processes, or threads, on this machine.", min=1)] = None
    scheduler: Annotated[_Text, option("A Dask scheduler, e.g. tcp://host:8786.", metavar="ADDRESS")] = None
    overwrite: Annotated[bool, option("Replace a table that is there.", "--overwrite")] = False
    resume: Annotated[bool, option("Go on with an output that was interrupted.", "--resume")] = False
    top: Annotated[int | None, option("Print so many of the best candidates.", min=1)] = None
    by: Annotated[_Text, option("The column that says what is best; ties are counted.", metavar="COLUMN")] = None
    smallest: Annotated[bool, option("The smallest is the best.", "--smallest")] = False
    json: Annotated[bool, option("Print rows as JSON: the best, or all of them.", "--json")] = False


def sweep(asked: SweepOptions) -> None:
    """Work out a row of exact figures for each of many candidate architectures.

    A candidate that fails is a row with its error. An interrupted output goes on with --resume.

    `fastrf sweep nasbench201 -o nb201.parquet` or `fastrf sweep darts --sample 1000 --top 10 --by area_mean` or
    `fastrf sweep models/*.onnx --node map -i 3x224x224 -i 3x320x320`
    """
    from fastrf.sweeps.candidates import candidates_of
    from fastrf.sweeps.run import sweep as run

    names = None if asked.metrics is None else [name.strip() for name in asked.metrics.split(",") if name.strip()]
    given, shape = _at_shapes(
        candidates_of(asked.candidates, asked.sample, asked.seed), asked.candidates, asked.input_shape
    )
    if asked.resume and asked.output is None:
        raise UsageError("--resume goes on with an output that was interrupted; say which with -o")
    if asked.by is not None:
        given, shape, names = _with_column(given, shape, names, asked), None, None
    where: dict[str, Any] = {"output": asked.output, "resume": asked.resume, "overwrite": asked.overwrite}
    result = run(given, shape, names, asked.workers, asked.scheduler, node=asked.node, **where)
    if asked.output is not None:
        failed = f", {result.n_failed} of them failed" if result.n_failed else ""
        console.note(f"wrote {asked.output}: {len(result)} rows{failed}")
    if asked.top is None and asked.by is None and (asked.output is not None or asked.json):
        if asked.json:
            typer.echo(result.to_json())
        return
    _show(result, asked.top or SHOWN, asked.by, asked.smallest, asked.json)


def _with_column(given: Any, shape: Any, names: list[str] | None, asked: SweepOptions) -> Any:
    """The work of a sweep, whose table will have the column that is asked for: a wrong name is told before the work."""
    from fastrf.sweeps.result import column_named
    from fastrf.sweeps.table import arrow
    from fastrf.sweeps.work import work_of

    arrow()
    work = work_of(given, shape, names, asked.node)
    column_named(str(asked.by), tuple(work.schema.names))
    return work


def _at_shapes(given: Any, words: list[str], shapes: list[str] | None) -> tuple[Any, Any]:
    """Candidates and input shape; with several shapes, each network at each of them."""
    if not shapes or len(shapes) == 1 or "=" in shapes[0]:
        return given, parse_input(shapes)
    if given is not words:
        raise UsageError("several --input shapes are for files of networks named one by one; else sweep once for each")
    each = [parse_input([text]) for text in shapes]
    return [(name, shape) for name in words for shape in each], None


def _show(result: SweepResult, top: int, by: str | None, smallest: bool, json: bool) -> None:
    column = result.column(by or ("density" if "density" in result.measured else result.measured[0]))
    best = result.top(top, column, smallest=smallest)
    if json:
        typer.echo(best.to_json())
    elif len(best):
        left_out = ("id", "ok", "error")
        rows = [
            {"id": row["id"], **{k: _shown(v) for k, v in row.items() if k not in left_out}} for row in best.to_rows()
        ]
        title = (
            f"the best {len(best):,} of {len(result):,} by {column}, the {'smallest' if smallest else 'largest'} first"
        )
        table = Table(rows, title=title, keep=(column,), strong=column)
        typer.echo(table.to_text(console.terminal_width(), console.shows_bold()))
    if len(best):
        _note_ties(result, best, column)
    if result.n_failed:
        first = next(row for row in result.to_rows() if not row["ok"])
        console.note(f"{result.n_failed} of {len(result)} failed; the first, {first['id']}: {first['error']}")


def _note_ties(result: SweepResult, best: SweepResult, column: str) -> None:
    """Say how many candidates are as good as the last one that is shown."""
    rows = best.to_rows()
    last = rows[-1][column]
    more = result.ties(column, last) - sum(row[column] == last for row in rows)
    if more:
        tied = f"{more:,} more {'has' if more == 1 else 'have'} the same {column}, {_shown(last)}"
        console.note(f"{tied}; of equal ones those that come first are shown")


def _shown(value: Any) -> Any:
    """Floats in four digits, and no text longer than a line."""
    if isinstance(value, float):
        return number(value if value.is_integer() else float(f"{value:.4g}"))
    return f"{value[:97]}..." if isinstance(value, str) and len(value) > 100 else value
