"""Random PyTorch networks against autograd: equality at the outputs and three inner nodes of each."""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterator

import numpy as np
import pytest

import fastrf

torch = pytest.importorskip("torch")

pytestmark = pytest.mark.slow

NEURONS = 60
SAMPLED = 25


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """The tensors are tiny; more threads only wait for each other."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def chosen(rng: np.random.Generator, size: int) -> list[int]:
    """All neurons of a small node; of a large one the first, the last and random ones."""
    if size <= NEURONS:
        return list(range(size))
    return sorted({0, size - 1, *map(int, rng.choice(size, SAMPLED - 2, replace=False))})


def sees_anything(oracle, name: str) -> bool:
    """Whether any element of a node depends on the input; one of which none does is a constant, and no layer."""
    return any(oracle.mask(name, index).any() for index in np.ndindex(*oracle.values[name].shape))


def differences(seed: int) -> list[str]:
    """Neurons of a random network where analysis and oracle differ; a node listed as approximate may only add."""
    from fastrf.frontends.torch import capture, to_network
    from tests.autograd import Oracle
    from tests.random_torch import random_module

    rng = np.random.default_rng(seed)
    module, shape = random_module(rng)
    exported = capture(module, shape)
    analysis = fastrf.analyze(to_network(exported))
    oracle = Oracle(exported, (torch.ones(1, *shape),))
    outputs = [name for name in exported.graph_signature.user_outputs if name in analysis]
    inner = [name for name in oracle.names() if name in analysis and name not in outputs]
    lost = [name for name in oracle.names() if name not in analysis and sees_anything(oracle, name)]
    found = [f"seed {seed}: {name} is missing" for name in lost]
    for name in [*outputs, *(inner[k] for k in rng.choice(len(inner), min(3, len(inner)), replace=False))]:
        full, field = tuple(oracle.values[name].shape), analysis[name]
        for k in chosen(rng, math.prod(full)):
            index = tuple(int(i) for i in np.unravel_index(k, full))
            mine = field.neuron_mask(index[len(full) - len(field.shape) :])
            truth = oracle.mask(name, index).reshape(field.input_shape)
            if (truth & ~mine).any() or (field.exact and not np.array_equal(mine, truth)):
                found.append(f"seed {seed}: {name}{list(index)}: {mine.sum()} elements, autograd {truth.sum()}")
    return found


@pytest.mark.acceptance
@pytest.mark.parametrize("start", range(0, 100, 10))
def test_random_networks_equal_autograd(start: int) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert [line for seed in range(start, start + 10) for line in differences(seed)] == []
