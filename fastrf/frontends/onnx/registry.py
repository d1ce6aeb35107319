"""What rules of ONNX operators see: the walk, one node with what it reads, and where rules are registered."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import ChainMap
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
import onnx

from fastrf.errors import FormatError, UnsupportedOpError
from fastrf.frontends import moving
from fastrf.frontends.lowering import GraphWalk, Known, Value, compressed, without_batch
from fastrf.frontends.onnx.constants import Constant
from fastrf.frontends.options import DEFAULTS, Options
from fastrf.frontends.own import Table

__all__ = ["RULES", "Call", "Item", "Rule", "Scope", "Walk", "rule"]

#: What a name in a graph stands for; a list is a sequence, None an optional value that is absent.
Item = Value | Constant | list[Any] | None


class Scope(ChainMap[str, Item]):
    """Names of one body, and of those around it."""

    depth = 0  # bodies around this one

    def inner(self) -> Scope:
        """Names of a body within this one."""
        found = Scope({}, *self.maps)
        found.depth = self.depth + 1
        return found


@dataclass(frozen=True)
class Call:
    """One node with what it reads."""

    node: onnx.NodeProto
    op: str
    domain: str
    version: int
    inputs: tuple[Item, ...]
    attributes: Mapping[str, Any]
    scope: Scope

    def get(self, name: str, default: Any = None) -> Any:
        """An attribute; text as str."""
        value = self.attributes.get(name, default)
        return value.decode("utf-8", "replace") if isinstance(value, bytes) else value

    def has(self, k: int) -> bool:
        """Whether input `k` is given."""
        return k < len(self.inputs) and self.inputs[k] is not None

    def value(self, k: int) -> Value | None:
        """Input `k` if the network's input reaches it."""
        found = self.inputs[k] if k < len(self.inputs) else None
        return found if isinstance(found, Value) else None

    def dynamic(self, start: int = 0, stop: int | None = None) -> list[Value]:
        """All inputs from `start` to `stop` that the network's input reaches."""
        return [item for item in self.inputs[start:stop] if isinstance(item, Value)]

    def arguments(self) -> list[tuple[str, Any]]:
        """Inputs, which have no names, and attributes, as users' rules get them."""

        def table(item: Item) -> Any:
            if not isinstance(item, Constant):
                return item
            return Table(item.full, lambda: None if item.weight or item.values is None else item.values.tolist())

        given = {
            name: onnx.numpy_helper.to_array(a) if isinstance(a, onnx.TensorProto) else a
            for name, a in self.attributes.items()
        }
        return [*(("", table(item)) for item in self.inputs), *given.items()]

    def full(self, k: int) -> tuple[int, ...]:
        """The shape of input `k`."""
        found = self.inputs[k] if k < len(self.inputs) else None
        if not isinstance(found, Value | Constant):
            raise FormatError(f"input {k} is missing")
        return found.full

    def array(self, k: int) -> np.ndarray[Any, Any]:
        """The values of a constant input. Raises UnsupportedOpError where they are not known."""
        found = self.inputs[k] if k < len(self.inputs) else None
        if isinstance(found, Constant) and found.values is not None:
            return found.values
        what = "is computed from the input" if isinstance(found, Value) else "is not a small constant in the file"
        raise UnsupportedOpError(f"operator {self.op} with an input {k} that {what}")

    def number(self, k: int, default: Any = None) -> Any:
        """The one number of a constant input, or a default where it is not given."""
        return self.array(k).ravel()[0].item() if self.has(k) else default

    def integers(self, k: int, attribute: str = "", default: Any = None) -> list[int] | None:
        """Integers from input `k`, as newer versions of operators have them, or from an attribute; or a default."""
        if self.has(k):
            return [int(n) for n in self.array(k).ravel()]
        found = self.get(attribute, default)
        return found if found is None else [int(n) for n in found]

    def known(self, k: int) -> Known:
        """What is known of input `k` whatever the input and the weights are, NaN elsewhere."""
        found = self.inputs[k]
        assert isinstance(found, Value | Constant)
        return found.known if isinstance(found, Constant) else found.table

    def loosened(self, walk: Walk, k: int, result: Value) -> Value:
        """The result, listed as approximate where constants decide more of weight `k` than could be followed."""
        weight = self.inputs[k]
        return walk.loosened(result) if isinstance(weight, Constant) and weight.lost else result

    def operand(self, walk: Walk, k: int) -> Value:
        """Input `k` as a value; a constant becomes one that depends on nothing."""
        found = self.inputs[k]
        if isinstance(found, Value):
            return found
        assert isinstance(found, Constant)
        return replace(moving.constant(walk, walk.anything, found.full), known=compressed(found.known))


class Walk(GraphWalk, ABC):
    """The state of lowering one model, as rules see it."""

    def __init__(self, options: Options = DEFAULTS) -> None:
        super().__init__(options)
        self.dtypes: dict[str, np.dtype[Any]] = {}
        self.stores_weights = False  # whether the file has kernels and matrices among its stored tensors
        self.switches: list[str] = []  # inputs of one integer or truth value, which may steer what is computed
        self.anything: Value  # some input: what constants are shaped like
        self.times = 1  # how often the body at hand is run by the loops around it

    @abstractmethod
    def body(self, graph: onnx.GraphProto, outer: Scope, inputs: Sequence[Item]) -> list[Item]:
        """The outputs of a subgraph."""

    @abstractmethod
    def expect(self, times: int, nodes: Sequence[onnx.NodeProto]) -> None:
        """Raise LimitError where running a body so often, in the loops around it, takes too many steps."""

    @abstractmethod
    def inferred(self, call: Call, *, needed: bool) -> list[Constant]:
        """Shapes of the outputs, by ONNX's shape inference or as the file states; where not `needed`, those found."""

    def suppose(self, sentence: str) -> None:
        """Note what the whole network takes for granted."""
        if sentence not in self.assumes:
            self.assumes.append(sentence)

    def dtype_of(self, item: Value | Constant) -> np.dtype[Any]:
        """The type of a tensor's elements."""
        return item.dtype if isinstance(item, Constant) else self.dtypes.get(item.name, np.dtype(np.float32))

    def opaque(self, call: Call) -> list[Any]:
        """An over-approximation of every output, made when it is read: it may read all of every input."""
        return [partial(self.everything, call, result.full) for result in self.inferred(call, needed=True)]

    def everything(self, call: Call, full: tuple[int, ...]) -> Value:
        """A tensor of which every element may read all of every input."""
        return self.shaped(self.emit("opaque", *call.dynamic(), shape=list(without_batch(full)), full=full), full)


Rule = Callable[[Walk, Call], Any]

#: Every rule by domain and operator, the standard domain being "".
RULES: dict[tuple[str, str], Rule] = {}


def rule(*names: str, domain: str = "") -> Callable[[Rule], Rule]:
    """Register a rule for operators."""

    def register(function: Rule) -> Rule:
        RULES.update(dict.fromkeys(((domain, name) for name in names), function))
        return function

    return register
