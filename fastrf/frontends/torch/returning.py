"""What a module returns: which tensors, by which names, and where they stand in the captured graph.

During a capture, a hook on every module notes the tensors that its call returned; the notes travel through the capture
as operators without a result, and end up in the `meta` of the nodes that made those tensors.
"""

from __future__ import annotations

import contextlib
import dataclasses
import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import torch
from torch.export import ExportedProgram
from torch.fx import GraphModule, Node

from fastrf.errors import NetworkError

__all__ = ["Returned", "gathered", "module_names", "noted", "plain", "returned_by"]


def _nothing(*_: Any) -> None:
    """The note itself: it only stands in a graph."""


_LIBRARY = torch.library.Library("fastrf", "FRAGMENT")  # type: ignore[no-untyped-call]
_LIBRARY.define("returned(Tensor tensor, str module, str item, int call) -> ()")  # type: ignore[no-untyped-call]
for _key in ("CompositeExplicitAutograd", "Meta"):
    _LIBRARY.impl("returned", _nothing, _key)  # type: ignore[no-untyped-call]
_NOTE = torch.ops.fastrf.returned.default
torch.fx.node.has_side_effect(_NOTE)

_KEY = "fastrf_returned"
_MODULES = "fastrf_modules"

#: Objects within objects that are looked through for tensors.
_DEPTH = 12


class Returned(NamedTuple):
    """One tensor of what a module call returned: `item` is "" or like "[0]", calls are numbered over all modules."""

    module: str
    item: str
    call: int


@contextlib.contextmanager
def noted(model: torch.nn.Module) -> Iterator[None]:
    """While it lasts, module calls note what they return, and the model itself returns nothing but plain containers."""
    calls = itertools.count()
    names: dict[torch.nn.Module, list[str]] = {}
    for name, module in model.named_modules(remove_duplicate=False):
        names.setdefault(module, []).append(name)
    handles = [
        module.register_forward_hook(_unwrapped if module is model else _hook(found, calls))
        for module, found in names.items()
    ]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def _hook(names: Sequence[str], calls: Iterator[int]) -> Callable[..., None]:
    """Notes under every name that a module has."""

    def note(_module: Any, _arguments: Any, output: Any) -> None:
        call = next(calls)
        for (item, tensor), name in itertools.product(_items(plain(output)), names):
            _NOTE(tensor, name, item, call)

    return note


def _unwrapped(module: torch.nn.Module, _arguments: Any, output: Any) -> Any:
    """A hook: the model's tensors in mappings and lists, whatever they were in."""
    found = plain(output)
    if not _holds_tensors(found):
        raise NetworkError(f"{type(module).__name__} returns no tensor but a {type(output).__name__}")
    return found


def plain(value: Any) -> Any:
    """Tensors in mappings, lists, dataclasses and objects of any kind, as mappings and lists; None for all else."""
    return _plain(value, frozenset())


def _plain(value: Any, above: frozenset[int]) -> Any:
    if value is None or isinstance(value, torch.Tensor):
        return value
    if id(value) in above or len(above) > _DEPTH or isinstance(value, str | bytes | type | torch.nn.Module):
        return None
    above |= {id(value)}
    if isinstance(value, Sequence) and not hasattr(value, "_fields"):
        return [_plain(item, above) for item in value]
    members = {name: _plain(item, above) for name, item in _members(value).items()}
    return {name: item for name, item in members.items() if _holds_tensors(item)} or None


def _members(value: Any) -> dict[str, Any]:
    """What an object holds, by name; attributes that are private only where no other holds a tensor."""
    if isinstance(value, Mapping):
        return {str(key): item for key, item in value.items()}
    if hasattr(value, "_fields"):
        return {name: getattr(value, name) for name in value._fields}
    if dataclasses.is_dataclass(value):
        return {field.name: getattr(value, field.name, None) for field in dataclasses.fields(value)}
    slots = [name for kind in type(value).__mro__ for name in getattr(kind, "__slots__", ())]
    held = {**{name: getattr(value, name) for name in slots if hasattr(value, name)}, **getattr(value, "__dict__", {})}
    public = {name: item for name, item in held.items() if not name.startswith("_")}
    return public if any(_holds_tensors(_plain(item, frozenset({id(value)}))) for item in public.values()) else held


def _holds_tensors(value: Any) -> bool:
    return next(_items(value), None) is not None


def _items(value: Any, path: str = "") -> Iterator[tuple[str, torch.Tensor]]:
    """Every tensor of a plain value with its path, such as "[0][p3]"."""
    if isinstance(value, torch.Tensor):
        yield path, value
    elif isinstance(value, Mapping | list):
        pairs = value.items() if isinstance(value, Mapping) else enumerate(value)
        for key, item in pairs:
            yield from _items(item, f"{path}[{key}]")


def gathered(exported: ExportedProgram, model: torch.nn.Module) -> ExportedProgram:
    """The program with its notes taken out of the graphs and kept in the nodes' `meta`, the modules' names beside."""
    for graph_module in exported.graph_module.modules():
        if isinstance(graph_module, GraphModule):
            _take_out(graph_module)
    names = [name for name, _ in model.named_modules(remove_duplicate=False) if name]
    exported.graph_module.meta[_MODULES] = names
    return exported


def _take_out(graph_module: GraphModule) -> None:
    for node in list(graph_module.graph.nodes):
        if node.target is _NOTE:
            source, *note = node.args
            assert isinstance(source, Node)
            source.meta.setdefault(_KEY, []).append(Returned(*note))
            graph_module.graph.erase_node(node)
    graph_module.recompile()


def returned_by(node: Node) -> Sequence[Returned]:
    """Which module calls returned what a node makes."""
    found: Sequence[Returned] = node.meta.get(_KEY, ())
    return found


def module_names(exported: ExportedProgram) -> list[str]:
    """The names of all modules of the captured model; none are known of a program of other origin."""
    found: list[str] = exported.graph_module.meta.get(_MODULES, [])
    return found
