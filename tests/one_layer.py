"""One layer on small inputs, analysed by fastrf, in forms short enough to be written down in a test."""

import re

import numpy as np
import pytest

import fastrf
from fastrf import NetworkError, ReceptiveField


def field_of(op: str, /, *shapes: list[int], wrt: str = "a", **attributes: object) -> ReceptiveField:
    """The field of one layer on inputs a, b, c of these shapes, measured against one of them."""
    inputs = dict(zip("abc", shapes, strict=False))
    layer = {"name": "y", "op": op, "inputs": list(inputs), **attributes}
    return fastrf.analyze({"input_shape": inputs, "layers": [layer]}, wrt=wrt)["y"]


def line(op: str, n: int, /, **attributes: object) -> list[list[int]]:
    """The pixels that each position of an operator on one channel of n pixels sees."""
    field = field_of(op, [1, n], **attributes)
    return [np.flatnonzero(field.mask(o)).tolist() for o in range(field.position_shape[0])]


def spans(op: str, n: int, /, **attributes: object) -> list[list[int]]:
    """The same as half-open intervals."""
    return field_of(op, [1, n], **attributes).intervals(0).tolist()


def sees(field: ReceptiveField, *neuron: int) -> list[tuple[int, ...]]:
    """The input indices that a neuron depends on."""
    return [tuple(index) for index in np.argwhere(field.neuron_mask(neuron)).tolist()]


def moved(op: str, shape: list[int], /, **attributes: object) -> list:
    """The number of the input element that each element copies, in nested lists; -1 where it copies none."""
    field = field_of(op, shape, **attributes)
    matrix = field.to_csr(channels=True).toarray()
    assert (matrix.sum(axis=1) <= 1).all()
    return np.where(matrix.any(axis=1), matrix.argmax(axis=1), -1).reshape(field.shape).tolist()


def refuses(message: str, op: str, /, *shapes: list[int], **attributes: object) -> None:
    """Assert that the layer is an error whose message names it and contains this."""
    with pytest.raises(NetworkError, match=re.escape(message)) as caught:
        field_of(op, *shapes, **attributes)
    assert str(caught.value).startswith(f"node 'y' ({op}): ")
