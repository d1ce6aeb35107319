"""Names that count, such as those of a Sequential, aligned where a layer was put in: `net.3` is `net.4` from there on.

Only where there are more or fewer of them than before: otherwise a name says which module is meant, whatever it does.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from fastrf.checks.locks import Entry

__all__ = ["aligned"]

#: A part of a name that counts: what is counted, and the number.
_COUNTED = re.compile(r"(?:(.*?)_)?(\d+)")
#: Longer lists are matched by their names.
_LONG = 1 << 10


@dataclass
class _Tree:
    """The entry at a name, and those below it by the next part of their names."""

    name: str = ""
    entry: Entry | None = None
    below: dict[str, _Tree] = field(default_factory=dict)


def aligned(old: Mapping[str, Entry], new: Mapping[str, Entry]) -> dict[str, str]:
    """By new name the old one, for entries of equal names; names that count are shifted where they have to be."""
    found: dict[str, str] = {}
    waiting = [(_tree(old), _tree(new))]
    while waiting:
        before, after = waiting.pop()
        if before.entry is not None and after.entry is not None:
            found[after.name] = before.name
        waiting += [(before.below[was], after.below[part]) for was, part in _pairs(before, after)]
    return found


def _tree(entries: Mapping[str, Entry]) -> _Tree:
    root = _Tree()
    for name, entry in entries.items():
        at = root
        for part in name.split("."):
            at = at.below.setdefault(part, _Tree())
        at.name, at.entry = name, entry
    return root


def _pairs(before: _Tree, after: _Tree) -> list[tuple[str, str]]:
    """Old and new parts of names below two modules that are the same."""
    lists = _lists(before), _lists(after)
    pairs = []
    for stem, parts in lists[1].items():
        was = lists[0].get(stem, [])
        if len(was) == len(parts) or max(len(was), len(parts)) > _LONG:
            pairs += [(part, part) for part in parts if part in before.below]
        else:
            sides = [_told(before.below[part]) for part in was], [_told(after.below[part]) for part in parts]
            pairs += [(was[i], parts[k]) for i, k in _alignment(*sides)]
    return pairs


def _lists(tree: _Tree) -> dict[str, list[str]]:
    """Parts of names by what they count, in order; a part that counts nothing is alone."""
    found: dict[str, list[str]] = {}
    for part in tree.below:
        counted = _COUNTED.fullmatch(part)
        found.setdefault((counted[1] or "") if counted else part, []).append(part)
    return found


_Told = list[tuple[str, str, str, str | None, tuple[int, ...]]]


def _told(tree: _Tree, place: str = "") -> _Told:
    """What all entries of a module are, and see."""
    own = tree.entry
    told = [] if own is None else [(place, own.module, own.made, own.digest, own.shape)]
    return told + [line for part, below in tree.below.items() for line in _told(below, f"{place}.{part}")]


def _alignment(old: Sequence[_Told], new: Sequence[_Told]) -> list[tuple[int, int]]:
    """Pairs in order, so that as much as can be is alike; of equally good ones, the first."""
    best = np.zeros((len(old) + 1, len(new) + 1), np.int64)
    alike = [[_alike(one, other) for other in new] for one in old]
    for i in reversed(range(len(old))):
        for k in reversed(range(len(new))):
            paired = best[i + 1, k + 1] + alike[i][k] if alike[i][k] else 0
            best[i, k] = max(paired, best[i + 1, k], best[i, k + 1])
    pairs, i, k = [], 0, 0
    while i < len(old) and k < len(new):
        if alike[i][k] and best[i, k] == best[i + 1, k + 1] + alike[i][k]:
            pairs.append((i, k))
            i, k = i + 1, k + 1
        elif best[i, k] == best[i + 1, k]:
            i += 1
        else:
            k += 1
    return pairs


def _alike(one: _Told, other: _Told) -> int:
    """How sure it is that two modules are the same: they see the same, are made alike, or of the same classes."""
    if one == other:
        return 4
    if [line[:3] for line in one] == [line[:3] for line in other]:
        return 3
    return 2 * ([line[:2] for line in one] == [line[:2] for line in other])
