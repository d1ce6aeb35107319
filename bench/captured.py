"""Models of other frameworks: analysis beside a forward pass, and ONNX files without their weights."""

from __future__ import annotations

import importlib.util
import tempfile
import tracemalloc
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from statistics import median

import fastrf
from bench.figure import Figure
from bench.timing import median_seconds, process_seconds
from fastrf.engine.memo import forget

__all__ = ["captured", "one_line", "onnx_files"]

#: The share of a forward pass that analysing all nodes may take.
SHARES = {
    "resnet50": Fraction(1, 20),
    "densenet121": Fraction(1, 10),
    "swin_t": Fraction(1),
    "vit_b_16": Fraction(1, 10),
}
#: How many forward passes it may take to get from the module to the network.
CAPTURES = {"resnet50": 1.0, "densenet121": 2.0, "swin_t": 1.5, "vit_b_16": 2.0}


def captured(repeats: int, smoke: bool) -> Iterator[Figure]:
    """Capture and analysis of modules at 224, batch 1, beside a forward pass, all on one thread."""
    if importlib.util.find_spec("torchvision") is None:
        return
    import torch
    import torchvision

    torch.set_num_threads(1)
    for name, share in list(SHARES.items())[: 1 if smoke else None]:
        model = torchvision.models.get_model(name, weights=None).eval()
        image = torch.rand(1, 3, 224, 224)
        network = fastrf.load(model, (3, 224, 224))
        loading = median_seconds(lambda: fastrf.load(model, (3, 224, 224)), repeats)  # noqa: B023 (called at once)
        with torch.no_grad():
            forward = median_seconds(lambda: model(image), repeats)  # noqa: B023 (called at once)
        fresh = median_seconds(lambda: fastrf.analyze(network), repeats, before=forget)  # noqa: B023
        warm = median_seconds(lambda: fastrf.analyze(network), repeats)  # noqa: B023
        yield Figure(
            f"{name} captured, all nodes, over one forward pass",
            f"{share}",
            f"{warm / forward:.3f} ({warm * 1e3:.1f} ms; {fresh / forward:.3f} remembering nothing)",
            warm / forward <= share,
        )
        megabytes = _analysis_megabytes(network)
        yield Figure(f"{name} captured, memory of the analysis", "200 MB", f"{megabytes:.1f} MB", megabytes <= 200)
        yield Figure(
            f"{name}, from module to network, over one forward pass",
            f"{CAPTURES[name]:g}",
            f"{loading / forward:.2f} ({loading * 1e3:.0f} ms)",
            loading / forward <= CAPTURES[name],
        )


_SUMMARY = (
    "import fastrf, torchvision; print(fastrf.analyze(torchvision.models.resnet50(), (3, 224, 224)).summary(depth=2))"
)
_FORWARD = "import torch, torchvision; print(torchvision.models.resnet50()(torch.rand(1, 3, 224, 224)).shape)"


def one_line(repeats: int, smoke: bool) -> Iterator[Figure]:
    """A process that prints a summary of a module beside one that runs the module."""
    if importlib.util.find_spec("torchvision") is None:
        return
    turns = range(1 if smoke else max(3, repeats // 2))
    pairs = [[process_seconds("-c", line, repeats=1) for line in (_SUMMARY, _FORWARD)] for _ in turns]
    ours, theirs = zip(*pairs, strict=True)
    mine, plain = median(ours), median(theirs)
    yield Figure(
        "resnet50 in one line, module to printed summary, over the same line with a forward pass instead",
        "1.5",
        f"{mine / plain:.2f} ({mine:.1f} s)",
        mine / plain <= 1.5,
    )


def _analysis_megabytes(network: fastrf.Network) -> float:
    """Peak of what Python and NumPy allocate during an analysis that remembers nothing yet."""
    forget()
    tracemalloc.start()
    fastrf.analyze(network)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return peak / 2**20


def onnx_files(repeats: int, smoke: bool) -> Iterator[Figure]:
    """The largest light model, warm, the peak memory on 2 GB of weights in the file, and a detector's joined heads."""
    if importlib.util.find_spec("onnx") is None:
        return
    from bench.onnx_files import LIGHT, peak_mb, write_big, write_detector

    seconds = median_seconds(lambda: fastrf.analyze(str(LIGHT)), repeats)
    yield Figure(f"{LIGHT.name}, read and analysed, warm", "1 s", f"{seconds:.2f} s", seconds < 1)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "big.onnx"
        write_big(path, 64 if smoke else 2048)
        peak = peak_mb(path)
        size = path.stat().st_size / 2**30
        yield Figure(f"peak memory on an ONNX file of {size:.1f} GiB", "300 MB", f"{peak:.0f} MB", peak < 300)
        path = Path(folder) / "detector.onnx"
        count = write_detector(path, 128 if smoke else 640)

        def analysed() -> None:
            forget()
            fastrf.analyze(str(path))

        seconds, peak = median_seconds(analysed, repeats), peak_mb(path)
    told = f"{seconds:.2f} s, {peak:.0f} MB"
    yield Figure(f"ONNX detector of {count:,} anchors, joined", "1 s, 300 MB", told, seconds < 1 and peak < 300)
