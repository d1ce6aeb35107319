"""The layers of a network followed for all lengths of one input axis at once."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple, TypeAlias

import numpy as np

from fastrf.errors import FastRFError, UnsupportedOpError
from fastrf.network import Network, Node
from fastrf.ops import OPERATORS, apply
from fastrf.ops.dense import affine_cost
from fastrf.ops.registry import free
from fastrf.ops.rules import RULES as OF_USERS
from fastrf.queries.sizes import dense, shapes, windows
from fastrf.queries.sizes.lengths import Length, NonLinearError, Number, Places, identity, is_fixed, length
from fastrf.queries.sizes.trace import RULES, Need, Piece, Shape, SplitError, Trace, is_uncropped, plain

__all__ = ["Followed", "Hole", "Settle", "follow"]

_FAMILIES = (dense, shapes, windows)

#: Operators of users are applied to each length up to this.
MAX_TRIED = 1 << 10


class Hole(NamedTuple):
    """A number in a layer that follows the input, as it was read for some sizes; `counts` where a list is so long."""

    sizes: tuple[int, ...]
    values: tuple[int, ...]
    counts: bool = False


#: What a hole is as a function of the size, given all lengths that came before.
Settle: TypeAlias = Callable[[Hole, Sequence[Length]], Length]


@dataclass
class Followed:
    """The pieces of one axis, layers' axes that follow it, where layers ask of it, and what is taken for granted.

    After `period` more, all lengths have repeated.
    """

    pieces: list[Piece] = field(default_factory=list)
    period: int = 1
    sites: set[tuple[str, int]] = field(default_factory=set)
    varying: set[tuple[str, int]] = field(default_factory=set)
    assumes: list[str] = field(default_factory=list)


def follow(
    network: Network,
    name: str,
    axis: int,
    domain: Places | None = None,
    settle: Settle | None = None,
    origin: Network | None = None,
) -> Followed:
    """Follow an axis of an input through a network, all other axes as they are.

    `settle` says what numbers that follow the input are. `origin` is the network that weights are made for, where that
    is another than the one followed.
    """
    found, open_ = Followed(), [Places.between(1) if domain is None else domain]
    while open_:
        part = open_.pop()
        trace = Trace(part)
        try:
            outputs = _outputs(network, name, axis, _Way(trace, found, settle, origin or network))
        except SplitError as split:
            (where,) = split.args
            open_ += [half for half in (part & ~where, part & where) if not half.is_empty]
            continue
        found.pieces.append(Piece(part, trace.fits, tuple(trace.needs), outputs, trace.strides))
        found.sites |= trace.sites
    return found


class _Way(NamedTuple):
    """What is noted on the way through the layers, and what they are asked with."""

    trace: Trace
    found: Followed
    settle: Settle | None
    origin: Network


def _outputs(network: Network, name: str, axis: int, way: _Way) -> dict[str, Sequence[Number]]:
    """Shapes of the network's outputs; empty where nothing fits."""
    made: dict[str, Sequence[Number]] = {key: list(given.shape) for key, given in network.inputs.items()}
    made[name] = [identity() if k == axis else n for k, n in enumerate(network.inputs[name].shape)]
    pool, bare = [identity()], dict[str, Shape]()
    for node in network.nodes:
        way.trace.begin(node.name)
        given = [made[read] for read in node.inputs]
        holes = [] if way.settle is None else list(_holes(node.attributes))
        if not holes and all(is_fixed(n) for shape in given for n in shape):
            made[node.name] = node.shape
            continue
        way.trace.bare = bare.get(node.inputs[0], given[0]) if given else ()
        try:
            settled = _settled(node, holes, pool, way)
            made[node.name] = _made(settled, way, given)
        except NonLinearError as error:
            raise UnsupportedOpError(f"node {node.name!r} ({node.op}): sizes of {error} are not solved") from error
        if way.trace.fits.is_empty:
            return {}
        if node.op == "pad" and is_uncropped(way.trace, settled.attributes["padding"]):
            bare[node.name] = way.trace.bare
        for k, n in enumerate(made[node.name]):
            if isinstance(n, Length) and not is_fixed(n):
                way.found.varying.add((node.name, k))
                way.found.period = math.lcm(way.found.period, n.period)
                pool.append(n)
    return {output: made[output] for output in network.outputs}


def _holes(value: Any) -> Iterator[Hole]:
    if isinstance(value, Hole):
        yield value
    elif isinstance(value, tuple | Mapping):
        for item in value.values() if isinstance(value, Mapping) else value:
            yield from _holes(item)


def _settled(node: Node, holes: Sequence[Hole], pool: Sequence[Length], way: _Way) -> Node:
    """The layer with functions of the size in the place of numbers that follow it."""
    if not holes or way.settle is None:
        return node
    way.trace.sites |= {(node.name, -k) for k in range(1, len(holes) + 1)}
    settle = way.settle
    if node.op == "reshape" and len(holes) == 1:  # what is left of the elements
        return replace(node, attributes=_filled(node.attributes, lambda _: -1))
    return replace(node, attributes=_filled(node.attributes, lambda hole: settle(hole, pool)))


def _filled(value: Any, settle: Callable[[Hole], Number]) -> Any:
    if isinstance(value, Hole):
        return settle(value)
    if isinstance(value, Mapping):
        return {key: _filled(item, settle) for key, item in value.items()}
    return tuple(_filled(item, settle) for item in value) if isinstance(value, tuple) else value


def _weigh(node: Node, way: _Way, given: Sequence[Sequence[Number]]) -> None:
    """What a layer's weights are made for stays as it is in the network."""
    if not node.parameters or node.name not in way.origin.by_name:
        return
    for axis in _weighed(node, len(given[0])):
        wanted = way.origin.shape_of(way.origin.by_name[node.name].inputs[0])[axis]
        way.trace.same(given[0][axis], wanted, "its weights are for an axis of {1}, not {0}")


def _weighed(node: Node, ndim: int) -> Sequence[int]:
    """The axes that the weights of a layer are made for."""
    own = OPERATORS.get(node.op)
    if own is None or own.cost is free:
        return ()
    axes = 0 if own.cost is affine_cost else own.channel_axis
    if axes == "axes":
        axes = node.attributes.get("axes", -1)
        return range(ndim) if axes is None else [axes] if isinstance(axes, int) else axes
    return [axes] if isinstance(axes, int) else ()


def _made(node: Node, way: _Way, given: list[Sequence[Number]]) -> Sequence[Number]:
    _weigh(node, way, given)
    rule = RULES.get(node.op)
    if rule is None or node.op in OF_USERS:
        return _tried(node, way.trace, given, way.found)
    return [plain(n) for n in rule(way.trace, node.attributes, given)]


def _tried(node: Node, trace: Trace, given: list[Sequence[Number]], found: Followed) -> Sequence[Number]:
    """The shapes that an operator of a user makes, each asked for by itself."""
    shapes: dict[int, tuple[int, ...]] = {}
    said: dict[int, str] = {}
    for n in np.flatnonzero(trace.fits.at(np.arange(MAX_TRIED))).tolist():
        inputs = [tuple(length(size).of(n) for size in shape) for shape in given]
        try:
            shapes[n] = apply(node.op, node.attributes, inputs, [None] * len(inputs)).shape
        except FastRFError as error:
            said[n] = str(error)
    ranks = {len(shape) for shape in shapes.values()}
    if len(ranks) > 1:
        raise UnsupportedOpError(f"node {node.name!r}: the number of axes that {node.op} makes follows the size")
    inside = np.array([n in shapes for n in range(MAX_TRIED)] + [False])
    trace.fits, missed = trace.fits & Places(inside, 1), trace.fits & ~Places(inside, 1)
    beyond = f"operator {node.op} is a user's; sizes of {MAX_TRIED} and more are not known"
    if not missed.is_empty:
        trace.needs.append(Need(node.name, ~missed, lambda n: said.get(n, beyond)))
    if beyond not in found.assumes:
        found.assumes.append(beyond)
    made = [_column(shapes, k) for k in range(ranks.pop() if ranks else 0)]
    if not any(len(made) == len(x) and all(_is_same(n, m, trace) for n, m in zip(made, x, strict=True)) for x in given):
        trace.strides = None
    return made


def _is_same(one: Number, other: Number, trace: Trace) -> bool:
    return (trace.fits & ~length(one).equals(other)).is_empty


def _column(shapes: dict[int, tuple[int, ...]], axis: int) -> Number:
    """One axis of shapes by length."""
    values = np.array([shapes[n][axis] if n in shapes else 0 for n in range(MAX_TRIED)], np.int64)
    return plain(Length(values, np.zeros(1, np.int64)))
