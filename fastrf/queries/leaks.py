"""Leaks: steps that read what comes after them, and at which node each of these pairs first appears.

A pair of a step and a later sample is carried by a node if it is a leak of its own, and one of the nodes that read it
carries it on, up to the node that is asked about. So scores that a mask closes later on are no leak, and what a layer
leaks into its residual stream is told where it comes in. Pairs are kept as relations, never one by one.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import Protocol

import numpy as np
import numpy.typing as npt

from fastrf.budget import require_memory
from fastrf.engine.dependency import Dependency
from fastrf.engine.memo import remembered
from fastrf.engine.nominal import Nominal
from fastrf.engine.relation import Relation
from fastrf.errors import PositionError
from fastrf.network import Network
from fastrf.queries.counting import pieces
from fastrf.queries.stepping import Steps, steps_of

__all__ = ["Leak", "first_leaks", "listed"]


@dataclass(frozen=True)
class Leak:
    """The pairs of a step and a later sample that first appear at a node.

    `module` is the innermost module that the node runs in, or nothing. `count` is how many pairs there are, `example`
    the first one of them. Steps are those of the node that was asked about.
    """

    node: str
    module: str
    op: str
    relation: Relation

    @property
    def count(self) -> int:
        """How many pairs."""
        return self.relation.n_points

    @property
    def example(self) -> tuple[int, int]:
        """The first pair: a step, and the first later sample that it reads."""
        step = int(np.flatnonzero(np.diff(self.relation.indptr))[0])
        return step, int(self.relation.start[0])

    def __repr__(self) -> str:
        step, later = self.example
        place = f"{self.node!r} of {self.module!r}" if self.module else repr(self.node)
        return f"Leak({self.count:,} pairs at {place}, such as step {step} reading {later})"

    def pairs(self, *, runs: bool = False) -> npt.NDArray[np.int64]:
        """int64[n, 2] or, with `runs`, int64[n, 3]: as `ReceptiveField.leaks` gives them. Raises LimitError."""
        return listed(self.relation, runs=runs)


def listed(relation: Relation, *, runs: bool) -> npt.NDArray[np.int64]:
    """int64[n, 2]: a relation's pairs, or with `runs` int64[n, 3]: its runs. Raises LimitError."""
    if runs:
        require_memory(32 * relation.n_runs, f"{relation.n_runs} runs of leaking pairs", "use a smaller input_shape")
        rows = np.repeat(np.arange(relation.n_rows), np.diff(relation.indptr))
        return np.stack([rows, relation.start, relation.stop], axis=1)
    require_memory(40 * relation.n_points, f"{relation.n_points} leaking pairs", "ask for leaks(axis, runs=True)")
    return np.stack(relation.pairs(), axis=1)


class _Field(Protocol):
    """What is needed of a ReceptiveField."""

    @property
    def positional(self) -> Dependency: ...
    @property
    def nominal(self) -> Nominal: ...


def first_leaks(
    network: Network, fields: Mapping[str, _Field], name: str, axis: int, stride: float | Fraction | None
) -> tuple[Leak, ...]:
    """Where the leaks of a node come from: the nodes at which they first appear, in the network's order.

    Raises what `steps_of` raises of the node itself; others that have no steps hand on what those carry that read them.
    """
    asked = steps_of(fields[name].positional, fields[name].nominal, axis, name, stride)
    if asked.is_causal:
        return ()
    found, seen = [], _minus(asked.leaking, asked.leaking)
    for node, steps, carried in reversed(list(_carried(network, fields, name, axis, asked))):
        told = _both(_moved(carried, steps, asked), asked.leaking)
        new = _minus(told, seen)
        if not new.is_empty:
            seen = seen.union(new)
            at = network.by_name[node]
            found.append(Leak(node, at.scope[-1].partition("@")[0] if at.scope else "", at.op, new))
    return tuple(found)


def _carried(
    network: Network, fields: Mapping[str, _Field], name: str, axis: int, asked: Steps
) -> Iterator[tuple[str, Steps, Relation]]:
    """The nodes on the way to one that carry leaks, the last one first: their steps, and what they carry."""
    carried: dict[str, list[tuple[Steps, Relation]]] = {name: [(asked, asked.leaking)]}
    for node in network.needed([name]):
        behind = carried.get(node.name, [])
        steps = asked if node.name == name else _steps(fields, node.name, axis)
        if steps is not None and node.name != name:
            own = steps.leaking
            parts = [_both(_moved(relation, there, steps), own) for there, relation in behind]
            behind = [(steps, part) for part in _united(parts) if not part.is_empty]
        if steps is not None:
            for _, relation in behind:
                yield node.name, steps, relation
        for read in dict.fromkeys(node.inputs):
            kept = carried.setdefault(read, [])
            kept += [one for one in behind if one not in kept]


def _united(relations: list[Relation]) -> list[Relation]:
    """Several relations as one."""
    whole = relations[:1]
    for relation in relations[1:]:
        whole = [whole[0].union(relation)]
    return whole


def _steps(fields: Mapping[str, _Field], name: str, axis: int) -> Steps | None:
    """The steps of a node on the way; None where it is not sure what they are."""
    try:
        found = steps_of(fields[name].positional, fields[name].nominal, axis, name)
    except PositionError:
        return None
    return found if found.alone else None


def _moved(relation: Relation, old: Steps, new: Steps) -> Relation:
    """Pairs of some steps as pairs of the others that cover the same samples."""
    if (old.stride, old.relation.n_rows) == (new.stride, new.relation.n_rows):
        return relation
    index, ratio = np.arange(new.relation.n_rows), new.stride / old.stride
    first = index * ratio.numerator // ratio.denominator
    behind = -(-(index + 1) * ratio.numerator // ratio.denominator)
    return Relation.from_runs(relation.n_rows, first, behind).compose(relation)


def _both(one: Relation, other: Relation) -> Relation:
    """What both relations hold."""
    return one if one is other else _where(one, other, 3)


def _minus(one: Relation, other: Relation) -> Relation:
    """What the first relation holds and the second does not."""
    return _where(one, other, 1)


def _where(one: Relation, other: Relation, wanted: int) -> Relation:
    """Where the sum of 1 for the first relation and 2 for the second is as wanted."""

    def made() -> Relation:
        indptr, cuts, bits = pieces([one, other])
        held = np.flatnonzero(bits == wanted)
        return Relation.from_arrays(one.n_cols, np.searchsorted(held, indptr), cuts[held], cuts[held + 1])

    return remembered(("where", one, other, wanted), made)
