"""The exported graph, node by node.

A node that the input reaches is lowered by its rule; one that it does not reach is evaluated, and only when a rule asks
for its value, so that weights are never needed.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
import torch
import torch.utils._pytree as pytree
from torch.export import ExportedProgram
from torch.fx import Graph, GraphModule, Node

from fastrf.budget import limits
from fastrf.errors import NetworkError, ShapeError, UnsupportedOpError
from fastrf.frontends.lowering import GraphWalk, Value, without_batch
from fastrf.frontends.masking import shifted
from fastrf.frontends.moving import constant
from fastrf.frontends.options import DEFAULTS, Options
from fastrf.frontends.own import Table, by_rule
from fastrf.frontends.torch.added import with_added
from fastrf.frontends.torch.arguments import bound, fake_shape, operator_name
from fastrf.frontends.torch.known import moved, with_zeros
from fastrf.frontends.torch.names import MOVES, VALUE_FREE
from fastrf.frontends.torch.returning import Returned, returned_by
from fastrf.frontends.torch.simplifying import arguments_read, simpler
from fastrf.frontends.torch.weights import all_loosened, is_random, of_weight, zeros_are_missed
from fastrf.ops.rules import Rule as UsersRule
from fastrf.ops.rules import rule_of

__all__ = ["RULES", "Walk", "rule", "scope_of"]

Rule = Callable[["Walk", Node], Any]

#: Recipes of operators within recipes are followed so deep.
_DEPTH = 8

#: Every rule by operator name, overload included or not.
RULES: dict[str, Rule] = {}


def rule(*names: str) -> Callable[[Rule], Rule]:
    """Register a rule for ATen (or other) operators, e.g. "aten::conv2d"."""

    def register(function: Rule) -> Rule:
        RULES.update(dict.fromkeys(names, function))
        return function

    return register


class Walk(GraphWalk):
    """The state of one lowering: values of the nodes that the input reaches, and constants on demand."""

    def __init__(self, exported: ExportedProgram, options: Options = DEFAULTS) -> None:
        super().__init__(options)
        self.values: dict[Node, Any] = {}
        self._exported = exported
        self._constants: dict[Node, Any] = {}
        self._weighty: set[Node] = set()
        self._decided: dict[Node, Any] = {}
        self.lost: set[Node] = set()
        self.combined = 1  # products of kernels with unstructured zeros so far
        self._pieces: dict[Node, Any] = {}
        self.returned: list[tuple[Returned, Node]] = []
        self._inner = ""  # the operators that are being taken apart

    # What rules use --------------------------------------------------------------------------------------

    def value(self, argument: Any) -> Value | None:
        """The value of an argument that the input reaches, otherwise None."""
        found = self.values.get(argument) if isinstance(argument, Node) else None
        return found if isinstance(found, Value) else None

    def dynamic(self, arguments: Sequence[Any]) -> list[Value]:
        """The values among arguments that the input reaches."""
        return [v for v in map(self.value, arguments) if v is not None]

    def constant(self, argument: Any) -> Any:
        """The value of an argument that does not depend on the input; nodes are evaluated."""
        return pytree.tree_map_only(Node, self._evaluate, argument)

    def array(self, argument: Any) -> np.ndarray[Any, Any]:
        """A constant tensor as an array."""
        found = self.constant(argument)
        if not isinstance(found, torch.Tensor):
            return np.asarray(found)
        found = found.detach().to("cpu")
        narrow = found.is_floating_point() and found.dtype.itemsize <= 2  # NumPy has not all of these
        return (found.float() if narrow else found).numpy()

    def has_parameters(self, argument: Any) -> bool:
        """Whether a constant comes from a parameter, whose values are never looked at, or from drawn numbers."""
        return isinstance(argument, Node) and argument in self._weighty

    def decided(self, node: Node) -> Any:
        """What constants decide of a tensor made from parameters (see `weights`), or of each of several."""
        return self._decided.get(node)

    def known(self, argument: Any) -> np.ndarray[Any, Any] | None:
        """A constant tensor whose values may be looked at: no weight, and not on the meta device."""
        if self.has_parameters(argument):
            return None
        try:
            return self.array(argument)
        except UnsupportedOpError:
            return None

    def unsupported(self, node: Node) -> UnsupportedOpError:
        """The error of a rule that does not cover these arguments."""
        return self.no_rule(operator_name(node), exist=True)

    def settle(self, node: Node, given: Any) -> None:
        """Take an input for the constant that it is given as."""
        fake = node.meta["val"]
        try:
            value = torch.as_tensor(given).to(fake.dtype).expand(tuple(fake.shape))
        except (RuntimeError, TypeError, ValueError) as error:
            raise ShapeError(
                f"values: {node.name!r} has shape {tuple(fake.shape)}, not that of what is given"
            ) from error
        self._constants[node] = value

    # The walk --------------------------------------------------------------------------------------------

    def run(self, graph: Graph) -> None:
        """Lower every node of a graph that the input reaches."""
        for node in graph.nodes:
            if node.op == "call_function" and self._reached(node) and self._has_result(node):
                result = self._lower(node)
                if isinstance(result, _Later):
                    self._bind(node, result)
                else:
                    self.values[node] = result
            elif not self._reached(node):
                self._note_weight(node)
            self.returned += [(found, node) for found in returned_by(node)]

    def _note_weight(self, node: Node) -> None:
        """Remember a node that a parameter or drawn numbers reach, and what constants decide of it."""
        own = node.graph is self._exported.graph and node.name in self._exported.graph_signature.inputs_to_parameters
        read = operator_name(node) not in VALUE_FREE and any(n in self._weighty for n in node.all_input_nodes)
        if own or read or is_random(node):
            self._weighty.add(node)
            self._decided[node] = of_weight(self, node)

    def _reached(self, node: Node) -> bool:
        return any(argument in self.values for argument in node.all_input_nodes)

    @staticmethod
    def _has_result(node: Node) -> bool:
        """Whether a node is no mere assertion."""
        return node.meta.get("val") is not None or not isinstance(node.target, torch._ops.OpOverload)

    def _lower(self, node: Node) -> Any:
        """The node's value, or values; of one that reads no value that the input reaches, the node it equals."""
        self.begin(self._inner + node.name, scope_of(node) or self.scope * bool(self._inner))
        name = operator_name(node)
        if node.target is operator.getitem:
            return self._item(node)
        if name in ("wrap_with_set_grad_enabled", "wrap_with_autocast"):
            return self._inline(node)
        found, start = RULES.get(name), len(self.layers)
        try:
            own = rule_of(name) if isinstance(node.target, torch._ops.OperatorBase) else None
            if own is not None:
                return self._finished(node, self._by_users_rule(node, own))
            if (found is None or node.all_input_nodes[0] not in self.values) and self._reads_nothing(node):
                return self._constant_of_shapes(node)
            result = self._taken_apart(node) if found is None else with_zeros(self, node, found(self, node), start)
        except UnsupportedOpError:
            if not self.options.full:
                raise
            result = self.opaque_results(node)
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
        results = by_rule(self, own, arguments, fulls)
        items = results if isinstance(results, list) else [results]
        if len(items) > len(fulls):
            raise NetworkError(
                f"node {self.node!r}: the rule for {own.name} makes {len(items)} tensors of {len(fulls)}"
            )
        return items if several else items[0]()

    def argument(self, given: Any) -> Any:
        """An argument as users' rules get it: tensors as values, or as tables where the input does not reach them."""

        def of(node: Node) -> Any:
            if node in self.values or not _is_tensor(node):
                return self.values[node] if node in self.values else self.constant(node)
            return Table(fake_shape(node), lambda: None if (found := self.known(node)) is None else found.tolist())

        return pytree.tree_map_only(Node, of, given)

    def _reads_nothing(self, node: Node) -> bool:
        pointwise = operator_name(node) in RULES and torch.Tag.pointwise in getattr(node.target, "tags", ())
        return not pointwise and not any(argument in self.values for argument in arguments_read(node))

    def _constant_of_shapes(self, node: Node) -> _Later:
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

        return _Later(compute, is_random(node) or any(map(self.has_parameters, rest)))

    def _taken_apart(self, node: Node) -> Any:
        """An operator without a rule, as torch writes it in others."""
        graph = simpler(node) if self._inner.count("~") < _DEPTH else None
        if graph is None:
            raise self.no_rule(operator_name(node))
        before, scope, count = self._inner, self.scope, len(self.layers)
        self._inner += f"{node.name}~"
        try:
            result = self._body(graph, node.all_input_nodes)
        finally:
            self._inner, self.scope = before, scope
        self.begin(before + node.name, scope, len(self.layers) - count)
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

    def _later(self, argument: Any) -> _Later:
        """What a constant of another graph is."""
        weighty = self.has_parameters(argument)
        decided = self.decided(argument) if weighty else None
        return _Later(lambda: self.constant(argument), weighty, decided, argument in self.lost)

    def _bind(self, node: Node, constant: _Later) -> None:
        self._constants[node] = constant
        if constant.weighty:
            self._weighty.add(node)
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
        item = items[index] if isinstance(items, Sequence) and isinstance(index, int) else None
        item = item() if callable(item) else item
        if isinstance(item, Value) and isinstance(source, Node) and operator_name(source) in MOVES:
            if source not in self._pieces:
                self._pieces[source] = [moved(self, source, kind) for kind in ("known", "added")]
            known, added = (pieces[index] if pieces else None for pieces in self._pieces[source])
            item = replace(self.finish(item, fake_shape(node)), known=known)
            return shifted(self, item, added)
        return self._finished(node, item) if isinstance(item, Value) else item

    def _inline(self, node: Node) -> list[Any]:
        """A subgraph under a context manager, in place."""
        position = next(i for i, a in enumerate(node.args) if isinstance(a, Node) and a.op == "get_attr")
        inner = getattr(self._exported.graph_module, str(node.args[position].target))  # type: ignore[union-attr]
        assert isinstance(inner, GraphModule)
        return self._body(inner.graph, node.args[position + 1 :])

    def nothing(self, full: tuple[int, ...]) -> Value:
        """A tensor that depends on nothing."""
        like = next(iter(self.values.values()))
        return constant(self, like, full)

    def returns(self) -> dict[str, str]:
        """The layer of every tensor that a module call returned, by names such as "conv", "relu@1" or "lstm[0]"."""
        calls: dict[str, dict[int, int]] = {}
        for found, _ in self.returned:
            numbers = calls.setdefault(found.module, {})
            numbers.setdefault(found.call, len(numbers))
        names = {}
        for found, node in self.returned:
            numbers = calls[found.module]
            number = f"@{numbers[found.call]}" if len(numbers) > 1 else ""
            if node not in self.values:
                self.begin(node.name)
                full = fake_shape(node)
                self.values[node] = self.finish(self.nothing(full), full)
            names[f"{found.module}{number}{found.item}"] = self.values[node].name
        return names

    def opaque(self, node: Node) -> Value:
        """An over-approximation of an operator with one result: every element reads all of every input."""
        result = self.opaque_results(node)
        if not isinstance(result, Value):
            raise self.unsupported(node)
        return result

    def opaque_results(self, node: Node) -> Any:
        """The same for an operator with one result or several."""
        inputs = self.dynamic(node.all_input_nodes)
        outputs = node.meta["val"]

        def one(like: torch.Tensor) -> Value:
            full = tuple(like.shape)
            return self.shaped(self.emit("opaque", *inputs, shape=list(without_batch(full)), full=full), full)

        if isinstance(outputs, torch.Tensor):
            return one(outputs)
        return [one(like) if isinstance(like, torch.Tensor) else None for like in outputs]

    # Constants -------------------------------------------------------------------------------------------

    def _evaluate(self, node: Node) -> Any:
        if node in self._constants:
            found = self._constants[node]
            if isinstance(found, _Later):
                found = self._constants[node] = found.compute()
            return found
        if node in self.values:
            raise self.unsupported(node)
        self._constants[node] = result = self._compute(node)
        return result

    def _compute(self, node: Node) -> Any:
        if node.op == "placeholder":
            return self._stored(node)
        if node.op == "get_attr":
            return operator.attrgetter(str(node.target))(self._exported.graph_module)
        leaves = pytree.tree_leaves(node.meta.get("val"))
        count = sum(math.prod(map(int, leaf.shape)) for leaf in leaves if isinstance(leaf, torch.Tensor))
        limits.require("constant", count, f"node {node.name!r}: a constant of {count} values")
        arguments, named = self.constant((node.args, node.kwargs))
        assert callable(node.target)
        try:
            with torch.no_grad():
                return node.target(*arguments, **named)
        except (RuntimeError, MemoryError, TypeError, ValueError, IndexError) as error:
            reason = " ".join(str(error).split())[:200]
            raise NetworkError(f"node {node.name!r}: its constant value cannot be worked out: {reason}") from error

    def _stored(self, node: Node) -> Any:
        """A parameter, buffer or lifted constant."""
        signature = self._exported.graph_signature
        stores: list[tuple[Mapping[str, str], Mapping[str, Any]]] = [
            (signature.inputs_to_parameters, self._exported.state_dict),
            (signature.inputs_to_buffers, {**self._exported.constants, **self._exported.state_dict}),
            (signature.inputs_to_lifted_tensor_constants, self._exported.constants),
        ]
        for names, store in stores:
            if node.name in names:
                found = store[names[node.name]]
                if found.is_meta:
                    raise UnsupportedOpError(f"node {node.name!r}: its value is needed but is on the meta device")
                return found
        return node.meta.get("val")


class _Later(NamedTuple):
    """A constant that is evaluated when a rule asks for it, and what it has of parameters."""

    compute: Callable[[], Any]
    weighty: bool
    decided: Any = None
    lost: bool = False


def _is_tensor(node: Node) -> bool:
    return isinstance(node.meta.get("val"), torch.Tensor)


def scope_of(node: Node) -> tuple[str, ...]:
    """Qualified names of the modules that a node runs in, outermost first; a repeated call ends in `@k`."""
    stack = node.meta.get("nn_module_stack") or {}
    names = []
    for key, entry in stack.items():
        path = str(entry[0]).removeprefix("L['self'].").removeprefix("L__self__")
        call = str(key).rpartition("@")[2] if "@" in str(key) else ""
        if path:
            names.append(f"{path}@{call}" if call.isdigit() else path)
    return tuple(names)
