"""Relations against sets of pairs."""

from __future__ import annotations

import itertools
import pickle
import threading
import tracemalloc
import weakref

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastrf.engine import axis_map
from fastrf.engine import memo as memory
from fastrf.engine.regular import MAX_WORK
from fastrf.engine.relation import Relation
from fastrf.engine.terms import Group


def masks(n_rows=None, n_cols=None):
    """Random bool[n_rows, n_cols], empty and full ones among them."""
    sizes = st.tuples(
        st.integers(0, 5) if n_rows is None else st.just(n_rows),
        st.integers(0, 7) if n_cols is None else st.just(n_cols),
        st.integers(0, 2**32 - 1),
        st.sampled_from([0.0, 0.3, 0.7, 1.0]),
    )
    return sizes.map(lambda s: np.random.default_rng(s[2]).random(s[:2]) < s[3])


@given(masks())
def test_canonical_form_round_trips(mask):
    relation = Relation.from_mask(mask)
    assert (relation.to_mask() == mask).all()
    assert relation is Relation.from_mask(mask.copy())
    assert relation is Relation.from_scipy(relation.to_scipy())
    assert relation is Relation.from_rows(mask.shape[1], [relation.row(i) for i in range(len(mask))])
    assert relation is pickle.loads(pickle.dumps(relation))
    assert relation.counts.tolist() == mask.sum(axis=1).tolist()
    assert all((relation.row_mask(i) == row).all() for i, row in enumerate(mask))
    for row in range(relation.n_rows):
        runs = relation.row(row)
        assert all(low < high for low, high in runs)
        assert all(left[1] < right[0] for left, right in itertools.pairwise(runs))


@given(masks(n_cols=4), masks(n_rows=4))
def test_compose_is_the_boolean_product(outer, inner):
    expected = (outer.astype(int) @ inner.astype(int)) > 0
    assert (Relation.from_mask(outer).compose(Relation.from_mask(inner)).to_mask() == expected).all()


@given(masks(n_cols=3), st.integers(1, 3), st.integers(1, 3), st.integers(0, 2**32 - 1))
def test_compose_on_the_middle_of_the_rows(outer, before, after, seed):
    inner = np.random.default_rng(seed).random((before * 3 * after, 5)) < 0.4
    spread = np.kron(np.kron(np.eye(before, dtype=int), outer.astype(int)), np.eye(after, dtype=int))
    found = Relation.from_mask(outer).compose(Relation.from_mask(inner), before, after)
    assert (found.to_mask() == (spread @ inner > 0)).all()


@given(st.integers(0, 2**32 - 1))
def test_union_containment_and_constancy(seed):
    rng = np.random.default_rng(seed)
    left, right = (rng.random((4, 6)) < p for p in (0.4, 0.6))
    a, b = Relation.from_mask(left), Relation.from_mask(right)
    assert (a.union(b).to_mask() == (left | right)).all()
    assert a.union(a) is a
    assert a.union(b).contains(a)
    assert a.contains(a)
    assert a.contains(b) == bool((left >= right).all())
    assert a.is_constant == bool((left == left[0]).all())
    assert a.is_constant_along(2, 2, 1) == bool((left.reshape(2, 2, 6) == left.reshape(2, 2, 6)[:, :1]).all())
    assert a.is_full == bool(left.all())
    assert a.is_empty == (not left.any())
    assert a.occupied.to_mask()[:, 0].tolist() == left.any(axis=1).tolist()


@given(masks(), masks())
def test_kron_transpose_and_hulls(left, right):
    a, b = Relation.from_mask(left), Relation.from_mask(right)
    assert (a.kron(b).to_mask() == np.kron(left, right)).all()
    assert (a.transpose.to_mask() == left.T).all()
    for row, (low, high) in zip(left, a.hulls.tolist(), strict=True):
        used = np.flatnonzero(row)
        assert (low, high) == ((used[0], used[-1] + 1) if used.size else (0, 0))


@given(st.integers(1, 3), st.integers(1, 3), st.integers(1, 3), st.integers(0, 2**32 - 1))
def test_project_and_reorder(before, middle, after, seed):
    cube = np.random.default_rng(seed).random((6, before, middle, after)) < 0.3
    relation = Relation.from_mask(cube.reshape(6, -1))
    assert (relation.project(before, middle, after).to_mask() == cube.any(axis=(1, 3))).all()
    turned = relation.reorder_columns([before, middle, after], [2, 0, 1])
    assert (turned.to_mask() == cube.transpose(0, 3, 1, 2).reshape(6, -1)).all()
    rows = relation.reorder_rows([2, 3], [1, 0])
    assert (rows.to_mask() == cube.reshape(2, 3, -1).swapaxes(0, 1).reshape(6, -1)).all()
    assert relation.reorder_rows([2, 3], [0, 1]) is relation


@given(st.integers(0, 2**32 - 1))
def test_every_result_is_in_canonical_form(seed):
    """Equal sets are one object, whichever way they came about: runs that touch are one, no run is empty."""
    rng = np.random.default_rng(seed)
    rows, middle, columns, after = (int(n) for n in rng.integers(1, 7, 4))

    def drawn(n_rows, n_cols):
        return Relation.from_mask(rng.random((n_rows, n_cols)) < rng.choice([0.2, 0.5, 0.9]))

    a, b = drawn(rows, middle), drawn(middle * after, columns)
    for found in (
        a.compose(b, 1, after),
        a.kron(b),
        a.union(drawn(rows, middle)),
        a.transpose,
        a.occupied,
        a.kron(b).project(middle, columns, 1),
        a.kron(b).project(1, middle, columns),
        a.kron(b).reorder_columns((middle, columns), (1, 0)),
        a.kron(b).reorder_rows((rows, middle * after), (1, 0)),
        a.take(rng.integers(0, rows, 5)),
    ):
        assert found is Relation.from_mask(found.to_mask())
        assert found.n_points == found.to_mask().sum()


def test_runs_are_clipped_and_equal_ones_are_one_object():
    relation = Relation.from_runs(5, [-2, 3, 4, 2], [1, 9, 4, 1])
    assert [relation.row(i) for i in range(4)] == [[(0, 1)], [(3, 5)], [], []]
    assert Relation.full(2, 3).row(1) == [(0, 3)]
    assert Relation.identity(3) is Relation.from_mask(np.eye(3))
    assert repr(relation) == "Relation(4 rows, 5 columns, 2 runs)"
    with pytest.raises(ValueError, match="read-only"):
        relation.start[0] = 1


def test_chains_compose_in_one_pass_and_others_too():
    window = Relation.from_runs(10, range(0, 8, 2), range(3, 11, 2))
    assert window.is_chain
    assert not Relation.from_runs(10, [0, 5], [3, 8]).is_chain
    assert not Relation.from_rows(4, [[(0, 1), (2, 3)]]).is_chain
    assert Relation.from_rows(4, [[(0, 2)], [], [(1, 4)]]).is_chain


def test_runs_that_touch_after_a_chain_are_one():
    chain = Relation.from_runs(4, [0, 1, 2], [2, 2, 4])
    assert chain.is_chain
    assert Relation.from_rows(3, [[(0, 1), (2, 3)]]).compose(chain) is Relation.from_rows(4, [[(0, 4)]])
    apart = Relation.from_runs(6, [0, 2, 4], [2, 4, 6])
    assert Relation.from_rows(3, [[(0, 1), (2, 3)]]).compose(apart) is Relation.from_rows(6, [[(0, 2), (4, 6)]])


def test_fingerprints_that_collide_are_told_apart(monkeypatch):
    monkeypatch.setattr("fastrf.engine.relation.fingerprint", lambda _: 0)
    first, second = Relation.from_runs(97, [1], [2]), Relation.from_runs(97, [5], [6])
    assert first is not second
    assert second is Relation.from_runs(97, [5], [6])


def test_long_arrays_have_fingerprints():
    n = 5000
    assert Relation.identity(n) is Relation.from_runs(n, np.arange(n), np.arange(n) + 1)


def test_interning_from_many_threads():
    found: list[Relation] = []

    def work():
        found.append(Relation.from_runs(1234, range(700), range(3, 703)))

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(found)) == 1


def test_what_several_keys_share_is_held_until_the_last_goes(monkeypatch):
    memory.forget()
    monkeypatch.setattr(memory, "MAX_RESULTS", 4)
    shared = np.zeros(100)
    for k in range(12):
        memory.remembered(("shares", k), lambda: shared)
        assert memory.held() == shared.nbytes
    memory.forget()
    assert memory.held() == 0


def test_memory_is_bounded(monkeypatch):
    memory.forget()
    monkeypatch.setattr(memory, "MAX_RESULTS", 10)
    for k in range(100):
        assert memory.remembered(("number", k), lambda k=k: k + 1) == k + 1
    assert len(memory._results) <= 10
    assert memory.remembered(("number", 99), lambda: -1) == 100
    monkeypatch.setattr(memory, "MAX_BYTES", 100)
    big = Relation.identity(500)
    assert memory.remembered(("big", 1), lambda: big) is big
    assert ("big", 1) not in memory._results
    memory.forget()


def test_memory_counts_keys_too_and_each_object_once():
    memory.forget()
    ones = [Relation.from_runs(4000, np.arange(2000) + k, np.arange(2000) + k + 9) for k in range(6)]
    for a, b in itertools.permutations(ones, 2):
        assert not a.contains(b)
    assert memory.held() == sum(one.nbytes for one in ones)
    union = ones[0].union(ones[1])
    parts = memory.remembered(("parts", ones[2]), lambda: [Group((0,), (0,), union), Group((), (1,), ones[3])])
    assert memory.held() == sum(one.nbytes for one in (*ones, union))
    assert memory.remembered(("parts", ones[2]), lambda: []) is parts
    memory.forget()
    assert memory.held() == 0
    assert not memory._holders


def test_operands_of_comparisons_are_let_go(monkeypatch):
    """Each comparison answers yes or no, which is small; what it compared is not."""
    memory.forget()
    nbytes = Relation.from_runs(4000, np.arange(2000), np.arange(2000) + 9).nbytes
    monkeypatch.setattr(memory, "MAX_BYTES", 20 * nbytes)
    seen = []
    for k in range(60):
        pair = [Relation.from_runs(4000, np.arange(2000) + i, np.arange(2000) + i + 9) for i in (k, k + 99)]
        seen += map(weakref.ref, pair)
        pair[0].contains(pair[1])
        assert memory.held() <= memory.MAX_BYTES
    del pair
    assert sum(ref() is not None for ref in seen) <= 20
    memory.forget()
    assert not any(ref() for ref in seen)


def test_what_is_larger_than_half_the_memory_is_not_kept(monkeypatch):
    memory.forget()
    big = Relation.from_runs(4000, np.arange(2000), np.arange(2000) + 9)
    monkeypatch.setattr(memory, "MAX_BYTES", 2 * big.nbytes)
    assert memory.remembered(("kept", big), lambda: 1) == memory.remembered(("kept", big), lambda: 2)
    memory.forget()
    monkeypatch.setattr(memory, "MAX_BYTES", 2 * big.nbytes - 1)
    assert memory.remembered(("kept", big), lambda: 1) != memory.remembered(("kept", big), lambda: 2)
    assert (memory.held(), memory._results, memory._holders) == (0, {}, {})


def test_groups_compare_by_identity_of_relations():
    assert Group((0,), (1,), Relation.identity(3)) == Group((0,), (1,), Relation.identity(3))


def test_long_tables_are_interned_and_take_little_more_than_they_hold():
    n = 1 << 20
    tracemalloc.start()
    try:
        tiled = axis_map.tile(200, n // 200).relation
        assert tracemalloc.get_traced_memory()[1] < 3 * tiled.nbytes
    finally:
        tracemalloc.stop()
    index = np.arange(tiled.n_rows) % 200
    assert Relation.from_runs(200, index, index + 1) is tiled
    index[-1] = 0
    assert Relation.from_runs(200, index, index + 1) is not tiled


def test_a_table_too_long_to_be_looked_at_is_not_made_for_its_rule(monkeypatch):
    monkeypatch.setattr(Relation, "from_runs", None)
    assert axis_map.tile(3, MAX_WORK).pattern.irregular == "indices in no regular order"
