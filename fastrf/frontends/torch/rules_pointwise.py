"""Rules of ATen operators that act element by element, with masks that constants make."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch.fx import Node

from fastrf.frontends.hiding import kept, settled
from fastrf.frontends.lowering import Value
from fastrf.frontends.torch.arguments import bound, fake_shape, short_name
from fastrf.frontends.torch.known import computed, table_of
from fastrf.frontends.torch.names import COPIES, OF_ONE, OF_SEVERAL
from fastrf.frontends.torch.walk import Walk, rule
from fastrf.ops.pointwise import N_ARY, UNARY

__all__ = ["n_ary"]


@rule(*COPIES)
def copy_of(walk: Walk, node: Node) -> Any:
    """The same values."""
    x = walk.value(node.args[0])
    if x is None:
        raise walk.unsupported(node)
    result = walk.shaped(x, _shape_of_first(node))
    return [result] if isinstance(node.meta["val"], tuple | list) else result


@rule(*OF_ONE)
def unary(walk: Walk, node: Node) -> Value:
    """A function of one element, or of it and bounds that may be tensors."""
    values = walk.dynamic(node.all_input_nodes)
    name = short_name(node)
    if len(values) > 1:
        return walk.elementwise("elementwise", values, fake_shape(node))
    wide = walk.expanded(values[0], fake_shape(node))
    known = computed(walk, node) if wide.known is not None else None
    return replace(walk.emit(name if name in UNARY else "identity", wide), known=known)


@rule(*OF_SEVERAL)
def n_ary(walk: Walk, node: Node) -> Value:
    """A function of elements at one place; where constants decide the result, nothing is read."""
    name, full = short_name(node), fake_shape(node)
    result = walk.elementwise(name if name in N_ARY else "elementwise", walk.dynamic(node.all_input_nodes), full)
    return settled(walk, result, computed(walk, node))


@rule("aten::addcmul", "aten::addcdiv")
def product_added(walk: Walk, node: Node) -> Value:
    """A product or quotient added: a factor that is 0 hides the other."""
    base, first, second = node.args[:3]
    full = fake_shape(node)
    tables = [table_of(walk, t) for t in (first, second)]
    hidden = tables[0] == 0 if short_name(node) == "addcdiv" else (tables[0] == 0) | (tables[1] == 0)
    parts = walk.dynamic([base])
    if walk.dynamic([first, second]):
        both = walk.elementwise("mul", walk.dynamic([first, second]), full)
        parts.append(kept(walk, both, ~hidden))
    return replace(walk.elementwise("add", parts, full), known=None)


@rule("aten::lerp")
def between(walk: Walk, node: Node) -> Value:
    """Somewhere between two: at a constant weight of 0 or 1 only one of them is read."""
    full = fake_shape(node)
    weight = table_of(walk, node.args[2])
    parts = walk.dynamic([node.args[2]])
    for branch, away in zip(node.args[:2], (1, 0), strict=True):
        value = walk.value(branch)
        if value is not None:
            parts.append(kept(walk, walk.expanded(value, full), weight != away))
    return replace(walk.elementwise("add", parts, full), known=None)


@rule("aten::masked_scatter")
def masked_scatter(walk: Walk, node: Node) -> Value:
    """Elements taken in order where a mask is true, over-approximated."""
    return walk.opaque(node)


@rule("aten::where")
def where(walk: Walk, node: Node) -> Value:
    """A choice between two, by a constant or by data."""
    condition, first, second = node.args[:3]
    return _chosen(walk, condition, (first, second), fake_shape(node))


@rule("aten::masked_fill")
def masked_fill(walk: Walk, node: Node) -> Value:
    """Elements replaced by one value where a mask is true."""
    a = bound(node)
    return _chosen(walk, a["mask"], (a["value"], a["self"]), fake_shape(node))


def _chosen(walk: Walk, condition: Any, branches: tuple[Any, Any], full: tuple[int, ...]) -> Value:
    """The first branch where a condition is true, the other elsewhere; both where that is not known."""
    table, parts = table_of(walk, condition), walk.dynamic([condition])
    for branch, possible in zip(branches, (table != 0, (table == 0) | np.isnan(table)), strict=True):
        value = walk.value(branch)
        if value is not None:
            parts.append(kept(walk, walk.expanded(value, full), possible))
    return replace(walk.elementwise("where", parts, full), known=None)


@rule("aten::tril", "aten::triu")
def triangle(walk: Walk, node: Node) -> Value:
    """One side of a diagonal, the other side zero."""
    a = bound(node)
    x = walk.value(a["self"])
    assert x is not None
    cut = np.tril if short_name(node) == "tril" else np.triu
    side = cut(np.ones(x.full[-2:], bool), a["diagonal"])
    return kept(walk, x, side)


@rule("aten::copy")
def copied(walk: Walk, node: Node) -> Value:
    """One tensor's values broadcast to another's shape."""
    source = walk.value(bound(node).get("src"))
    full = fake_shape(node)
    if source is None:
        x = walk.value(node.args[0])
        assert x is not None
        return walk.emit_nothing(walk.shaped(x, full))
    return walk.expanded(source, full)


@rule("aten::fill", "aten::zero")
def filled(walk: Walk, node: Node) -> Value:
    """Every element one value."""
    full = fake_shape(node)
    value = walk.value(bound(node).get("value"))
    if value is not None:
        return walk.expanded(walk.shaped(value, ()), full)
    x = walk.value(node.args[0])
    assert x is not None
    return walk.emit_nothing(walk.shaped(x, full))


@rule("aten::one_hot", "aten::embedding")
def looked_up(walk: Walk, node: Node) -> Value:
    """A row looked up by each element: every feature reads that element."""
    chosen = walk.value(node.args[-1] if short_name(node) == "embedding" else node.args[0])
    full = fake_shape(node)
    if chosen is None:
        return walk.opaque(node)
    return walk.expanded(walk.shaped(chosen, (*chosen.full, 1)), full)


def _shape_of_first(node: Node) -> tuple[int, ...]:
    value = node.meta["val"]
    value = value[0] if isinstance(value, tuple | list) else value
    assert isinstance(value, torch.Tensor)
    return tuple(int(n) for n in value.shape)
