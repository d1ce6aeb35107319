"""Random layers that move elements."""

import math

from tests.reference import output_shape
from tests.reference.core import replaced
from tests.strategies.builder import Builder, Shape, UnfitError, has_axis, is_full, is_image, maker


@maker("shape", "flatten")
def make_flatten(b: Builder, op: str) -> None:
    """Flatten a range of axes."""
    x = b.pick(has_axis)
    rank = len(b.shapes[x])
    start = b.integer(0, rank - 1)
    end = b.choice([-1, rank - 1, b.integer(start, rank - 1)])
    b.add(op, x, **b.optional(0.6, start_axis=start, end_axis=end))


@maker("shape", "reshape", weight=2)
def make_reshape(b: Builder, op: str) -> None:
    """Any factorisation of the number of elements."""
    x = b.pick(is_full)
    shape = b.factors(math.prod(b.shapes[x]), b.integer(1, 4))
    if b.chance(0.3):
        shape[b.integer(0, len(shape) - 1)] = -1
    b.add("reshape", x, shape=shape)


@maker("shape", "permute", "transpose")
def make_permute(b: Builder, op: str) -> None:
    """Axes swapped."""
    x = b.pick(lambda s: len(s) >= 2)
    rank = len(b.shapes[x])
    if op == "transpose":
        b.add(op, x, axis0=b.axis(rank), axis1=b.axis(rank))
    else:
        b.add(op, x, order=[a - rank if b.chance(0.15) else a for a in b.subset(rank, rank)])


@maker("shape", "unsqueeze")
def make_unsqueeze(b: Builder, op: str) -> None:
    """A new axis."""
    x = b.pick(lambda s: len(s) <= 4)
    b.add(op, x, axis=b.axis(len(b.shapes[x]) + 1))


def with_unit_axis(b: Builder) -> str:
    """A node with an axis of size 1."""
    if not b.nodes(lambda s: 1 in s) or b.chance(0.3):
        make_unsqueeze(b, "unsqueeze")
    return b.pick(lambda s: 1 in s)


@maker("shape", "squeeze")
def make_squeeze(b: Builder, op: str) -> None:
    """Axes of size 1 dropped."""
    x = with_unit_axis(b)
    ones = [a for a, n in enumerate(b.shapes[x]) if n == 1]
    b.add(op, x, axes=[ones[i] for i in b.subset(len(ones))])


@maker("shape", "expand")
def make_expand(b: Builder, op: str) -> None:
    """Broadcast."""
    x = with_unit_axis(b)
    shape = [b.integer(1, 4) if n == 1 else b.choice([n, -1]) for n in b.shapes[x]]
    b.add(op, x, shape=[b.integer(1, 2), *shape] if b.chance(0.2) else shape)


@maker("shape", "pad", weight=2)
def make_pad(b: Builder, op: str) -> None:
    """Padding of any mode, with crops for constants."""
    x = b.pick(is_full)
    mode = b.choice(["constant", "constant", "reflect", "symmetric", "replicate", "circular"])
    attrs = {} if mode == "constant" and b.chance(0.5) else {"mode": mode}

    def side(n: int) -> int:
        if b.chance(0.4):
            return 0
        if mode == "constant":
            return b.integer(-((n - 1) // 2), 2)
        return b.integer(0, {"reflect": min(n - 1, 3), "replicate": 2}.get(mode, min(n, 3)))

    b.attempt("pad", x, lambda: {"padding": [[side(n), side(n)] for n in b.shapes[x]], **attrs})


@maker("shape", "center_crop")
def make_center_crop(b: Builder, op: str) -> None:
    """The centre, as large as another node, after padding if no node is as large."""
    like = b.pick(lambda s: len(s) > 1 and is_full(s))
    wanted = b.shapes[like]
    fitting = b.nodes(lambda s: len(s) == len(wanted) and all(n >= m for n, m in zip(s[1:], wanted[1:], strict=True)))
    x = b.choice(fitting)
    if x == like or b.chance(0.3):
        x = b.add("pad", x, padding=[[0, 0], *([b.integer(0, 2), b.integer(0, 2)] for _ in wanted[1:])])
    b.add(op, [x, like])


@maker("shape", "slice", weight=2)
def make_slice(b: Builder, op: str) -> None:
    """A slice, sometimes backwards, seldom empty."""
    x = b.pick(has_axis)
    axis = b.axis(len(b.shapes[x]))
    n = b.shapes[x][axis]

    def draw() -> dict:
        step = b.choice([1, 1, 2, 3, -1, -2])
        attrs = {"axis": axis, **({"step": step} if step != 1 else {})}
        attrs |= {"start": b.integer(-n, n)} if step < 0 else b.optional(0.7, start=b.integer(-n, n))
        return attrs | b.optional(0.6, stop=b.choice([None, b.integer(-n, n + 1)]))

    if b.chance(0.12):
        start = b.integer(0, n)
        b.add("slice", x, axis=axis, start=start, stop=start)
        return
    for _ in range(12):
        attrs = draw()
        if n == 0 or is_full(output_shape("slice", attrs, [b.shapes[x]])):
            b.add("slice", x, **attrs)
            return
    raise UnfitError


@maker("shape", "select")
def make_select(b: Builder, op: str) -> None:
    """One slice."""
    x = b.pick(is_full)
    axis = b.axis(len(b.shapes[x]))
    n = b.shapes[x][axis]
    b.add(op, x, axis=axis, index=b.integer(-n, n - 1))


@maker("shape", "flip")
def make_flip(b: Builder, op: str) -> None:
    """Reversed axes."""
    x = b.pick(has_axis)
    rank = len(b.shapes[x])
    b.add(op, x, axes=[a - rank if b.chance(0.2) else a for a in b.subset(rank)])


@maker("shape", "roll")
def make_roll(b: Builder, op: str) -> None:
    """Rolled axes."""
    x = b.pick(has_axis)
    rank = len(b.shapes[x])
    axes = b.subset(rank)
    if b.chance(0.3):
        b.add(op, x, shifts=b.integer(-4, 4), axes=b.axis(rank))
    else:
        b.add(op, x, shifts=[b.integer(-4, 4) for _ in axes], axes=axes)


@maker("shape", "gather")
def make_gather(b: Builder, op: str) -> None:
    """Static indices."""
    x = b.pick(is_full)
    axis = b.axis(len(b.shapes[x]))
    n = b.shapes[x][axis]
    b.add(op, x, axis=axis, indices=[b.integer(-n, n - 1) for _ in range(b.integer(1, 5))])


def same_but(b: Builder, x: str, axis: int) -> list[str]:
    """Nodes with the shape of x apart from one axis."""
    shape = replaced(b.shapes[x], axis % len(b.shapes[x]), 0)
    return b.nodes(lambda s: len(s) == len(shape) and replaced(s, axis % len(shape), 0) == shape)


@maker("shape", "scatter", weight=2)
def make_scatter(b: Builder, op: str) -> None:
    """Slices replaced by another node's slices."""
    x = b.pick(is_full)
    axis = b.axis(len(b.shapes[x]))
    n = b.shapes[x][axis]
    updates = b.choice(same_but(b, x, axis))
    if updates == x or b.chance(0.3):
        m = b.shapes[updates][axis]
        if m == 0:
            raise UnfitError
        count = b.integer(1, min(m, 3))
        updates = b.add("gather", updates, axis=axis, indices=[b.integer(0, m - 1) for _ in range(count)])
    indices = [b.integer(-n, n - 1) for _ in range(b.shapes[updates][axis])]
    b.add("scatter", [x, updates], axis=axis, indices=indices, **b.optional(0.6, reduce=b.choice(["none", "add"])))


@maker("shape", "concat", weight=2)
def make_concat(b: Builder, op: str) -> None:
    """Nodes that fit one after another."""
    x = b.pick(has_axis)
    axis = b.axis(len(b.shapes[x]))
    others = same_but(b, x, axis)
    rest = [y for y in others if y != x] or others
    names = [x, *(b.choice(rest if b.chance(0.8) else others) for _ in range(b.integer(1, 2)))]
    b.add("concat", [names[int(i)] for i in b.rng.permutation(len(names))], axis=axis)


@maker("shape", "stack")
def make_stack(b: Builder, op: str) -> None:
    """Nodes of one shape along a new axis."""
    x = b.pick(lambda s: len(s) <= 4)
    others = b.nodes(lambda s: s == b.shapes[x])
    names = [x, *(b.choice(others) for _ in range(b.integer(0, 2)))]
    b.add(op, names, axis=b.axis(len(b.shapes[x]) + 1))


@maker("shape", "split", "chunk")
def make_split(b: Builder, op: str) -> None:
    """One or two parts of a split, perhaps added or concatenated again."""
    x = b.pick(is_full)
    axis = b.axis(len(b.shapes[x]))
    n = b.shapes[x][axis]
    if op == "chunk":
        chunks = b.integer(1, 4)
        attrs, count = {"chunks": chunks}, -(-n // -(-n // chunks))
    elif b.chance(0.5):
        size = b.integer(1, n)
        attrs, count = {"sections": size}, -(-n // size)
    else:
        cut = b.integer(0 if b.chance(0.1) else min(1, n - 1), n - (n > 1))
        attrs, count = {"sections": [cut, n - cut]}, 2
    index = b.integer(0, count - 1)
    part = b.add(op, x, axis=axis, **attrs, index=index)
    if count > 1 and b.chance(0.4):
        other = b.add(op, x, axis=axis, **attrs, index=(index + 1) % count)
        b.add("concat", [part, other], axis=axis)


@maker("shape", "repeat")
def make_repeat(b: Builder, op: str) -> None:
    """Tiling."""
    x = b.pick(has_axis)
    b.attempt(op, x, lambda: {"repeats": [b.choice([1, 1, 2, 3]) for _ in b.shapes[x]]})


@maker("shape", "repeat_interleave")
def make_repeat_interleave(b: Builder, op: str) -> None:
    """Slices repeated in place."""
    x = b.pick(has_axis)
    b.add(op, x, axis=b.axis(len(b.shapes[x])), repeats=b.integer(1, 3))


@maker("shape", "pixel_shuffle", "depth_to_space")
def make_depth_to_space(b: Builder, op: str) -> None:
    """Channels to pixels, after a 1x1 convolution if no node has enough channels."""
    r = b.choice([2, 2, 3, 1])
    if not b.nodes(lambda s: len(s) == 3 and is_full(s) and s[0] % (r * r) == 0):
        x = b.pick(lambda s: len(s) == 3 and is_full(s))
        b.add("conv", x, out_channels=r * r * b.integer(1, 2), kernel_size=1)
    x = b.pick(lambda s: len(s) == 3 and is_full(s) and s[0] % (r * r) == 0)
    if op == "pixel_shuffle":
        b.add(op, x, factor=r)
    else:
        b.add(op, x, block=r, **b.optional(0.7, mode=b.choice(["DCR", "CRD"])))


@maker("shape", "pixel_unshuffle", "space_to_depth")
def make_space_to_depth(b: Builder, op: str) -> None:
    """Pixels to channels, after a crop or padding if no node divides."""
    r = b.choice([2, 2, 3, 1])

    def divides(s: Shape) -> bool:
        return len(s) == 3 and is_full(s) and s[1] % r == 0 and s[2] % r == 0

    if not b.nodes(divides):
        x = b.pick(lambda s: len(s) == 3 and is_full(s))
        _, h, w = b.shapes[x]
        b.add("pad", x, padding=[[0, 0], [0, -h % r], [-w % r, 0]])
    b.add(op, b.pick(divides), **({"factor": r} if op == "pixel_unshuffle" else {"block": r}))


@maker("shape", "channel_shuffle")
def make_channel_shuffle(b: Builder, op: str) -> None:
    """Shuffled channels."""
    x = b.pick(is_image)
    b.add(op, x, groups=b.divisor(b.shapes[x][0]))
