"""What users leave out of an answer: a network whose norms act pointwise, whose gates or chosen nodes are constants.

Only recipes and what they read change; names, shapes and costs stay, so that the answer names the same nodes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from fnmatch import fnmatchcase
from typing import Any

from fastrf.errors import UnknownNodeError, UsageError, did_you_mean
from fastrf.network import Network, Node
from fastrf.ops import apply, find
from fastrf.queries.naming import exits

__all__ = ["without"]

_KINDS = ("statistics", "gates")


def without(network: Network, ignore: Sequence[str] | str) -> Network:
    """The network as it is analysed when `ignore` is taken for constants: see `fastrf.analyze`.

    Raises UnknownNodeError for a name or pattern that no node and no module has, UsageError for what is no name.
    """
    wanted = [ignore] if isinstance(ignore, str) else list(ignore) if isinstance(ignore, Iterable) else [ignore]
    if not all(isinstance(pattern, str) for pattern in wanted):
        raise UsageError(f"ignore must be statistics, gates, a name or pattern, or several, not {str(ignore)[:60]!r}")
    constants = {name: pattern for pattern in wanted if pattern not in _KINDS for name in _named(network, pattern)}
    rules = [rule for kind, rule in (("statistics", _pointwise), ("gates", _ungated)) if kind in wanted]
    nodes = [
        _constant(network, node, constants[node.name]) if node.name in constants else _changed(network, node, rules)
        for node in network.nodes
    ]
    return replace(network, nodes=tuple(nodes))


def _changed(network: Network, node: Node, rules: Sequence[Callable[[Network, Node], Node | None]]) -> Node:
    return next((found for rule in rules if (found := rule(network, node)) is not None), node)


def _constant(network: Network, node: Node, pattern: str) -> Node:
    """A node that depends on nothing."""
    said = f"{node.name!r} is taken for a constant, as ignore={pattern!r} says"
    return _instead(network, node, node.inputs[0], said, "constant", shape=node.shape)


def _pointwise(network: Network, node: Node) -> Node | None:
    """A norm without its statistics."""
    said = "the statistics of norms are taken for constants, as ignore='statistics' says"
    return _instead(network, node, node.inputs[0], said) if find(node.op).statistics else None


def _ungated(network: Network, node: Node) -> Node | None:
    """A product without the factors that are the same at every position."""
    said = "factors that are the same at every position are taken for constants, as ignore='gates' says"
    if node.op == "squeeze_excitation":
        return _instead(network, node, node.inputs[0], said)
    if not find(node.op).product:
        return None
    kept = [read for read in node.inputs if not _is_gate(network, node, read)]
    return _instead(network, node, kept[0], said) if len(kept) == 1 < len(node.inputs) else None


def _instead(network: Network, node: Node, read: str, said: str, op: str = "identity", **attributes: Any) -> Node:
    """A node of the same shape that does another thing, mostly hand on one of its inputs."""
    recipe = apply(op, attributes, [network.shape_of(read)], [network.channel_axis_of(read)])
    recipe = replace(recipe, channel_axis=node.channel_axis)
    return replace(node, inputs=(read,), recipe=recipe, assumes=(*node.assumes, said))


def _is_gate(network: Network, node: Node, read: str) -> bool:
    """Whether an operand has one element along every position axis of the product, which has more."""
    positions = [axis for axis, n in enumerate(node.shape) if axis != node.channel_axis and n > 1]
    source = _unexpanded(network, read)
    shape = network.shape_of(source)
    aligned = (1,) * (len(node.shape) - len(shape)) + shape
    fits = len(aligned) == len(node.shape) and all(m in (1, n) for m, n in zip(aligned, node.shape, strict=True))
    return bool(positions) and fits and all(aligned[axis] == 1 for axis in positions)


def _unexpanded(network: Network, name: str) -> str:
    """The node before it was broadcast."""
    node = network.by_name.get(name)
    while node is not None and node.op == "expand":
        name = node.inputs[0]
        node = network.by_name.get(name)
    return name


def _named(network: Network, pattern: str) -> list[str]:
    """The nodes that a name or pattern means; of a module, those that are read from outside of it."""
    found = [node.name for node in network.nodes if _meant(node.name, pattern)]
    for module, members in network.modules.items():
        if _meant(module.partition("@")[0], pattern):
            found += exits(network, members)
    if not found:
        known = [*network.by_name, *network.modules]
        hint = did_you_mean(pattern, known, f"give {', '.join(_KINDS)}, a name or a pattern")
        raise UnknownNodeError(f"ignore={pattern!r} matches no node and no module of {network.name!r}; {hint}")
    return found


def _meant(name: str, pattern: str) -> bool:
    return name == pattern or fnmatchcase(name, pattern)
