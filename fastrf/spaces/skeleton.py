"""What the skeletons of the spaces share: checks of the input, the head, and the costs of a convolution."""

from __future__ import annotations

import math
from collections.abc import Sequence
from operator import index
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from fastrf.columns.programs import Columns
from fastrf.errors import ShapeError
from fastrf.network import Network
from fastrf.spaces.space import Space
from fastrf.zoo.builder import Builder

__all__ = ["Ints", "checked_shape", "classified", "conv_cost", "image_of", "spatial_macs"]

Ints = npt.NDArray[np.int64]
#: One number, or one for each candidate.
Number = TypeVar("Number", int, Ints)


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


def conv_cost(channels_in: Number, channels_out: Number, kernel: int) -> Number:
    """Parameters of a square convolution without bias and the batch norm after it."""
    return channels_in * channels_out * kernel * kernel + 2 * channels_out


def spatial_macs(weights: Number, spatial: Sequence[int]) -> Number:
    """Multiply-accumulates of a convolution of so many weights on a map."""
    return weights * math.prod(spatial)
