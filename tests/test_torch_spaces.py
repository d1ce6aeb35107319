"""Candidates of the public search spaces against PyTorch modules built from the same notation."""

from __future__ import annotations

import logging
import os

import numpy as np
import pytest

torch = pytest.importorskip("torch")

import fastrf  # noqa: E402
from fastrf import spaces  # noqa: E402
from tests.torch_spaces import DartsNet, Nb101Net, Nb201Net, OfaNet  # noqa: E402

pytestmark = pytest.mark.slow

#: Candidates of each space; all 200 with FASTRF_SLOW=1.
SLOW = os.environ.get("FASTRF_SLOW") == "1"

#: Per case: the space with few channels, the module of a notation, the input shape, how many are quick.
CASES = {
    "nasbench201": (spaces.NASBench201(4), lambda text: Nb201Net(text, 4), (3, 32, 32), 4, 200),
    "nasbench101": (spaces.NASBench101(8), lambda text: Nb101Net(json_of(text), 8), (3, 32, 32), 4, 200),
    "darts": (
        spaces.DARTS(layers=8, channels=4),
        lambda text: DartsNet(text, 4, 8),
        (3, 32, 32),
        2,
        170,
    ),
    "darts, 20 cells": (spaces.DARTS(channels=2), lambda text: DartsNet(text, 2, 20), (3, 32, 32), 0, 10),
    "darts, padded": (
        spaces.DARTS(layers=6, channels=4, padded=True),
        lambda text: DartsNet(text, 4, 6, padded=True),
        (3, 27, 22),
        1,
        10,
    ),
    "darts, imagenet": (
        spaces.DARTS("imagenet", layers=6, channels=4),
        lambda text: DartsNet(text, 4, 6, 1000, imagenet=True),
        (3, 128, 96),
        1,
        10,
    ),
    "ofa": (spaces.OFAMobileNetV3(width=0.1), lambda text: OfaNet(text, 0.1), (3, 64, 64), 1, 50),
    "ofa without gates": (
        spaces.OFAMobileNetV3(False, width=0.1),
        lambda text: OfaNet(text, 0.1, gates=False),
        (3, 96, 64),
        2,
        150,
    ),
}


def json_of(text):
    space = spaces.NASBench101()
    return space.format(space.parse(text), compact=False)


@pytest.fixture(autouse=True)
def _one_thread_and_no_log():
    """What pytest collects of torch.export's log takes longer than the tests."""
    before, level = torch.get_num_threads(), logging.root.manager.disable
    torch.set_num_threads(1)
    logging.disable(logging.INFO)
    yield
    logging.disable(level)
    torch.set_num_threads(before)


def is_constant(module, shape):
    """Whether nothing that is computed depends on the input."""
    for parameter in module.parameters():
        parameter.requires_grad_(False)
    return not module.eval().features(torch.zeros(1, *shape, requires_grad=True)).requires_grad


def assert_same_neurons(network, module, shape):
    """Every neuron of the last map depends on the same input values."""
    ours = fastrf.analyze(network, targets="features").output
    if isinstance(module, Nb201Net) and is_constant(module, shape):
        assert not ours.to_csr(channels=True).nnz
        return
    theirs = fastrf.analyze(module.eval(), shape)["features"]
    assert theirs.shape == ours.shape
    assert theirs.exact
    a, b = ours.to_csr(channels=True), theirs.to_csr(channels=True)
    np.testing.assert_array_equal(a.indptr, b.indptr)
    np.testing.assert_array_equal(a.indices, b.indices)
    np.testing.assert_equal(ours.size, theirs.size)
    assert ours.stride == theirs.stride or not a.nnz


@pytest.mark.parametrize("case", CASES)
def test_neurons_equal_those_of_the_module(case):
    space, module, shape, quick, every = CASES[case]
    for text in space.sample(every if SLOW else quick, 7):
        assert_same_neurons(space.network(text, shape), module(text), shape)


def test_a_cell_without_a_path():
    text = "|none~0|+|none~0|nor_conv_3x3~1|+|none~0|avg_pool_3x3~1|skip_connect~2|"
    assert_same_neurons(spaces.NASBench201(4, 2).network(text), Nb201Net(text, 4, 2), (3, 32, 32))


def counted(module, shape):
    """Parameters, and multiply-accumulates of convolutions and linear layers as they run."""
    macs = 0

    def count(layer, _inputs, output):
        nonlocal macs
        macs += layer.weight.numel() // layer.weight.shape[0] * output[0].numel()

    for layer in module.modules():
        if isinstance(layer, torch.nn.Conv2d | torch.nn.Linear):
            layer.register_forward_hook(count)
    with torch.no_grad():
        module.eval()(torch.zeros(1, *shape))
    return sum(p.numel() for p in module.parameters()), macs


PUBLISHED = {
    "nasbench201": (spaces.NASBench201(), Nb201Net),
    "nasbench101": (spaces.NASBench101(), lambda text: Nb101Net(json_of(text))),
    "darts": (spaces.DARTS(), DartsNet),
    "darts, imagenet": (
        spaces.DARTS("imagenet"),
        lambda text: DartsNet(text, 48, 14, 1000, imagenet=True),
    ),
    "ofa": (spaces.OFAMobileNetV3(), OfaNet),
}


@pytest.mark.parametrize("case", PUBLISHED)
def test_costs_equal_those_of_the_module(case):
    space, module = PUBLISHED[case]
    for text in space.sample(10 if SLOW else 2, 3):
        nodes = space.network(text).nodes
        ours = sum(node.parameters for node in nodes), sum(node.macs for node in nodes)
        # Edges that nothing reads run all the same, in both.
        assert ours == counted(module(text), space.input_shape)
