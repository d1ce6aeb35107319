"""The page's engine against Python: masks, seers, boxes, areas, coverage, centres, look-back, bit for bit."""

import itertools
import re
from pathlib import Path

import numpy as np
import pytest

import fastrf
from fastrf.engine.deferred import Deferred
from fastrf.engine.stretched import stretched_from
from fastrf.engine.terms import make_term
from fastrf.explorer.encoding import encoded
from fastrf.explorer.relations import varints
from tests.conftest import scaled
from tests.explorer_asks import answers, require_same, some
from tests.strategies import random_spec
from tests.test_deferred import KINDS, draws

SHUFFLED = {
    "input_shape": [6, 24, 20],
    "layers": [
        {"name": "conv", "op": "conv", "out_channels": 12, "kernel_size": 3, "stride": 2, "padding": 1, "groups": 3},
        {"name": "shuffle", "op": "channel_shuffle", "groups": 3},
        {"name": "deep", "op": "conv", "out_channels": 12, "kernel_size": 3, "padding": 2, "dilation": 2, "groups": 12},
        {"name": "add", "op": "add", "inputs": ["deep", "shuffle"]},
        {"name": "last", "op": "conv", "out_channels": 6, "kernel_size": [1, 5], "groups": 3},
    ],
}
CROSSES = {
    "input_shape": [2, 30, 34],
    "layers": [
        {
            "name": "wide",
            "op": "conv",
            "inputs": ["input"],
            "out_channels": 2,
            "kernel_size": [1, 7],
            "padding": [0, 3],
        },
        {
            "name": "tall",
            "op": "conv",
            "inputs": ["input"],
            "out_channels": 2,
            "kernel_size": [9, 1],
            "padding": [4, 0],
        },
        {"name": "cross", "op": "add", "inputs": ["wide", "tall"]},
        {"name": "pool", "op": "max_pool", "kernel_size": 3, "stride": 3},
    ],
}
HEADS = {
    "input_shape": [2, 48, 40],
    "layers": [
        {"name": "fine", "op": "conv", "out_channels": 4, "kernel_size": 3, "stride": 2, "padding": 1},
        {"name": "coarse", "op": "conv", "out_channels": 4, "kernel_size": 3, "stride": 2, "padding": 1},
        {"name": "flat", "op": "flatten", "inputs": ["fine"], "start_axis": 1},
        {"name": "row", "op": "flatten", "inputs": ["coarse"], "start_axis": 1},
        {"name": "joined", "op": "concat", "inputs": ["flat", "row"], "axis": 1},
    ],
}


@pytest.mark.parametrize(
    ("source", "shape", "nodes"),
    [
        ("alexnet", None, 1),
        ("resnet50", (3, 96, 128), 2),
        ("densenet121", (3, 64, 96), 2),
        ("inception_v3", (3, 107, 107), 2),
        ("unet", (1, 48, 32), 3),
        ("unet3d", (1, 8, 16, 8), 2),
        ("tcn", (3, 300), 3),
        (SHUFFLED, None, 3),
        (CROSSES, None, 3),
        (HEADS, None, 2),
    ],
    ids=lambda value: value if isinstance(value, str) else None,
)
def test_the_page_sees_what_python_sees(source, shape, nodes, rng):
    analysis = fastrf.analyze(source, shape)
    require_same(analysis, some(analysis, rng, nodes), rng, count=50)


@pytest.mark.parametrize("seed", range(scaled(8)))
def test_random_networks(seed, rng):
    analysis = fastrf.analyze(random_spec(rng))
    require_same(analysis, some(analysis, rng, 6), rng)


@pytest.mark.parametrize("seed", range(scaled(8)))
def test_random_networks_whose_relations_are_kept_short(seed, rng):
    with stretched_from(int(rng.integers(2, 9))):
        analysis = fastrf.analyze(random_spec(rng))
        require_same(analysis, some(analysis, rng, 6), rng)


@pytest.mark.parametrize("kind", KINDS)
def test_relations_of_every_form(kind, rng):
    with stretched_from(2):
        looked = 0
        for relation, (n, m), _ in draws(rng, kind, count=24):
            if n > 1 and m > 1 and looked < 6:
                require_same(of_relation(relation, n, m), ["last"], rng)
                looked += 1
        assert looked


def of_relation(relation, n, m):
    """An analysis whose last node depends on the input as a relation says."""
    c = relation.n_cols
    layers = [
        {"name": "flat", "op": "linear", "out_features": n * m},
        {"name": "last", "op": "reshape", "shape": [n, m]},
    ]
    network = fastrf.load({"input_shape": [c], "channel_axis": None, "layers": layers})
    dependency = fastrf.Dependency((c,), [(n,), (m,)], [make_term([fastrf.Group((0, 1), (0,), relation)])])
    return fastrf.Analysis(network, "input", {"last": dependency})


def test_no_form_of_relations_is_written_out_for_want_of_another():
    written = {kind.__name__ for kind in Deferred.__subclasses__()}
    engine = (Path(fastrf.__file__).parent / "explorer/page/engine/relations.js").read_text()
    assert written == {name for name in re.findall(r"^export class (\w+)", engine, re.MULTILINE) if name != "Whole"}


@pytest.mark.slow
def test_swin(rng):
    torchvision = pytest.importorskip("torchvision")
    analysis = fastrf.analyze(torchvision.models.swin_t(weights=None).eval(), (3, 64, 96))
    require_same(analysis, some(analysis, rng, 4), rng, count=50)


def test_an_axis_of_ten_million_samples(rng):
    layers = [fastrf.conv(4, 3, padding=2**k, dilation=2**k) for k in range(4)]
    analysis = fastrf.analyze([*layers, fastrf.max_pool(4, 4)], (1, 10_000_000), targets=["max_pool5"])
    document = encoded([analysis])
    assert len(document) < 8000
    field, at = analysis["max_pool5"], [0, 1, 1_234_567, 2_499_998, 2_499_999]
    found = answers(document, [(0, 5, "drawn", [[o], [0], [1000], {}]) for o in at])
    for o, (box, cells) in zip(at, found, strict=True):
        assert box == field.box(o).tolist()
        assert sum(cells) == 1
    relation = field.positional.terms[0][0].relation
    for pixel, runs in zip(
        pixels := [0, 77, 5_000_003, 9_999_999],
        answers(document, [(0, 5, "seersOf", [p]) for p in pixels]),
        strict=True,
    ):
        near = range(max(pixel // 4 - 20, 0), min(pixel // 4 + 20, 2_500_000))
        seers = [o for o in near if any(low <= pixel < high for low, high in relation.row(o))]
        assert [o for low, high in zip(runs[::2], runs[1::2], strict=True) for o in range(low, high)] == seers


def test_samples_of_a_map_do_not_fall_into_step_with_strides():
    layers = [fastrf.conv(2, 3, stride=2, padding=1), fastrf.conv(2, 3, dilation=3), fastrf.conv(2, 2, stride=4)]
    analysis = fastrf.analyze(layers, (1, 1 << 21), targets=["conv3"])
    (found,) = answers(encoded([analysis]), [(0, 3, "samples", [])])
    places, values, truth = np.array(found["places"]), np.array(found["values"]), analysis["conv3"].coverage()
    assert found["step"] == [2]
    assert np.array_equal(places // 2, np.arange(0, 1 << 20, 17))
    assert np.array_equal(values, truth[places])
    assert set(values) == set(truth[50:-50])
    assert abs(values.mean() - truth.mean()) < 0.01 * truth.mean()


def test_rasters_say_which_cells_hold_anything(rng):
    analysis = fastrf.analyze(CROSSES)
    field = analysis["pool"]
    asks, wanted = [], []
    for _ in range(20):
        place = [int(rng.integers(n)) for n in field.position_shape]
        window = [sorted(int(i) for i in rng.choice(n + 1, 2, replace=False)) for n in field.pixel_shape]
        size = [int(n) for n in rng.integers(1, 50, 2)]
        asks.append((0, 4, "raster", [place, [0, 1], size, {}, window]))
        wanted.append(cells(field.mask(place), window, size))
    assert answers(encoded([analysis]), asks) == wanted


def cells(mask, window, size):
    """Cell `k` of `n` over `m` elements holds those from `k * m // n` on, one at least."""
    part = mask[tuple(slice(low, high) for low, high in window)]
    for axis, n in enumerate(size):
        m = part.shape[axis]
        first = np.arange(n + 1) * m // n
        picked = [part.take(range(a, max(b, a + 1)), axis).any(axis) for a, b in itertools.pairwise(first)]
        part = np.stack(picked, axis)
    return part.ravel().astype(int).tolist()


def test_numbers_of_any_length():
    values = np.array([0, 1, 127, 128, 300, 2**28, 2**35 + 5, 2**52], np.int64)
    text = varints(values)
    found, at = [], 0
    while at < len(text):
        value, shift = 0, 0
        while True:
            byte = text[at]
            value, shift, at = value | (byte & 127) << shift, shift + 7, at + 1
            if byte < 128:
                break
        found.append(value)
    assert found == values.tolist()
    assert varints(np.zeros(0, np.int64)) == b""


def test_relations_stand_in_the_document_once():
    one, both = fastrf.analyze("alexnet"), fastrf.analyze("alexnet")
    assert len(encoded([one, both])) < 1.3 * len(encoded([one]))
