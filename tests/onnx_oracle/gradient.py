"""What neurons of the nine light models see, by gradients of the same graph with constant positive weights.

The weights of `onnx/backend/test/data/light` are all one constant, so a convolution is the mean of its channels, a
window of ones, and a copy to every output channel: the same sums at a fraction of the cost. Every step is linear with
positive coefficients in float64 (ReLU, dropout and normalisation by channel become the identity, max-pool the average
of its window, softmax the mean of its axes, LRN the channel plus the mean of its window). Nothing cancels, so a
gradient is nonzero where a path exists; `mask` checks that none came near underflow.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from onnx import numpy_helper
from torch import Tensor
from torch.nn import functional

__all__ = ["Gradients"]

Rule = Callable[["Gradients", onnx.NodeProto, list[Tensor | None], dict[str, Any]], Tensor]

#: Nonzero gradients below this are too near to underflow to trust that others did not.
TINY = 1e-280


class Gradients:
    """An ONNX graph as a linear function of its one free input, evaluated once.

    Args:
        model: a model or its path; a network of the operators in `RULES` with constant positive weights.
        input_shape: the input's shape without the batch, if not the model's own.
        until: the last tensor to compute, where the rest does not fit another input shape; None computes all.
    """

    def __init__(
        self, model: onnx.ModelProto | str | Path, input_shape: Sequence[int] | None = None, until: str | None = None
    ) -> None:
        self.model = model if isinstance(model, onnx.ModelProto) else onnx.load(model)
        graph = self.model.graph
        self.constants: dict[str, NDArray[np.generic]] = {
            tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer
        }
        self.makers = {name: node for node in graph.node for name in node.output}
        free = [value for value in graph.input if value.name not in self.constants]
        if len(free) != 1:
            raise ValueError(f"one free input expected, found {[value.name for value in free]}")
        dims = [dim.dim_value for dim in free[0].type.tensor_type.shape.dim]
        dims = dims if input_shape is None else [1, *input_shape]
        if dims[0] != 1 or min(dims) < 1:
            raise ValueError(f"a concrete input with batch 1 expected, found {dims}")
        self.input = torch.ones(dims, dtype=torch.float64, requires_grad=True)
        self.tensors: dict[str, Tensor] = {free[0].name: self.input}
        for node in graph.node:
            self._step(node)
            if until in node.output:
                break

    def names(self) -> list[str]:
        """Float tensors reached from the input, in graph order, the input itself apart."""
        return list(self.tensors)[1:]

    def shape(self, name: str) -> tuple[int, ...]:
        """The tensor's shape without the batch."""
        return tuple(self.tensors[name].shape[1:])

    def mask(self, name: str, index: Sequence[int]) -> NDArray[np.bool_]:
        """`bool[*input]` without the batch: what one neuron depends on; `index` is without the batch."""
        neuron = self.tensors[name][(0, *index)]
        (gradient,) = torch.autograd.grad(neuron, self.input, retain_graph=True, allow_unused=True)
        if gradient is None:
            return np.zeros(self.input.shape[1:], bool)
        values = gradient[0].numpy()
        nonzero = values != 0
        if nonzero.any() and not (values[nonzero].min() > TINY and np.isfinite(values).all()):
            raise ArithmeticError(f"gradients of {name} are too small or too large for float64")
        return np.asarray(nonzero)

    def _step(self, node: onnx.NodeProto) -> None:
        """Run one node, if it depends on the input."""
        attributes = {a.name: onnx.helper.get_attribute_value(a) for a in node.attribute}
        inputs = [self.tensors.get(name) for name in node.input]
        if all(tensor is None for tensor in inputs):
            if node.op_type == "Constant" and "value" in attributes:
                self.constants[node.output[0]] = numpy_helper.to_array(attributes["value"])
            return
        if node.op_type not in RULES:
            raise NotImplementedError(f"{node.op_type} ({node.name or node.output[0]})")
        self.tensors[node.output[0]] = RULES[node.op_type](self, node, inputs, attributes)

    def weight_shape(self, name: str) -> tuple[int, ...]:
        """The shape of a weight, which a ConstantOfShape of a constant shape may have made."""
        if name in self.constants:
            return self.constants[name].shape
        maker = self.makers[name]
        if maker.op_type == "ConstantOfShape":
            return tuple(int(n) for n in self.constants[maker.input[0]])
        shape = list(self.weight_shape(maker.input[0]))
        if maker.op_type == "Unsqueeze":
            for axis in sorted(next(a.ints for a in maker.attribute if a.name == "axes")):
                shape.insert(axis, 1)
            return tuple(shape)
        if maker.op_type == "Reshape":
            return np.empty(shape, bool).reshape(self.constants[maker.input[1]].tolist()).shape
        raise NotImplementedError(f"weight made by {maker.op_type}")


def _first(inputs: list[Tensor | None]) -> Tensor:
    if inputs[0] is None:
        raise NotImplementedError("the first input does not depend on the network's input")
    return inputs[0]


def _windows(x: Tensor, kernel: Sequence[int], attributes: dict[str, Any]) -> Tensor:
    """The mean over each window of every channel; padding is zero."""
    n = len(kernel)
    if attributes.get("ceil_mode", 0):
        raise NotImplementedError("ceil_mode")
    strides, dilations = attributes.get("strides", [1] * n), attributes.get("dilations", [1] * n)
    pads = list(attributes.get("pads", [0] * 2 * n))
    auto = attributes.get("auto_pad", b"NOTSET").decode()
    if auto.startswith("SAME"):
        for axis, (size, k, s, d) in enumerate(zip(x.shape[2:], kernel, strides, dilations, strict=True)):
            total = max((math.ceil(size / s) - 1) * s + d * (k - 1) + 1 - size, 0)
            less, more = total // 2, total - total // 2
            pads[axis], pads[n + axis] = (less, more) if auto == "SAME_UPPER" else (more, less)
    elif auto == "VALID":
        pads = [0] * 2 * n
    x = functional.pad(x, [pad for axis in reversed(range(n)) for pad in (pads[axis], pads[n + axis])])
    batch, channels = x.shape[:2]
    ones = torch.full((1, 1, *kernel), 1 / math.prod(kernel), dtype=x.dtype)
    convolve = (functional.conv1d, functional.conv2d, functional.conv3d)[n - 1]
    y = convolve(x.reshape(batch * channels, 1, *x.shape[2:]), ones, stride=strides, dilation=dilations)
    return y.reshape(batch, channels, *y.shape[2:])


def _conv(net: Gradients, node: onnx.NodeProto, inputs: list[Tensor | None], attributes: dict[str, Any]) -> Tensor:
    x, shape = _first(inputs), net.weight_shape(node.input[1])
    groups = attributes.get("group", 1)
    if x.shape[1] != shape[1] * groups:
        raise ValueError(f"{node.name}: {x.shape[1]} channels, weight {shape}, {groups} groups")
    means = x.unflatten(1, (groups, shape[1])).mean(2)
    y = _windows(means, shape[2:], attributes)
    return y.repeat_interleave(shape[0] // groups, 1)


def _pool(net: Gradients, node: onnx.NodeProto, inputs: list[Tensor | None], attributes: dict[str, Any]) -> Tensor:
    return _windows(_first(inputs), attributes["kernel_shape"], attributes)


def _global(net: Gradients, node: onnx.NodeProto, inputs: list[Tensor | None], attributes: dict[str, Any]) -> Tensor:
    x = _first(inputs)
    return x.mean(tuple(range(2, x.ndim)), keepdim=True)


def _same(net: Gradients, node: onnx.NodeProto, inputs: list[Tensor | None], attributes: dict[str, Any]) -> Tensor:
    return _first(inputs) * 1


def _sum(net: Gradients, node: onnx.NodeProto, inputs: list[Tensor | None], attributes: dict[str, Any]) -> Tensor:
    """Sums, and products too: either operand matters. Weights broadcast and are left out."""
    x = [tensor for tensor in inputs if tensor is not None]
    weights = [net.weight_shape(name) for name, t in zip(node.input, inputs, strict=True) if t is None]
    y = x[0] * 1 if len(x) == 1 else torch.stack(torch.broadcast_tensors(*x)).mean(0)
    if attributes.get("broadcast", 0):
        raise NotImplementedError("broadcasting of opset 6 and before")
    return y.expand(torch.broadcast_shapes(y.shape, *weights))


def _lrn(net: Gradients, node: onnx.NodeProto, inputs: list[Tensor | None], attributes: dict[str, Any]) -> Tensor:
    x, size = _first(inputs), attributes["size"]
    rows = x.flatten(2).transpose(1, 2).flatten(0, 1)[:, None]  # [batch * positions, 1, channels]
    padded = functional.pad(rows, [(size - 1) // 2, size - 1 - (size - 1) // 2])
    mixed = padded.unfold(2, size, 1).mean(3)
    return x + mixed.reshape(x.shape[0], -1, x.shape[1]).transpose(1, 2).reshape(x.shape)


def _softmax(net: Gradients, node: onnx.NodeProto, inputs: list[Tensor | None], attributes: dict[str, Any]) -> Tensor:
    x = _first(inputs)
    newest = max(opset.version for opset in net.model.opset_import if opset.domain in {"", "ai.onnx"})
    axis = attributes.get("axis", 1 if newest < 13 else -1) % x.ndim
    axes = tuple(range(axis, x.ndim)) if newest < 13 else (axis,)
    return x.mean(axes, keepdim=True).expand(x.shape)


def _concat(net: Gradients, node: onnx.NodeProto, inputs: list[Tensor | None], attributes: dict[str, Any]) -> Tensor:
    if any(tensor is None for tensor in inputs):
        raise NotImplementedError("Concat with a constant")
    return torch.cat([tensor for tensor in inputs if tensor is not None], attributes["axis"])


def _gemm(net: Gradients, node: onnx.NodeProto, inputs: list[Tensor | None], attributes: dict[str, Any]) -> Tensor:
    x, shape = _first(inputs), net.weight_shape(node.input[1])
    if attributes.get("transA", 0):
        raise NotImplementedError("transA")
    features = shape[0] if attributes.get("transB", 0) else shape[1]
    return x.mean(1, keepdim=True).expand(-1, features)


def _reshape(net: Gradients, node: onnx.NodeProto, inputs: list[Tensor | None], attributes: dict[str, Any]) -> Tensor:
    x = _first(inputs)
    target = attributes.get("shape")
    shape = [int(n) for n in (net.constants[node.input[1]] if target is None else target)]
    return x.reshape([x.shape[i] if n == 0 else n for i, n in enumerate(shape)])


def _transpose(net: Gradients, node: onnx.NodeProto, inputs: list[Tensor | None], attributes: dict[str, Any]) -> Tensor:
    x = _first(inputs)
    return x.permute(list(attributes.get("perm", reversed(range(x.ndim)))))


def _flatten(net: Gradients, node: onnx.NodeProto, inputs: list[Tensor | None], attributes: dict[str, Any]) -> Tensor:
    x, axis = _first(inputs), attributes.get("axis", 1)
    return x.reshape(math.prod(x.shape[:axis]), -1)


#: The operators of the light models, and a few more.
RULES: dict[str, Rule] = {
    "Conv": _conv,
    **dict.fromkeys(["MaxPool", "AveragePool"], _pool),
    "GlobalAveragePool": _global,
    **dict.fromkeys(["Relu", "LeakyRelu", "Sigmoid", "Clip", "Dropout", "Identity", "BatchNormalization"], _same),
    **dict.fromkeys(["Add", "Sum", "Mul", "Sub", "Div"], _sum),
    "LRN": _lrn,
    "Softmax": _softmax,
    "Concat": _concat,
    "Gemm": _gemm,
    "Reshape": _reshape,
    "Transpose": _transpose,
    "Flatten": _flatten,
}
