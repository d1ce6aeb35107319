"""One node with what it reads: tensors by number, attributes by name."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx

from fastrf.errors import FormatError, UnsupportedOpError
from fastrf.frontends.lowering import Known, Mask, Value, compressed
from fastrf.frontends.moving import constant
from fastrf.frontends.onnx.constants import Constant
from fastrf.frontends.onnx.printing import printable

if TYPE_CHECKING:
    from fastrf.frontends.onnx.walk import Walk

__all__ = ["Call", "Item", "Scope", "printable"]

#: What a name in a graph stands for; a list is a sequence, None an optional value that is absent.
Item = Value | Constant | list[Any] | None


class Scope:
    """Names of one body, and of those around it."""

    def __init__(self, outer: Scope | None = None) -> None:
        self._items: dict[str, Item] = {}
        self._outer = outer
        self.depth: int = 0 if outer is None else outer.depth + 1

    def __contains__(self, name: str) -> bool:
        return name in self._items or (self._outer is not None and name in self._outer)

    def __getitem__(self, name: str) -> Item:
        if name in self._items or self._outer is None:
            return self._items[name]
        return self._outer[name]

    def __setitem__(self, name: str, item: Item) -> None:
        self._items[name] = item


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

    def integers(self, k: int, attribute: str = "", default: Any = None) -> list[int] | None:
        """Integers from input `k`, as newer versions of operators have them, or from an attribute; or a default."""
        if self.has(k):
            return [int(n) for n in self.array(k).ravel()]
        found = self.get(attribute, default)
        return found if found is None else [int(n) for n in found]

    def known(self, k: int) -> Known:
        """What is known of input `k` whatever the input and the weights are, NaN elsewhere."""
        found = self.inputs[k]
        if isinstance(found, Constant):
            return found.known
        assert isinstance(found, Value)
        return np.full((1,) * len(found.full), np.nan) if found.known is None else found.known

    def used(self, k: int) -> Mask:
        """Where a weight is not zero by definition; broadcastable to it."""
        return np.asarray(self.known(k) != 0)

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
        return replace(constant(walk, walk.anything, found.full), known=compressed(found.known))
