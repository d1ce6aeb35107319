"""Operators that write into a tensor, as operators that make a new one; and a view's new values in what it views."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch.fx import Node

from fastrf.frontends.torch.names import COPIES, PERMUTES, SHAPES, plain_name
from fastrf.frontends.torch.recording.tensors import Step, Unfollowed

__all__ = ["functional_form", "put_back", "written"]

_ATEN = torch.ops.aten
#: Records an operator: its arguments as nodes, and a tensor without data that is like its result.
_Note = Callable[[Any, tuple[Any, ...], torch.Tensor], Node]


def written(operator: Any, arguments: tuple[Any, ...], named: dict[str, Any]) -> list[Any]:
    """The arguments that an operator writes into."""
    schema = operator._schema.arguments
    given = {**dict(zip((a.name for a in schema), arguments, strict=False)), **named}
    targets = [given.get(a.name) for a in schema if a.alias_info is not None and a.alias_info.is_write]
    return [one for target in targets for one in (target if isinstance(target, list | tuple) else [target])]


def functional_form(operator: Any) -> Any:
    """The operator that makes what another one writes, of the same arguments."""
    name = operator._schema.name.rpartition("::")[2]
    packet = getattr(_ATEN, name[:-1], None) if name.endswith("_") and operator.namespace == "aten" else None
    form = getattr(packet, operator._overloadname, None)
    if form is None or len(form._schema.arguments) != len(operator._schema.arguments):
        raise Unfollowed(f"{operator} writes into its arguments")
    return form


def put_back(note: _Note, step: Step, base: Node, new: Node) -> Node:
    """What a step's view belongs to (`base`), with the view's values replaced by `new`."""
    name, rest, like = plain_name(step.operator._schema.name), step.arguments[1:], step.before
    view = step.value if step.item is None else step.value[step.item]
    if view.dtype != like.dtype or (view.is_conj(), view.is_neg()) != (like.is_conj(), like.is_neg()):
        raise Unfollowed(f"{step.operator} is written through")
    if name in ("select", "slice"):
        form = getattr(_ATEN, f"{name}_scatter").default
        return note(form, (base, new, *rest), like)
    if name == "unbind":
        dim = step.arguments[1] if len(step.arguments) > 1 else 0
        return note(_ATEN.select_scatter.default, (base, new, dim, step.item), like)
    if name in ("split", "split_with_sizes", "chunk", "tensor_split", "narrow"):
        dim, start, length = _piece(step, name)
        return note(_ATEN.slice_scatter.default, (base, new, dim, start, start + length), like)
    if name in COPIES or name in SHAPES:
        return note(_ATEN.reshape.default, (new, list(like.shape)), like)
    if name in PERMUTES:
        order = list(_viewed(step, torch.empty([k + 2 for k in range(like.dim())], device="meta")).shape)
        return note(_ATEN.permute.default, (new, [order.index(k + 2) for k in range(like.dim())]), like)
    places = _viewed(step, _numbered(like)).reshape(-1)
    if len(set(places.tolist())) < len(places) or bool((places < 0).any()):
        raise Unfollowed(f"{step.operator} is written through")
    flat = torch.empty(like.numel(), dtype=like.dtype, device="meta")
    values = note(_ATEN.reshape.default, (new, [-1]), torch.empty(len(places), dtype=like.dtype, device="meta"))
    whole = note(_ATEN.reshape.default, (base, [-1]), flat)
    filled = note(_ATEN.index_put.default, (whole, [places], values), flat)
    return note(_ATEN.reshape.default, (filled, list(like.shape)), like)


def _numbered(like: torch.Tensor) -> torch.Tensor:
    """The numbers of a tensor's elements, laid out as these are; -1 between them."""
    start = int(like.storage_offset())
    reach = sum((n - 1) * step for n, step in zip(like.shape, like.stride(), strict=True)) if like.numel() else 0
    numbers = torch.full((start + reach + 1,), -1).as_strided(like.shape, like.stride(), start)
    return numbers.copy_(torch.arange(like.numel()).reshape(like.shape))


def _piece(step: Step, name: str) -> tuple[int, int, int]:
    """Along which axis a view is a piece, where it starts, and how long it is."""
    dim = step.arguments[1] if name == "narrow" else step.arguments[2] if len(step.arguments) > 2 else 0
    if step.item is None:
        return dim, step.arguments[2] % step.before.shape[dim], step.arguments[3]
    lengths = [piece.shape[dim] for piece in step.value]
    return dim, sum(lengths[: step.item]), lengths[step.item]


def _viewed(step: Step, tensor: torch.Tensor) -> torch.Tensor:
    """A step applied to another tensor."""
    if any(isinstance(argument, Node) for argument in step.arguments[1:]):
        raise Unfollowed(f"{step.operator} is written through")
    found = step.operator(tensor, *step.arguments[1:], **step.named)
    result: torch.Tensor = found if step.item is None else found[step.item]
    return result
