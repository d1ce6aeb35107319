"""Sweeps of search spaces: candidates per second, cold and warm, beside other tools, and on one and two workers."""

from __future__ import annotations

import contextlib
import importlib.util
import io
import json
import os
import subprocess
import sys
import time
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

import fastrf
from bench.compare import PEERS, ROOT, TOOLS
from bench.figure import Figure
from bench.timing import median_seconds, process_seconds, seconds
from fastrf.spaces import DARTS, Custom, NASBench101, NASBench201

__all__ = ["cluster", "own", "own_space", "peers_on_a_space", "sweeps"]

#: Tools that say how wide the last map's field of a module is.
RIVALS = ("torchscan", "rfa_toolbox")

_COLD = "import fastrf; print(len(fastrf.sweep(fastrf.spaces.NASBench201(), progress=False)))"


def sweeps(repeats: int, smoke: bool) -> Iterator[Figure]:
    """Whole spaces and samples, every default metric."""
    whole = NASBench201().all()
    spent = median_seconds(lambda: fastrf.sweep(whole), repeats)
    yield _rate(f"all {len(whole):,} cells of NAS-Bench-201, every metric, warm", len(whole), spent, 100_000)
    cold = process_seconds("-c", _COLD, repeats=1 if smoke else 3)
    yield Figure("the same in a new process, its start included, kernels cached", "2 s", f"{cold:.2f} s", cold < 2)
    count = 2_000 if smoke else 100_000
    cells = NASBench101().sample(count, 0)
    spent = median_seconds(lambda: fastrf.sweep(cells), max(1, repeats // 3))
    yield _rate(f"{count:,} random cells of NAS-Bench-101, every metric", count, spent, 50_000)
    count = 200 if smoke else 10_000
    genotypes = DARTS().sample(count, 0)
    fresh = _new_process(count)
    spent = median_seconds(lambda: fastrf.sweep(genotypes), max(1, repeats // 3))
    measured = f"{count / fresh:,.0f} per second, {count / spent:,.0f} when states are known"
    what = f"{count:,} random DARTS genotypes, 20 cells at 32, every metric"
    yield Figure(what, "500 per second", measured, count / fresh >= 500)
    yield from own(repeats, smoke)
    yield from _irregular(smoke)
    yield from peers_on_a_space(smoke)


def _rate(what: str, count: int, seconds: float, target: int) -> Figure:
    rate = count / seconds
    return Figure(what, f"{target:,} per second", f"{rate:,.0f} per second", rate >= target)


def _new_process(count: int) -> float:
    """Seconds of a sweep of DARTS genotypes that nothing is known of, in a process of its own."""
    return _alone("darts", str(count))


def _irregular(smoke: bool) -> Iterator[Figure]:
    """The light ONNX models at many input sizes, on one thread."""
    from bench.onnx_files import LIGHT

    files = sorted(LIGHT.parent.glob("*.onnx"))
    sizes = range(224, 232 if smoke else 324)
    given = [(str(path), (3, n, n)) for path in files for n in sizes]
    began, cpu = time.perf_counter(), time.process_time()
    result = fastrf.sweep(given, node="map", workers=1)
    wall, cpu = time.perf_counter() - began, time.process_time() - cpu
    fine = len(result) - result.n_failed
    measured = f"{fine / cpu:.0f} per second of one core ({fine / wall:.0f} by the clock)"
    measured += f"; {result.n_failed} sizes do not fit the files' reshapes and concatenations"
    yield Figure(
        f"{len(files)} light ONNX models at {len(sizes)} sizes each, parsed once, every metric",
        "20 per second and core",
        measured,
        fine / cpu >= 20,
    )


def peers_on_a_space(smoke: bool) -> Iterator[Figure]:
    """Other tools on modules of the same cells of NAS-Bench-201, building them not counted."""
    if importlib.util.find_spec("torch") is None:
        return
    cells = NASBench201().all()
    ours = len(cells) / median_seconds(lambda: fastrf.sweep(cells), 5)
    for tool in RIVALS:
        if not (PEERS / tool).exists():
            continue
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), str(PEERS)])}
        command = [sys.executable, "-m", "bench.sweeps", tool, "2" if smoke else "20"]
        done = subprocess.run(command, check=True, capture_output=True, text=True, env=environment, cwd=ROOT)
        found = json.loads(done.stdout.splitlines()[-1])
        if not found["seconds"]:
            yield Figure(f"NAS-Bench-201, exact, against {tool}", "1,000 times", f"it fails: {found['problem']}", None)
            continue
        theirs = found["count"] / found["seconds"]
        measured = f"{ours:,.0f} against {theirs:.1f} per second: {ours / theirs:,.0f} times"
        measured += f"; its widths are right for {found['right']} of {found['count']}"
        yield Figure(
            f"NAS-Bench-201 cells, every metric, against {tool}'s one width",
            "1,000 times",
            measured,
            ours >= 1000 * theirs,
        )


def _rival(tool: str, count: int) -> dict[str, Any]:
    """How long a tool takes for some cells, and how many widths it gets right."""
    import torch

    from tests.torch_spaces import Nb201Net

    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    cells = NASBench201().sample(count, 0)
    truth = [row["size_x"] for row in fastrf.sweep(cells, metrics=["size"]).to_rows()]
    spent, right, problem = 0.0, 0, ""
    for text, width in zip(cells, truth, strict=True):
        module = Nb201Net(text).eval().features
        with contextlib.redirect_stdout(io.StringIO()):
            began = time.perf_counter()
            try:
                right += TOOLS[tool](module, (3, 32, 32)) == width
            except Exception as error:  # whatever a tool raises is its answer
                problem = f"{type(error).__name__}: {error}"[:100]
                continue
            spent += time.perf_counter() - began
    return {"count": count, "seconds": spent, "right": right, "problem": problem}


# A space of one's own ---------------------------------------------------------------------------------------------


def stack(config: dict[str, list[Any]]) -> list[Any]:
    """Layers of a configuration of `own_space`."""
    layers = []
    for op, kernel, stride, dilation, width in zip(*config.values(), strict=True):
        window = {"stride": stride, "padding": dilation * (kernel // 2)}
        if op == "conv":
            layers.append(fastrf.conv(width, kernel, dilation=dilation, **window))
        else:
            layers.append(
                fastrf.layer(op, kernel, **(window if op != "max_pool" else {**window, "padding": kernel // 2}))
            )
    return layers


def own_space(count: int) -> Custom:
    """Chains of 3 to 8 layers, each with an operator, a kernel, a stride, a dilation and a width of its own."""
    rng = np.random.default_rng(0)
    choices = {
        "ops": ["conv", "conv", "conv", "max_pool", "depthwise_conv"],
        "kernels": [1, 3, 5, 7],
        "strides": [1, 1, 1, 2],
        "dilations": [1, 1, 2],
        "widths": [16, 32, 64],
    }
    depths = rng.integers(3, 9, count).tolist()
    configs = [{key: rng.choice(of, depth).tolist() for key, of in choices.items()} for depth in depths]
    return Custom(stack, configs, "chains", (3, 64, 64))


def own(_: int, smoke: bool) -> Iterator[Figure]:
    """A space of one's own: rows a second on this machine, and beside the analysis of each candidate."""
    count, few = (500, 50) if smoke else (20_000, 300)
    began = time.perf_counter()
    some = own_space(few).all()
    for index in range(few):
        field = fastrf.analyze(some.network(index)).output
        _ = field.size, field.stride, field.areas(), field.densities(), field.coverage(), field.clipped_share
    single = few / (time.perf_counter() - began)
    rate = count / _alone("own", f"0:{count}")
    measured = f"{rate:,.0f} per second, {rate / single:.1f} times one by one"
    what = f"{count:,} chains of 3 to 8 layers as a space of one's own, every metric, processes begun for it"
    yield Figure(what, "2,000 per second", measured, rate >= 2000)


# One and two workers ----------------------------------------------------------------------------------------------


def cluster(_: int, smoke: bool) -> Iterator[Figure]:
    """A sample of genotypes, and a space of one's own, on one and on two local workers."""
    for what, kind, count in (
        ("DARTS genotypes", "cluster", 20_000 if smoke else 1_000_000),
        ("chains of a space of one's own", "own", 500 if smoke else 20_000),
    ):
        one, two = (count / _alone(kind, f"{workers}:{count}") for workers in (1, 2))
        measured = f"{two / one:.2f} times ({one:,.0f} and {two:,.0f} per second)"
        yield Figure(f"{count:,} {what} on two Dask workers", "1.7 times one", measured, two / one >= 1.7)


def _alone(kind: str, argument: str) -> float:
    """What a measure in a process of its own says."""
    command = [sys.executable, "-m", "bench.sweeps", kind, argument]
    done = subprocess.run(command, check=True, capture_output=True, text=True, cwd=ROOT)
    return float(done.stdout.splitlines()[-1])


def _on_cluster(workers: int, warm: Any, wanted: Any) -> float:
    """Seconds of a sweep on so many workers, which have swept `warm`; on this machine without Dask for none."""
    import distributed

    if not workers:
        fastrf.sweep(warm)
        return seconds(lambda: fastrf.sweep(wanted))
    options = {"threads_per_worker": 1, "dashboard_address": ":0", "memory_limit": None}
    with distributed.LocalCluster(n_workers=workers, **options) as made, distributed.Client(made) as client:
        fastrf.sweep(warm, client=client)
        return seconds(lambda: fastrf.sweep(wanted, client=client))


def main(what: str, argument: str) -> None:
    """One measure in this process."""
    if what == "darts":
        genotypes = DARTS().sample(int(argument), 0)
        fastrf.sweep(NASBench201().all()[:10])
        began = time.perf_counter()
        fastrf.sweep(genotypes)
        print(time.perf_counter() - began)
    elif what == "cluster":
        workers, count = map(int, argument.split(":"))
        print(_on_cluster(workers, DARTS().sample(20_000 * workers, 1), DARTS().sample(count, 0)))
    elif what == "own":
        workers, count = map(int, argument.split(":"))
        print(_on_cluster(workers, own_space(100 * workers + 8).all(), own_space(count)))
    else:
        print(json.dumps(_rival(what, int(argument))))


if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parent.parent))
    main(*sys.argv[1:])
