"""Relations of the pairs of two axes, kept as two of single axes, against whole ones."""

import numpy as np
import pytest

import fastrf
from fastrf.engine.contents import content
from fastrf.engine.paired import Paired, everywhere, paired
from fastrf.engine.relation import Relation
from fastrf.engine.stretched import stretched_from

pytestmark = pytest.mark.usefixtures("short")


@pytest.fixture
def short():
    """Relations of more than two rows are kept in parts."""
    with stretched_from(2):
        yield


def drawn(rng, n, m, density):
    """A random relation; now and then all its rows are equal."""
    mask = rng.random((n, m)) < density
    return Relation.from_mask(np.repeat(mask[:1], n, axis=0) if rng.random() < 0.25 else mask)


def drawn_pair(rng, sizes, columns, own):
    return paired(drawn(rng, *sizes, rng.choice([0.2, 0.6, 1])), drawn(rng, sizes[own], columns, 0.5), own)


def whole(relation):
    return Relation.from_mask(relation.to_mask())


def draws(rng, count=60):
    for _ in range(count):
        sizes, columns, own = tuple(map(int, rng.integers(1, 6, 2))), int(rng.integers(1, 5)), int(rng.integers(2))
        relation = drawn_pair(rng, sizes, columns, own)
        if isinstance(relation, Paired):
            yield relation, sizes, own


def test_a_pair_holds_what_its_own_row_holds_where_the_guard_holds_it():
    guard, inner = Relation.from_mask([[1, 0, 1], [0, 1, 1]]), Relation.from_rows(4, [[(0, 1)], [(1, 3)], [(2, 4)]])
    relation = paired(guard, inner, 1)
    assert isinstance(relation, Paired)
    assert [relation.row(k) for k in range(6)] == [[(0, 1)], [], [(2, 4)], [], [(1, 3)], [(2, 4)]]


@pytest.mark.parametrize(
    "questions",
    [
        ("n_rows", "n_cols", "n_runs", "n_points", "is_empty", "is_full", "is_identity", "is_constant"),
        ("counts", "hulls", "indptr", "start", "stop"),
    ],
)
def test_every_answer_is_that_of_the_whole_relation(rng, questions):
    for relation, (n, m), _ in draws(rng):
        told = whole(relation)
        for name in questions:
            assert np.array_equal(getattr(relation, name), getattr(told, name)), name
        for along in ((1, n, m), (n, m, 1), (1, n * m, 1)):
            assert relation.is_constant_along(*along) == told.is_constant_along(*along)
        assert content(relation) is told
        assert (relation.occupied.to_mask() == told.occupied.to_mask()).all()
        rows = rng.integers(0, n * m, 5)
        assert relation.take(rows) is told.take(rows)
        assert whole(relation.reorder_rows((n, m), (1, 0))) is told.reorder_rows((n, m), (1, 0))
        if relation.n_cols == 4:
            assert whole(relation.project(1, 2, 2)) is told.project(1, 2, 2)


def test_what_reads_pairs_along_an_axis_or_both_is_what_reads_all_rows(rng):
    for relation, (n, m), _ in draws(rng, 40):
        told = whole(relation)
        for before, middle, after in ((1, n, m), (n, m, 1), (1, n * m, 1)):
            index = np.arange(middle)
            some = Relation.from_runs(middle, index, index + rng.integers(0, 2, middle))
            one_each = Relation.from_runs(middle, start := rng.integers(0, middle, 4), start + rng.integers(0, 2, 4))
            for outer in (
                drawn(rng, 1, middle, 0.5),
                Relation.full(1, middle),
                drawn(rng, 3, middle, 0.4),
                some,
                one_each,
            ):
                assert whole(outer.compose(relation, before, after)) is outer.compose(told, before, after)


def test_unions_and_containment_of_pairs(rng):
    for relation, sizes, own in draws(rng, 40):
        like = paired(relation.guard, drawn(rng, sizes[own], relation.n_cols, 0.5), own)
        others = [like, *(drawn_pair(rng, sizes, relation.n_cols, kind) for kind in (0, 1))]
        for other in others:
            both = relation.union(other)
            assert (both.to_mask() == relation.to_mask() | other.to_mask()).all()
            for big, small in ((relation, other), (other, relation), (both, relation), (both, other)):
                assert big.contains(small) == bool((big.to_mask() | ~small.to_mask()).all())


def test_few_pairs_are_kept_whole():
    assert everywhere(Relation.identity(2), 0, (2, 1)) is None
    assert not isinstance(paired(Relation.full(1, 2), Relation.identity(2), 1), Paired)


def masked_scores(tokens, mask):
    """Attention spelled out: scores of a mask, a softmax, a product."""
    layers = [
        {"name": "turned", "op": "permute", "inputs": ["input"], "order": [1, 0]},
        {"name": "scores", "op": "matmul", "inputs": ["input", "turned"]},
        {"name": "shown", "op": "keep", "inputs": ["scores"], "mask": mask.tolist(), "axes": [0, 1]},
        {"name": "weights", "op": "softmax", "inputs": ["shown"], "axis": 1},
        {"name": "kept", "op": "keep", "inputs": ["weights"], "mask": mask.tolist(), "axes": [0, 1]},
        {"name": "seen", "op": "matmul", "inputs": ["kept", "input"], "used": mask.tolist()},
    ]
    return fastrf.Network.from_dict({"input_shape": [tokens, 3], "layers": layers})


def test_attention_spelled_out_is_exact_at_every_node_and_never_made_whole(rng):
    mask = np.tril(rng.random((7, 7)) < 0.5) | np.eye(7, dtype=bool)
    network = masked_scores(7, mask)
    analysis = fastrf.analyze(network)
    masks = {name: analysis[name].neuron_masks() for name in ("shown", "weights", "kept", "seen")}
    relations = {group.relation for term in analysis["kept"].dependency.terms for group in term}
    assert any(isinstance(relation, Paired) for relation in relations)
    with stretched_from(1 << 40):
        plain = fastrf.analyze(network)
        for name, found in masks.items():
            assert np.array_equal(found, plain[name].neuron_masks()), name
