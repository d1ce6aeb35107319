"""Fourier transforms, and filters by way of them: a product of spectra, transformed back, is a circular convolution.

How far a filter reaches is read off where it is zero by definition, such as the zeros that it is padded with.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np
from torch.fx import Node

from fastrf.frontends import moving, sliding
from fastrf.frontends.lowering import Value
from fastrf.frontends.torch.arguments import fake_shape, short_name
from fastrf.frontends.torch.cancelling import may_cancel
from fastrf.frontends.torch.known import table_of
from fastrf.frontends.torch.names import COPIES, SHAPES
from fastrf.frontends.torch.registry import Walk, rule
from fastrf.frontends.torch.transforms import TRANSFORMS, Transform, is_complex, support, transform_of

__all__: list[str] = []

_CONJUGATES = frozenset(("conj", "_conj", "_conj_physical", "conj_physical"))


@rule(*TRANSFORMS)
def fourier(walk: Walk, node: Node) -> Value:
    """Every frequency reads every sample of the transformed axes, and back; a filter reads what it reaches."""
    x, transform = walk.first(node), transform_of(node)
    assert transform is not None
    cancels = may_cancel(walk, node)
    filtered = None if transform.forward else _filtered(walk, transform)
    if filtered is not None:
        return walk.expanded(filtered, fake_shape(node))
    lengths = transform.sizes if transform.forward else transform.frequencies
    dims = [axis % len(x.full) for axis in transform.axes]
    x = _resized(walk, x, dims, lengths)
    result = walk.expanded(moving.reduce(walk, x, "sum", dims, keepdims=True), fake_shape(node))
    return walk.loosened(result) if cancels else result


class _Spectrum(NamedTuple):
    """A forward transform, and whether its conjugate is read."""

    of: Transform
    turned: bool


def _resized(walk: Walk, x: Value, dims: Sequence[int], sizes: Sequence[int]) -> Value:
    """Zeros put behind axes, or their ends cut off."""
    more = {axis: size - x.full[axis] for axis, size in zip(dims, sizes, strict=True)}
    if not any(more.values()):
        return x
    return moving.pad(walk, x, [(0, more.get(axis, 0)) for axis in range(len(x.full))])


# Filters -------------------------------------------------------------------------------------------------


def _filtered(walk: Walk, back: Transform) -> Value | None:
    """A signal's spectrum, times numbers and a filter's spectrum, transformed back; None of anything else."""
    factor, turned = _unscaled(walk, back.source, back)
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
    x = replace(_resized(walk, x, dims, back.sizes), known=None)
    if not filters:
        return x
    taps, exact = _taps(walk, filters[0], back)
    result = _convolved(walk, x, dict(zip(dims, taps, strict=True)))
    return result if exact or result is None else walk.loosened(result)


def _unscaled(walk: Walk, node: Node, back: Transform) -> tuple[Node, bool]:
    """What a spectrum is but for numbers along its axes, copies, and the conjugate, of which it says whether."""
    turned = False
    while True:
        name, before = short_name(node), node.args[0] if node.args else None
        if not isinstance(before, Node) or not is_complex(node):
            return node, turned
        if name in ("mul", "div") and _is_number(walk, node.args[1], back):
            node = before
        elif name == "mul" and isinstance(node.args[1], Node) and _is_number(walk, before, back):
            node = node.args[1]
        elif not is_complex(before):
            return node, turned
        elif name in _CONJUGATES:
            node, turned = before, not turned
        elif name in COPIES or (name in SHAPES | {"expand"} and _keeps(before, node, back.axes)):
            node = before
        else:
            return node, turned


def _is_number(walk: Walk, argument: object, back: Transform) -> bool:
    """Whether a factor is the same along the axes, and not 0; half a spectrum stays one by real factors alone."""
    if not isinstance(argument, Node):
        return isinstance(argument, int | float if back.halved else int | float | complex) and argument != 0
    if walk.value(argument) is not None or (back.halved and is_complex(argument)):
        return False
    shape = fake_shape(argument)
    flat = all(len(shape) < -axis or shape[axis] == 1 for axis in back.axes)
    return flat and not (table_of(walk, argument) == 0).any()


def _keeps(before: Node, after: Node, axes: Sequence[int]) -> bool:
    """Whether the shapes are alike from the first of the axes on."""
    return fake_shape(before)[min(axes) :] == fake_shape(after)[min(axes) :]


def _spectrum(walk: Walk, node: Node, back: Transform) -> _Spectrum | None:
    """The transform that a factor is, where `back` turns it back."""
    node, turned = _unscaled(walk, node, back)
    found = transform_of(node)
    return _Spectrum(found, turned) if found is not None and found.forward and found.grid == back.grid else None


def _taps(walk: Walk, spectrum: _Spectrum, back: Transform) -> tuple[list[tuple[int, int]], bool]:
    """The first and the last tap along every axis of `back`, and whether a filter uses all between them."""
    used_by, taps = support(walk, spectrum.of), {}
    box = np.ones((1,) * used_by.ndim, bool)
    for k, axis in enumerate(spectrum.of.axes, start=1):
        used = np.atleast_1d(used_by.any(axis=tuple(j for j in range(used_by.ndim) if j != k)))
        first, last = _arc(np.flatnonzero(used), len(used))
        inside = np.isin(np.arange(len(used)), np.arange(first, last + 1) % len(used))
        box = box & inside.reshape([-1 if j == k else 1 for j in range(used_by.ndim)])
        taps[axis] = (-last, -first) if spectrum.turned else (first, last)
    return [taps[axis] for axis in back.axes], bool((used_by == box).all())


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
