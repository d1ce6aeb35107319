"""Rules of ATen operators that read whole axes at once: transforms, matrix algebra, distances; complex numbers."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch.fx import Node

from fastrf.frontends.hiding import kept
from fastrf.frontends.lowering import Value
from fastrf.frontends.mixing import reduced
from fastrf.frontends.moving import constant
from fastrf.frontends.products import multiplied, turned
from fastrf.frontends.torch.arguments import bound, fake_shape
from fastrf.frontends.torch.known import table_of
from fastrf.frontends.torch.rules_shape import first_value
from fastrf.frontends.torch.walk import Walk, rule

__all__: list[str] = []


@rule("aten::_fft_r2c", "aten::_fft_c2c", "aten::_fft_c2r")
def fourier(walk: Walk, node: Node) -> Value:
    """Every frequency reads every sample of the transformed axes."""
    x = first_value(walk, node)
    dims = [d % len(x.full) for d in bound(node)["dim"]]
    return walk.expanded(reduced(walk, x, "sum", dims, keepdims=True), fake_shape(node))


@rule("aten::linalg_inv_ex", "aten::inverse", "aten::_linalg_det", "aten::_linalg_slogdet", "aten::_linalg_svd")
@rule("aten::linalg_inv", "aten::det", "aten::linalg_det", "aten::linalg_slogdet", "aten::slogdet", "aten::linalg_svd")
def of_matrix(walk: Walk, node: Node) -> Any:
    """Functions of a whole matrix, side by side along the leading axes."""
    x = first_value(walk, node)
    lead = x.full[:-2]
    one = walk.shaped(reduced(walk, x, "sum", [len(x.full) - 2, len(x.full) - 1], keepdims=False), lead)

    def filled(like: torch.Tensor) -> Value:
        full = tuple(int(n) for n in like.shape)
        column = walk.shaped(one, (*lead, *(1,) * (len(full) - len(lead))))
        return walk.expanded(column, full)

    results = node.meta["val"]
    return [filled(r) for r in results] if isinstance(results, list | tuple) else filled(results)


@rule("aten::linalg_qr", "aten::linalg_cholesky_ex", "aten::_linalg_eigh", "aten::linalg_lu_factor_ex")
@rule("aten::_linalg_solve_ex", "aten::linalg_solve_triangular", "aten::_pdist_forward")
def of_matrix_roughly(walk: Walk, node: Node) -> Any:
    """Factors of which each element reads a part of the matrix, over-approximated."""
    return walk.opaque_results(node)


@rule("aten::_cdist_forward")
def distances(walk: Walk, node: Node) -> Value:
    """Each row of one matrix against each row of another."""
    first, second = node.args[:2]
    like = walk.dynamic([first, second])[0]
    rows, others = (walk.value(t) or constant(walk, like, fake_shape(t)) for t in (first, second))
    return multiplied(walk, replace(rows, known=None), turned(walk, replace(others, known=None)))


@rule("aten::_trilinear")
def bilinear(walk: Walk, node: Node) -> Value:
    """A product of three tensors with axes put in, summed over axes: what a bilinear layer is made of."""
    a = bound(node)
    parts, sizes = [], []
    for k in (1, 2, 3):
        size = list(fake_shape(a[f"i{k}"]))
        for axis in sorted(a[f"expand{k}"]):
            size.insert(axis, 1)
        sizes.append(tuple(size))
        value = walk.value(a[f"i{k}"])
        if value is not None:
            parts.append(walk.shaped(value, sizes[-1]))
    full = tuple(int(n) for n in np.broadcast_shapes(*sizes))
    product = walk.elementwise("mul", parts, full)
    for k, wide in zip((1, 2, 3), sizes, strict=True):  # a constant zero hides what it is multiplied with
        table = table_of(walk, a[f"i{k}"]) == 0
        if walk.value(a[f"i{k}"]) is None and table.any():
            product = kept(walk, product, ~np.broadcast_to(table, fake_shape(a[f"i{k}"])).reshape(wide))
    return reduced(walk, product, "sum", [d % len(full) for d in a["sumdim"]], keepdims=False)


@rule("aten::view_as_complex", "aten::view_as_complex_copy")
def as_complex(walk: Walk, node: Node) -> Value:
    """Two parts of a last axis as one number."""
    x = first_value(walk, node)
    return reduced(walk, x, "sum", [len(x.full) - 1], keepdims=False)


@rule("aten::view_as_real", "aten::view_as_real_copy")
def as_real(walk: Walk, node: Node) -> Value:
    """One number as two parts along a new last axis."""
    x = first_value(walk, node)
    return walk.expanded(walk.shaped(x, (*x.full, 1)), fake_shape(node))
