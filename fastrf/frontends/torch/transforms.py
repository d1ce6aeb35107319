"""Fourier transforms as ATen has them: what they read along which axes, and which way they go."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch.fx import Node

from fastrf.frontends.lowering import Mask
from fastrf.frontends.torch.arguments import bound, fake_shape, short_name
from fastrf.frontends.torch.known import table_of
from fastrf.frontends.torch.registry import Walk

__all__ = ["TRANSFORMS", "Transform", "is_complex", "support", "transform_of"]

#: The forms that users call: whether into frequencies, and which half of a spectrum they have, if not the whole.
_CALLED = {
    f"fft_{back}{half}fft{axes}": (bool(back) == (half == "h"), half)
    for back in ("", "i")
    for half in ("", "r", "h")
    for axes in ("", "2", "n")
}

TRANSFORMS = frozenset(("_fft_r2c", "_fft_c2c", "_fft_c2r", *_CALLED))


class Transform(NamedTuple):
    """A transform of `source` along axes, from the end, of so many samples each.

    `half` tells which half of the last axis' spectrum it has, if not the whole: "r", or "h" of the conjugate.
    """

    source: Node
    axes: tuple[int, ...]
    sizes: tuple[int, ...]
    forward: bool
    half: str

    @property
    def halved(self) -> bool:
        """Whether it has half of a spectrum."""
        return bool(self.half)

    @property
    def frequencies(self) -> tuple[int, ...]:
        """How many frequencies each axis has."""
        return (*self.sizes[:-1], self.sizes[-1] // 2 + 1 if self.halved else self.sizes[-1])

    @property
    def grid(self) -> tuple[frozenset[tuple[int, int]], str, int | None]:
        """What two transforms share whose spectra belong to the same frequencies."""
        return frozenset(zip(self.axes, self.sizes, strict=True)), self.half, self.axes[-1] if self.halved else None


def transform_of(node: Node) -> Transform | None:
    """The transform that a node is; None of others."""
    if node.op != "call_function" or short_name(node) not in TRANSFORMS:
        return None
    a, name, (source, result) = bound(node), short_name(node), (node.args[0], fake_shape(node))
    assert isinstance(source, Node)
    read = fake_shape(source)
    if name in _CALLED:
        forward, half = _CALLED[name]
        lengths, dims = a.get("s", a.get("n")), a["dim"]
        dims = range(-len(read if lengths is None else lengths), 0) if dims is None else dims
    else:
        forward = bool(a.get("forward", name == "_fft_r2c"))
        half = "r" if name == "_fft_c2r" or a.get("onesided") else ""
        lengths, dims = None, a["dim"]
    axes = tuple(d if d < 0 else d - len(read) for d in ((dims,) if isinstance(dims, int) else dims))
    sizes = [result[axis] for axis in axes]
    if forward and half and sizes:  # of which the spectrum does not say how many samples they are
        last = lengths[-1] if isinstance(lengths, Sequence) else lengths
        sizes[-1] = read[axes[-1]] if last in (None, -1) else last
    return Transform(source, axes, tuple(sizes), forward, half)


def support(walk: Walk, transform: Transform) -> Mask:
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


def is_complex(node: Node) -> bool:
    """Whether a node is a tensor of complex numbers."""
    like = node.meta.get("val")
    return isinstance(like, torch.Tensor) and like.is_complex()
