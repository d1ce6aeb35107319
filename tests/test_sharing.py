"""Networks and answers between threads, processes and event loops, and kernels whose cache comes and goes."""

from __future__ import annotations

import ast
import asyncio
import copy
import importlib.util
import multiprocessing
import os
import pickle
import threading
import warnings
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from numba.core import caching, compiler_lock
from numba.core import config as numba_config

import fastrf
from fastrf.engine import compiling, numba_cache, relation
from fastrf.engine import memo as memory
from fastrf.spaces.columns import states
from fastrf.sweeps import candidates
from fastrf.sweeps import onnx as onnx_files
from fastrf.system import locks
from tests.conftest import INTERPRETED

SPEC = {
    "input_shape": [2, 9, 12],
    "assumes": ["of the network"],
    "layers": [
        {"name": "wide", "op": "max_pool", "kernel_size": [1, 3], "stride": 1, "padding": [0, 1]},
        {"name": "tall", "op": "max_pool", "kernel_size": [3, 1], "stride": 1, "padding": [1, 0], "inputs": ["input"]},
        {"name": "cross", "op": "add", "inputs": ["wide", "tall"], "assumes": ["of the sum"]},
        {"name": "pool", "op": "avg_pool", "kernel_size": 2},
    ],
}


def areas(spec: dict) -> list:
    """What a worker answers."""
    return fastrf.analyze(spec)["pool"].areas().tolist()


WAYS = [copy.copy, copy.deepcopy, lambda given: pickle.loads(pickle.dumps(given))]


@pytest.mark.parametrize("way", WAYS)
def test_networks_can_be_copied_and_pickled(way):
    network = fastrf.load(SPEC)
    again = way(network)
    assert again == network
    assert again.assumes == network.assumes
    assert [node.assumes for node in again.nodes] == [node.assumes for node in network.nodes]


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("choice", [{}, {"wrt": "cross"}, {"targets": ["pool"]}, {"ignore": ["wide"]}])
def test_analyses_can_be_copied_and_pickled(way, choice):
    analysis = fastrf.analyze(SPEC, **choice)
    again = way(analysis)
    assert list(again) == list(analysis)
    assert again.wrt == analysis.wrt
    for name, field in analysis.items():
        other = way(field)
        for found in (again[name], other):
            assert found.dependency == field.dependency
            assert (found.size, found.stride, found.periods) == (field.size, field.stride, field.periods)
            assert (found.assumes, found.approximate_at) == (field.assumes, field.approximate_at)
    if not choice:
        assert str(again.summary()) == str(analysis.summary())


def test_long_axes_can_be_copied_and_pickled():
    field = fastrf.analyze([fastrf.conv(1, 3, dilation=4)], (1, 100_000)).output
    for way in WAYS:
        assert way(field).dependency == field.dependency


def test_answers_are_the_same_on_threads_in_event_loops_and_in_processes():
    expected = areas(SPEC)
    memory.forget()
    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(areas, [SPEC] * 8)) == [expected] * 8

    async def ask() -> list:
        return await asyncio.gather(*(asyncio.to_thread(areas, SPEC) for _ in range(4)))

    assert asyncio.run(ask()) == [expected] * 4
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        field = pool.submit(fastrf.analyze, SPEC).result()["pool"]
    assert field.areas().tolist() == expected


LOCKS = {
    "relations": relation._lock,
    "memory": memory._lock,
    "states": states._lock,
    "sources": onnx_files._lock,
    "captures in sweeps": candidates._capturing,
    "import of Numba": compiling._lock,
    "compiler": compiler_lock.global_compiler_lock,
}
if importlib.util.find_spec("torch") is not None:
    from fastrf.frontends.torch.exporting import _lock

    LOCKS |= {"captures": _lock}


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")
@pytest.mark.parametrize("name", LOCKS)
def test_a_forked_child_finds_every_lock_open(name):
    lock, held, seen = LOCKS[name], threading.Event(), []

    def hold() -> None:
        with lock:
            held.set()
            threading.Event().wait(0.05)
            seen.append("released")

    thread = threading.Thread(target=hold)
    thread.start()
    held.wait()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # that this process has threads
        child = os.fork()
    if child == 0:
        with lock:
            os._exit(0 if seen else 3)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    thread.join()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")
def test_a_forked_child_parses_files_anew():
    onnx_files._files["held"] = object()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        child = os.fork()
    if child == 0:
        os._exit(len(onnx_files._files))
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    del onnx_files._files["held"]


def test_locks_come_from_where_forks_are_known():
    """Another lock would hang in a child; `functools.cached_property` has one before Python 3.12."""
    root = Path(fastrf.__file__).parent
    found = {
        (path.relative_to(root).as_posix(), node.attr)
        for path in root.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Attribute) and node.attr in ("Lock", "RLock", "Condition", "Semaphore")
    } | {
        (path.relative_to(root).as_posix(), name.name)
        for path in root.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.ImportFrom) and node.module in ("functools", "threading")
        for name in node.names
        if name.name in ("cached_property", "Lock", "RLock")
    }
    assert found == {("system/locks.py", "RLock"), ("sweeps/onnx.py", "Lock")}


def test_a_cached_property_is_worked_out_once():
    class Counted:
        calls = 0

        @locks.cached_property
        def value(self) -> int:
            """What it is."""
            self.calls += 1
            return 7

    one = Counted()
    assert (one.value, one.value, one.calls) == (7, 7, 1)
    assert Counted.value.__doc__ == "What it is."


def double(numbers: np.ndarray) -> int:
    """A kernel for these tests."""
    return 2 * numbers.sum()


@pytest.fixture
def kernel_cache(monkeypatch, tmp_path):
    """A folder that new kernels are cached in."""
    monkeypatch.setattr(numba_config, "CACHE_DIR", str(tmp_path / "cache"))
    return tmp_path / "cache"


def files(folder: Path) -> dict[str, bytes]:
    """What the cache holds."""
    return {path.name: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.skipif(INTERPRETED, reason="nothing is compiled")
@pytest.mark.parametrize("damage", [b"", b"not a pickle", b"\x80\x04.", None])
def test_a_damaged_kernel_cache_is_made_anew(kernel_cache, damage):
    assert numba_cache.compiled(double, compiling._lock)(np.arange(4)) == 12
    whole = files(kernel_cache)
    assert len(whole) == 1
    for path in list(kernel_cache.rglob("*.nb?")):
        path.unlink() if damage is None else path.write_bytes(damage)
    if damage is None:
        for folder in kernel_cache.iterdir():
            folder.rmdir()
        kernel_cache.rmdir()
    assert numba_cache.compiled(double, compiling._lock)(np.arange(4)) == 12
    assert files(kernel_cache).keys() == whole.keys()
    assert all(len(found) > 100 for found in files(kernel_cache).values())


@pytest.mark.skipif(INTERPRETED, reason="nothing is compiled")
def test_without_a_place_for_a_cache_kernels_are_compiled_each_time(monkeypatch, kernel_cache):
    monkeypatch.setattr(caching.CacheImpl, "_locator_classes", [])
    assert numba_cache.compiled(double, compiling._lock)(np.arange(4)) == 12
    assert not kernel_cache.exists()


@pytest.mark.skipif(INTERPRETED, reason="nothing is compiled")
def test_a_cache_that_cannot_be_written_is_no_error(monkeypatch, kernel_cache):
    kernel = numba_cache.compiled(double, compiling._lock)

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(caching.IndexDataCacheFile, "_save_data", full)
    assert kernel(np.arange(4)) == 12
    assert files(kernel_cache) == {}


@pytest.mark.skipif(INTERPRETED, reason="nothing is compiled")
def test_what_one_source_left_is_never_taken_for_another(kernel_cache, tmp_path):
    older, newer, same = (numba_cache._Entries(tmp_path, "kernel", stamp) for stamp in ("1", "2", "2"))
    older.save("int64", "code of old")
    assert newer.load("int64") is None
    newer.save("int64", "code")
    same.save("float64", "other code")  # another process, at the same time
    assert (newer.load("int64"), newer.load("float64")) == ("code", "other code")
    assert older.load("int64") is None
    assert len(files(tmp_path)) == 2
    newer.flush()
    assert files(tmp_path) == {}
