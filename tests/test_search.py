"""The search of docs/search.md, on a small budget."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from fastrf.spaces import DARTS

pytest.importorskip("pyarrow")
PAGE = Path(__file__).parent.parent / "docs" / "search.md"


def test_the_search_finds_what_it_looks_for():
    (code,) = re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)
    small = code.replace("population, generations, low, high = 64, 20", "population, generations, low, high = 12, 4")
    assert small != code
    names: dict[str, object] = {}
    exec(compile(small, str(PAGE), "exec"), names)
    history, rank, best = names["history"], names["rank"], names["best"]
    assert len(history) == 5
    ranks = [rank(row) for row in history]
    assert ranks == sorted(ranks, reverse=True)
    assert ranks[-1] < ranks[0]
    assert best["id"] in DARTS()
    assert names["penalty"](best) == 0
