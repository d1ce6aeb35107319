"""Networks whose pages are opened, and their pages, each made once for a process."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Any

import pytest

import fastrf

__all__ = ["HOLES", "MODELS", "THREE", "analysis", "page_of"]

#: The source and the shape of its input; None where the zoo has one, a word with a dot for a model of torchvision's.
MODELS: dict[str, tuple[str, tuple[int, ...] | None]] = {
    "alexnet": ("alexnet", None),
    "resnet50": ("resnet50", (3, 224, 224)),
    "unet": ("unet", (1, 256, 256)),
    "densenet121": ("densenet121", (3, 224, 224)),
    "shufflenet": ("torchvision.shufflenet_v2_x0_5", (3, 128, 160)),
    "swin_t": ("torchvision.swin_t", (3, 224, 224)),
    "tcn": ("tcn", (1, 1024)),
    "unet3d": ("unet3d", (1, 32, 48, 32)),
}
#: One of each number of axes.
THREE = ["resnet50", "tcn", "unet3d"]
#: What positions see of it has holes.
HOLES = {"near": [2, 1, 0, 1], "far": [3, 1, 4, 4]}
#: One that many layers read.
READ_BY_MANY = [
    fastrf.conv(2, 3, name="stem"),
    *[fastrf.conv(2, 1, name=f"branch{k}", inputs="stem") for k in range(14)],
    fastrf.concat(0, name="joined", inputs=[f"branch{k}" for k in range(14)]),
]


@functools.cache
def analysis(name: str) -> fastrf.Analysis:
    """The analysis of a model; skips the test where torchvision is missing."""
    source, shape = MODELS[name]
    library, _, factory = source.rpartition(".")
    model: Any = source
    if library:
        model = getattr(pytest.importorskip(library).models, factory)(weights=None).eval()
    return fastrf.analyze(model, shape)


@functools.cache
def page_of(name: str, folder: Path) -> Path:
    """The page of a model, in a folder; of "two" that are compared, and of one with a layer that "many" read."""
    path = folder / f"{name}.html"
    if name == "two":
        old, new = (fastrf.analyze(source, (3, 64, 64)) for source in ("resnet18", "resnet101"))
        fastrf.report(new, path, against=old)
    elif name == "many":
        fastrf.report(fastrf.analyze(READ_BY_MANY, (3, 12, 16)), path)
    elif name == "holes":
        fastrf.report(fastrf.analyze(HOLES, (1, 24, 24)), path)
    else:
        fastrf.report(analysis(name), path)
    return path
