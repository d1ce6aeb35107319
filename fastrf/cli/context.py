"""`fastrf context`: how far back and ahead the outputs of a sequence model read, and where the future comes in."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any

from fastrf.cli.options import NodeOption, Printed, Source, option
from fastrf.errors import PositionError, UsageError

if TYPE_CHECKING:
    from fastrf.analysis import Analysis
    from fastrf.queries.context import Context
    from fastrf.system.tables import Column, Table

__all__ = ["context"]

_RATE = "Samples per second, e.g. 16000: gives seconds, too."
_AXIS = "The axis of the input that steps go along; 0 is the first one that holds no channels."
_STRIDE = "Samples that a step covers, where the network does not tell."
_LEAKS = "List the nodes at which outputs first read the future."
#: Headings, and the members of a Context below them.
_FIGURES = {
    "look-back": "lookback",
    "look-ahead": "lookahead",
    "latency": "latency",
    "step": "step",
    "period": "period",
    "without state": "bounded_lookback",
}
#: As many nodes are named below a table.
_NAMED = 8


def context(
    source: Source,
    printed: Printed,
    node: NodeOption = None,
    sample_rate: Annotated[float | None, option(_RATE, "--sample-rate", "-r", metavar="HZ")] = None,
    axis: Annotated[int, option(_AXIS, metavar="AXIS")] = 0,
    stride: Annotated[float | None, option(_STRIDE, metavar="SAMPLES")] = None,
    leaks: Annotated[bool, option(_LEAKS, "--leaks")] = False,
) -> None:
    """Say how far back and ahead of its own samples each output reads, and whether it is causal.

    Over all steps at once: look-back, look-ahead, latency, step and period, in samples and, with a rate, in seconds;
    which nodes keep state, so that the look-back has no end, and how far back the rest reads. A row for every output.

    `fastrf context wavenet --input 1x16000 --sample-rate 16000` or `fastrf context mine:Decoder --input 512 --leaks`
    """
    from fastrf.queries.context import checked_rate

    form, rate = printed.form, checked_rate(sample_rate)  # what does not fit is told before the work
    if leaks and rate is not None:
        raise UsageError("--leaks lists steps and samples; leave --sample-rate out")
    analysis = source.analyze()
    names = list(dict.fromkeys(analysis.network.outputs)) if node is None else [node]
    found, without = _contexts(analysis, names, rate, axis, stride)
    table = _leaks(analysis, list(found), axis, stride) if leaks else _table(analysis, found, without, axis)
    printed.table(table, form)


def _contexts(
    analysis: Analysis, names: Sequence[str], rate: float | None, axis: int, stride: float | None
) -> tuple[dict[str, Context], list[str]]:
    """The contexts of outputs, and why others have none. Raises PositionError where none has one."""
    found: dict[str, Context] = {}
    without: list[PositionError] = []
    for name in names:
        try:
            found[name] = analysis[name].context(rate, axis, stride=stride)
        except PositionError as error:
            without.append(error)
    if not found:
        raise PositionError(str(without[0]).replace("stride=", "--stride"))
    return found, list(map(str, without))


def _table(analysis: Analysis, found: Mapping[str, Context], without: Sequence[str], axis: int) -> Table:
    from fastrf.queries.facts import origin
    from fastrf.system.tables import Column, Table, document, number

    rows = [{"output": name, **_record(one)} for name, one in found.items()]
    shown: list[Column] = [Column("output", lambda row: row["output"])]
    for title, member in _FIGURES.items():
        shown.append(Column(title, lambda row, member=member: number(row[member])))  # type: ignore[misc]
    if any(row["seconds"] for row in rows):
        shown += [
            Column(f"{title} s", lambda row, member=member: number(row["seconds"][member]))  # type: ignore[misc]
            for title, member in _FIGURES.items()
        ]
    shown.append(Column("causal", lambda row: "yes" if row["causal"] else "no"))
    head = document("context", **origin(analysis.network, analysis.wrt), axis=axis, outputs=None)
    size = analysis.network.shape_of(analysis.wrt)
    title = f"{analysis.network.name}, in samples along axis {axis} of {analysis.wrt!r} {'x'.join(map(str, size))}"
    drop = ("without state s", "period s", "step s", "without state", "period", "look-back s", "look-ahead s", "step")
    notes = [*_notes(found), *without]
    return Table(rows, shown, title, notes, list(rows[0]), _FLAT, drop=drop, head=head)


#: Cells of CSV that are not as they are elsewhere.
_FLAT = {
    **dict.fromkeys(("unbounded_at", "assumes"), "; ".join),
    "seconds": lambda each: "; ".join(f"{name}={value:.10g}" for name, value in each.items()),
}


def _record(one: Context) -> dict[str, Any]:
    told = {member: getattr(one, member) for member in _FIGURES.values()}
    more = {"causal": one.is_causal, "unbounded_at": one.unbounded_at, "sample_rate": one.sample_rate}
    return {**told, **more, "seconds": dict(one.seconds), "exact": one.exact, "assumes": one.assumes}


def _notes(found: Mapping[str, Context]) -> list[str]:
    """What keeps state, and what is taken for granted."""
    told = []
    for nodes in dict.fromkeys(one.unbounded_at for one in found.values() if one.unbounded_at):
        names = ", ".join(nodes[:_NAMED]) + f" and {len(nodes) - _NAMED} more" * (len(nodes) > _NAMED)
        told.append(f"keep state: {names}; without state is the look-back of the rest")
    unknown = [name for name, one in found.items() if math.isnan(one.lookback) or math.isnan(one.lookahead)]
    told += [f"not regular, so - where it is not known: {', '.join(unknown)}"] if unknown else []
    inexact = [name for name, one in found.items() if not one.exact]
    told += [f"at most, since steps on the way are over-approximated: {', '.join(inexact)}"] if inexact else []
    assumed = list(dict.fromkeys(said for one in found.values() for said in one.assumes))
    more = [f"assumes: {len(assumed) - _NAMED} more; --json lists them"] if len(assumed) > _NAMED else []
    return [*told, *(f"assumes: {said}" for said in assumed[:_NAMED]), *more]


def _leaks(analysis: Analysis, names: Sequence[str], axis: int, stride: float | None) -> Table:
    """A row for every node at which pairs of a step and a later sample first appear."""
    from fastrf.queries.facts import origin
    from fastrf.system.tables import Column, Table, count, document

    rows = [
        {"output": name, "node": one.node, "module": one.module, "op": one.op, "pairs": one.count, "first": one.example}
        for name in names
        for one in analysis.leaks(axis, node=name, stride=stride)
    ]
    columns = [
        Column("first at", lambda row: row["node"]),
        Column("in module", lambda row: row["module"] or "-"),
        Column("operator", lambda row: row["op"]),
        Column("pairs", lambda row: count(row["pairs"])),
        Column("such as", lambda row: "step {} reads {}".format(*row["first"])),
        Column("of output", lambda row: row["output"]),
    ]
    head = document("leaks", **origin(analysis.network, analysis.wrt), axis=axis, leaks=None)
    causal = [name for name in names if name not in {row["output"] for row in rows}]
    notes = [f"causal: {', '.join(causal)}"] if causal else []
    keys = ["output", "node", "module", "op", "pairs", "first"]
    drop = ("operator", "of output", "in module", "such as")
    return Table(rows, columns, "", notes, keys, names=2, left=3, drop=drop, head=head)
