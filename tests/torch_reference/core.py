"""What the operators in torch share: random weights and attributes per axis."""

import torch
from torch import Tensor


class UnsupportedError(Exception):
    """torch has no such operator."""


def weight(*shape: int) -> Tensor:
    """A positive random weight."""
    return torch.rand(shape, dtype=torch.float64) * 0.3 + 0.1


def many(value: int | list, count: int) -> list:
    """One value per axis."""
    return list(value) if isinstance(value, list) else [value] * count
