"""Kernels are Python until much is asked of them, then compiled; what they return is the same."""

import subprocess
import sys

import numpy as np
import pytest

from fastrf.engine import compiling


@compiling.jit
def halved(numbers: np.ndarray) -> int:
    """The sum of halves."""
    return numbers.sum() // 2


@compiling.jit
def twice(numbers: np.ndarray, others: tuple[np.ndarray, np.ndarray]) -> int:
    """A kernel that calls another."""
    return halved(numbers) + halved(others[1])


@pytest.fixture
def asked(monkeypatch):
    """As if nothing had been asked yet."""
    monkeypatch.setattr(compiling._Asked, "elements", 0)
    monkeypatch.setattr(compiling, "ENOUGH", 100)


def test_kernels_are_python_until_much_is_asked(asked):
    kernel = compiling.Kernel(twice.function)
    numbers = np.arange(10)
    assert kernel(numbers, (numbers, numbers)) == 44
    assert kernel._compiled is None
    assert kernel(np.arange(1000), (numbers, numbers)) == 1000 * 999 // 4 + 22
    assert kernel._compiled is not None
    assert kernel(numbers, (numbers, numbers)) == 44


def test_what_is_asked_adds_up(asked):
    kernel = compiling.Kernel(halved.function)
    for _ in range(3):
        kernel(np.arange(30))
    assert kernel._compiled is not None


def test_a_kernel_calls_the_other_in_its_own_form(asked):
    kernel = compiling.Kernel(twice.function)
    assert kernel.python.__globals__["halved"] is halved.python
    called = getattr(kernel.compiled, "py_func", kernel.compiled).__globals__["halved"]
    assert called is halved.compiled


def test_kernels_bear_the_names_of_their_functions():
    assert (halved.__name__, halved.__doc__, halved.__module__) == ("halved", "The sum of halves.", __name__)


@pytest.mark.parametrize(("asked_for", "imported"), [("f.box((0, 0))", False), ("f.masks()", True)])
def test_numba_is_imported_for_large_work_alone(asked_for, imported):
    code = f"""
        import sys, fastrf
        f = fastrf.analyze("resnet50", (3, 512, 512))["layer4"]
        {asked_for}
        print("numba" in sys.modules)
    """
    code = "\n".join(line.strip() for line in code.splitlines())
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == str(imported)
