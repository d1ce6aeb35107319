"""Lowering: what the front-ends of foreign graphs share.

A foreign operator becomes one or a few layers of the spec format. Foreign tensors have a batch axis of 1 in front, and
those of the spec do not; a `Value` knows both shapes, so that rules can speak in the foreign axes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from fastrf.errors import FastRFError, UnsupportedOpError
from fastrf.ops import apply

__all__ = ["Lowering", "Value", "without_batch"]

Shape = tuple[int, ...]
Mask = npt.NDArray[np.bool_]


def without_batch(full: Shape) -> Shape:
    """The shape without a leading axis of 1."""
    return full[1:] if full and full[0] == 1 else full


def _reshaped(mask: Mask | None, before: Shape, after: Shape) -> Mask | None:
    """A mask of a value that is reshaped."""
    return None if mask is None else np.broadcast_to(mask, before).reshape(after)


@dataclass(frozen=True)
class Value:
    """A layer's output: its name, its shape in the spec, and its full shape in the foreign graph.

    `blocked` (bool, broadcastable to `full`) marks elements that are minus infinity whatever the input is, `zeroed`
    those that are 0: what a softmax makes of blocked ones.
    """

    name: str
    shape: Shape
    full: Shape
    channel_axis: int | None
    blocked: Mask | None = None
    zeroed: Mask | None = None

    @property
    def stripped(self) -> bool:
        """Whether the batch axis is left out of `shape`."""
        return len(self.full) == len(self.shape) + 1

    def axis(self, axis: int) -> int:
        """A foreign axis as one of `shape`; -1 for the batch axis itself."""
        return axis % len(self.full) - self.stripped


class Lowering:
    """Layers collected so far. `begin` names the foreign node that the next layers stand for."""

    def __init__(self) -> None:
        self.layers: list[dict[str, Any]] = []
        self._node = ""
        self._scope: tuple[str, ...] = ()
        self._count = 0
        self._used: set[str] = set()

    def begin(self, node: str, scope: Sequence[str] = ()) -> None:
        """Start on a foreign node of this name, inside these modules."""
        self._node, self._scope, self._count = node, tuple(scope), 0

    def unique(self, name: str) -> str:
        """The name, or one like it that is free."""
        candidate, k = name, 1
        while candidate in self._used:
            k += 1
            candidate = f"{name}.{k}"
        self._used.add(candidate)
        return candidate

    def emit(self, op: str, *inputs: Value, **attributes: Any) -> Value:
        """Add a layer. Errors name the foreign node."""
        try:
            recipe = apply(op, attributes, [v.shape for v in inputs], [v.channel_axis for v in inputs])
        except FastRFError as error:
            raise type(error)(f"node {self._node!r} ({op}): {error}") from error
        self._count += 1
        name = self.unique(f"{self._node}~{self._count}")
        layer = {"name": name, "op": op, "inputs": [v.name for v in inputs], **attributes}
        if self._scope:
            layer["scope"] = list(self._scope)
        self.layers.append(layer)
        return Value(name, recipe.shape, recipe.shape, recipe.channel_axis)

    def finish(self, value: Value, full: Shape) -> Value:
        """Bring a rule's result to the node's full shape, and give its last layer the node's name."""
        done = self.shaped(value, full)
        if self._count == 0 or self.layers[-1]["name"] != done.name:
            done = replace(self.emit("identity", done), full=full, blocked=done.blocked, zeroed=done.zeroed)
        name = self.unique(self._node)
        self._used.discard(self.layers[-1]["name"])
        self.layers[-1]["name"] = name
        return replace(done, name=name)

    def shaped(self, value: Value, full: Shape) -> Value:
        """The value with a full shape of as many elements, reshaped if its spec shape changes."""
        if value.full == full and value.shape == without_batch(full):
            return value
        blocked, zeroed = (_reshaped(mask, value.full, full) for mask in (value.blocked, value.zeroed))
        wanted = without_batch(full)
        done = value if value.shape == wanted else self.emit("reshape", value, shape=list(wanted))
        return replace(done, full=full, blocked=blocked, zeroed=zeroed)

    def spread(self, value: Value) -> Value:
        """The value with its batch axis in the spec shape."""
        if not value.stripped:
            return value
        return replace(
            self.emit("unsqueeze", value, axis=0), full=value.full, blocked=value.blocked, zeroed=value.zeroed
        )

    def expanded(self, value: Value, full: Shape) -> Value:
        """The value broadcast to a full shape."""
        if value.full == full:
            return value
        wide = self.shaped(value, (1,) * (len(full) - len(value.full)) + value.full)
        if wide.full == full:
            return wide
        if wide.stripped and full[0] == 1:
            grown = self.emit("expand", wide, shape=list(full[1:]))
        else:
            grown = self.emit("expand", self.spread(wide), shape=list(full))
        return replace(grown, full=full, blocked=wide.blocked, zeroed=wide.zeroed)

    def elementwise(self, op: str, values: Sequence[Value], full: Shape) -> Value:
        """Values combined element by element, broadcast to the full shape."""
        wide = [self.expanded(v, full) for v in values]
        result = self.shaped(wide[0], full) if len(wide) == 1 else self.emit(op, *[self.shaped(v, full) for v in wide])
        return replace(result, full=full)

    def unsupported(self, operator: str, scope: Sequence[str], *, exist: bool = False) -> UnsupportedOpError:
        """The error for an operator without a rule."""
        where = f" in module {scope[-1]!r}" if scope else ""
        what = "is not supported with these arguments" if exist else "has no rule"
        return UnsupportedOpError(
            f"node {self._node!r}{where}: operator {operator} {what}; "
            'pass on_unsupported="full" to over-approximate it, or add a rule'
        )
