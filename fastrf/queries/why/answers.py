"""Why and Reason: an answer in sentences, and its rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any

from fastrf.system.tables import Column, Table, agreed, document, number, wrapped
from fastrf.system.texts import html_text, markdown_text

__all__ = ["Reason", "Why"]


@dataclass(frozen=True)
class Reason:
    """One layer, or the layers of one attention, and what it has to do with the answer.

    `name` and `operator` are those of `fastrf summary`, `nodes` the layers of the network. `cause` says in words what
    it does. Of a layer that makes a field large: `axes`, the pixel axes that it makes unbounded; `adds` and `size`, per
    pixel axis in pixels, how much it adds and what there is then; `behind`, whether another one comes before it;
    `ignore`, what `fastrf.analyze` takes to leave it out. Of a layer on a path: its `position` and `neuron`, and the
    layers that it `reads` the pixel from. Of a layer that loses a pixel: those that it `reads` and that have it still.
    """

    name: str
    operator: str
    nodes: tuple[str, ...]
    cause: str = ""
    axes: tuple[int, ...] = ()
    adds: tuple[float, ...] = ()
    size: tuple[float, ...] = ()
    behind: bool = False
    ignore: str = ""
    position: tuple[int, ...] | None = None
    neuron: tuple[int, ...] | None = None
    reads: tuple[str, ...] = ()


def _place(index: Sequence[int] | None) -> str:
    return "-" if index is None else ", ".join(map(str, index)) or "the only one"


def _branches(record: Mapping[str, Any]) -> str:
    """Where several branches meet, those that bring the pixel."""
    reads = ", ".join(record["reads"])
    return f"{reads} alone" if record["cause"] else reads if len(record["reads"]) > 1 else "-"


def _branches_in_brief(record: Mapping[str, Any]) -> str:
    return "one" if record["cause"] else "several" if len(record["reads"]) > 1 else "-"


_LAYER = (Column("layer", lambda r: r["name"]), Column("operator", lambda r: r["operator"]))
_COLUMNS: Mapping[str, tuple[Column, ...]] = {
    "unbounded": (
        *_LAYER,
        Column("cause", lambda r: r["cause"]),
        Column("behind another", lambda r: "yes" if r["behind"] else "no"),
        Column("ignore=", lambda r: r["ignore"]),
    ),
    "widest": (
        *_LAYER,
        Column("adds", lambda r: agreed([number(n) for n in r["adds"]])),
        Column("receptive field", lambda r: agreed([number(n) for n in r["size"]]), initials="RF"),
    ),
    "path": (
        *_LAYER,
        Column("position", lambda r: _place(r["position"])),
        Column("branches that have it", _branches, _branches_in_brief),
    ),
    "irregular": (*_LAYER, Column("reason", lambda r: r["cause"])),
    "lost": (*_LAYER, Column("has it no more, though it reads", lambda r: ", ".join(r["reads"]))),
}
#: How many columns stand on the left, and what a narrow terminal is spared, first to last.
_LEFT = {"unbounded": 3, "irregular": 3}
_DROPPED = {"unbounded": ("behind another", "operator", "ignore="), "path": ("operator", "branches that have it")}


@dataclass(frozen=True, repr=False)
class Why:
    """The answer to why a field is as it is; `str()` says it in plain sentences, and lists the layers.

    `kind` is "unbounded", "widest" or, where the size follows no rule, "irregular" for what makes a field large; "path"
    for how a pixel gets to a position, from the input on; "blind" where no position sees the pixel and "hole" where it
    lies within the box of the position, with the layers that lose it; "outside" where it lies outside of the box, and
    "nothing" where nothing is seen. `node` is the layer asked about, `position` and `pixel` what was asked (in a path,
    where it ends). `sentences` are the answer in words, `reasons` its layers, `notes` what else there is to know.
    """

    kind: str
    node: str
    position: tuple[int, ...] | None
    pixel: tuple[int, ...] | None
    sentences: tuple[str, ...]
    reasons: tuple[Reason, ...] = ()
    notes: tuple[str, ...] = ()
    origin: Mapping[str, Any] = field(default_factory=dict, hash=False)

    def __str__(self) -> str:
        return self.to_text()

    def __repr__(self) -> str:
        return f"Why({' '.join(self.sentences)!r})"

    def _repr_html_(self) -> str:
        told = "".join(f"<div>{html_text(text)}</div>" for text in self._told)
        return self.table.to_html() if self.reasons else told

    @property
    def path(self) -> tuple[tuple[str, tuple[int, ...]], ...] | None:
        """Layer and position, from the input to the position asked about; None where there is no path."""
        if self.kind != "path":
            return None
        return tuple((reason.nodes[0], reason.position or ()) for reason in self.reasons)

    @property
    def table(self) -> Table:
        """The table that all forms are made of."""
        records, kind = [dict(vars(reason)) for reason in self.reasons], self.kind
        columns = _COLUMNS.get(kind, _COLUMNS["lost"])
        if kind == "path" and all(_branches(record) == "-" for record in records):
            columns = columns[:-1]
        asked = {"node": self.node, "at": self.position, "pixel": self.pixel}
        answer = {"answer": kind, "sentences": self.sentences, "notes": self.notes, "reasons": None}
        head = document("why", **self.origin, **asked, **answer)
        keys = [one.name for one in fields(Reason)]
        looks: dict[str, Any] = {"names": 2, "left": _LEFT.get(kind, 2), "drop": _DROPPED.get(kind, ("operator",))}
        return Table(records, columns, " ".join(self.sentences), self.notes, keys, head=head, **looks)

    def to_text(self, width: int | None = None, bold: bool = False) -> str:
        """The sentences, then the table, if there is one: as wide as it is, or within a terminal's width."""
        return self.table.to_text(width, bold) if self.reasons else "\n".join(wrapped(self._told, width))

    @property
    def _told(self) -> tuple[str, ...]:
        return (" ".join(self.sentences), *self.notes)

    def to_markdown(self) -> str:
        """The sentences, and the layers as a Markdown table."""
        if not self.reasons:
            return "\n\n".join(map(markdown_text, self._told))
        return f"{markdown_text(' '.join(self.sentences))}\n\n{self.table.to_markdown()}"

    def to_records(self) -> list[dict[str, Any]]:
        """The layers as plain mappings; numbers that JSON does not have are None."""
        return self.table.to_records()

    def to_json(self) -> str:
        """As a JSON object (`docs/json.md`)."""
        return self.table.to_json()
