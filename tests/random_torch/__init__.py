"""Random PyTorch networks of nearly every operator, determined by a numpy Generator."""

from tests.random_torch import dense, pointwise, shape, windows
from tests.random_torch.core import random_module

__all__ = ["dense", "pointwise", "random_module", "shape", "windows"]
