"""Reference: dependencies by brute force, straight from the operators' definitions, to test fastrf against.

Slow and simple on purpose, and independent: nothing here imports fastrf. `propagate` gives the dependency of every
element of every node of a network spec as a boolean array.
"""

from tests.reference import dense, dynamic, pointwise, reductions, resize, shape, windows
from tests.reference.core import OPERATORS
from tests.reference.network import attributes, input_shapes, output_shape, propagate, shapes, sources

__all__ = [
    "OPERATORS",
    "attributes",
    "dense",
    "dynamic",
    "input_shapes",
    "output_shape",
    "pointwise",
    "propagate",
    "reductions",
    "resize",
    "shape",
    "shapes",
    "sources",
    "windows",
]
