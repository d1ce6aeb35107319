"""Every target with what is measured, for `docs/speed.md`: `python -m bench.report [--install] [--only WORD]`.

Each figure is a median, and a ratio to something in the same run where the target is one. What needs its peak
memory known runs in a process of its own.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

import fastrf
from bench import compare, sparse
from bench.anchoring import anchoring
from bench.assigned import assignment, effective_fields
from bench.autograd import position_seconds
from bench.captured import captured, one_line, onnx_files
from bench.decoders import decoders
from bench.explored import explorer
from bench.figure import Figure
from bench.pages import read_between, write_between
from bench.sweeps import cluster, sweeps
from bench.timing import alternating, median_seconds, parallel_fill, peak_megabytes, process_seconds
from fastrf.engine.memo import forget
from fastrf.field import ReceptiveField
from fastrf.queries import masks

__all__ = ["figures", "main"]


def _against_fill(what: str, target: float, repeats: int, make: Callable[..., masks.Dense]) -> Iterator[Figure]:
    """Bool and packed masks beside a parallel fill of the array that holds them."""
    for packed in (False, True):
        out = make(packed=packed, out=None)
        fill, write = alternating(parallel_fill(out), lambda: make(packed=packed, out=out), repeats)  # noqa: B023
        speed = out.nbytes / write / 1e9
        name = f"{what}, {'packed' if packed else 'bool'} ({out.nbytes / 1e6:.0f} MB)"
        measured = f"{fill / write:.2f} of a fill ({speed:.1f} GB/s)"
        yield Figure(name, f"at least {target} of a parallel fill", measured, fill / write >= target)


def _rows(field: ReceptiveField, count: int) -> np.ndarray:
    """As many positions from the middle of the map."""
    n = int(np.prod(field.position_shape))
    first = max(0, n // 2 - count // 2)
    return np.stack(np.unravel_index(np.arange(first, min(first + count, n)), field.position_shape), axis=1)


def dense_one_term(repeats: int, smoke: bool) -> Iterator[Figure]:
    """Dense masks of one term."""
    layer2 = fastrf.analyze("resnet50", (3, 224, 224))["layer2"]
    yield from _against_fill("masks, one term: ResNet-50 layer2 at 224", 0.8, repeats, layer2.masks)
    unet = fastrf.analyze("unet", (1, 512, 512)).output
    slab = _rows(unet, 64 if smoke else 4096)
    name = f"masks, one term: U-Net at 512, a slab of {len(slab)}"
    yield from _against_fill(name, 0.8, repeats, lambda **options: unet.masks(slab, **options))


def dense_several_terms(repeats: int, smoke: bool) -> Iterator[Figure]:
    """Dense masks of several terms; at their usual sizes the borders leave these maps one, so larger ones."""
    side = 512 if smoke else 1024
    mixed = fastrf.analyze("inception_v3", (3, side, side))["Mixed_7b"]
    name = f"masks, {len(mixed.positional.terms)} terms: Inception-v3 Mixed_7b at {side}"
    yield from _against_fill(name, 0.4, repeats, mixed.masks)
    dense = fastrf.analyze("densenet121", (3, 224, 224))["features.transition2.relu"]
    some = np.random.default_rng(0).integers(0, dense.shape, (50 if smoke else 2000, 3))
    name = f"masks of neurons, {len(dense.dependency.terms)} terms: DenseNet-121 transition2"
    yield from _against_fill(name, 0.4, repeats, lambda **options: dense.neuron_masks(some, **options))


def engine(repeats: int, smoke: bool) -> Iterator[Figure]:
    """All nodes of well-known networks."""
    targets = {"resnet50": 5, "resnet152": 12, "densenet121": 25, "unet": 3}
    for name, target in targets.items():
        network = fastrf.load(name, (1 if name == "unet" else 3, 224, 224))
        yield _engine_figure(name, network, target, repeats)
    if not smoke and importlib.util.find_spec("torchvision") is not None:
        import torchvision

        network = fastrf.load(torchvision.models.swin_t(weights=None), (3, 224, 224))
        yield _engine_figure("swin_t (captured)", network, 100, repeats)


def _engine_figure(name: str, network: fastrf.Network, target: int, repeats: int) -> Figure:
    fresh = median_seconds(lambda: fastrf.analyze(network), max(1, repeats // 3), before=forget)
    warm = median_seconds(lambda: fastrf.analyze(network), repeats)
    measured = f"{warm * 1e3:.1f} ms ({fresh * 1e3:.1f} ms remembering nothing)"
    return Figure(
        f"all {len(network.nodes)} nodes of {name} at 224, warm", f"{target} ms", measured, warm * 1e3 <= target
    )


def against_autograd(repeats: int, smoke: bool) -> Iterator[Figure]:
    """Masks of every position, engine included, beside a backward pass per position."""
    if importlib.util.find_spec("torchvision") is None:
        return
    for name, node, target in (("unet", None, 10_000), ("resnet50", "layer4", 1000)):
        side = 64 if smoke else 224
        network = fastrf.load(name, (1 if name == "unet" else 3, side, side))

        def run() -> masks.Dense:
            analysis = fastrf.analyze(network)  # noqa: B023 (called at once)
            return (analysis[node] if node else analysis.output).masks(packed=True)  # noqa: B023

        n = len(run())
        ours = median_seconds(run, max(1, repeats // 3), before=forget)
        plain = n * position_seconds(name, side, 1 if smoke else 3)
        yield Figure(
            f"exact packed masks of all {n} positions of {name} at {side}, engine included",
            f"{target:,} times faster than autograd",
            f"{ours * 1e3:.1f} ms, autograd {plain:,.1f} s (from a few positions): {plain / ours:,.0f} times",
            plain / ours >= target,
        )


def growth(_: int, smoke: bool) -> Iterator[Figure]:
    """Large images."""
    side = 448 if smoke else 14336
    for name in ("resnet50", "unet"):
        small, large = (_child("image", name, str(n)) for n in (224, side))
        ratio = large["seconds"] / small["seconds"]
        measured = f"{large['seconds']:.3f} s, {large['megabytes']:.0f} MB; {ratio:.1f} times the time at 224"
        met = large["seconds"] < 1 and large["megabytes"] < 500 and ratio <= side / 224
        yield Figure(
            f"{name} at {side}: all nodes and intervals", f"1 s, 500 MB, at most {side // 224} times", measured, met
        )


def long_axes(_: int, smoke: bool) -> Iterator[Figure]:
    """Volumes and long signals."""
    side, samples = (64, 100_000) if smoke else (512, 10_000_000)
    found = _child("volume", str(side))
    measured = f"{found['seconds']:.3f} s, {found['megabytes']:.0f} MB"
    yield Figure(f"3-D U-Net on {side}^3, all nodes", "1 s", measured, found["seconds"] < 1)
    found = _child("signal", str(samples))
    measured = f"{found['seconds']:.2f} s, {found['megabytes']:.0f} MB"
    met = found["seconds"] < 10 and found["megabytes"] < 2000
    yield Figure(f"WaveNet, 30 layers, on {samples:,} samples, its output", "10 s, 2 GB", measured, met)


def counting(repeats: int, smoke: bool) -> Iterator[Figure]:
    """Areas beside summing masks."""
    for name, node, side in (("densenet121", "relu", 224), ("inception_v3", "Mixed_7b", 299)):
        for size in (side,) if smoke else (side, 1024):
            field = fastrf.analyze(name, (3, size, size))[node]
            axes = tuple(range(1, 1 + len(field.pixel_shape)))
            plain, ours = alternating(lambda: field.masks().sum(axis=axes), field.areas, max(1, repeats // 3))  # noqa: B023
            what = f"areas of {name} {node} at {size}"
            measured = f"{ours * 1e3:.2f} ms, {plain / ours:,.0f} times"
            yield Figure(what, "20 times faster than masks, then sum", measured, plain / ours >= 20)


def sparse_matrices(repeats: int, smoke: bool) -> Iterator[Figure]:
    """`to_csr` beside products of layers' matrices."""
    side = 32 if smoke else 112
    network = fastrf.load("vgg16", (3, side, side))
    field = fastrf.analyze(network)["pool5" if "pool5" in network.by_name else sparse.last_window(network)]
    expected = sparse.product(network, field.name)
    assert (field.to_csr() != expected).nnz == 0
    plain, ours = alternating(lambda: sparse.product(network, field.name), field.to_csr, max(1, repeats // 5))
    measured = f"{ours * 1e3:.2f} ms against {plain * 1e3:.0f} ms: {plain / ours:,.0f} times"
    yield Figure(
        f"to_csr of VGG-16 {field.name} at {side}", "20 times faster than products", measured, plain / ours >= 20
    )


def threads(repeats: int, smoke: bool) -> Iterator[Figure]:
    """Two threads against one where computing masks outweighs writing them."""
    field = fastrf.analyze("densenet121", (3, 224, 224))["features.transition2.relu"]
    rows = np.random.default_rng(0).integers(0, int(np.prod(field.shape)), 100 if smoke else 20_000)
    out = masks.dense(field.dependency, rows, packed=True, out=None)

    def run(count: int) -> Callable[[], object]:
        return lambda: masks.dense(field.dependency, rows, packed=True, out=out, threads=count)

    one, two = alternating(run(1), run(2), repeats)
    yield Figure("two threads on masks of 13 terms", "1.6 times one", f"{one / two:.2f} times", one / two >= 1.6)


def cold_start(repeats: int, smoke: bool) -> Iterator[Figure]:
    """New processes."""
    count = 1 if smoke else max(3, repeats // 2)
    numpy_only, ours = (process_seconds("-c", f"import {name}", repeats=count) for name in ("numpy", "fastrf"))
    measured = f"{ours - numpy_only:+.3f} s ({ours:.3f} s against {numpy_only:.3f} s)"
    yield Figure("import fastrf", "0.1 s over import numpy", measured, ours - numpy_only < 0.1)
    with tempfile.TemporaryDirectory() as cache:
        masks = ("masks", "unet", "--input", "1x64x64", "--output", f"{cache}/masks.npy", "--overwrite")
        yield _command("fastrf summary resnet50", 4, 3 * count, cache, "summary", "resnet50")
        cold = process_seconds("-m", "fastrf", *masks, repeats=1, NUMBA_CACHE_DIR=cache)
        yield _command("fastrf masks unet at 64, kernels cached", 15, count, cache, *masks)
    yield Figure("fastrf masks unet at 64, nothing cached", "12 s", f"{cold:.2f} s", cold < 12)


def _command(what: str, target: float, repeats: int, cache: str, *words: str) -> Figure:
    """A command beside a process that imports NumPy and ends."""

    def run(*arguments: str) -> Callable[[], float]:
        return lambda: process_seconds(*arguments, repeats=1, NUMBA_CACHE_DIR=cache)

    bare, whole = alternating(run("-c", "import numpy"), run("-m", "fastrf", *words), repeats)
    measured = f"{whole / bare:.1f} times ({whole:.2f} s against {bare:.2f} s)"
    return Figure(what, f"{target} times import numpy", measured, whole <= target * bare)


def peers(_: int, smoke: bool) -> Iterator[Figure]:
    """Other tools on the models that they get right."""
    found = list(compare.answers(smoke))
    yield from against_peers([answer for answer in found if answer.tool != "fastrf" and answer.right])
    if not smoke:
        compare.write(found)


def against_peers(found: list[compare.Answer]) -> Iterator[Figure]:
    """Every node's exact field beside one width of another tool."""
    pairs = [answer for answer in found if answer.ours and answer.seconds and answer.analysis]
    slower = [answer for answer in pairs if answer.ours >= answer.seconds]  # type: ignore[operator]
    behind = [answer for answer in pairs if answer.analysis >= answer.seconds]  # type: ignore[operator]
    if not pairs:
        return
    names = ", ".join(f"{answer.tool} on {answer.model}" for answer in slower)
    whole = f"in {len(pairs) - len(slower)} with its capture" + (f" (slower than {names})" if names else "")
    measured = f"faster in {len(pairs) - len(behind)} of {len(pairs)}; {whole}"
    what = "all nodes of a module, exact, against every other tool's one width where that is right"
    yield Figure(what, "faster", measured, not slower)


_HEAD = "| what | target | measured | |"

#: Every measure by a word.
Measure = Callable[[int, bool], Iterator[Figure]]

MEASURES: dict[str, Measure] = {
    "dense": dense_one_term,
    "several": dense_several_terms,
    "engine": engine,
    "captured": captured,
    "line": one_line,
    "decoders": decoders,
    "onnx": onnx_files,
    "autograd": against_autograd,
    "growth": growth,
    "long": long_axes,
    "areas": counting,
    "assignment": assignment,
    "effective": effective_fields,
    "sparse": sparse_matrices,
    "threads": threads,
    "anchors": anchoring,
    "explorer": explorer,
    "cold": cold_start,
    "sweep": sweeps,
    "cluster": cluster,
    "peers": peers,
}


def _child(*arguments: str) -> dict[str, float]:
    command = [sys.executable, "-m", "bench.report", "--child", *arguments]
    found = subprocess.run(command, check=True, capture_output=True, text=True)
    return dict(json.loads(found.stdout))


def _in_child(kind: str, *arguments: str) -> dict[str, float]:
    """Seconds and peak megabytes of one analysis, kernels loaded beforehand."""
    from fastrf.cli.warmup import STAGES

    for compiles in STAGES.values():
        compiles()
    if kind == "image":
        name, side = arguments[0], int(arguments[1])
        network = fastrf.load(name, (1 if name == "unet" else 3, side, side))
    elif kind == "volume":
        network = fastrf.load("unet3d", (1, *[int(arguments[0])] * 3))
    else:
        network = fastrf.load("wavenet", (1, int(arguments[0])))
    began = time.perf_counter()
    analysis = fastrf.analyze(network, targets=[network.outputs[0]] if kind == "signal" else None)
    if kind == "image":
        (analysis["layer4"] if arguments[0] == "resnet50" else analysis.output).intervals(0)
    spent = time.perf_counter() - began
    return {"seconds": spent, "megabytes": peak_megabytes()}


def figures(smoke: bool, only: str | None = None) -> Iterator[Figure]:
    """Every figure; `smoke` measures once and small."""
    for name, measure in MEASURES.items():
        if only is None or only in name:
            yield from measure(1 if smoke else 15, smoke)


def row(figure: Figure) -> str:
    """A line of the table."""
    mark = "" if figure.met is None else "met" if figure.met else "**not met**"
    return f"| {figure.what} | {figure.target} | {figure.measured} | {mark} |"


def table(found: list[Figure], before: str) -> str:
    """The figures in Markdown; lines of the table `before` that none of them is about stay."""
    old = [line for line in before.splitlines() if line.startswith("| ") and line != _HEAD]
    lines = {line.split(" | ")[0].removeprefix("| "): line for line in old}
    lines |= {figure.what: row(figure) for figure in found}
    versions = f"Python {platform.python_version()}, NumPy {np.__version__}"
    machine = f"{versions}, {os.cpu_count()} cores, {platform.machine()}."
    return "\n".join([_HEAD, "|---|---|---|---|", *lines.values(), "", machine])


def main() -> None:
    """Measure, print as it goes, and write the table, or the lines of a part of it (unless smoke)."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--smoke", action="store_true", help="measure once and small, to see that all of it runs")
    parser.add_argument("--only", help=f"one of {', '.join(MEASURES)}")
    parser.add_argument("--install", action="store_true", help="install the other tools, without dependencies, first")
    parser.add_argument("--json", type=Path, help="write the figures here, too")
    parser.add_argument("--child", nargs="+", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.child:
        print(json.dumps(_in_child(*given.child)))
        return
    if given.install:
        compare.install()
    found = []
    for figure in figures(given.smoke, given.only):
        found.append(figure)
        missed = "NOT MET " if figure.met is False else ""
        print(f"{missed}{figure.what}: {figure.measured} (target: {figure.target})", flush=True)
    if given.json:
        given.json.write_text(json.dumps([vars(figure) for figure in found], indent=1))
    if not given.smoke:
        write_between("speed.md", "figures", table(found, read_between("speed.md", "figures") if given.only else ""))


if __name__ == "__main__":
    main()
