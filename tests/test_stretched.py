"""Relations of long axes, kept as their ends and one period, against the same relations kept whole."""

from __future__ import annotations

import pickle

import numpy as np
import pytest

import fastrf
from fastrf import axis_map, memory, stretched
from fastrf.relation import Relation
from fastrf.stretched import Stretched
from tests import reference
from tests.conftest import scaled
from tests.strategies import random_spec


def forget() -> None:
    """Nothing made with another MIN_ROWS is found again."""
    memory.forget()
    for value in vars(axis_map).values():
        if hasattr(value, "cache_clear"):
            value.cache_clear()


@pytest.fixture
def from_rows(monkeypatch):
    """Sets from how many rows on relations are stretched."""

    def choose(rows: int) -> None:
        monkeypatch.setattr(stretched, "MIN_ROWS", rows)
        forget()

    yield choose
    monkeypatch.undo()
    forget()


def whole(relation: Relation) -> Relation:
    """The same relation, surely with its arrays."""
    return Relation.from_mask(relation.to_mask())


class Signal:
    """A random network on a signal, built a block at a time."""

    def __init__(self, rng: np.random.Generator) -> None:
        self.rng, self.layers, self.last = rng, [], "input"
        self.length = int(rng.integers(60, 700))
        for block in rng.choice(list(BLOCKS), rng.integers(1, 7)):
            self.last = BLOCKS[block](self, self.last)
        self.spec = {"input_shape": [1, self.length], "layers": self.layers}

    def pick(self, *options: object) -> object:
        return options[self.rng.integers(len(options))]

    def add(self, op: str, *inputs: str, **attrs: object) -> str:
        name = f"{op}{len(self.layers)}"
        self.layers.append({"name": name, "op": op, "inputs": list(inputs), **attrs})
        return name

    def conv(self, x: str, kernel: object, padding: list[int], stride: object = 1, dilation: object = 1) -> str:
        window = {"kernel_size": kernel, "padding": [padding], "stride": stride, "dilation": dilation}
        return self.add("conv", x, out_channels=1, **window)


def _residual(net: Signal, x: str) -> str:
    kernel, dilation = net.pick(2, 3, 5), net.pick(1, 2, 9)
    total = dilation * (kernel - 1)
    left = net.pick(0, total, total // 2)
    return net.add("add", x, net.conv(x, kernel, [left, total - left], 1, dilation))


def _branches(net: Signal, x: str) -> str:
    kernel, stride, dilation = net.pick(1, 2, 3), net.pick(1, 2, 3), net.pick(1, 3)
    near = net.conv(x, kernel, [0, kernel - 1], stride)
    return net.add("add", near, net.conv(x, kernel, [0, dilation * (kernel - 1)], stride, dilation))


def _up_and_down(net: Signal, x: str) -> str:
    skip = net.conv(x, 3, [1, 1])
    low = net.conv(net.add("max_pool", skip, kernel_size=2, stride=2), 3, [1, 1])
    return net.add("concat", net.add("resize", low, scale=2, mode="nearest"), skip, axis=1)


BLOCKS = {
    "conv": lambda net, x: net.conv(x, net.pick(1, 2, 5), [net.pick(0, 7), 3], net.pick(1, 2, 3), net.pick(1, 2, 11)),
    "residual": _residual,
    "branches": _branches,
    "up and down": _up_and_down,
    "resize": lambda net, x: net.add("resize", x, scale=net.pick(2, 3, 1.5, 0.5), mode=net.pick("nearest", "linear")),
    "transposed": lambda net, x: net.add(
        "conv_transpose", x, out_channels=1, kernel_size=net.pick(1, 2, 4), stride=net.pick(1, 2, 3)
    ),
    "pad": lambda net, x: net.add(
        "pad", x, padding=[[0, 0], [net.pick(0, 5), 8]], mode=net.pick("constant", "reflect", "replicate", "circular")
    ),
    "slice": lambda net, x: net.add("slice", x, axis=1, start=net.pick(0, 5), step=net.pick(1, 2)),
    "flip": lambda net, x: net.add("flip", x, axes=[1]),
    "gate": lambda net, x: net.add("mul", x, net.add("mean", x, axes=[1], keepdims=True)),
}


@pytest.mark.parametrize("rng", range(scaled(120)), indirect=True)
def test_networks_on_long_signals_are_what_they_are_on_whole_axes(rng, from_rows):
    net = Signal(rng)
    from_rows(1 << 40)
    plain = fastrf.analyze(net.spec)
    expected = {name: (plain[name].masks(), plain[name].areas(), plain[name].intervals(0)) for name in plain}
    from_rows(int(rng.choice([8, 16, 64])))
    long = fastrf.analyze(net.spec)
    for name, (masks, areas, intervals) in expected.items():
        field = long[name]
        assert np.array_equal(field.masks(), masks), (name, net.spec)
        assert np.array_equal(field.areas(), areas)
        assert np.array_equal(field.intervals(0), intervals)
        row = int(rng.integers(len(masks)))
        assert np.array_equal(field.mask((row,)), masks[row])


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
    assert one is Relation.identity(900)
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
    full = Relation.full(500, 30)
    assert full.is_full
    assert full.is_constant
    assert full.occupied is Relation.full(500, 1)
    assert full.contains(Relation.full(500, 30))
    assert full.compose(Relation.full(30, 7)) is Relation.full(500, 7)
    assert Relation.full(1, 500).compose(full) is Relation.full(1, 30)
    assert Relation.from_runs(500, [3], [9]).compose(Relation.identity(500)).row(0) == [(3, 9)]


def test_what_does_not_move_alike_is_kept_whole(from_rows):
    from_rows(20)
    half, same = axis_map.strided_slice(400, 0, 2, 200).relation, axis_map.strided_slice(400, 0, 1, 200).relation
    both = half.union(same)
    assert not isinstance(both, Stretched)
    assert np.array_equal(both.to_mask(), whole(half).to_mask() | whole(same).to_mask())
    assert not both.contains(Relation.full(200, 400))
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
    assert stretched.stretched(Relation.identity(8), 4, 2, 2, 50) is Relation.identity(108)
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
