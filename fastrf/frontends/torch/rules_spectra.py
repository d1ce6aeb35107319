"""Fourier transforms, and filters by way of them: a product of spectra, transformed back, is a circular convolution.

How far a filter reaches is read off where it is zero by definition, such as the zeros that it is padded with.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np
from torch.fx import Node

from fastrf.frontends import moving, sliding
from fastrf.frontends.lowering import Mask, Value
from fastrf.frontends.torch.arguments import bound, fake_shape, short_name
from fastrf.frontends.torch.known import table_of
from fastrf.frontends.torch.names import COPIES, SHAPES
from fastrf.frontends.torch.registry import Walk, rule

__all__: list[str] = []

#: The forms that users call: whether forward, and whether of half a spectrum.
_CALLED = {
    f"fft_{back}{half}fft{axes}": (not back, bool(half))
    for back in ("", "i")
    for half in ("", "r")
    for axes in ("", "2", "n")
}
_CONJUGATES = frozenset(("conj", "_conj", "_conj_physical", "conj_physical"))


@rule("_fft_r2c", "_fft_c2c", "_fft_c2r", *_CALLED)
def fourier(walk: Walk, node: Node) -> Value:
    """Every frequency reads every sample of the transformed axes, and back; a filter reads what it reaches."""
    x, transform = walk.first(node), _transform(node)
    filtered = None if transform.forward else _filtered(walk, transform)
    if filtered is not None:
        return walk.expanded(filtered, fake_shape(node))
    lengths = transform.sizes if transform.forward else transform.frequencies
    dims = [axis % len(x.full) for axis in transform.axes]
    x = _resized(walk, x, dims, lengths)
    result = walk.expanded(moving.reduce(walk, x, "sum", dims, keepdims=True), fake_shape(node))
    return walk.loosened(result) if not transform.forward and _may_cancel(walk, node) else result


class _Transform(NamedTuple):
    """A transform of `source` along axes, from the end, of so many samples each.

    `halved` has half of the last axis' spectrum.
    """

    source: Node
    axes: tuple[int, ...]
    sizes: tuple[int, ...]
    forward: bool
    halved: bool

    @property
    def frequencies(self) -> tuple[int, ...]:
        """How many frequencies each axis has."""
        return (*self.sizes[:-1], self.sizes[-1] // 2 + 1 if self.halved else self.sizes[-1])

    @property
    def grid(self) -> tuple[frozenset[tuple[int, int]], int | None]:
        """What two transforms share whose spectra belong to the same frequencies."""
        return frozenset(zip(self.axes, self.sizes, strict=True)), self.axes[-1] if self.halved else None


class _Spectrum(NamedTuple):
    """A forward transform, and whether its conjugate is read."""

    of: _Transform
    turned: bool


def _is_transform(node: Node) -> bool:
    return short_name(node) in ("_fft_r2c", "_fft_c2c", "_fft_c2r", *_CALLED)


def _transform(node: Node) -> _Transform:
    a, name, (source, result) = bound(node), short_name(node), (node.args[0], fake_shape(node))
    assert isinstance(source, Node)
    read = fake_shape(source)
    if name in _CALLED:
        forward, halved = _CALLED[name]
        lengths, dims = a.get("s", a.get("n")), a["dim"]
        dims = range(-len(read if lengths is None else lengths), 0) if dims is None else dims
    else:
        forward, halved = bool(a.get("forward", name == "_fft_r2c")), name == "_fft_c2r" or bool(a.get("onesided"))
        lengths, dims = None, a["dim"]
    axes = tuple(d if d < 0 else d - len(read) for d in ((dims,) if isinstance(dims, int) else dims))
    sizes = [result[axis] for axis in axes]
    if forward and halved and sizes:  # of which the spectrum does not say how many samples they are
        last = lengths[-1] if isinstance(lengths, Sequence) else lengths
        sizes[-1] = read[axes[-1]] if last in (None, -1) else last
    return _Transform(source, axes, tuple(sizes), forward, halved)


def _resized(walk: Walk, x: Value, dims: Sequence[int], sizes: Sequence[int]) -> Value:
    """Zeros put behind axes, or their ends cut off."""
    more = {axis: size - x.full[axis] for axis, size in zip(dims, sizes, strict=True)}
    if not any(more.values()):
        return x
    return moving.pad(walk, x, [(0, more.get(axis, 0)) for axis in range(len(x.full))])


# Filters -------------------------------------------------------------------------------------------------


def _filtered(walk: Walk, back: _Transform) -> Value | None:
    """A signal's spectrum, times numbers and a filter's spectrum, transformed back; None of anything else."""
    factor, turned = _unscaled(walk, back.source, back.axes)
    pair = list(factor.args[:2]) if short_name(factor) == "mul" else [factor]
    if turned or not all(isinstance(one, Node) for one in pair):
        return None
    found = [_spectrum(walk, one, back) for one in pair if isinstance(one, Node)]
    signals = [one for one in found if one is not None and walk.value(one.of.source) is not None]
    filters = [one for one in found if one is not None and walk.value(one.of.source) is None]
    if None in found or len(signals) != 1 or signals[0].turned:
        return None
    x = walk.value(signals[0].of.source)
    assert x is not None
    dims = [axis % len(x.full) for axis in back.axes]
    x = replace(
        _resized(walk, x, dims, [dict(zip(*signals[0].of[1:3], strict=True))[a] for a in back.axes]), known=None
    )
    if not filters:
        return x
    taps, exact = _taps(walk, filters[0], back)
    result = _convolved(walk, x, dict(zip(dims, taps, strict=True)))
    return result if exact or result is None else walk.loosened(result)


def _unscaled(walk: Walk, node: Node, axes: Sequence[int]) -> tuple[Node, bool]:
    """What a tensor is but for numbers along `axes`, for copies, and for the conjugate, of which it says whether."""
    turned = False
    while True:
        name, before = short_name(node), node.args[0] if node.args else None
        if not isinstance(before, Node):
            return node, turned
        if name in ("mul", "div") and _is_number(walk, node.args[1], axes):
            node = before
        elif name == "mul" and isinstance(node.args[1], Node) and _is_number(walk, before, axes):
            node = node.args[1]
        elif name in _CONJUGATES:
            node, turned = before, not turned
        elif name in COPIES or (name in SHAPES | {"expand"} and _keeps(before, node, axes)):
            node = before
        else:
            return node, turned


def _is_number(walk: Walk, argument: object, axes: Sequence[int]) -> bool:
    """Whether a factor is the same along the axes, and not 0."""
    if not isinstance(argument, Node):
        return isinstance(argument, int | float | complex) and argument != 0
    shape = fake_shape(argument)
    flat = all(len(shape) < -axis or shape[axis] == 1 for axis in axes)
    return flat and walk.value(argument) is None and not (table_of(walk, argument) == 0).any()


def _keeps(before: Node, after: Node, axes: Sequence[int]) -> bool:
    """Whether the shapes are alike from the first of the axes on."""
    return fake_shape(before)[min(axes) :] == fake_shape(after)[min(axes) :]


def _spectrum(walk: Walk, node: Node, back: _Transform) -> _Spectrum | None:
    """The transform that a factor is, where `back` turns it back."""
    node, turned = _unscaled(walk, node, back.axes)
    found = _transform(node) if _is_transform(node) else None
    return _Spectrum(found, turned) if found is not None and found.forward and found.grid == back.grid else None


def _support(walk: Walk, transform: _Transform) -> Mask:
    """Where what is transformed may be other than 0: as it is padded, all axes in front of the transformed as one."""
    shape = fake_shape(transform.source)
    table = np.broadcast_to(table_of(walk, transform.source) != 0, shape)
    order = [k for k in range(len(shape)) if k - len(shape) not in transform.axes]
    used = table.transpose(*order, *(axis % len(shape) for axis in transform.axes))
    used = used.reshape(-1, *used.shape[len(order) :])
    found = np.zeros((len(used), *transform.sizes), bool)
    common = tuple(slice(min(pair)) for pair in zip(used.shape, found.shape, strict=True))
    found[common] = used[common]
    return found


def _taps(walk: Walk, spectrum: _Spectrum, back: _Transform) -> tuple[list[tuple[int, int]], bool]:
    """The first and the last tap along every axis of `back`, and whether a filter uses all between them."""
    support, taps = _support(walk, spectrum.of), {}
    box = np.ones((1,) * support.ndim, bool)
    for k, axis in enumerate(spectrum.of.axes, start=1):
        used = np.atleast_1d(support.any(axis=tuple(j for j in range(support.ndim) if j != k)))
        first, last = _arc(np.flatnonzero(used), len(used))
        inside = np.isin(np.arange(len(used)), np.arange(first, last + 1) % len(used))
        box = box & inside.reshape([-1 if j == k else 1 for j in range(support.ndim)])
        taps[axis] = (-last, -first) if spectrum.turned else (first, last)
    return [taps[axis] for axis in back.axes], bool((support == box).all())


def _arc(places: np.ndarray[tuple[int], np.dtype[np.intp]], size: int) -> tuple[int, int]:
    """The shortest stretch of a circle that holds all places; it begins below 0 where it goes around."""
    if len(places) == 0:
        return 0, 0
    gaps = np.diff([*places, places[0] + size])
    widest = int(gaps.argmax())
    last = int(places[widest])
    return (int(places[0]), last) if widest == len(places) - 1 else (int(places[widest + 1]) - size, last)


def _convolved(walk: Walk, x: Value, taps: dict[int, tuple[int, int]]) -> Value:
    """Axes wrapped around, windows slid along them, and what lies within the size."""
    around = [taps.get(axis, (0, 0)) for axis in range(len(x.full))]
    wrapped = moving.pad(walk, x, [(max(last, 0), max(-first, 0)) for first, last in around], mode="circular")
    slid = sliding.window(walk, wrapped, {axis: last - first + 1 for axis, (first, last) in taps.items()})
    begins = [max(-last, 0) for _, last in around]
    pairs = [(-b, b + n - m) for b, n, m in zip(begins, x.full, slid.full, strict=True)]
    return moving.pad(walk, slid, pairs) if any(map(any, pairs)) else slid


# Other products of spectra -------------------------------------------------------------------------------


def _may_cancel(walk: Walk, node: Node) -> bool:
    """Whether several spectra come together of which one has zeros in time: the result may read less than all."""
    found = list(_transforms(node))
    return any(not _support(walk, one).all() for one in found if len(found) > 1 or walk.value(one.source) is None)


def _transforms(node: Node) -> Iterator[_Transform]:
    """The forward transforms that a tensor of frequencies is made of."""
    seen, left = {node}, list(node.all_input_nodes)
    while left:
        one = left.pop()
        if one in seen:
            continue
        seen.add(one)
        if one.op == "call_function" and _is_transform(one) and _transform(one).forward:
            yield _transform(one)
        else:
            left += one.all_input_nodes
