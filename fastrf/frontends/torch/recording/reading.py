"""Values of tensors that a recording run asks for, worked out from the graph, and what they were worked out from."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

import torch
from torch.fx import Graph, Node

from fastrf.budget import require_memory
from fastrf.errors import UnsupportedOpError

__all__ = ["Values"]

_GIVEN, _ZEROS = "the example input", "an input of zeros"
_WEIGHTS, _DRAWN = "the weights as they are", "numbers as they were drawn once"


class Values:
    """The values of nodes for the example inputs, of which `made` are zeros in place of what is not known."""

    def __init__(self, graph: Graph, examples: Mapping[str, torch.Tensor], made: Collection[str]) -> None:
        self.stored: dict[Node, torch.Tensor] = {}
        self.parameters: dict[Node, str] = {}  # with their names
        self.told: list[str] = []  # what else is taken for granted
        self._graph, self._examples, self._made = graph, examples, made
        self._known: dict[Node, Any] = {}
        self._sources: dict[Node, frozenset[str]] = {}
        self._read: dict[str, set[str]] = {}

    def of(self, node: Node, module: str, *, leave: bool) -> torch.Tensor:
        """The values of a node, which the module of that name asks for, maybe to work with them outside torch.

        Raises UnsupportedOpError for a map of what the input holds, of which nobody could tell where it goes, and
        LimitError for more than there is memory for.
        """
        needed, stack = set(), [node]
        while stack:
            one = stack.pop()
            if one not in needed and one not in self._known:
                needed.add(one)
                stack += one.all_input_nodes
        self._require_memory(needed, module)
        for one in self._graph.nodes if needed else ():
            if one in needed:
                self._work_out(one)
        self._read.setdefault(module, set()).update(self._sources[node])
        found: torch.Tensor = self._value(node)
        if leave and found.numel() > 1 and found.is_floating_point() and self._sources[node] & {_GIVEN, _ZEROS}:
            what = f"{self._place(module)} takes a map {tuple(found.shape)} out of torch (numpy(), tolist())"
            raise UnsupportedOpError(
                f"{what}, where it cannot be followed; keep it in torch, or give the module a rule (fastrf.rule)"
            )
        return found

    def _require_memory(self, needed: Collection[Node], module: str) -> None:
        made = [one.meta.get("val") for one in needed if one.op != "placeholder"]
        tensors = [t for several in made for t in (several if isinstance(several, list | tuple) else [several])]
        n_bytes = sum(t.numel() * t.element_size() for t in tensors if isinstance(t, torch.Tensor))
        what = f"values that {self._place(module)} looks at, for its control flow or numbers that it reads,"
        require_memory(n_bytes, what, "use a smaller input_shape")

    def assumed(self) -> list[str]:
        """What was taken for granted, by module."""
        read = [
            f"the control flow of {self._place(name)}, and numbers that it reads from tensors, are those of "
            + " and ".join(sorted(sources))
            for name, sources in self._read.items()
            if sources
        ]
        return [*read, *dict.fromkeys(self.told)]

    @staticmethod
    def _place(module: str) -> str:
        return f"the module {module}" if module else "the model"

    def _work_out(self, node: Node) -> None:
        self._sources[node] = self._own_source(node).union(*(self._sources[one] for one in node.all_input_nodes))
        if node.op == "placeholder":  # a constant may get another copy of what it held
            return
        args, kwargs = torch.fx.node.map_arg((node.args, node.kwargs), self._value)
        assert callable(node.target)
        self._known[node] = node.target(*args, **kwargs)

    def _value(self, node: Node) -> Any:
        if node in self._known:
            return self._known[node]
        return self.stored[node] if node in self.stored else self._examples[str(node.target)]

    def _own_source(self, node: Node) -> frozenset[str]:
        if node.op == "placeholder":
            if node in self.stored:
                return frozenset({_WEIGHTS} if node in self.parameters else ())
            return frozenset({_ZEROS if node.target in self._made else _GIVEN})
        drawn = torch.Tag.nondeterministic_seeded in getattr(node.target, "tags", ())
        return frozenset({_DRAWN} if drawn else ())
