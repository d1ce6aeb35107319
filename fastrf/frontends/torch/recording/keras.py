"""Keras models on the PyTorch backend: their layers are modules, but are called in Keras's own way."""

from __future__ import annotations

import contextlib
import functools
import sys
from collections.abc import Callable, Iterator
from typing import Any
from unittest.mock import patch

__all__ = ["is_keras", "is_seed", "layers_of", "noticed"]


def is_keras(model: Any) -> bool:
    """Whether a module is a layer or model of Keras, without importing it: who has one has imported it."""
    keras = sys.modules.get("keras")
    return keras is not None and isinstance(model, keras.Layer)


def is_seed(name: str) -> bool:
    """Whether a parameter is what Keras keeps of a random generator, which it does not count."""
    return name.startswith("_torch_params.") and name.endswith("/seed_generator_state")


def layers_of(model: Any, above: str = "") -> dict[Any, list[str]]:
    """Every name that each layer has, such as "block1_conv1"; those of a model within the model are "inner.conv"."""
    names: dict[Any, list[str]] = {} if above else {model: [""]}
    for layer in getattr(model, "layers", None) or getattr(model, "_layers", None) or ():
        name = f"{above}.{layer.name}" if above else layer.name
        names.setdefault(layer, []).append(name)
        for inner, inner_names in layers_of(layer, name).items():
            names.setdefault(inner, []).extend(inner_names)
    return names


@contextlib.contextmanager
def noticed(enter: Callable[[Any, Any], None], leave: Callable[[Any, Any, Any], None]) -> Iterator[None]:
    """While it lasts, calls of layers are told as hooks of modules are."""
    layer = sys.modules["keras"].Layer
    call = layer.__call__

    @functools.wraps(call)
    def told(self: Any, *arguments: Any, **named: Any) -> Any:
        enter(self, arguments)
        output = call(self, *arguments, **named)
        leave(self, arguments, output)
        return output

    with patch.object(layer, "__call__", told):
        yield
