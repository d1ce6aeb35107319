"""Random layers that mix features, normalise or reduce."""

import math
import string

from tests.reference.reductions import REDUCTIONS
from tests.strategies.builder import (
    Builder,
    UnfitError,
    fits,
    has_axis,
    is_full,
    is_image,
    is_tokens,
    keep_shape,
    maker,
)
from tests.strategies.windows import used


@maker("mixing", "linear")
def make_linear(b: Builder, op: str) -> None:
    """Linear over the last axis."""
    x, out = b.pick(has_axis), b.integer(1, 5)
    b.add(op, x, out_features=out, **b.optional(0.2, bias=b.chance(0.5)), **used(b, out, b.shapes[x][-1]))


@maker("mixing", "matmul")
def make_matmul(b: Builder, op: str) -> None:
    """A product of two nodes that happen to fit, or of a node and its transpose."""
    if b.chance(0.5):
        pairs = [(x, y) for x in b.nodes(has_axis) for y in b.nodes(has_axis) if fits(op, {}, b, [x, y])]
        if not pairs:
            raise UnfitError
        x, y = b.choice(pairs)
        m, k = (1, *b.shapes[x])[-2:]
        used = {"used": (b.rng.random((m, k)) < 0.6).tolist()} if b.chance(0.3) else {}
        b.add(op, [x, y], **used)
        return
    x = b.pick(lambda s: len(s) >= 2)
    y = b.add("transpose", b.add("slice", x, axis=-2, start=b.integer(0, 1)), axis0=-1, axis1=-2)
    b.add(op, [x, y] if b.chance(0.5) else [y, b.add("transpose", y, axis0=-2, axis1=-1)])


@maker("mixing", "einsum", weight=2)
def make_einsum(b: Builder, op: str) -> None:
    """Random letters for one to three operands, some shared, some repeated, some summed."""
    names = [b.pick(has_axis) for _ in range(b.choice([1, 2, 2, 2, 3]))]
    if b.chance(0.4):
        names[-1] = names[0]
    letters = [string.ascii_letters[int(i)] for i in b.rng.permutation(len(string.ascii_letters))]
    size: dict[str, int] = {}
    terms = []
    for name in names:
        term = ""
        for n in b.shapes[name]:
            known = [c for c, m in size.items() if m == n and (c not in term or b.chance(0.15))]
            letter = b.choice(known) if known and b.chance(0.75) else letters.pop()
            size[letter] = n
            term += letter
        terms.append(term)
    if math.prod(size.values()) > 3000:
        raise UnfitError
    used = list(size)
    result = "->" + "".join(used[i] for i in b.subset(len(used), 0)) if b.chance(0.8) else ""
    comma = ", " if b.chance(0.1) else ","
    b.add("einsum", names, equation=comma.join(terms) + result)


@maker("mixing", "softmax", "log_softmax", "softmin")
def make_softmax(b: Builder, op: str) -> None:
    """Softmax."""
    x = b.pick(is_full)
    b.add(op, x, axis=b.axis(len(b.shapes[x])))


@maker("mixing", "attention", weight=2)
def make_attention(b: Builder, op: str) -> None:
    """Self-attention, projected or not, or cross-attention with part of the tokens or with another node."""
    x = b.pick(is_tokens)
    *lead, length, e = b.shapes[x]
    if b.chance(0.3):  # split off heads: (..., L, h*d) -> (..., h, L, d)
        heads = b.divisor(e)
        parts = b.add("reshape", x, shape=[*lead, length, heads, e // heads])
        x = b.add("transpose", parts, axis0=-2, axis1=-3)
        *lead, length, e = b.shapes[x]
    q = k = v = x
    kind = b.choice(["self", "projected", "part", "other"])
    if kind == "projected":
        q, k, v = b.add("linear", x, out_features=e), x, b.add("linear", x, out_features=b.integer(1, 4))
    elif kind == "part":
        k = v = b.add("slice", x, axis=-2, start=b.integer(0, length - 1))
    elif kind == "other":
        k = b.pick(lambda s: is_tokens(s) and list(s[:-2]) == lead and s[-1] == e)
        v = b.pick(lambda s: is_tokens(s) and s[:-1] == b.shapes[k][:-1])
    mask = (b.rng.random((length, b.shapes[k][-2])) < b.choice([0.2, 0.5, 0.9])).tolist()
    b.add("attention", [q, k, v], **b.optional(0.4, causal=b.chance(0.7)), **b.optional(0.4, mask=mask))


@maker("mixing", "layer_norm", "rms_norm", "l2_normalize")
def make_layer_norm(b: Builder, op: str) -> None:
    """Layer or RMS norm."""
    x = b.pick(is_full)
    rank = len(b.shapes[x])
    axes = [a - rank if b.chance(0.3) else a for a in b.subset(rank)]
    b.add(op, x, **b.optional(0.7, axes=axes))


@maker("mixing", "group_norm")
def make_group_norm(b: Builder, op: str) -> None:
    """Group norm."""
    x = b.pick(is_image)
    b.add(op, x, groups=b.divisor(b.shapes[x][0]))


@maker("mixing", "instance_norm", "squeeze_excitation")
def make_image_norm(b: Builder, op: str) -> None:
    """Instance norm, squeeze and excitation."""
    extra = {"squeeze_channels": b.integer(1, 2)} if op == "squeeze_excitation" else {}
    b.add(op, b.pick(is_image), **extra)


@maker("mixing", "recurrent", weight=2)
def make_recurrent(b: Builder, op: str) -> None:
    """LSTM, GRU, RNN over (time, features)."""
    if not b.nodes(lambda s: len(s) == 2 and is_full(s)):
        x = b.pick(is_image)
        b.add("transpose", b.add("flatten", x, start_axis=1), axis0=0, axis1=1)
    x = b.pick(lambda s: len(s) == 2 and is_full(s))
    direction = b.choice(["forward", "backward", "bidirectional"])
    attrs = b.optional(0.6, direction=direction, num_layers=b.integer(1, 2), mode=b.choice(["lstm", "gru", "rnn"]))
    b.add("recurrent", x, hidden_size=b.integer(1, 3), **attrs)


@maker("reductions", *REDUCTIONS, "std", "var")
def make_reduce(b: Builder, op: str) -> None:
    """A reduction over some axes."""
    x = b.pick(has_axis if op == "sum" else is_full)
    rank = len(b.shapes[x])
    kind = b.choice(["all", "int", "list", "list"])
    axes = {"all": {}, "int": {"axes": b.axis(rank)}, "list": {"axes": b.subset(rank)}}[kind]
    b.add(op, x, **axes, **b.optional(0.5, keepdims=b.chance(0.7)))


@maker("reductions", "argmax", "argmin")
def make_argmax(b: Builder, op: str) -> None:
    """Position of the maximum."""
    x = b.pick(is_full)
    b.add(op, x, axis=b.axis(len(b.shapes[x])), **b.optional(0.5, keepdims=b.chance(0.7)))


@maker("reductions", "cumsum", "cumprod", "cummax", "cummin", "logcumsumexp")
def make_cumulative(b: Builder, op: str) -> None:
    """A cumulative operator."""
    x = b.pick(has_axis)
    flags = b.optional(0.6, reverse=b.chance(0.6), exclusive=b.chance(0.6))
    b.add(op, x, axis=b.axis(len(b.shapes[x])), **flags)


@maker("tokens", "tokens", "windows")
def make_tokens(b: Builder, op: str) -> None:
    """Image to tokens (of the image, or of each window), something on the tokens, and back."""
    x = b.pick(lambda s: len(s) == 3 and is_full(s))
    c, h, w = b.shapes[x]
    if op == "tokens":
        flat = b.add("flatten", x, start_axis=1)
        y = keep_shape(b, b.add("transpose", flat, axis0=0, axis1=1))
        b.add("reshape", b.add("permute", y, order=[1, 0]), shape=[c, h, w])
        return
    wh, ww = b.divisor(h), b.divisor(w)
    cells = b.add("reshape", x, shape=[c, h // wh, wh, w // ww, ww])
    y = b.add("permute", cells, order=[1, 3, 2, 4, 0])
    y = keep_shape(b, b.add("reshape", y, shape=[-1, wh * ww, c]))
    y = b.add("reshape", y, shape=[h // wh, w // ww, wh, ww, c])
    b.add("reshape", b.add("permute", y, order=[4, 0, 2, 1, 3]), shape=[c, h, w])
