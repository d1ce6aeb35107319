"""Relations that are kept in a shorter form than by their rows, against whole ones: pairs of axes, and products."""

import numpy as np
import pytest

import fastrf
from fastrf.engine import crossed as crossing
from fastrf.engine.contents import content
from fastrf.engine.crossed import Crossed, crossed
from fastrf.engine.deferred import Deferred
from fastrf.engine.paired import Paired, SomePairs, everywhere, paired, some_pairs
from fastrf.engine.regular import factored
from fastrf.engine.relation import Relation
from fastrf.engine.stretched import stretched_from

pytestmark = pytest.mark.usefixtures("short")
KINDS = ["paired", "crossed", "some pairs"]


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


def drawn_product(rng, n_rows, widths):
    parts = [drawn(rng, int(rng.integers(1, 5)), width, rng.choice([0.3, 0.7, 1])) for width in widths]
    lowest = int(rng.integers(-1, 1))
    return crossed(parts, np.stack([rng.integers(lowest, part.n_rows, n_rows) for part in parts]))


def draws(rng, kind, count=40):
    """Relations of (n, m) rows, each with others of as many rows and columns, whatever their form."""
    for _ in range(count):
        n, m = map(int, rng.integers(1, 6, 2))
        if kind == "some pairs":
            relation, *others = (some_pairs(drawn(rng, n, m, rng.choice([0.2, 0.6, 1]))) for _ in range(3))
        elif kind == "paired":
            columns, own = int(rng.integers(1, 5)), int(rng.integers(2))
            relation = drawn_pair(rng, (n, m), columns, own)
            others = [drawn_pair(rng, (n, m), columns, k) for k in (0, 1)]
            if isinstance(relation, Paired):
                others.append(paired(relation.guard, drawn(rng, (n, m)[own], columns, 0.5), own))
        else:
            widths = rng.integers(1, 4, int(rng.integers(2, 4))).tolist()
            relation, *others = (drawn_product(rng, n * m, widths) for _ in range(3))
            rows = rng.random(n * m) < 0.5
            relation = relation if rng.random() < 0.5 else only(rows).compose(relation)
            others.append(only(~rows).compose(others[0]))
        if isinstance(relation, Deferred):
            yield relation, (n, m), [*others, drawn(rng, n * m, relation.n_cols, 0.3)]


def only(rows):
    return Relation.from_runs(rows.size, np.arange(rows.size), np.arange(rows.size) + rows)


def whole(relation):
    return Relation.from_mask(relation.to_mask())


def test_a_pair_holds_what_its_own_row_holds_where_the_guard_holds_it():
    guard, inner = Relation.from_mask([[1, 0, 1], [0, 1, 1]]), Relation.from_rows(4, [[(0, 1)], [(1, 3)], [(2, 4)]])
    relation = paired(guard, inner, 1)
    assert isinstance(relation, Paired)
    assert [relation.row(k) for k in range(6)] == [[(0, 1)], [], [(2, 4)], [], [(1, 3)], [(2, 4)]]


def test_a_mask_over_two_axes_keeps_its_pairs():
    relation = some_pairs(Relation.from_mask([[1, 0, 1], [0, 0, 1]]))
    assert isinstance(relation, SomePairs)
    assert [relation.row(k) for k in range(6)] == [[(0, 1)], [], [(2, 3)], [], [], [(5, 6)]]


def test_a_row_of_a_product_is_that_of_its_parts():
    lines, places = Relation.from_rows(3, [[(0, 2)], [(2, 3)]]), Relation.from_rows(4, [[(1, 3)], [(0, 4)]])
    relation = crossed([lines, places], np.array([[0, 0, 1, -1], [0, 1, 0, 1]]))
    assert isinstance(relation, Crossed)
    assert [relation.row(k) for k in range(4)] == [[(1, 3), (5, 7)], [(0, 8)], [(9, 11)], []]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    "questions",
    [
        ("n_rows", "n_cols", "n_runs", "n_points", "is_empty", "is_full", "is_identity", "is_constant"),
        ("counts", "hulls", "indptr", "start", "stop"),
    ],
)
def test_every_answer_is_that_of_the_whole_relation(rng, kind, questions):
    for relation, (n, m), _ in draws(rng, kind):
        told = whole(relation)
        for name in questions:
            assert np.array_equal(getattr(relation, name), getattr(told, name)), name
        for along in ((1, n, m), (n, m, 1), (1, n * m, 1)):
            assert relation.is_constant_along(*along) == told.is_constant_along(*along)
        assert content(relation) is told
        assert (relation.occupied.to_mask() == told.occupied.to_mask()).all()
        rows = rng.integers(0, n * m, 5)
        assert content(relation.take(rows)) is told.take(rows)
        assert whole(relation.reorder_rows((n, m), (1, 0))) is told.reorder_rows((n, m), (1, 0))
        for width in (2, 3):
            if relation.n_cols % width == 0:
                after = relation.n_cols // width
                assert whole(relation.project(1, width, after)) is told.project(1, width, after)
                assert whole(relation.project(after, width, 1)) is told.project(after, width, 1)


@pytest.mark.parametrize("kind", KINDS)
def test_what_reads_rows_along_an_axis_or_both_is_what_reads_all_of_them(rng, kind):
    for relation, (n, m), _ in draws(rng, kind, 30):
        told = whole(relation)
        for before, middle, after in ((1, n, m), (n, m, 1), (1, n * m, 1)):
            start = rng.integers(0, middle, 4)
            one_each = Relation.from_runs(middle, start, start + rng.integers(0, 2, 4))
            some = only(rng.random(middle) < 0.5)
            for outer in (
                drawn(rng, 1, middle, 0.5),
                Relation.full(1, middle),
                drawn(rng, 3, middle, 0.4),
                some,
                one_each,
            ):
                assert whole(outer.compose(relation, before, after)) is outer.compose(told, before, after)


@pytest.mark.parametrize("kind", KINDS)
def test_unions_and_containment(rng, kind):
    for relation, _, others in draws(rng, kind):
        for other in others:
            both = relation.union(other)
            assert (both.to_mask() == relation.to_mask() | other.to_mask()).all()
            assert both is other.union(relation) or whole(both) is whole(other.union(relation))
            for big, small in ((relation, other), (other, relation), (both, relation), (both, other)):
                assert big.contains(small) == bool((big.to_mask() | ~small.to_mask()).all())


def test_a_mask_is_read_with_what_pairs_hold_as_every_row_of_it_is(rng):
    for mask, (n, m), _ in draws(rng, "some pairs"):
        for own in (0, 1):
            inner = drawn_pair(rng, (n, m), 3, own)
            composed = mask.compose(inner)
            assert whole(composed) is whole(mask).compose(whole(inner))
            assert isinstance(composed, Paired) or not isinstance(inner, Paired)
        for sizes in ((n, m), (m, n), (1, n * m)):
            assert factored(mask, sizes) == factored(whole(mask), sizes)


def test_equal_products_are_one_object(rng):
    for relation, _, _ in draws(rng, "crossed"):
        order = [rng.permutation(part.n_rows) for part in relation.parts]
        parts = [part.take([*rows, 0]) for part, rows in zip(relation.parts, order, strict=True)]
        places = [np.append(np.argsort(rows), -1)[index] for rows, index in zip(order, relation.index, strict=True)]
        assert relation.is_empty or crossed(parts, np.stack(places)) is relation


def test_few_rows_are_kept_whole():
    assert everywhere(Relation.identity(2), 0, (2, 1)) is None
    assert not isinstance(paired(Relation.full(1, 2), Relation.identity(2), 1), Paired)
    assert not isinstance(crossed([Relation.identity(2)] * 2, np.zeros((2, 2), int)), Crossed)


def masked_scores(tokens, mask):
    """Attention spelled out: scores under a mask, a softmax, a product."""
    layers = [
        {"name": "turned", "op": "permute", "inputs": ["input"], "order": [1, 0]},
        {"name": "scores", "op": "matmul", "inputs": ["input", "turned"]},
        {"name": "shown", "op": "keep", "inputs": ["scores"], "mask": mask.tolist(), "axes": [0, 1]},
        {"name": "weights", "op": "softmax", "inputs": ["shown"], "axis": 1},
        {"name": "kept", "op": "keep", "inputs": ["weights"], "mask": mask.tolist(), "axes": [0, 1]},
        {"name": "seen", "op": "matmul", "inputs": ["kept", "input"], "used": mask.tolist()},
    ]
    return fastrf.Network.from_dict({"input_shape": [tokens, 3], "layers": layers})


def joined_heads():
    """Two levels of a detector, three anchors each place, joined along the anchors, then with two more features."""
    layers = [
        {"name": "small", "op": "conv", "out_channels": 6, "kernel_size": 3, "padding": 1},
        {"name": "low", "op": "conv", "out_channels": 6, "kernel_size": 3, "stride": 2},
    ]
    for name, (height, width) in (("small", (7, 9)), ("low", (3, 4))):
        shape = [2, 3, height, width]
        layers += [
            {"name": f"{name}.apart", "op": "reshape", "inputs": [name], "shape": shape},
            {"name": f"{name}.turned", "op": "permute", "inputs": [f"{name}.apart"], "order": [2, 3, 1, 0]},
            {"name": f"{name}.line", "op": "reshape", "inputs": [f"{name}.turned"], "shape": [3 * height * width, 2]},
        ]
    layers[1]["inputs"] = ["small"]
    layers += [
        {"name": "all", "op": "concat", "inputs": ["small.line", "low.line"], "axis": 0},
        {"name": "some", "op": "slice", "inputs": ["all"], "axis": 0, "start": 180, "stop": 201, "step": 4},
        {"name": "wider", "op": "concat", "inputs": ["all", "all"], "axis": 1},
        {"name": "flat", "op": "reshape", "inputs": ["wider"], "shape": [4 * 225]},
        {"name": "best", "op": "max", "inputs": ["all"], "axes": [0]},
    ]
    return fastrf.Network.from_dict({"input_shape": [1, 7, 9], "layers": layers})


@pytest.mark.parametrize(
    ("kind", "nodes"),
    [
        (Paired, ("kept", "shown", "weights", "seen")),
        (Crossed, ("all", "small.line", "some", "wider", "flat", "best")),
    ],
)
def test_every_node_is_exact_and_one_is_never_made_whole(rng, monkeypatch, kind, nodes):
    mask = np.tril(rng.random((7, 7)) < 0.5) | np.eye(7, dtype=bool)
    network = masked_scores(7, mask) if kind is Paired else joined_heads()
    analysis = fastrf.analyze(network)
    relations = {group.relation for term in analysis[nodes[0]].dependency.terms for group in term}
    assert any(isinstance(relation, kind) for relation in relations)
    found = {name: (analysis[name].neuron_masks(), analysis[name].areas(), analysis[name].digest()) for name in nodes}
    monkeypatch.setattr(crossing, "_FEW", 1 << 40)
    with stretched_from(1 << 40):
        plain = fastrf.analyze(network)
        for name, (masks, areas, digest) in found.items():
            assert np.array_equal(masks, plain[name].neuron_masks()), name
            assert np.array_equal(areas, plain[name].areas()), name
            assert digest == plain[name].digest(), name
