"""A traced model of PyTorch as a function of JAX, with one channel a layer: what is concatenated is added."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

__all__ = ["in_jax"]


def in_jax(model: Any) -> Callable[[Any], Any]:
    """The function of an image, layer by layer. Raises TypeError for a layer that has no translation."""
    import torch

    traced = torch.fx.symbolic_trace(model)

    class Translated(torch.fx.Interpreter):
        def call_module(self, target: Any, args: Any, _kwargs: Any) -> Any:
            return _layer(self.fetch_attr(target), args[0])

        def call_function(self, target: Any, args: Any, kwargs: Any) -> Any:
            return _called(target.__name__, *args, **kwargs)

        def call_method(self, target: Any, args: Any, kwargs: Any) -> Any:
            return _called(target, *args, **kwargs)

    return lambda x: Translated(traced).run(x)


def _layer(layer: Any, x: Any) -> Any:
    import jax
    from torch import nn

    if isinstance(layer, nn.modules.conv._ConvNd):
        return _convolved(x, layer)
    if isinstance(layer, nn.MaxPool2d | nn.AvgPool2d):
        return _pooled(x, isinstance(layer, nn.MaxPool2d), layer.kernel_size, layer.stride, layer.padding)
    if isinstance(layer, nn.ReLU):
        return jax.nn.relu(x)
    if isinstance(layer, nn.BatchNorm2d | nn.Dropout | nn.Identity):
        return x
    raise TypeError(f"no translation of {type(layer).__name__} to JAX")


def _called(name: str, x: Any, *given: Any, **named: Any) -> Any:
    import jax

    if name in ("add", "iadd"):
        return x + given[0]
    if name == "cat":
        return sum(x)
    if name == "relu":
        return jax.nn.relu(x)
    if name == "flatten":
        return x
    if name in ("boolean_dispatch", "max_pool2d", "avg_pool2d"):
        named = {key: value for key, value in named.items() if key in ("kernel_size", "stride", "padding")}
        return _pooled(x, name != "avg_pool2d", *given[:3], **named)
    raise TypeError(f"no translation of {name} to JAX")


def _convolved(x: Any, layer: Any) -> Any:
    from jax import lax, numpy

    kernel = numpy.ones((1, 1, *layer.kernel_size))
    margins = [(p, p) for p in _two(layer.padding)]
    if not layer.transposed:
        return lax.conv_general_dilated(x, kernel, layer.stride, margins, rhs_dilation=layer.dilation)
    margins = [(k - 1 - p, k - 1 - p) for k, p in zip(layer.kernel_size, layer.padding, strict=True)]
    return lax.conv_general_dilated(x, kernel, (1, 1), margins, lhs_dilation=layer.stride)


def _pooled(x: Any, most: bool, kernel_size: Any, stride: Any = None, padding: Any = 0) -> Any:
    from jax import lax, numpy

    margins = ((0, 0), (0, 0), *((p, p) for p in _two(padding)))
    initial, reduce = (-numpy.inf, lax.max) if most else (0.0, lax.add)
    return lax.reduce_window(
        x, initial, reduce, (1, 1, *_two(kernel_size)), (1, 1, *_two(stride or kernel_size)), margins
    )


def _two(size: Any) -> tuple[int, int]:
    return (size, size) if isinstance(size, int) else tuple(size)
