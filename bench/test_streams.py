"""Streams beside the same array written at once, uncompressed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import fastrf
from fastrf.queries import streams

pytest.importorskip("zarr")


def field() -> fastrf.ReceptiveField:
    return fastrf.analyze("resnet50", (3, 224, 224))["layer1"]


@pytest.mark.benchmark(group="streams")
def test_to_zarr(benchmark: Any, tmp_path: Path) -> None:
    one, names = field(), iter(range(1000))
    benchmark.pedantic(lambda: one.to_zarr(tmp_path / f"{next(names)}.zarr"), rounds=3)


@pytest.mark.benchmark(group="streams")
def test_to_dask(benchmark: Any) -> None:
    one = field()
    assert benchmark.pedantic(lambda: one.to_dask().sum().compute(), rounds=3) == one.areas().sum()


@pytest.mark.parametrize("ending", ["npy", "npz"])
@pytest.mark.benchmark(group="streams")
def test_to_file(benchmark: Any, tmp_path: Path, ending: str) -> None:
    stream = streams.Stream.of(field().positional, False, None)
    benchmark.pedantic(streams.to_file, (stream, tmp_path / f"masks.{ending}"), rounds=2)


@pytest.mark.benchmark(group="streams")
def test_save_for_comparison(benchmark: Any, tmp_path: Path) -> None:
    one = field()
    benchmark.pedantic(lambda: np.save(tmp_path / "masks.npy", one.masks()), rounds=2)
