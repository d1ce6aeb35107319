"""From a PyTorch module to a Network: recorded, lowered, and beside `torch.export` alone."""

from __future__ import annotations

from typing import Any

import pytest

torchvision = pytest.importorskip("torchvision")

import fastrf  # noqa: E402
from fastrf.frontends.torch import capture, to_network  # noqa: E402  (needs torch)


@pytest.mark.parametrize("name", ["resnet18", "swin_t"])
@pytest.mark.benchmark(group="capture")
def test_recording(benchmark: Any, name: str) -> None:
    model = torchvision.models.get_model(name, weights=None).eval()
    assert benchmark.pedantic(fastrf.load, (model, (3, 224, 224)), rounds=3, warmup_rounds=1).nodes


@pytest.mark.parametrize("name", ["resnet18", "swin_t"])
@pytest.mark.benchmark(group="capture")
def test_lowering(benchmark: Any, name: str) -> None:
    exported = capture(torchvision.models.get_model(name, weights=None).eval(), (3, 224, 224))
    assert benchmark.pedantic(to_network, (exported,), rounds=3, warmup_rounds=1).nodes


@pytest.mark.benchmark(group="capture")
def test_export_for_comparison(benchmark: Any) -> None:
    model = torchvision.models.get_model("resnet18", weights=None).eval()
    assert benchmark.pedantic(capture, (model, (3, 224, 224)), rounds=1)
