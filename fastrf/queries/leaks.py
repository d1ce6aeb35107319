"""Leaks: steps that read what comes after them, and at which node each of these pairs first appears.

A pair of a step and a later sample is carried by a node if it is a leak of its own, and one of the nodes that read it
carries it on, up to the node that is asked about. So scores that a mask closes later on are no leak, and what a layer
leaks into its residual stream is told where it comes in. Pairs are kept as relations, never one by one.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Protocol

import numpy as np
import numpy.typing as npt

from fastrf.budget import require_memory
from fastrf.engine.dependency import Dependency
from fastrf.engine.nominal import Nominal
from fastrf.engine.relation import Relation
from fastrf.errors import PositionError
from fastrf.network import Network
from fastrf.queries.stepping import Steps, along, both, minus, steps_of

__all__ = ["Leak", "first_leaks", "listed"]

#: Modes of padding that read what lies elsewhere.
_ENDS = frozenset(("reflect", "symmetric", "circular"))


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
    @property
    def size(self) -> tuple[float, ...]: ...
    @property
    def stride(self) -> tuple[float, ...]: ...
    @property
    def start(self) -> tuple[float, ...]: ...


def first_leaks(
    network: Network,
    fields: Mapping[str, _Field],
    name: str,
    axis: int,
    stride: float | Fraction | None,
    between: Callable[[str], Dependency],
) -> tuple[Leak, ...]:
    """Where the leaks of a node come from: the nodes at which they first appear, in the network's order.

    `between` gives what the node's positions depend on of those of another one. Raises what `steps_of` raises of the
    node itself; others that have no steps hand on what those carry that read them.
    """
    asked = steps_of(fields[name].positional, fields[name].nominal, axis, name, stride)
    if asked.is_causal:
        return ()
    found = _bent(network, fields, name, axis, asked, between)
    seen = functools.reduce(Relation.union, found.values(), minus(asked.leaking, asked.leaking))
    for node, steps, carried in reversed(list(_carried(network, fields, name, axis, asked))):
        told = both(_moved(carried, steps, asked), asked.leaking)
        new = minus(told, seen)
        if not new.is_empty:
            seen = seen.union(new)
            found[node] = found[node].union(new) if node in found else new
    told_of = [(node, found[node.name]) for node in network.nodes if node.name in found]
    return tuple(Leak(at.name, at.scope[-1].partition("@")[0] if at.scope else "", at.op, new) for at, new in told_of)


def _bent(
    network: Network,
    fields: Mapping[str, _Field],
    name: str,
    axis: int,
    asked: Steps,
    between: Callable[[str], Dependency],
) -> dict[str, Relation]:
    """Of a node's leaks, what mirrored and circular ends bring in, by the first nodes that do.

    What a pad puts before the first step is no step: it counts where the node that was asked about reads it.
    """
    left, bends, found = both(asked.bent(fields[name].nominal, axis), asked.leaking), set[str](), dict[str, Relation]()
    for node in reversed([] if left.is_empty else list(network.needed([name]))):
        steps = asked if node.name == name else _steps(fields, node.name, axis)
        own = None if steps is None else steps.bent(fields[node.name].nominal, axis)
        if steps is None or own is None or own.is_empty:
            continue
        follows = not bends.isdisjoint(node.inputs)
        bends.add(node.name)
        if follows and not _ENDS.intersection(map(str, node.attributes.values())):
            continue
        reads = own if node.name == name else along(between(node.name), asked.axis, steps.axis).compose(own)
        new = both(reads, left)
        if not new.is_empty:
            found[node.name], left = new, minus(left, new)
    return found


def _carried(
    network: Network, fields: Mapping[str, _Field], name: str, axis: int, asked: Steps
) -> Iterator[tuple[str, Steps, Relation]]:
    """The nodes on the way to one that carry leaks, the last one first: their steps, and what they carry."""
    carried: dict[str, list[tuple[Steps, Relation]]] = {name: [(asked, asked.leaking)]}
    offsets = _offsets(network, fields, name, axis)
    for node in network.needed([name]):
        behind = carried.get(node.name, [])
        steps = asked if node.name == name else _steps(fields, node.name, axis)
        if steps is not None and node.name != name:
            steps = replace(steps, offset=offsets.get(node.name, 0))
            own = steps.leaking
            parts = [both(_moved(relation, there, steps), own) for there, relation in behind]
            behind = [(steps, part) for part in _united(parts) if not part.is_empty]
        if steps is not None:
            for _, relation in behind:
                yield node.name, steps, relation
        for read in dict.fromkeys(node.inputs):
            kept = carried.setdefault(read, [])
            kept += [one for one in behind if one not in kept]


def _offsets(network: Network, fields: Mapping[str, _Field], name: str, axis: int) -> dict[str, int]:
    """Where steps begin of nodes that put some before those that they read, as pads do; those of others begin at 0."""
    found: dict[str, int] = {}
    for node in reversed(list(network.needed([name]))):
        pair = [fields[one] for one in (*node.inputs[:1], node.name) if axis < len(fields[one].size)]
        if len(pair) < 2 or node.name == name:
            continue
        (size, stride, start), (wider, step, begin) = ((f.size[axis], f.stride[axis], f.start[axis]) for f in pair)
        moved = begin - start + found.get(node.inputs[0], 0)
        if (size, stride) == (wider, step) and moved < 0 and moved.is_integer():
            found[node.name] = int(moved)
    return found


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
    if (old.stride, old.offset, old.relation.n_rows) == (new.stride, new.offset, new.relation.n_rows):
        return relation
    index, ratio, away = np.arange(new.relation.n_rows), new.stride / old.stride, (new.offset - old.offset) / old.stride
    lowest = math.lcm(ratio.denominator, away.denominator)
    step, begin = int(ratio * lowest), int(away * lowest)
    first, behind = (index * step + begin) // lowest, -((-(index + 1) * step - begin) // lowest)
    first, behind = (np.clip(ends, 0, relation.n_rows) for ends in (first, behind))
    return Relation.from_runs(relation.n_rows, first, behind).compose(relation)
