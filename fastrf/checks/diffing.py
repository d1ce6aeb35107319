"""diff(): which modules' fields differ between two networks, how, and which of them are the cause.

Modules are matched by name, those that are left by what they see (`matching`). A module is a cause where it is made
otherwise, or reads the same and sees otherwise; all that follow from it inherit the change.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from fastrf.analysis import Analysis, analyze
from fastrf.checks.asking import asked_as
from fastrf.checks.changes import COSTS, FIGURES, KINDS, Change, Diff
from fastrf.checks.comparing import compared
from fastrf.checks.locks import Entry, Lock, begins_as_lock, is_schema
from fastrf.checks.matching import Matching, matched
from fastrf.errors import FormatError, UsageError
from fastrf.frontends.loading import load
from fastrf.system.files import parse_json, read_text

__all__ = ["compare", "diff", "read_lock"]


def diff(old: Any, new: Any, input_shape: Any = None, **options: Any) -> Diff:
    """Which modules' fields changed between two networks, and how.

    `old` and `new` are each an Analysis of all nodes, anything that `fastrf.analyze` takes, or a lock file (a Lock, or
    the path of one). `input_shape` and `options` are those of `fastrf.analyze`; left out, a lock file on the other side
    says for which input a model is asked. Pixels that positions gain and lose are told where neither is a lock file.

    Raises what `fastrf.analyze` raises, FormatError for a file that is neither a network nor a lock file, and
    UsageError for options where nothing is left to analyse.
    """
    given = [_locked(old), _locked(new)]
    if (input_shape is not None or options) and all(isinstance(one, Lock | Analysis) for one in given):
        raise UsageError("input_shape and options are of a model to analyse, and both sides are analysed")
    lock = next((one for one in given if isinstance(one, Lock)), None)
    return compare(
        *(one if isinstance(one, Lock | Analysis) else _asked(one, lock, input_shape, options) for one in given)
    )


def _asked(source: Any, lock: Lock | None, input_shape: Any, options: Mapping[str, Any]) -> Analysis:
    """The analysis of a model, beside a lock asked for what that is of, where nothing else is said."""
    if lock is not None:
        reading = {key: value for key, value in options.items() if key not in ("wrt", "targets", "ignore")}
        shapes, wrt = asked_as(lock, lambda: load(source, **reading))
        known = next(iter(shapes.values())) if shapes and len(shapes) == 1 else shapes
        input_shape = known if input_shape is None else input_shape
        options = {**({} if wrt is None else {"wrt": wrt}), **options}
    return analyze(source, input_shape, **options)


def _locked(given: Any) -> Any:
    """A lock where it is the path of one, otherwise what is given."""
    is_path = isinstance(given, str | os.PathLike)
    return (read_lock(given) or given) if is_path else given


def read_lock(path: str | os.PathLike[str]) -> Lock | None:
    """The lock in a file; None for what is no file of JSON, or a network in one.

    Raises FormatError for a file of JSON that is neither a network nor a lock file.
    """
    name = os.fspath(path)
    if not name.lower().endswith(".json"):
        return None
    text = read_text(name, "file")
    if begins_as_lock(text):
        return Lock.parse(text, name)
    found = parse_json(text, name)
    schema = found.get("schema") if isinstance(found, dict) else None
    if schema is None:
        return None
    if not is_schema(schema):
        raise FormatError(f"{name}: {str(schema)[:40]!r} is neither a network nor a lock file; give one of these")
    return Lock.parse(text, name)


def compare(old: Lock | Analysis, new: Lock | Analysis) -> Diff:
    """`diff` of what is analysed, or locked."""
    before, after = (one if isinstance(one, Lock) else Lock.of(one) for one in (old, new))
    match = matched(before.entries, after.entries)
    names = _Names(before, after, match)
    pairs = [(was, name, _differing(names, before.entries[was], after.entries[name])) for was, name in match.pairs]
    names.moved |= {name for _, name, changed in pairs if not set(FIGURES).isdisjoint(changed)}
    found = [_changed(names, was, name, changed) for was, name, changed in pairs if changed]
    found = [_with_pixels(change, old, new) for change in found]
    added, removed = (
        [name for name in left if not _is_idle(side, name)]
        for side, left in ((after, match.added), (before, match.removed))
    )
    found += [Change(name, "added", None, after.entries[name]) for name in added]
    found += [Change(name, "removed", before.entries[name], None, was=name) for name in removed]
    found.sort(key=lambda change: KINDS.index(change.kind))
    same = [n for was, n, changed in pairs if not changed and before.entries[was].made != after.entries[n].made]
    return Diff(before, after, tuple(found), match.renamed, tuple(same))


def _is_idle(side: Lock, name: str) -> bool:
    """Whether an entry hands on what it reads: files of ONNX name their outputs by such."""
    own = side.entries[name]
    read = side.entries.get(own.reads[0]) if len(own.reads) == 1 else None
    is_bare = not own.module and not own.made and not own.parameters
    return is_bare and read is not None and (own.digest, own.shape) == (read.digest, read.shape) and bool(own.digest)


_LOCKED = "pixels are told of two models; a lock file holds none"


class _Names:
    """Old names in terms of new ones, and which new names see otherwise than before."""

    def __init__(self, old: Lock, new: Lock, match: Matching) -> None:
        self.old, self.new = old, new
        inputs = dict(zip(old.inputs, new.inputs, strict=False))
        self.of = {**inputs, **dict(match.pairs)}
        self.moved = {*match.added, *(b for a, b in inputs.items() if old.inputs[a] != new.inputs[b])}
        self.added = set(match.added)
        renamed = sorted((was for was, name in match.renamed), key=len, reverse=True)
        self._known = re.compile(rf"(?<![\w.])(?:{'|'.join(map(re.escape, renamed))})(?![\w])") if renamed else None

    def told(self, texts: tuple[str, ...]) -> tuple[str, ...]:
        """Sentences in which modules are called what they are called now."""
        if self._known is None:
            return texts
        return tuple(self._known.sub(lambda found: self.of[found[0]], text) for text in texts)


def _differing(names: _Names, old: Entry, new: Entry) -> tuple[str, ...]:
    """What differs between two entries."""
    said = replace(old, approximate_at=names.told(old.approximate_at), assumes=names.told(old.assumes))
    return tuple(key for key in (*FIGURES, *COSTS) if getattr(said, key) != getattr(new, key))


def _changed(names: _Names, was: str, name: str, changed: tuple[str, ...]) -> Change:
    old, new = names.old.entries[was], names.new.entries[name]
    kind = "cause" if _is_cause(names, old, new) else "inherited"
    return Change(name, kind, old, new, changed, was)


def _is_cause(names: _Names, old: Entry, new: Entry) -> bool:
    """Whether a module that differs is made otherwise, reads others, or reads the same that it read."""
    read = [names.of.get(one) for one in old.reads]
    if old.made != new.made:
        return True
    if None in read or not names.added.isdisjoint(new.reads):
        return False
    return set(read) != set(new.reads) or names.moved.isdisjoint(new.reads)


def _with_pixels(change: Change, before: Lock | Analysis, after: Lock | Analysis) -> Change:
    """The change with an example, where what is seen differs, or may."""
    if change.old is None or change.new is None or change.old.digest == change.new.digest is not None:
        return change
    if isinstance(before, Lock) or isinstance(after, Lock):
        return replace(change, unknown=_LOCKED)
    found = compared(before[change.was], after[change.name])
    return replace(change, unknown=found) if isinstance(found, str) else replace(change, pixels=found)
