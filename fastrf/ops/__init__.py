"""Operators: one function each, which says its output shape and its dependency by the same few tensor methods.

| module | holds |
|---|---|
| `windows` | convolution, pooling, unfold and fold, local response normalisation |
| `dense` | linear, products, attention, normalisation, reductions, recurrence |
| `shape` | reshape, pad, slice, gather, scatter, concat, shuffles, windows |
| `resize` | nearest, linear, cubic, area interpolation |
| `pointwise` | everything that acts on one element |
| `dynamic` | data-dependent ones, as sound over-approximations |
| `registry`, `applying` | the facts of an operator; how one is found and called |
| `rules` | operators of users |
"""

from __future__ import annotations

from fastrf.engine.recipe import Tensor
from fastrf.ops import dense, dynamic, pointwise, resize, shape, windows
from fastrf.ops.applying import apply, find, frozen
from fastrf.ops.registry import OPERATORS, Operator, operator

__all__ = [
    "OPERATORS",
    "Operator",
    "Tensor",
    "apply",
    "dense",
    "dynamic",
    "find",
    "frozen",
    "operator",
    "pointwise",
    "resize",
    "shape",
    "windows",
]
