"""Counts of several terms: exact whole numbers up to 64 bits, in bounded time, however large the map."""

from __future__ import annotations

import math

import numpy as np
import pytest

import fastrf
from fastrf.engine import terms
from fastrf.engine.dependency import Dependency
from fastrf.engine.relation import Relation
from fastrf.engine.terms import Group, make_term
from fastrf.queries import counting, masks
from tests.conftest import scaled
from tests.strategies import random_spec


def of_sets(*sets: list[Relation]) -> Dependency:
    """A scalar that depends on a union of products of constant sets."""
    found = [make_term([Group((), (axis,), part) for axis, part in enumerate(parts)]) for parts in sets]
    return Dependency(tuple(part.n_cols for part in sets[0]), (), found)


def test_areas_beyond_what_floats_can_count():
    n = 100_000_002  # n * n - 1 is odd and more than 2**53: all but the last corner of a square
    most, whole = Relation.from_runs(n, [0], [n - 1]), Relation.full(1, n)
    assert int(counting.areas(of_sets([most, whole], [whole, most]))) == n * n - 1


def test_areas_of_as_many_terms_as_can_be_counted(rng):
    random = [[Relation.from_mask(rng.random((1, 9)) < 0.3) for _ in range(2)] for _ in range(62)]
    found = of_sets(*random)
    assert int(counting.areas(found)) == masks.dense_row(found, ()).sum()
    one_more = of_sets(*random, [Relation.full(1, 9), Relation.from_runs(9, [0], [1])])
    with pytest.raises(fastrf.LimitError, match="only up to 62"):
        counting.areas(one_more)


def test_counting_ends_in_an_answer_or_an_error(rng, monkeypatch):
    found = of_sets(*[[Relation.from_mask(rng.random((1, 60)) < 0.5) for _ in range(3)] for _ in range(12)])
    assert int(counting.areas(found)) == masks.dense_row(found, ()).sum()
    monkeypatch.setattr(fastrf.limits, "counting", 1000)
    with pytest.raises(fastrf.LimitError, match="counting=1000"):
        counting.areas(found)


@pytest.mark.parametrize("rng", range(scaled(30)), indirect=True)
def test_pairs_that_are_not_compared_do_not_contain_each_other(rng, monkeypatch):
    spec = random_spec(rng, layers=8)
    expected = fastrf.analyze(spec)
    monkeypatch.setattr(terms, "FEW_TERMS", 0)
    found = fastrf.analyze(spec)
    assert all(found[name].dependency == field.dependency for name, field in expected.items())


def test_hundreds_of_terms_are_absorbed_into_one():
    parts = [[Relation.from_runs(99, [i], [i + 1]), Relation.from_runs(99, [i // 2], [i + 1])] for i in range(98)]
    found = of_sets(*parts, [Relation.full(1, 99), Relation.full(1, 99)])
    assert len(terms.simplify(found.terms, (), (99, 99))) == 1


def test_maps_of_more_positions_than_fit_64_bits():
    n = 10_000_000
    field = fastrf.analyze([fastrf.conv(1, 3, padding=1)], (1, n, n, n)).output
    assert math.prod(field.position_shape) > 2**63
    assert field.box((0, 5, n - 1)).tolist() == [[0, 2], [4, 7], [n - 2, n]]
    for ask in (field.areas, field.boxes, field.coverage, field.masks, lambda: field.masks([(0, 0, 0)]), field.to_csr):
        with pytest.raises(fastrf.LimitError):
            ask()
    for ask in (lambda: field.mask((0, 0, 0)), lambda: field.neuron_mask((0, 0, 0, 0))):
        with pytest.raises(fastrf.LimitError, match="one mask"):
            ask()


def test_products_beyond_64_bits_are_refused():
    wide = Relation.from_runs(1 << 40, [0], [1])
    with pytest.raises(fastrf.LimitError, match="64 bits"):
        wide.kron(wide)
    with pytest.raises(fastrf.LimitError, match="64 bits"):
        Relation.from_points(1 << 26, 1 << 40, [0], [0])
    assert np.array_equal(wide.kron(Relation.full(1, 2)).counts, [2])
