"""Sweeps of PyTorch modules among other networks."""

from __future__ import annotations

import pytest

import fastrf

torch = pytest.importorskip("torch")
pytest.importorskip("pyarrow")


class Raises(torch.nn.Module):
    def forward(self, _):
        raise KeyError("not today")


def test_modules_are_candidates():
    nn = torch.nn
    modules = [("plain", nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU()), (3, 8, 8)), ("raises", Raises(), (3, 8, 8))]
    result = fastrf.sweep([*modules, ("torch", "torch.nn:ReLU", (3, 8, 8))], metrics=["size", "parameters"])
    plain, raises, relu = result.to_rows()
    assert (plain["size_x"], plain["parameters"]) == (3, 112)
    assert not raises["ok"]
    assert "not today" in raises["error"]
    assert relu["size_x"] == 1
