"""Search spaces: notations, published counts, hashes and costs, and the column programs against single networks."""

from __future__ import annotations

import json
import math
import pickle
import random
import re
from pathlib import Path

import numpy as np
import pytest

import fastrf
from fastrf import spaces
from fastrf.errors import FormatError, LimitError, NetworkError, PositionError, ShapeError
from fastrf.spaces import DARTS, DARTS_V1, DARTS_V2, Candidates, Custom, NASBench101, NASBench201, OFAMobileNetV3
from fastrf.sweeps.columns import Columns

SPACES = {
    "nasbench201": NASBench201(),
    "nasbench101": NASBench101(),
    "darts": DARTS(),
    "darts-imagenet": DARTS("imagenet"),
    "ofa": OFAMobileNetV3(),
    "ofa without gates": OFAMobileNetV3(False),
}
INCEPTION = {
    "matrix": [
        [0, 1, 1, 1, 0, 1, 0],
        [0, 0, 0, 0, 0, 0, 1],
        [0, 0, 0, 0, 0, 0, 1],
        [0, 0, 0, 0, 1, 0, 0],
        [0, 0, 0, 0, 0, 0, 1],
        [0, 0, 0, 0, 0, 0, 1],
        [0, 0, 0, 0, 0, 0, 0],
    ],
    "ops": [
        "input",
        "conv1x1-bn-relu",
        "conv3x3-bn-relu",
        "conv3x3-bn-relu",
        "conv3x3-bn-relu",
        "maxpool3x3",
        "output",
    ],
}
ALL_CONV = "|nor_conv_3x3~0|+|nor_conv_3x3~0|nor_conv_3x3~1|+|nor_conv_3x3~0|nor_conv_3x3~1|nor_conv_3x3~2|"
V2_TEXT = (
    "Genotype(normal=[('sep_conv_3x3', 0), ('sep_conv_3x3', 1), ('sep_conv_3x3', 0), ('sep_conv_3x3', 1), "
    "('sep_conv_3x3', 1), ('skip_connect', 0), ('skip_connect', 0), ('dil_conv_3x3', 2)], "
    "normal_concat=[2, 3, 4, 5], reduce=[('max_pool_3x3', 0), ('max_pool_3x3', 1), ('skip_connect', 2), "
    "('max_pool_3x3', 1), ('max_pool_3x3', 0), ('skip_connect', 2), ('skip_connect', 2), ('max_pool_3x3', 1)], "
    "reduce_concat=[2, 3, 4, 5])"
)


def evaluated(candidates, spatial, channels=None):
    """What the column program gives: per candidate nominal size, parameters, MACs; and the columns."""
    columns = Columns(len(candidates), spatial)
    found = candidates.space.evaluate(candidates, columns, channels)
    sizes = [float(columns.table.nominal[k].extents[0].sizes.max()) for k in found.output.nominal]
    return np.array(sizes), found, columns


def costs(network):
    return sum(node.parameters for node in network.nodes), sum(node.macs for node in network.nodes)


def layers_beyond(analysis):
    """Convolutions on the way to the output whose input's nominal size covers the image."""
    network = analysis.network
    needed, beyond = {network.outputs[0]}, 0
    for node in reversed(network.nodes):
        if node.name in needed:
            needed.update(node.inputs)
            if node.op in ("conv", "depthwise_conv"):
                field = analysis[node.inputs[0]]
                beyond += all(size >= n for size, n in zip(field.size, field.pixel_shape, strict=True))
    return beyond


def assert_columns_equal_networks(candidates, shape):
    _, found, columns = evaluated(candidates, shape[1:], shape[0])
    for i, text in enumerate(candidates):
        network = candidates.network(i, shape)
        analysis = fastrf.analyze(network)
        field = analysis["features"]
        assert analysis.output.name == "features"
        assert costs(network) == (found.parameters[i], found.macs[i]), text
        state = columns.table.exact[found.output.exact[i]]
        assert state.shape == field.position_shape
        mask = np.zeros((*state.shape, *shape[1:]), bool)
        for rows, cols in state.terms:
            mask |= rows.to_mask()[:, None, :, None] & cols.to_mask()[None, :, None, :]
        np.testing.assert_array_equal(mask.reshape(-1, *shape[1:]), field.masks(), text)
        extents = columns.table.nominal[found.output.nominal[i]].extents
        assert field.size == tuple(extent.sizes.max() for extent in extents) or field.dependency.terms == (), text
        assert layers_beyond(analysis) == columns.layers_beyond[i], text


# Every space -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", SPACES)
def test_notation_goes_both_ways(name):
    space = SPACES[name]
    candidates = space.sample(30, 1)
    texts = candidates.ids()
    assert texts == list(candidates) == [candidates[i] for i in range(30)]
    assert [space.format(space.parse(text)) for text in texts] == texts
    again = space.candidates(texts)
    assert again == candidates
    assert again.codes.dtype == np.int8
    assert space.parse(space.parse(texts[0])) == space.parse(texts[0])
    assert texts[0] in space
    assert "nope" not in space
    assert 3 not in space


@pytest.mark.parametrize("name", SPACES)
def test_candidates_are_a_sequence_that_can_be_sent(name):
    space = SPACES[name]
    candidates = space.sample(20, 2)
    assert space.sample(20, 2) == candidates == space.sample(20, np.random.default_rng(2))
    assert space.sample(20, 3) != candidates
    sent = pickle.loads(pickle.dumps(candidates[5:9]))
    assert isinstance(sent, Candidates)
    assert sent.ids() == candidates.ids()[5:9]
    assert sent.space.name == space.name
    assert candidates.take([3, 1]).ids() == [candidates[3], candidates[1]]
    assert candidates[-1] == candidates.ids()[19]
    assert len(space.sample(0)) == 0
    assert len(space.candidates([])) == 0
    assert space.candidates([]).codes.shape[1] == candidates.codes.shape[1]
    assert "20 candidates" in repr(candidates)
    assert space.name in repr(space)
    with pytest.raises(PositionError, match="candidate 20"):
        _ = candidates[20]


@pytest.mark.parametrize("name", SPACES)
def test_mutation_gives_another_valid_candidate(name):
    space = SPACES[name]
    rng = np.random.default_rng(4)
    text = space.sample(1, 5)[0]
    assert space.mutate(text, 6) == space.mutate(text, 6)
    seen = {text}
    for _ in range(40):
        other = space.mutate(text, rng)
        assert other != text
        assert space.format(space.parse(other)) == other
        seen.add(other)
        text = other
    assert len(seen) > 30


@pytest.mark.parametrize(
    ("space", "shape", "n"),
    [
        (NASBench201(), (3, 32, 32), 12),
        (NASBench201(channels=4, n=2, classes=3), (1, 48, 20), 8),
        (NASBench101(), (3, 32, 32), 6),
        (NASBench101(channels=10, modules=2), (2, 19, 33), 8),
        (DARTS(layers=8), (3, 32, 32), 3),
        (DARTS(layers=5, channels=4, padded=True), (1, 27, 18), 5),
        (DARTS("imagenet", layers=4, channels=4), (3, 96, 64), 3),
        (OFAMobileNetV3(), (3, 64, 64), 2),
        (OFAMobileNetV3(False), (3, 96, 65), 2),
        (OFAMobileNetV3(False, width=1.2, classes=7), (1, 64, 64), 2),
    ],
    ids=lambda value: getattr(value, "name", None),
)
def test_column_programs_equal_single_networks(space, shape, n):
    assert_columns_equal_networks(space.sample(n, 8), shape)


@pytest.mark.parametrize("name", SPACES)
def test_input_shapes_that_do_not_fit(name):
    space = SPACES[name]
    candidates = space.sample(1)
    with pytest.raises(ShapeError, match=r"takes input_shape \(channels, height, width\)"):
        space.network(candidates[0], (3, 32))
    with pytest.raises(ShapeError, match="takes input_shape"):
        candidates.network(0, "nope")
    with pytest.raises(ShapeError, match="takes input_shape"):
        space.evaluate(candidates, Columns(1, (32,)))


@pytest.mark.parametrize("name", SPACES)
def test_broken_notations_give_no_other_errors(name):
    space, rng = SPACES[name], random.Random(15)
    texts = space.sample(10, 16).ids()
    if name == "nasbench101":
        texts += [space.format(space.parse(text), compact=False) for text in texts]
    refused = []
    for _ in range(300):
        text = list(rng.choice(texts))
        for _ in range(rng.randrange(1, 5)):
            at = rng.randrange(len(text))
            if rng.random() < 0.3:
                del text[at]
            else:
                text[at : at + rng.randrange(2)] = rng.choice(
                    ["", "|", "~", "[", "(", ",", "9", "-", "é", "None", "'", "\x00"]
                )
        try:
            space.parse("".join(text))
        except (FormatError, NetworkError) as error:
            refused.append(str(error))
    assert len(refused) > 100
    assert all("\n" not in message and len(message) < 400 for message in refused)


@pytest.mark.parametrize("name", SPACES)
def test_deeply_nested_candidates(name):
    deep = []
    for _ in range(100_000):
        deep = [deep]
    for given in (deep, [deep, deep], {"matrix": deep, "ops": ["input"]}, {"ks": deep, "e": deep, "d": deep}):
        with pytest.raises((FormatError, NetworkError)):
            SPACES[name].parse(given)


@pytest.mark.parametrize("seed", [-1, "a", 1.5, True])
def test_seeds(seed):
    with pytest.raises(NetworkError, match="seed"):
        NASBench201().sample(1, seed)


def test_candidates_take_codes_and_name_the_one_that_is_wrong():
    with pytest.raises(FormatError, match="codes must be integers"):
        Candidates(NASBench201(), [1, 2])
    with pytest.raises(NetworkError, match="candidate 1: node 1"):
        NASBench201().candidates([ALL_CONV, ALL_CONV.replace("nor_conv_3x3", "conv")])


@pytest.mark.parametrize("name", ["darts", "ofa"])
def test_large_spaces_are_not_listed(name):
    with pytest.raises(LimitError, match="sample"):
        iter(SPACES[name])


def test_sizes():
    """10^9 cells and 10^18 pairs of them (Liu et al. 2018); over 10^19 sub-networks (Cai et al. 2020)."""
    assert NASBench201.size == 15_625
    assert NASBench101.size == 423_624
    assert math.isqrt(DARTS.size) == 180 * 7**8
    assert OFAMobileNetV3.size == (9**2 + 9**3 + 9**4) ** 5


def test_options_are_part_of_the_name():
    names = [
        space.name
        for space in (
            *SPACES.values(),
            NASBench201(n=1),
            NASBench101(64),
            DARTS(layers=8),
            DARTS(padded=True),
            OFAMobileNetV3(width=1.2),
        )
    ]
    assert len(set(names)) == len(names)
    assert names[:3] == ["nasbench201", "nasbench101", "darts-cifar"]


@pytest.mark.parametrize(
    "make",
    [
        lambda: NASBench201(0),
        lambda: NASBench101(stacks=0),
        lambda: DARTS("mnist"),
        lambda: DARTS(channels=3),
        lambda: DARTS(layers=0),
        lambda: OFAMobileNetV3(width=0),
    ],
)
def test_impossible_options(make):
    with pytest.raises(NetworkError):
        make()


# NAS-Bench-201 ---------------------------------------------------------------------------------------------------


def test_nasbench201_nominal_sizes_of_all_cells():
    """21 + 70 L for L windows on the longest path; 341 cells have no path."""
    candidates = NASBench201().all()
    sizes, _, _ = evaluated(candidates, (32, 32))
    found = dict(zip(*(part.tolist() for part in np.unique(sizes, return_counts=True)), strict=True))
    assert found == {0: 341, 21: 1642, 91: 7122, 161: 5520, 231: 1000}
    assert len(set(candidates.ids())) == len(candidates) == 15_625
    assert next(iter(NASBench201())) == "|none~0|+|none~0|none~1|+|none~0|none~1|none~2|"


def test_nasbench201_published_costs():
    """NATS-Bench issue 36 and its benchmark file: 0.802426 M and 113.95137 MFLOPs; 1.531546 M and 220.11969.

    They count the ten additions of the classifier's bias, too.
    """
    sparse = "|skip_connect~0|+|none~0|nor_conv_3x3~1|+|avg_pool_3x3~0|nor_conv_3x3~1|nor_conv_3x3~2|"
    space = NASBench201()
    assert costs(space.network(sparse)) == (802_426, 113_951_370 - 10)
    assert costs(space.network(ALL_CONV)) == (1_531_546, 220_119_690 - 10)
    _, found, _ = evaluated(space.candidates([sparse, ALL_CONV]), (32, 32))
    assert found.parameters.tolist() == [802_426, 1_531_546]


def test_nasbench201_cells_without_a_path_read_nothing():
    space = NASBench201(channels=2, n=1)
    texts = [
        "|none~0|+|none~0|none~1|+|none~0|none~1|none~2|",
        "|none~0|+|none~0|nor_conv_3x3~1|+|none~0|avg_pool_3x3~1|skip_connect~2|",
        "|nor_conv_3x3~0|+|skip_connect~0|none~1|+|none~0|none~1|none~2|",
    ]
    assert_columns_equal_networks(space.candidates(texts), (3, 16, 16))
    field = fastrf.analyze(space.network(texts[0])).output
    assert field.masks().sum() == 0
    assert field.position_shape == (8, 8)


def test_nasbench201_notations():
    space = NASBench201()
    text = "|skip_connect~0|+|none~0|nor_conv_1x1~1|+|avg_pool_3x3~0|none~1|nor_conv_3x3~2|"
    nodes = [
        [("skip_connect", 0)],
        (("none", 0), ("nor_conv_1x1", 1)),
        (("avg_pool_3x3", 0), ["none", 1], ("nor_conv_3x3", 2)),
    ]
    for other in (
        " | skip_connect~0 | + |nor_conv_1x1~1|none~0|+|nor_conv_3x3~2|avg_pool_3x3~0| ",
        f"Structure(4 nodes with {text})",
        nodes,
    ):
        assert space.format(space.parse(other)) == text


@pytest.mark.parametrize(
    ("text", "error", "message"),
    [
        ("", NetworkError, "1 nodes"),
        (7, FormatError, "not a cell"),
        ("|skip_connect~0|", NetworkError, "has 1 nodes"),
        ("|skip_connect|+|none~0|+|none~0|", FormatError, "node 1 .*not an edge"),
        (ALL_CONV.replace("~2", "~3"), NetworkError, "node 3 .*from node 3"),
        (ALL_CONV.replace("~2", "~1"), NetworkError, "node 3 .*two edges from node 1"),
        (ALL_CONV.replace("~0|+", "~0000|+", 1), FormatError, "not an edge"),
        ("|conv~0|+|none~0|+|none~0|", NetworkError, "'conv' is none of"),
        ([["a"], [], []], FormatError, "node 1: 'a' is not an edge"),
        ([3], FormatError, "node 1: '3' is not an edge"),
        ("|" * 100_000, NetworkError, "1 nodes"),
    ],
)
def test_nasbench201_malformed(text, error, message):
    with pytest.raises(error, match=message):
        NASBench201().parse(text)


# NAS-Bench-101 ---------------------------------------------------------------------------------------------------


def test_nasbench101_every_cell():
    """423,624 cells of 227,274 to 49,979,274 parameters (Ying et al. 2019), no two with one hash."""
    space = NASBench101()
    candidates = space.all()
    assert len(candidates) == space.size
    some = candidates[::400]
    assert len({space.hash(text) for text in some}) == len(some)
    sizes, found, _ = evaluated(candidates, (32, 32))
    assert (found.parameters.min(), found.parameters.max()) == (227_274, 49_979_274)
    assert set(sizes.tolist()) == {6, 48, 90, 132, 174, 216}


def test_nasbench101_published_cells():
    """The first record of the benchmark's file, and the Inception-like cell of its example: hash, parameters."""
    space = NASBench101()
    record = {
        "matrix": [
            [0, 1, 0, 0, 1, 1, 0],
            [0, 0, 1, 0, 0, 0, 0],
            [0, 0, 0, 1, 0, 0, 1],
            [0, 0, 0, 0, 0, 1, 0],
            [0, 0, 0, 0, 0, 1, 0],
            [0, 0, 0, 0, 0, 0, 1],
            [0, 0, 0, 0, 0, 0, 0],
        ],
        "ops": [
            "input",
            "conv3x3-bn-relu",
            "maxpool3x3",
            "conv3x3-bn-relu",
            "conv3x3-bn-relu",
            "conv1x1-bn-relu",
            "output",
        ],
    }
    assert space.hash(record) == "00005c142e6f48ac74fdcf73e3439874"
    assert costs(space.network(record))[0] == 8_555_530
    assert costs(space.network(INCEPTION))[0] == 2_694_282
    assert fastrf.analyze(space.network(INCEPTION)).output.size == (90, 90)


def test_nasbench101_nominal_size_follows_the_longest_path():
    """6 + 42 L for L windows of 3x3 on the longest path."""
    candidates = NASBench101().sample(2000, 9)
    sizes, _, _ = evaluated(candidates, (32, 32))
    for text, size in zip(candidates, sizes, strict=True):
        cell = NASBench101().parse(text)
        depth = [0] * len(cell.ops)
        for v in range(1, len(cell.ops)):
            window = cell.ops[v] in ("conv3x3-bn-relu", "maxpool3x3")
            depth[v] = window + max(depth[w] for w in range(v) if cell.matrix[w][v])
        assert size == 6 + 42 * depth[-1]


def test_nasbench101_samples_are_valid():
    space = NASBench101()
    cells = [space.parse(text) for text in space.sample(500, 10)]
    assert max(sum(map(sum, cell.matrix)) for cell in cells) == 9
    assert {len(cell.ops) for cell in cells} >= {3, 4, 5, 6, 7}
    for cell in cells:
        matrix = np.array(cell.matrix)
        assert matrix[:-1].any(axis=1).all()
        assert matrix[:, 1:].any(axis=0).all()


def test_nasbench101_hash_is_that_of_isomorphic_cells():
    space, rng = NASBench101(), random.Random(11)
    for text in space.sample(60, 12):
        cell = space.parse(text)
        n = len(cell.ops)
        matrix, ops = np.array(cell.matrix), list(cell.ops)
        for _ in range(20):
            order = [0, *rng.sample(range(1, n - 1), n - 2), n - 1]
            moved = matrix[np.ix_(order, order)]
            if not np.tril(moved).any():
                assert space.hash((moved, [ops[k] for k in order])) == space.hash(cell)
        if n > 2 and ops[1] != "maxpool3x3":
            assert space.hash((matrix, [ops[0], "maxpool3x3", *ops[2:]])) != space.hash(cell)


def test_nasbench101_notations_and_pruning():
    space = NASBench101()
    short = space.format(space.parse(INCEPTION))
    assert short == "111010000010001100011:1333m"
    long = space.format(space.parse(short), compact=False)
    assert json.loads(long) == INCEPTION
    dangling = [[0, 1, 1, 1, 0], [0, 0, 0, 0, 1], [0, 0, 0, 0, 0], [0, 0, 0, 0, 1], [0] * 5]
    ops = ["input", "conv3x3-bn-relu", "unknown", "maxpool3x3", "output"]
    cell = space.parse((np.array(dangling, bool), ops))
    assert cell.ops == ("input", "conv3x3-bn-relu", "maxpool3x3", "output")
    assert space.format(cell) == "110011:3m"
    assert space.format(space.parse("1:")) == "1:"
    assert_columns_equal_networks(NASBench101(channels=6).candidates(["1:", "101:3"]), (3, 8, 8))


@pytest.mark.parametrize(
    ("text", "error", "message"),
    [
        ("", FormatError, "not a cell"),
        ("11:3", FormatError, "1 operators need 3 bits, not 2"),
        ("{", FormatError, "not a cell"),
        ("[" * 100_000, FormatError, "not a cell"),
        ('{"matrix": [[0, 1], [0, 0]]}', FormatError, "'ops'"),
        ({"matrix": 3, "ops": ["input", "output"]}, FormatError, "list of rows"),
        ({"matrix": [[0, 1], 3], "ops": ["input", "output"]}, FormatError, "list of rows"),
        ({"matrix": [[0, 1], [0, 0]], "ops": [1, 2]}, FormatError, "'ops' must be"),
        (5, FormatError, "matrix and ops"),
        ({"matrix": [[0, 1]], "ops": ["input", "output"]}, NetworkError, "1 rows and 2 operators"),
        ({"matrix": [[0, 1], [0]], "ops": ["input", "output"]}, NetworkError, "row 1"),
        ({"matrix": [[0, 2], [0, 0]], "ops": ["input", "output"]}, NetworkError, "row 0"),
        ({"matrix": [[0, 1], [1, 0]], "ops": ["input", "output"]}, NetworkError, "row 1.*diagonal"),
        ({"matrix": [[0, 0], [0, 0]], "ops": ["input", "output"]}, NetworkError, "no path"),
        ({"matrix": [[0, 1], [0, 0]], "ops": ["in", "output"]}, NetworkError, "first operator is 'in'"),
        ({**INCEPTION, "ops": ["input", "conv", *INCEPTION["ops"][2:]]}, NetworkError, "vertex 1: operator 'conv'"),
        (f"{'1' * 10}:333", NetworkError, "5 vertices and 10 edges"),
    ],
)
def test_nasbench101_malformed(text, error, message):
    with pytest.raises(error, match=message):
        NASBench101().parse(text)


# DARTS -----------------------------------------------------------------------------------------------------------

#: Per cell, from per-position intervals of the published genotypes.
V1_SIZES = (7, 11, 15, 19, 23, 27, 29, 37, 45, 53, 61, 69, 77, 81, 97, 113, 129, 145, 161, 177)
V2_SIZES = (11, 19, 27, 35, 43, 51, 53, 69, 85, 101, 117, 133, 149, 153, 185, 217, 249, 281, 313, 345)


@pytest.mark.parametrize(("genotype", "sizes"), [(DARTS_V1, V1_SIZES), (DARTS_V2, V2_SIZES)])
def test_darts_sizes_per_cell(genotype, sizes):
    analysis = fastrf.analyze(DARTS().network(genotype))
    assert tuple(analysis[f"cells.{k}"].size[0] for k in range(20)) == sizes
    assert analysis.output.stride == (4, 4)


@pytest.mark.parametrize(
    ("space", "sizes"),
    [(DARTS(layers=8), (65, 121)), (DARTS(), (177, 345)), (DARTS("imagenet"), (959, 1855))],
    ids=lambda value: getattr(value, "name", None),
)
def test_darts_sizes_of_the_last_cell(space, sizes):
    found, _, _ = evaluated(space.candidates([DARTS_V1, DARTS_V2]), space.input_shape[1:])
    assert tuple(found) == sizes


def test_darts_published_parameters():
    """quark0/darts' README and logs: DARTS_V2 has 3.349342 MB for CIFAR-10 (without the auxiliary head), 4.718752 MB
    for ImageNet.
    """  # noqa: D205
    assert costs(DARTS().network(DARTS_V2))[0] == 3_349_342
    assert costs(DARTS("imagenet").network(DARTS_V2))[0] == 4_718_752


def test_darts_notations():
    space = DARTS()
    assert space.format(DARTS_V2) == V2_TEXT
    parts = {key: getattr(DARTS_V1, key) for key in DARTS_V1._fields}
    positional = f"genotypes.Genotype({list(DARTS_V1.normal)}, range(2, 6), {list(DARTS_V1.reduce)}, range(2, 6, 1))"
    for other in (positional, parts, json.dumps(parts), str(parts), tuple(parts.values()), DARTS_V1):
        assert space.parse(other) == DARTS_V1
    assert space.parse(V2_TEXT.replace("'sep_conv", "'dua_sepc").replace("'dil_conv", "'dil_sepc")) == DARTS_V2


@pytest.mark.parametrize(
    ("text", "error", "message"),
    [
        ("", FormatError, "cannot be read"),
        ("Genotype(", FormatError, "cannot be read"),
        ("7", FormatError, "not a genotype"),
        (7, FormatError, "not a genotype"),
        ("print('x')", FormatError, "not a genotype"),
        ("Genotype(1, 2, 3, 4, 5)", FormatError, "5 parts"),
        ("Genotype(normal=[])", FormatError, "normal_concat"),
        ("{'normal': 1, 'other': 2}", FormatError, "other"),
        (V2_TEXT.replace("[2, 3, 4, 5]", "__import__('os').listdir()", 1), FormatError, "cannot be read"),
        (V2_TEXT.replace("[2, 3, 4, 5]", "range(10**9)", 1), FormatError, "cannot be read"),
        (V2_TEXT.replace("[2, 3, 4, 5]", "[6]", 1), NetworkError, "normal_concat"),
        (V2_TEXT.replace("[2, 3, 4, 5]", "[]", 1), NetworkError, "normal_concat"),
        (V2_TEXT.replace("[2, 3, 4, 5]", "'2345'", 1), FormatError, "normal_concat"),
        (V2_TEXT.replace("('dil_conv_3x3', 2)", "('dil_conv_3x3', 5)"), NetworkError, "edge 7 of 'normal'"),
        (V2_TEXT.replace("('dil_conv_3x3', 2)", "('dil_conv', 2)"), NetworkError, "edge 7 of 'normal': operator"),
        (V2_TEXT.replace("('dil_conv_3x3', 2)", "'dil_conv_3x3'"), FormatError, "edge 7 of 'normal'"),
        (V2_TEXT.replace(", ('dil_conv_3x3', 2)", ""), NetworkError, "7 edges"),
        ("Genotype(normal=3, normal_concat=[2], reduce=[], reduce_concat=[2])", FormatError, "'normal' must be"),
        ("(" * 3000 + ")" * 3000, FormatError, "cannot be read"),
        ("x" * 30_000, FormatError, "this has 30000"),
        (V2_TEXT.replace("sep", "\\\\x73ep"), FormatError, "no backslashes"),
        ("Genotype(" + "-" * 15_000 + "1)", FormatError, "cannot be read"),
        ("a" + ".b" * 9_000 + "()", FormatError, "."),
    ],
)
def test_darts_malformed(text, error, message):
    with pytest.raises(error, match=message):
        DARTS().parse(text)


def test_darts_with_none_and_partial_outputs():
    """Edges of `none`, nodes of nothing but them, and cells that pass on only some of their nodes."""
    space = DARTS(layers=4, channels=2)
    codes = space.sample(10, 13).codes.copy()
    rng = np.random.default_rng(14)
    for start in (0, 17):
        codes[:, start : start + 8][rng.random((10, 8)) < 0.5] = 7
        codes[:, start + 16] = rng.integers(1, 16, 10)
    assert_columns_equal_networks(Candidates(space, codes), (3, 16, 16))
    assert all(text in space for text in Candidates(space, codes))


def test_darts_sizes_that_factorized_reduce_cannot_halve():
    space = DARTS(layers=3, channels=2)
    with pytest.raises(ShapeError, match="FactorizedReduce at reduction cell 1"):
        space.network(DARTS_V1, (3, 15, 16))
    with pytest.raises(ShapeError, match="padded=True"):
        space.evaluate(space.sample(1), Columns(1, (16, 30)))
    with pytest.raises(ShapeError, match="stem0"):
        DARTS("imagenet").network(DARTS_V1, (3, 225, 97))
    assert DARTS(layers=3, channels=2, padded=True).network(DARTS_V1, (3, 15, 16))


# Once-for-all ----------------------------------------------------------------------------------------------------


def test_ofa_nominal_sizes():
    """251 for 3x3 and two blocks per stage, 1651 for 7x7 and four, squeeze-and-excitation ignored."""
    least, most = {"ks": 3, "e": 3, "d": 2}, {"ks": 7, "e": 6, "d": 4}
    sizes, ignored, _ = evaluated(OFAMobileNetV3(False).candidates([least, most]), (224, 224))
    assert sizes.tolist() == [251, 1651]
    sizes, counted, columns = evaluated(OFAMobileNetV3().candidates([least, most]), (224, 224))
    assert sizes.tolist() == [math.inf, math.inf]
    assert all(columns.table.exact[k].terms[0][0].is_constant for k in counted.output.exact)
    np.testing.assert_array_equal(ignored.parameters, counted.parameters)
    np.testing.assert_array_equal(ignored.macs, counted.macs)


def test_ofa_notations():
    space = OFAMobileNetV3()
    arch = space.parse({"ks": 5, "e": [4] * 20, "d": (3, 3, 3, 3, 2)})
    text = space.format(arch)
    assert json.loads(text) == {"ks": [5] * 20, "e": [4] * 20, "d": [3, 3, 3, 3, 2]}
    for other in (text, str(json.loads(text)), arch, {**json.loads(text), "wid": None, "r": [224]}):
        assert space.parse(other) == arch


@pytest.mark.parametrize(
    ("text", "error", "message"),
    [
        ("", FormatError, "not a sub-network"),
        ("[1]", FormatError, "not a sub-network"),
        ("{" * 5000, FormatError, "not a sub-network"),
        (3, FormatError, "not a sub-network"),
        ("x" * 30_000, FormatError, "30000 characters"),
        ({"ks": 3, "e": 3}, FormatError, "'d'"),
        ({"ks": 3, "e": 3, "d": 2, "f": 1}, FormatError, "'f'"),
        ({"ks": "3", "e": 3, "d": 2}, FormatError, "'ks' must be"),
        ({"ks": [3] * 19, "e": 3, "d": 2}, NetworkError, "'ks' has 19 numbers; it takes 20"),
        ({"ks": 3, "e": [3] * 19 + [5], "d": 2}, NetworkError, r"'e'\[19\] is 5"),
        ({"ks": 3, "e": 3, "d": 1}, NetworkError, r"'d'\[0\] is 1"),
    ],
)
def test_ofa_malformed(text, error, message):
    with pytest.raises(error, match=message):
        OFAMobileNetV3().parse(text)


# Custom ----------------------------------------------------------------------------------------------------------


def stacked(config):
    """A stack of convolutions."""
    if config["depth"] < 1:
        raise ValueError("depth must be positive")
    return [fastrf.conv(4, config["kernel"]) for _ in range(config["depth"])]


def test_custom_space():
    configs = [{"kernel": k, "depth": d} for k in (1, 3) for d in (1, 2, 3)]
    space = Custom(stacked, configs, "stacks", (3, 16, 16))
    candidates = space.all()
    assert (space.size, len(candidates), space.columnar) == (6, 6, False)
    assert candidates[4] == '{"kernel": 3, "depth": 2}'
    assert fastrf.analyze(candidates.network(4)).output.size == (5, 5)
    assert space.network({"kernel": 5, "depth": 1}, (1, 8, 8)).input_shape == (1, 8, 8)
    assert space.candidates(candidates.ids()[::-1]).ids() == candidates.ids()[::-1]
    assert space.mutate(candidates[0], 1) in candidates.ids()[1:]
    assert set(space.sample(20, 1).ids()) <= set(candidates)
    assert pickle.loads(pickle.dumps(candidates)).ids() == candidates.ids()
    with pytest.raises(NetworkError, match="no column program"):
        space.evaluate(candidates, Columns(6, (16, 16)))
    with pytest.raises(NetworkError, match=r"stacks .*ValueError: depth must be positive"):
        space.network({"kernel": 1, "depth": 0})
    with pytest.raises(FormatError, match="none of the 6 configurations"):
        space.network("nope")
    with pytest.raises(NetworkError, match="none of the 6 configurations"):
        space.candidates([{"kernel": 9, "depth": 9}])


def test_custom_space_of_anything():
    marker = object()
    space = Custom(fastrf.load, ["alexnet", "vgg16", marker])
    assert list(space) == ["alexnet", "vgg16", "object#2"]
    assert space.network("vgg16").name == "vgg16"
    assert space.parse("object#2") is marker
    assert space.format(marker) == "object#2"
    evolving = Custom(
        stacked, [{"kernel": 3, "depth": 1}], mutated=lambda c, rng: {**c, "depth": int(rng.integers(2, 4))}
    )
    assert json.loads(evolving.mutate({"kernel": 3, "depth": 1}, 0))["depth"] in (2, 3)
    with pytest.raises(NetworkError, match="no other configuration"):
        Custom(stacked, [{"kernel": 3}]).mutate({"kernel": 3})
    with pytest.raises(NetworkError, match="no configurations"):
        Custom(stacked, []).sample(1)
    with pytest.raises(NetworkError, match="build must be a function"):
        Custom(3, [])
    assert spaces.Custom is Custom


def test_the_page_on_spaces_runs():
    page = (Path(__file__).parent.parent / "docs" / "spaces.md").read_text()
    names = {}
    for block in re.findall(r"```python\n(.*?)```", page, re.DOTALL):
        exec(compile(block, "docs/spaces.md", "exec"), names)
        for line, size in re.findall(r"^(fastrf\.analyze.*?) +# (\(.*\))$", block, re.MULTILINE):
            assert str(eval(line, names)) == size
    assert names["space"].name == "stacks"
