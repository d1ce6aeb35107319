"""Products of tensors and sums of them, skipping what constants make zero: matrices and Einstein sums."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from fastrf.frontends import moving
from fastrf.frontends.lowering import GraphWalk, Known, Value, compressed
from fastrf.frontends.masking import mask_out, set_known, uniform
from fastrf.ops.truths import nested

__all__ = ["einsum", "matmul", "transpose", "zero_products"]

#: A product whose zeros differ along an axis of more indices is not taken one index after another.
MAX_HEADS = 32


def transpose(walk: GraphWalk, x: Value) -> Value:
    """The last two axes swapped, with the zeros."""
    n = len(x.full)
    return moving.permute(walk, x, [*range(n - 2), n - 1, n - 2])


def matmul(walk: GraphWalk, a: Value, b: Value) -> Value:
    """The matrix product of two values, skipping what either is zero at by definition."""
    if not a.zeroed.any() and not b.zeroed.any():
        return _times(walk, a, b)
    if min(len(a.full), len(b.full)) < 2:
        row = walk.shaped(a, (1, *a.full)) if len(a.full) == 1 else a
        column = walk.shaped(b, (*b.full, 1)) if len(b.full) == 1 else b
        result = matmul(walk, row, column)
        full = result.full if len(b.full) > 1 else result.full[:-1]
        return walk.shaped(result, full if len(a.full) > 1 else (*full[:-2], *full[len(full[:-1]) :]))
    return replace(_skipping(walk, a, b), known=_zero_products(walk, a, b))


def _skipping(walk: GraphWalk, a: Value, b: Value) -> Value:
    """The product of matrices of which at least one is partly zero."""
    if not b.zeroed.any():
        return _times(walk, a, b)
    if a.zeroed.any():
        first, second = _by_column(a.zeroed), _by_column(np.swapaxes(b.zeroed, -1, -2))
        if first is not None and second is not None:
            b = replace(mask_out(walk, b, ~first.reshape(-1, 1)), known=None)
            return _times(walk, replace(mask_out(walk, a, ~second.reshape(1, -1)), known=None), b)
    left = replace(moving.constant(walk, a, a.full), known=a.known)
    right = replace(moving.constant(walk, b, b.full), known=b.known)
    reads_a = _times(walk, transpose(walk, right), transpose(walk, replace(a, known=None)))
    reads_b = _times(walk, left, replace(b, known=None))
    turned = transpose(walk, reads_a)
    if reads_b.channel_axis is not None:  # both are the one product, whose channels are where this one has them
        axis = reads_b.channel_axis - len(reads_b.shape) + len(turned.shape)
        if turned.channel_axis != axis:
            turned = walk.emit("reshape", turned, shape=turned.shape, channel_axis=axis, full=turned.full)
    return walk.elementwise("add", [turned, reads_b], reads_b.full)


def _zero_products(walk: GraphWalk, a: Value, b: Value) -> Known | None:
    key = "zero products", a.full[-1], b.full[-2]
    found: Known | None = walk.once(key, [a.known, b.known], lambda: zero_products(a, b))
    return found


def zero_products(a: Value, b: Value) -> Known | None:
    """Zero where, of every pair of factors, one is."""
    first = np.broadcast_to(a.zeroed, (*a.zeroed.shape[:-1], a.full[-1]))
    second = np.broadcast_to(b.zeroed, (*b.zeroed.shape[:-2], b.full[-2], b.zeroed.shape[-1]))
    used = (~first).astype(np.float32) @ (~second).astype(np.float32)
    return compressed(np.where(used == 0, 0.0, np.nan))


def _by_column(mask: np.ndarray[Any, Any]) -> np.ndarray[Any, Any] | None:
    """A mask that only its last axis changes, as a vector."""
    row = mask.reshape(-1, mask.shape[-1])
    return row[0] if (row == row[:1]).all() else None


def _times(walk: GraphWalk, a: Value, b: Value) -> Value:
    """The matrix product, skipping what the first is zero at; zeros that differ by head are taken head by head."""
    attributes = {}
    if a.zeroed.any():
        used = walk.once(("used", a.full), [a.known], lambda: _used(a))
        if used is None:
            return _head_by_head(walk, a, b)
        attributes = {"used": used}
    both = a.stripped and b.stripped and len(a.full) > 2 and len(b.full) > 2
    left, right = (a, b) if both else (walk.spread(a), walk.spread(b))
    return walk.emit("matmul", left, right, **attributes)


def _used(a: Value) -> Any:
    """Where a matrix is not zero, as an attribute; None where that differs along leading axes."""
    used = uniform(~a.zeroed, a.full)
    return None if used is None else nested(used)


def _head_by_head(walk: GraphWalk, a: Value, b: Value) -> Value:
    """A product whose zeros differ along a leading axis, one index of it after another."""
    assert a.known is not None
    lead = tuple(int(n) for n in np.broadcast_shapes(a.full[:-2], b.full[:-2]))
    full = (*lead, *a.full[-2:])
    known = np.broadcast_to(a.known, full)
    a, b = walk.expanded(a, full), walk.expanded(b, (*lead, *b.full[-2:]))
    zero = known == 0
    axis = next(k for k in range(len(lead)) if not (zero == zero.take([0], axis=k)).all())
    if lead[axis] > MAX_HEADS:
        return _element_by_element(walk, replace(a, known=known), b)
    parts = []
    for index in range(lead[axis]):
        one = [moving.on_axis(walk, t, axis, "slice", start=index, stop=index + 1) for t in (a, b)]
        parts.append(_times(walk, replace(one[0], known=known.take([index], axis=axis)), one[1]))
    return moving.concat(walk, parts, axis)


def _element_by_element(walk: GraphWalk, a: Value, b: Value) -> Value:
    """A product whose zeros differ along many leading indices: every pair of factors, and their sum."""
    full = (*a.full, b.full[-1])
    left = walk.expanded(walk.shaped(replace(a, known=None), (*a.full, 1)), full)
    right = walk.shaped(replace(b, known=None), (*b.full[:-2], 1, *b.full[-2:]))
    right = mask_out(walk, walk.expanded(right, full), ~a.zeroed[..., None])
    pairs = walk.elementwise("mul", [left, right], full)
    return moving.reduce(walk, pairs, "sum", [len(full) - 2], keepdims=False)


def einsum(walk: GraphWalk, values: Sequence[Value], equation: str) -> Value:
    """An Einstein sum, skipping what its operands are zero at by definition.

    With zeros, operands are contracted two by two, the first ones first.
    """
    equation = _without_ellipsis(equation.replace(" ", ""), [len(value.full) for value in values])
    if not any(value.zeroed.any() for value in values):
        return walk.emit("einsum", *map(walk.spread, values), equation=equation)
    left, arrow, output = equation.partition("->")
    if not arrow:
        output = "".join(sorted(c for c in set(left) - {","} if left.count(c) == 1))
    terms = [_diagonal(walk, x, letters) for x, letters in zip(values, left.split(","), strict=True)]
    sizes = {c: max(x.full[s.index(c)] for x, s in terms if c in s) for _, letters in terms for c in letters}
    total, letters = terms[0]
    for k, (x, more) in enumerate(terms[1:], start=2):
        wanted = set(output).union(*(s for _, s in terms[k:]))
        total, letters = _pair(walk, (total, letters), (x, more), wanted, sizes)
    total, letters = _without(walk, total, letters, set(output))
    return moving.permute(walk, total, [letters.index(c) for c in output]) if output else total


def _diagonal(walk: GraphWalk, x: Value, letters: str) -> tuple[Value, str]:
    """An operand whose repeated letters are taken along the diagonal."""
    unique = "".join(dict.fromkeys(letters))
    if unique == letters:
        return x, letters
    result = walk.emit("einsum", walk.spread(x), equation=f"{letters}->{unique}")
    known = None if x.known is None else np.einsum(f"{letters}->{unique}", np.broadcast_to(x.known, x.full))
    return replace(result, known=compressed(known)), unique


def _pair(
    walk: GraphWalk, first: tuple[Value, str], second: tuple[Value, str], wanted: set[str], sizes: dict[str, int]
) -> tuple[Value, str]:
    """Two operands contracted to their letters that are wanted after them."""
    a, left = _without(walk, *first, wanted | set(second[1]))
    b, right = _without(walk, *second, wanted | set(left))
    batch = [c for c in left if c in right and c in wanted]
    shared = [c for c in left if c in right and c not in wanted]
    rows, columns = [c for c in left if c not in right], [c for c in right if c not in left]
    letters = "".join([*batch, *rows, *columns])
    full = tuple(sizes[c] for c in letters)
    if not shared:
        both = [_aligned(walk, x, s, letters) for x, s in ((a, left), (b, right))]
        product = walk.elementwise("mul", both, full)
        zero = both[0].zeroed | both[1].zeroed
        return set_known(walk, product, np.where(zero, 0.0, np.nan) if zero.any() else None), letters
    lead = tuple(sizes[c] for c in batch)
    matrices = []
    for x, s, (m, n) in ((a, left, (rows, shared)), (b, right, (shared, columns))):
        aligned = _aligned(walk, x, s, "".join([*batch, *m, *n]))
        aligned = walk.expanded(aligned, (*lead, *(sizes[c] for c in [*m, *n])))
        shape = (*lead, math.prod(sizes[c] for c in m), math.prod(sizes[c] for c in n))
        matrices.append(walk.shaped(aligned, shape))
    return walk.shaped(matmul(walk, *matrices), full), letters


def _aligned(walk: GraphWalk, x: Value, letters: str, wanted: str) -> Value:
    """A value with its axes in the order of wanted letters, axes of 1 for those that it has not."""
    order = [letters.index(c) for c in wanted if c in letters]
    ordered = x if order == sorted(order) else moving.permute(walk, x, order)
    at = iter(ordered.full)
    return walk.shaped(ordered, tuple(next(at) if c in letters else 1 for c in wanted))


def _without(walk: GraphWalk, x: Value, letters: str, wanted: set[str]) -> tuple[Value, str]:
    """A value summed over the letters that are not wanted."""
    dims = [k for k, c in enumerate(letters) if c not in wanted]
    if not dims:
        return x, letters
    zero = np.broadcast_to(x.zeroed, [x.full[k] if k in dims else n for k, n in enumerate(x.zeroed.shape)])
    known = np.where(zero.all(axis=tuple(dims)), 0.0, np.nan)
    result = replace(moving.reduce(walk, x, "sum", dims, keepdims=False), known=compressed(known))
    return result, "".join(c for c in letters if c in wanted)


def _without_ellipsis(equation: str, ranks: Sequence[int]) -> str:
    """An Einstein sum with its ellipsis written out in letters."""
    if "..." not in equation:
        return equation
    free = [c for c in "ABCDEFGHIJKLMNOPQRSTUVWXYZ" if c not in equation]
    left, arrow, output = equation.partition("->")
    hidden = [
        rank - len(part.replace("...", "")) if "..." in part else 0
        for part, rank in zip(left.split(","), ranks, strict=True)
    ]
    letters = "".join(free[: max(hidden)])
    parts = [part.replace("...", letters[len(letters) - h :]) for part, h in zip(left.split(","), hidden, strict=True)]
    if not arrow:
        output = "..." + "".join(sorted(c for c in set(left) - set(".,") if left.count(c) == 1))
    return f"{','.join(parts)}->{output.replace('...', letters)}"
