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


def stack(config):
    nn = torch.nn
    layers = [nn.Conv2d(3, config["width"], config["kernel"], padding=config["kernel"] // 2), nn.ReLU()]
    layers += [nn.Conv2d(config["width"], 4, 3, stride=2, dilation=config["dilation"]), nn.MaxPool2d(2)]
    return nn.Sequential(*layers)


def test_modules_of_a_space_of_ones_own(monkeypatch):
    configs = [{"width": w, "kernel": k, "dilation": d} for w in (4, 8) for k in (1, 3) for d in (1, 2, 9)]
    space = fastrf.spaces.Custom(stack, configs, input_shape=(3, 16, 16))
    shared = fastrf.sweep(space)
    monkeypatch.setattr("fastrf.sweeps.walks.MAX_LENGTH", -1)  # each by itself
    assert fastrf.sweep(space).to_rows() == shared.to_rows()
    assert shared.n_failed == 4
    assert [row["dilation"] for row in shared.to_rows() if not row["ok"]] == [9] * 4
    monkeypatch.setattr("fastrf.sweeps.threads.ALONE_SECONDS", 1e-9)
    monkeypatch.setattr("fastrf.sweeps.threads.WORTH_SECONDS", 1e-9)
    assert fastrf.sweep(space, workers=2).to_rows() == shared.to_rows()
