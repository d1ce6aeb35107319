"""What layers are called: what a module returned bears its name, an operator in a module the module's and its own."""

from __future__ import annotations

import operator
from collections import Counter
from collections.abc import Iterator

from torch.fx import Graph, Node

from fastrf.frontends.torch.arguments import short_name
from fastrf.frontends.torch.names import SCOPE
from fastrf.frontends.torch.programs import Program
from fastrf.frontends.torch.returning import RETURNED, Returned

__all__ = ["Names", "scope_of"]


class Names:
    """The names of one program's nodes; `returned` are those of tensors that module calls returned, with their nodes.

    These are such as "conv", "relu@1" (a call of several), "lstm[0]" or "neck[p3]" (a tensor of several).
    """

    def __init__(self, program: Program) -> None:
        nodes = [node for graph in program.graphs for node in graph.nodes]
        self._notes = {node: node.meta[RETURNED] for node in nodes if RETURNED in node.meta} or _exits(program.graph)
        found = [(note, node) for node, notes in self._notes.items() for note in notes]
        calls: dict[str, dict[int, int]] = {}
        for note, _ in sorted(found, key=lambda pair: pair[0].call):
            calls.setdefault(note.module, {}).setdefault(note.call, len(calls[note.module]))
        self._calls = calls
        self.returned: dict[str, Node] = {self._key(note): node for note, node in found}
        self._names: dict[Node, str] = {}
        self._counts: Counter[str] = Counter()

    def _key(self, note: Returned) -> str:
        numbers = self._calls[note.module]
        return f"{note.module}@{numbers[note.call]}{note.item}" if len(numbers) > 1 else f"{note.module}{note.item}"

    def of(self, node: Node) -> str:
        """A node's name; of one outside of all modules, that of the graph."""
        found = self._names.get(node)
        if found is None:
            found = self._names[node] = self.own(node) or self._within(node)
        return found

    def own(self, node: Node) -> str | None:
        """The name of the module that a node runs in, if it is what that returned."""
        scope = scope_of(node)
        inner = scope[-1].partition("@")[0] if scope else None
        keys = (self._key(note) for note in self._notes.get(node, ()) if note.module == inner)
        return next((key for key in keys if self.returned[key] is node), None)

    def _within(self, node: Node) -> str:
        """The name of an operator in a module, numbered; of one of several results, that with the result's number."""
        scope = scope_of(node)
        if not scope:
            return node.name
        source = node.args[0] if node.target is operator.getitem else None
        if isinstance(source, Node) and source.op == "call_function":
            return f"{self.of(source)}[{node.args[1]}]"
        first = [self.own(item) for item in _first_items(node) if scope_of(item) == scope]
        if first and first[0] is not None:  # such as the norm among the results of its operator
            return first[0]
        name = f"{scope[-1]}.{short_name(node)}"
        self._counts[name] += 1
        return name if self._counts[name] == 1 else f"{name}_{self._counts[name] - 1}"


def _first_items(node: Node) -> Iterator[Node]:
    """The nodes of a node's first result, where it has several."""
    return (user for user in node.users if user.target is operator.getitem and user.args[1] == 0)


def _exits(graph: Graph) -> dict[Node, list[Returned]]:
    """What modules return where a program does not note it: of each call, the one node that is read outside of it."""
    scopes = {node: scope_of(node) for node in graph.nodes if node.op == "call_function"}
    leaving: dict[str, dict[Node, int]] = {}
    for number, (node, scope) in enumerate(scopes.items()):
        for name in reversed(scope):
            if any(name not in scopes.get(user, ()) for user in node.users):
                leaving.setdefault(name, {})[node] = number
    found: dict[Node, list[Returned]] = {}
    for name, nodes in leaving.items():
        for node, number in nodes.items() if len(nodes) == 1 else ():
            found.setdefault(node, []).append(Returned(name.partition("@")[0], "", number))
    return found


def scope_of(node: Node) -> tuple[str, ...]:
    """Qualified names of the modules that a node runs in, outermost first; a repeated call ends in `@k`."""
    if SCOPE in node.meta:
        noted: tuple[str, ...] = node.meta[SCOPE]
        return noted
    names = []
    for key, (path, _) in (node.meta.get("nn_module_stack") or {}).items():
        name = str(path).removeprefix("L['self'].").removeprefix("L__self__")
        call = str(key).rpartition("@")[2] if "@" in str(key) else ""
        if name:
            names.append(f"{name}@{call}" if call.isdigit() else name)
    return tuple(names)
