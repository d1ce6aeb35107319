"""Which module of one network is which of another: by name, and where names differ, by what it sees."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import NamedTuple

from fastrf.checks.locks import Entry

__all__ = ["Matching", "matched"]


class Matching(NamedTuple):
    """`pairs` are (old name, new name) in the order of the new, `added` new names, `removed` old ones."""

    pairs: tuple[tuple[str, str], ...]
    added: tuple[str, ...]
    removed: tuple[str, ...]

    @property
    def renamed(self) -> tuple[tuple[str, str], ...]:
        """The pairs whose names differ."""
        return tuple((old, new) for old, new in self.pairs if old != new)


def matched(old: Mapping[str, Entry], new: Mapping[str, Entry]) -> Matching:
    """Entries of the same name; of the rest, in order, those of the same digest and shape.

    Of several that see the same, those are taken first whose names end alike, then those of the same class.
    """
    found = {name: name for name in new if name in old}
    for alike in (_ending, _class, _seen):
        taken, waiting = set(found.values()), dict[Hashable, list[str]]()
        for name, entry in old.items():
            if name not in taken and entry.digest is not None:
                waiting.setdefault(alike(name, entry), []).append(name)
        for name, entry in new.items():
            names = waiting.get(alike(name, entry)) if name not in found else None
            if names:
                found[name] = names.pop(0)
    pairs = tuple((found[name], name) for name in new if name in found)
    was = set(found.values())
    return Matching(pairs, tuple(n for n in new if n not in found), tuple(n for n in old if n not in was))


def _seen(_: str, entry: Entry) -> Hashable:
    """What two entries share that may be one module under two names."""
    return entry.digest, entry.shape


def _class(name: str, entry: Entry) -> Hashable:
    return entry.module, _seen(name, entry)


def _ending(name: str, entry: Entry) -> Hashable:
    return name.rpartition(".")[2], _class(name, entry)
