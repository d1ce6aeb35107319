"""Layers as Python calls: `conv(64, 7, stride=2)` for a list of layers that `fastrf.load` takes.

One constructor per operator, with the operator's own attributes in its own order; `layer` makes any of them by
name.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from fastrf.errors import NetworkError
from fastrf.ops import find

__all__ = [
    "Layer",
    "adaptive_avg_pool",
    "add",
    "avg_pool",
    "batch_norm",
    "concat",
    "conv",
    "conv_transpose",
    "depthwise_conv",
    "flatten",
    "global_avg_pool",
    "layer",
    "linear",
    "max_pool",
    "relu",
    "resize",
]


@dataclass(frozen=True)
class Layer:
    """An operator with attributes, and optionally a name and the names it reads (default: the layer before)."""

    op: str
    attributes: dict[str, Any]
    name: str | None = None
    inputs: tuple[str, ...] | None = None

    def to_dict(self) -> dict[str, Any]:
        """The layer in the spec format."""
        named = {"name": self.name} if self.name is not None else {}
        reads = {"inputs": list(self.inputs)} if self.inputs is not None else {}
        return {**named, "op": self.op, **reads, **self.attributes}


def layer(
    op: str, *values: Any, name: str | None = None, inputs: str | Sequence[str] | None = None, **attributes: Any
) -> Layer:
    """A layer of any operator; positional values are its attributes in order, e.g. `layer("conv", 64, 3)`.

    Raises UnsupportedOpError for an unknown operator and NetworkError for too many or repeated values.
    """
    found = find(op)
    if len(values) > len(found.attributes):
        raise NetworkError(
            f"{op} takes at most {len(found.attributes)} attributes: {', '.join(found.attributes) or 'none'}"
        )
    given = dict(zip(found.attributes, values, strict=False))
    twice = given.keys() & attributes.keys()
    if twice:
        raise NetworkError(f"{op}: attribute {sorted(twice)[0]!r} is given twice")
    unknown = [attribute for attribute in attributes if attribute not in found.accepted]
    if unknown:
        raise NetworkError(f"{op}: unknown attribute {unknown[0]!r}; it takes {', '.join(found.accepted) or 'none'}")
    reads = None if inputs is None else (inputs,) if isinstance(inputs, str) else tuple(inputs)
    return Layer(op, {**given, **attributes}, name, reads)


def _constructor(op: str) -> Callable[..., Layer]:
    """`layer` for one operator, with the operator's own documentation."""

    def construct(
        *values: Any, name: str | None = None, inputs: str | Sequence[str] | None = None, **attributes: Any
    ) -> Layer:
        return layer(op, *values, name=name, inputs=inputs, **attributes)

    function = find(op).function
    own = [p for p in inspect.signature(function).parameters.values() if p.kind is p.KEYWORD_ONLY]
    shared = [p for p in inspect.signature(layer).parameters.values() if p.kind is p.KEYWORD_ONLY]
    construct.__name__ = construct.__qualname__ = op
    construct.__doc__ = f"A layer of operator {op!r}.\n\n{inspect.getdoc(function)}"
    construct.__signature__ = inspect.Signature(  # type: ignore[attr-defined]
        [p.replace(kind=p.POSITIONAL_OR_KEYWORD) for p in own] + shared
    )
    return construct


conv = _constructor("conv")
depthwise_conv = _constructor("depthwise_conv")
conv_transpose = _constructor("conv_transpose")
max_pool = _constructor("max_pool")
avg_pool = _constructor("avg_pool")
adaptive_avg_pool = _constructor("adaptive_avg_pool")
global_avg_pool = _constructor("global_avg_pool")
linear = _constructor("linear")
flatten = _constructor("flatten")
relu = _constructor("relu")
batch_norm = _constructor("batch_norm")
add = _constructor("add")
concat = _constructor("concat")
resize = _constructor("resize")
