"""The exported graph, node by node.

A node that the input reaches is lowered by its rule; one that it does not reach is evaluated, and only when a rule asks
for its value, so that weights are never needed.
"""

from __future__ import annotations

import operator
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import torch
import torch.utils._pytree as pytree
from torch.fx import Graph, GraphModule, Node

from fastrf.errors import NetworkError, UnsupportedOpError
from fastrf.frontends.lowering import Value
from fastrf.frontends.masking import set_added
from fastrf.frontends.options import DEFAULTS, Options
from fastrf.frontends.own import by_rule
from fastrf.frontends.torch.arguments import bound, fake_shape, operator_name, short_name
from fastrf.frontends.torch.known import added_to_weight, moved, with_added, with_zeros
from fastrf.frontends.torch.names import MOVES, STORED, VALUE_FREE
from fastrf.frontends.torch.naming import scope_of
from fastrf.frontends.torch.parameters import Tally
from fastrf.frontends.torch.programs import Program
from fastrf.frontends.torch.registry import RULES, Later, Walk
from fastrf.frontends.torch.simplifying import arguments_read, simpler
from fastrf.frontends.torch.weights import all_loosened, is_random, of_weight, zeros_are_missed
from fastrf.ops.rules import Rule as UsersRule
from fastrf.ops.rules import rule_of

__all__ = ["ProgramWalk"]

#: Recipes of operators within recipes are followed so deep.
_DEPTH = 8
#: Subgraphs under a context manager.
_CONTEXTS = ("python::wrap_with_set_grad_enabled", "python::wrap_with_autocast")


class ProgramWalk(Walk):
    """One way through a captured program, from its inputs to its outputs."""

    def __init__(self, program: Program, options: Options = DEFAULTS) -> None:
        super().__init__(program, options)
        self._pieces: dict[Node, Any] = {}
        self._returned = dict.fromkeys(self.names.returned.values())
        self._unreached: dict[Node, Value] = {}  # layers for those of them that the input does not reach
        self.tally = Tally(program.sizes)
        self.reserve([*program.classes, *self.names.returned])
        self.reserve(name for node in program.graph.nodes for name in scope_of(node))
        self._inner = ""  # the operators that are being taken apart

    def run(self, graph: Graph) -> None:
        """Lower every node of a graph that the input reaches."""
        for node in graph.nodes:
            if node.op == "call_function" and self._reached(node) and self._has_result(node):
                start = len(self.layers)
                result = self._lower(node)
                if isinstance(result, Later):
                    self._bind(node, result)
                else:
                    self.values[node] = result
                    made = len(self.layers) > start or self._made > 0
                    self._count(node, made=isinstance(result, Value) and made)
            elif not self._reached(node):
                self._note_weight(node)
                if node in self._returned and node not in self.values:
                    self._make_constant(node)

    def _begin(self, node: Node, made: int = 0) -> None:
        """Start on a node by its name; of one of an operator that is taken apart, by that operator's and its own."""
        if self._inner:
            self.begin(self._inner + node.name, scope_of(node) or self.scope, made)
        else:
            self.begin(self.names.of(node), scope_of(node), made)
            self.owned = self.names.own(node)

    def _count(self, node: Node, made: bool) -> None:
        """Count the parameters that a node reads; those of a module that a user has a rule for are its own business."""
        known = short_name(node) not in ("fastrf::module", "fastrf::modules")
        self.tally.count(node, self.weights_of(node.all_input_nodes), self.layers, made, known)

    def _note_weight(self, node: Node) -> None:
        """Remember a node that a parameter or drawn numbers reach, and what constants decide of it."""
        own = self.program.parameters.get(node)
        if node.op == "placeholder":
            if own:
                self._weighty[node], self._decided[node] = frozenset([own]), None
            return
        read = () if short_name(node) in VALUE_FREE else [n for n in node.all_input_nodes if n in self._weighty]
        if own or read or is_random(node) or short_name(node) in STORED:
            self._weighty[node] = frozenset([own]) if own else self.weights_of(read)
            self._decided[node] = of_weight(self, node)
            added = added_to_weight(self, node)
            if added is not None:
                self._added[node] = added

    def _reached(self, node: Node) -> bool:
        return any(argument in self.values for argument in node.all_input_nodes)

    @staticmethod
    def _has_result(node: Node) -> bool:
        """Whether a node is no mere assertion."""
        return node.meta.get("val") is not None or not isinstance(node.target, torch._ops.OpOverload)

    def _lower(self, node: Node) -> Any:
        """The node's value, or values; of one that reads no value that the input reaches, the node it equals."""
        self._begin(node)
        name = short_name(node)
        if node.target is operator.getitem:
            return self._item(node)
        if name in _CONTEXTS:
            return self._inline(node)
        found, start = RULES.get(name), len(self.layers)
        try:
            own = rule_of(operator_name(node)) if isinstance(node.target, torch._ops.OperatorBase) else None
            if own is not None:
                return self._finished(node, self._by_users_rule(node, own))
            if (found is None or node.all_input_nodes[0] not in self.values) and self._reads_nothing(node):
                return self._constant_of_shapes(node)
            result = self._taken_apart(node) if found is None else with_zeros(self, node, found(self, node), start)
        except UnsupportedOpError:
            if not self.options.full:
                raise
            result = self.opaque(node)
        if isinstance(result, Value) and name in MOVES:
            result = replace(self.shaped(result, fake_shape(node)), known=moved(self, node))
        if found is not None and zeros_are_missed(self, node):
            result = self.shaped(result, fake_shape(node)) if isinstance(result, Value) else result
            result = all_loosened(self, result)
        return self._finished(node, result)

    def _by_users_rule(self, node: Node, own: UsersRule) -> Any:
        outputs = node.meta["val"]
        several = isinstance(outputs, list | tuple)
        fulls = [tuple(like.shape) for like in (outputs if several else [outputs])]
        named = bound(node).items() if isinstance(node.target, torch._ops.OpOverload) else [("", a) for a in node.args]
        arguments = [(name, self.argument(given)) for name, given in named]
        items, _ = by_rule(self, own, arguments, fulls)
        if len(items) > len(fulls):
            raise NetworkError(
                f"node {self.node!r}: the rule for {own.name} makes {len(items)} tensors of {len(fulls)}"
            )
        return items if several else items[0]()

    def _reads_nothing(self, node: Node) -> bool:
        pointwise = short_name(node) in RULES and torch.Tag.pointwise in getattr(node.target, "tags", ())
        return not pointwise and not any(argument in self.values for argument in arguments_read(node))

    def _constant_of_shapes(self, node: Node) -> Later:
        """The same operator on tensors that stand for those of which only shape and type are read."""
        rest = [argument for argument in node.all_input_nodes if argument not in self.values]

        def stand_in(argument: Node) -> Any:
            if argument not in self.values:
                return self.constant(argument)
            fake = argument.meta["val"]
            return torch.zeros((), dtype=fake.dtype).expand(tuple(fake.shape))

        def compute() -> Any:
            arguments, named = pytree.tree_map_only(Node, stand_in, (node.args, node.kwargs))
            named = {key: given for key, given in named.items() if key not in ("device", "pin_memory", "layout")}
            assert callable(node.target)
            return node.target(*arguments, **named)

        weighty = is_random(node) or any(map(self.has_parameters, rest))
        return Later(compute, self.weights_of(rest) if weighty else None)

    def _taken_apart(self, node: Node) -> Any:
        """An operator without a rule, as torch writes it in others."""
        graph = simpler(node) if self._inner.count("~") < _DEPTH else None
        if graph is None:
            raise self.no_rule(operator_name(node))
        before, scope, count = self._inner, self.scope, len(self.layers)
        self._inner = f"{self.node}~"
        try:
            result = self._body(graph, node.all_input_nodes)
        finally:
            self._inner, self.scope = before, scope
        self._begin(node, len(self.layers) - count)
        return result if isinstance(node.meta["val"], list | tuple) else result[0]

    def _body(self, graph: Graph, arguments: Sequence[Any]) -> list[Any]:
        """The results of a graph within the graph."""
        placeholders = [n for n in graph.nodes if n.op == "placeholder"]
        for placeholder, argument in zip(placeholders, arguments, strict=True):
            if argument in self.values:
                self.values[placeholder] = self.values[argument]
            else:
                self._bind(placeholder, self._later(argument))
        self.run(graph)
        (results,) = next(n for n in graph.nodes if n.op == "output").args
        flat = results if isinstance(results, list | tuple) else [results]
        return [self.values[r] if r in self.values else self._later(r) for r in flat]

    def _later(self, argument: Any) -> Later:
        """What a constant of another graph is."""
        weighty = self.has_parameters(argument)
        weights, decided = (self.weights_of([argument]), self.decided(argument)) if weighty else (None, None)
        return Later(lambda: self.constant(argument), weights, decided, argument in self.lost)

    def _bind(self, node: Node, constant: Later) -> None:
        self._constants[node] = constant
        if constant.weights is not None:
            self._weighty[node] = constant.weights
            self._decided[node] = constant.decided
            self.lost |= {node} if constant.lost else set()

    def _finished(self, node: Node, result: Any) -> Any:
        if isinstance(result, Value) and _is_tensor(node):
            return with_added(self, node, self.finish(result, fake_shape(node)))
        return result

    def _item(self, node: Node) -> Any:
        """One of several results, made when it is asked for."""
        source, index = node.args
        items = self.values[source] if isinstance(source, Node) else None
        if not isinstance(source, Node) or not isinstance(items, Sequence) or not isinstance(index, int):
            return None
        if index >= len(items) and not self.options.full:  # statistics, of which rules know nothing
            raise self.unsupported(source)
        item = items[index] if index < len(items) else self.opaque(source)[index]
        unnamed = isinstance(item, Value) and self._is_unnamed(item, source) and sum(one is item for one in items) == 1
        if unnamed:  # the layer that the operator has just made for this result alone
            self._begin(node, 1)
        item = item() if callable(item) else item
        if isinstance(item, Value) and short_name(source) in MOVES:
            if source not in self._pieces:
                self._pieces[source] = [moved(self, source, kind) for kind in ("known", "added")]
            known, added = (pieces[index] if pieces else None for pieces in self._pieces[source])
            item = replace(self.finish(item, fake_shape(node)), known=known)
            return set_added(self, item, added)
        found = self._finished(node, item) if isinstance(item, Value) else item
        if unnamed:
            self.values[source] = [*items[:index], found, *items[index + 1 :]]
        return found

    def _is_unnamed(self, value: Value, node: Node) -> bool:
        """Whether a value is that of the last layer, which the operator of a node made and nobody has named."""
        made = bool(self.layers) and self.layers[-1]["name"] == value.name
        return made and not self._inner and value.name.startswith(f"{self.names.of(node)}~")

    def _inline(self, node: Node) -> list[Any]:
        """A subgraph under a context manager, in place."""
        position = next(i for i, a in enumerate(node.args) if isinstance(a, Node) and a.op == "get_attr")
        inner = getattr(self.program.module, str(node.args[position].target))  # type: ignore[union-attr]
        assert isinstance(inner, GraphModule)
        return self._body(inner.graph, node.args[position + 1 :])

    def _make_constant(self, node: Node) -> None:
        """A layer for what a module returned, though the input does not reach it."""
        self._begin(node)
        full = fake_shape(node)
        self._unreached[node] = self.finish(self.nothing(full), full)
        self.tally.count(node, self.weights_of([node]), self.layers, made=True)

    def returns(self) -> dict[str, str]:
        """The layer of every tensor that a module call returned, by the names of `Names.returned`."""
        for node in self._returned:
            if node not in self.values and node not in self._unreached:
                self._make_constant(node)
        return {name: {**self._unreached, **self.values}[node].name for name, node in self.names.returned.items()}

    def aliases(self) -> dict[str, str]:
        """Layers by their names in the graph, where these are others."""
        found = {node.name: self.values[node].name for node in self.program.graph.nodes if self.value(node)}
        return {name: layer for name, layer in found.items() if name not in self._used and not self.is_reserved(name)}


def _is_tensor(node: Node) -> bool:
    return isinstance(node.meta.get("val"), torch.Tensor)
