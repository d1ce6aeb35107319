"""Limits: named, read when they are asked for, for a block, a process and the threads that fastrf starts."""

from __future__ import annotations

import sys
import threading
from pathlib import Path
from types import SimpleNamespace

import pytest

import fastrf
from fastrf import budget
from fastrf.engine import axis_map

CROSS = {
    "input_shape": [1, 9, 9],
    "layers": [
        {"name": "rows", "op": "conv", "out_channels": 1, "kernel_size": [1, 3]},
        {"name": "columns", "op": "conv", "out_channels": 1, "kernel_size": [3, 1], "inputs": ["input"]},
        {"name": "a", "op": "crop", "padding": [[1, 1], [0, 0]], "inputs": ["rows"]},
    ],
}
DEFAULTS = {name: getattr(fastrf.limits, name) for name in budget.names()}


@pytest.fixture(autouse=True)
def restored():
    yield
    for name in budget.names():
        setattr(fastrf.limits, name, None)


def test_a_block_a_process_and_back():
    with fastrf.limits(terms=7, memory="8GB"):
        assert (fastrf.limits.terms, fastrf.limits.memory) == (7, 8 * 10**9)
        with fastrf.limits(terms=9):
            assert (fastrf.limits.terms, fastrf.limits.memory) == (9, 8 * 10**9)
        assert fastrf.limits.terms == 7
        assert "terms=7" in repr(fastrf.limits)
    assert fastrf.limits.terms == DEFAULTS["terms"] == 256
    fastrf.limits.terms = 512
    assert fastrf.limits.terms == 512
    fastrf.limits.terms = None
    assert fastrf.limits.terms == 256


def test_a_block_holds_for_its_thread_and_those_that_it_starts():
    seen = []
    with fastrf.limits(terms=7):
        other = threading.Thread(target=lambda: seen.append(fastrf.limits.terms))
        other.start()
        other.join()
        with budget.thread_pool(2) as pool:
            seen += pool.map(lambda _: fastrf.limits.terms, range(2))
    assert seen == [256, 7, 7]


@pytest.mark.parametrize(
    ("text", "n"),
    [
        ("8GB", 8 * 10**9),
        ("512MiB", 512 << 20),
        ("1.5 gib", 3 << 29),
        ("10k", 10_000),
        ("7", 7),
        ("7 B", 7),
        ("1TiB", 1 << 40),
    ],
)
def test_sizes(text, n):
    with fastrf.limits(memory=text):
        assert fastrf.limits.memory == n


@pytest.mark.parametrize(
    ("changes", "match"),
    [
        ({"terms": 0}, "terms must be an integer from 1 to 1048576, not 0"),
        ({"terms": "8"}, "terms must be an integer"),
        ({"terms": True}, "terms must be an integer"),
        ({"axis": 1 << 41}, "axis must be an integer from 1"),
        ({"memory": "lots"}, 'or "512MiB", from 1 to'),
        ({"memory": "8 Gb/s"}, "memory must be"),
        ({"file": -1}, "file must be"),
        ({"term": 8}, r"no limit 'term'; did you mean terms"),
        ({"zzzzzz": 8}, "there are memory, axis, runs"),
    ],
)
def test_what_is_no_limit(changes, match):
    with pytest.raises(fastrf.UsageError, match=match), fastrf.limits(**changes):
        pass
    with pytest.raises(fastrf.UsageError, match=match):
        setattr(fastrf.limits, *next(iter(changes.items())))


def test_errors_name_the_limit_and_obey_it():
    layers = [fastrf.conv(1, 3) for _ in range(4)]
    with (
        fastrf.limits(layers=3),
        pytest.raises(fastrf.LimitError, match=r"fastrf\.limits\(layers=3\) allows; raise it"),
    ):
        fastrf.load(layers, (1, 32))
    assert len(fastrf.load(layers, (1, 32)).nodes) == 4
    with fastrf.limits(axis=40), pytest.raises(fastrf.LimitError, match=r"from 50 to 48 indices.*limits\(axis=40\)"):
        fastrf.analyze([fastrf.conv(1, 3)], (1, 50))
    with fastrf.limits(axis=50):
        assert fastrf.analyze([fastrf.conv(1, 3)], (1, 50)).output.size == (3,)


def test_a_longer_axis_may_be_asked_for():
    n = DEFAULTS["axis"] + 2
    with pytest.raises(fastrf.LimitError, match=r"limits\(axis="):
        fastrf.analyze([fastrf.conv(1, 3)], (1, n))
    with fastrf.limits(axis=n):
        assert fastrf.analyze([fastrf.conv(1, 3)], (1, n)).output.box((n - 3,)).tolist() == [[n - 3, n]]


def test_patterns_that_are_remembered_obey_limits_that_come_later():
    pooled = axis_map.adaptive(35, 12)
    assert not pooled.pattern.irregular
    with fastrf.limits(phases=2):
        assert pooled.pattern.irregular == "more than 2 phases"
    assert not pooled.pattern.irregular


def test_memory_that_is_allowed_holds_whatever_is_free(monkeypatch):
    field = fastrf.analyze([fastrf.conv(1, 3)], (1, 2000, 1000)).output
    with (
        fastrf.limits(memory="20MB"),
        pytest.raises(fastrf.LimitError, match=r"fastrf\.limits\(memory=20000000\) allows"),
    ):
        field.boxes()
    monkeypatch.setattr(budget, "free_memory", lambda: 1)
    with pytest.raises(fastrf.LimitError, match="more than is free"):
        field.areas()
    with fastrf.limits(memory="1GB"):
        assert int(field.areas().max()) == 9


def write(folder: Path, **files: object) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, value in files.items():
        (folder / name.replace("__", ".")).write_text(f"{value}\n")


@pytest.mark.parametrize(
    ("own", "names"),
    [
        ("0::/a/b", ("memory__max", "memory__current")),
        ("5:cpu:/x\n9:memory:/a/b", ("memory__limit_in_bytes", "memory__usage_in_bytes")),
    ],
)
def test_memory_of_containers(tmp_path, own, names):
    root, told = tmp_path / "cgroup", tmp_path / "own"
    top = root if own.startswith("0") else root / "memory"
    write(top / "a", **{names[0]: 1000, names[1]: 300, "memory__stat": "anon 1\ninactive_file 100"})
    write(top / "a" / "b", **{names[0]: "max", names[1]: 10, "memory__stat": ""})
    told.write_text(own)
    files = budget._group_files.__wrapped__(root, told)
    assert [folder.name for folder, *_ in files] == ["b", "a"]
    monkey = pytest.MonkeyPatch()
    with monkey.context() as patch:
        patch.setattr(budget, "_group_files", lambda: files)
        assert list(budget._groups()) == [(1000, 200)]
        assert budget.free_memory() == 800


def test_systems_without_files_that_tell(monkeypatch):
    def fail(*arguments, **options):
        raise OSError

    monkeypatch.setattr(budget, "_group_files", list)
    monkeypatch.setattr("builtins.open", fail)
    monkeypatch.setitem(sys.modules, "psutil", None)
    assert budget.free_memory() == 1 << 40
    monkeypatch.setitem(sys.modules, "psutil", SimpleNamespace(virtual_memory=lambda: SimpleNamespace(available=123)))
    assert budget.free_memory() == 123


def test_docs_list_every_limit():
    text = (Path(__file__).parents[1] / "docs" / "limits.md").read_text()
    for name in budget.names():
        limit = vars(budget.Limits)[name]
        assert f"| `{name}` | {budget.told(limit)} | {limit.meaning} |" in text
