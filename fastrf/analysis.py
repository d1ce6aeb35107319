"""analyze(): from a Network to the exact dependency of every node.

Walks the nodes once, replaying each recipe on `Dependency`. `Analysis` is a mapping from names to
`ReceptiveField`; nominal parameters are worked out when first asked for.
"""

from __future__ import annotations

import hashlib
import math
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from fractions import Fraction
from typing import TYPE_CHECKING, Any, TypeVar

from fastrf.engine.dependency import Dependency
from fastrf.engine.nominal import Nominal
from fastrf.engine.recipe import Recipe, Value, replay
from fastrf.engine.tightening import tightened
from fastrf.engine.walking import Walked
from fastrf.errors import FastRFError, UnknownNodeError
from fastrf.field import ReceptiveField
from fastrf.frontends.options import MASK_BELOW, ChannelAxis, Options
from fastrf.network import Network, Node
from fastrf.queries.halo import Aligned, halo_of, margins
from fastrf.queries.ignoring import without
from fastrf.queries.naming import calls, last_map, resolve
from fastrf.system.locks import cached_property

if TYPE_CHECKING:
    from fastrf.queries.context import Kept
    from fastrf.queries.leaks import Leak
    from fastrf.queries.why.answers import Why
    from fastrf.summary import Summary

__all__ = ["Analysis", "analyze"]

_Value = TypeVar("_Value", bound=Value)


def analyze(
    source: Any,
    input_shape: Any = None,
    *,
    wrt: str | None = None,
    targets: Sequence[str] | str | None = None,
    ignore: Sequence[str] | str = (),
    channel_axis: ChannelAxis = ...,
    values: Mapping[str, Any] | None = None,
    mask_below: float = MASK_BELOW,
    capture: str = "auto",
    on_unsupported: str = "raise",
    trust: bool = False,
) -> Analysis:
    """The exact receptive field of every node of a network.

    `source` is anything that `fastrf.load` takes, or a Network. `wrt` names the input or intermediate node that
    the dependency is measured against (default: the first input). `targets` names the nodes to keep; the others
    are forgotten as soon as nothing needs them, which saves memory on very long axes.

    `ignore` lists what is taken for a constant: "statistics" (of layer, group, instance and root-mean-square norms,
    which become pointwise), "gates" (factors of a product that are the same at every position, such as
    squeeze-and-excitation), names or glob patterns of nodes or modules. What it left out stands in `field.assumes`.

    `channel_axis`, `values`, `mask_below`, `capture`, `on_unsupported` and `trust` are as in `fastrf.load`.

    Raises what `fastrf.load` raises, UnknownNodeError for an unknown name, and LimitError where an exact dependency
    would need more memory or terms than allowed.
    """
    from fastrf.frontends.loading import read

    network = read(source, input_shape, Options(channel_axis, values or {}, mask_below, on_unsupported, trust, capture))
    origin = next(iter(network.inputs)) if wrt is None else resolve(network, wrt)
    wanted = None if targets is None else [targets] if isinstance(targets, str) else list(targets)
    if wanted is not None:
        wanted = [resolve(network, target) for target in wanted]
    seen = without(network, ignore) if ignore else network
    return Analysis(network, origin, _dependencies(seen, origin, wanted), ignore)


class Analysis(Mapping[str, ReceptiveField]):
    """Receptive fields by node name, in the network's order, the inputs first.

    A name that is no node but the dotted prefix of some, such as "layer4", gives the last of them. `network` is the
    Network and `wrt` the name that the fields are measured against. In a PyTorch model, a module's name gives what it
    returned in its last call ("lstm[0]" or "neck[p3]" where that are several tensors), and `calls` all of them.
    """

    def __init__(
        self, network: Network, wrt: str, dependencies: Mapping[str, Dependency], ignore: Sequence[str] | str = ()
    ) -> None:
        self.network = network
        self._ignore = ignore
        self._seen = without(network, ignore) if ignore else network
        self.wrt = wrt
        self._dependencies = dependencies
        self._fields: dict[str, ReceptiveField] = {}

    def __getitem__(self, name: str) -> ReceptiveField:
        asked, name = name, resolve(self.network, name)
        field = self._fields.get(name)
        if field is None:
            if name not in self._dependencies:
                raise UnknownNodeError(f"node {name!r} was not among the targets; analyse with targets={[name]}")
            field = self._fields[name] = ReceptiveField(
                self._dependencies[name],
                channel_axis=self.network.channel_axis_of(name),
                input_channel_axis=self.network.channel_axis_of(self.wrt),
                approximate_at=self._approximate[name],
                assumes=(*self.network.assumes, *self._assumed[name]),
                nominal=lambda: self._positional_nominal(name),
                periods=lambda: self._aligned[name].periods,
                margins=lambda: margins(self._aligned[name], self.network.channel_axis_of(name)),
                name=name,
                last_map=lambda: last_map(self.network, name),
                unbounded_at=lambda: self._unbounded_at(name),
                explain=lambda position, pixel: self._explain(name, position, pixel),
                kept=lambda axis: self._kept(name, axis),
            )
        field.asked = asked
        return field

    def __reduce__(self) -> tuple[object, ...]:
        return Analysis, (self.network, self.wrt, self._dependencies, self._ignore)

    def __contains__(self, name: object) -> bool:
        try:
            return isinstance(name, str) and resolve(self.network, name) in self._dependencies
        except UnknownNodeError:
            return False

    def __iter__(self) -> Iterator[str]:
        return iter(self._dependencies)

    def __len__(self) -> int:
        return len(self._dependencies)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Analysis):
            return NotImplemented
        return list(self) == list(other) and all(self[name] == other[name] for name in self)

    def __hash__(self) -> int:
        return hash(self.digest())

    def digest(self) -> str:
        """A hash of 16 hexadecimal digits: of the names of all nodes, and of each one's `ReceptiveField.digest`."""
        told = [(name, self[name].digest()) for name in self]
        return hashlib.sha256(repr(told).encode()).hexdigest()[:16]

    def __repr__(self) -> str:
        return f"Analysis({self.network.name!r}, wrt={self.wrt!r}, {len(self)} nodes)"

    def _repr_html_(self) -> str:
        return self.summary()._repr_html_()

    @property
    def output(self) -> ReceptiveField:
        """The field of the network's first output."""
        return self[self.network.outputs[0]]

    @property
    def outputs(self) -> tuple[ReceptiveField, ...]:
        """The fields of all outputs."""
        return tuple(self[name] for name in self.network.outputs)

    def calls(self, module: str) -> tuple[ReceptiveField, ...]:
        """The outputs of every call of a PyTorch module, in order. Raises UnknownNodeError."""
        return tuple(self[name] for name in calls(self.network, module))

    def leaks(
        self, axis: int = 0, *, node: str | None = None, stride: float | Fraction | None = None
    ) -> tuple[Leak, ...]:
        """Where a node (default: the first output) comes to read the future: the nodes at which leaks first appear.

        In the network's order; every pair of `ReceptiveField.leaks` is told at exactly one of them, and there are none
        where the node is causal along the axis. `axis` and `stride` as in `ReceptiveField.leaks`, whose errors this
        raises, too; UnknownNodeError where nodes on the way were not among the targets.
        """
        from fastrf.queries.leaks import first_leaks

        name = self.network.outputs[0] if node is None else resolve(self.network, node)

        def between(wrt: str) -> Dependency:
            return analyze(self._seen, wrt=wrt, targets=[name])[name].positional

        return first_leaks(self._seen, self, name, axis, stride, between)

    def summary(self, depth: int | None = None) -> Summary:
        """A table with a row per node; `depth` folds dotted names to so many parts, as modules."""
        from fastrf.summary import Summary

        return Summary.of(self.network, self.wrt, self, depth)

    def _positional_nominal(self, name: str) -> Nominal:
        return self._positional(name, self._nominal[name])

    def _positional(self, name: str, nominal: Nominal) -> Nominal:
        axis = self.network.channel_axis_of(name)
        return (nominal if axis is None else nominal.reduce(axis)).settled()

    @cached_property
    def _nominal(self) -> Mapping[str, Nominal]:
        way, others = self._unbounded_inputs()
        return _walk(self._seen, self.wrt, way.start, others, None, self._tightened, way.carry)

    @cached_property
    def _aligned(self) -> Mapping[str, Aligned]:
        way, others = self._unbounded_inputs()
        channels, shape = self.network.channel_axis_of(self.wrt), self.network.shape_of(self.wrt)
        pixels = tuple(n for axis, n in enumerate(shape) if axis != channels)
        inputs = {name: Aligned(other, pixels) for name, other in others.items()}
        start = Aligned(way.start, pixels)
        return _walk(
            self._seen,
            self.wrt,
            start,
            inputs,
            None,
            lambda name, value: value.finished(lambda nominal: self._tightened(name, nominal)),
            Aligned.carry,
        )

    def _unbounded_at(self, name: str, axis: int | None = None) -> tuple[str, ...]:
        """The nodes on the way to one at which tiles come to need the whole image (or axis), the first on each way."""

        def needs_all(node: str) -> bool:
            halo = halo_of(self._positional_nominal(node), self._aligned[node].periods)
            context = [*zip(halo.before, halo.after, strict=True)]
            asked = context if axis is None else context[axis : axis + 1]
            return not asked or not all(math.isfinite(size) for sizes in asked for size in sizes)

        way = list(self._seen.needed([name]))[::-1]
        wide = {node.name for node in way if needs_all(node.name)}
        return tuple(node.name for node in way if node.name in wide and wide.isdisjoint(node.inputs))

    def _explain(self, name: str, position: tuple[int, ...] | None, pixel: tuple[int, ...] | None) -> Why:
        from fastrf.queries.why.asking import explain
        from fastrf.queries.why.way import Way

        field, network = self[name], self._seen
        whole = len(self._dependencies) == len(network.nodes) + len(network.inputs)
        dependencies = self._dependencies if whole else self._every_dependency
        way = Way(network, self.wrt, name, dependencies, self._positional_nominal, field.assumes)
        return explain(way, field.positional, position, pixel)

    def _kept(self, name: str, axis: int) -> Kept:
        """The nodes on the way to one that keep state along a pixel axis, and what the others make of it."""
        from fastrf.queries.context import Kept, StepByStep

        way, others = self._unbounded_inputs()
        taken = StepByStep(axis, way.carry, self._tightened)
        found = _walk(self._seen, self.wrt, way.start, others, [name], taken.finish, taken.carry)[name]
        return Kept(tuple(taken.nodes), self._positional(name, found))

    def _tightened(self, name: str, nominal: Nominal) -> Nominal:
        """A node's nominal field, with the windows that masks leave of what is otherwise read whole."""
        if not any(e.is_everything for piece in nominal.pieces for e in piece.extents):
            return nominal
        exact = self._dependencies.get(name) or self._every_dependency[name]
        channels = self.network.channel_axis_of(self.wrt)
        return tightened(nominal, exact, [axis for axis in range(len(exact.input_shape)) if axis != channels])

    @cached_property
    def _every_dependency(self) -> Mapping[str, Dependency]:
        """Of the nodes that are not among the targets, too."""
        return _dependencies(self._seen, self.wrt, None)

    def _unbounded_inputs(self) -> tuple[Walked, dict[str, Nominal]]:
        """The origin, and every input as if it were another one."""
        origin = self.network.shape_of(self.wrt)
        way = Walked(origin, self.network.channel_axis_of(self.wrt))
        return way, {name: way.nothing(given.shape) for name, given in self.network.inputs.items()}

    @cached_property
    def _approximate(self) -> Mapping[str, tuple[str, ...]]:
        """Per node, which nodes on its way are over-approximations."""
        seeing = {name for name, dependency in self._dependencies.items() if dependency.terms}
        kept = set(self._seen.by_name) - (set(self._dependencies) - seeing)
        return self._along(lambda node: (node.name,) if node.recipe.approximate else (), kept)

    @cached_property
    def _assumed(self) -> Mapping[str, tuple[str, ...]]:
        """Per node, what the nodes on its way take for granted, those that see nothing included."""
        return self._along(lambda node: node.assumes, set(self._seen.by_name))

    def _along(self, notes: Callable[[Node], Sequence[str]], among: Collection[str]) -> dict[str, tuple[str, ...]]:
        """Per node, the notes of all nodes between the origin and it, each once; only of those `among`."""
        found: dict[str, tuple[str, ...]] = dict.fromkeys(self.network.inputs, ())
        for node in self._seen.nodes:
            told = dict.fromkeys(note for read in node.inputs for note in found[read])
            told.update(dict.fromkeys(notes(node)))
            found[node.name] = tuple(told) if node.name != self.wrt and node.name in among else ()
        return found


def _dependencies(network: Network, origin: str, wanted: Collection[str] | None) -> dict[str, Dependency]:
    shape = network.shape_of(origin)
    others = {name: Dependency.none(given.shape, shape) for name, given in network.inputs.items()}
    return _walk(network, origin, Dependency.identity(shape), others, wanted)


def _walk(
    network: Network,
    origin: str,
    start: _Value,
    inputs: Mapping[str, _Value],
    wanted: Collection[str] | None,
    finish: Callable[[str, _Value], _Value] = lambda _, value: value,
    carry: Callable[[Recipe, Sequence[_Value]], _Value] = replay,
) -> dict[str, _Value]:
    """Every node's value in order; with `wanted`, only what those need, dropped once it is used up.

    `carry` carries the steps of a recipe out, `finish` has the last word on the value of a node.
    """
    values = {**inputs, **({origin: start} if origin in inputs else {})}
    pending: dict[str, int] | None = None  # how often what the wanted ones need will be read
    if wanted is not None:
        reads = Counter(read for node in network.needed(wanted) for read in node.inputs)
        pending = {**dict.fromkeys(wanted, 0), **reads}
    for node in network.nodes:
        if pending is not None and node.name not in pending:
            continue
        try:
            value = start if node.name == origin else carry(node.recipe, [values[r] for r in node.inputs])
            values[node.name] = finish(node.name, value)
        except FastRFError as error:
            raise type(error)(f"node {node.name!r} ({node.op}): {error}") from error
        if pending is not None:
            for read in node.inputs:
                pending[read] -= 1
                if pending[read] == 0 and read not in (wanted or ()):
                    del values[read]
    return values if wanted is None else {name: values[name] for name in wanted}
