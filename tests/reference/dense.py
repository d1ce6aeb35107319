"""Operators that mix features: linear, products, softmax, attention, recurrence, gates."""

import string
from collections.abc import Iterator
from itertools import product

import numpy as np

from tests.reference.core import (
    ALL,
    Dep,
    Reads,
    assemble,
    axis_of,
    empty_like,
    operator,
    rank,
    require,
    shape_of,
    table_of,
)
from tests.reference.reductions import whole_axes


@operator("linear")
def linear(attrs: dict, x: Dep) -> Dep:
    """Every output feature reads the last axis where its weight is used."""
    shape = (*shape_of(x)[:-1], attrs["out_features"])
    used = table_of(attrs, (attrs["out_features"], x.shape[-2]))
    return assemble(shape, x.shape[-1], lambda o: [(x, (*o[:-1], used[o[-1]]))])


@operator("matmul")
def matmul(attrs: dict, a: Dep, b: Dep) -> Dep:
    """Element (m, n) reads row m of a and column n of b, the latter only where a is used at (m, k)."""
    width = a.shape[-1]
    left, right = (a[None] if rank(a) == 1 else a), (b[:, None] if rank(b) == 1 else b)
    (m, k), (k2, n) = shape_of(left)[-2:], shape_of(right)[-2:]
    require(k == k2, f"matmul of {shape_of(a)} and {shape_of(b)}")
    lead = np.broadcast_shapes(shape_of(left)[:-2], shape_of(right)[:-2])
    left, right = np.broadcast_to(left, (*lead, m, k, width)), np.broadcast_to(right, (*lead, k, n, width))
    used = np.ones((m, k), bool) if attrs.get("used") is None else np.array(attrs["used"], bool).reshape(m, k)

    def reads(o: tuple) -> Reads:
        return [(left, (*o[:-1], ALL)), *((right, (*o[:-2], j, o[-1])) for j in range(k) if used[o[-2], j])]

    out = assemble((*lead, m, n), width, reads)
    if rank(b) == 1:
        out = out[..., 0, :]
    return out[..., 0, :] if rank(a) == 1 and rank(b) == 1 else out[..., 0, :, :] if rank(a) == 1 else out


def parse_einsum(equation: str) -> tuple[list[str], str]:
    """Operand and result letters of an einsum equation."""
    text = equation.replace(" ", "")
    terms = text.split("->")[0].split(",")
    letters = "".join(terms)
    require(all(c in string.ascii_letters for c in letters), f"bad einsum {equation}")
    if "->" in text:
        return terms, text.split("->")[1]
    return terms, "".join(sorted(c for c in set(letters) if letters.count(c) == 1))


@operator("einsum")
def einsum(attrs: dict, *inputs: Dep) -> Dep:
    """The result at an assignment of output letters reads every term of the sum over the other letters."""
    terms, result = parse_einsum(attrs["equation"])
    require(len(terms) == len(inputs), "einsum: wrong number of operands")
    size: dict[str, int] = {}
    for term, x in zip(terms, inputs, strict=True):
        require(len(term) == rank(x), f"einsum operand {term} has {rank(x)} axes")
        for letter, n in zip(term, shape_of(x), strict=True):
            require(size.setdefault(letter, n) == n, f"einsum letter {letter}: {size[letter]} and {n}")
    summed = [c for c in size if c not in result]

    def reads(o: tuple) -> Iterator[tuple[Dep, tuple]]:
        for rest in product(*(range(size[c]) for c in summed)):
            at = dict(zip([*result, *summed], [*o, *rest], strict=True))
            yield from ((x, tuple(at[c] for c in term)) for term, x in zip(terms, inputs, strict=True))

    return assemble([size[c] for c in result], inputs[0].shape[-1], reads)


@operator("softmax", "log_softmax", "softmin")
def softmax(attrs: dict, x: Dep) -> Dep:
    """Every element reads its whole axis; a constant when that has one element."""
    axis = axis_of(attrs.get("axis", -1), rank(x))
    return empty_like(x) if x.shape[axis] == 1 else whole_axes(x, [axis])


@operator("attention")
def attention(attrs: dict, q: Dep, k: Dep, v: Dep) -> Dep:
    """Row l reads the values it may attend to and, if there is a choice, its query and their keys."""
    (*lead, length, e), (*lead_k, steps, e2), (*lead_v, steps2, e_v) = shape_of(q), shape_of(k), shape_of(v)
    require(lead == lead_k == lead_v and e == e2 and steps == steps2, "attention: shapes do not fit")
    mask = attrs.get("mask")
    require(mask is None or np.shape(mask) == (length, steps), "attention: mask shape")

    def may(row: int, s: int) -> bool:
        return (mask is None or bool(mask[row][s])) and (s <= row or not attrs.get("causal", False))

    def reads(o: tuple) -> Iterator[tuple[Dep, tuple]]:
        *b, row, column = o
        allowed = [s for s in range(steps) if may(row, s)]
        for s in allowed:
            yield v, (*b, s, column)
            if len(allowed) >= 2:
                yield k, (*b, s)
                yield q, (*b, row)

    return assemble((*lead, length, e_v), q.shape[-1], reads)


@operator("recurrent")
def recurrent(attrs: dict, x: Dep) -> Dep:
    """Layer by layer: forward features read the past, backward features the future, of all features."""
    require(rank(x) == 2, "recurrent: input must be (time, features)")
    hidden, direction = attrs["hidden_size"], attrs.get("direction", "forward")
    require(direction in ("forward", "backward", "bidirectional"), "recurrent: direction")
    for _ in range(attrs.get("num_layers", 1)):
        x = recurrent_layer(x, hidden, direction)
    return x


def recurrent_layer(x: Dep, hidden: int, direction: str) -> Dep:
    """One recurrent layer."""

    def reads(o: tuple) -> Reads:
        backward = direction == "backward" or (direction == "bidirectional" and o[1] >= hidden)
        return [(x, (slice(o[0], None),))] if backward else [(x, (slice(0, o[0] + 1),))]

    return assemble((x.shape[0], hidden * (2 if direction == "bidirectional" else 1)), x.shape[-1], reads)


@operator("squeeze_excitation")
def squeeze_excitation(attrs: dict, x: Dep) -> Dep:
    """The gate reads everything."""
    return assemble(shape_of(x), x.shape[-1], lambda _: [(x, ())])
