"""The rules of ATen operators by name, and what a rule sees of the walk: values, constants, what is known of weights.

It stands below the rules and below the walk that calls them.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
import torch.utils._pytree as pytree
from torch.fx import Node

from fastrf.budget import limits
from fastrf.errors import NetworkError, ShapeError, UnsupportedOpError
from fastrf.frontends import moving
from fastrf.frontends.lowering import GraphWalk, Known, Value, without_batch
from fastrf.frontends.options import DEFAULTS, Options
from fastrf.frontends.own import Table
from fastrf.frontends.torch.arguments import fake_shape, operator_name
from fastrf.frontends.torch.naming import Names
from fastrf.frontends.torch.programs import Program

__all__ = ["RULES", "Later", "Walk", "rule"]

Rule = Callable[["Walk", Node], Any]

#: Every rule by the operator's plain name.
RULES: dict[str, Rule] = {}


def rule(*names: str) -> Callable[[Rule], Rule]:
    """Register a rule for ATen operators, e.g. "conv2d" (see `names.plain_name`), or "torchvision::deform_conv2d"."""

    def register(function: Rule) -> Rule:
        RULES.update(dict.fromkeys(names, function))
        return function

    return register


class Later(NamedTuple):
    """A constant that is evaluated when a rule asks for it, and what it has of parameters: None, or their names."""

    compute: Callable[[], Any]
    weights: frozenset[str] | None
    decided: Any = None
    lost: bool = False


class Walk(GraphWalk):
    """Values of the nodes that the input reaches, and constants on demand, so that weights are never needed."""

    def __init__(self, program: Program, options: Options = DEFAULTS) -> None:
        super().__init__(options)
        self.values: dict[Node, Any] = {}
        self.combined = 1  # products of kernels with unstructured zeros so far
        self.lost: set[Node] = set()
        self.program = program
        self.names = Names(program)
        self._constants: dict[Node, Any] = {}
        self._weighty: dict[Node, frozenset[str]] = {}  # and which parameters these are made of
        self._decided: dict[Node, Any] = {}
        self._added: dict[Node, Known] = {}  # what constants add to tensors made from parameters

    def value(self, argument: Any) -> Value | None:
        """The value of an argument that the input reaches, otherwise None."""
        found = self.values.get(argument) if isinstance(argument, Node) else None
        return found if isinstance(found, Value) else None

    def dynamic(self, arguments: Sequence[Any]) -> list[Value]:
        """The values among arguments that the input reaches."""
        return [v for v in map(self.value, arguments) if v is not None]

    def tensor(self, argument: Any, like: Value) -> Value:
        """The value of an argument, which may be a constant; `like` is any value."""
        return self.value(argument) or moving.constant(self, like, fake_shape(argument))

    def first(self, node: Node) -> Value:
        """The value of the first argument, which the input must reach."""
        x = self.value(node.args[0])
        if x is None:
            raise self.unsupported(node)
        return x

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
        found = found.float() if narrow else found
        try:
            return np.from_dlpack(found)
        except (
            BufferError,
            RuntimeError,
            TypeError,
        ):  # not `numpy` of a model's own: its memory could not grow any more
            return found.clone().numpy()

    def places(self, argument: Any) -> np.ndarray[Any, Any]:
        """A constant tensor of indices; those worked out from weights or drawn numbers are noted as assumed."""
        self.note_places([argument])
        return self.array(argument)

    def note_places(self, arguments: Iterable[Any]) -> None:
        """Note that indices are as weights, or drawn numbers, make them now; parameters that are indices stay."""
        for argument in arguments:
            stored = isinstance(argument, Node) and argument.op == "placeholder"
            if self.has_parameters(argument) and not stored:
                self.assume(f"node {self.node!r}: its places are those of weights, or of numbers drawn once")

    def argument(self, given: Any) -> Any:
        """An argument as users' rules get it: tensors as values, or as tables where the input does not reach them."""

        def of(node: Node) -> Any:
            if node in self.values or not isinstance(node.meta.get("val"), torch.Tensor):
                return self.values[node] if node in self.values else self.constant(node)
            return Table(fake_shape(node), lambda: None if (found := self.known(node)) is None else found.tolist())

        return pytree.tree_map_only(Node, of, given)

    def weights_of(self, arguments: Iterable[Any]) -> frozenset[str]:
        """The names of parameters that constants are made of."""
        return frozenset().union(*(self._weighty.get(argument, ()) for argument in arguments))

    def has_parameters(self, argument: Any) -> bool:
        """Whether a constant comes from a parameter, whose values are never looked at, or from drawn numbers."""
        return isinstance(argument, Node) and argument in self._weighty

    def decided(self, node: Node) -> Any:
        """What constants decide of a tensor made from parameters (see `weights`), or of each of several."""
        return self._decided.get(node)

    def added(self, argument: Any) -> Known | None:
        """What constants add to an argument, for a softmax that may read it."""
        value = self.value(argument)
        if value is not None:
            return value.added
        return self._added.get(argument) if isinstance(argument, Node) else None

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

    def nothing(self, full: tuple[int, ...]) -> Value:
        """A tensor that depends on nothing."""
        like = next(iter(self.values.values()))
        return moving.constant(self, like, full)

    def opaque(self, node: Node) -> Any:
        """An over-approximation: every element of every result reads all of every input."""
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
            if isinstance(found, Later):
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
            return operator.attrgetter(str(node.target))(self.program.module)
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
        found = self.program.stored.get(node)
        if found is None:
            return node.meta.get("val")
        if found.is_meta:
            raise UnsupportedOpError(f"node {node.name!r}: its value is needed but is on the meta device")
        return found
