"""Constants of a recording run: computed for real, lifted into the graph as they are, the module's own left alone."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import torch
import torch.utils._pytree as pytree
from torch.fx import Node

from fastrf.frontends.torch.tensors import Step, Unfollowed, storage_of, twin
from fastrf.frontends.torch.writing import written

__all__ = ["Constants"]


class _Lifted(NamedTuple):
    """A constant in the graph, at one version of it."""

    tensor: torch.Tensor
    version: int
    node: Node
    meta: torch.Tensor


class _View(NamedTuple):
    """How a constant came from another one with the same memory."""

    source: torch.Tensor
    operator: Any
    rest: tuple[Any, ...]
    named: dict[str, Any]


class Constants:
    """The constants of one run; `lift` makes a placeholder that holds a tensor."""

    def __init__(self, lift: Callable[[torch.Tensor, torch.Tensor], Node], stored: dict[Node, torch.Tensor]) -> None:
        self._lift = lift
        self._stored = stored
        self._lifted: dict[int, _Lifted] = {}
        self._holders: dict[int | None, list[Node]] = {}
        self._made: dict[int | None, torch.Tensor] = {}  # by their storages, which stay alive and so theirs
        self._copies: dict[int | None, tuple[torch.Tensor, torch.Tensor]] = {}  # of what the module holds
        self._views: dict[int, tuple[torch.Tensor, _View]] = {}

    def run(self, func: Any, args: Any, kwargs: Any, tensors: Sequence[torch.Tensor]) -> Any:
        """An operator on constants alone; what the run did not make is written to in a copy."""
        targets = written(func, args, kwargs) if func._schema.is_mutable else []
        if func is torch.ops.aten.detach_.default:  # which torch refuses for views
            return args[0]
        for target in targets:
            self._about_to_change(target)
        if self._copies:
            args, kwargs = pytree.tree_map_only(torch.Tensor, self.current, (args, kwargs))
        out = func(*args, **kwargs)
        if targets:
            return targets[0] if isinstance(out, torch.Tensor) and len(targets) == 1 else out
        for one in out if isinstance(out, list | tuple) else (out,):
            if isinstance(one, torch.Tensor) and not any(one is tensor for tensor in tensors):
                self._remember(one, _View(tensors[0], func, args[1:], kwargs) if tensors else None)
        return out

    def _remember(self, made: torch.Tensor, view: _View | None) -> None:
        key = storage_of(made)
        if view is not None and storage_of(view.source) == key:
            self._views[id(made)] = made, view
        elif key is not None:
            self._made[key] = made

    def _about_to_change(self, tensor: torch.Tensor) -> None:
        """Keep what nodes hold of a constant, and what the module does."""
        key = storage_of(tensor)
        for node in self._holders.pop(key, ()):
            self._stored[node] = self._stored[node].clone()
        if key not in self._made and key not in self._copies:
            whole = torch.empty(0, dtype=tensor.dtype).set_(tensor.untyped_storage())
            self._copies[key] = tensor, whole.clone()

    def current(self, tensor: torch.Tensor) -> torch.Tensor:
        """The tensor itself, or the copy of it that the run has written to."""
        found = self._copies.get(storage_of(tensor)) if self._copies else None
        place = tensor.size(), tensor.stride(), tensor.storage_offset()
        return tensor if found is None else found[1].as_strided(*place)

    def lifted(self, tensor: torch.Tensor) -> _Lifted:
        """The tensor's place in the graph, as it is now."""
        now = self.current(tensor)
        found = self._lifted.get(id(tensor))
        if found is None or found.version != now._version:
            meta = twin(tensor)
            found = _Lifted(tensor, now._version, self._lift(tensor, meta), meta)
            self._stored[found.node] = now.detach()
            self._lifted[id(tensor)] = found
            self._holders.setdefault(storage_of(now), []).append(found.node)
        return found

    def root(self, tensor: torch.Tensor) -> torch.Tensor:
        """The constant that a view comes from in the end."""
        while id(tensor) in self._views:
            tensor = self._views[id(tensor)][1].source
        return tensor

    def steps(self, tensor: torch.Tensor, root: torch.Tensor) -> tuple[Step, ...]:
        """How a constant views another one. Raises Unfollowed."""
        return tuple(reversed(list(self._back(tensor, root))))

    def _back(self, tensor: torch.Tensor, root: torch.Tensor) -> Iterator[Step]:
        while tensor is not root:
            if id(tensor) not in self._views:
                same = tensor.shape == root.shape and tensor.stride() == root.stride()
                if same and tensor.storage_offset() == root.storage_offset():
                    return
                yield _placed(tensor, root)
                return
            view = self._views[id(tensor)][1]
            before = twin(view.source)
            value = view.operator(before, *view.rest, **view.named)
            if not isinstance(value, torch.Tensor):
                raise Unfollowed(f"a result of {view.operator} is written to")
            yield Step(view.operator, (None, *view.rest), view.named, before, value)
            tensor = view.source


def _placed(tensor: torch.Tensor, root: torch.Tensor) -> Step:
    """A view that was made before the run, by its place in memory. Raises Unfollowed."""
    if not root.is_contiguous() or root.storage_offset():
        raise Unfollowed("memory of a constant is shared in two ways")
    before, place = twin(root), (tensor.size(), tensor.stride(), tensor.storage_offset())
    return Step(torch.ops.aten.as_strided.default, (None, *map(_plain, place)), {}, before, before.as_strided(*place))


def _plain(place: Any) -> Any:
    return place if isinstance(place, int) else list(place)
