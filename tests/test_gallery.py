"""The gallery is what `python -m bench.gallery` writes, to the byte; `tests/test_docs.py` runs the page's code."""

from __future__ import annotations

import io

import numpy as np
import pytest

from bench import gallery
from fastrf import plot
from tests.snippets import ROOT

pytest.importorskip("matplotlib").use("agg")
from PIL import Image  # noqa: E402 (the extra may be missing)

DOCS = ROOT / "docs"
PICTURES = [*gallery.ELSEWHERE, *(f"gallery/{one.name}.png" for one in gallery.ENTRIES)]


def pixels_of(content):
    return np.asarray(Image.open(io.BytesIO(content)), float)


def test_the_page_is_what_is_written():
    assert (DOCS / "gallery" / "index.md").read_text() == gallery.page()
    assert sorted(path.name for path in (DOCS / "gallery").iterdir()) == sorted(
        ["index.md", *(f"{one.name}.png" for one in gallery.ENTRIES)]
    )


def test_every_function_has_its_picture():
    code = "".join(one.code for one in gallery.ENTRIES)
    assert [name for name in plot.__all__ if f"plot.{name}(" not in code] == []


def test_pictures_are_small():
    assert sum((DOCS / name).stat().st_size for name in PICTURES) < 1_500_000
    assert all(max(pixels_of((DOCS / name).read_bytes()).shape) <= 1500 for name in PICTURES)


@pytest.mark.parametrize("only", ["holes", "coverage"])
def test_two_runs_write_the_same_bytes(only):
    ((place, first),), ((_, second),) = (list(gallery.pictures(only)) for _ in range(2))
    assert first == second
    now, kept = (pixels_of(content) for content in (first, (DOCS / place).read_bytes()))
    if now.shape == kept.shape:  # other versions of matplotlib's fonts draw other letters
        assert np.abs(now - kept).mean() < 8
