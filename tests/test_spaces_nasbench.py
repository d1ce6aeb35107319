"""NAS-Bench-101 and NAS-Bench-201: published counts, costs and hashes, and their notations."""

from __future__ import annotations

import json
import random

import numpy as np
import pytest

import fastrf
from fastrf.errors import FormatError, NetworkError
from fastrf.spaces import NASBench101, NASBench201
from tests.space_checks import assert_columns_equal_networks, costs, evaluated

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
