"""The steps of a recipe on dependencies, against dense arrays, and the rules that keep terms few."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import fastrf
from fastrf.engine import axis_map as maps
from fastrf.engine.dependency import Dependency
from fastrf.engine.relation import Relation
from fastrf.queries import counting, masks


def dense(dependency):
    """bool[*shape, *input_shape], group by group."""
    sizes, inputs = dependency.sizes, dependency.input_shape
    out = np.zeros((*sizes, *inputs), bool)
    for term in dependency.terms:
        product = np.ones((1,) * out.ndim, bool)
        for rows, cols, relation in term:
            shape = [n if f in rows else 1 for f, n in enumerate(sizes)] + [
                n if a in cols else 1 for a, n in enumerate(inputs)
            ]
            product = product & relation.to_mask().reshape(shape)
        out |= product
    return out.reshape((*dependency.shape, *inputs))


def random_map(rng, n_in):
    n_out = int(rng.integers(1, 5))
    return maps.from_relation(Relation.from_mask(rng.random((n_out, n_in)) < 0.5))


@given(st.integers(0, 2**32 - 1))
def test_random_steps_equal_dense_ones(seed):
    rng = np.random.default_rng(seed)
    shape = tuple(int(n) for n in rng.integers(1, 5, 3))
    value = Dependency.identity(shape)
    truth = np.eye(int(np.prod(shape)), dtype=bool).reshape(*shape, *shape)
    for _ in range(6):
        value, truth = random_step(rng, value, truth)
        assert value.shape == truth.shape[: truth.ndim - 3]
        assert (dense(value) == truth).all()
    kept = value.any_input(1)
    assert (dense(kept) == truth.any(axis=-2)).all()
    order = [*range(truth.ndim - 3, truth.ndim), *range(truth.ndim - 3)]
    assert (dense(value.transpose()) == truth.transpose(order)).all()


def random_step(rng, value, truth):
    """One step on both."""
    ndim = len(value.shape)
    axis = int(rng.integers(ndim)) if ndim else 0
    kind = rng.choice(["map", "reduce", "insert", "permute", "reshape", "union", "concat"]) if ndim else "insert"
    if kind == "map":
        axis_map = random_map(rng, value.shape[axis])
        moved = np.tensordot(axis_map.relation.to_mask().astype(int), np.moveaxis(truth, axis, 0).astype(int), axes=1)
        return value.map_axis(axis, axis_map), np.moveaxis(moved > 0, 0, axis)
    if kind == "reduce" and ndim > 1:
        return value.reduce(axis), truth.any(axis=axis)
    if kind == "insert" and ndim < 4:
        size = int(rng.integers(1, 4))
        return value.insert(axis, size), np.repeat(np.expand_dims(truth, axis), size, axis)
    if kind == "permute":
        order = tuple(int(a) for a in rng.permutation(ndim))
        return value.permute(order), truth.transpose(*order, *range(ndim, ndim + 3))
    if kind == "union":
        other = value.map_axis(axis, maps.roll(value.shape[axis], 1))
        return value.union(other, value), truth | np.roll(truth, 1, axis)
    if kind == "concat":
        other = value.map_axis(axis, maps.flip(value.shape[axis]))
        both = np.concatenate([truth, np.flip(truth, axis)], axis)
        return value.concat(axis, other), both
    total = int(np.prod(value.shape))
    divisors = [d for d in range(1, total + 1) if total % d == 0]
    first = int(rng.choice(divisors))
    shape = (first, total // first)
    return value.reshape(shape), truth.reshape(*shape, *truth.shape[ndim:])


def test_window_attention_needs_one_term_and_no_large_relation():
    value = Dependency.identity((56, 56))
    windows = value.reshape((8, 7, 8, 7)).permute((0, 2, 1, 3))
    mixed = windows.reduce(3).reduce(2).insert(2, 7).insert(3, 7)
    back = mixed.permute((0, 2, 1, 3)).reshape((56, 56))
    assert len(back.terms) == 1
    assert max(group.relation.n_rows for group in back.terms[0]) <= 56


def test_pixel_shuffle_and_back_is_the_identity():
    value = Dependency.identity((8, 6, 10))
    up = value.reshape((2, 2, 2, 6, 10)).permute((0, 3, 1, 4, 2)).reshape((2, 12, 20))
    down = up.reshape((2, 6, 2, 10, 2)).permute((0, 2, 4, 1, 3)).reshape((8, 6, 10))
    assert dense(down).reshape(480, 480).trace() == dense(down).sum() == 480
    again = Dependency.identity((2, 3)).reshape((6,)).reshape((2, 3))
    assert again == Dependency.identity((2, 3))


def test_entangled_axes_come_apart_again():
    """Tokens of a grid, one more put in front and taken away: rows and columns are separate once more."""
    grid = Dependency.identity((4, 5)).reshape((20,))
    tokens = grid.map_axis(0, maps.place(20, 21, 1)).map_axis(0, maps.strided_slice(21, 1, 1, 20))
    assert len(tokens.reshape((4, 5)).terms[0]) == 2


def test_unions_absorb_and_merge():
    value = Dependency.identity((6, 6))
    wide = value.map_axis(0, maps.window(6, 6, 3, 1, 1, 1))
    assert value.union(wide).terms == wide.terms
    assert wide.union(value).terms == wide.terms
    left, right = (value.map_axis(0, maps.strided_slice(6, shift, 1, 6)) for shift in (0, 1))
    assert len(left.union(right).terms) == 1
    whole = value.reduce(0).reduce(0).insert(0, 6).insert(1, 6)
    assert value.union(whole).terms == whole.terms


def test_comparison_of_very_wide_terms_is_left_out(monkeypatch):
    """A term inside another is absorbed, unless finding that out would need more rows than allowed."""
    small = Dependency.identity((6, 6))
    entangled = small.reshape((36,)).map_axis(0, maps.window(36, 36, 3, 1, 1, 1)).reshape((6, 6))
    assert small.union(entangled).terms == entangled.terms
    monkeypatch.setattr(fastrf.limits, "compared", 1)
    assert len(small.union(entangled).terms) == 2
    assert (dense(small.union(entangled)) == dense(entangled)).all()


def test_equality_and_representation():
    value = Dependency.identity((2, 3))
    assert value == Dependency.identity((2, 3))
    assert hash(value) == hash(Dependency.identity((2, 3)))
    assert value != Dependency.identity((3, 2))
    assert value != 3
    assert repr(value) == "Dependency(shape=(2, 3), input_shape=(2, 3), terms=1)"


@pytest.mark.parametrize("shape", [(0, 3), (1, 1), (1,), ()])
def test_empty_and_single_shapes(shape):
    value = Dependency.identity(shape)
    assert dense(value).sum() == np.prod(shape)
    assert value.nothing().terms == ()
    assert value.reshape((int(np.prod(shape)),)).shape == (int(np.prod(shape)),)


def test_concat_of_what_depends_on_nothing():
    nothing = Dependency.none((2, 3), (4,))
    assert nothing.concat(0, nothing).shape == (4, 3)
    assert nothing.concat(1, nothing).terms == ()


def test_more_terms_than_bits_are_an_error_for_areas_and_still_masks():
    spec = {"input_shape": [1, 70], "layers": []}
    names = []
    for k in range(66):
        spec["layers"] += [
            {"name": f"p{k}", "op": "gather", "axis": 1, "indices": [k, *range(k % 7 + 1)], "inputs": ["input"]},
            {"name": f"m{k}", "op": "max", "axes": [1], "keepdims": True},
        ]
        names.append(f"m{k}")
    spec["layers"].append({"name": "all", "op": "concat", "axis": 0, "inputs": names})
    field = fastrf.analyze(spec)["all"]
    dependency = Dependency(field.input_shape, field.dependency.axes, field.dependency.terms * 2)
    assert len(field.dependency.terms) > 62

    with pytest.raises(fastrf.LimitError, match="only up to 62"):
        counting.areas(dependency)
    found = masks.dense(dependency, None, packed=False, out=None)
    assert (found == dense(dependency).reshape(found.shape)).all()
