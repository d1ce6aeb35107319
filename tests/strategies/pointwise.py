"""Random layers that act on single elements."""

import math

from tests.reference.pointwise import N_ARY, POINTWISE
from tests.strategies.builder import Builder, fits, has_axis, maker


@maker("pointwise", *POINTWISE)
def make_pointwise(b: Builder, op: str) -> None:
    """A pointwise operator."""
    b.add(op, b.pick(lambda _: True))


@maker("nary", *N_ARY)
def make_nary(b: Builder, op: str) -> None:
    """An elementwise operator of nodes that broadcast."""
    count = {"sub": 2, "div": 2, "compare": 2, "logical_and": 2, "logical_or": 2, "where": 3}.get(op) or b.choice(
        [1, 2, 2, 3]
    )
    names = [b.pick(lambda _: True)]
    while len(names) < count:
        others = [x for x in b.shapes if fits(op, {}, b, [*names, x])]
        other = [x for x in others if x not in names and math.prod(b.shapes[x]) > 1]
        names.append(b.choice(other if other and b.chance(0.85) else others))
    b.add(op, [names[int(i)] for i in b.rng.permutation(count)])


@maker("pointwise", "constant")
def make_constant(b: Builder, op: str) -> None:
    """A constant, to be mixed with other nodes later."""
    b.add(op, b.pick(has_axis), shape=[b.integer(1, 4) for _ in range(b.integer(1, 3))])


@maker("pointwise", "keep")
def make_keep(b: Builder, op: str) -> None:
    """A mask over one or two axes."""
    x = b.pick(has_axis)
    shape = b.shapes[x]
    axes = b.subset(len(shape))[:2]
    mask = b.rng.random([shape[a] for a in axes]) < 0.7
    b.add(op, x, mask=mask.tolist(), axes=axes)
