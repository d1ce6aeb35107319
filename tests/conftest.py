"""Settings and fixtures of all tests: how many examples to draw, and seeded generators."""

import os

import numpy as np
import pytest
from hypothesis import settings

#: Kernels run as plain Python, some hundred times slower.
INTERPRETED = os.environ.get("NUMBA_DISABLE_JIT", "0") not in ("", "0")


def scaled(compiled: int) -> int:
    """How many examples to run where `compiled` are right for compiled kernels."""
    return max(compiled // 3, 1) if INTERPRETED else compiled


settings.register_profile("ci", derandomize=True, deadline=None, max_examples=scaled(60), print_blob=True)
settings.register_profile("thorough", deadline=None, max_examples=2000, print_blob=True)
settings.load_profile(os.environ.get("FASTRF_HYPOTHESIS", "ci"))


def pytest_configure(config: pytest.Config) -> None:
    """Declare the markers."""
    config.addinivalue_line("markers", "acceptance: random networks, every neuron of which must agree with brute force")


@pytest.fixture
def rng(request: pytest.FixtureRequest) -> np.random.Generator:
    """A generator seeded with 0, or with the parameter where a test is parametrised over `rng`."""
    return np.random.default_rng(getattr(request, "param", 0))


@pytest.fixture
def rules_of_one_test():
    """Rules that a test registers are no other's."""
    from fastrf.ops import rules

    kept = [(held, dict(held)) for held in (rules.RULES, rules.MODULES)]
    for held, _ in kept:
        held.clear()
    rules.load_packages.cache_clear()
    yield
    for held, before in kept:
        held.clear()
        held.update(before)
    rules.load_packages.cache_clear()
