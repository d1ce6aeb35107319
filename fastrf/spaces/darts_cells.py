"""DARTS' operators as layers, as steps of a column program, and what they cost. For `darts`."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np

from fastrf.spaces.columns.programs import Step, branches, conv, crop, identity, pool, sequence
from fastrf.spaces.darts_genotypes import EDGES, NONE, OPERATORS, STEPS, Edges
from fastrf.spaces.skeleton import Ints
from fastrf.spaces.space import Codes
from fastrf.zoo.builder import Builder

__all__ = ["POINT", "add_cell", "add_factorized_reduce", "add_pointwise", "cell_weights", "edge_steps", "reducing"]

POINT = conv(1, layers=1)


def reducing(padded: bool) -> Step:
    """FactorizedReduce: every second pixel, and every second one of the map without its first row and column."""
    shifted = crop(1, -1) if padded else crop(1)
    half = conv(1, 2, layers=1)
    return branches(half, sequence(shifted, half))


@lru_cache
def edge_steps(reduction: bool, padded: bool) -> tuple[Step, ...]:
    """The operators but `none` in order; in a reduction cell with stride 2, then those of stride 1."""
    single = tuple(_step(name, 1, padded) for name in OPERATORS[:NONE])
    return (*[_step(name, 2, padded) for name in OPERATORS[:NONE]], *single) if reduction else single


def _windows(name: str, stride: int) -> list[dict[str, Any]]:
    """The depthwise windows of a separable or dilated convolution, a 1x1 behind each; none for other operators."""
    kind, _, size = name.rpartition("_")
    if kind == "sep_conv":
        k = int(size[0])
        return [{"kernel_size": k, "stride": each, "padding": k // 2} for each in (stride, 1)]
    if kind == "dil_conv":
        k = int(size[0])
        return [{"kernel_size": k, "stride": stride, "padding": k - 1, "dilation": 2}]
    return []


def _step(name: str, stride: int, padded: bool) -> Step:
    if name == "skip_connect":
        return identity if stride == 1 else reducing(padded)
    windows = [sequence(conv(*window.values(), layers=1), POINT) for window in _windows(name, stride)]
    return sequence(*windows) if windows else pool(3, stride, 1)


def cell_weights(codes: Codes, reduction: bool, channels: int) -> tuple[Ints, Ints]:
    """int64[n] weights of the convolutions on the edges of one cell, and channels of their batch norms."""
    table = np.array([[_weights(name, channels, strided) for name in OPERATORS] for strided in (False, True)])
    strided_edges = (codes[:, EDGES : 2 * EDGES] < 2) & reduction
    weights, norms = table[strided_edges.astype(np.intp), codes[:, :EDGES].astype(np.intp)].sum(axis=1).T
    return weights, norms


def _weights(name: str, c: int, strided: bool) -> tuple[int, int]:
    """Weights of the convolutions and channels of the batch norms of one operator."""
    if name == "skip_connect" and strided:
        return c * c, c
    windows = _windows(name, 1)
    return sum(window["kernel_size"] ** 2 * c + c * c for window in windows), len(windows) * c


def add_cell(
    net: Builder,
    name: str,
    cell: tuple[Edges, tuple[int, ...], bool],
    inputs: tuple[str, str],
    shape: tuple[int, ...],
    padded: bool,
) -> str:
    """Append a cell of `(edges, concatenated nodes, whether it reduces)` and return its output.

    `shape` is that of its nodes. A node whose edges are both `none` is a constant.
    """
    edges, concat, reduction = cell
    states = list(inputs)
    for step in range(STEPS):
        terms = []
        for k in (2 * step, 2 * step + 1):
            operator, node = edges[k]
            stride = 2 if reduction and node < 2 else 1
            if operator != "none":
                terms.append(_add_operator(net, f"{name}._ops.{k}", operator, states[node], (shape[0], stride, padded)))
        label = f"{name}.states.{step + 2}"
        if terms:
            states.append(net.add("add", label, inputs=terms))
        else:
            stride = 2 if reduction else 1
            like = net.add("max_pool", f"{label}.like", inputs=states[0], kernel_size=1, stride=stride)
            states.append(net.add("constant", label, inputs=like, shape=shape))
    return net.add("concat", name, inputs=[states[node] for node in concat], axis=0)


def _add_operator(net: Builder, name: str, operator: str, source: str, how: tuple[int, int, bool]) -> str:
    """Append an edge's operator; `how` is its channels, its stride, and whether FactorizedReduce pads."""
    channels, stride, padded = how
    if operator == "skip_connect" and stride == 1:
        return net.add("identity", name, inputs=source)
    if operator == "skip_connect":
        return add_factorized_reduce(net, name, source, channels, padded)
    windows = _windows(operator, stride)
    if not windows:
        kind = operator.removesuffix("_3x3")
        return net.add(kind, name, inputs=source, kernel_size=3, stride=stride, padding=1)
    for k, window in enumerate(windows, start=1):
        parts = f"{name}.op.{k - 1}" if len(windows) > 1 else f"{name}.op"
        net.add("relu", f"{parts}.relu", inputs=source)
        net.add("depthwise_conv", f"{parts}.depthwise", **window, bias=False)
        source = net.conv_bn((f"{parts}.pointwise", name if k == len(windows) else parts), channels, 1)
    return source


def add_pointwise(net: Builder, name: str, source: str, channels: int) -> str:
    """Append ReLU, 1x1 and batch norm."""
    net.add("relu", f"{name}.op.0", inputs=source)
    return net.conv_bn((f"{name}.op.1", name), channels, 1)


def add_factorized_reduce(net: Builder, name: str, source: str, channels: int, padded: bool) -> str:
    """Append a FactorizedReduce, each half of whose channels reads every second pixel."""
    net.add("relu", f"{name}.relu", inputs=source)
    half: dict[str, Any] = {"kernel_size": 1, "stride": 2, "bias": False}
    first = net.add("conv", f"{name}.conv_1", out_channels=channels // 2, **half)
    shifted = f"{name}.relu"
    if padded:
        shifted = net.add("pad", f"{name}.pad", inputs=shifted, padding=[[0, 0], [0, 1], [0, 1]])
    net.add("slice", f"{name}.rows", inputs=shifted, axis=1, start=1)
    net.add("slice", f"{name}.columns", axis=2, start=1)
    second = net.add("conv", f"{name}.conv_2", out_channels=channels - channels // 2, **half)
    net.add("concat", f"{name}.concat", inputs=[first, second], axis=0)
    return net.add("batch_norm", name)
