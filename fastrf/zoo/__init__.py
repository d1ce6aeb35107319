"""Built-in architectures as plain specs: no weights, no download, no framework.

``names()`` lists them and ``build(name)`` returns the spec dict that a `Network` is made of.
A flat network is a JSON file beside this one; a network of repeated blocks is a small builder module,
imported when it is first asked for.
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
    """Names of the built-in architectures, grouped by family.

    >>> names()[:2]
    ['alexnet', 'vgg16']
    """
    return list(_ARCHITECTURES)


def build(name: str, input_shape: Sequence[int] | None = None) -> dict[str, Any]:
    """Spec of the built-in architecture ``name``.

    Parameters
    ----------
    name
        One of `names()`.
    input_shape
        ``(channels, *spatial)`` without a batch axis; ``None`` takes the network's customary size.
        Sizes the spec spells out (crops, resizes) are computed from it.

    Returns:
    -------
    dict
        ``{"name", "input_shape", "layers", "outputs"}`` of lists, strings, numbers and booleans only (ready for
        JSON); a fresh one at every call.

    Raises:
    ------
    KeyError
        ``name`` is not in the zoo; the message gives the closest names.
    ValueError
        ``input_shape`` has the wrong number of axes, an axis below 1, or is too small for the network.

    >>> build("resnet18", (3, 64, 64))["layers"][0]["name"]
    'conv1'
    """
    if name not in _ARCHITECTURES:
        raise KeyError(_unknown(name))
    module, default_shape = _ARCHITECTURES[name]
    shape = default_shape if input_shape is None else _checked_shape(name, input_shape, len(default_shape))
    if module.endswith(".json"):
        spec = json.loads(files(__name__).joinpath(module).read_text(encoding="utf-8"))
        return {**spec, "input_shape": list(shape)}
    make: Callable[[str, tuple[int, ...]], dict[str, Any]] = import_module(f"{__name__}.{module}").build
    return make(name, shape)


def _checked_shape(name: str, input_shape: Sequence[int], axes: int) -> tuple[int, ...]:
    """``input_shape`` as a tuple of ints; ValueError unless it has ``axes`` axes of at least 1."""
    shape = tuple(index(size) for size in input_shape)
    if len(shape) != axes or min(shape) < 1:
        spatial = {2: "length", 3: "height, width", 4: "depth, height, width"}[axes]
        raise ValueError(f"network {name!r} takes input_shape (channels, {spatial}) of sizes >= 1, got {shape}")
    return shape


def _unknown(name: str) -> str:
    """One-line message for a name that is not in the zoo."""
    hint = did_you_mean(name, _ARCHITECTURES, f"known: {', '.join(_ARCHITECTURES)}")
    return f"no built-in network {name!r}; {hint}"
