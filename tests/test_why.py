"""Why a field is as it is, against brute force: every edge of a path, every lost pixel, every layer that is blamed."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pytest

import fastrf
from fastrf.queries.why.answers import Why
from tests import reference
from tests.conftest import scaled
from tests.strategies import random_spec

on_random_networks = pytest.mark.parametrize("rng", range(5000, 5000 + scaled(40)), indirect=True)


@dataclass
class Truth:
    """A random network, one of its layers, and by brute force what its elements read."""

    spec: dict
    wrt: str
    name: str

    @cached_property
    def analysis(self) -> fastrf.Analysis:
        return fastrf.analyze(self.spec, wrt=self.wrt)

    @cached_property
    def field(self) -> fastrf.ReceptiveField:
        return self.analysis[self.name]

    @cached_property
    def deps(self) -> dict[str, np.ndarray]:
        """By layer, bool[*shape, *pixels]: which pixels, in any channel, each element reads."""
        axis = self.analysis.network.channel_axis_of(self.wrt)
        found = reference.propagate(self.spec, self.wrt)
        shapes = reference.shapes(self.spec)
        return {name: dep if axis is None else dep.any(axis=len(shapes[name]) + axis) for name, dep in found.items()}

    @cached_property
    def seen(self) -> np.ndarray:
        """bool[*positions, *pixels]."""
        axis, found = self.field.channel_axis, self.deps[self.name]
        return found if axis is None else found.any(axis=axis)

    @cached_property
    def reads(self) -> dict[str, list[str]]:
        """By layer on the way from the origin to the one asked about, what of the way it reads."""
        given, past = {layer["name"]: names for layer, names in reference.sources(self.spec)}, {self.wrt}
        for name, names in given.items():
            if name != self.wrt and past.intersection(names):
                past.add(name)
        way, pending = set(), [self.name]
        while pending:
            name = pending.pop()
            if name in past and name not in way:
                way.add(name)
                pending += [] if name == self.wrt else given.get(name, [])
        return {n: [r for r in dict.fromkeys(given[n]) if r in way] for n in given if n in way and n != self.wrt}

    def branches(self, name: str) -> list[str]:
        """Those of them that read any pixel."""
        return [read for read in self.reads[name] if self.deps[read].any()]

    def edge(self, name: str, read: str) -> np.ndarray:
        """bool[*shape, elements of read]: what a layer reads directly."""
        layer, names = next(pair for pair in reference.sources(self.spec) if pair[0]["name"] == name)
        shapes = reference.shapes(self.spec)
        n = math.prod(shapes[read])
        identity = np.eye(n, dtype=bool).reshape(*shapes[read], n)
        deps = [identity if other == read else np.zeros((*shapes[other], n), bool) for other in names]
        return reference.OPERATORS[layer["op"]](reference.attributes(layer), *deps)

    def all_at(self, name: str, position: tuple[int, ...]) -> tuple:
        """The elements at a position, in any channel."""
        axis, rest = self.analysis.network.channel_axis_of(name), iter(position)
        ndim = len(self.analysis.network.shape_of(name))
        return tuple(slice(None) if k == axis else next(rest) for k in range(ndim))


@pytest.fixture
def truth(rng: np.random.Generator) -> Truth:
    """Asked about one of the last layers, against an input or one of the first layers."""
    while True:
        spec = random_spec(rng, layers=int(rng.integers(3, 10)))
        names = [layer["name"] for layer in spec["layers"]]
        origins = [*reference.input_shapes(spec), *names[:2]]
        found = Truth(spec, str(rng.choice(origins)), str(rng.choice(names[-2:])))
        if found.name != found.wrt and 0 not in (*found.field.position_shape, *found.field.pixel_shape):
            return found


def pairs(truth: Truth, rng: np.random.Generator, n: int = 12):
    """Positions with pixels, seen ones and others."""
    for k in range(n):
        places = np.argwhere(truth.seen if k % 2 else ~truth.seen)
        if len(places):
            place = tuple(rng.choice(places).tolist())
            yield (
                place[: truth.field.shape.__len__() and len(truth.field.position_shape)],
                place[len(truth.field.position_shape) :],
            )


@on_random_networks
def test_every_layer_of_a_path_reads_the_pixel_and_is_read_by_the_next(truth: Truth, rng: np.random.Generator) -> None:
    for position, pixel in pairs(truth, rng):
        found = truth.field.why(position, pixel)
        assert (found.kind == "path") == truth.seen[(*position, *pixel)] == (found.path is not None)
        if found.path is not None:
            check_path(truth, found, position, pixel)


def check_path(truth: Truth, found: Why, position: tuple, pixel: tuple) -> None:
    first, *others = found.reasons
    assert (first.nodes, first.position) == ((truth.wrt,), pixel)
    assert (found.reasons[-1].nodes, found.reasons[-1].position) == ((truth.name,), position)
    shapes = reference.shapes(truth.spec)
    for before, reason in zip(found.reasons, others, strict=False):
        (read,), (name,) = before.nodes, reason.nodes
        direct = truth.edge(name, read)[reason.neuron].reshape(shapes[read])
        assert direct[before.neuron], (name, read)
        assert truth.deps[name][(*reason.neuron, *pixel)]
        at = truth.all_at(name, reason.position)
        bringing = []
        for other in truth.reads[name]:
            rows = truth.edge(name, other)[at].reshape(-1, math.prod(shapes[other])).any(axis=0).reshape(shapes[other])
            if (rows & truth.deps[other][(..., *pixel)]).any():
                bringing.append(other)
        assert list(reason.reads) == bringing
        assert read in bringing
        assert bool(reason.cause) == (len(bringing) == 1 < len(truth.branches(name)))


@on_random_networks
def test_pixels_that_are_not_read(truth: Truth, rng: np.random.Generator) -> None:
    for position, pixel in pairs(truth, rng, 24):
        mask = truth.seen[position]
        if mask[pixel]:
            continue
        found = truth.field.why(position, pixel)
        assert found.path is None
        assert len(found.sentences) == 1
        hull = [np.flatnonzero(mask.any(axis=tuple(b for b in range(mask.ndim) if b != a))) for a in range(mask.ndim)]
        inside = mask.any() and all(line[0] <= p <= line[-1] for p, line in zip(pixel, hull, strict=True))
        if not truth.seen[(..., *pixel)].any():
            assert found.kind == "blind"
            assert lost(found) == blind_by_hand(truth, pixel)
        elif inside:
            assert found.kind == "hole"
            assert lost(found) == holes_by_hand(truth, position, pixel)
        else:
            assert (found.kind, found.reasons) == ("outside", ())


def lost(found: Why) -> dict[str, list[str]]:
    return {reason.nodes[0]: list(reason.reads) for reason in found.reasons}


def blind_by_hand(truth: Truth, pixel: tuple) -> dict[str, list[str]]:
    """Layers of which no element reads the pixel, with what they read of which some does."""
    has = {name: truth.deps[name][(..., *pixel)].any() for name in (truth.wrt, *truth.reads)}
    found = {name: [read for read in reads if has[read]] for name, reads in truth.reads.items() if not has[name]}
    return {name: reads for name, reads in found.items() if reads}


def holes_by_hand(truth: Truth, position: tuple, pixel: tuple) -> dict[str, list[str]]:
    """The first layers of which an element that the position reads has the pixel inside its box and not in its mask."""
    shapes = reference.shapes(truth.spec)
    rows = {name: np.zeros(shapes[name], bool) for name in (truth.wrt, *truth.reads)}
    rows[truth.name][truth.all_at(truth.name, position)] = True
    holes = set()
    for name, reads in reversed(truth.reads.items()):
        for neuron in np.argwhere(rows[name]):
            mask = truth.deps[name][tuple(neuron)]
            corners = np.argwhere(mask)
            if len(corners) and (corners.min(0) <= pixel).all() and (corners.max(0) >= pixel).all() and not mask[pixel]:
                holes.add(name)
            for read in reads:
                rows[read] |= truth.edge(name, read)[tuple(neuron)].reshape(shapes[read])
    first = [name for name, reads in truth.reads.items() if name in holes and holes.isdisjoint(reads)]
    return {name: truth.branches(name) for name in first}


@on_random_networks
def test_pixels_without_a_position(truth: Truth, rng: np.random.Generator) -> None:
    for _, pixel in pairs(truth, rng):
        found, count = truth.field.why(pixel=pixel), truth.seen[(..., *pixel)].sum()
        assert (found.kind == "path") == bool(count)
        if count:
            assert truth.seen[(*found.position, *pixel)]
            if math.prod(truth.field.position_shape) > 1:
                assert found.sentences[0].startswith(
                    f"{count:,} of {math.prod(truth.field.position_shape):,} positions"
                )
        else:
            assert lost(found) == blind_by_hand(truth, pixel)


@on_random_networks
def test_what_makes_a_field_large(truth: Truth) -> None:
    field, found = truth.field, truth.field.why()
    sizes = [high for _, high in field.size_range]
    if not truth.seen.any():
        assert found.kind == "nothing"
    elif math.inf in sizes:
        assert found.kind == "unbounded"
        assert {axis for reason in found.reasons for axis in reason.axes} >= {
            k for k, n in enumerate(sizes) if n == math.inf
        }
        left_out = [name for reason in found.reasons for name in reason.nodes]
        assert math.inf not in fastrf.analyze(truth.spec, wrt=truth.wrt, ignore=left_out)[truth.name].size
        assert not found.reasons[0].behind
    elif any(map(math.isnan, sizes)):
        assert found.kind == "irregular"
        assert all(math.isnan(sum(truth.analysis[reason.nodes[0]].size)) for reason in found.reasons)
    else:
        assert found.kind == "widest"
        for axis, size in enumerate(sizes):
            assert sum(reason.adds[axis] for reason in found.reasons) == size - 1
    check_notes(truth, found)


def check_notes(truth: Truth, found: Why) -> None:
    """Blind spots and holes are told where there are some."""
    unseen = ~truth.seen.any(axis=tuple(range(len(truth.field.position_shape))))
    told = [note for note in found.notes if note.startswith("blind spots")]
    assert bool(told) == bool(unseen.any() and not unseen.all())
    if told:
        assert f"{unseen.sum():,} of {unseen.size:,} pixels" in told[0]
    json.loads(found.to_json())
    assert str(found).startswith(found.sentences[0])


def test_an_axis_that_is_pooled_hides_nothing_on_the_other() -> None:
    layers = [
        {"name": "rows", "op": "mean", "axes": [1], "keepdims": True},
        {"name": "wide", "op": "conv", "out_channels": 2, "kernel_size": [1, 3], "padding": [0, 1]},
        {"name": "norm", "op": "instance_norm"},
    ]
    found = fastrf.analyze({"input_shape": [2, 8, 9], "layers": layers}).output.why()
    assert [(r.name, r.axes, r.behind, r.ignore) for r in found.reasons] == [
        ("rows", (0,), False, "rows"),
        ("norm", (1,), True, "statistics"),
    ]
