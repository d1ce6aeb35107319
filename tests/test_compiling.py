"""Kernels are Python until they have taken long, then compiled; what they return and write is the same."""

from __future__ import annotations

import copy
import os
import subprocess
import sys
import threading
import weakref

import numpy as np
import pytest

import fastrf
from fastrf.anchors import kernels as box_kernels
from fastrf.anchors.assignment.assigners import atss, rfla
from fastrf.anchors.kmeans import clustered
from fastrf.cli.warmup import STAGES
from fastrf.engine import compiling, kernels, relation
from fastrf.engine.memo import forget
from fastrf.engine.relation import Relation
from fastrf.queries import mask_kernels
from tests.conftest import INTERPRETED
from tests.strategies import random_spec

MODULES = [kernels, mask_kernels, box_kernels]


@compiling.jit
def halved(numbers: np.ndarray) -> int:
    """The sum of halves."""
    return numbers.sum() // 2


@compiling.jit
def twice(numbers: np.ndarray, others: tuple[np.ndarray, np.ndarray]) -> int:
    """A kernel that calls another."""
    return halved(numbers) + halved(others[1])


@compiling.jit_of(lambda numbers, times: numbers.size * times)
def repeated(numbers: np.ndarray, times: int) -> int:
    """A kernel that goes through its array several times."""
    total = 0
    for _ in range(times):
        total += numbers.sum()
    return total


@pytest.fixture
def fresh(monkeypatch):
    """As if kernels had taken no time yet, and a step took a second."""
    monkeypatch.setattr(compiling._Spent, "seconds", 0.0)
    monkeypatch.setattr(compiling, "STEP", 1)
    monkeypatch.setattr(compiling, "ENOUGH", 100)


# The rule -----------------------------------------------------------------------------------------------------------


def test_kernels_are_python_until_much_is_asked(fresh):
    kernel, numbers = compiling.Kernel(twice.function), np.arange(10)
    assert kernel(numbers, (numbers, numbers)) == 44
    assert type(kernel(numbers, (numbers, numbers))) is int
    assert kernel._compiled is None
    assert kernel(np.arange(1000), (numbers, numbers)) == 1000 * 999 // 4 + 22
    assert kernel._compiled is not None
    assert kernel(numbers, (numbers, numbers)) == 44


def test_from_then_on_every_kernel_is_compiled(fresh):
    one, other = compiling.Kernel(twice.function), compiling.Kernel(halved.function)
    one(np.arange(1000), (np.arange(1), np.arange(1)))
    assert other(np.arange(10)) == 22
    assert other._compiled is not None


def test_the_time_that_kernels_take_adds_up(fresh, monkeypatch):
    clock = iter(range(0, 10_000, 30))
    monkeypatch.setattr(compiling.time, "thread_time", lambda: next(clock))
    kernel = compiling.Kernel(halved.function)
    for taken in (30, 60, 90):
        kernel(np.arange(10))
        assert (compiling._Spent.seconds, kernel._compiled) == (taken, None)
    kernel(np.arange(11))
    assert kernel._compiled is not None


def test_a_kernel_says_what_it_takes(fresh):
    kernel = compiling.Kernel(repeated.function, repeated._steps)
    assert (kernel(np.arange(10), 5), kernel._compiled) == (225, None)
    assert kernel(np.arange(10), 11) == 495
    assert kernel._compiled is not None


def test_a_kernel_calls_the_other_in_its_own_form(fresh):
    kernel = compiling.Kernel(twice.function)
    assert kernel.python.__globals__["halved"] is halved.python
    called = getattr(kernel.compiled, "py_func", kernel.compiled).__globals__["halved"]
    assert called is halved.compiled


def test_kernels_bear_the_names_of_their_functions():
    assert (halved.__name__, halved.__doc__, halved.__module__) == ("halved", "The sum of halves.", __name__)


def test_threads_see_whole_kernels_alone(fresh):
    for _ in range(20):
        kernel, found = compiling.Kernel(twice.function), []
        given = np.arange(1000), (np.arange(3), np.arange(3))
        threads = [threading.Thread(target=lambda: found.append(kernel(*given))) for _ in range(8)]  # noqa: B023
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert found == [249751] * 8


# Either way ---------------------------------------------------------------------------------------------------------


class Twice:
    """Calls kernels as Python and compiled, and remembers which."""

    def __init__(self) -> None:
        self.called: set[str] = set()
        self.lines = 0

    def call(self, kernel: compiling.Kernel, *arguments: object) -> object:
        """Run a kernel both ways."""
        self.called.add(kernel.__name__)
        given = copy.deepcopy(arguments)
        steps = kernel._steps(*given)
        lines, found = self.traced(kernel.python, given)
        expected = kernel.compiled(*arguments)
        same(found.item() if isinstance(found, np.generic) else found, expected)
        same(given, arguments)
        assert lines <= 40 * steps + 500, f"{kernel.__name__} takes {lines} lines for {steps} steps"
        return expected

    def traced(self, function, arguments):
        """How many lines ran, and the result."""
        self.lines = 0
        before = sys.gettrace()
        sys.settrace(self.step)
        try:
            found = function(*arguments)
        finally:
            sys.settrace(before)
        return self.lines, found

    def step(self, _, event, __):
        """Count a line."""
        self.lines += event == "line"
        return self.step


def same(found, expected):
    """Whether values, and what arrays hold, agree to the last bit."""
    if isinstance(expected, tuple):
        for one, other in zip(found, expected, strict=True):
            same(one, other)
    elif isinstance(expected, np.ndarray):
        assert found.tobytes() == expected.tobytes()
    else:
        assert type(found) is type(expected)
        assert found == expected


@pytest.fixture
def either_way(monkeypatch):
    """Every kernel is run both ways; no relation that others hold answers without one."""
    both = Twice()

    def call(kernel, *arguments):
        return both.call(kernel, *arguments)

    monkeypatch.setattr(compiling.Kernel, "__call__", call)
    monkeypatch.setattr(relation, "_interned", weakref.WeakValueDictionary())
    forget()
    return both


compiled = pytest.mark.skipif(INTERPRETED, reason="nothing is compiled")


@compiled
def test_every_kernel_writes_the_same_either_way(either_way):
    for stage in STAGES.values():
        stage()
    kernels = {k for name in MODULES for k in vars(name).values() if isinstance(k, compiling.Kernel)}
    within = {name for kernel in kernels for name in kernel.function.__code__.co_names}
    assert {kernel.__name__ for kernel in kernels} - {"_copied"} - within <= either_way.called


@compiled
@pytest.mark.parametrize("rng", range(20), indirect=True)
def test_kernels_of_random_networks_write_the_same_either_way(either_way, rng):
    for field in fastrf.analyze(random_spec(rng, layers=8)).values():
        field.areas()
        field.coverage()
        field.to_csr(channels=True)
        field.masks(packed=bool(rng.integers(2)))


@compiled
@pytest.mark.parametrize("rng", range(20), indirect=True)
def test_kernels_of_random_relations_write_the_same_either_way(either_way, rng):
    rows, middle, columns, after = (int(n) for n in rng.integers(1, 12, 4))

    def drawn(n_rows, n_cols):
        return Relation.from_mask(rng.random((n_rows, n_cols)) < rng.choice([0.1, 0.5, 0.9, 1]))

    a, b, c = drawn(rows, middle), drawn(2 * middle * after, columns), drawn(rows, middle)
    a.compose(b, 2, after).is_constant_along(2, rows, after)
    assert a.union(c).contains(a)
    assert a.transpose.transpose is a
    a.kron(b).project(middle, columns, 1)
    a.kron(b).project(1, middle, columns)
    a.kron(b).reorder_columns([middle, columns], [1, 0])
    assert either_way.called


@compiled
@pytest.mark.parametrize("rng", range(20), indirect=True)
def test_kernels_of_boxes_write_the_same_either_way(either_way, rng):
    corner, size = rng.uniform(0, 50, (9, 2)), rng.uniform(0.1, 60, (9, 2))
    boxes = np.concatenate([corner, corner + size], axis=1)
    for metric in ("kld", "wd"):
        rfla(boxes[:4], boxes, metric=metric)
    atss(boxes, [rng.uniform(0, 90, (20, 2)), rng.uniform(0, 90, (5, 2))], [4, 8], topk=3)
    clustered(size, np.array([[40, 50], [np.inf, np.inf]]), 2, 30, 0)
    assert either_way.called >= {"nearest", "evolve", "match_levels"}


# Processes ----------------------------------------------------------------------------------------------------------

HEAVY = ["numba", "llvmlite", "scipy", "rich", "pydantic"]


def run(code, *arguments):
    """What a new process prints; it must say nothing on stderr."""
    environment = {**os.environ, "PYTHONWARNINGS": "ignore::DeprecationWarning"}  # that it forks beside threads
    command = [sys.executable, "-c", code, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=250, env=environment)
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout.strip()


def test_the_first_summary_imports_nothing_heavy():
    code = f"""
import contextlib, io, sys
from fastrf.__main__ import main
sys.argv = ["fastrf", "summary", "resnet50"]
with contextlib.redirect_stdout(io.StringIO()) as out, contextlib.suppress(SystemExit):
    main()
assert "layer4" in out.getvalue()
print([name for name in {HEAVY} if name in sys.modules])
"""
    assert run(code) == "[]"


@pytest.mark.parametrize(("asked", "imported"), [("f.mask((3, 3))", False), ("f.masks()", True)])
def test_numba_is_imported_for_large_work_alone(asked, imported):
    code = f"""
import sys, fastrf
f = fastrf.analyze("resnet50", (3, 512, 512))["layer4"]
{asked}
print("numba" in sys.modules)
"""
    assert run(code) == str(imported)


FORKS = """
import os, sys, threading, time
import fastrf
from fastrf.engine import compiling
from fastrf.engine.memo import forget

small = fastrf.analyze("alexnet")["pool2"]
large = fastrf.analyze("resnet18", (3, 160, 160))["layer2"]
expected = large.areas().tolist(), int(small.mask((3, 3)).sum())
if sys.argv[1] == "by the user":
    jobs = [threading.Thread(target=lambda: __import__("numba"))]
else:
    jobs = [threading.Thread(target=large.masks) for _ in range(3)]

def answer():
    forget()
    assert int(fastrf.analyze("alexnet")["pool2"].mask((3, 3)).sum()) == expected[1]
    assert large.masks().reshape(*large.position_shape, -1).sum(axis=-1).tolist() == expected[0]
    assert "numba" in sys.modules

def forked():
    child = os.fork()
    if child == 0:
        try:
            answer()
        except BaseException:
            os._exit(3)
        os._exit(0)
    return child

def ended(child):
    until = time.monotonic() + 60
    while time.monotonic() < until:
        found, status = os.waitpid(child, os.WNOHANG)
        if found:
            return os.waitstatus_to_exitcode(status)
        time.sleep(0.005)
    os.kill(child, 9)
    os.waitpid(child, 0)
    return "hung"

assert "numba" not in sys.modules
for job in jobs:
    job.start()
while "numba" not in sys.modules and any(job.is_alive() for job in jobs):
    time.sleep(0.0001)
time.sleep(float(sys.argv[2]))
children = [forked() for _ in range(3)]
print([ended(child) for child in children])
for job in jobs:
    job.join()
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")
@pytest.mark.parametrize("whose", ["by fastrf", "by the user"])
@pytest.mark.parametrize("later", [0, 0.02, 0.1])
def test_a_child_forked_while_numba_is_imported_works(whose, later):
    """In several threads, which analyse large things, or by the user."""
    assert run(FORKS, whose, str(later)) == "[0, 0, 0]"
