"""Relations of long axes, kept as their ends and one period, against the same relations kept whole."""

from __future__ import annotations

import contextlib
import itertools
import json
import pickle
from collections import Counter

import numpy as np
import pytest

import fastrf
from fastrf.engine import axis_map, stretched
from fastrf.engine.contents import content
from fastrf.engine.relation import Relation
from fastrf.engine.stretched import Stretched, stretched_from
from tests import reference
from tests.conftest import scaled
from tests.fuzz import axes
from tests.strategies import random_spec


@pytest.fixture
def from_rows():
    """Sets from how many rows on relations are stretched."""
    with contextlib.ExitStack() as stack:
        yield lambda rows: stack.enter_context(stretched_from(rows))


def whole(relation: Relation) -> Relation:
    """The same relation, surely with its arrays."""
    return Relation.from_mask(relation.to_mask())


@pytest.mark.parametrize("seed", range(scaled(60)))
def test_networks_on_long_axes_are_what_they_are_on_whole_ones(seed):
    spec, rows = axes.case(seed)
    assert axes.faults(spec, rows, Counter()) == []


def test_the_fuzzer_meets_stretched_relations_and_tells_faults(monkeypatch, capsys):
    met, wrong = axes.run(0, 7)
    assert wrong == 0
    assert met["networks"] == 1
    turns = itertools.count()
    monkeypatch.setattr(axes, "QUESTIONS", {"never twice the same": lambda _: next(turns)})
    monkeypatch.setattr("sys.argv", ["axes", "--seconds", "0"])
    assert axes.main() == 1
    assert json.loads(capsys.readouterr().out.splitlines()[0])["spec"]["layers"]


@pytest.mark.parametrize("mode", ["constant", "reflect", "symmetric", "replicate", "circular"])
@pytest.mark.parametrize("amount", [1, 15, 16, 200, 40_000])
def test_any_padding_fits_a_long_axis(mode, amount):
    relation = axis_map.pad(48_000, amount, amount, mode).relation
    name = {"replicate": "edge", "circular": "wrap"}.get(mode, mode)
    constant = {"constant_values": -1} if mode == "constant" else {}
    wanted = np.pad(np.arange(48_000), amount, mode=name, **constant)
    read = np.where(relation.counts > 0, relation.hulls[:, 0], -1)
    assert relation.counts.max() == 1
    assert np.array_equal(read, wanted)
    assert mode == "circular" or isinstance(relation, Stretched)


def test_frames_of_three_seconds_behind_reflected_padding():
    layers = [fastrf.layer("pad", padding=[[0, 0], [200, 200]], mode="reflect"), fastrf.conv(1, 400, stride=160)]
    field = fastrf.analyze(layers, (1, 48_000)).output
    assert field.boxes()[[0, 50, 300]].tolist() == [[[0, 201]], [[7800, 8200]], [[47_799, 48_000]]]
    assert field.areas()[[0, 1, 2, 50]].tolist() == [201, 360, 400, 400]


@pytest.mark.parametrize("rng", range(scaled(30)), indirect=True)
def test_every_neuron_of_random_networks_is_exact(rng, from_rows):
    from_rows(2)
    spec = random_spec(rng, layers=6)
    analysis = fastrf.analyze(spec)
    for name, truth in reference.propagate(spec, next(iter(reference.input_shapes(spec)))).items():
        found = analysis[name].to_csr(channels=True).toarray().reshape(truth.shape)
        assert np.array_equal(found, truth), (name, spec)


def test_a_stretched_relation_answers_as_a_whole_one(from_rows):
    from_rows(20)
    window = axis_map.window(200, 100, 5, 2, 3, 1).relation
    assert isinstance(window, Stretched)
    same = whole(window)
    assert repr(window) == repr(same)
    assert [window.row(i) for i in (0, 1, 50, 98, 99)] == [same.row(i) for i in (0, 1, 50, 98, 99)]
    assert np.array_equal(window.counts, same.counts)
    assert np.array_equal(window.hulls, same.hulls)
    assert (window.is_chain, window.is_empty, window.is_full, window.is_identity) == (True, False, False, False)
    assert not window.is_constant
    assert window.is_constant_along(10, 1, 10)
    assert whole(window.transpose) is same.transpose
    assert window.nbytes < same.nbytes
    assert pickle.loads(pickle.dumps(window)) is window
    assert not hasattr(window, "nothing")


def test_equal_relations_are_the_same_object(from_rows):
    from_rows(20)
    one, three = axis_map.window(900, 900, 1, 1, 0, 1).relation, axis_map.window(900, 900, 3, 1, 1, 1).relation
    assert one is stretched.identity(900)
    assert one.is_identity
    assert three.compose(one) is three
    five = three.compose(three)
    assert five is axis_map.window(900, 900, 5, 1, 2, 1).relation
    assert three.union(five) is five
    assert five.contains(three)
    assert not three.contains(five)
    down = axis_map.window(900, 450, 2, 2, 0, 1).relation
    up = axis_map.nearest(450, 900).relation
    assert up.compose(down).contains(one)


def test_full_rows(from_rows):
    from_rows(20)
    full = stretched.full(500, 30)
    assert full.is_full
    assert full.is_constant
    assert full.occupied is stretched.full(500, 1)
    assert full.contains(stretched.full(500, 30))
    assert full.compose(Relation.full(30, 7)) is stretched.full(500, 7)
    assert Relation.full(1, 500).compose(full) is Relation.full(1, 30)
    assert Relation.from_runs(500, [3], [9]).compose(stretched.identity(500)).row(0) == [(3, 9)]


def test_what_does_not_move_alike_is_kept_whole(from_rows):
    from_rows(20)
    half, same = axis_map.strided_slice(400, 0, 2, 200).relation, axis_map.strided_slice(400, 0, 1, 200).relation
    both = half.union(same)
    assert not isinstance(both, Stretched)
    assert np.array_equal(both.to_mask(), whole(half).to_mask() | whole(same).to_mask())
    assert not both.contains(stretched.full(200, 400))
    back = axis_map.flip(400).relation
    assert not isinstance(back, Stretched)
    assert back.compose(back) is whole(Relation.identity(400))


def test_ten_million_samples_cost_what_their_ends_cost():
    network = fastrf.load("wavenet", (1, 10_000_000))
    field = fastrf.analyze(network, targets=[network.outputs[0]]).output
    assert max(group.relation.nbytes for term in field.relations for group in term) < 1 << 20
    assert field.box((9_999_999,)).tolist() == [[9_996_930, 10_000_000]]
    assert field.mask((5,)).sum() == 6


def test_periods_are_made_as_short_as_they_can_be(from_rows):
    from_rows(20)
    assert stretched.stretched(Relation.identity(8), 4, 2, 2, 50) is stretched.identity(108)
    assert stretched.stretched(Relation.identity(8), 4, 2, 2, 0) is Relation.identity(8)


def test_ends_that_leave_no_room_for_a_period_are_kept_whole(from_rows):
    from_rows(4)
    pairs = [(2, 1), (3, 2)]
    assert not isinstance(stretched.stretched(Relation.from_runs(9, *zip(*pairs, strict=True)), 2, 1, 3, 1), Stretched)
    left, right = axis_map.place(12, 40, 0).relation, axis_map.place(12, 40, 28).relation
    wide, narrow = axis_map.window(40, 40, 31, 1, 15, 1).relation, axis_map.window(40, 40, 3, 1, 1, 1).relation
    for a, b in ((left, right), (wide, narrow)):
        assert np.array_equal(a.union(b).to_mask(), whole(a).to_mask() | whole(b).to_mask())
        assert np.array_equal(narrow.compose(wide).to_mask(), whole(narrow).compose(whole(wide)).to_mask())
    late, early = axis_map.window(60, 60, 1, 1, 25, 1).relation, axis_map.window(60, 60, 1, 1, -25, 1).relation
    assert np.array_equal(late.union(early).to_mask(), whole(late).to_mask() | whole(early).to_mask())
    assert np.array_equal(late.compose(early).to_mask(), whole(late).compose(whole(early)).to_mask())


def test_a_saved_field_of_a_long_axis_is_equal_to_what_was_saved(tmp_path):
    layers = [fastrf.conv(1, 3, padding=1), fastrf.max_pool(2, 2), {"op": "resize", "scale": 2}, fastrf.conv(1, 5)]
    field = fastrf.analyze(layers, (1, 140_000)).output
    field.save(tmp_path / "field.npz")
    loaded = fastrf.load_field(tmp_path / "field.npz").dependency
    assert any(isinstance(group.relation, Stretched) for term in field.dependency.terms for group in term)
    assert loaded == field.dependency
    assert hash(loaded) == hash(field.dependency)


@pytest.mark.parametrize("wrong", range(0, 70_000, 9_999))
def test_long_relations_are_equal_only_where_every_row_is(wrong):
    periods = stretched.identity(70_000)
    start, stop = (array.copy() for array in (periods.start, periods.stop))
    arrays = (periods.indptr.copy(), start.copy(), stop.copy())
    assert content(periods) == content(Relation.from_arrays(70_000, *arrays))
    start[wrong], stop[wrong] = (wrong + 3) % 70_000, (wrong + 3) % 70_000 + 1
    other = Relation.from_arrays(70_000, periods.indptr.copy(), start, stop)
    assert content(periods) != content(other)


def test_periods_cut_out_elsewhere_are_the_same_relation():
    two_regions = np.r_[np.arange(40_000), np.arange(40_000) // 2 * 2 + 40_000]
    whole_one = Relation.from_runs(80_000, two_regions, two_regions + 1)
    forms = [
        stretched.stretched(core, cut, 2, 2, 15_000)
        for core, cut in (
            (stretched._without(stretched._bare(whole_one, cut, 2, 2, 0), 15_000), cut) for cut in (1_002, 45_002)
        )
    ]
    assert forms[0] is not forms[1]
    assert len({content(one) for one in (*forms, whole_one)}) == 1


def random_map(rng):
    """A map of a long axis: windows with gaps, steps, empty rows between and at the ends."""
    kernel, stride, dilation = (int(n) for n in rng.integers(1, 5, 3))
    before, n = int(rng.integers(-9, 9)), int(rng.integers(150, 250))
    kind = rng.integers(3)
    if kind == 0:
        return axis_map.window(n * stride, n - int(rng.integers(9)), kernel, stride, before, dilation)
    if kind == 1:
        return axis_map.transposed_window(n, n * stride, kernel, stride, before, dilation)
    return axis_map.nearest(n * stride, n * kernel)


@pytest.mark.parametrize("rng", range(scaled(40)), indirect=True)
def test_every_answer_is_that_of_the_whole_relation(rng, from_rows):
    plain = random_map(rng)
    one = whole(plain.relation)
    from_rows(20)
    relation = plain.relation
    assert isinstance(relation, Stretched)
    rows = np.r_[rng.integers(0, one.n_rows, 50), np.arange(9), one.n_rows - 1 - np.arange(9)]
    assert (relation.n_rows, relation.n_cols, relation.n_runs, relation.n_points) == (
        *(one.n_rows, one.n_cols, one.n_runs, one.n_points),
    )
    assert np.array_equal(relation.hulls, one.hulls)
    assert not relation.hulls[relation.counts == 0].any()
    assert np.array_equal(relation.counts, one.counts)
    assert [relation.row(i) for i in (*rows, -1, -7)] == [one.row(i) for i in (*rows, one.n_rows - 1, one.n_rows - 7)]
    assert relation.take(rows) is one.take(rows)
    assert whole(relation.transpose) is one.transpose
    assert relation.transpose.transpose is relation
    assert whole(relation.occupied) is one.occupied
    for name in ("is_chain", "is_empty", "is_identity", "is_full", "is_constant"):
        assert getattr(relation, name) == getattr(one, name), name
    for part, array in zip(relation.runs, one.runs, strict=True):
        assert np.array_equal(part, array)
        assert not part.flags.writeable
    assert whole(relation) is one


@pytest.mark.parametrize("rng", range(scaled(40)), indirect=True)
def test_unions_and_compositions_are_those_of_whole_relations(rng, from_rows):
    outer = axis_map.window(200, 190, *(int(n) for n in (rng.integers(1, 5), 1, rng.integers(-9, 9), 1)))
    others = [
        axis_map.window(200, 190, *(int(n) for n in (rng.integers(1, 5), 1, rng.integers(-20, 20), rng.integers(1, 4))))
        for _ in range(2)
    ]
    inner = axis_map.window(210, 200, 3, 1, int(rng.integers(-9, 9)), int(rng.integers(1, 6)))
    plain = [whole(m.relation) for m in (outer, *others, inner)]
    from_rows(12)
    long = [m.relation for m in (outer, *others, inner)]
    assert whole(long[0].union(long[1])) is plain[0].union(plain[1])
    assert whole(long[1].compose(long[3])) is plain[1].compose(plain[3])
    for a, b in itertools.permutations(range(3), 2):
        assert long[a].contains(long[b]) == plain[a].contains(plain[b])
        assert long[a].union(long[b]).contains(long[b])
        assert (content(long[a]) == content(long[b])) == (plain[a] is plain[b])


@pytest.mark.parametrize("rows", [[[3], [7]], [[3, 7], []], [[], [3, 7]], [[3], [3, 7], []], [[5, 6], []]])
def test_rows_of_another_are_picked_only_where_each_reads_one(rows, from_rows):
    inner = axis_map.window(200, 200, 3, 1, 1, 1)
    points = [(i, column) for i, row in enumerate(rows) for column in row]
    outer = Relation.from_points(len(rows), 200, *zip(*points, strict=True))
    expected = outer.compose(whole(inner.relation))
    from_rows(20)
    assert isinstance(inner.relation, Stretched)
    assert outer.compose(inner.relation) is expected


def test_rows_that_read_nothing_have_no_hull(from_rows):
    from_rows(20)
    spread = axis_map.transposed_window(100, 300, 1, 3, 0, 1).relation
    assert isinstance(spread, Stretched)
    assert spread.hulls[:4].tolist() == [[0, 1], [0, 0], [0, 0], [1, 2]]
    assert spread.hulls[-3:].tolist() == [[99, 100], [0, 0], [0, 0]]
    assert spread.counts.sum() == spread.n_points == spread.n_runs == 100
    assert [spread.row(i) for i in (150, 151, 152, -3)] == [[(50, 51)], [], [], [(99, 100)]]
    assert not spread.occupied.is_constant


def test_relations_of_so_many_rows_are_kept_whole(from_rows):
    from_rows(20)
    assert stretched.stretched(Relation.identity(8), 4, 1, 1, 12) is Relation.identity(20)
    assert stretched.identity(20) is Relation.identity(20)
    assert isinstance(stretched.stretched(Relation.identity(8), 4, 1, 1, 13), Stretched)
    assert isinstance(stretched.identity(21), Stretched)
    assert isinstance(stretched.full(21, 3), Stretched)


def test_periods_are_taken_out_only_while_columns_stay_inside(from_rows):
    """The last row reads far before its own place: its columns move back with every period that is taken out."""
    from_rows(20)
    start = np.r_[np.arange(99), 5]
    one = stretched.stretched(Relation.from_runs(100, start, start + 1), 50, 1, 1, 1000)
    assert isinstance(one, Stretched)
    assert one.core.start.min() >= 0
    assert [one.row(i) for i in (0, 700, 1098, 1099)] == [[(0, 1)], [(700, 701)], [(1098, 1099)], [(1005, 1006)]]
