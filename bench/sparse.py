"""The way of `scipy.sparse`: a boolean matrix per layer, multiplied one after another."""

from __future__ import annotations

import math
from functools import reduce
from typing import Any

import numpy as np
from scipy.sparse import csr_array, kron

import fastrf

__all__ = ["last_window", "product"]


def _windows(network: fastrf.Network, until: str) -> list[tuple[Any, tuple[int, ...], tuple[int, ...]]]:
    """The layers of a chain that move pixels: attributes, input shape and output shape."""
    found, shape = [], network.shape_of(next(iter(network.inputs)))
    for node in network.nodes:
        if node.op in ("conv", "max_pool", "avg_pool"):
            attributes = dict(node.attributes)
            attributes.setdefault("stride", 1 if node.op == "conv" else attributes["kernel_size"])
            found.append((attributes, shape[1:], network.shape_of(node.name)[1:]))
        shape = network.shape_of(node.name)
        if node.name == until:
            break
    return found


def last_window(network: fastrf.Network) -> str:
    """The last layer of a chain that moves pixels."""
    return [node.name for node in network.nodes if node.op in ("conv", "max_pool", "avg_pool")][-1]


def _of_axis(attributes: Any, axis: int, n_in: int, n_out: int) -> csr_array:
    def pick(key: str, default: int) -> int:
        value = attributes.get(key, default)
        return int(value if isinstance(value, int) else np.ravel(value[axis])[0])

    kernel, before = pick("kernel_size", 1), pick("padding", 0)
    stride = pick("stride", kernel)
    rows, taps = (part.ravel() for part in np.meshgrid(np.arange(n_out), np.arange(kernel), indexing="ij"))
    columns = rows * stride - before + taps
    keep = (columns >= 0) & (columns < n_in)
    return csr_array((np.ones(keep.sum(), bool), (rows[keep], columns[keep])), shape=(n_out, n_in))


def product(network: fastrf.Network, until: str) -> csr_array:
    """bool[positions, pixels] of a chain's node."""
    layers = _windows(network, until)
    first = math.prod(layers[0][1])
    whole = csr_array((np.ones(first, bool), (np.arange(first), np.arange(first))), shape=(first, first))
    for attributes, n_in, n_out in layers:
        axes = [_of_axis(attributes, axis, n_in[axis], n_out[axis]) for axis in range(len(n_in))]
        whole = (reduce(lambda a, b: kron(a, b, format="csr"), axes).astype(bool) @ whole).astype(bool)
    whole.sort_indices()
    return csr_array(whole)
