"""Two networks in one page: what `fastrf.diff` finds, by the numbers of the nodes, differences first."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fastrf.checks.changes import COSTS, FIGURES, WORDS, Change
from fastrf.checks.diffing import compare
from fastrf.errors import UnknownNodeError, UsageError
from fastrf.queries.naming import resolve

if TYPE_CHECKING:
    from fastrf.analysis import Analysis

__all__ = ["changes"]

#: What the page calls the kinds of changes, and the figures.
_KINDS = {"cause": "changed"}
_CALLED = {"size_range": "size", "macs": "MACs", "approximate_at": "over-approximated at"}


def changes(old: Analysis, new: Analysis) -> list[dict[str, Any]]:
    """What changed from one to the other: `kind`, the nodes' numbers `old` and `new`, and a line that says how.

    Raises UsageError for an analysis of some nodes alone.
    """
    for one in (old, new):
        if len(one) < len(one.network.inputs) + len(one.network.nodes):
            raise UsageError(
                f"{one.network.name}: two networks are compared layer by layer; analyse it without targets"
            )
    found = compare(old, new)
    numbers = [{name: k for k, name in enumerate([*one.network.inputs, *one.network.by_name])} for one in (old, new)]

    def number(side: int, name: str) -> int | None:
        try:
            return numbers[side][resolve((old, new)[side].network, name)]
        except UnknownNodeError:
            return None

    told = [
        {
            "kind": _KINDS.get(change.kind, change.kind),
            "old": None if change.old is None else number(0, change.was),
            "new": None if change.new is None else number(1, change.name),
            "told": _told(change),
        }
        for change in found.changes
    ]
    known = {(one["old"], one["new"]) for one in told}
    for was, name in found.renamed:
        pair = number(0, was), number(1, name)
        if pair not in known:
            told.append({"kind": "renamed", "old": pair[0], "new": pair[1], "told": f"{was} -> {name}"})
    return told


def _told(change: Change) -> str:
    """How a module changed, in a line."""
    if change.old is None or change.new is None:
        return ""
    parts = [f"{change.was} -> {change.name}"] if change.was != change.name else []
    for key in (*FIGURES, *COSTS):
        if key in change.changed and key in WORDS:
            show = WORDS[key]
            old, new = show(getattr(change.old, key)), show(getattr(change.new, key))
            parts += [f"{_CALLED.get(key, key)} {old} -> {new}"] if old != new else []
    if change.pixels is not None:
        parts.append(
            f"{change.pixels.of} {change.pixels.position}: +{change.pixels.gained} -{change.pixels.lost} pixels"
        )
    elif "digest" in change.changed and change.unknown:
        parts.append("sees other pixels")
    parts += [f"{_CALLED.get(key, key)} differs" for key in ("approximate_at", "assumes") if key in change.changed]
    return "; ".join(parts)
