"""Sweeps of spaces of one's own: figures from shared states, columns of configurations, processes, what is sent."""

from __future__ import annotations

import dataclasses
import math
import os
import pickle
import signal
import subprocess
import sys
import time
from collections import namedtuple
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import fastrf
from fastrf.errors import FastRFError
from fastrf.spaces import Custom
from fastrf.sweeps import figures, gathered, processes, threads, walks
from fastrf.sweeps.gathered import Ranges
from fastrf.sweeps.metrics import metrics_named
from fastrf.sweeps.run import work_of
from fastrf.sweeps.work import Configured
from tests.strategies import networks
from tests.test_sweeps import figures as by_definition

pytest.importorskip("pyarrow")

METRICS = metrics_named(None)
LAYERS = st.tuples(
    st.sampled_from(["conv", "conv", "depthwise_conv", "max_pool", "relu", "grouped", "linear_norm", "gate"]),
    st.sampled_from([1, 2, 3, 5]),
    st.sampled_from([1, 1, 2]),
    st.sampled_from([4, 8]),
)


def build(layers):
    """A chain, each layer with a shortcut around it where it keeps the shape."""
    made, last, width = [], "input", 2
    for k, (op, kernel, stride, channels) in enumerate(layers):
        name, window = f"l{k}", {"kernel_size": kernel, "stride": stride, "padding": kernel // 2}
        given = {"name": name, "inputs": [last]}
        if op == "grouped":
            made.append({**given, "op": "conv", "out_channels": width, "groups": 2, **window})
        elif op == "conv":
            made.append({**given, "op": "conv", "out_channels": channels, **window})
            width = channels
        elif op in ("depthwise_conv", "max_pool"):
            made.append({**given, "op": op, **window})
        elif op == "gate":
            made.append({**given, "op": "global_avg_pool", "name": f"p{k}"})
            made.append({"name": name, "op": "mul", "inputs": [last, f"p{k}"]})
        elif op == "linear_norm":
            made.append({**given, "op": "batch_norm"})
        else:
            made.append({**given, "op": "relu", "name": f"r{k}"})
            made.append({"name": name, "op": "concat", "axis": 0, "inputs": [last, f"r{k}"]})
            width *= 2
        last = name
    return {"input_shape": [2, 11, 14], "layers": made}


def row_of(network, node=None):
    """The figures of a network, or its error."""
    try:
        n_axes = len(fastrf.analyze(network).output.pixel_shape)
        return figures.network_row(network, node, METRICS, n_axes)
    except FastRFError as error:
        return f"{type(error).__name__}: {error}"


def same(row, other):
    """Whether rows are equal, what is unknown with them."""
    return repr(row) == repr(other)


@given(st.lists(LAYERS, min_size=1, max_size=7))
@settings(max_examples=60, deadline=None)
def test_figures_from_shared_states_are_those_of_the_network(layers):
    try:
        network = fastrf.load(build(layers))
    except FastRFError:
        return
    found = figures.network_row(network, None, METRICS, 2)
    expected = by_definition(network)
    assert {name: None if value is None or math.isnan(value) else value for name, value in found.items()} == expected


@given(networks())
def test_figures_of_every_operator_are_those_of_the_analysis(spec):
    network = fastrf.load(spec)
    for node in network.nodes:
        shared = row_of(network, node.name)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(walks, "MAX_LENGTH", -1)
            assert same(shared, row_of(network, node.name)), node.name


def test_limits_hold_for_shared_states_too():
    layers = [("conv", 3, 1, 4), ("gate", 1, 1, 4), ("conv", 3, 2, 4)]
    network = fastrf.load(build(layers))
    plain = row_of(network)
    with fastrf.limits(terms=1):
        said = row_of(network)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(walks, "MAX_LENGTH", -1)
            assert row_of(network) == said
    assert "terms=1" in said
    assert row_of(network) == plain


def test_states_are_begun_anew_once_they_are_many(monkeypatch):
    network = fastrf.load(build([("conv", 3, 1, 4)] * 3))
    first = row_of(network)
    monkeypatch.setattr(fastrf.limits, "states", 1)
    assert row_of(network) == first == row_of(network)


def test_widths_share_states():
    space = Custom(lambda width: [fastrf.conv(width, 3, padding=1)] * 4, [4, 8, 16, 32], input_shape=(3, 9, 9))
    walks._origins.clear()
    rows = fastrf.sweep(space).to_rows()
    (origin,) = walks._origins.values()
    assert len(origin.exact._values) == 10  # the image, without channels, and behind each axis of each layer
    assert len(origin.exact._axes) == 6  # of which those of rows are those of columns; channels, and four windows
    assert len({row["area_mean"] for row in rows}) == 1
    assert len({row["parameters"] for row in rows}) == 4


def test_a_metric_of_ones_own_sees_the_field_of_the_analysis():
    seen = []
    space = Custom(lambda k: [fastrf.conv(2, k, name=f"conv{k}")], [1, 3], input_shape=(1, 8, 8))
    fastrf.sweep(space, metrics=[("own", lambda field: seen.append(field) or 0), "size"])
    assert [(field.name, field.shape, field.size) for field in seen] == [
        ("conv1", (2, 8, 8), (1, 1)),
        ("conv3", (2, 6, 6), (3, 3)),
    ]


def test_configurations_with_one_notation_are_told_apart():
    space = Custom(lambda c: [fastrf.conv(1, 3 if isinstance(c, int) else 5)], [1, "1"], input_shape=(1, 8, 8))
    assert [row["size_x"] for row in fastrf.sweep(space, metrics=["size"]).to_rows()] == [3, 5]
    assert space.all().network(1).nodes[0].attributes["kernel_size"] == 5


# Columns of configurations ----------------------------------------------------------------------------------------

Pair = namedtuple("Pair", "depth name")


@dataclasses.dataclass
class Options:
    depth: int
    stem: dict


def one_layer(_):
    return [fastrf.conv(2, 3)]


def test_scalars_of_configurations_are_columns(tmp_path):
    configs = [
        {"depth": 3, "rate": 1, "on": True, "name": "a", "kernels": [3, 5], "stem": {"width": 8}, "size": 1},
        {"depth": None, "rate": 0.5, "on": False, "name": "", "size_y": 7, "mixed": 1, "large": 1 << 70},
        {"depth": np.int64(4), "rate": math.inf, "name": "ü\n", "mixed": "b", "large": 1},
    ]
    space = Custom(one_layer, configs, input_shape=(1, 8, 8))
    for ending in ("parquet", "csv", "arrow"):
        result = fastrf.sweep(space, metrics=["size"], output=tmp_path / f"t.{ending}")
        own = ("depth", "rate", "on", "name", "stem.width", "size", "config.size_y", "mixed", "large")
        assert result.columns == ("id", *own, "ok", "error", "size_y", "size_x")
        assert result.measured == ("size_y", "size_x")
        assert [tuple(row[name] for name in own) for row in result.to_rows()] == [
            (3, 1.0, True, "a", 8, 1, None, None, None),
            (None, 0.5, False, "", None, None, 7, "1", str(1 << 70)),
            (4, math.inf, None, "ü\\n", None, None, None, "b", "1"),
        ]
        assert result.column("size") == "size"
        assert [row["id"] for row in result.top(2, "rate").to_rows()] == [space.all()[2], space.all()[0]]
    again = fastrf.sweep(space, metrics=["size"], output=tmp_path / "t.parquet", resume=True)
    assert again.to_rows() == result.to_rows()
    with pytest.raises(fastrf.UsageError, match=r"unknown column 'dept'; did you mean depth"):
        result.top(1, "dept")


def test_scalars_stay_where_a_candidate_fails():
    space = Custom(lambda c: [fastrf.conv(1, c["kernel"])], [{"kernel": 3}, {"kernel": 99}], input_shape=(1, 8, 8))
    rows = fastrf.sweep(space, metrics=["area_max"]).to_rows()
    assert [(row["kernel"], row["ok"], row["area_max"]) for row in rows] == [(3, True, 9), (99, False, None)]
    assert "kernel 99 does not fit" in rows[1]["error"]


def test_data_classes_and_named_tuples_have_columns_lists_have_none():
    configs = [Options(2, {"width": 4}), Pair(3, "x"), [1, 2], 5, "text"]
    result = fastrf.sweep(Custom(one_layer, configs, input_shape=(1, 8, 8)), metrics=["size"])
    assert result.columns == ("id", "depth", "stem.width", "name", "ok", "error", "size_y", "size_x")
    assert [row["depth"] for row in result.to_rows()] == [2, 3, None, None, None]


# What is sent away ------------------------------------------------------------------------------------------------


def test_a_part_carries_its_own_candidates_alone():
    configs = [{"number": k, "text": "x" * 100} for k in range(2000)]
    space = Custom(one_layer, configs, input_shape=(1, 8, 8))
    work = work_of(space, None, ["size"], None)
    sent = pickle.dumps(work.part(1000, 1010))
    assert len(sent) < 10_000 < len(pickle.dumps(work)) / 10
    part = pickle.loads(sent)
    assert isinstance(part, Configured)
    assert part.ids == work.ids[1000:1010]
    assert part.run(0, 10).equals(work.run(1000, 1010))
    assert pickle.loads(pickle.dumps(space.all()[5:7])).space.size == 2000  # what users keep is whole


def test_ranges_grow_to_what_takes_a_while_and_shrink_at_the_end(monkeypatch):
    now = [0.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    todo, sizes, rows = Ranges([(0, 40_000), (50_000, 60_000)], 8, 2), [], []
    for start, stop in todo:
        now[0] += (stop - start) / 4000  # two workers, 2000 a second each
        todo.done(stop - start)
        sizes.append(stop - start)
        rows += range(start, stop)
    assert rows == [*range(40_000), *range(50_000, 60_000)]
    assert sizes[0] == 8
    assert max(sizes) == 1000
    assert 1 < sizes[-2] < 100
    assert todo.left == 0
    todo.give_back(3, 5)
    assert list(todo) == [(3, 5)]


# Processes --------------------------------------------------------------------------------------------------------


@pytest.fixture
def at_once(monkeypatch):
    """Processes from the second candidate on."""
    monkeypatch.setattr(threads, "ALONE_SECONDS", 1e-9)
    monkeypatch.setattr(threads, "WORTH_SECONDS", 1e-9)
    begun = []
    plain = processes._Process.__init__

    def begin(self, *given):
        begun.append(self)
        plain(self, *given)

    monkeypatch.setattr(processes._Process, "__init__", begin)
    return begun


def kernels(count=40):
    base = 2
    return Custom(lambda k: [fastrf.conv(base, k % 9 + 1)], list(range(count)), input_shape=(1, 8, 8))


def test_processes_give_the_same_rows(at_once):
    space = kernels()  # a function that only its own process knows
    seen = []
    there = fastrf.sweep(space, workers=2, progress=lambda done, total: seen.append((done, total)))
    assert 1 <= len(at_once) <= 2
    assert there.to_rows() == fastrf.sweep(space, workers=1).to_rows()
    assert there.n_failed == 4
    assert seen[-1] == (40, 40)
    assert all(process._process.poll() is not None for process in at_once)


def ends(field):
    """A metric that ends its process for one candidate."""
    if field.name == "l7":
        os._exit(1)
    return field.size[0]


def test_a_candidate_that_ends_its_process_is_a_row(at_once):
    space = Custom(lambda k: [fastrf.conv(1, 3, name=f"l{k}")], list(range(12)), input_shape=(1, 8, 8))
    rows = fastrf.sweep(space, metrics=[ends], workers=2).to_rows()
    assert [row["ok"] for row in rows] == [k != 7 for k in range(12)]
    assert "every process that tried it ended" in rows[7]["error"]


def test_limits_and_rules_of_ones_own_are_known_there(at_once, rules_of_one_test):
    @fastrf.rule("twice_as_wide")
    def widen(x):
        return x.couple(-1)

    space = Custom(lambda k: [fastrf.layer("twice_as_wide"), fastrf.conv(1, k)], [1, 2, 3, 4], input_shape=(1, 8, 8))
    with fastrf.limits(axis=6):
        there = fastrf.sweep(space, metrics=["area_max"], workers=2).to_rows()
        assert there == fastrf.sweep(space, metrics=["area_max"], workers=1).to_rows()
    assert len(at_once) == 2
    assert "axis=6" in there[3]["error"]
    rows = fastrf.sweep(space, metrics=["area_max"], workers=2).to_rows()
    assert [row["area_max"] for row in rows] == [8, 16, 24, 32]


def test_what_cannot_be_sent_is_done_here(at_once):
    import threading

    lock = threading.Lock()
    space = Custom(lambda k: [fastrf.conv(1, k + 1)] if not lock.locked() else None, [0, 1, 2], input_shape=(1, 8, 8))
    assert fastrf.sweep(space, workers=2).n_failed == 0
    assert not at_once


def test_where_a_process_knows_less_the_rest_is_done_here(at_once):
    parent = os.getpid()

    def here_only(k):
        if os.getpid() != parent:
            raise KeyError("only there")
        return [fastrf.conv(1, k + 1)]

    space = Custom(here_only, list(range(8)), input_shape=(1, 8, 8))
    assert fastrf.sweep(space, workers=2).n_failed == 0
    assert at_once


def test_no_interpreter_no_processes(at_once, monkeypatch):
    monkeypatch.setattr(sys, "executable", "/nowhere/python")
    assert fastrf.sweep(kernels(8), workers=2).n_failed == 0


def test_an_interrupted_sweep_on_processes_goes_on(at_once, tmp_path, monkeypatch):
    monkeypatch.setattr(gathered, "FLUSH_SECONDS", 0.0)

    def stop(done, total):
        if done > 5:
            raise KeyboardInterrupt

    path = tmp_path / "t.parquet"
    with pytest.raises(KeyboardInterrupt):
        fastrf.sweep(kernels(), output=path, workers=2, progress=stop)
    assert all(process._process.poll() is not None for process in at_once)
    assert list((tmp_path / "t.parquet.parts").glob("*.parquet"))
    result = fastrf.sweep(kernels(), output=path, workers=2, resume=True)
    assert result.to_rows() == fastrf.sweep(kernels(), workers=1).to_rows()


SCRIPT = """
import sys, time, fastrf
from fastrf.sweeps import threads
threads.ALONE_SECONDS = threads.WORTH_SECONDS = 1e-9

def build(k):
    print("built")
    time.sleep(0.05)
    return [fastrf.conv(1, k % 3 + 1)]

space = fastrf.spaces.Custom(build, list(range(int(sys.argv[1]))), input_shape=(1, 8, 8))
print(len(fastrf.sweep(space, workers=2)), "rows")
"""


def test_a_script_without_a_guard_and_one_that_is_killed(tmp_path):
    (tmp_path / "script.py").write_text(SCRIPT)
    words = [sys.executable, str(tmp_path / "script.py")]
    home, plain = Path(fastrf.__file__).parent.parent, {**os.environ, "PYTHONUNBUFFERED": ""}
    done = subprocess.run([*words, "12"], capture_output=True, text=True, check=True, cwd=home)
    assert done.stdout.splitlines()[-1] == "12 rows"
    assert done.stdout.count("rows") == 1
    started = subprocess.Popen(
        [*words, "400"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=home, env=plain
    )
    told = iter(started.stderr.readline, "")
    assert any("built" in line for line in told)  # what candidates print in processes
    started.send_signal(signal.SIGKILL)
    began = time.monotonic()
    started.communicate(timeout=60)  # the ends of its streams, which its processes hold, too
    assert time.monotonic() - began < 30
