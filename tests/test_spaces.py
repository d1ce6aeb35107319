"""Search spaces: what all of them do, and those of one's own."""

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
from fastrf.spaces import DARTS, Candidates, Custom, NASBench101, NASBench201, OFAMobileNetV3
from fastrf.spaces.columns.programs import Columns
from tests.space_checks import assert_columns_equal_networks

SPACES = {
    "nasbench201": NASBench201(),
    "nasbench101": NASBench101(),
    "darts": DARTS(),
    "darts-imagenet": DARTS("imagenet"),
    "ofa": OFAMobileNetV3(),
    "ofa without gates": OFAMobileNetV3(False),
}
ALL_CONV = "|nor_conv_3x3~0|+|nor_conv_3x3~0|nor_conv_3x3~1|+|nor_conv_3x3~0|nor_conv_3x3~1|nor_conv_3x3~2|"


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
    assert [len(SPACES[name]) for name in ("nasbench201", "nasbench101")] == [15_625, 423_624]
    assert len(DARTS()) == DARTS.size
    with pytest.raises(LimitError, match=r"ofa.*: its number of candidates is 2.2e\+19, more than len\(\) can say"):
        len(OFAMobileNetV3())
    unknown = OFAMobileNetV3()
    unknown.size = None
    with pytest.raises(LimitError, match="candidates is unknown; see its size"):
        len(unknown)
    assert repr(unknown) == "<space ofa_mbv3, input 3x224x224>"


def test_spaces_say_what_they_are():
    assert repr(NASBench201()) == "<space nasbench201, 15,625 candidates, input 3x32x32>"
    assert repr(DARTS()) == "<space darts-cifar, 1.1e+18 candidates, input 3x32x32>"
    none = Custom(stacked, [])
    assert repr(none) == "<space custom, 0 candidates>"
    assert len(none) == 0
    assert none  # a space without candidates is one


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


def test_custom_mutation_changes_one_entry_where_there_is_such_a_configuration(rng):
    configs = [{"kernel": k, "depth": d, "name": "x"} for k in (1, 3, 5) for d in (1, 2)]
    space = Custom(stacked, [*configs, {"kernel": 7, "depth": 7, "name": "x"}, {"width": 1}])
    for config in configs:
        seen = {space.mutate(config, rng) for _ in range(60)}
        near = [c for c in configs if sum(c[key] != config[key] for key in c) == 1]
        assert seen == {json.dumps(c) for c in near}
    assert json.loads(space.mutate({"width": 1}, rng)) in configs + space.configs[-2:-1]  # none is near
    assert json.loads(space.mutate(json.dumps({"kernel": 9, "depth": 2, "name": "x"}), rng))["depth"] == 2
    lists = Custom(stacked, [[1, 2], (1, 3), [4, 5], [1]])
    assert lists.mutate([1, 2], rng) == "[1, 3]"
    things = [object(), object()]
    assert Custom(stacked, things).mutate(things[0], rng) == "object#1"


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
