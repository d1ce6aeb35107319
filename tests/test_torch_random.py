"""Random PyTorch networks, analysed, against autograd: the output and three inner nodes of each, compared for equality."""

from __future__ import annotations

import importlib
import math
import sys
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import fastrf

torch = pytest.importorskip("torch")

NEURONS = 60
SAMPLED = 25


def oracle_module() -> Any:
    """The autograd oracle, whose files import each other by bare names."""
    for folder in (Path(__file__).parent / "autograd", Path("/work/helpers/autograd")):
        if (folder / "autograd_oracle.py").exists():
            sys.path.insert(0, str(folder))
            return importlib.import_module("autograd_oracle")
    return pytest.skip("no autograd oracle")


@pytest.fixture(autouse=True)
def one_thread():
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


def differences(seed: int) -> list[str]:
    """Neurons of a random network where analysis and oracle differ."""
    from fastrf.frontends.torch import capture, to_network
    from tests.random_torch import random_module

    rng = np.random.default_rng(seed)
    module, shape = random_module(rng)
    exported = capture(module, shape)
    analysis = fastrf.analyze(to_network(exported))
    oracle = oracle_module().Oracle(exported, (torch.ones(1, *shape),))
    outputs = [name for name in exported.graph_signature.user_outputs if name in analysis]
    inner = [
        name for name in oracle.names() if name in analysis and name not in outputs and oracle.values[name].numel()
    ]
    picked = [inner[k] for k in rng.choice(len(inner), min(3, len(inner)), replace=False)]
    found = []
    for name in [*outputs, *picked]:
        full, field = tuple(oracle.values[name].shape), analysis[name]
        for k in chosen(rng, math.prod(full)):
            index = tuple(int(i) for i in np.unravel_index(k, full))
            mine = field.neuron_mask(index[len(full) - len(field.shape) :])
            truth = np.asarray(oracle.mask(name, index)).reshape(field.input_shape)
            if not np.array_equal(mine, truth):
                found.append(f"seed {seed}: {name}{list(index)}: {mine.sum()} pixels, autograd {truth.sum()}")
    return found


@pytest.mark.acceptance
@pytest.mark.parametrize("start", range(0, 100, 10))
def test_random_networks_equal_autograd(start: int) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert [line for seed in range(start, start + 10) for line in differences(seed)] == []
