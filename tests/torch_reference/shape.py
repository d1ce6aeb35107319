"""Operators that move elements, in torch."""

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional


def pad(a: dict, x: Tensor) -> Tensor:
    """functional.pad for constants, numpy.pad of the element numbers else."""
    mode = a.get("mode", "constant")
    if mode == "constant":
        return functional.pad(x, [p for pair in reversed(a["padding"]) for p in pair])
    numbers = np.arange(x.numel()).reshape(x.shape)
    numbers = np.pad(numbers, a["padding"], {"replicate": "edge", "circular": "wrap"}.get(mode, mode))
    return x.flatten()[torch.from_numpy(numbers)]


def center_crop(_: dict, x: Tensor, like: Tensor) -> Tensor:
    """The crop of torchvision, axis by axis."""
    from torchvision.transforms.functional import center_crop as crop

    for axis in range(1, x.ndim):
        x = crop(x.movedim(axis, -1).unsqueeze(-2), [1, like.shape[axis]]).squeeze(-2).movedim(-1, axis)
    return x


def numbered(x: Tensor, move: Callable[[np.ndarray], np.ndarray]) -> Tensor:
    """Elements of x moved as numpy moves their numbers."""
    return x.flatten()[torch.from_numpy(move(np.arange(x.numel()).reshape(tuple(x.shape))).copy())]


def scatter(a: dict, x: Tensor, updates: Tensor) -> Tensor:
    """Slices replaced one by one, or index_add."""
    index = torch.tensor(a["indices"], dtype=torch.long) % max(x.shape[a["axis"]], 1)
    if a.get("reduce", "none") == "add":
        return x.index_add(a["axis"], index, updates)
    slices = list(x.unbind(a["axis"]))
    for j, i in enumerate(a["indices"]):
        slices[i] = updates.select(a["axis"], j)
    return torch.stack(slices, a["axis"])


def depth_to_space(a: dict, x: Tensor) -> Tensor:
    """The reshapes in the ONNX documentation."""
    r, (c, h, w) = a["block"], x.shape
    if a.get("mode", "DCR") == "DCR":
        return x.reshape(r, r, c // r**2, h, w).permute(2, 3, 0, 4, 1).reshape(c // r**2, h * r, w * r)
    return x.reshape(c // r**2, r, r, h, w).permute(0, 3, 1, 4, 2).reshape(c // r**2, h * r, w * r)


def space_to_depth(a: dict, x: Tensor) -> Tensor:
    """The inverse of DCR by reshapes."""
    r, (c, h, w) = a["block"], x.shape
    return x.reshape(c, h // r, r, w // r, r).permute(2, 4, 0, 1, 3).reshape(c * r * r, h // r, w // r)


def tuple_split(a: dict, x: Tensor) -> Tensor:
    """torch.split."""
    return torch.split(x, a["sections"], a["axis"])[a["index"]]


def of_slice(a: dict) -> slice:
    """A Python slice."""
    return slice(a.get("start", 0), a.get("stop"), a.get("step", 1))
