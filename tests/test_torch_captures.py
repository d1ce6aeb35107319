"""Models of torchvision and timm, recorded and exported: every module has the same field."""

from __future__ import annotations

from typing import Any

import pytest

import fastrf

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.slow

MODELS: dict[str, tuple[int, ...]] = {
    **dict.fromkeys(
        ("alexnet", "resnet18", "efficientnet_b0", "convnext_tiny", "swin_t", "shufflenet_v2_x0_5"), (3, 96, 96)
    ),
    **{
        "inception_v3": (3, 111, 111),
        "vit_b_32": (3, 224, 224),
        "r3d_18": (3, 6, 48, 48),
        "lraspp_mobilenet_v3_large": (3, 96, 96),
    },
    **{"timm/mixer_s32_224": (3, 224, 224), "timm/pvt_v2_b0": (3, 64, 64), "timm/halonet26t": (3, 256, 256)},
}


@pytest.mark.parametrize("name", MODELS)
def test_both_captures_tell_the_same_of_every_module(name: str) -> None:
    model, shape = made(name), MODELS[name]
    recorded = fastrf.analyze(model, shape, capture="record")
    exported = fastrf.analyze(model, shape, capture="export")
    named = [module for module, _ in model.named_modules() if module in exported.network.returns]
    assert named
    for module in named:
        ours, theirs = recorded[module], exported[module]
        assert ours.dependency == theirs.dependency, module
        said = [str((field.shape, field.exact, field.size, field.stride, field.start)) for field in (ours, theirs)]
        assert said[0] == said[1], module


def made(name: str) -> Any:
    """A model without its weights."""
    library, _, own = name.rpartition("/")
    if library:
        return pytest.importorskip("timm").create_model(own, pretrained=False)
    given = {"lraspp": {"weights_backbone": None}, "inception": {"init_weights": False}}.get(own.partition("_")[0], {})
    return pytest.importorskip("torchvision").models.get_model(own, weights=None, **given)
