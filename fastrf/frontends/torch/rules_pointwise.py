"""Rules of ATen operators that act element by element, with masks that constants make."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
from torch.fx import Node

from fastrf.frontends import choosing
from fastrf.frontends.lowering import Value, compressed
from fastrf.frontends.masking import mask_out, set_known
from fastrf.frontends.torch.arguments import bound, fake_shape, first_only, short_name
from fastrf.frontends.torch.known import chosen_from, computed, sloped, table_of
from fastrf.frontends.torch.names import COPIES, FLAT_BELOW, OF_ONE, OF_SEVERAL, ROUNDS
from fastrf.frontends.torch.quantizing import RANGE
from fastrf.frontends.torch.registry import Walk, rule
from fastrf.ops.pointwise import N_ARY, UNARY

__all__ = ["pointwise"]


@rule(*COPIES)
def copy_of(walk: Walk, node: Node) -> Any:
    """The same values."""
    return first_only(node, walk.first(node))


@rule(*OF_ONE, *OF_SEVERAL)
def pointwise(walk: Walk, node: Node) -> Value:
    """A function of elements at one place; where constants decide the result, nothing is read."""
    name, full, values = short_name(node), fake_shape(node), walk.dynamic(node.all_input_nodes)
    known = computed(walk, node)
    if name in OF_ONE and len(values) == 1:  # what is known is of elements that read nothing already
        one = walk.expanded(values[0], full)
        result = replace(walk.emit(name, one) if name in UNARY else one, known=known)
        low = values[0].added if name in FLAT_BELOW else None
        return result if low is None or not ((low < 0) & np.isnan(result.table)).any() else walk.loosened(result)
    result = walk.elementwise(name if name in N_ARY else "elementwise", values, full)
    return set_known(walk, result, known)


@rule(*ROUNDS)
def rounded(walk: Walk, node: Node) -> Any:
    """Numbers rounded to steps, whose sizes may be computed."""
    full, (x, *sizes) = fake_shape(node.args[0]), node.args
    if any(walk.value(size) is not None and math.prod(fake_shape(size)) > 1 for size in sizes):
        return walk.opaque(node)
    result = walk.elementwise("elementwise", walk.dynamic([x, *sizes]), full)
    known = compressed(np.where(table_of(walk, x) == 0, 0.0, np.nan))
    return first_only(node, set_known(walk, result, known))


@rule("quantized_decomposed::choose_qparams", "quantized_decomposed::choose_qparams_symmetric")
def chosen_steps(walk: Walk, node: Node) -> list[Value]:
    """Steps by the range of a whole tensor, which every element would read."""
    walk.assume(RANGE)
    return [walk.nothing(tuple(item.shape)) for item in node.meta["val"]]


@rule("prelu")
def prelu(walk: Walk, node: Node) -> Value:
    """A slope per channel, of which the second axis has as many; zero stays zero."""
    full, slope = fake_shape(node), walk.value(node.args[1])
    parts = walk.dynamic(node.args[:1])
    if slope is not None:
        places = (1,) * (len(full) - 2)
        parts.append(walk.shaped(slope, (1, *slope.full, *places) if len(full) > 1 else slope.full))
    result = replace(walk.elementwise("elementwise", parts, full), full=full)
    return set_known(walk, result, sloped(walk, node))


@rule("addcmul", "addcdiv")
def product_added(walk: Walk, node: Node) -> Value:
    """A product or quotient added: a factor that is 0 hides the other."""
    base, first, second = node.args[:3]
    full = fake_shape(node)
    tables = [table_of(walk, t) for t in (first, second)]
    hidden = tables[0] == 0 if short_name(node) == "addcdiv" else (tables[0] == 0) | (tables[1] == 0)
    parts = walk.dynamic([base])
    if walk.dynamic([first, second]):
        both = walk.elementwise("mul", walk.dynamic([first, second]), full)
        parts.append(mask_out(walk, both, ~hidden))
    return replace(walk.elementwise("add", parts, full), known=None)


@rule("lerp")
def between(walk: Walk, node: Node) -> Value:
    """Somewhere between two: at a constant weight of 0 or 1 only one of them is read."""
    full = fake_shape(node)
    weight = table_of(walk, node.args[2])
    parts = walk.dynamic([node.args[2]])
    for branch, away in zip(node.args[:2], (1, 0), strict=True):
        value = walk.value(branch)
        if value is not None:
            read = weight != away
            parts.append(value if read.all() else mask_out(walk, walk.expanded(value, full), read))
    return replace(walk.elementwise("add", parts, full), known=None)


@rule("where", "masked_fill")
def where(walk: Walk, node: Node) -> Value:
    """The first branch where a condition is true, the other elsewhere; both where that is not known."""
    arguments = chosen_from(bound(node))
    return choosing.where(walk, table_of(walk, arguments[0]), [*map(walk.value, arguments)], None, fake_shape(node))


@rule("tril", "triu")
def triangle(walk: Walk, node: Node) -> Value:
    """One side of a diagonal, the other side zero."""
    a = bound(node)
    x = walk.first(node)
    cut = np.tril if short_name(node) == "tril" else np.triu
    side = cut(np.ones(x.full[-2:], bool), a["diagonal"])
    return mask_out(walk, x, side)


@rule("copy", "fill", "zero")
def filled(walk: Walk, node: Node) -> Value:
    """Every element another value, or those of a tensor that is broadcast."""
    a, full = bound(node), fake_shape(node)
    given = 0.0 if short_name(node) == "zero" else a.get("src", a.get("value"))
    value = walk.value(given)
    if value is not None:
        return walk.expanded(value, full)
    nothing = walk.emit_nothing(walk.shaped(walk.first(node), full))
    table = table_of(walk, given)
    known = compressed(table.reshape((1,) * (len(full) - table.ndim) + table.shape))
    return replace(nothing, known=known) if node.meta["val"].is_floating_point() else nothing


@rule("one_hot", "embedding")
def looked_up(walk: Walk, node: Node) -> Any:
    """A row looked up by each element: every feature reads that element."""
    a, full = bound(node), fake_shape(node)
    chosen = walk.value(a.get("indices", a.get("self")))
    if chosen is None or walk.value(a.get("weight")) is not None:
        return walk.opaque(node)
    return walk.expanded(walk.featured(chosen), full)
