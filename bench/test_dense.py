"""Dense masks beside a parallel fill of the same bytes, and the plain NumPy way."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import fastrf
from bench.timing import parallel_fill


def chosen(name: str) -> fastrf.ReceptiveField:
    if name == "resnet50":
        return fastrf.analyze("resnet50", (3, 224, 224))["layer2"]
    return fastrf.analyze("inception_v3", (3, 1024, 1024))["Mixed_7b"]


@pytest.mark.parametrize("packed", [False, True], ids=["bool", "packed"])
@pytest.mark.parametrize("name", ["resnet50", "inception_v3"])
@pytest.mark.benchmark(group="dense")
def test_masks(benchmark: Any, name: str, packed: bool) -> None:
    field = chosen(name)
    out = field.masks(packed=packed)
    benchmark(field.masks, packed=packed, out=out)


@pytest.mark.parametrize("packed", [False, True], ids=["bool", "packed"])
@pytest.mark.parametrize("name", ["resnet50", "inception_v3"])
@pytest.mark.benchmark(group="dense")
def test_fill_for_comparison(benchmark: Any, name: str, packed: bool) -> None:
    benchmark(parallel_fill(chosen(name).masks(packed=packed)))


@pytest.mark.benchmark(group="dense")
def test_numpy_for_comparison(benchmark: Any) -> None:
    """Boxes drawn one after another, which is right only where there are no holes."""
    field = chosen("resnet50")
    boxes = field.boxes().reshape(-1, 2, 2)
    out = np.empty((len(boxes), *field.pixel_shape), bool)

    def draw() -> None:
        out[...] = False
        for plane, ((top, bottom), (left, right)) in zip(out, boxes, strict=True):
            plane[top:bottom, left:right] = True

    benchmark(draw)
    assert (out == field.masks()).all()
