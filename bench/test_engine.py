"""All nodes of networks, remembering nothing, beside one forward pass of the same kind of model."""

from __future__ import annotations

from typing import Any

import pytest

import fastrf
from fastrf.engine.memo import forget


@pytest.mark.parametrize("name", ["resnet50", "resnet152", "densenet121", "inception_v3", "unet", "wavenet"])
@pytest.mark.benchmark(group="engine")
def test_all_nodes_fresh(benchmark: Any, name: str) -> None:
    network = fastrf.load(name)
    analysis = benchmark.pedantic(fastrf.analyze, (network,), setup=forget, rounds=5)
    assert len(analysis) == len(network.nodes) + 1


@pytest.mark.parametrize("name", ["resnet50", "resnet152", "densenet121", "unet"])
@pytest.mark.benchmark(group="engine")
def test_all_nodes_warm(benchmark: Any, name: str) -> None:
    network = fastrf.load(name)
    assert benchmark(fastrf.analyze, network)


@pytest.mark.benchmark(group="engine")
def test_a_loop_of_300_steps(benchmark: Any) -> None:
    layers: list[dict[str, Any]] = []
    for t in range(300):
        layers.append({"name": f"x{t}", "op": "slice", "axis": 1, "start": t, "stop": t + 1, "inputs": ["input"]})
        layers.append({"name": f"h{t}", "op": "add", "inputs": [f"x{t}", f"h{t - 1}"] if t else [f"x{t}", f"x{t}"]})
    layers.append({"name": "states", "op": "concat", "axis": 1, "inputs": [f"h{t}" for t in range(300)]})
    network = fastrf.load({"input_shape": [32, 300], "layers": layers})
    assert benchmark.pedantic(fastrf.analyze, (network,), setup=forget, rounds=3).output.exact


@pytest.mark.benchmark(group="engine")
def test_forward_pass_for_comparison(benchmark: Any) -> None:
    torch, torchvision = pytest.importorskip("torch"), pytest.importorskip("torchvision")
    model, image = torchvision.models.resnet50().eval(), torch.rand(1, 3, 224, 224)
    with torch.no_grad():
        benchmark.pedantic(model, (image,), rounds=3, warmup_rounds=1)


@pytest.mark.benchmark(group="engine")
def test_summary(benchmark: Any) -> None:
    assert benchmark(lambda: fastrf.analyze("resnet50").summary()).rows
