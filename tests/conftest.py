"""Settings and fixtures of all tests: how many examples to draw, and seeded generators."""

import os
import re
from collections import Counter
from typing import Any

import numpy as np
import pytest
from hypothesis import settings

from fastrf.engine.compiling import compile_from_now_on

#: Kernels run as plain Python, some hundred times slower.
INTERPRETED = os.environ.get("NUMBA_DISABLE_JIT", "0") not in ("", "0")


def scaled(compiled: int) -> int:
    """How many examples to run where `compiled` are right for compiled kernels."""
    return max(compiled // 3, 1) if INTERPRETED else compiled


settings.register_profile("ci", derandomize=True, deadline=None, max_examples=scaled(60), print_blob=True)
settings.register_profile("thorough", deadline=None, max_examples=2000, print_blob=True)
settings.load_profile(os.environ.get("FASTRF_HYPOTHESIS", "ci"))


def pytest_addoption(parser: pytest.Parser) -> None:
    """Plain `pytest` leaves the slow tests out; what is named by `::` or chosen by a marker is run."""
    parser.addoption("--slow", action="store_true", help="run the slow tests, too")


def pytest_configure(config: pytest.Config) -> None:
    """Declare the markers."""
    config.addinivalue_line("markers", "acceptance: random networks, every neuron of which must agree with brute force")
    config.addinivalue_line("markers", "slow: takes long; left out without --slow")
    compile_from_now_on()  # most tests are small: kernels would be Python in all of them
    config.pluginmanager.register(LeftOut(config), "left-out")


class LeftOut:
    """What a run left out, and what it skipped for want of an optional package; it is said at the end."""

    def __init__(self, config: pytest.Config) -> None:
        self.config = config
        self.slow = 0

    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        """Leave out the slow tests, unless they are asked for."""
        chosen = self.config.option.markexpr or any("::" in argument for argument in self.config.args)
        if self.config.option.slow or chosen:
            return
        slow = [item for item in items if item.get_closest_marker("slow")]
        items[:] = [item for item in items if not item.get_closest_marker("slow")]
        self.slow = len(slow)
        self.config.hook.pytest_deselected(items=slow)

    def pytest_sessionfinish(self) -> None:
        """A worker tells the process that started it."""
        if hasattr(self.config, "workeroutput"):
            self.config.workeroutput["slow"] = self.slow

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodedown(self, node: Any) -> None:
        """What a worker told: each has collected everything."""
        self.slow = max(self.slow, getattr(node, "workeroutput", {}).get("slow", 0))

    def pytest_terminal_summary(self, terminalreporter: Any) -> None:
        """Say it."""
        reasons = (str(report.longrepr) for report in terminalreporter.stats.get("skipped", ()))
        absent = Counter(
            found[1] for found in (re.search(r"could not import '([\w.]+)'", text) for text in reasons) if found
        )
        if self.slow:
            terminalreporter.write_line(f"left out: {self.slow} slow tests; pytest --slow runs them")
        if absent:
            which = ", ".join(f"{name} ({count} skips)" for name, count in sorted(absent.items()))
            remedy = "pip install 'fastrf[browser,torch,test]' torchvision timm"
            terminalreporter.write_line(f"not installed: {which}; {remedy}")


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
