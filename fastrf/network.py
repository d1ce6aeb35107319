"""Network: a frozen, framework-neutral graph of layers with known shapes.

Front-ends turn foreign formats into the plain mapping that `Network.from_dict` reads (the spec format); nothing
after this module knows where a network came from. Every layer is checked here, so that an error names the
layer and the remedy, and gets its recipe (see `recipe`).
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from graphlib import CycleError, TopologicalSorter
from types import MappingProxyType
from typing import Any

from fastrf.budget import limits
from fastrf.engine.recipe import Recipe
from fastrf.errors import (
    FastRFError,
    FormatError,
    NetworkError,
    ShapeError,
    UnsupportedOpError,
    did_you_mean,
)
from fastrf.ops import apply, find, frozen
from fastrf.ops.truths import Truths
from fastrf.system.locks import cached_property
from fastrf.system.tables import Table

__all__ = ["Network", "Node", "split_name", "total"]

Shape = tuple[int, ...]
InputShape = Sequence[int] | Mapping[str, Sequence[int]]

#: No axis may be longer than this: index arithmetic stays within 64 bits.
MAX_AXIS = 1 << 40
#: No name may be longer.
MAX_NAME = 1000
_RESERVED = ("name", "op", "inputs", "scope", "assumes", "parameters")
_NAMES = ("returns", "classes", "aliases")
_KEYS = ("name", "input_shape", "channel_axis", "guessed", "layers", "outputs", *_NAMES, "assumes", "unused")


#: A module's name, the number of one of its calls, and which of the tensors that it returned.
_CALL = re.compile(r"(?P<module>.+?)(?:@(?P<call>\d+))?(?P<item>(?:\[[^\[\]]*\])*)", re.DOTALL)


def split_name(name: str) -> tuple[str, int | None, str]:
    """A module, one of its calls or None, and one of its tensors such as "[0][p3]", without quotes."""
    found = _CALL.fullmatch(name)
    if found is None:
        return name, None, ""
    item = re.sub(r"\[(['\"])(.*?)\1\]", r"[\2]", found["item"])
    return found["module"], None if found["call"] is None else int(found["call"]), item


@dataclass(frozen=True, eq=False)
class Node:
    """One layer: an operator, its attributes, the names it reads, and what follows from them.

    `shape` is without the batch; `channel_axis` says which axis holds channels (None: every axis is a position).
    `scope` names the modules that the layer runs in, outermost first, where a front-end knows them; the `k`-th further
    call of a module ends in `@k`. `assumes` says what the layer takes for granted beyond structure, a sentence each.
    `told` is whether the network says how many parameters the layer has, other than its operator has by itself.
    """

    name: str
    op: str
    inputs: tuple[str, ...]
    attributes: Mapping[str, Any]
    recipe: Recipe = field(repr=False)
    parameters: int | None
    macs: int | None
    scope: tuple[str, ...] = ()
    assumes: tuple[str, ...] = ()
    told: bool = False

    @property
    def shape(self) -> Shape:
        """Output shape without the batch."""
        return self.recipe.shape

    @property
    def channel_axis(self) -> int | None:
        """The axis of `shape` that holds channels."""
        return self.recipe.channel_axis


@dataclass(frozen=True, eq=False)
class Input:
    """An input of a network; `guessed` says that nobody stated its channel axis."""

    name: str
    shape: Shape
    channel_axis: int | None
    guessed: bool = False

    @property
    def told_axis(self) -> str:
        """The channel axis in words."""
        told = "no channel axis" if self.channel_axis is None else f"channels on axis {self.channel_axis}"
        return told + " (guessed)" * self.guessed


@dataclass(frozen=True, eq=False)
class Network:
    """Layers in an order in which every layer follows what it reads.

    Build one with `fastrf.load` or `Network.from_dict`; `to_dict` is the inverse of the latter. `returns` maps what
    module calls returned, where that is known, to the layer or input that holds it: "conv", "relu@1" (a call of
    several), "lstm[0]" or "neck[p3]" (a tensor of several). `classes` maps modules to the names of their classes, and
    `aliases` other names of layers to them, such as those of the graph that a network was read from. `unused` counts
    parameters, by module, that no layer uses.
    """

    name: str
    inputs: Mapping[str, Input]
    nodes: tuple[Node, ...]
    outputs: tuple[str, ...]
    assumes: tuple[str, ...] = ()
    returns: Mapping[str, str] = field(default_factory=dict)
    classes: Mapping[str, str] = field(default_factory=dict)
    aliases: Mapping[str, str] = field(default_factory=dict)
    unused: Mapping[str, int] = field(default_factory=dict)

    @classmethod
    def from_dict(cls, spec: Mapping[str, Any], input_shape: InputShape | None = None) -> Network:
        """Read the spec format: `name`, `input_shape`, `layers` (each `name`, `op`, `inputs`, attributes), `outputs`.

        `channel_axis` says which axis of the input (or of each, by name) holds channels: the first by default, null for
        none; `guessed` lists inputs whose axis nobody stated. `assumes` of the network or of a layer lists sentences
        that an answer takes for granted; `parameters` of a layer counts them (null: unknown). `input_shape` overrides
        the spec's. Raises NetworkError, ShapeError, UnsupportedOpError, FormatError or LimitError, naming the layer.
        """
        unknown = [key for key in spec if key not in _KEYS]
        if unknown:
            raise FormatError(f"unknown key {unknown[0]!r} in a network; it takes {', '.join(_KEYS)}")
        guessed = _texts(spec.get("guessed", ()), "guessed")
        inputs = _inputs(spec.get("input_shape"), input_shape, spec.get("channel_axis"), guessed)
        layers = _named_layers(spec.get("layers"), inputs)
        nodes = _nodes(_in_order(layers, inputs), inputs)
        outputs = _outputs(spec.get("outputs"), nodes[-1].name)
        known = {*inputs, *(node.name for node in nodes)}
        returns, aliases = (_names(spec.get(key, {}), key, known) for key in ("returns", "aliases"))
        classes, unused = _names(spec.get("classes", {}), "classes"), spec.get("unused", {})
        _names(dict.fromkeys(unused, "") if isinstance(unused, Mapping) else unused, "unused")
        unused = {name: _count(count, name) or 0 for name, count in unused.items()}
        for output in outputs:
            if output not in known:
                raise NetworkError(f"output {output!r} is not a layer{_close(output, known)}")
        name, assumes = _checked_name(spec.get("name", "network")), _texts(spec.get("assumes", ()), "assumes")
        return cls(name, MappingProxyType(inputs), nodes, tuple(outputs), assumes, returns, classes, aliases, unused)

    def to_dict(self) -> dict[str, Any]:
        """The spec format, ready for JSON or TOML."""
        shapes = {name: list(given.shape) for name, given in self.inputs.items()}
        single = list(shapes) == ["input"]
        guessed = [name for name, given in self.inputs.items() if given.guessed]
        return {
            "name": self.name,
            "input_shape": shapes["input"] if single else shapes,
            "channel_axis": {name: given.channel_axis for name, given in self.inputs.items()},
            "layers": [_plain_layer(node) for node in self.nodes],
            "outputs": list(self.outputs),
            **{key: dict(getattr(self, key)) for key in _NAMES if getattr(self, key)},
            **({"guessed": guessed} if guessed else {}),
            **({"assumes": list(self.assumes)} if self.assumes else {}),
            **({"unused": dict(self.unused)} if self.unused else {}),
        }

    @property
    def input_shape(self) -> Shape | dict[str, Shape]:
        """The input's shape without the batch; with several inputs, a mapping by name."""
        if len(self.inputs) == 1:
            return next(iter(self.inputs.values())).shape
        return {name: given.shape for name, given in self.inputs.items()}

    @cached_property
    def by_name(self) -> Mapping[str, Node]:
        """Nodes by name."""
        return {node.name: node for node in self.nodes}

    def needed(self, names: Iterable[str]) -> Iterator[Node]:
        """The nodes that some need, and those themselves, the last one first."""
        wanted = set(names)
        for node in reversed(self.nodes):
            if node.name in wanted:
                yield node
                wanted.update(node.inputs)

    def shape_of(self, name: str) -> Shape:
        """Shape of a node or an input, without the batch."""
        return self.inputs[name].shape if name in self.inputs else self.by_name[name].shape

    def channel_axis_of(self, name: str) -> int | None:
        """Channel axis of a node or an input."""
        return self.inputs[name].channel_axis if name in self.inputs else self.by_name[name].channel_axis

    @cached_property
    def modules(self) -> Mapping[str, tuple[str, ...]]:
        """Names of the nodes of every module call: `name` for the last call, `name@k` for call `k` of several."""
        calls: dict[str, list[str]] = {}
        for node in self.nodes:
            for name in node.scope:
                calls.setdefault(name, []).append(node.name)
        for name in list(calls):
            module, _, call = name.rpartition("@")
            if module and call.isdigit():
                if module in calls and f"{module}@0" not in calls:
                    calls[f"{module}@0"] = calls[module]
                calls[module] = calls[name]
        return {name: tuple(names) for name, names in calls.items()}

    @cached_property
    def returned(self) -> Mapping[str, Mapping[int, Mapping[str, str]]]:
        """`returns` by module, number of the call, and item."""
        found: dict[str, dict[int, dict[str, str]]] = {}
        for name, node in self.returns.items():
            module, call, item = split_name(name)
            found.setdefault(module, {}).setdefault(call or 0, {})[item] = node
        return found

    def __reduce__(self) -> tuple[object, ...]:
        return Network.from_dict, (self.to_dict(),)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Network) and (self is other or self.to_dict() == other.to_dict())

    def __hash__(self) -> int:
        return hash((self.name, len(self.nodes), self.outputs))

    def __repr__(self) -> str:
        axes = ", ".join(dict.fromkeys(given.told_axis for given in self.inputs.values()))
        return f"Network({self.name!r}, input_shape={self.input_shape}, {axes}, {len(self.nodes)} layers)"

    def _repr_html_(self) -> str:
        told = (("layer", "name"), ("operator", "op"), ("reads", "inputs"), ("shape", "shape"))
        rows = [{title: getattr(node, name) for title, name in told} for node in self.nodes]
        return Table(rows, title=repr(self), notes=self.assumes, left=4).to_html()


def _inputs(
    in_spec: object, given: InputShape | None, channel_axis: object, guessed: Sequence[str]
) -> dict[str, Input]:
    wanted = in_spec if given is None else given
    if wanted is None:
        raise ShapeError("input_shape is missing; give it in the network or as input_shape=(channels, height, width)")
    names: Mapping[Any, Any] = wanted if isinstance(wanted, Mapping) else {_only_name(in_spec): wanted}
    if isinstance(in_spec, Mapping) and set(names) != set(in_spec):
        raise ShapeError(f"input_shape names {sorted(names)}, but the network's inputs are {sorted(in_spec)}")
    if not names or not all(isinstance(name, str) for name in names):
        raise ShapeError(f"input_shape must name at least one input, each by a string, not {list(names)!r}")
    same = dict.fromkeys(names, channel_axis) if isinstance(channel_axis, int) else {}
    given_axes: Mapping[Any, Any] = channel_axis if isinstance(channel_axis, Mapping) else same
    unknown = [name for name in given_axes if name not in names]
    if unknown:
        raise ShapeError(f"channel_axis names {unknown[0]!r}, which is no input; the inputs are {', '.join(names)}")
    return {name: _input(name, _sizes(name, shape), given_axes, name in guessed) for name, shape in names.items()}


def _input(name: str, sizes: Shape, axes: Mapping[str, Any], guessed: bool) -> Input:
    axis = axes.get(name, 0 if len(sizes) > 1 else None)
    if axis is not None and not (type(axis) is int and 0 <= axis < len(sizes)):
        raise ShapeError(f"channel_axis {axis!r} of input {name!r} is not an axis of {sizes}")
    return Input(_checked_name(name), sizes, axis, guessed)


def _names(given: object, key: str, known: Collection[str] | None = None) -> Mapping[str, str]:
    """Names by names; with `known`, of layers, by names that no other layer has."""
    texts = [*given, *given.values()] if isinstance(given, Mapping) else [None]
    if not isinstance(given, Mapping) or not all(isinstance(text, str) and text.isprintable() for text in texts):
        raise FormatError(f"{key!r} must map names to names, not {str(given)[:60]!r}")
    for name, node in () if known is None else given.items():
        if node not in (known or ()) or (name in (known or ()) and name != node):
            raise NetworkError(f"{key!r} must give a layer for a name of no other: {name[:60]!r}, {node[:60]!r}")
    return MappingProxyType(dict(given))


def _count(given: Any, name: str) -> int | None:
    if given is not None and (type(given) is not int or not 0 <= given < 1 << 63):
        raise FormatError(f"{name!r}: parameters must be a whole number of 0 or more, not {str(given)[:60]!r}")
    return given


def _texts(given: object, key: str) -> tuple[str, ...]:
    """Sentences or names."""
    if not isinstance(given, list | tuple) or not all(isinstance(text, str) and text.isprintable() for text in given):
        raise FormatError(f"{key!r} must be a list of printable texts, not {str(given)[:60]!r}")
    return tuple(given)


def _checked_name(name: object) -> str:
    if not isinstance(name, str) or not name or len(name) > MAX_NAME or not name.isprintable():
        raise NetworkError(f"name {str(name)[:60]!r} must be printable text of 1 to {MAX_NAME} characters")
    return name


def _outputs(given: object, last: str) -> list[str]:
    if given is None:
        return [last]
    names = [given] if isinstance(given, str) else given
    if not isinstance(names, list | tuple) or not names or not all(isinstance(name, str) for name in names):
        raise FormatError(f"'outputs' must be a list of layer names, not {str(given)[:60]!r}")
    return list(names)


def _only_name(in_spec: object) -> str:
    if not isinstance(in_spec, Mapping):
        return "input"
    if len(in_spec) != 1:
        names = ", ".join(map(str, in_spec))
        raise ShapeError(f"the network has inputs {names}; give input_shape as a mapping by name")
    return str(next(iter(in_spec)))


def _sizes(name: object, shape: object) -> Shape:
    plain = frozen(shape)
    if not isinstance(plain, tuple) or not all(type(n) is int for n in plain):
        wanted = "must be a list of integers such as (3, 224, 224)"
        raise ShapeError(f"input_shape of {name!r} {wanted}, not {str(shape)[:60]!r}")
    for n in plain:
        if not 0 < n <= MAX_AXIS:
            found = f"a size of {n}" if abs(n) <= 1 << 63 else "a size beyond 2**63"
            raise ShapeError(f"input_shape of {name!r} has {found}; sizes are 1 to {MAX_AXIS}")
    return plain


def _named_layers(layers: object, inputs: Mapping[str, Input]) -> dict[str, dict[str, Any]]:
    """Layers by name with their inputs filled in: the previous layer, for the first one the first input."""
    if not isinstance(layers, Iterable) or isinstance(layers, str | Mapping):
        raise FormatError("a network needs 'layers', a list of layers with at least 'op'")
    named: dict[str, dict[str, Any]] = {}
    previous = next(iter(inputs))
    for number, layer in enumerate(layers):
        if number >= limits.layers:
            limits.require("layers", number + 1, f"a network of {number + 1} layers or more")
        if not isinstance(layer, Mapping) or not isinstance(layer.get("op"), str):
            raise FormatError(f"layer {number} has no 'op'; write it as {{name, op, inputs, attributes}}")
        name = _checked_name(layer.get("name", f"{layer['op']}{number + 1}"))
        if name in named or name in inputs:
            raise NetworkError(f"layer name {name!r} is used twice; names must differ")
        reads = layer.get("inputs", [previous])
        reads = [reads] if isinstance(reads, str) else reads
        if not isinstance(reads, list | tuple) or not all(isinstance(r, str) for r in reads):
            raise FormatError(f"node {name!r}: 'inputs' must be a list of layer names, not {reads!r}")
        named[name] = {**layer, "name": name, "inputs": tuple(reads)}
        previous = name
    if not named:
        raise FormatError("a network needs at least one layer")
    return named


def _in_order(layers: Mapping[str, dict[str, Any]], inputs: Mapping[str, Input]) -> list[dict[str, Any]]:
    """Layers as given where each follows what it reads, otherwise sorted; raises on unknown names and cycles."""
    needs = {name: [read for read in layer["inputs"] if read not in inputs] for name, layer in layers.items()}
    place = {name: k for k, name in enumerate(layers)}
    for name, reads in needs.items():
        for read in reads:
            if read not in layers:
                raise NetworkError(f"node {name!r}: input {read!r} is not a layer{_close(read, [*layers, *inputs])}")
    if all(place[read] < place[name] for name, reads in needs.items() for read in reads):
        return list(layers.values())
    try:
        return [layers[name] for name in TopologicalSorter(needs).static_order()]
    except CycleError as error:
        *cycle, _ = error.args[1][::-1]
        told = " <- ".join([*cycle, cycle[0]][:8])
        raise NetworkError(f"node {cycle[-1]!r} reads itself through a cycle: {told}; break it") from error


def _nodes(layers: Sequence[dict[str, Any]], inputs: Mapping[str, Input]) -> tuple[Node, ...]:
    shapes = {name: (given.shape, given.channel_axis) for name, given in inputs.items()}
    nodes = []
    for layer in layers:
        name, op, reads = layer["name"], layer["op"], layer["inputs"]
        try:
            attributes = {key: frozen(value) for key, value in layer.items() if key not in _RESERVED}
        except RecursionError as error:
            raise FormatError(f"node {name!r}: an attribute is nested too deep") from error
        in_shapes = [shapes[read][0] for read in reads]
        try:
            recipe = apply(op, attributes, in_shapes, [shapes[read][1] for read in reads])
            if any(n > MAX_AXIS for n in recipe.shape):
                raise ShapeError(f"its output shape {recipe.shape} has an axis longer than {MAX_AXIS}")
        except FastRFError as error:
            where = "" if isinstance(error, UnsupportedOpError) else f" ({op})"
            raise type(error)(f"node {name!r}{where}: {error}") from error
        shapes[name] = (recipe.shape, recipe.channel_axis)
        parameters, macs = find(op).cost(attributes, in_shapes, recipe.shape)
        scope, assumes = _texts(layer.get("scope", ()), "scope"), _texts(layer.get("assumes", ()), "assumes")
        count = _count(layer.get("parameters", parameters), name)
        said = MappingProxyType(attributes), recipe, count, macs, scope, assumes, count != parameters
        nodes.append(Node(name, op, reads, *said))
    return tuple(nodes)


def _plain_layer(node: Node) -> dict[str, Any]:
    notes = {key: list(texts) for key, texts in (("scope", node.scope), ("assumes", node.assumes)) if texts}
    told = {"parameters": node.parameters} if node.told else {}
    attributes = {key: _listed(value) for key, value in node.attributes.items()}
    return {"name": node.name, "op": node.op, "inputs": list(node.inputs), **notes, **told, **attributes}


def _listed(value: Any) -> Any:
    """Tuples and tables as lists, as JSON reads them."""
    if isinstance(value, Truths):
        return value.tolist()
    return [_listed(item) for item in value] if isinstance(value, tuple) else value


def total(counts: Iterable[int | None]) -> int | None:
    """A sum; None where one is unknown."""
    found = list(counts)
    return None if None in found else sum(filter(None, found))


def _close(name: str, known: Iterable[str]) -> str:
    return f"; {did_you_mean(name, known, 'check its spelling')}"
