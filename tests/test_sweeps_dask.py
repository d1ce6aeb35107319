"""Sweeps on a real cluster of spawned processes: the same table, whatever happens to the workers."""

from __future__ import annotations

import os
import time

import pytest

import fastrf
from fastrf.spaces import Custom, NASBench201
from fastrf.sweeps import dask as on_dask
from fastrf.sweeps import gathered

distributed = pytest.importorskip("distributed")
pytest.importorskip("pyarrow")

pytestmark = pytest.mark.slow

TABLE = {"conv1": [3, 1, 1], "pool1": [2, 2, 0]}


@pytest.fixture(scope="module")
def cluster():
    with (
        distributed.LocalCluster(
            n_workers=2, threads_per_worker=1, processes=True, dashboard_address=":0", memory_limit=None
        ) as made,
        distributed.Client(made, set_as_default=False) as client,  # as a client by address is
    ):
        yield client


def slowly(field):
    """A metric that takes a while."""
    time.sleep(0.02)
    return field.size[0]


def deadly(field):
    """A metric that ends its process for one candidate."""
    if field.pixel_shape[0] == 13:
        os._exit(1)
    return field.size[0]


def test_a_space_on_a_cluster_by_its_address(cluster, tmp_path):
    some = NASBench201().all()[:4000]
    here = fastrf.sweep(some).to_arrow()
    there = fastrf.sweep(some, client=cluster.scheduler.address, output=tmp_path / "table.parquet")
    assert there.to_arrow().combine_chunks().equals(here.combine_chunks())
    assert [path.name for path in tmp_path.iterdir()] == ["table.parquet"]


def stack(config):
    """A few layers."""
    return [fastrf.conv(2, kernel, padding=kernel // 2) for kernel in config["kernels"]]


def test_a_space_of_ones_own_on_a_cluster(cluster):
    configs = [{"kernels": [1 + k % 5, 1 + k % 7, 3], "number": k} for k in range(600)]
    space = Custom(stack, configs, input_shape=(1, 12, 12))
    seen = []
    there = fastrf.sweep(space, client=cluster, progress=lambda done, _: seen.append(done))
    assert seen[-1] == 600
    assert len(seen) < 60  # ranges grow
    assert there.to_arrow().combine_chunks().equals(fastrf.sweep(space, workers=1).to_arrow().combine_chunks())


def test_a_worker_killed_in_the_middle(cluster, tmp_path, monkeypatch):
    monkeypatch.setattr(gathered, "FLUSH_SECONDS", 0.1)
    given = [(f"net {n}", TABLE, (1, n, n)) for n in range(4, 104)]
    pids = list(cluster.run(os.getpid).values())
    killed = []

    def kill(done, total):
        if done >= 20 and not killed:
            killed.append(pids[0])
            os.kill(pids[0], 9)

    there = fastrf.sweep(
        given, metrics=["area_mean", slowly], client=cluster, output=tmp_path / "table.parquet", progress=kill
    )
    assert killed
    assert there.to_rows() == fastrf.sweep(given, metrics=["area_mean", ("slowly", lambda f: f.size[0])]).to_rows()


def test_a_candidate_that_ends_its_workers_is_a_row(cluster):
    given = [(f"net {n}", TABLE, (1, n, n)) for n in (12, 13, 14)]
    cluster.run_on_scheduler(lambda dask_scheduler: setattr(dask_scheduler, "allowed_failures", 0))
    rows = fastrf.sweep(given, metrics=[deadly], client=cluster).to_rows()
    cluster.run_on_scheduler(lambda dask_scheduler: setattr(dask_scheduler, "allowed_failures", 3))
    assert [row["deadly"] for row in rows][1] is None
    assert "every worker that tried it ended" in rows[1]["error"]


def test_a_cancelled_run_goes_on_later(cluster, tmp_path):
    given = [(f"net {n}", TABLE, (1, n, n)) for n in range(4, 64)]
    path = tmp_path / "table.parquet"

    def stop(done, total):
        if done > 10:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fastrf.sweep(given, metrics=["size", slowly], client=cluster, output=path, progress=stop)
    assert list((tmp_path / "table.parquet.parts").glob("*.parquet"))
    result = fastrf.sweep(given, metrics=["size", slowly], client=cluster, output=path, resume=True)
    assert result.to_rows() == fastrf.sweep(given, metrics=["size", ("slowly", lambda f: f.size[0])]).to_rows()


def raises(field):
    """A metric that only a worker's surroundings could explain."""
    raise MemoryError(field.name)


def test_what_fails_on_workers_is_said(cluster, monkeypatch):
    given = [("net", TABLE, (1, 8, 8))]
    row = fastrf.sweep(given, metrics=[raises], client=cluster).to_rows()[0]
    assert "MemoryError" in row["error"]
    monkeypatch.setattr(on_dask, "evaluated", len)  # gives no rows
    with pytest.raises(AttributeError):
        fastrf.sweep(given, client=cluster)
    monkeypatch.setattr(on_dask, "evaluated", int)
    with pytest.raises(fastrf.FastRFError, match=r"rows 0 to 1 failed on the cluster .TypeError: .*same fastrf"):
        fastrf.sweep(given, client=cluster)
    monkeypatch.setattr(on_dask, "evaluated", refuse)
    with pytest.raises(fastrf.LimitError, match="too much"):
        fastrf.sweep(given, client=cluster)


def refuse(part):
    """An error of fastrf's own."""
    raise fastrf.LimitError(f"too much: {len(part)}")


def test_more_workers_may_come_while_it_runs(cluster):
    given = [(f"net {n}", TABLE, (1, n, n)) for n in range(4, 64)]
    added = []

    def scale(done, total):
        if done and not added:
            added.append(cluster.cluster.scale(3))

    rows = fastrf.sweep(given, metrics=[slowly], client=cluster, progress=scale).to_rows()
    assert [row["id"] for row in rows] == [name for name, *_ in given]


def test_tasks_that_someone_cancels(cluster):
    given = [(f"net {n}", TABLE, (1, n, n)) for n in range(4, 64)]

    def cancel(done, total):
        if done:
            cluster.cancel(list(cluster.futures.values()) and [distributed.Future(k, cluster) for k in cluster.futures])

    with pytest.raises(fastrf.FastRFError, match="cancelled, or the scheduler went away; go on with resume"):
        fastrf.sweep(given, metrics=[slowly], client=cluster, progress=cancel)


def test_no_scheduler(monkeypatch):
    monkeypatch.setattr(on_dask, "CONNECT_SECONDS", 1)
    began = time.monotonic()
    with pytest.raises(fastrf.UsageError, match=r"no Dask scheduler at 'tcp://127.0.0.1:9'.*can it be reached"):
        fastrf.sweep(NASBench201(), client="tcp://127.0.0.1:9")
    assert time.monotonic() - began < 10


def test_a_client_that_is_closed(cluster):
    with distributed.Client(cluster.scheduler.address, set_as_default=False) as other:
        pass
    with pytest.raises(fastrf.UsageError, match="the Dask client is closed"):
        fastrf.sweep(NASBench201(), client=other)
