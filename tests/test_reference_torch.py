"""The reference against torch: shapes and gradients of every layer of random networks."""

from collections.abc import Iterator

import numpy as np
import pytest

from tests import reference
from tests.reference.single import dep_wrt
from tests.strategies import random_spec

torch = pytest.importorskip("torch")

pytestmark = pytest.mark.slow


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """The tensors are tiny; more threads only wait for each other."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("start", range(0, 200, 20))
def test_every_operator_agrees_with_torch(start: int) -> None:
    torch.manual_seed(start)
    assert sum(agreeing_layers(seed) for seed in range(start, start + 20)) > 80


def agreeing_layers(seed: int) -> int:
    """Compare every layer of a random network that torch has; the number of layers compared."""
    from tests import torch_reference

    spec = random_spec(np.random.default_rng(seed), layers=8, max_elements=200)
    shapes, checked = reference.shapes(spec), 0
    for layer, reads in reference.sources(spec):
        op, attrs, given = layer["op"], reference.attributes(layer), [shapes[name] for name in reads]
        if {"used", "step"} & set(attrs):
            continue  # torch has neither
        try:
            found = torch_reference.dependencies(op, attrs, given) if op in torch_reference.OPS else []
        except torch_reference.UnsupportedError:
            continue
        checked += bool(found)
        named = {f"x{i}": list(shape) for i, shape in enumerate(given)}
        for wrt, got in zip(named, found, strict=False):
            want = dep_wrt(wrt, op, named, **attrs)
            assert got.shape == want.shape, (seed, layer, given)
            same = (got <= want) if op in torch_reference.SUBSET else (got == want)
            assert same.all(), (seed, layer, given, wrt)
    return checked
