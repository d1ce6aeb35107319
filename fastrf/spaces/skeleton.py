"""What the skeletons of the spaces share: checks of the input, and the costs of a convolution with batch norm."""

from __future__ import annotations

import math
from collections.abc import Sequence
from operator import index
from typing import Any

from fastrf.errors import ShapeError
from fastrf.spaces.space import Space

__all__ = ["checked_shape", "conv_cost", "spatial_macs"]


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


def conv_cost(channels_in: Any, channels_out: Any, kernel: int) -> Any:
    """Parameters of a square convolution without bias and the batch norm after it; integers or arrays of them."""
    return channels_in * channels_out * kernel * kernel + 2 * channels_out


def spatial_macs(weights: Any, spatial: Sequence[int]) -> Any:
    """Multiply-accumulates of a convolution of so many weights on a map."""
    return weights * math.prod(spatial)
