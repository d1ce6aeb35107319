"""What the skeletons of the spaces share: checks of the input, the head, sizes and costs."""

from __future__ import annotations

import math
from collections.abc import Sequence
from operator import index
from typing import Any

import numpy as np
import numpy.typing as npt

from fastrf.errors import ShapeError
from fastrf.network import Network
from fastrf.spaces.columns.programs import Column, Columns, conv, sequence
from fastrf.spaces.space import Space
from fastrf.zoo.builder import Builder

__all__ = ["Costs", "Ints", "behind_cell", "checked_shape", "classified", "image_of"]

Ints = npt.NDArray[np.int64]
#: One number, or one for each candidate.
Number = int | Ints
#: As many 3x3 windows one after another.
_POWERS = [sequence(*[conv(3, 1, 1)] * k) for k in range(6)]


def checked_shape(space: Space[Any], input_shape: Sequence[int] | None) -> tuple[int, int, int]:
    """`(channels, height, width)`, the space's own by default. Raises ShapeError for anything else."""
    given = space.input_shape if input_shape is None else input_shape
    try:
        shape = tuple(map(index, given))
    except TypeError:
        shape = ()
    if len(shape) != 3 or min(shape) < 1:
        raise ShapeError(f"{space.name} takes input_shape (channels, height, width) of sizes >= 1, not {given!r}")
    return shape[0], shape[1], shape[2]


def image_of(space: Space[Any], columns: Columns, channels: int | None) -> tuple[int, int, int]:
    """`checked_shape` of the image that a column program runs on."""
    return checked_shape(space, (channels or space.input_shape[0], *columns.spatial))


def classified(net: Builder, classes: int, pooling: str = "global_pooling") -> Network:
    """The finished network: global pooling and a classifier behind its last map, "features"."""
    net.add("global_avg_pool", pooling, keepdims=False)
    net.add("linear", "classifier", out_features=classes)
    return Network.from_dict(net.spec(["features", "classifier"]))


def behind_cell(columns: Columns, column: Column, depth: Ints, convolutions: Sequence[Ints]) -> Column:
    """The map behind a cell of 3x3 windows of stride 1: `depth` of them on its longest path, -1 where there is no path.

    Such a window reads at least what its centre does, so the path with most of them reads what any path does.
    `convolutions`, int64[n] each, is how many layers of the tally read each depth.
    """
    for power, count in zip(_POWERS, convolutions, strict=False):
        if count.any():
            columns.layer(columns.apply(power, column), count)
    return columns.choose(depth + 1, (None, *_POWERS), column)


class Costs:
    """Parameters and multiply-accumulates of `n` candidates, int64[n] each, added up layer by layer."""

    def __init__(self, n: int) -> None:
        self.parameters, self.macs = np.zeros((2, n), np.int64)

    def conv(
        self, weights: Number, channels: Number, spatial: Sequence[int], times: Number | npt.NDArray[np.bool_] = 1
    ) -> None:
        """`times` convolutions of so many weights on a map of `spatial`, with a batch norm of `channels` after each."""
        self.parameters += times * (weights + 2 * channels)
        self.macs += times * weights * math.prod(spatial)

    def linear(self, channels: Number, out: Number, times: Number | npt.NDArray[np.bool_] = 1) -> None:
        """`times` linear layers with bias."""
        self.parameters += times * (channels + 1) * out
        self.macs += times * channels * out
