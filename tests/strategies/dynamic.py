"""Random layers whose reads depend on data."""

from tests.strategies.builder import Builder, has_axis, is_full, is_image, maker
from tests.strategies.windows import grouped, window_attrs


@maker("dynamic", "deform_conv")
def make_deform_conv(b: Builder, op: str) -> None:
    """Offsets (and a mask) from convolutions with the same window."""
    x = b.pick(is_image)
    c, *sizes = b.shapes[x]
    drawn: dict = {}

    def draw() -> dict:
        drawn.clear()
        drawn.update(window_attrs(b, len(sizes)))
        return {"out_channels": b.integer(1, 2), **drawn}

    extra = [b.attempt("conv", x, draw)]
    if b.chance(0.4):
        extra.append(b.add("conv", x, out_channels=1, **drawn))
    b.add(op, [x, *extra], **grouped(b, c), **drawn)


@maker("dynamic", "grid_sample")
def make_grid_sample(b: Builder, op: str) -> None:
    """A grid made by a linear layer from any node with three axes."""
    x = b.pick(lambda s: len(s) == 3 and is_full(s))
    grids = b.nodes(lambda s: len(s) == 3 and is_full(s) and s[2] == 2)
    if grids and b.chance(0.5):
        b.add(op, [x, b.choice(grids)])
    else:
        b.add(op, [x, b.add("linear", b.pick(lambda s: len(s) == 3 and is_full(s)), out_features=2)])


@maker("dynamic", "dynamic_gather")
def make_dynamic_gather(b: Builder, op: str) -> None:
    """Indices from a vector, made by a reduction if there is none."""
    x = b.pick(is_full)
    vectors = b.nodes(lambda s: len(s) == 1 and is_full(s))
    if vectors and b.chance(0.5):
        index = b.choice(vectors)
    else:
        y = b.pick(lambda s: len(s) >= 2 and is_full(s))
        rank = len(b.shapes[y])
        keep = b.integer(0, rank - 1)
        index = b.add(b.choice(["max", "sum"]), y, axes=[a for a in range(rank) if a != keep])
    b.add(op, [x, index], axis=b.axis(len(b.shapes[x])))


@maker("dynamic", "topk")
def make_topk(b: Builder, op: str) -> None:
    """The k largest along an axis."""
    x = b.pick(is_full)
    axis = b.axis(len(b.shapes[x]))
    b.add(op, x, axis=axis, k=b.integer(1, b.shapes[x][axis]))


@maker("dynamic", "sort")
def make_sort(b: Builder, op: str) -> None:
    """An axis in order."""
    x = b.pick(has_axis)
    b.add(op, x, axis=b.axis(len(b.shapes[x])))


@maker("dynamic", "loosened")
def make_loosened(b: Builder, op: str) -> None:
    """The same values."""
    b.add(op, b.pick(has_axis))


@maker("dynamic", "opaque")
def make_opaque(b: Builder, op: str) -> None:
    """Any shape from one or two nodes."""
    parts = [b.pick(has_axis) for _ in range(b.integer(1, 2))]
    b.add(op, parts, shape=[b.integer(1, 4) for _ in range(b.integer(0, 3))])
