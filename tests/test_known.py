"""Values that no input and no weight changes, after operators between elements."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from fastrf.frontends.known import elementwise

NAN, INF = np.nan, np.inf
FLOAT, TRUTH, BYTE = np.dtype(np.float64), np.dtype(bool), np.dtype(np.uint8)


@pytest.mark.parametrize(
    ("function", "first", "second", "wanted"),
    [
        (np.add, [NAN, NAN, 1], [-INF, 2, 2], [-INF, NAN, 3]),
        (np.multiply, [NAN, 0, 2], [0, NAN, NAN], [0, 0, NAN]),
        (np.maximum, [NAN, NAN], [INF, 0], [INF, NAN]),
        (np.power, [NAN, 1, 2], [0, NAN, NAN], [1, 1, NAN]),
        (np.equal, [NAN, 5], [5, 5], [NAN, 1]),  # it may well be 5
        (np.divide, [0, NAN], [NAN, 2], [0, NAN]),
    ],
)
def test_what_one_operand_decides(
    function: Callable[..., np.ndarray], first: list[float], second: list[float], wanted: list[float]
) -> None:
    found = elementwise(lambda a: function(*a), [np.array(first, float), np.array(second, float)], [FLOAT, FLOAT])
    np.testing.assert_array_equal(found, wanted)


def test_types_have_extremes_of_their_own() -> None:
    masks = [np.array([NAN]), np.array([0.0])]
    assert elementwise(lambda a: a[0] & a[1], masks, [TRUTH, TRUTH]) == [0]
    assert elementwise(lambda a: a[0] | a[1], masks, [TRUTH, TRUTH]) is None
    assert elementwise(lambda a: a[0] | a[1], [np.array([NAN]), np.array([255.0])], [BYTE, BYTE]) == [255]


def test_alone_an_operator_may_decide() -> None:
    tables = [np.full((1, 1), NAN)]
    assert elementwise(lambda a: a[0] * 0, tables, [FLOAT]) is None
    assert elementwise(lambda a: a[0] * 0, tables, [FLOAT], alone=True) == [[0]]
    assert elementwise(lambda a: a[0] * 2, tables, [FLOAT], alone=True) is None


@pytest.mark.parametrize("shapes", [((), ()), ((0, 2), (1, 2)), ((3, 1), (1, 4)), ((2, 3), (2, 3)), ((4, 5), (4, 1))])
@pytest.mark.parametrize("values", [3, 1000])  # told apart with and without sorting
def test_every_element_as_by_itself(rng: np.random.Generator, shapes: tuple, values: int) -> None:
    tables = [np.where(rng.random(shape) < 0.3, NAN, rng.integers(0, values, shape)) for shape in shapes]
    found = elementwise(lambda a: a[0] * a[1], tables, [FLOAT, FLOAT])
    first, second = np.broadcast_arrays(*tables)
    wanted = np.where((first == 0) | (second == 0), 0, first * second)
    if found is None:
        assert np.isnan(wanted).all()
    else:
        np.testing.assert_array_equal(np.broadcast_to(found, wanted.shape), wanted)
