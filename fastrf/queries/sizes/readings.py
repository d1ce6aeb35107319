"""Networks whose layers hold numbers that follow the input: read at some sizes, and followed for all.

What reads a file or builds a network works shapes out for one input, and writes them into layers: the size of a skip to
which a map is resized, the two axes of a grid of tokens. Such numbers are found by reading the network at a few sizes.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from fastrf.errors import UnsupportedOpError
from fastrf.network import Network, Node
from fastrf.queries.sizes.layers import Followed, Hole, follow
from fastrf.queries.sizes.lengths import FARTHEST, Length, Places, length
from fastrf.queries.sizes.trace import Need, Piece

__all__ = ["MOST_SINGLE", "NEAR", "Read", "learned", "only"]

#: The network with one axis of the input of a size; what is wrong where it does not fit.
Read = Callable[[int], Network | str]

#: Numbers are asked for at so many more sizes, until one function is left for each.
MOST_ASKED = 24
#: Where numbers are no function of lengths, a network is read at every size of three periods of at most so many.
MAX_PERIOD = 64
#: Where few sizes fit, so many after the one given are looked at.
MOST_APART = 65
#: So many of the smallest sizes are read one by one.
MOST_SINGLE = 512
#: Where sizes are not solved, so many before the one given and after it are read one by one.
NEAR = 32
#: Sizes at which an answer is looked at.
LOOKED_AT = 4


class _AskError(Exception):
    """A size at which two functions differ."""


class _UnlikeError(Exception):
    """Layers that differ in more than numbers, or numbers that no length explains."""


def learned(read: Read, name: str, axis: int, size: int, within: tuple[int, int | None]) -> Followed:
    """Follow an axis of a network that is read anew for every size; in vain, read it at all that are asked for.

    Raises UnsupportedOpError where those are too many.
    """
    try:
        return _learned(read, name, axis, size)
    except UnsupportedOpError as error:
        start, stop = within[0], within[1] or FARTHEST
        named = (start, stop) != (1, FARTHEST)
        if named and stop - start > MOST_SINGLE:
            raise UnsupportedOpError(f"{error}; {_remedy(MOST_SINGLE)}") from error
        if not named:
            start, stop = max(size - NEAR, 1), size + NEAR + 1
        return _each(read, size, (start, stop), None if named else str(error))


def only(origin: Network, name: str, size: int, axis: int) -> Followed:
    """The size that a file fixes an axis of an input at, and no other."""
    refusal = _refusing(f"the file fixes it at {size}")
    others = Piece(~Places.between(size, size + 1), Places.between(0, 0), (refusal,), {})
    told = f"the file fixes axis {axis} of {name!r} at {size}; export it with an open size, or ask with another one"
    return Followed([*_single(origin, {size: origin}), others], assumes=[told])


def _remedy(most: int) -> str:
    return f"give within=(start, stop) (--within START:STOP) of at most {most} sizes, each of which is tried"


def _each(read: Read, size: int, within: tuple[int, int], why: str | None) -> Followed:
    """Every size of a range by itself; `why` says why no others are known, where nobody asked for the range."""
    start, stop = within
    found = Followed(list(_single(_required(read(size)), {n: read(n) for n in range(start, stop)})))
    told = "it is not within the sizes asked for" if why is None else f"it is not known; {_remedy(MOST_SINGLE)}"
    found.pieces.append(Piece(~Places.between(start, stop), Places.between(0, 0), (_refusing(told),), {}, known=False))
    found.assumes.append(f"the network was read at every size from {start} to {stop - 1}, and at no other")
    if why is not None:
        found.assumes[0] += f", which are not known, since {why}; for others {_remedy(MOST_SINGLE)}"
    return found


def _learned(read: Read, name: str, axis: int, size: int) -> Followed:
    """What numbers in layers say."""
    origin = _required(read(size))
    first = follow(origin, name, axis)
    period = first.period
    sizes = [size + k for k in (1, 2, 3, max(period // 2, 1), period, 2 * period, 3 * period)]
    sizes += _some(first, size)
    networks = {size: origin, **{n: one for n in sizes if isinstance(one := read(n), Network)}}
    if len(networks) == 1:  # sizes that fit may be rare
        others = [n for n in (*range(size + 1, size + MOST_APART), 2 * size, 3 * size) if isinstance(read(n), Network)]
        networks |= {n: _required(read(n)) for n in others[:3]}
        period = math.lcm(period, *(n - size for n in others[:1] if n - size < MOST_APART))
    try:
        found = _by_lengths(read, networks, (name, axis))
        if found is None:
            found, networks = first, {}
        told = _differs(read, origin, found, size)
        if told is None:
            if networks:
                found.assumes.append(f"numbers in layers follow the size elsewhere as at {_listed(networks)}")
            return found
    except _UnlikeError:
        told = "layers that differ from size to size"
    if period > MAX_PERIOD:
        raise UnsupportedOpError(f"{told}, which repeat after {period} sizes only, are not solved")
    said = ""
    for times in (1, 2):  # a factor such as 1.5 repeats after several periods of what fits
        try:
            found = _by_residues(read, origin, (name, axis), times * period, size)
        except UnsupportedOpError as error:
            said = str(error)
            continue
        told = _differs(read, origin, found, size, 3 * LOOKED_AT)
        if told is None:
            return found
        said = f"{told} are not as those of others are; sizes are not solved"
    raise UnsupportedOpError(said)


def _required(found: Network | str) -> Network:
    if isinstance(found, str):
        raise UnsupportedOpError(found)
    return found


def _listed(networks: Mapping[int, Network]) -> str:
    return ", ".join(map(str, sorted(networks)))


def _some(found: Followed, after: int, count: int = 3) -> list[int]:
    """Some sizes that seem to fit, the next ones."""
    n = np.arange(after + 1, after + 2048)
    fits = np.zeros(n.size, bool)
    for piece in found.pieces:
        fits |= piece.fits.at(n)
    return [int(one) for one in n[fits][:count]]


# Numbers that are lengths --------------------------------------------------------------------------------------


def _by_lengths(read: Read, networks: dict[int, Network], where: tuple[str, int]) -> Followed | None:
    """Numbers that follow the size as lengths do; None where no number does. Adds the networks that it asks for."""
    for _ in range(MOST_ASKED):
        merged, holes = _merged(networks)
        if not holes:
            return None
        try:
            return follow(merged, *where, settle=lambda hole, pool: _explained(hole, pool, read, networks))
        except _AskError as ask:
            (n,) = ask.args
            networks[n] = _required(read(n))
    raise _UnlikeError


def _explained(hole: Hole, pool: Sequence[Length], read: Read, networks: Mapping[int, Network]) -> Length:
    """The one function among lengths so far that gives what was read. Raises _AskError where there are several."""
    sizes, values = np.array(hole.sizes), np.array(hole.values)
    found: list[Length] = []
    for one in reversed(pool):
        for way in (one, one * 2, one // 2, -(-one // 2)):
            more = values - way.at(sizes)
            if (more == more[0]).all():
                found.append(way + int(more[0]))
    if not found:
        raise _UnlikeError
    asked = 0
    for other in found[1:]:
        differ = np.flatnonzero(~found[0].equals(other).at(np.arange(1, 1024))) + 1
        for n in differ[np.argsort(np.abs(differ - sizes[0]))].tolist():
            if asked < MOST_ASKED and n not in networks:
                asked += 1
                if isinstance(read(n), Network):
                    raise _AskError(n)
    return found[0]


def _merged(networks: Mapping[int, Network]) -> tuple[Network, bool]:
    """One network with holes for numbers that differ, and whether there are any. Raises _UnlikeError."""
    sizes, (first, *others) = tuple(networks), list(networks.values())
    if any(len(other.nodes) != len(first.nodes) or other.outputs != first.outputs for other in others):
        raise _UnlikeError
    nodes = tuple(_merged_node(sizes, column) for column in zip(*(one.nodes for one in networks.values()), strict=True))
    holes = any(node is not old for node, old in zip(nodes, first.nodes, strict=True))
    return (replace(first, nodes=nodes) if holes else first), holes


def _merged_node(sizes: tuple[int, ...], nodes: Sequence[Node]) -> Node:
    first = nodes[0]
    if any((node.name, node.op, node.inputs) != (first.name, first.op, first.inputs) for node in nodes[1:]):
        raise _UnlikeError
    if all(node.attributes == first.attributes for node in nodes[1:]):
        return first
    if any(node.attributes.keys() != first.attributes.keys() for node in nodes[1:]):
        raise _UnlikeError
    values = {key: [node.attributes[key] for node in nodes] for key in first.attributes}
    return replace(first, attributes={key: _merged_value(sizes, column, key) for key, column in values.items()})


def _merged_value(sizes: tuple[int, ...], values: Sequence[Any], key: str) -> Any:
    first = values[0]
    if all(type(value) is type(first) and value == first for value in values[1:]):
        return first
    if all(type(value) is int for value in values):
        return Hole(sizes, tuple(values))
    if all(isinstance(value, tuple) for value in values):
        if key == "indices":
            return Hole(sizes, tuple(map(len, values)), counts=True)
        if all(len(value) == len(first) for value in values):
            return tuple(_merged_value(sizes, column, key) for column in zip(*values, strict=True))
    if key == "step":  # of interpolation, which does not decide how many places there are
        return None
    raise _UnlikeError


# What was found, looked at ---------------------------------------------------------------------------------------


def _differs(read: Read, origin: Network, found: Followed, given: int, count: int = LOOKED_AT) -> str | None:
    """What is wrong with an answer at some sizes, small and large, and the given one; None where nothing is."""
    if not _agrees(read, origin, found, given):
        return f"shapes at a size of {given}"
    n = np.arange(1, 4096)
    fits = np.zeros(n.size, bool)
    for piece in found.pieces:
        fits |= piece.fits.at(n)
    for inside in (True, False):
        listed = n[fits == inside]
        listed = listed[listed < 4 * max(max(given.shape) for given in origin.inputs.values())]
        drawn = np.random.default_rng(0).integers(0, max(listed.size, 1), count)  # at no regular distance
        for size in listed[np.unique([0, *drawn, listed.size - 1])].tolist() if listed.size else []:
            if not _agrees(read, origin, found, size):
                return f"shapes at a size of {size}"
    return None


def _is_fit(origin: Network, network: Network | str) -> bool:
    """Whether a network was read, with the weights of another."""
    return isinstance(network, Network) and weights_fit(origin, network) is None


def weights_fit(origin: Network, network: Network) -> str | None:
    """A layer that has other weights; None where all have the same."""
    for node in network.nodes:
        old = origin.by_name.get(node.name)
        if old is not None and None not in (old.parameters, node.parameters) and old.parameters != node.parameters:
            return node.name
    return None


def _same_outputs(network: Network | str, found: Followed, size: int) -> bool:
    piece = next(piece for piece in found.pieces if piece.domain.holds(size))
    if isinstance(network, str):
        return False
    made = [network.shape_of(name) for name in network.outputs]  # whose names may differ from size to size
    return made == [tuple(length(n).of(size) for n in shape) for shape in piece.outputs.values()]


# Sizes that leave the same rest ----------------------------------------------------------------------------------


def _by_residues(read: Read, origin: Network, where: tuple[str, int], period: int, size: int) -> Followed:
    """Sizes of each rest by three of them; from the period on from which they are regular, those below one by one."""
    top = size // period + 1
    try:
        found = _of_rests(read, origin, where, period, top)
    except UnsupportedOpError:  # the smallest sizes may be unlike the others
        top *= 2
        found = _of_rests(read, origin, where, period, top)
    low, high = 0, top  # the first period whose sizes are all as the later ones
    while low < high:
        middle = (low + high) // 2
        regular = all(_agrees(read, origin, found, n) for n in range(max(middle * period, 1), (middle + 1) * period))
        low, high = (low, middle) if regular else (middle + 1, high)
    start = max(low * period, 1)
    if start > MOST_SINGLE:
        raise UnsupportedOpError(
            f"shapes below a size of {start} are not solved; give an input_shape near the sizes asked for"
        )
    later = Places.between(start)
    found.pieces = [replace(one, domain=one.domain & later, fits=one.fits & later) for one in found.pieces]
    found.pieces += _single(origin, {n: read(n) for n in range(1, start)})
    last = (top + 3) * period - 1
    found.assumes.append(f"the network was read at sizes up to {last}, and between and beyond them layers go on alike")
    return found


def _of_rests(read: Read, origin: Network, where: tuple[str, int], period: int, top: int) -> Followed:
    """All sizes by three periods of them."""
    found = Followed(period=period)
    for rest in range(period):
        part = _of_rest(read, origin, where, period, [rest + (top + k) * period for k in range(3)])
        found.pieces += part.pieces
        found.sites |= part.sites
        found.varying |= part.varying
    return found


def _of_rest(read: Read, origin: Network, where: tuple[str, int], period: int, sizes: Sequence[int]) -> Followed:
    """The sizes that leave the rest of three of them."""
    networks = {n: read(n) for n in sizes}
    domain = Places(np.arange(period) == sizes[0] % period, period) & Places.between(1)
    whole = {n: one for n, one in networks.items() if isinstance(one, Network)}
    if not whole:
        needs = (_refusing(str(networks[sizes[-1]])),)
        return Followed([Piece(domain, Places.between(0, 0), needs, {})])
    try:
        if len(whole) < len(sizes):
            raise _UnlikeError
        merged, _ = _merged(whole)
        return follow(merged, *where, domain=domain, settle=_affine, origin=origin)
    except _UnlikeError as error:
        told = f"shapes at sizes {', '.join(map(str, sizes))} are not solved: {_unlike(networks)}"
        raise UnsupportedOpError(told) from error


def _unlike(networks: Mapping[int, Network | str]) -> str:
    """The first layer that is another from size to size, or whose numbers do not grow evenly; what is wrong at one."""
    whole = [one for one in networks.values() if isinstance(one, Network)]
    if len(whole) < len(networks):
        return next(f"at {n}, {one}" for n, one in networks.items() if isinstance(one, str))
    changed = ""
    for nodes in itertools.zip_longest(*(one.nodes for one in whole)):
        first = next(node for node in nodes if node is not None)
        if any(n is None or (n.name, n.op, n.inputs) != (first.name, first.op, first.inputs) for n in nodes):
            return f"node {first.name!r} ({first.op}) is another from size to size"
        if not changed and any(node.attributes != first.attributes for node in nodes):
            changed = f"numbers of node {first.name!r} ({first.op}) do not grow evenly"
    return changed


def _agrees(read: Read, origin: Network, found: Followed, size: int) -> bool:
    """Whether an answer is right at a size."""
    network = read(size)
    inside = any(piece.fits.holds(size) for piece in found.pieces)
    return _is_fit(origin, network) == inside and (not inside or _same_outputs(network, found, size))


def _affine(hole: Hole, _: Sequence[Length]) -> Length:
    """What grows alike from period to period."""
    (a, b, _c), (x, y, z) = hole.sizes, hole.values
    if z - y != y - x:
        raise _UnlikeError
    period = b - a
    n = np.arange(a + period)
    return Length(x + (n - a) * (y - x) // period, np.full(period, y - x))


def _single(origin: Network, networks: Mapping[int, Network | str]) -> Iterator[Piece]:
    """A piece for each size."""
    for n, network in networks.items():
        domain = Places.between(n, n + 1)
        if isinstance(network, str):
            yield Piece(domain, Places.between(0, 0), (_refusing(network),), {})
            continue
        other = weights_fit(origin, network)
        if other is not None:
            need = Need(other, Places.between(0, 0), lambda _: "its weights are for another shape")
            yield Piece(domain, Places.between(0, 0), (need,), {})
            continue
        yield Piece(domain, domain, (), {name: network.shape_of(name) for name in network.outputs})


def _refusing(told: str) -> Need:
    """What a network that cannot be read says, with the layer that it names."""
    node, _, rest = told.removeprefix("node '").partition("'")
    named = told.startswith("node '")
    return Need(node if named else "", Places.between(0, 0), lambda _: rest.partition(": ")[2] if named else told)
