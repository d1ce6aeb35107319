"""Zeros after operators that make nothing but zeros of zeros: sums with weights and without, pools, resampling."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from fastrf.budget import limits
from fastrf.engine.dependency import Dependency
from fastrf.engine.recipe import replay
from fastrf.frontends.channels import attributes_of
from fastrf.frontends.lowering import GraphWalk, Mask, Value, compressed
from fastrf.frontends.masking import keep_attributes
from fastrf.ops import apply

__all__ = ["vanishing"]


def vanishing(walk: GraphWalk, x: Value, result: Value, start: int) -> Value:
    """The result of an operator that reads `x` alone and keeps zeros, with the zeros that it has.

    It is zero where all that it reads of `x` is; what it reads is what its layers (from number `start` on) do to a
    dependency on the elements of `x` that are not zero. Raises LimitError for a table that is too large.
    """
    if not x.zeroed.any() or result.known is not None or result is x:
        return result
    seen = _replayed(x, result, walk.layers[start:])
    if seen is None:
        return result
    table = _speaks(seen)
    table = table[None] if result.stripped else table
    return replace(result, known=compressed(np.where(table, np.nan, 0.0)))


def _replayed(x: Value, result: Value, layers: Sequence[dict[str, Any]]) -> Dependency | None:
    """What the result reads of the elements of `x` that are not zero; None where it reads other tensors, too."""
    whole = Dependency.identity(x.shape)
    attributes = keep_attributes(x, ~x.zeroed)
    if attributes is None:
        whole = whole.nothing()
    else:
        whole = replay(apply("keep", attributes, [x.shape], [x.channel_axis]), [whole])
    values = {x.name: (whole, x.channel_axis)}
    for layer in layers:
        if any(name not in values for name in layer["inputs"]):
            return None
        read, axes = zip(*(values[name] for name in layer["inputs"]), strict=True)
        recipe = apply(layer["op"], attributes_of(layer), [value.shape for value in read], axes)
        values[layer["name"]] = (replay(recipe, read), recipe.channel_axis)
    return values[result.name][0] if result.name in values else None


def _speaks(seen: Dependency) -> Mask:
    """Where a tensor reads anything, as a table of its rank."""
    for _ in seen.input_shape:
        seen = seen.any_input(0)
    owners = seen.axes.owners
    shown = {owners[factor] for term in seen.terms for group in term for factor in group.rows}
    sizes = [n if axis in shown else 1 for n, axis in zip(seen.sizes, owners, strict=True)]
    n = math.prod(sizes)
    limits.require("axis", n, f"{n} elements of which some are constant by position", "use a smaller input")
    table = np.zeros(sizes, bool)
    for term in seen.terms:
        part = np.ones((), bool)
        for rows, _, relation in term:
            used = (relation.counts > 0).reshape([seen.sizes[f] for f in rows])
            part = part & np.expand_dims(used, [f for f in range(len(sizes)) if f not in rows])
        table |= part
    return table.reshape([n if axis in shown else 1 for axis, n in enumerate(seen.shape)])
