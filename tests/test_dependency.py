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


def test_factors_after_window_attention():
    """The windows of a map stay two factors an axis, of which the inner one is read whole: one term, three groups."""
    value = Dependency.identity((3, 56, 56))
    windows = value.reshape((3, 8, 7, 8, 7)).permute((1, 3, 2, 4, 0))
    assert windows.axes == ((8,), (8,), (7,), (7,), (3,))
    back = windows.reduce(3).reduce(2).insert(2, 7).insert(3, 7).permute((4, 0, 2, 1, 3)).reshape((3, 56, 56))
    assert back.axes == ((3,), (8, 7), (8, 7))
    assert [group[:2] for group in back.terms[0]] == [((0,), (0,)), ((1,), (1,)), ((3,), (2,))]
    shifted = back.map_axis(1, maps.roll(56, 3))
    assert shifted.axes == ((3,), (56,), (8, 7))
    assert back.reshape((3, 8, 7, 56)).reduce(2).axes == ((3,), (8,), (8, 7))


@pytest.mark.parametrize(
    ("name", "most", "last"),
    [
        *[("resnet50", 1, 1), ("mobilenet_v1", 1, 1), ("vgg16", 1, 1), ("wavenet", 1, 1), ("unet", 2, 1)],
        *[("inception_v3", 4, 1), ("densenet121", 13, 1), ("yolov5s", 4, 1), ("deeplabv3_resnet50", 5, 1)],
    ],
)
def test_networks_need_few_terms(name, most, last):
    """DenseNet-121: one for the block's input and one for each of 12 layers; DeepLab: one for each of 5 branches."""
    analysis = fastrf.analyze(name)
    assert max(len(field.relations) for field in analysis.values()) == most
    assert len(analysis.output.relations) == last


def test_squeeze_and_expand_needs_a_term_for_each_expansion():
    """A fire module of SqueezeNet: 1x1 and 3x3 side by side, which the next module's squeeze makes one again."""
    layers = []
    for k, below in enumerate(("input", "fire0")):
        layers += [
            {"op": "conv", "name": f"squeeze{k}", "out_channels": 2, "kernel_size": 1, "inputs": [below]},
            {"op": "conv", "name": f"one{k}", "out_channels": 3, "kernel_size": 1, "inputs": [f"squeeze{k}"]},
            {
                **{"op": "conv", "name": f"three{k}", "out_channels": 3, "kernel_size": 3, "padding": 1},
                "inputs": [f"squeeze{k}"],
            },
            {"op": "concat", "name": f"fire{k}", "axis": 0, "inputs": [f"one{k}", f"three{k}"]},
        ]
    analysis = fastrf.analyze({"input_shape": [1, 9, 9], "layers": layers})
    assert [len(analysis[f"{name}{k}"].relations) for k in (0, 1) for name in ("squeeze", "fire")] == [1, 2, 1, 2]
    assert [group.rows for term in analysis["fire0"].relations for group in term if not group.cols] == [(0,), (0,)]


@pytest.mark.parametrize("seed", range(20))
def test_dependencies_that_read_the_same_are_equal(seed):
    """Canonical form: the same sets, made in another order of steps, are the same factors and terms."""
    rng = np.random.default_rng(seed)
    value = Dependency.identity((4, 6))
    rows, columns = random_map(rng, 4), random_map(rng, 6)
    one = value.map_axis(0, rows).map_axis(1, columns)
    assert one == value.map_axis(1, columns).map_axis(0, rows)
    assert one == value.permute((1, 0)).map_axis(0, columns).map_axis(1, rows).permute((1, 0))
    assert one == one.transpose().transpose()
    assert one.union(one.nothing()) == one
    assert one.insert(1, 3).reduce(1) == one
    n = one.shape[0] * one.shape[1]
    assert one.reshape((n,)).reshape(one.shape) == one
    flipped = one.map_axis(0, maps.flip(one.shape[0]))
    assert one.union(flipped) == flipped.union(one)
    assert one.union(flipped).reduce(0) == one.reduce(0).union(flipped.reduce(0))


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


@pytest.mark.parametrize("disjoint", [True, False])
def test_steps_of_a_loop_are_one_term(disjoint):
    """What each step of a hand-written loop has seen, side by side: as many terms as a cumulative sum has."""
    x = Dependency.identity((300, 4))
    state, states = x.nothing().map_axis(0, maps.strided_slice(300, 0, 1, 1)), []
    for t in range(300):
        state = state.union(x.map_axis(0, maps.strided_slice(300, t, 1, 1)))
        states.append(state)
    if disjoint:
        whole = states[0].concat(0, *states[1:])
    else:  # written into one tensor, step by step
        whole = states[0].map_axis(0, maps.place(1, 300, 0))
        for t, state in enumerate(states):
            whole = whole.union(state.map_axis(0, maps.place(1, 300, t)))
    assert whole == x.map_axis(0, maps.cumulative(300))
    assert len(whole.terms) == 1


def test_places_and_what_they_hold_become_one_relation(rng):
    """Terms of a guard and a constant set, overlapping or not, the rest equal or not, against dense ones."""
    x = Dependency.identity((5, 4, 3))
    for _ in range(40):
        parts = []
        for _ in range(int(rng.integers(2, 7))):
            held, at = rng.random((1, 5)) < 0.5, rng.random((6, 1)) < 0.4
            part = x.map_axis(0, maps.from_relation(Relation.from_mask(held)))
            part = part.map_axis(0, maps.from_relation(Relation.from_mask(at)))
            if rng.random() < 0.3:
                part = part.map_axis(1, maps.from_relation(Relation.from_mask(rng.random((4, 4)) < 0.5)))
            parts.append(part)
        whole = parts[0].union(*parts[1:])
        assert (dense(whole) == np.any([dense(part) for part in parts], axis=0)).all()


def test_factors_along_which_nothing_changes_leave_their_group():
    value = Dependency.identity((6, 5))
    whole = value.map_axis(0, maps.from_relation(Relation.full(4, 6)))
    assert [group[:2] for group in whole.terms[0]] == [((), (0,)), ((1,), (1,))]
    assert whole == value.reduce(0).insert(0, 4)


def test_what_reads_nothing_at_some_places_is_absorbed_among_many_terms(monkeypatch):
    """Where there are many terms, boxes at some places tell which to compare; an empty one lies in any other."""
    monkeypatch.setattr("fastrf.engine.terms.FEW_TERMS", 1)
    test_unions_absorb_and_merge()
    three, two = (maps.from_relation(Relation.from_runs(6, [3] * 6, [stop] * 6)) for stop in (6, 5))
    wide = Dependency.identity((6, 6)).map_axis(0, three)
    some = Dependency.identity((6, 6)).map_axis(0, two).map_axis(1, maps.take(6, [-1, 1, 2, -1, -1, 5]))
    assert wide.union(some) == some.union(wide) == wide


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
    spec = {"input_shape": [1, 70, 70], "layers": []}
    names = []
    for k in range(66):  # sets of two axes that change together are terms of their own
        indices = [k, *range(k % 7 + 1)]
        spec["layers"] += [
            {"name": f"p{k}", "op": "gather", "axis": 1, "indices": indices, "inputs": ["input"]},
            {"name": f"q{k}", "op": "gather", "axis": 2, "indices": indices},
            {"name": f"m{k}", "op": "max", "axes": [1, 2], "keepdims": True},
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
