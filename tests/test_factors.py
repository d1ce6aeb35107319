"""Factors against their worked numbers, and what earlier versions pickled."""

from __future__ import annotations

import copyreg
import io
import pickle

import pytest

import fastrf
from fastrf.engine import axis_map as maps
from fastrf.engine.dependency import Dependency
from fastrf.engine.factors import Factors, aligned, common
from fastrf.engine.nominal import Nominal

FACTORS = Factors([(2, 3), (), (5,), (7, 11, 13)])


def test_factors_are_numbered_over_all_axes():
    assert FACTORS.sizes == (2, 3, 5, 7, 11, 13)
    assert FACTORS.shape == (6, 1, 5, 1001)
    assert [list(FACTORS.at(axis)) for axis in range(4)] == [[0, 1], [], [2], [3, 4, 5]]
    assert Factors.of((6, 1, 0)) == ((6,), (), (0,))
    assert pickle.loads(pickle.dumps(FACTORS)).sizes == FACTORS.sizes


@pytest.mark.parametrize(
    ("changed", "axes", "new"),
    [
        (FACTORS.fuse(3, 1, 2), [(2, 3), (), (5,), (7, 143)], [0, 1, 2, 3, 4, 4]),
        (FACTORS.fuse(0, 0, 2), [(6,), (), (5,), (7, 11, 13)], [0, 0, 1, 2, 3, 4]),
        (FACTORS.change(2, 0, 1, ()), [(2, 3), (), (), (7, 11, 13)], [0, 1, 2, 2, 3, 4]),
        (FACTORS.change(1, 0, 0, (4, 4)), [(2, 3), (4, 4), (5,), (7, 11, 13)], [0, 1, 4, 5, 6, 7]),
        (FACTORS.change(0, 1, 1, (3, 1)), [(2, 3, 1), (), (5,), (7, 11, 13)], [0, 1, 3, 4, 5, 6]),
        (FACTORS.insert(2, (9,)), [(2, 3), (), (9,), (5,), (7, 11, 13)], [0, 1, 3, 4, 5, 6]),
        (FACTORS.remove(0), [(), (5,), (7, 11, 13)], [0, 0, 0, 1, 2, 3]),
        (FACTORS.permute((3, 0, 2, 1)), [(7, 11, 13), (2, 3), (5,), ()], [3, 4, 5, 0, 1, 2]),
    ],
)
def test_a_change_gives_new_factors_and_their_numbers(changed, axes, new):
    assert changed == (Factors(axes), new)


def test_lists_of_factors_that_refine_others():
    assert FACTORS.put(0, (6,)).refinement(3, (7, 11, 13)) == [(7,), (11,), (13,)]
    assert Factors([(6, 4)]).refinement(0, (2, 3, 2, 2)) == [(2, 3), (2, 2)]
    assert common([(6, 4), (2, 12)]) == (2, 3, 4)
    assert common([(4, 6), (6, 4)]) is None
    assert aligned((2, 3, 1, 4), (6, 2, 2)) == [(range(2), range(1)), (range(2, 4), range(1, 3))]
    assert aligned((4, 1), (4,)) == [(range(1), range(1)), (range(1, 2), range(1, 1))]
    assert aligned((1, 4), (4,)) == [(range(2), range(1))]


class Earlier(pickle.Pickler):
    """Pickles as version 0.1 wrote them: slots one by one, axes as plain tuples."""

    def reducer_override(self, value):
        if type(value) is Factors:
            return tuple, (list(value),)
        if type(value) in (Dependency, Nominal):
            names = ("input_shape", "axes", "sizes", "terms") if type(value) is Dependency else Nominal.__slots__[1:]
            slots = {name: getattr(value, name) for name in names}
            return copyreg.__newobj__, (type(value),), (None, slots if "axes" in slots else {"_reduced": {}, **slots})
        return NotImplemented


def test_pickles_of_the_first_version_are_read():
    field = fastrf.analyze([fastrf.conv(4, 3), fastrf.layer("pixel_shuffle", factor=2)], (1, 8, 9)).output
    for value in (field.dependency, field.nominal):
        target = io.BytesIO()
        Earlier(target).dump(value)
        again = pickle.loads(target.getvalue())
        parts = [again] if isinstance(again, Dependency) else again.pieces
        assert all(isinstance(part.axes, Factors) for part in parts)
        if isinstance(again, Dependency):
            assert again == value
            assert again.map_axis(1, maps.flip(again.shape[1])).shape == value.shape
        else:
            assert [again.size_range(k) for k in range(2)] == [value.size_range(k) for k in range(2)]
            assert again.reduce(0).stride(0) == value.reduce(0).stride(0)
