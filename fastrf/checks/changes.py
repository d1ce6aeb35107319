"""What differs between two networks: changes by module, the cause before what inherits it, and the tables of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from fastrf.checks.comparing import Pixels
from fastrf.checks.locks import Entry, Lock
from fastrf.checks.outcomes import unlooked
from fastrf.system.tables import Column, Shown, Table, agreed, brief_count, count, document, number, spans
from fastrf.system.texts import markdown_text

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["COSTS", "FIGURES", "KINDS", "WORDS", "Change", "Diff"]

#: What of a field is compared, and what of its cost, as `Entry` names it.
FIGURES = ("shape", "size_range", "stride", "start", "digest", "exact", "approximate_at", "assumes")
COSTS = ("parameters", "macs")
#: In the order in which they are shown.
KINDS = ("cause", "added", "removed", "inherited")
#: As many notes of a kind stand below a table.
_NOTES = 6


@dataclass(frozen=True)
class Change:
    """One module whose field or cost differs.

    `kind` is "cause" where the module itself changed, "inherited" where only what it reads did, "added" or "removed".
    `was` is its name in the old network. `old` and `new` are what a lock file keeps of it, `changed` names what differs
    there. `pixels` is an example of a position that sees otherwise, where both sides are analyses of maps of one size;
    without one, `unknown` says why, "" where every position sees the same.
    """

    name: str
    kind: str
    old: Entry | None
    new: Entry | None
    changed: tuple[str, ...] = ()
    was: str = ""
    pixels: Pixels | None = None
    unknown: str = ""

    @property
    def module(self) -> str:
        """The class of the module."""
        own = self.new or self.old
        return own.module if own else ""

    def to_record(self) -> dict[str, Any]:
        """As a mapping of plain values; of `old` and `new`, the figures."""
        told: dict[str, Any] = {"name": self.name, "was": self.was, "module": self.module, "kind": self.kind}
        told["changed"] = self.changed
        for side in ("old", "new"):
            own = getattr(self, side)
            told[side] = None if own is None else {key: getattr(own, key) for key in (*FIGURES, *COSTS)}
        return told | {"pixels": self.pixels and asdict(self.pixels), "unknown": self.unknown}


@dataclass(frozen=True, repr=False)
class Diff(Shown):
    """What differs between two networks: `changes`, of which `causes` are the modules that changed themselves.

    `renamed` pairs old and new names of modules that see the same, `same` names modules that are made otherwise and
    see the same, `n_modules` counts those of the new network. True where anything but names differs. `str()` is the
    table; `to_markdown` is for a pull request, `to_json`, `to_records`, `to_pandas` are for programs.
    """

    old: Lock
    new: Lock
    changes: tuple[Change, ...]
    renamed: tuple[tuple[str, str], ...] = ()
    same: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.changes)

    @property
    def causes(self) -> tuple[Change, ...]:
        """Modules that changed themselves."""
        return self._of("cause")

    @property
    def added(self) -> tuple[Change, ...]:
        """Modules that the old network has not."""
        return self._of("added")

    @property
    def removed(self) -> tuple[Change, ...]:
        """Modules that the new network has not."""
        return self._of("removed")

    @property
    def inherited(self) -> tuple[Change, ...]:
        """Modules that differ because of what they read."""
        return self._of("inherited")

    def _of(self, kind: str) -> tuple[Change, ...]:
        return tuple(change for change in self.changes if change.kind == kind)

    def __str__(self) -> str:
        return self.to_text()

    @property
    def title(self) -> str:
        """How many modules changed, in a sentence."""
        names = dict.fromkeys((self.old.model, self.new.model))
        told = " -> ".join(names)
        n = len(self.new.entries)
        if not self:
            return f"{told}: no changes in {n} module{'s' * (n != 1)}"
        counts = [(len(self._of(kind)), kind) for kind in KINDS]
        words = {"cause": "changed", "inherited": "inherited"}
        return f"{told}: {', '.join(f'{n} {words.get(kind, kind)}' for n, kind in counts if n)}"

    @property
    def table(self) -> Table:
        """The table that all forms but Markdown are made of."""
        return self._table(self.changes)

    def _table(self, changes: Sequence[Change], title: bool = True, notes: bool = True) -> Table:
        records = [change.to_record() for change in changes]
        seen = [column for column in _COLUMNS if any(map(column.show, records))]
        told = {"names": 1, "left": 3, "drop": _DROPPED, "strong": "receptive field", "head": self._head}
        keys = list(Change("", "", None, None).to_record())
        said = (self.title if title else "", self.notes if notes else ())
        return Table(records, seen or _COLUMNS[:3], *said, keys, **told)  # type: ignore[arg-type]

    @property
    def _head(self) -> dict[str, Any]:
        """What JSON says before the changes: `docs/json.md` has every key."""
        sides = {side: _about(getattr(self, side)) for side in ("old", "new")}
        renamed = [{"old": was, "new": name} for was, name in self.renamed]
        return document("diff", **sides, units="pixels", renamed=renamed, same=self.same, changes=None)

    @property
    def notes(self) -> tuple[str, ...]:
        """What the table does not hold: inputs, examples of pixels, assumptions, names."""
        found = [*unlooked(self.new.inputs, self.new.wrt), *self._inputs(), *self._examples(), *self._unknown()]
        found += _listed("", [line for change in self.changes if change.kind != "inherited" for line in _said(change)])
        found += _listed("renamed: ", [f"{was} -> {name}" for was, name in self.renamed])
        return (*found, *_listed("made otherwise, sees the same: ", list(self.same)))

    def _inputs(self) -> list[str]:
        sides = [", ".join(f"{name} {_shape(shape)}" for name, shape in side.inputs.items()) for side in self._sides]
        shapes = [list(side.inputs.values()) for side in self._sides]
        told = [f"inputs: {sides[0]} -> {sides[1]}"] if shapes[0] != shapes[1] else []
        places = [[*side.inputs].index(side.wrt) if side.wrt in side.inputs else side.wrt for side in self._sides]
        return told + [f"measured against: {self.old.wrt} -> {self.new.wrt}"] * (places[0] != places[1])

    @property
    def _sides(self) -> tuple[Lock, Lock]:
        return self.old, self.new

    def _unknown(self) -> list[str]:
        """Why no pixels are shown, with the first modules of which that is so."""
        names: dict[str, list[str]] = {}
        for change in self.changes:
            names.setdefault(change.unknown, []).append(change.name)
        names.pop("", None)
        return [f"{why}: {', '.join(of[:3])}{f' and {len(of) - 3} more' * (len(of) > 3)}" for why, of in names.items()]

    def _examples(self) -> list[str]:
        return _listed("", [f"{c.name}, {_example(c.pixels)}" for c in self.changes if c.kind == "cause" and c.pixels])

    def to(self, form: str, width: int | None = None, bold: bool = False) -> str:
        """As "json", "csv", "markdown" or a "table" within a terminal's width."""
        if form == "table":
            return self.to_text(width, bold)
        return {"json": self.to_json, "csv": self.to_csv, "markdown": self.to_markdown}[form]()

    def to_text(self, width: int | None = None, bold: bool = False) -> str:
        """As a table with its notes, or within a terminal's width; without changes, a line."""
        if not self:
            return "\n".join([self.title, *self.notes])
        return self.table.to_text(width, bold)

    def to_markdown(self) -> str:
        """As Markdown for a pull request: what changed in a table, what inherits it in one that is folded."""
        parts = [f"**{markdown_text(self.title)}**"]
        first = [change for change in self.changes if change.kind != "inherited"]
        if first:
            parts.append(self._table(first, notes=False).to_markdown())
        parts += map(markdown_text, self.notes)
        if self.inherited:
            said = f"<details><summary>{len(self.inherited)} inherited</summary>"
            parts += [said, self._table(self.inherited, notes=False).to_markdown(), "</details>"]
        return "\n\n".join(parts)

    def to_records(self) -> list[dict[str, Any]]:
        """The changes as plain mappings; numbers that JSON does not have (unbounded) are None."""
        return self.table.to_records()

    def to_json(self) -> str:
        """As a JSON object (`docs/json.md`): its changes are `to_records`."""
        return self.table.to_json()

    def to_csv(self) -> str:
        """The changes as CSV: of every figure that differs, the old and the new."""
        keys = list(_flat(Change("", "", None, None)))
        return Table([_flat(change) for change in self.changes], keys=keys).to_csv()

    def to_pandas(self) -> pd.DataFrame:
        """As a `pandas.DataFrame`. Raises MissingExtraError without pandas."""
        return self.table.to_pandas()


def _about(side: Lock) -> dict[str, Any]:
    return {"model": side.model, "fastrf": side.fastrf, "inputs": side.inputs, "wrt": side.wrt}


def _shape(sizes: Sequence[int]) -> str:
    return "x".join(map(str, sizes)) or "scalar"


def _numbers(values: Sequence[float | None]) -> str:
    return agreed([number(value) for value in values]) or "-"


def _sizes(ranges: Sequence[Sequence[float | None]]) -> str:
    return agreed(["-" if low is None or high is None else spans([(low, high)])[0] for low, high in ranges]) or "-"


#: How people read a figure.
WORDS: Mapping[str, Any] = {
    "shape": _shape,
    "size_range": _sizes,
    "stride": _numbers,
    "start": _numbers,
    "exact": lambda is_exact: "yes" if is_exact else "no",
    "parameters": count,
    "macs": count,
}


def _moved(record: Mapping[str, Any], key: str, show: Any = None) -> str:
    """A figure before and after, nothing where it is the same."""
    show, (old, new) = show or WORDS[key], (record["old"], record["new"])
    if old is None or new is None:
        return str(show((new or old)[key]))
    return f"{show(old[key])} -> {show(new[key])}" if old[key] != new[key] else ""


def _pixels(record: Mapping[str, Any]) -> str:
    if record["pixels"] is not None:
        return f"+{brief_count(record['pixels']['gained'])} -{brief_count(record['pixels']['lost'])}"
    return "differ" if "digest" in record["changed"] and record["unknown"] else ""


def _share(record: Mapping[str, Any]) -> str:
    found = record["pixels"]
    if found is None or found["positions"] is None:
        return ""
    return f"{found['positions']:,} of {found['among']:,}{' neurons' * (found['of'] == 'neuron')}"


def _holes(record: Mapping[str, Any]) -> str:
    found = record["pixels"]
    if found is None or found["holes_before"] == found["holes_after"]:
        return ""
    return f"{count(found['holes_before'])} -> {count(found['holes_after'])}"


_COLUMNS = (
    Column("module", lambda r: r["name"]),
    Column("change", lambda r: r["kind"]),
    Column("class", lambda r: r["module"]),
    Column("output shape", lambda r: _moved(r, "shape")),
    Column("receptive field", lambda r: _moved(r, "size_range"), initials="RF"),
    Column("stride", lambda r: _moved(r, "stride")),
    Column("start", lambda r: _moved(r, "start")),
    Column("pixels", _pixels),
    Column("holes", _holes),
    Column("positions", _share),
    Column("exact", lambda r: _moved(r, "exact")),
    Column("parameters", lambda r: _moved(r, "parameters"), lambda r: _moved(r, "parameters", brief_count), "params"),
    Column("MACs", lambda r: _moved(r, "macs"), lambda r: _moved(r, "macs", brief_count)),
)
#: What a narrow terminal is spared, first to last.
_DROPPED = ("MACs", "start", "parameters", "positions", "class", "holes", "stride", "exact", "output shape", "pixels")
#: Columns of CSV before and behind the figures.
_NAMES, _PIXELS = ("name", "was", "module", "kind", "changed"), ("position", "gained", "lost", "positions")


def _flat(change: Change) -> dict[str, Any]:
    """A change as cells of CSV."""
    told = {key: getattr(change, key) for key in _NAMES} | {"changed": " ".join(change.changed)}
    for key in (*FIGURES[:6], *COSTS):
        for side in ("old", "new"):
            told[f"{side}_{key}"] = getattr(getattr(change, side), key, None)
    return told | {key: getattr(change.pixels, key, None) for key in _PIXELS}


def _example(found: Pixels | None) -> str:
    """What an example gains and loses, in words."""
    if found is None:
        return ""
    told = [f"{found.of} {_index(found.position)} {_seen(found)}"]
    for word, number_of, places in (("gains", found.gained, found.gained_at), ("loses", found.lost, found.lost_at)):
        if number_of:
            shown = ", ".join(map(_index, places[:3]))
            told.append(f"{word} {count(number_of)}" + (f", such as {shown}" if shown else ""))
    return "; ".join(told)


def _seen(found: Pixels) -> str:
    """How many pixels an example sees and saw."""
    pixels = f"pixel{'s' * (found.before != 1)}"
    if found.before != found.after:
        return f"sees {count(found.after)} pixel{'s' * (found.after != 1)}, not {count(found.before)}"
    if found.lost == found.before:
        return f"sees {count(found.after)} other {pixels}"
    return f"sees {count(found.after)} {pixels} as before, of which {count(found.gained)} are others"


def _index(place: Sequence[int]) -> str:
    return f"({', '.join(map(str, place))})"


def _said(change: Change) -> list[str]:
    """What is taken for granted otherwise."""
    if change.old is None or change.new is None or "assumes" not in change.changed:
        return []
    sides = [("assumes no longer", change.old, change.new), ("assumes now", change.new, change.old)]
    said = [(word, one) for word, own, other in sides for one in own.assumes if one not in other.assumes]
    return [f"{change.name} {word}: {one}" for word, one in said]


def _listed(kind: str, told: Sequence[str]) -> list[str]:
    more = [f"{kind or 'and '}{len(told) - _NOTES} more; --json lists them"] if len(told) > _NOTES else []
    return [*(f"{kind}{text}" for text in told[:_NOTES]), *more]
