"""Walks: one network after another, from states that networks share.

Candidates that are built alike make the same maps over and over: what they read is a state with a number (`interned`),
and what metrics say of one is worked out once. The steps are those of `analyze`, on the same values, so that the
figures are its figures. `figures` asks for them.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import Any, TypeVar, cast

from fastrf.analysis import Analysis
from fastrf.budget import limits
from fastrf.engine.dependency import Dependency
from fastrf.engine.memo import MAX_BYTES
from fastrf.engine.nominal import Nominal
from fastrf.engine.tightening import tightened
from fastrf.errors import FastRFError
from fastrf.field import ReceptiveField
from fastrf.network import Network, Node
from fastrf.ops import find
from fastrf.sweeps.axes import Exact, Plain
from fastrf.sweeps.interned import Met, States
from fastrf.sweeps.metrics import Facts, Metric, Values
from fastrf.system.locks import cached_property, process_lock

__all__ = ["Walk", "can_walk"]

_Answer = TypeVar("_Answer")

_lock = process_lock()


class _Origin:
    """What networks with one input shape make of it. Threads may share it: two may work the same out at once."""

    def __init__(self, shape: tuple[int, ...], channel_axis: int | None) -> None:
        self.shape, self.channel_axis = shape, channel_axis
        self.pixel_shape = tuple([n for axis, n in enumerate(shape) if axis != channel_axis])
        self.exact = States(Dependency.identity(shape), Exact(shape))
        self.nominal = States(Nominal.identity(shape, channel_axis), Plain(len(self.pixel_shape)))
        self._known: dict[Hashable, Any] = {}
        #: What metrics say, by source and positions; per metric its values.
        self.measured: dict[Hashable, dict[str, Any]] = {}

    @property
    def nbytes(self) -> int:
        """About how much memory it takes."""
        return self.exact.nbytes + self.nominal.nbytes

    @property
    def is_full(self) -> bool:
        """Whether it has grown beyond what is kept."""
        return len(self.exact) + len(self.nominal) > limits.states or self.nbytes > MAX_BYTES

    def _once(self, key: Hashable, answer: Callable[[], _Answer]) -> _Answer:
        """The answer to a question, worked out the first time."""
        found = self._known.get(key)
        if found is None:
            found = self._known[key] = answer()
        return cast("_Answer", found)

    def nothing(self, shape: tuple[int, ...]) -> tuple[Met, Met]:
        """Another input, exactly and nominally."""
        n_extents = len(self.pixel_shape)
        exact = self._once(("exact", shape), lambda: self.exact.met(Dependency.none(shape, self.shape)))
        return exact, self._once(("nominal", shape), lambda: self.nominal.met(Nominal.none(shape, n_extents)))

    def tightened(self, nominal: Met, exact: Met) -> Met:
        """The nominal map with the windows that the exact one shows (see `engine.tightening`)."""
        pieces = self.nominal.state(nominal.number).pieces
        if not any(extent.is_everything for piece in pieces for extent in piece.extents):
            return nominal
        return self._once(("tight", nominal, exact), lambda: self._tight(nominal, exact))

    def _tight(self, nominal: Met, exact: Met) -> Met:
        value = self.nominal.value(nominal)
        axes = [axis for axis in range(len(self.shape)) if axis != self.channel_axis]
        found = tightened(value, self.exact.value(exact), axes)
        return nominal if found is value else self.nominal.met(found)

    def sizes(self, met: Met, channel_axis: int | None) -> tuple[float, ...]:
        """The nominal size of positions."""

        def answer() -> tuple[float, ...]:
            value = settled(self.nominal, positions(self.nominal, met, channel_axis))
            return tuple(value.size_range(k)[1] for k in range(len(self.pixel_shape)))

        return self._once(("sizes", met, channel_axis), answer)


def positions(states: States[Any], met: Met, channel_axis: int | None) -> Met:
    """A map's positions: any of its channels."""
    return met if channel_axis is None else states.step("reduce", (channel_axis,), [met])


def settled(states: States[Nominal], met: Met) -> Nominal:
    """What positions read nominally."""
    return states.value(met).settled()


# One network ------------------------------------------------------------------------------------------------------

#: The longest axis of inputs whose networks share states: longer ones would fill the memory.
MAX_LENGTH = 1 << 12

_origins: dict[Hashable, _Origin] = {}


def can_walk(network: Network) -> bool:
    """Whether a network's states are kept for others."""
    return max(next(iter(network.inputs.values())).shape, default=0) <= MAX_LENGTH


def _origin_of(shape: tuple[int, ...], channel_axis: int | None) -> _Origin:
    """What is known of an input shape; nothing any more once all that is known has grown beyond the limit `states`."""
    key = shape, channel_axis, limits.terms, limits.compared, limits.phases
    found = _origins.get(key)
    if found is None or found.is_full:
        with _lock:
            if found is not None or sum(origin.nbytes for origin in _origins.values()) > MAX_BYTES:
                _origins.clear()
            found = _origins[key] = _Origin(shape, channel_axis)
    return found


class Walk:
    """A network as far as `target` needs it, exactly; nominally once something asks. Raises what `analyze` raises."""

    def __init__(self, network: Network, target: str) -> None:
        self.network, self.target = network, target
        self.wrt, given = next(iter(network.inputs.items()))
        self.origin = _origin_of(given.shape, given.channel_axis)
        self.n_axes, self._axis = len(self.origin.pixel_shape), network.channel_axis_of(target)
        self.nodes = list(network.needed([target]))[::-1]
        given_others = [name for name in network.inputs if name != self.wrt]
        self._others = {name: self.origin.nothing(network.inputs[name].shape) for name in given_others}
        self._exact = {self.wrt: self.origin.exact.start, **{name: pair[0] for name, pair in self._others.items()}}
        for node in self.nodes:
            self._exact[node.name] = _carried(self.origin.exact, node, self._exact)

    @cached_property
    def _nominal(self) -> dict[str, Met]:
        found = {self.wrt: self.origin.nominal.start, **{name: pair[1] for name, pair in self._others.items()}}
        for node in self.nodes:
            met = _carried(self.origin.nominal, node, found)
            found[node.name] = self.origin.tightened(met, self._exact[node.name])
        return found

    @cached_property
    def _positions(self) -> Met:
        return positions(self.origin.exact, self._exact[self.target], self._axis)

    @cached_property
    def _nominal_positions(self) -> Met:
        return positions(self.origin.nominal, self._nominal[self.target], self._axis)

    def values(self, metric: Metric) -> Values | str:
        """What a metric says of the target, or why it says nothing."""
        if metric.source == "field":  # a user's function, which may ask for names
            return metric.tried(self._named)
        try:
            met = self._positions if metric.source == "exact" else self._nominal_positions
        except FastRFError as error:
            return f"metric {metric.name!r}: {error}"
        known = self.origin.measured.setdefault((metric.source, met), {})
        found = known.get(metric.name) or metric.tried(self._facts)
        if not isinstance(found, str):  # perhaps a limit's, which may be raised
            known[metric.name] = found
        return found

    @cached_property
    def _named(self) -> Facts:
        dependency = self.origin.exact.value(self._exact[self.target])
        return Facts(Analysis(self.network, self.wrt, {self.target: dependency})[self.target])

    @cached_property
    def _facts(self) -> Facts:
        """The positions as a map without channels."""
        field = ReceptiveField(
            self.origin.exact.value(self._positions),
            channel_axis=None,
            input_channel_axis=self.origin.channel_axis,
            approximate_at=(),
            nominal=lambda: settled(self.origin.nominal, self._nominal_positions),
            periods=tuple,
        )
        return Facts(field)

    def layers_beyond(self) -> int:
        """How many convolutions read a map whose nominal size already covers the image."""
        beyond = 0
        for node in self.nodes:
            if find(node.op).convolution:
                read = node.inputs[0]
                sizes = self.origin.sizes(self._nominal[read], self.network.channel_axis_of(read))
                beyond += all(size >= n for size, n in zip(sizes, self.origin.pixel_shape, strict=True))
        return beyond


def _carried(states: States[Any], node: Node, maps: dict[str, Met]) -> Met:
    try:
        return states.carried(node.recipe, [maps[read] for read in node.inputs])
    except FastRFError as error:
        raise type(error)(f"node {node.name!r} ({node.op}): {error}") from error
