"""Shape rules of operators that move elements."""

from __future__ import annotations

from collections.abc import Sequence

from fastrf.ops.arguments import integers
from fastrf.queries.sizes.lengths import Length, Number, choose, is_fixed, larger, length
from fastrf.queries.sizes.trace import Attributes, Shape, Trace, plain, product, rule
from fastrf.queries.sizes.windows import padded_axis

__all__: list[str] = []


@rule("flatten")
def flatten(_: Trace, attributes: Attributes, shapes: list[Shape]) -> Sequence[Number]:
    """Some axes as one."""
    x = shapes[0]
    first, last = attributes.get("start_axis", 0) % len(x), attributes.get("end_axis", -1) % len(x)
    return [*x[:first], product(x[first : last + 1]), *x[last + 1 :]]


@rule("reshape")
def reshape(trace: Trace, attributes: Attributes, shapes: list[Shape]) -> Sequence[Number]:
    """Axes that follow the input keep their part; the number of elements stays."""
    sizes, total = integers_or_lengths(attributes["shape"]), product(shapes[0])
    rest = product([size for size in sizes if not _is_left_open(size)])
    if any(map(_is_left_open, sizes)):
        told = "{} elements do not divide into {}; no size fits the -1 of the shape"
        trace.require((length(rest) >= 1) & (length(total) % rest).equals(0), told, total, rest)
        return [plain(length(total) // rest) if _is_left_open(size) else size for size in sizes]
    trace.same(total, rest, "{} elements do not make the {} of the shape")
    return sizes


def _is_left_open(size: Number) -> bool:
    return isinstance(size, int) and size == -1


def integers_or_lengths(value: object) -> list[Number]:
    """Numbers of an attribute, of which some may follow the input."""
    listed = list(value) if isinstance(value, list | tuple) else [value]
    return [item if isinstance(item, Length) else integers(item, "shape", -1)[0] for item in listed]


@rule("permute")
def permute(_: Trace, attributes: Attributes, shapes: list[Shape]) -> Sequence[Number]:
    """The axes in another order."""
    return [shapes[0][axis] for axis in integers(attributes["order"], "order")]


@rule("transpose")
def transpose(_: Trace, attributes: Attributes, shapes: list[Shape]) -> Sequence[Number]:
    """Two axes exchanged."""
    x, (a, b) = list(shapes[0]), (attributes["axis0"], attributes["axis1"])
    x[a], x[b] = x[b], x[a]
    return x


@rule("squeeze")
def squeeze(trace: Trace, attributes: Attributes, shapes: list[Shape]) -> Sequence[Number]:
    """Axes of 1 dropped."""
    x, axes = shapes[0], attributes.get("axes")
    if axes is None:
        return [n for n in x if not trace.decide(length(n).equals(1))]
    dropped = [axis % len(x) for axis in integers(axes, "axes")]
    for axis in dropped:
        trace.require(length(x[axis]).equals(1), f"axis {axis} is {{}}, and only an axis of 1 can be squeezed", x[axis])
    return [n for axis, n in enumerate(x) if axis not in dropped]


@rule("unsqueeze")
def unsqueeze(_: Trace, attributes: Attributes, shapes: list[Shape]) -> Sequence[Number]:
    """A new axis of 1."""
    at = attributes["axis"] % (len(shapes[0]) + 1)
    return [*shapes[0][:at], 1, *shapes[0][at:]]


@rule("expand")
def expand(trace: Trace, attributes: Attributes, shapes: list[Shape]) -> Sequence[Number]:
    """Axes of 1 repeated."""
    sizes = integers_or_lengths(attributes["shape"])
    x = [1] * (len(sizes) - len(shapes[0])) + list(shapes[0])
    wanted = [old if _is_left_open(new) else new for new, old in zip(sizes, x, strict=True)]
    for old, new in zip(x, wanted, strict=True):
        met = length(old).equals(new) | length(old).equals(1)
        trace.require(met, "an axis of {} cannot be broadcast to {}; only an axis of 1 can", old, new)
    return wanted


@rule("pad")
def pad(trace: Trace, attributes: Attributes, shapes: list[Shape]) -> Sequence[Number]:
    """Axes lengthened or cropped."""
    mode, pairs = attributes.get("mode", "constant"), attributes["padding"]
    return [padded_axis(trace, n, tuple(pair), mode) for n, pair in zip(shapes[0], pairs, strict=True)]


@rule("center_crop")
def center_crop(trace: Trace, _: Attributes, shapes: list[Shape]) -> Sequence[Number]:
    """As large as the second input, which the first must be."""
    wanted = shapes[1][1:]
    for n, m in zip(shapes[0][1:], wanted, strict=True):
        trace.require(length(n) >= m, "the centre of {} places cannot be as large as {}; pad it first", n, m)
    return [shapes[0][0], *wanted]


@rule("slice")
def slice_(trace: Trace, attributes: Attributes, shapes: list[Shape]) -> Sequence[Number]:
    """A stretch of an axis, as Python cuts it."""
    axis, step = attributes["axis"] % len(shapes[0]), attributes.get("step", 1)
    n, start, stop = length(shapes[0][axis]), attributes.get("start"), attributes.get("stop")
    low, high = (0, n) if step > 0 else (-1, n - 1)
    first = _bound(start, n, low, high) if start is not None else (low if step > 0 else high)
    last = _bound(stop, n, low, high) if stop is not None else (high if step > 0 else low)
    distance = length(last) - first if step > 0 else length(first) - last
    made = plain(larger(-(-distance // abs(step)), 0))
    if not is_fixed(made):
        whole = stop is None and isinstance(start, int | None) and (start or 0) in range(max(step, 1))
        trace.stride(abs(step), n if whole else distance)
    return _replaced(shapes[0], axis, made)


def _bound(place: Number, n: Length, low: Number, high: Number) -> Length:
    """A start or stop counted from the front and kept inside the axis."""
    front = choose(length(place) >= 0, place, n + place)
    return choose(front >= high, high, choose(front <= low, low, front))


def _replaced(shape: Shape, axis: int, size: Number) -> list[Number]:
    return [*shape[:axis], plain(size), *shape[axis + 1 :]]


@rule("select")
def select(trace: Trace, attributes: Attributes, shapes: list[Shape]) -> Sequence[Number]:
    """One index along an axis, which is dropped."""
    axis = attributes["axis"] % len(shapes[0])
    _indexed(trace, shapes[0][axis], [attributes["index"]])
    return [*shapes[0][:axis], *shapes[0][axis + 1 :]]


def _indexed(trace: Trace, n: Number, indices: Sequence[int]) -> None:
    """The axis holds all indices."""
    if indices:
        least = max(max(indices) + 1, -min(indices))
        trace.require(length(n) >= least, f"an axis of {{}} has no index {max(indices)}; {least} are needed", n)


@rule("gather")
def gather(trace: Trace, attributes: Attributes, shapes: list[Shape]) -> Sequence[Number]:
    """Listed indices of an axis, or of all elements."""
    axis = attributes.get("axis")
    if axis is not None and isinstance(attributes["indices"], Length):  # as many as the input has it
        return _replaced(shapes[0], axis % len(shapes[0]), attributes["indices"])
    indices = integers(attributes["indices"], "indices")
    if axis is not None:
        _indexed(trace, shapes[0][axis % len(shapes[0])], indices)
        return _replaced(shapes[0], axis % len(shapes[0]), len(indices))
    _indexed(trace, product(shapes[0]), indices)
    wanted = attributes.get("shape")
    return [len(indices)] if wanted is None else reshape(trace, {"shape": wanted}, [[len(indices)]])


@rule("scatter")
def scatter(trace: Trace, attributes: Attributes, shapes: list[Shape]) -> Sequence[Number]:
    """The first input, of which some indices are written to."""
    x, updates = shapes
    indices, axis = integers(attributes["indices"], "indices"), attributes.get("axis")
    n = product(x) if axis is None else x[axis % len(x)]
    _indexed(trace, n, indices)
    wanted = [len(indices)] if axis is None else _replaced(x, axis % len(x), len(indices))
    given = [product(updates)] if axis is None else updates
    for one, other in zip(given, wanted, strict=True):
        trace.same(one, other, "updates of size {} do not fit {}")
    return x


@rule("concat")
def concat(trace: Trace, attributes: Attributes, shapes: list[Shape]) -> Sequence[Number]:
    """One after another along an axis; the others are the same."""
    axis = attributes["axis"] % len(shapes[0])
    return _joined(trace, shapes, axis)


def _joined(trace: Trace, shapes: list[Shape], axis: int) -> list[Number]:
    told = "sizes {} and {} differ outside the axis that is joined; crop or pad one to the other"
    sizes = list(shapes[0])
    for shape in shapes[1:]:
        for k, n in enumerate(shape):
            sizes[k] = plain(sizes[k] + n) if k == axis else trace.same(sizes[k], n, told)
    return sizes


@rule("stack")
def stack(trace: Trace, attributes: Attributes, shapes: list[Shape]) -> Sequence[Number]:
    """Side by side along a new axis."""
    at = attributes["axis"] % (len(shapes[0]) + 1)
    return _joined(trace, [[*x[:at], 1, *x[at:]] for x in shapes], at)


@rule("split")
def split(trace: Trace, attributes: Attributes, shapes: list[Shape]) -> Sequence[Number]:
    """One part of an axis."""
    axis, sections, index = attributes["axis"] % len(shapes[0]), attributes["sections"], attributes["index"]
    n = length(shapes[0][axis])
    if isinstance(sections, list | tuple):
        trace.same(n, sum(sections), "an axis of {} is not the {} that the sections make")
        return _replaced(shapes[0], axis, sections[index])
    return _replaced(shapes[0], axis, _part(trace, n, length(sections), index))


def _part(trace: Trace, n: Length, width: Length, index: int) -> Number:
    """The length of one of the parts of at most a width."""
    parts = larger(-(-n // width), 1)
    trace.require(length(parts) > max(index, -index - 1), f"part {index} is outside the {{}} parts", parts)
    at = length(index) if index >= 0 else parts + index
    start = at * width
    return larger(choose(n - start >= width, width, n - start), 0)


@rule("chunk")
def chunk(trace: Trace, attributes: Attributes, shapes: list[Shape]) -> Sequence[Number]:
    """One of some parts of an axis."""
    axis = attributes["axis"] % len(shapes[0])
    n = length(shapes[0][axis])
    width = length(larger(-(-n // attributes["chunks"]), 1))
    return _replaced(shapes[0], axis, _part(trace, n, width, attributes["index"]))


@rule("repeat")
def repeat(_: Trace, attributes: Attributes, shapes: list[Shape]) -> Sequence[Number]:
    """Axes tiled."""
    times = attributes["repeats"]
    listed = times if isinstance(times, list | tuple) else [times] * len(shapes[0])
    return [plain(n * count) for n, count in zip(shapes[0], listed, strict=True)]


@rule("repeat_interleave")
def repeat_interleave(_: Trace, attributes: Attributes, shapes: list[Shape]) -> Sequence[Number]:
    """Every index of an axis repeated."""
    axis = attributes["axis"] % len(shapes[0])
    return _replaced(shapes[0], axis, shapes[0][axis] * attributes["repeats"])
