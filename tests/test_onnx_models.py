"""Whole ONNX models: those of the onnx package against gradients, exported ones against the PyTorch front-end."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import fastrf

onnx = pytest.importorskip("onnx")

from fastrf.frontends.onnx.nodes import printable  # noqa: E402
from tests.onnx_oracle.cases import DATA  # noqa: E402

#: Receptive field, stride and padding of the last map, as published for the classic layers of these networks.
LIGHT = {
    "bvlc_alexnet": (195, 32, 64),
    "densenet121": (2071, 32, 1021),
    "inception_v1": (715, 32, 327),
    "inception_v2": (699, 32, 343),
    "resnet50": (427, 32, 213),
    "shufflenet": (527, 32, 263),
    "squeezenet": (207, 16, 88),
    "vgg19": (268, 32, 118),
    "zfnet512": (155, 32, 48),
}
NODES, NEURONS = 10, 4


def path(name: str) -> Path:
    return DATA / "light" / f"light_{name}.onnx"


def last_map(analysis: Any) -> Any:
    maps = [name for name in analysis if len(analysis[name].shape) == 3 and analysis[name].shape[1] > 1]
    return analysis[maps[-1]]


@pytest.mark.parametrize("name", LIGHT)
def test_light_models_have_the_reference_numbers(name: str) -> None:
    analysis = fastrf.analyze(str(path(name)))
    field = last_map(analysis)
    size, stride, padding = LIGHT[name]
    assert (field.size, field.stride, field.padding) == ((size,) * 2, (stride,) * 2, (padding,) * 2)
    assert analysis.output.exact
    assert analysis.output.shape[0] == 1000
    text = str(analysis.summary())
    assert f" {size} " in text


@pytest.mark.parametrize("name", LIGHT)
@pytest.mark.slow
def test_light_models_equal_gradients(name: str, rng: np.random.Generator) -> None:
    """40 random neurons of 10 random nodes of each, corners included, at the models' own size."""
    pytest.importorskip("torch")
    from tests.onnx_oracle.gradient import Gradients

    model = onnx.load(path(name))
    analysis = fastrf.analyze(model)
    gradients = Gradients(model)
    layers = {output: printable(node.name or output) for node in model.graph.node for output in node.output}
    names = [tensor for tensor in gradients.names() if layers.get(tensor) in analysis]
    compared = 0
    for tensor in rng.choice(names, NODES, replace=False):
        field, full = analysis[layers[tensor]], gradients.shape(tensor)
        for k in range(NEURONS):
            corner = [0 if k == 0 else n - 1 for n in full]
            index = tuple(corner) if k < 2 else tuple(int(rng.integers(n)) for n in full)
            mine = field.neuron_mask(index[len(full) - len(field.shape) :])
            np.testing.assert_array_equal(mine, gradients.mask(tensor, index), f"{tensor} {index}")
            compared += 1
    assert compared == NODES * NEURONS


#: Exported at small sizes: torchvision's and (with timm:) timm's.
EXPORTED = {
    "alexnet": 95,
    "densenet121": 64,
    "efficientnet_b0": 64,
    "googlenet": 64,
    "inception_v3": 107,
    "mnasnet0_5": 64,
    "mobilenet_v2": 64,
    "mobilenet_v3_small": 64,
    "regnet_x_400mf": 64,
    "regnet_y_400mf": 64,
    "resnet18": 65,
    "resnet50": 64,
    "resnext50_32x4d": 64,
    "shufflenet_v2_x0_5": 64,
    "squeezenet1_1": 64,
    "vgg11_bn": 64,
    "convnext_tiny": 64,
    "swin_t": 64,
    "vit_b_32": 224,
    "maxvit_t": 224,
    "segmentation.fcn_resnet50": 64,
    "segmentation.deeplabv3_mobilenet_v3_large": 65,
    "segmentation.lraspp_mobilenet_v3_large": 64,
    "video.r3d_18": (3, 4, 32, 32),
    "timm:mixer_s32_224": 224,
    "timm:resmlp_12_224": 224,
    "timm:ghostnet_050": 64,
    "timm:hrnet_w18_small": 64,
    "timm:repvgg_a0": 64,
    "timm:deit_tiny_patch16_224": 224,
}


def built(name: str) -> tuple[Any, tuple[int, ...]]:
    """A model without trained weights, and its input shape."""
    size = EXPORTED[name]
    shape = size if isinstance(size, tuple) else (3, size, size)
    if name.startswith("timm:"):
        return pytest.importorskip("timm").create_model(name[5:], pretrained=False).eval(), shape
    place: Any = pytest.importorskip("torchvision").models
    for part in name.split("."):
        place = getattr(place, part)
    options = {"weights": None}
    if name.startswith("segmentation."):
        options["weights_backbone"] = None
    if name in ("googlenet", "inception_v3"):
        options |= {"init_weights": False, "aux_logits": False}
    return place(**options).eval(), shape


@pytest.mark.acceptance
@pytest.mark.parametrize("name", EXPORTED)
@pytest.mark.slow
def test_exported_models_equal_the_pytorch_frontend(name: str, tmp_path: Path, rng: np.random.Generator) -> None:
    """The same nodes of both graphs, by the names that the exporter notes: random neurons, corners included."""
    torch = pytest.importorskip("torch")
    pytest.importorskip("onnxscript")
    module, shape = built(name)
    file = tmp_path / "model.onnx"
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")
        exported = torch.export.export(module, (torch.rand(1, *shape),)).run_decompositions({})
        program = torch.onnx.export(exported, (), dynamo=True, verbose=False, optimize=False)
        program.save(str(file), external_data=True)
        torch_analysis = fastrf.analyze(exported)
    file.with_name(file.name + ".data").unlink(missing_ok=True)  # weights are never read
    analysis = fastrf.analyze(file)
    pairs = same_nodes(file, analysis, torch_analysis)
    outputs = zip(analysis.network.outputs, torch_analysis.network.outputs, strict=True)
    chosen = [pairs[k] for k in rng.choice(len(pairs), min(10, len(pairs)), replace=False)] + list(outputs)
    assert len(chosen) > 8
    for mine, theirs in chosen:
        first, second = analysis[mine], torch_analysis[theirs]
        assert (first.shape, first.exact) == (second.shape, second.exact), (mine, theirs)
        for k in range(NEURONS):
            corner = tuple(0 if k == 0 else n - 1 for n in first.shape)
            index = corner if k < 2 else tuple(int(rng.integers(n)) for n in first.shape)
            np.testing.assert_array_equal(
                first.neuron_mask(index), second.neuron_mask(index), f"{mine} {theirs} {index}"
            )


def same_nodes(file: Path, analysis: Any, torch_analysis: Any) -> list[tuple[str, str]]:
    """Layers of the file and of the captured graph that stand for one PyTorch node and have one shape."""
    found = {}
    for node in onnx.load(file, load_external_data=False).graph.node:
        scopes = next((p.value for p in node.metadata_props if p.key == "pkg.torch.onnx.name_scopes"), "")
        theirs = scopes.rpartition(", '")[2].rstrip("']")
        if theirs in torch_analysis and node.name in analysis:
            found[theirs] = node.name  # the last of several is the result
    return [(mine, theirs) for theirs, mine in found.items() if analysis[mine].shape == torch_analysis[theirs].shape]
