"""What a recording run computes with: tensors without data, and what the memory that they share holds at the moment.

A program's nodes change nothing, but models write into tensors, and tensors share memory. Of every piece of memory (a
storage) one node tells the contents. A view of it is a chain of operators from there: it is recorded again where the
contents have changed, and what is written into a view goes back along its chain.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

import torch

__all__ = [
    "PLAIN",
    "Contents",
    "Recorded",
    "Settled",
    "Step",
    "Unfollowed",
    "is_one_of_many",
    "storage_of",
    "tensors_of",
    "twin",
]


#: Types of arguments that hold no tensor, and are equal if they are of one type and compare equal.
PLAIN = frozenset((int, float, bool, type(None), str, torch.dtype, torch.device, torch.layout, torch.memory_format))


class Unfollowed(Exception):  # noqa: N818  (nothing is wrong: another capture may follow)
    """The recorder cannot tell what a model does here."""


class Step(NamedTuple):
    """One operator from a tensor to a view of it.

    `arguments` are nodes and constants, the first one stands for the tensor, `before` is its twin, `value` what the
    operator makes of that, and `item` which of several results is meant.
    """

    operator: Any
    arguments: tuple[Any, ...]
    named: dict[str, Any]
    before: torch.Tensor
    value: Any
    item: int | None = None


class Contents:
    """What a storage holds: the node that tells it, a twin of the tensor that is all of it, and how often it changed.

    `root` is that tensor itself where it has data.
    """

    def __init__(self, node: Any, meta: torch.Tensor, root: torch.Tensor | None = None) -> None:
        self.node, self.meta, self.root = node, meta, root
        self.version = 0
        self.unsure = self.tied = False  # how it is laid out; to memory that it may share


class Settled(NamedTuple):
    """What stands for a tensor with data: its contents where these are recorded, its node, its twin, how that lies."""

    tensor: torch.Tensor
    contents: Contents | None
    node: Any
    meta: torch.Tensor
    place: Any


class Recorded(torch.Tensor):
    """A tensor without data: shape, type and device as a model sees them, and where its values come from."""

    meta: torch.Tensor
    place: Any
    contents: Contents
    steps: tuple[Step, ...]
    node: Any
    version: int

    @staticmethod
    def __new__(cls: type[Recorded], meta: torch.Tensor, device: torch.device) -> Recorded:  # noqa: D102
        made: Recorded = torch.Tensor._make_wrapper_subclass(
            cls, meta.shape, meta.stride(), meta.storage_offset(), dtype=meta.dtype, device=device
        )
        return made

    def __init__(self, meta: torch.Tensor, _device: torch.device) -> None:
        self.meta = meta

    __torch_function__ = torch._C._disabled_torch_function_impl  # type: ignore[assignment]

    @classmethod
    def __torch_dispatch__(cls, func: Any, _types: Any, _args: Any = (), _kwargs: Any = None) -> Any:
        """Only reached past the recorder."""
        raise Unfollowed(f"{func} runs where nothing is recorded")

    def __repr__(self, *, tensor_contents: Any = None) -> str:  # type: ignore[override]
        """Shape and type."""
        return f"Recorded({tuple(self.shape)}, {self.dtype})"


def is_one_of_many(tensor: torch.Tensor) -> bool:
    """Whether a tensor stands for many, or for more than its values, in a function that `torch.func` transforms."""
    return bool(torch._C._functorch.is_functorch_wrapped_tensor(tensor))


def storage_of(tensor: torch.Tensor) -> int | None:
    """Which storage a tensor uses, or what stands behind one of many; None for one that has none of its own."""
    while is_one_of_many(tensor):
        tensor = torch._C._functorch.get_unwrapped(tensor)
    try:
        return int(tensor.untyped_storage()._cdata)
    except (NotImplementedError, RuntimeError):
        return None


def twin(tensor: torch.Tensor) -> torch.Tensor:
    """A tensor without data of the same shape, strides and type."""
    if tensor.layout != torch.strided:
        raise Unfollowed(f"a tensor of layout {tensor.layout}")
    return torch.empty_strided(tensor.size(), tensor.stride(), dtype=tensor.dtype, device="meta")


def tensors_of(args: Iterable[Any], kwargs: Mapping[str, Any]) -> list[torch.Tensor]:
    """The tensors among arguments, those in lists included."""
    found: list[torch.Tensor] = []
    for item in (*args, *kwargs.values()) if kwargs else args:
        if type(item) in PLAIN:
            continue
        if isinstance(item, torch.Tensor):
            found.append(item)
        elif isinstance(item, list | tuple):
            found += tensors_of(item, {})
    return found
