"""Dependencies of single operators, in forms short enough to be written down in a test."""

import math

import numpy as np

from tests.reference.network import propagate


def dep_of(op: str, shape: list[int], /, **attrs: object) -> np.ndarray:
    """Dependencies of a single operator of one input."""
    return propagate({"input_shape": shape, "layers": [{"name": "y", "op": op, **attrs}]})["y"]


def dep_wrt(wrt: str, op: str, shapes: dict[str, list[int]], **attrs: object) -> np.ndarray:
    """Dependencies of a single operator of several inputs on one of them."""
    layer = {"name": "y", "op": op, "inputs": list(shapes), **attrs}
    return propagate({"input_shape": shapes, "layers": [layer]}, wrt)["y"]


def read(dep: np.ndarray, *neuron: int) -> list:
    """Sorted input indices a neuron depends on (plain ints where all but the last index are 0)."""
    found = [tuple(int(i) for i in index) for index in np.argwhere(dep[neuron])]
    return [i[-1] for i in found] if all(not any(i[:-1]) for i in found) else found


def line(op: str, n: int, /, **attrs: object) -> list[list[int]]:
    """Positions that each output of an operator on one channel of n positions reads."""
    dep = dep_of(op, [1, n], **attrs)
    return [read(dep, 0, o) for o in range(dep.shape[1])]


def numbers(op: str, shape: list[int], /, **attrs: object) -> np.ndarray:
    """The input element number that each element of a moving operator copies."""
    dep = dep_of(op, shape, **attrs)
    flat = dep.reshape(*dep.shape[: dep.ndim - len(shape)], math.prod(shape))
    assert (flat.sum(-1) == 1).all()
    return flat.argmax(-1)
