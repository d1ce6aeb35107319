"""From a network to the sizes of its input that fit: each spatial axis by itself, and whether they meet."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, TypeAlias

from fastrf.errors import FastRFError, FormatError, NetworkError, ShapeError, UsageError
from fastrf.network import Input, Network
from fastrf.queries.sizes.answers import AxisSizes, Sizes
from fastrf.queries.sizes.layers import Followed, follow
from fastrf.queries.sizes.lengths import FARTHEST
from fastrf.queries.sizes.readings import MOST_SINGLE, NEAR, learned, only, weights_fit
from fastrf.queries.sizes.strides import with_strides
from fastrf.system.terminal import Progress, silent

__all__ = ["checked_range", "moved_shapes", "of_network", "spatial_axes"]

Load: TypeAlias = Callable[[Any], Network]
Stated: TypeAlias = Callable[[], Mapping[str, Sequence[Any]]]

#: Sizes after one that does not fit at which a network is read instead.
MOST_MOVED = 64


def of_network(
    load: Load,
    input_shape: Any,
    wrt: str | None,
    within: tuple[int, int | None],
    *,
    fixed: bool,
    stated: Stated = lambda: {},
    progress: Progress = silent,
) -> Sizes:
    """The sizes that fit a network which `load` reads at a shape; `fixed` says that its layers are always the same.

    `stated` gives shapes that a file states for its inputs, and that what runs it insists on.

    Raises what `load` raises, UsageError for a network of several inputs of which none is named, ShapeError for an
    input without spatial axes and UnsupportedOpError for layers whose shapes are not solved.
    """
    network, moved = _read(load, input_shape)
    given = _input(network, wrt)
    axes, alone = spatial_axes(given), _stated_axes(given, stated())

    at = functools.partial(_at, load, network, given)

    def found_of(axis: int) -> Followed:
        if axis in alone:
            found = only(network, given.name, given.shape[axis], axis)
            return with_strides(found, lambda _: network, {}, given.name, axis)
        if fixed:
            return follow(network, given.name, axis)
        return _followed(axis, at, network, given, within, progress)

    found = [found_of(axis) for axis in axes]
    answers = [AxisSizes(axis, given.shape[axis], one.pieces, within) for axis, one in zip(axes, found, strict=True)]
    assumes = dict.fromkeys([*moved, *network.assumes, *(text for one in found for text in one.assumes)])
    tied = _tied(network, found)

    def tried(sizes: tuple[int, ...]) -> Mapping[str, Sequence[int]] | str:
        return _outputs(network, at(dict(zip(axes, sizes, strict=True))))

    return Sizes(network.name, given.shape, tuple(answers), tied, tuple(assumes), None if tied is None else tried)


def _at(load: Load, network: Network, given: Input, sizes: Mapping[int, int]) -> Network | str:
    """The network with other sizes of an input, or what is wrong with them."""
    shape = tuple(sizes.get(axis, n) for axis, n in enumerate(given.shape))
    shapes = {name: shape if name == given.name else one.shape for name, one in network.inputs.items()}
    try:
        return load(shapes if len(shapes) > 1 else shape)
    except (NetworkError, FormatError) as error:  # constants of a file that do not fit each other any more
        return str(error)


def _outputs(network: Network, other: Network | str) -> Mapping[str, Sequence[int]] | str:
    """Shapes of another network's outputs; what is wrong where it is none with the same weights."""
    if isinstance(other, str):
        return other
    node = weights_fit(network, other)
    shapes = {name: other.shape_of(name) for name in other.outputs}
    return shapes if node is None else f"node {node!r}: its weights are for another shape"


def _stated_axes(given: Input, shapes: Mapping[str, Sequence[Any]]) -> list[int]:
    """Axes that a file fixes at the size given."""
    listed = list(shapes.get(given.name, ()))[-len(given.shape) :]
    return [axis for axis, n in enumerate(listed) if n == given.shape[axis]] if len(listed) == len(given.shape) else []


def _followed(
    axis: int,
    at: Callable[[Mapping[int, int]], Network | str],
    network: Network,
    given: Input,
    within: tuple[int, int | None],
    progress: Progress,
) -> Followed:
    """An axis of the network, which is read once for each size."""
    expected = within[1] - within[0] if within[1] is not None and within[1] - within[0] <= MOST_SINGLE else 2 * NEAR
    known: dict[int, Network | str] = {given.shape[axis]: network}

    def read(size: int) -> Network | str:
        if size not in known:
            known[size] = at({axis: size})
            progress(len(known), max(len(known), expected))
        return known[size]

    return with_strides(learned(read, given.name, axis, given.shape[axis], within), read, known, given.name, axis)


def _read(load: Load, input_shape: Any) -> tuple[Network, list[str]]:
    """The network at the shape, or at the next one that fits; which one that is."""
    try:
        return load(input_shape), []
    except FormatError:
        raise
    except NetworkError as error:
        wanted = getattr(input_shape, "shape", input_shape)
        if not isinstance(wanted, list | tuple) or len(wanted) < 2 or not all(type(n) is int for n in wanted):
            raise
        for shape in moved_shapes(wanted):
            try:
                network = load(shape)
            except FastRFError:
                continue
            told = "x".join(map(str, wanted))
            return network, [f"the network was read at {'x'.join(map(str, shape))}, since {told} does not fit"]
        raise error


def moved_shapes(shape: Sequence[int]) -> Iterator[tuple[int, ...]]:
    """Shapes near one that does not fit: the next multiples, then the next ones, of all axes but the first."""
    for unit in (8, 16, 32, 64):
        yield (shape[0], *(-(-n // unit) * unit for n in shape[1:]))
    for more in range(1, MOST_MOVED + 1):
        yield (shape[0], *(n + more for n in shape[1:]))


def _input(network: Network, wrt: str | None) -> Input:
    names = list(network.inputs)
    if wrt is None and len(names) > 1:
        raise UsageError(f"the network has inputs {', '.join(names)}; name one by wrt, the others keep their shapes")
    if wrt is not None and wrt not in network.inputs:
        raise UsageError(f"{wrt[:60]!r} is no input of the network; its inputs are {', '.join(names)}")
    return network.inputs[names[0] if wrt is None else wrt]


def spatial_axes(given: Input) -> list[int]:
    """The axes of an input that hold no channels. Raises ShapeError where there are none."""
    axes = [axis for axis in range(len(given.shape)) if axis != given.channel_axis]
    if not axes:
        raise ShapeError(f"input {given.name!r} of shape {given.shape} has no spatial axes, so no size to choose")
    return axes


def _tied(network: Network, found: Sequence[Followed]) -> str | None:
    """The first layer that asks something of several axes, or of which one axis follows several of the input's."""
    for k, one in enumerate(found):
        for other in found[k + 1 :]:
            both = [*(one.varying & other.varying), *(one.sites & other.sites)]
            if both:
                place = {node.name: k for k, node in enumerate(network.nodes)}
                return min((name for name, _ in both), key=lambda name: place[name])
    return None


def checked_range(within: Any) -> tuple[int, int | None]:
    """A range of sizes. Raises UsageError for what is none."""
    if within is None:
        return 1, None
    told = f"within must be (start, stop) with 1 <= start < stop <= {FARTHEST}, such as (1, 701)"
    if not isinstance(within, list | tuple) or len(within) != 2:
        raise UsageError(f"{told}, not {str(within)[:40]!r}")
    start, stop = within
    if not all(type(n) is int for n in within) or not 1 <= start < stop <= FARTHEST:
        raise UsageError(f"{told}, not {str(within)[:40]}")
    return start, stop
