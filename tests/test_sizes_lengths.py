"""Lengths and sets of them that layers are solved with: compared with NumPy's at many."""

from __future__ import annotations

import numpy as np
import pytest

from fastrf.errors import LimitError
from fastrf.queries.sizes.lengths import Length, NonLinearError, Places, choose, identity, larger, length
from fastrf.queries.sizes.progressions import Progression, progressions_of

N = np.arange(2000)


#: Functions of a length, and of arrays of them.
MADE = (
    lambda n, c: n + c,
    lambda n, c: n - 3 * c,
    lambda n, c: n * c,
    lambda n, c: n // c,
    lambda n, c: n % (c + 1) + n // 2,
    lambda n, c: choose(n >= 4 * c, n - c, 7) if isinstance(n, Length) else np.where(n >= 4 * c, n - c, 7),
)


def drawn(rng, depth):
    """A function of a length in both forms."""
    n, v = identity(), N.copy()
    for _ in range(depth):
        made, c = MADE[rng.integers(len(MADE))], int(rng.integers(1, 6))
        n, v = made(n, c), made(v, c)
    return n, v


def test_lengths_are_what_they_stand_for(rng):
    for _ in range(60):
        (a, x), (b, y) = drawn(rng, 4), drawn(rng, 3)
        assert (a.at(N) == x).all()
        for found, wanted in [(a + b, x + y), (a - b, x - y), (length(larger(a, b)), np.maximum(x, y))]:
            assert (found.at(N) == wanted).all()
        for found, wanted in [
            (a >= b, x >= y),
            (a > b, x > y),
            (a.equals(b), x == y),
            (a <= b, x <= y),
            (a < b, x < y),
        ]:
            assert (found.at(N) == wanted).all()
        both = (a >= 3) & (b <= 5) | ~a.equals(b)
        assert (both.at(N) == (((x >= 3) & (y <= 5)) | (x != y))).all()


def test_quotients_of_lengths_come_to_rest(rng):
    for _ in range(60):
        (a, x), (b, y) = drawn(rng, 3), drawn(rng, 2)
        try:
            found = a // b
        except NonLinearError:
            continue
        assert (found.at(N) == x // np.where(y == 0, 1, y)).all()


def test_what_is_no_length_is_said():
    with pytest.raises(NonLinearError):
        _ = identity() * identity()
    wide = identity() // 101 + identity() // 103
    with pytest.raises(LimitError, match="repeat after"):
        _ = wide + identity() // 1009


def test_tables_are_as_short_as_they_can_be():
    assert len((identity() // 4 * 4 + identity() % 4).values) == 1
    assert (identity() // 6).period == 6
    assert len(Places(np.tile([True, False], 6), 12).inside) == 2
    assert (identity() // 2 >= 40).first == 80
    assert isinstance(choose(identity() >= 3, 1, 2), Length)


def test_progressions_are_the_set(rng):
    for _ in range(60):
        start, period = int(rng.integers(0, 12)), int(rng.integers(1, 13))
        places = Places(rng.random(start + period) < 0.5, period)
        found = progressions_of(places, 1, 100)
        listed = [n for p in found for n in range(*p)]
        assert sorted(listed) == [n for n in range(1, 100) if places.holds(n)]
        assert len(listed) == len(set(listed))
        for p in progressions_of(places):
            assert p.stop is None or p.first(99) == list(range(*p))


def test_progressions_are_few():
    assert progressions_of(~(identity() % 32).equals(0))[0] == (1, None, 2)
    assert progressions_of((identity() // 32).equals(7)) == (Progression(224, 256, 1),)
    assert list(map(str, progressions_of((identity() % 16).equals(12), 188))) == ["188 + 16 k"]
    assert list(map(str, progressions_of(Places.between(5)))) == ["5 and more"]
    assert list(map(str, progressions_of((identity() % 4).equals(0), 8, 17))) == ["8 to 16, step 4"]
    assert list(map(str, progressions_of(Places.between(7, 8)))) == ["7"]
