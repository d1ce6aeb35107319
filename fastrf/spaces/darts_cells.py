"""DARTS' operators as layers, as steps of a column program, and what they cost. For `darts`."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import numpy as np

from fastrf.columns.programs import Step, branches, conv, crop, identity, pool, sequence
from fastrf.spaces.darts_genotypes import EDGES, NONE, OPERATORS, STEPS, Edges
from fastrf.spaces.skeleton import Ints, spatial_macs
from fastrf.spaces.space import Codes
from fastrf.zoo.builder import Builder

__all__ = ["add_cell", "add_factorized_reduce", "add_pointwise", "cell_costs", "edge_steps", "halved", "reducing"]


def halved(sizes: Sequence[int]) -> tuple[int, int]:
    """Height and width behind a stride of 2, rounded up."""
    height, width = sizes
    return -(-height // 2), -(-width // 2)


def reducing(padded: bool) -> Step:
    """FactorizedReduce: every second pixel, and every second one of the map without its first row and column."""
    shifted = crop(1, -1) if padded else crop(1)
    return branches(conv(1, 2, layers=1), sequence(shifted, conv(1, 2, layers=1)))


@lru_cache
def edge_steps(reduction: bool, padded: bool) -> tuple[Step, ...]:
    """The operators but `none` in order; in a reduction cell with stride 2, then those of stride 1."""
    single = tuple(_step(name, 1, padded) for name in OPERATORS[:NONE])
    return (*[_step(name, 2, padded) for name in OPERATORS[:NONE]], *single) if reduction else single


def _step(name: str, stride: int, padded: bool) -> Step:
    kind, _, size = name.rpartition("_")
    if kind == "skip":
        return identity if stride == 1 else reducing(padded)
    k = int(size[0])
    point = conv(1, layers=1)
    if kind == "sep_conv":
        return sequence(conv(k, stride, k // 2, layers=1), conv(k, 1, k // 2, layers=2), point)
    if kind == "dil_conv":
        return sequence(conv(k, stride, k - 1, 2, layers=1), point)
    return pool(3, stride, 1)


def cell_costs(codes: Codes, reduction: bool, channels: int, spatial: Sequence[int]) -> tuple[Ints, Ints]:
    """int64[n] parameters and multiply-accumulates of the edges of one cell, `spatial` being its output's sizes."""
    parameters, weights = np.zeros((2, 2, len(OPERATORS)), np.int64)
    for strided in (0, 1):
        for k, name in enumerate(OPERATORS):
            weights[strided, k], norms = _weights(name, channels, bool(strided))
            parameters[strided, k] = weights[strided, k] + norms
    strided_edges = (codes[:, EDGES : 2 * EDGES] < 2) & reduction
    picked = strided_edges.astype(np.intp), codes[:, :EDGES].astype(np.intp)
    return parameters[picked].sum(axis=1), spatial_macs(weights[picked].sum(axis=1), spatial)


def _weights(name: str, c: int, strided: bool) -> tuple[int, int]:
    """Weights of the convolutions and parameters of the batch norms of one operator."""
    kind, _, size = name.rpartition("_")
    if kind == "skip" and strided:
        return c * c, 2 * c
    if kind not in ("sep_conv", "dil_conv"):
        return 0, 0
    times = 2 if kind == "sep_conv" else 1
    return times * (int(size[0]) ** 2 * c + c * c), times * 2 * c


def add_cell(
    net: Builder,
    name: str,
    cell: tuple[Edges, tuple[int, ...], bool],
    inputs: tuple[str, str],
    shape: tuple[int, int, int],
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
    kind, _, size = operator.rpartition("_")
    if kind == "skip":
        if stride == 1:
            return net.add("identity", name, inputs=source)
        return add_factorized_reduce(net, name, source, channels, padded)
    if kind in ("max_pool", "avg_pool"):
        return net.add(kind, name, inputs=source, kernel_size=3, stride=stride, padding=1)
    k = int(size[0])
    if kind == "dil_conv":
        window: dict[str, Any] = {"kernel_size": k, "stride": stride, "padding": k - 1, "dilation": 2}
        return _add_separable(net, f"{name}.op", name, source, channels, window)
    first: dict[str, Any] = {"kernel_size": k, "stride": stride, "padding": k // 2}
    middle = _add_separable(net, f"{name}.op.0", f"{name}.op.0", source, channels, first)
    return _add_separable(net, f"{name}.op.1", name, middle, channels, {**first, "stride": 1})


def _add_separable(net: Builder, parts: str, name: str, source: str, channels: int, window: dict[str, Any]) -> str:
    """ReLU, depthwise, pointwise, batch norm; `name` is the last one's."""
    net.add("relu", f"{parts}.relu", inputs=source)
    net.add("depthwise_conv", f"{parts}.depthwise", **window, bias=False)
    return net.conv_bn((f"{parts}.pointwise", name), channels, 1)


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
