"""Values that a program computes of one length: compared with NumPy's at many."""

from __future__ import annotations

import operator

import numpy as np
import pytest

from fastrf.errors import LimitError
from fastrf.queries.sizes.lengths import Length, NonLinearError, identity
from fastrf.queries.sizes.polynomials import Polynomial, chosen, computed, is_least, is_same
from fastrf.queries.sizes.values import LIMIT, Real, Unread, Values

N = np.arange(1, 900)
COMPARED = ("eq", "ne", "lt", "le", "gt", "ge")


def at(value):
    return value.at(N) if isinstance(value, Length | Polynomial) else np.full(N.shape, value)


def drawn(rng, depth):
    """A product of up to two sums of a length's parts, in both forms."""
    n, v = identity(), N.copy()
    for _ in range(depth):
        name, c = str(rng.choice(["add", "sub", "mul", "floordiv", "mod"])), int(rng.integers(1, 6))
        wide = {"floordiv": operator.floordiv, "mod": operator.mod}.get(name, getattr(operator, name))
        n, v = computed(name, n, c), wide(v, c)
    return n, v


def test_products_of_lengths_are_what_they_stand_for(rng):
    for _ in range(25):
        (a, x), (b, y), (c, z) = drawn(rng, 2), drawn(rng, 2), drawn(rng, 3)
        product, whole = computed("mul", a, b), x * y
        assert (at(product) == whole).all()
        for name, made in (("add", whole + z), ("sub", whole - z)):
            assert (at(computed(name, product, c)) == made).all()
        assert (is_least(product, c).at(N) == (whole <= z)).all()
        assert (is_same(product, computed("mul", c, c)).at(N) == (whole == z * z)).all()
        assert (at(chosen(is_least(a, c), product, c)) == np.where(x <= z, whole, z)).all()
        assert (at(computed("floordiv", product, 6)) == whole // 6).all()


def test_products_without_squares_are_lengths():
    n = identity()
    square = computed("mul", n, n)
    assert isinstance(square, Polynomial)
    assert isinstance(computed("sub", computed("mul", computed("add", n, 1), n), square), Length)
    assert isinstance(computed("floordiv", computed("mul", square, 12), computed("mul", n, 4)), Length)
    assert at(computed("floordiv", 7 * (n // 4), n // 4)).tolist() == [0] * 3 + [7] * (len(N) - 3)
    assert at(computed("mul", square, square)).tolist() == (N**4).tolist()


def test_what_is_too_much_is_said():
    n = identity()
    with pytest.raises(NonLinearError, match="a quotient"):
        computed("floordiv", computed("mul", n, n), computed("add", n, 1))
    with pytest.raises(LimitError, match="beyond"):
        computed("mul", computed("mul", n, n), (1 << 62) - 1)


def test_values_are_computed_once(rng):
    values = Values()
    for _ in range(40):
        (a, x), (b, y) = drawn(rng, 3), drawn(rng, 3)
        for name in COMPARED:
            assert (values.of(name, a, b).at(N) == getattr(operator, name)(x, y)).all()
            assert values.of(name, a, b) is values.of(name, a, b)
        assert (at(values.of("max", a, b)) == np.maximum(x, y)).all()
        assert (at(values.of("min", a, b)) == np.minimum(x, y)).all()
    assert values.of("add", values.size, 0) is values.of("sub", values.of("add", values.size, 3), 3)
    assert values.known.inside.tolist() == [False, True]
    assert values.of("lt", values.size, (1 << 63) - 1).at(N).all()


def test_real_numbers_are_as_double_precision_has_them():
    values = Values()
    half = values.of("truediv", values.size, 2)
    assert isinstance(half, Real)
    assert (at(values.of("floor", values.of("mul", half, 3.0))) == N * 3 // 2).all()
    assert (at(values.of("ceil", half)) == -(-N // 2)).all()
    assert (values.of("ge", half, 3.5).at(N) == (N >= 7)).all()
    assert isinstance(values.of("truediv", 1, values.size), Unread)
    assert isinstance(values.of("add", values.of("truediv", 1, values.size), 1.0), Unread)
    assert values.of("a power", values.size, 0.5).told == "a power of a size"


def test_what_is_no_function_is_known_below_a_limit():
    values = Values()
    square = values.of("mul", values.size, values.size)
    rest = values.of("mod", square, values.of("add", values.size, 7))
    assert (at(rest) == N * N % (N + 7)).all()
    assert not values.known.holds(LIMIT)
