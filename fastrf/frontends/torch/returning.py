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
from torch.fx import GraphModule

from fastrf.errors import NetworkError, a_kind

__all__ = [
    "MODULES",
    "RETURNED",
    "Returned",
    "classes_of",
    "gathered",
    "names_of",
    "no_tensor",
    "noted",
    "plain",
    "tensors_in",
]


def _nothing(*_: Any) -> None:
    """The note itself: it only stands in a graph."""


_LIBRARY = torch.library.Library("fastrf", "FRAGMENT")  # type: ignore[no-untyped-call]
_LIBRARY.define("returned(Tensor tensor, str module, str item, int call) -> ()")  # type: ignore[no-untyped-call]
for _key in ("CompositeExplicitAutograd", "Meta"):
    _LIBRARY.impl("returned", _nothing, _key)  # type: ignore[no-untyped-call]
_NOTE = torch.ops.fastrf.returned.default
torch.fx.node.has_side_effect(_NOTE)

#: In a node's `meta`, which module calls returned what it makes; in a program's, the classes of all modules.
RETURNED, MODULES = "fastrf_returned", "fastrf_modules"

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
    names = names_of(model)
    handles = [
        module.register_forward_hook(_unwrapped if module is model else _hook(found, calls))
        for module, found in names.items()
        if not isinstance(module, torch.jit.ScriptModule)
    ]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def names_of(model: torch.nn.Module) -> dict[torch.nn.Module, list[str]]:
    """Every name that each module has; the model's own is "". A compiled module and what it compiles are one."""
    names: dict[torch.nn.Module, list[str]] = {}
    for name, module in model.named_modules(remove_duplicate=False):
        plainly = ".".join(p for p in name.split(".") if p != "_orig_mod") if "_orig_mod" in name else name
        if not name.endswith("_orig_mod"):
            names.setdefault(module, []).append(plainly)
    return names


def classes_of(model: torch.nn.Module) -> dict[str, str]:
    """The name of every module's class, by every name of the module."""
    named = [(name, module) for module, names in names_of(model).items() for name in names if name]
    inner = [(name, getattr(module, "_orig_mod", module)) for name, module in named]
    return {name: getattr(module, "original_name", type(module).__name__) for name, module in inner}


def _hook(names: Sequence[str], calls: Iterator[int]) -> Callable[..., None]:
    """Notes under every name that a module has."""

    def note(_module: Any, _arguments: Any, output: Any) -> None:
        call = next(calls)
        for (item, tensor), name in itertools.product(tensors_in(plain(output)), names):
            _NOTE(tensor, name, item, call)

    return note


def _unwrapped(module: torch.nn.Module, _arguments: Any, output: Any) -> Any:
    """A hook: the model's tensors in mappings and lists, whatever they were in."""
    found = plain(output)
    if not _holds_tensors(found):
        raise no_tensor(module, output)
    return found


def no_tensor(module: torch.nn.Module, output: Any) -> NetworkError:
    """The error for a model that returns nothing to measure."""
    said = f"{type(module).__name__} returns no tensor but {a_kind(output)}"
    return NetworkError(f"{said}; return tensors, or lists, tuples or mappings of them")


def plain(value: Any, above: frozenset[int] = frozenset()) -> Any:
    """Tensors in mappings, lists, dataclasses and objects of any kind, as mappings and lists; None for all else."""
    if value is None or isinstance(value, torch.Tensor):
        return value
    if id(value) in above or len(above) > _DEPTH or isinstance(value, str | bytes | type | torch.nn.Module):
        return None
    above |= {id(value)}
    if isinstance(value, Sequence) and not hasattr(value, "_fields"):
        return [plain(item, above) for item in value]
    members = {name: plain(item, above) for name, item in _members(value).items()}
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
    return public if any(_holds_tensors(plain(item, frozenset({id(value)}))) for item in public.values()) else held


def _holds_tensors(value: Any) -> bool:
    return next(tensors_in(value), None) is not None


def tensors_in(value: Any, path: str = "") -> Iterator[tuple[str, torch.Tensor]]:
    """Every tensor of a plain value with its path, such as "[0][p3]"."""
    if isinstance(value, torch.Tensor):
        yield path, value
    elif isinstance(value, Mapping | list):
        pairs = value.items() if isinstance(value, Mapping) else enumerate(value)
        for key, item in pairs:
            yield from tensors_in(item, f"{path}[{key}]")


def gathered(exported: ExportedProgram, model: torch.nn.Module) -> ExportedProgram:
    """The program with its notes taken out of the graphs and kept in the nodes' `meta`, the modules' classes beside."""
    for part in exported.graph_module.modules():
        if not isinstance(part, GraphModule):
            continue
        for node in part.graph.find_nodes(op="call_function", target=_NOTE):
            source, *note = node.args
            source.meta.setdefault(RETURNED, []).append(Returned(*note))
            part.graph.erase_node(node)
        part.recompile()
    exported.graph_module.meta[MODULES] = classes_of(model)
    return exported
