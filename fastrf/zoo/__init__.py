"""Built-in architectures as plain specs: no weights, no download, no framework.

A flat network is a JSON file beside this one, a network of repeated blocks a module, imported when it is asked for.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from importlib import import_module
from importlib.resources import files
from operator import index
from typing import Any

from fastrf.errors import did_you_mean

__all__ = ["build", "names"]

# name -> (module of this package, or JSON file; default input shape without a batch axis)
_ARCHITECTURES: dict[str, tuple[str, tuple[int, ...]]] = {
    "alexnet": ("alexnet.json", (3, 227, 227)),
    "vgg16": ("vgg16.json", (3, 224, 224)),
    "resnet18": ("resnet", (3, 224, 224)),
    "resnet34": ("resnet", (3, 224, 224)),
    "resnet50": ("resnet", (3, 224, 224)),
    "resnet50_caffe": ("resnet", (3, 224, 224)),
    "resnet101": ("resnet", (3, 224, 224)),
    "resnet152": ("resnet", (3, 224, 224)),
    "mobilenet_v1": ("mobilenet", (3, 224, 224)),
    "inception_v3": ("inception", (3, 299, 299)),
    "densenet121": ("densenet", (3, 224, 224)),
    "unet": ("unet", (1, 512, 512)),
    "unet_valid": ("unet", (1, 572, 572)),
    "unet3d": ("unet3d", (1, 64, 64, 64)),
    "deeplabv3_resnet50": ("deeplab", (3, 520, 520)),
    "fpn_resnet50": ("fpn", (3, 800, 800)),
    "s3fd": ("s3fd", (3, 640, 640)),
    "lffd_8": ("lffd", (3, 640, 640)),
    "yolov5s": ("yolov5", (3, 640, 640)),
    "wavenet": ("wavenet", (1, 16000)),
    "tcn": ("tcn", (1, 1024)),
}


def names() -> list[str]:
    """Names of the built-in architectures, grouped by family."""
    return list(_ARCHITECTURES)


def build(name: str, input_shape: Sequence[int] | None = None) -> dict[str, Any]:
    """Spec of a built-in architecture: lists, strings, numbers and booleans alone, a fresh one at every call.

    `input_shape` is `(channels, *spatial)` without a batch (default: the network's customary size); sizes that the spec
    spells out (crops, resizes) are computed from it. Raises KeyError for a name that is not in the zoo, ValueError for
    a wrong number of axes, an axis below 1, or an input too small for the network.
    """
    if name not in _ARCHITECTURES:
        hint = did_you_mean(name, _ARCHITECTURES, f"known: {', '.join(_ARCHITECTURES)}")
        raise KeyError(f"no built-in network {name!r}; {hint}")
    module, default_shape = _ARCHITECTURES[name]
    shape = default_shape if input_shape is None else _checked_shape(name, input_shape, len(default_shape))
    if module.endswith(".json"):
        spec = json.loads(files(__name__).joinpath(module).read_text(encoding="utf-8"))
        return {**spec, "input_shape": list(shape)}
    make: Callable[[str, tuple[int, ...]], dict[str, Any]] = import_module(f"{__name__}.{module}").build
    return make(name, shape)


def _checked_shape(name: str, input_shape: Sequence[int], axes: int) -> tuple[int, ...]:
    shape = tuple(index(size) for size in input_shape)
    shape = shape[1:] if len(shape) == axes + 1 and shape[0] == 1 else shape  # a batch
    if len(shape) != axes or min(shape) < 1:
        spatial = {2: "length", 3: "height, width", 4: "depth, height, width"}[axes]
        raise ValueError(f"network {name!r} takes input_shape (channels, {spatial}) of sizes >= 1, got {shape}")
    return shape
