"""What a saved field says of its arrays is believed clause by clause: each one broken alone is refused."""

from __future__ import annotations

import numpy as np
import pytest

from fastrf.engine.relation import Relation
from fastrf.queries import storage

ROWS = [[(0, 2), (4, 5)], [], [(5, 7)], [(0, 7)]]
GOOD = {"n_cols": 7, "indptr": [0, 2, 2, 3, 4], "start": [0, 4, 5, 0], "stop": [2, 5, 7, 7]}


def relation(n_cols, **arrays):
    return storage._relation(n_cols, **{name: np.asarray(array) for name, array in arrays.items()})


def test_good_arrays_are_the_relation_itself():
    assert relation(**GOOD) is Relation.from_rows(7, ROWS)
    assert relation(0, indptr=[0], start=np.zeros(0, int), stop=np.zeros(0, int)).n_rows == 0


@pytest.mark.parametrize("name", ["indptr", "start", "stop"])
@pytest.mark.parametrize("change", [lambda a: a.astype(np.int32), lambda a: a.astype(float), lambda a: a[:, None]])
def test_arrays_of_another_kind(name, change):
    with pytest.raises(ValueError, match="one-dimensional int64"):
        relation(**{**GOOD, name: change(np.array(GOOD[name]))})


@pytest.mark.parametrize(
    "changes",
    [
        {"indptr": np.zeros(0, np.int64)},
        {"indptr": [1, 2, 2, 3, 4]},
        {"indptr": [0, 2, 1, 3, 4]},
        {"indptr": [0, 2, 2, 3, 3]},
        {"indptr": [0, 2, 2, 3, 5]},
        {"start": [0, 4, 5]},
        {"stop": [2, 5, 7]},
        {"stop": [2, 5, 7, 7, 7]},
    ],
)
def test_arrays_that_do_not_fit_each_other(changes):
    with pytest.raises(ValueError, match="do not fit each other"):
        relation(**{**GOOD, **changes})


@pytest.mark.parametrize(
    "changes",
    [
        {"start": [-1, 4, 5, 0]},
        {"start": [0, 4, 7, 0]},
        {"start": [3, 4, 5, 0]},
        {"stop": [2, 5, 8, 7]},
        {"n_cols": 6},
        {"start": [0, 1, 5, 0]},
        {"start": [0, 2, 5, 0]},
        {"start": [4, 0, 5, 0], "stop": [5, 2, 7, 7]},
        {"indptr": [0, 1, 1, 3, 4], "start": [0, 5, 4, 0], "stop": [2, 7, 5, 7]},
    ],
)
def test_runs_that_are_not_canonical(changes):
    with pytest.raises(ValueError, match="not sorted, disjoint and inside"):
        relation(**{**GOOD, **changes})


MASK = np.arange(24) % 3 == 0
RELATIONS = [Relation.identity(4), Relation.full(1, 5), Relation.from_mask(MASK.reshape(6, 4)), Relation.full(4, 5)]
TERM = [[[0], [0], 0], [[], [1], 1]]


def term(given):
    return storage._term(given, RELATIONS, (4, 6, 6), (4, 5))


def test_terms_in_normal_form():
    assert [group[:2] for group in term(TERM)] == [((0,), (0,)), ((), (1,))]
    assert [group.rows for group in term([[[1], [0], 2], [[], [1], 1]])] == [(1,), ()]


@pytest.mark.parametrize(
    "given",
    [
        [TERM[0]],
        [*TERM, TERM[1]],
        [TERM[0], [[0], [1], 3]],
        [TERM[0], [[], [0], 1]],
        [[[1], [0], 0], TERM[1]],
        [[[0], [0], 2], TERM[1]],
        [[[0], [1], 0], [[], [0], 1]],
        [[[1, 0], [0], 0], TERM[1]],
        [TERM[0], [[0], [1], 1]],
        [[[1], [0], 2], [[1], [1], 1]],
    ],
)
def test_terms_that_do_not_fit_the_shapes(given):
    with pytest.raises(ValueError, match="terms do not fit"):
        term(given)


def test_factors_and_input_axes_of_a_group_are_in_order():
    both = [Relation.full(1, 20), Relation.full(24, 20)]
    for rows, cols in (([], [1, 0]), ([1, 0], [0, 1])):
        with pytest.raises(ValueError, match="terms do not fit"):
            storage._term([[rows, cols, len(rows) // 2]], both, (4, 6), (4, 5))


PIECE = {
    "offsets": [1, 0],
    "axes": [[3], [2, 2]],
    "kinds": [2, 2, 0],
    "phases": [[[0, 1, 1]], [[1, 1, 2], [2, 2, 0]]],
    "irregular": ["", ""],
}
TABLES = [(np.zeros(1), np.ones(1)), (np.zeros((1, 2)), np.ones((1, 2)))]


def piece(changes, tables=TABLES):
    return storage._piece({**PIECE, **changes}, (4, 4), tables)


def test_a_piece_of_the_nominal_field():
    assert piece({}).lengths == (3, 4)


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"offsets": [2, 0]}, "does not fit the shapes"),
        ({"offsets": [1]}, "does not fit the shapes"),
        ({"axes": [[3], [5, 1]]}, "does not fit the shapes"),
        ({"axes": [[3], [2, 2], []], "offsets": [1, 0, 0]}, "does not fit the shapes"),
        ({"kinds": [2, 2]}, "does not fit the shapes"),
        ({"kinds": [2, 2, 3]}, "out of range"),
        ({"kinds": [2, 2, -1]}, "no natural number|not a natural number"),
        ({"phases": [[[3, 1, 1]], PIECE["phases"][1]]}, "out of range"),
        ({"phases": [[[0, 2, 1]], PIECE["phases"][1]]}, "phases do not fit"),
        ({"phases": [[[0, 1, 1]], [[2, 2, 0], [1, 1, 2]]]}, "not in order"),
        ({"phases": [[[0, 1, 1]], [[1, 1, 2], [1, 2, 0]]]}, "not in order"),
        ({"phases": [[[0, 1, 1]]]}, "shorter|longer"),
        ({"irregular": [""]}, "shorter|longer"),
        ({"irregular": ["", 3]}, "no name"),
    ],
)
def test_a_piece_that_does_not_fit(changes, told):
    with pytest.raises((ValueError, IndexError), match=told):
        piece(changes)


@pytest.mark.parametrize(
    "table",
    [
        (np.zeros(1), np.ones(2)),
        (np.zeros(1, np.float32), np.ones(1, np.float32)),
        (np.zeros((1, 1)), np.ones((1, 1))),
        (np.zeros(0), np.ones(0)),
    ],
)
def test_tables_that_do_not_fit_their_phases(table):
    with pytest.raises(ValueError, match="phases do not fit"):
        piece({}, [table, TABLES[1]])
    empty = {"phases": [[[0, 0, 1]], PIECE["phases"][1]]}
    with pytest.raises(ValueError, match="phases do not fit"):
        piece(empty, [(np.zeros(0), np.ones(0)), TABLES[1]])


def test_the_nominal_field_has_an_extent_and_a_period_for_every_pixel_axis():
    good = {
        **{"format": storage._FORMAT, "name": "a", "axes": [[4], [4]], "input_shape": [4, 4], "columns": []},
        **{"channel_axis": None, "input_channel_axis": None, "approximate_at": [], "terms": [], "periods": [0, 3]},
        "nominal": [PIECE],
    }
    arrays = {f"{side}0.{k}": TABLES[k][side == "high"] for side in ("low", "high") for k in range(2)}
    assert storage._parts(good, arrays).periods == (1, 3)
    for changes in ({"periods": [1]}, {"periods": [1, 1, 1]}):
        with pytest.raises(ValueError, match="does not fit the shapes"):
            storage._parts({**good, **changes}, arrays)
    with pytest.raises(ValueError, match=r"shorter|longer"):
        storage._parts({**good, "input_channel_axis": 0, "periods": [1]}, arrays)
