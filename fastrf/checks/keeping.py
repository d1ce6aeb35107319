"""What a lock file says against an analysis: which modules changed, which inherit it, and what is no failure."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from fastrf.checks.changes import WORDS, Change, Diff
from fastrf.checks.diffing import diff
from fastrf.checks.locks import Entry, Lock
from fastrf.checks.outcomes import Outcome
from fastrf.system.files import read_text
from fastrf.system.tables import count

if TYPE_CHECKING:
    from fastrf.analysis import Analysis

__all__ = ["kept"]

#: Which changes follow from others.
_ABOUT = {"cause": "changed itself", "inherited": "follows from others"}
#: As many names are told in a note.
_NAMED = 6
#: What differs between versions, and the names of nodes, in sentences that say the same.
_LOOSE = re.compile(r"'[^']*'|\"[^\"]*\"|\bv?\d+(?:\.\d+)+\S*")


def kept(analysis: Analysis, against: Lock | str | os.PathLike[str]) -> tuple[list[Outcome], list[str]]:
    """An outcome for each module that is not what it was, or one for all of them; and notes.

    Raises FormatError for a file that cannot be read.
    """
    path, text = "", ""
    if not isinstance(against, Lock):
        path = os.fspath(against)
        text = read_text(path, "file")
        against = Lock.parse(text, path)
    rule = f"as in {path or 'the lock'}"
    keys = ((k, line) for k, line in enumerate(text.splitlines(), 1) if line.startswith('  "'))
    lines = {json.JSONDecoder().raw_decode(line.strip())[0]: k for k, line in keys}

    def outcome(node: str, kind: str, value: str, was: str = "") -> Outcome:
        where: dict[str, Any] = {"file": path, "line": lines.get(was or node, 0)}
        return Outcome(rule, node, value, kind == "same", _ABOUT.get(kind, ""), kind=kind, **where)

    sides = (against.inputs, against.wrt), (Lock.inputs_of(analysis), analysis.wrt)
    if _placed(*sides[0]) != _placed(*sides[1]):
        old, new = (_asked(*side) for side in sides)
        told = f"modules are not compared: they were locked for {old}, which --input and --wrt can give"
        return [outcome("inputs", "cause", f"{old} -> {new}")], [told]
    found = diff(against, analysis)
    failed = [outcome(*one) for one in _failures(found)]
    n = len(found.new.entries)
    passed = [] if failed else [outcome(f"{n} module{'s' * (n != 1)}", "same", "unchanged")]
    return [*failed, *passed], list(_notes(found, failed))


def _placed(inputs: Mapping[str, Sequence[int]], wrt: str) -> tuple[Any, ...]:
    """What is analysed: inputs may have other names, but not other shapes."""
    return *map(tuple, inputs.values()), list(inputs).index(wrt) if wrt in inputs else wrt


def _asked(inputs: Mapping[str, Sequence[int]], wrt: str) -> str:
    """The same in words."""
    if len(inputs) == 1 and wrt in inputs:
        return str(WORDS["shape"](inputs[wrt]))
    named = len(inputs) > 1
    shapes = ", ".join(f"{name} " * named + WORDS["shape"](shape) for name, shape in inputs.items())
    return f"{shapes} against {wrt!r}"


def _failures(found: Diff) -> list[tuple[str, str, str, str]]:
    """Of what is not what it was, its name, what kind of change it is, which, and its old name.

    Between modules, functions come and go and are numbered anew from version to version: they count where a module or
    an output is not what it was.
    """
    told = [(change, _said(change, found)) for change in found.changes]
    outputs = list(_outputs(found))
    if not outputs and not any(said and _counts(change, found) for change, said in told):
        return []
    failed = [
        (change.name, change.kind, said, change.was)
        for change, said in told
        if said and (_counts(change, found) or change.kind not in ("added", "removed"))
    ]
    names = {name for name, *_ in failed}
    return [*failed, *(output for output in outputs if output[0] not in names)]


def _outputs(found: Diff) -> Iterator[tuple[str, str, str, str]]:
    """The outputs that are not what they were, one by one."""
    old, new = found.old, found.new
    if len(old.outputs) != len(new.outputs):
        yield "outputs", "cause", f"{', '.join(old.outputs)} -> {', '.join(new.outputs)}", ""
        return
    for was, name in zip(old.outputs, new.outputs, strict=True):
        said = ", ".join(_differences(old.entries[was], new.entries[name], old.fastrf == new.fastrf))
        if said:
            yield name, "cause", f"output {said}", was


def _said(change: Change, found: Diff) -> str:
    """What is not what it was, in words; nothing where that is no more than names, costs, or other sentences."""
    if change.old is None or change.new is None:
        return change.kind
    return ", ".join(_differences(change.old, change.new, found.old.fastrf == found.new.fastrf))


def _counts(change: Change, found: Diff) -> bool:
    """Whether it is of a module; of a network without modules, every node is."""
    return bool(change.module) or not any(entry.module for entry in found.old.entries.values())


def _differences(old: Entry, new: Entry, same_version: bool) -> Iterator[str]:
    """What differs between two fields."""
    pairs = {name: (getattr(old, name), getattr(new, name)) for name in ("shape", "size_range", "stride", "start")}
    moved = {name: pair for name, pair in pairs.items() if pair[0] != pair[1]}
    for name, pair in moved.items():
        yield f"{name.removesuffix('_range')} {' -> '.join(map(WORDS[name], pair))}"
    if not moved and old.digest != new.digest and None not in (old.digest, new.digest):
        yield "sees other pixels at the same size: holes, borders or channels"
    if old.exact != new.exact:
        yield "exact -> approximate" if old.exact else "approximate -> exact"
    more = _assumed(old, new)
    if more and same_version:
        yield f"assumes {len(more)} thing{'s' * (len(more) > 1)} more"


def _assumed(old: Entry | None, new: Entry | None) -> list[str]:
    """What is taken for granted that was not."""
    known = {_LOOSE.sub("*", sentence) for sentence in old.assumes} if old else set()
    return [sentence for sentence in new.assumes if _LOOSE.sub("*", sentence) not in known] if old and new else []


def _notes(found: Diff, failed: Collection[Outcome]) -> Iterator[str]:
    """Where failures begin; and what is none: other names, costs, functions, and what cannot be compared."""
    kinds = {kind: [one.node for one in failed if one.kind == kind] for kind in ("cause", "inherited")}
    if kinds["inherited"]:
        n = len(kinds["inherited"])
        begun = kinds["cause"] or [change.name for change in (*found.added, *found.removed)]
        how = "changed themselves" if kinds["cause"] else "put in or taken out"
        yield f"{n} follow{'s' * (n == 1)} from others" + (f"; {how}: {_listed(begun)}" if begun else "")
    assumed = [sentence for change in found.changes for sentence in _assumed(change.old, change.new)]
    if assumed:
        yield f"assumed anew: {_listed(dict.fromkeys(assumed))}"
    if found.renamed:
        yield f"renamed: {_listed(f'{old} -> {new}' for old, new in found.renamed)}"
    if found.same:
        yield f"made otherwise, but seeing the same, which is no failure: {_listed(found.same)}"
    names = {one.node for one in failed}
    quiet = [change.name for change in found.changes if _said(change, found) and change.name not in names]
    if quiet:
        yield f"other functions between modules, which is no failure: {_listed(quiet)}"
    for name in ("parameters", "macs"):
        pairs = [(c.name, getattr(c.old, name), getattr(c.new, name)) for c in found.changes if c.old and c.new]
        told = [f"{module} {count(old)} -> {count(new)}" for module, old, new in pairs if old != new]
        if told:
            yield f"{'MACs' if name == 'macs' else name} are no check, and differ: {_listed(told)}"
    sides = found.old.entries, found.new.entries
    unknown = {name: name for side in sides for name, entry in side.items() if entry.digest is None}
    if unknown:
        yield f"of too many terms for a digest, so that figures alone are compared: {_listed(unknown)}"


def _listed(names: Iterable[str]) -> str:
    told = list(names)
    more = f" and {len(told) - _NAMED} more" if len(told) > _NAMED else ""
    return ", ".join(told[:_NAMED]) + more
