"""Which module of one network is which of another: by name, and where names differ, by what it sees.

Names that count (of a Sequential, of functions) shift where something is put in: where there are more or fewer than
before, they are aligned in their order (`aligning`).
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping
from typing import NamedTuple

from fastrf.checks.aligning import aligned
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
    """Entries of the same name; of the rest, in order, those of the same digest and shape that do the same.

    Of several that see the same, those are taken first whose names say so; what costs otherwise is not the same.
    """
    found = aligned(old, new)
    for alike in _LIKENESSES:
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


def _place(name: str) -> str:
    """The module that a name tells of: files of ONNX write `/layer1/layer1.0/conv1/Conv` for `layer1.0.conv1`."""
    place = last = ""
    for part in name.strip("/").split("/")[: -1 if "/" in name else None]:
        own = part.removeprefix(f"{last}.")
        place, last = f"{place}.{own}" if place else own, part
    return place


def _ending(name: str) -> str:
    return _place(name).rpartition(".")[2]


def _seen(entry: Entry) -> Hashable:
    """What two entries share that may be one module under two names."""
    return entry.digest, entry.shape


#: What those share that are taken for each other, the surest first.
_LIKENESSES: tuple[Callable[[str, Entry], Hashable], ...] = (
    lambda name, entry: (_place(name), entry.made, _seen(entry)),
    lambda name, entry: (_ending(name), entry.module, entry.made, _seen(entry)),
    lambda name, entry: (_place(name), entry.macs, _seen(entry)),
    lambda _, entry: (entry.module, entry.made, _seen(entry)),
    lambda _, entry: (entry.made, _seen(entry)),
    lambda name, entry: (_ending(name), entry.module, _seen(entry)),
    lambda _, entry: (entry.parameters, entry.macs, _seen(entry)),
)
