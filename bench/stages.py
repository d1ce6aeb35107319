"""Every figure with its target: `python -m bench.stages [--smoke]`.

*warm* is with compiled kernels and remembered compositions, *fresh* with compiled kernels only.
"""

from __future__ import annotations

import argparse
import importlib.util
import subprocess
import sys
import time
import tracemalloc
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from rich.console import Console
from rich.table import Table

import fastrf
from bench.timing import median_seconds
from fastrf.memory import forget

__all__ = ["Figure", "figures", "main"]


@dataclass(frozen=True)
class Figure:
    """A measured figure, its unit, and what it should be at most (None: for information)."""

    name: str
    value: float
    unit: str
    target: float | None = None


def engine(repeats: int) -> Iterator[Figure]:
    """All layers of built-in networks."""
    for name, target in (("resnet50", 10.0), ("densenet121", 50.0), ("unet", None), ("inception_v3", None)):
        network = fastrf.load(name, (1 if name == "unet" else 3, 224, 224))
        fresh = median_seconds(lambda: fastrf.analyze(network), repeats, before=forget)  # noqa: B023 (called at once)
        warm = median_seconds(lambda: fastrf.analyze(network), repeats)  # noqa: B023
        yield Figure(f"{name} at 224, all layers, fresh", fresh * 1e3, "ms", target)
        yield Figure(f"{name} at 224, all layers, warm", warm * 1e3, "ms", target)


def growth(repeats: int, smoke: bool) -> Iterator[Figure]:
    """Time against image side; 1 is linear."""
    sides = (224, 448) if smoke else (224, 448, 896, 1792, 3584)
    times = []
    for side in sides:
        network = fastrf.load("resnet50", (3, side, side))
        times.append(median_seconds(lambda: fastrf.analyze(network), repeats, before=forget))  # noqa: B023
        yield Figure(f"resnet50 at {side}, all layers, fresh", times[-1] * 1e3, "ms")
    ratio = (times[-1] / times[0]) / (sides[-1] / sides[0])
    yield Figure(f"growth of time over growth of side, {sides[0]} to {sides[-1]}", ratio, "ratio", 1.0)


def masks(repeats: int) -> Iterator[Figure]:
    """Dense masks beside a fill of the same array."""
    field = fastrf.analyze("resnet50", (3, 224, 224))["layer2"]
    out = np.empty((784, 224, 224), bool)
    fill = median_seconds(lambda: out.fill(True), repeats)
    write = median_seconds(lambda: field.masks(out=out), repeats)
    yield Figure("resnet50 layer2, 784 masks, against one thread's fill of the array", write / fill, "ratio")
    yield Figure("resnet50 layer2, areas without masks", median_seconds(field.areas, repeats) * 1e3, "ms")


def pytorch(repeats: int, smoke: bool) -> Iterator[Figure]:
    """Analysis of captured models beside one forward pass of the same model, batch 1; capture is reported apart."""
    if importlib.util.find_spec("torchvision") is None:
        return
    import torch
    import torchvision

    from fastrf.frontends.torch import capture, to_network

    wanted = {"resnet50": 1 / 20, "densenet121": 1 / 10, "swin_t": 1.0, "vit_b_16": 1 / 10}
    for name, target in list(wanted.items())[: 1 if smoke else None]:
        model = torchvision.models.get_model(name, weights=None).eval()
        image = torch.rand(1, 3, 224, 224)
        began = time.perf_counter()
        exported = capture(model, (3, 224, 224))
        captured = time.perf_counter()
        network = to_network(exported)
        lowered = time.perf_counter()
        with torch.no_grad():
            forward = median_seconds(lambda: model(image), repeats)  # noqa: B023 (called at once)
        fresh = median_seconds(lambda: fastrf.analyze(network), repeats, before=forget)  # noqa: B023
        warm = median_seconds(lambda: fastrf.analyze(network), repeats)  # noqa: B023
        yield Figure(f"{name} captured: all nodes, warm, over one forward pass", warm / forward, "ratio", target)
        yield Figure(f"{name} captured: all nodes, fresh, over one forward pass", fresh / forward, "ratio")
        yield Figure(f"{name} captured: all nodes, warm", warm * 1e3, "ms")
        yield Figure(f"{name}: memory of the analysis", _analysis_megabytes(network), "MB", 200.0)
        yield Figure(f"{name}: capture by torch.export", captured - began, "s")
        yield Figure(f"{name}: captured graph to network", lowered - captured, "s")


def _analysis_megabytes(network: fastrf.Network) -> float:
    """Peak of what Python and NumPy allocate during an analysis that remembers nothing yet."""
    forget()
    tracemalloc.start()
    fastrf.analyze(network)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return peak / 2**20


def cold_start(repeats: int) -> Iterator[Figure]:
    """New processes: the import, and a first summary with compiled kernels."""

    def run(*command: str) -> None:
        subprocess.run([sys.executable, *command], check=True, capture_output=True)

    bare = median_seconds(lambda: run("-c", "pass"), repeats)
    yield Figure("import fastrf", (median_seconds(lambda: run("-c", "import fastrf"), repeats) - bare) * 1e3, "ms")
    yield Figure(
        "fastrf summary alexnet", median_seconds(lambda: run("-m", "fastrf", "summary", "alexnet"), repeats), "s"
    )


def figures(smoke: bool) -> Iterator[Figure]:
    """Every figure; `smoke` measures once and small."""
    repeats = 1 if smoke else 9
    yield from engine(repeats)
    yield from growth(repeats, smoke)
    yield from masks(repeats)
    yield from pytorch(repeats, smoke)
    yield from cold_start(1 if smoke else 3)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--smoke", action="store_true", help="measure once and small, to see that all of it runs")
    table = Table("figure", "measured", "target")
    for figure in figures(parser.parse_args().smoke):
        target = (
            "" if figure.target is None else f"{figure.target:g} {'met' if figure.value <= figure.target else 'MISSED'}"
        )
        table.add_row(figure.name, f"{figure.value:.3g} {figure.unit}", target)
    Console(width=120).print(table)


if __name__ == "__main__":
    main()
