"""Shape rules of operators that mix whole axes or act on every element, and of those that depend on data."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

import numpy as np

from fastrf.ops.arguments import integers
from fastrf.ops.pointwise import N_ARY, UNARY
from fastrf.ops.truths import Truths
from fastrf.queries.sizes.lengths import Number, length
from fastrf.queries.sizes.shapes import integers_or_lengths
from fastrf.queries.sizes.trace import Attributes, Shape, Trace, product, rule

__all__: list[str] = []


@rule(*UNARY, "batch_norm", "softmax", "log_softmax", "softmin", "layer_norm", "rms_norm", "l2_normalize")
@rule("instance_norm", "squeeze_excitation", "cumsum", "cumprod", "cummax", "cummin", "logcumsumexp")
@rule("local_response_norm", "sort", "loosened", "flip", "roll")
def unchanged(_: Trace, __: Attributes, shapes: list[Shape]) -> Sequence[Number]:
    """The input's shape."""
    return shapes[0]


@rule(*N_ARY)
def elementwise(trace: Trace, _: Attributes, shapes: list[Shape]) -> Sequence[Number]:
    """The common shape by NumPy's rules."""
    return _broadcast(trace, shapes)


def _broadcast(trace: Trace, shapes: list[Shape]) -> list[Number]:
    columns = itertools.zip_longest(*(reversed(shape) for shape in shapes), fillvalue=1)
    found: list[Number] = []
    for first, *others in columns:
        size: Number = first
        for other in others:
            size = trace.broadcast(size, other)
        found.append(size)
    return found[::-1]


@rule("linear")
def linear(_: Trace, attributes: Attributes, shapes: list[Shape]) -> Sequence[Number]:
    """The last axis connected: its weights are of one size."""
    return [*shapes[0][:-1], attributes["out_features"]]


@rule("matmul")
def matmul(trace: Trace, attributes: Attributes, shapes: list[Shape]) -> Sequence[Number]:
    """Rows by columns, leading axes broadcast."""
    a, b = shapes
    left, right = ([1, *a] if len(a) == 1 else list(a)), ([*b, 1] if len(b) == 1 else list(b))
    trace.same(left[-1], right[-2], "{} columns do not multiply {} rows")
    used = attributes.get("used")
    if used is not None:
        _table(trace, used, left[-2], left[-1])
    lead = _broadcast(trace, [left[:-2], right[:-2]])
    return [*lead, *([left[-2]] if len(a) > 1 else []), *([right[-1]] if len(b) > 1 else [])]


def _table(trace: Trace, table: Any, *sizes: Number) -> None:
    """A table of constants has the sizes of the axes that it is for."""
    shape = table.array.shape if isinstance(table, Truths) else np.shape(table)
    for n, m in zip(sizes, shape, strict=True):
        trace.same(n, m, "a constant mask or table does not fit an axis of {}; it has {}")


@rule("einsum")
def einsum(trace: Trace, attributes: Attributes, shapes: list[Shape]) -> Sequence[Number]:
    """Letters that must agree."""
    left, arrow, output = attributes["equation"].replace(" ", "").partition("->")
    if not arrow:
        output = "".join(sorted(c for c in set(left) - {","} if left.count(c) == 1))
    sizes: dict[str, Number] = {}
    for letters, shape in zip(left.split(","), shapes, strict=True):
        own: dict[str, Number] = {}
        for letter, n in zip(letters, shape, strict=True):
            told = f"letter {letter} is both {{}} and {{}} in one operand"
            own[letter] = trace.same(own[letter], n, told) if letter in own else n
        for letter, n in own.items():
            sizes[letter] = trace.broadcast(sizes[letter], n) if letter in sizes else n
    return [sizes[letter] for letter in output]


@rule("attention")
def attention(trace: Trace, attributes: Attributes, shapes: list[Shape]) -> Sequence[Number]:
    """Rows of the query, features of the value; a mask is of one size."""
    query, key, value = shapes
    told = "queries, keys and values of sizes {} and {} do not fit each other"
    pairs = [*zip(query[:-2], key[:-2], strict=True), *zip(key[:-1], value[:-1], strict=True), (query[-1], key[-1])]
    for one, other in pairs:
        trace.same(one, other, told)
    if attributes.get("mask") is not None:
        _table(trace, attributes["mask"], query[-2], key[-2])
    return [*query[:-1], value[-1]]


@rule("mean", "max", "min", "norm", "logsumexp", "any", "all", "sum", "prod", "std", "var")
def reduction(_: Trace, attributes: Attributes, shapes: list[Shape]) -> Sequence[Number]:
    """Axes gathered."""
    return _reduced(shapes[0], attributes.get("axes"), attributes.get("keepdims", False))


def _reduced(x: Shape, axes: object, keepdims: bool) -> list[Number]:
    gone = range(len(x)) if axes is None else [axis % len(x) for axis in integers(axes, "axes")]
    return [1 if axis in gone else n for axis, n in enumerate(x) if keepdims or axis not in gone]


@rule("argmax", "argmin")
def arg_reduction(_: Trace, attributes: Attributes, shapes: list[Shape]) -> Sequence[Number]:
    """An axis gathered."""
    return _reduced(shapes[0], attributes["axis"], attributes.get("keepdims", False))


@rule("recurrent")
def recurrent(_: Trace, attributes: Attributes, shapes: list[Shape]) -> Sequence[Number]:
    """As many steps of hidden features."""
    ways = 2 if attributes.get("direction") == "bidirectional" else 1
    return [shapes[0][0], attributes["hidden_size"] * ways]


@rule("constant", "opaque")
def constant(_: Trace, attributes: Attributes, __: list[Shape]) -> Sequence[Number]:
    """A given shape."""
    return integers_or_lengths(attributes["shape"])


@rule("keep")
def keep(trace: Trace, attributes: Attributes, shapes: list[Shape]) -> Sequence[Number]:
    """A constant mask over some axes."""
    _table(trace, attributes["mask"], *(shapes[0][axis] for axis in integers(attributes["axes"], "axes")))
    return shapes[0]


@rule("grid_sample")
def grid_sample(_: Trace, __: Attributes, shapes: list[Shape]) -> Sequence[Number]:
    """The places of a grid."""
    return [shapes[0][0], *shapes[1][:-1]]


@rule("dynamic_gather")
def dynamic_gather(_: Trace, attributes: Attributes, shapes: list[Shape]) -> Sequence[Number]:
    """As many as there are indices."""
    axis = attributes["axis"] % len(shapes[0])
    return [*shapes[0][:axis], product(shapes[1]), *shapes[0][axis + 1 :]]


@rule("topk")
def topk(trace: Trace, attributes: Attributes, shapes: list[Shape]) -> Sequence[Number]:
    """The first of an axis in order."""
    axis, k = attributes["axis"] % len(shapes[0]), attributes["k"]
    n = shapes[0][axis]
    trace.require(length(n) >= k, f"k = {k} is more than the {{}} elements of the axis", n)
    return [*shapes[0][:axis], k, *shapes[0][axis + 1 :]]
