"""What a name stands for: a node, an input, or what a module returned.

A network captured from modules says which layer holds each tensor that a module call returned. Of a network that only
says in which modules its layers run, a module stands for the one layer that is read outside of it; where several are,
the name is refused, never guessed.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

from fastrf.errors import UnknownNodeError, did_you_mean
from fastrf.network import Network, Node, split_name

#: What modules that wrap the whole model put before its names.
_WRAPPERS = ("module.", "_orig_mod.")

__all__ = ["calls", "exits", "labelled", "last_map", "resolve", "result_within", "row_name"]


def resolve(network: Network, name: str) -> str:
    """The node that a name stands for. Raises UnknownNodeError.

    That is the node or input of that name; or what the module of that name returned in its last call (`name@k` is call
    `k`, `name[0]` or `name[key]` one of several tensors); or the layer that it is another name of; or the output of
    that key (`out.0` for "0"); or the last node whose dotted name begins with it.
    """
    if not isinstance(name, str):
        raise UnknownNodeError(f"node {name!r} is not a name; names are strings")
    if name in network.by_name or name in network.inputs:
        return name
    found = _of_module(network, name)
    if found is None and name in network.aliases:
        return network.aliases[name]
    if found is None and f"out.{name}" in network.by_name:
        return f"out.{name}"
    if found is None:
        found = _with_prefix(network, name) or _by_key(network, name)
    if len(found) == 1:
        return found[0]
    if found:
        several = ", ".join(found[:12])
        raise UnknownNodeError(f"{name!r} stands for several tensors; ask for one of {several}")
    if name.startswith(_WRAPPERS):
        return resolve(network, name.partition(".")[2])
    known = dict.fromkeys([*network.inputs, *network.by_name, *network.modules, *network.returns])
    hint = did_you_mean(name, known, "fastrf summary lists the nodes.")
    outputs = f"{', '.join(network.outputs[:6])}{', ...' * (len(network.outputs) > 6)}"
    raise UnknownNodeError(f"node {name!r} is not in network {network.name!r}; {hint} Its outputs: {outputs}")


def _by_key(network: Network, key: str) -> Sequence[str]:
    """What modules, the outermost first, return under a key such as a backbone's `p6`: a node, or names of several."""
    modules = {name: f"{name.removesuffix(f'[{key}]')}." for name in network.returns if name.endswith(f"[{key}]")}
    names = [
        name for name, own in modules.items() if not own.startswith(tuple(m for m in modules.values() if m != own))
    ]
    nodes = {network.returns[name] for name in names}
    return [*nodes] if len(nodes) == 1 else names


def _of_module(network: Network, name: str) -> Sequence[str] | None:
    """The one node that a module's name stands for, the names of several, or None if it is no module's."""
    if not network.returns:
        members = network.modules.get(name)
        return None if members is None else exits(network, members)
    module, call, item = split_name(name)
    found = network.returned.get(module)
    if not found or (call is not None and call not in found):
        return None
    number = max(found) if call is None else call
    items = found[number]
    if item in items:
        return [items[item]]
    below = {key: node for key, node in items.items() if key.startswith(item)}
    shown = module if call is None else f"{module}@{call}"
    return list(below.values()) if len(below) == 1 else [f"{shown}{key}" for key in below] or None


def _with_prefix(network: Network, name: str) -> Sequence[str]:
    """The last node whose dotted name begins with a name; all of them where they are outputs of the network.

    Of a container of modules that itself does not run, what is read outside of it.
    """
    below = [node.name for node in network.nodes if node.name.startswith(f"{name}.")]
    if name in network.classes:
        return exits(network, below)
    outputs = [node for node in below if node in network.outputs]
    return outputs if len(outputs) > 1 else below[-1:]


def exits(network: Network, members: Collection[str]) -> list[str]:
    """Those of some nodes that are read by others or are outputs of the network."""
    inside = set(members)
    outside = {read for node in network.nodes if node.name not in inside for read in node.inputs}
    return [name for name in members if name in outside or name in network.outputs]


def last_map(network: Network, name: str) -> str:
    """The last node before one, or that itself, that has more than one position, and its shape; or nothing."""
    for node in network.needed([name]):
        positions = tuple(n for axis, n in enumerate(node.shape) if axis != node.channel_axis)
        if max(positions, default=1) > 1:
            names = [key for key, layer in network.returns.items() if layer == node.name]
            return f"{min([node.name, *names], key=len)!r} of {positions}"
    return ""


def calls(network: Network, module: str) -> list[str]:
    """Names of every call of a module in order; the name itself where calls are not numbered."""
    base, _, item = split_name(module)
    if network.returns:
        return [f"{base}@{call}{item}" for call in sorted(network.returned.get(base, ()))] or [module]
    numbered = [name for name in network.modules if name.rpartition("@")[0] == module]
    return sorted(numbered, key=lambda name: int(name.rpartition("@")[2])) or [module]


def result_within(network: Network, module: str, members: Sequence[str]) -> str | None:
    """Which of some nodes is what a call of a module returned; None where it is none or there are several."""
    inside = set(members)
    if network.returns:
        found = [call for call in network.returned.get(module, {}).values() if inside.issuperset(call.values())]
        return next(iter(found[-1].values())) if found and len(set(found[-1].values())) == 1 else None
    leaving = exits(network, members)
    return leaving[0] if len(leaving) == 1 else None


def row_name(node: Node) -> str:
    """What tables call a layer: its name, after that of the module that it runs in."""
    name = node.name.partition("~")[0]
    return labelled(node.scope[-1].partition("@")[0], name) if node.scope else name


def labelled(module: str, name: str) -> str:
    """A node's name, after that of its module where it does not begin with it."""
    return name if name.startswith(module) and name[len(module) :][:1] in (*".@[~", "") else f"{module}: {name}"
