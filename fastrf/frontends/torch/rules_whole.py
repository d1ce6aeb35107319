"""Rules of ATen operators that read whole axes at once: transforms, matrix algebra, distances; complex numbers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from torch.fx import Node

from fastrf.frontends import choosing, moving, products
from fastrf.frontends.lowering import Value
from fastrf.frontends.masking import mask_out
from fastrf.frontends.torch.arguments import bound, fake_shape, short_name
from fastrf.frontends.torch.known import table_of
from fastrf.frontends.torch.registry import Walk, rule
from fastrf.frontends.torch.rules_dense import operand

__all__: list[str] = []


@rule("linalg_inv_ex", "_linalg_det", "_linalg_slogdet", "_linalg_svd", "linalg_inv", "linalg_det", "linalg_slogdet")
@rule("linalg_svd")
def of_matrix(walk: Walk, node: Node) -> Any:
    """Functions of a whole matrix, side by side along the leading axes."""
    x = walk.first(node)
    lead = x.full[:-2]
    one = walk.shaped(moving.reduce(walk, x, "sum", [len(x.full) - 2, len(x.full) - 1], keepdims=False), lead)

    def filled(like: torch.Tensor) -> Value:
        full = tuple(int(n) for n in like.shape)
        column = walk.shaped(one, (*lead, *(1,) * (len(full) - len(lead))))
        return walk.expanded(column, full)

    results = node.meta["val"]
    if not isinstance(results, list | tuple):
        return filled(results)
    factors = _FACTORS.get(short_name(node), ())  # of these, each element reads a part of the matrix
    return [walk.loosened(filled(r)) if k in factors else filled(r) for k, r in enumerate(results)]


#: Which results are factors of the matrix.
_FACTORS = {"_linalg_det": (1, 2), "_linalg_slogdet": (2, 3)}


@rule("linalg_qr", "linalg_cholesky_ex", "_linalg_eigh", "linalg_lu_factor_ex", "_linalg_solve_ex")
@rule(
    "linalg_solve_triangular", "_pdist_forward", "grid_sampler", "grid_sampler_2d", "grid_sampler_3d", "masked_scatter"
)
def roughly(walk: Walk, node: Node) -> Any:
    """Operators of which each element reads a part that is not known, over-approximated."""
    return walk.opaque(node)


@rule("histc")
def counted(walk: Walk, node: Node) -> Value:
    """Every count reads every element."""
    x = walk.first(node)
    return walk.expanded(moving.reduce(walk, x, "sum", list(range(len(x.full))), keepdims=False), fake_shape(node))


@rule("searchsorted", "bucketize")
def searched(walk: Walk, node: Node) -> Value:
    """Where numbers belong in rows of ordered ones: how many of a row are smaller depends on all of it.

    So it does on all of what sorts the row.
    """
    a, full = bound(node), fake_shape(node)
    parts = walk.dynamic([a["self"]])
    for rows in walk.dynamic([a.get("sorted_sequence", a.get("boundaries")), a.get("sorter")]):
        lead = rows.full[:-1] if len(rows.full) > 1 else (1,) * (len(full) - 1)
        row = moving.reduce(walk, rows, "max", [len(rows.full) - 1], keepdims=False)  # a sum would hint at a norm
        parts.append(walk.shaped(row, (*lead, 1) if full else ()))
    return replace(walk.elementwise("compare", parts, full), known=None, added=None)


#: The mode of a bag that takes the largest.
_LARGEST = 2


@rule("embedding_bag", "_embedding_bag", "_embedding_bag_forward_only")
def bags(walk: Walk, node: Node) -> Any:
    """Looked-up rows pooled bag by bag: every feature reads the ids of its bag, and what weighs them."""
    a = bound(node)
    read = walk.dynamic([a["indices"], a["per_sample_weights"]])
    if not read or walk.dynamic([a["weight"], a["offsets"]]):
        return walk.opaque(node)
    (count,) = read[0].full
    ids = replace(walk.elementwise("elementwise", read, (count,)), known=None, added=None)
    ids = mask_out(walk, ids, table_of(walk, a["per_sample_weights"]) != 0)
    ends = walk.places(a["offsets"]).tolist()
    if not a["include_last_offset"]:
        ends.append(count)
    elif a["mode"] == _LARGEST:
        ends[-1] = count  # as torch has it

    def pooled() -> Value:
        bags = [range(*bag) for bag in pairwise(ends)]
        if len({len(bag) for bag in bags}) == 1 and ends[0] == 0 and ends[-1] == count > 0:
            sums = [moving.reduce(walk, walk.shaped(ids, (len(bags), len(bags[0]))), "sum", [1], keepdims=True)]
        else:
            parts = [choosing.slice_axis(walk, ids, 0, bag) for bag in bags]
            sums = [moving.reduce(walk, part, "sum", [0], keepdims=True) for part in parts]
        column = walk.featured(walk.shaped(moving.concat(walk, sums, 0), (len(bags),)))
        return walk.expanded(column, tuple(node.meta["val"][0].shape))

    def other(k: int) -> Callable[[], Any]:
        return lambda: walk.opaque(node)[k]

    return [pooled, *(other(k) for k in range(1, len(node.meta["val"])))]


@rule("_grouped_mm", "transformers::grouped_mm_fallback")
def grouped(walk: Walk, node: Node) -> Any:
    """Rows by one of several matrices each; computed ends of the groups decide of every row by which."""
    rows, ends = walk.value(node.args[0]), walk.value(node.args[2] if len(node.args) > 2 else None)
    full = fake_shape(node)
    if rows is None or walk.value(node.args[1]) is not None or len(rows.full) != 2 or len(full) != 2:
        return walk.opaque(node)
    parts = [moving.reduce(walk, rows, "sum", [1], keepdims=True)]
    if ends is not None:
        whole = moving.reduce(walk, ends, "sum", [0], keepdims=False)
        parts.append(walk.shaped(whole, (1, 1)))
    return choosing.union(walk, parts, full)


@rule("_cdist_forward")
def distances(walk: Walk, node: Node) -> Value:
    """Each row of one matrix against each row of another."""
    first, second = node.args[:2]
    like = walk.dynamic([first, second])[0]
    rows, others = (replace(walk.tensor(t, like), known=None) for t in (first, second))
    return products.matmul(walk, rows, products.transpose(walk, others))


@rule("_trilinear")
def bilinear(walk: Walk, node: Node) -> Value:
    """A product of three tensors with axes put in, summed over axes: what a bilinear layer is made of."""
    a = bound(node)
    tensors = [a[f"i{k}"] for k in (1, 2, 3)]
    like, parts = walk.dynamic(tensors)[0], []
    for k, tensor in enumerate(tensors, start=1):
        size = list(fake_shape(tensor))
        for axis in sorted(a[f"expand{k}"]):
            size.insert(axis, 1)
        parts.append(walk.shaped(operand(walk, tensor, like), tuple(size)))
    full = tuple(int(n) for n in np.broadcast_shapes(*(part.full for part in parts)))
    product = walk.elementwise("mul", parts, full)
    for part in parts:  # zero hides what it is multiplied with
        product = mask_out(walk, product, ~part.zeroed)
    return moving.reduce(walk, product, "sum", [d % len(full) for d in a["sumdim"]], keepdims=False)


@rule("view_as_complex")
def as_complex(walk: Walk, node: Node) -> Value:
    """Two parts of a last axis as one number."""
    x = walk.first(node)
    return moving.reduce(walk, x, "sum", [len(x.full) - 1], keepdims=False)


@rule("view_as_real")
def as_real(walk: Walk, node: Node) -> Value:
    """One number as two parts along a new last axis."""
    x = walk.first(node)
    return walk.expanded(walk.shaped(x, (*x.full, 1)), fake_shape(node))
