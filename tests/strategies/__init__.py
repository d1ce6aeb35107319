"""Strategies: random valid network specs over every operator, for property tests."""

from tests.strategies import dense, dynamic, pointwise, resize, shape, windows
from tests.strategies.networks import networks, random_spec

__all__ = ["dense", "dynamic", "networks", "pointwise", "random_spec", "resize", "shape", "windows"]
