"""Constants of a recording run: computed for real, lifted into the graph as they are, the module's own left alone."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import torch
import torch.utils._pytree as pytree
from torch.fx import Node

from fastrf.frontends.torch.recording.tensors import Settled, Step, Unfollowed, is_one_of_many, storage_of, twin
from fastrf.frontends.torch.recording.writing import written

__all__ = ["Constants", "refuse_many"]

#: Elements of a sparse matrix with its zeros.
_MOST_DENSE = 1 << 27


class _Lifted(NamedTuple):
    """A constant in the graph, at one version of it."""

    tensor: torch.Tensor
    version: int
    node: Node
    meta: torch.Tensor
    exposed: bool


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
        self._dense: dict[int, tuple[torch.Tensor, torch.Tensor]] = {}
        self._copied: dict[int | None, int | None] = {}  # from storages of copies to those that they stand for
        self.settled: dict[int, Settled] = {}  # by tensors, until one is written to
        self._versions: Counter[int | None] = Counter()  # how often storages were written to

    def memory_of(self, tensor: torch.Tensor) -> int | None:
        """Which storage a tensor uses, that of a copy being the one that it stands for."""
        key = storage_of(tensor)
        return self._copied.get(key, key)

    def run(self, func: Any, args: Any, kwargs: Any, tensors: Sequence[torch.Tensor]) -> Any:
        """An operator on constants alone; what the run did not make is written to in a copy."""
        targets = written(func, args, kwargs) if func._schema.is_mutable else []
        if func is torch.ops.aten.detach_.default:  # which torch refuses for views
            return args[0]
        for target in targets:
            if target.layout != torch.strided:
                raise Unfollowed(f"{func} writes to a sparse tensor")
            self.about_to_change(target)
            if torch.Tag.inplace_view in func.tags and not self._is_own(target):
                raise Unfollowed(f"{func} changes the shape of a constant that others share")
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
        key = self.memory_of(made)
        if view is not None and self.memory_of(view.source) == key:
            self._views[id(made)] = made, view
        elif key is not None:
            self._made[key] = made

    def _is_own(self, tensor: torch.Tensor) -> bool:
        """Whether the run made a constant, and no view of it or by it."""
        viewed = id(tensor) in self._views or any(view.source is tensor for _, view in self._views.values())
        return self.memory_of(tensor) in self._made and not viewed

    def about_to_change(self, tensor: torch.Tensor) -> None:
        """Keep what nodes hold of a constant, and what the module does."""
        key = self.memory_of(tensor)
        self._versions[key] += 1
        self.settled.clear()
        for node in self._holders.pop(key, ()):
            self._stored[node] = self._stored[node].clone()
        if key not in self._made and key not in self._copies:
            refuse_many(tensor)
            whole = torch.empty(0, dtype=tensor.dtype).set_(tensor.untyped_storage())
            copy = whole.clone()
            self._copies[key] = tensor, copy
            self._copied[storage_of(copy)] = key

    def current(self, tensor: torch.Tensor) -> torch.Tensor:
        """The tensor itself, or the copy of it that the run has written to."""
        if not self._copies:
            return tensor
        found = self._copies.get(self.memory_of(tensor))
        if found is not None:
            refuse_many(tensor)
        place = tensor.size(), tensor.stride(), tensor.storage_offset()
        return tensor if found is None else found[1].as_strided(*place)

    def lifted(self, tensor: torch.Tensor) -> _Lifted:
        """The tensor's place in the graph, as it is now."""
        refuse_many(tensor)
        now, key = self.current(tensor), self.memory_of(tensor)
        found = self._lifted.get(id(tensor))
        version, exposed = self._versions[key], key is not None and not now.untyped_storage().resizable()
        if found is None or found.version != version or (exposed and not _same(self._stored[found.node], now)):
            meta = twin(tensor)
            found = _Lifted(tensor, version, self._lift(tensor, meta), meta, exposed)
            self._stored[found.node] = now.clone() if exposed else now.detach()
            self._lifted[id(tensor)] = found
            self._holders.setdefault(key, []).append(found.node)
        return found

    def exposed(self, tensor: torch.Tensor) -> torch.Tensor:
        """The tensor as it is now, for those who may write to its memory past all operators."""
        self.about_to_change(tensor)
        return self.current(tensor)

    def dense(self, tensor: torch.Tensor) -> torch.Tensor:
        """A sparse constant with its zeros, the same one each time; other tensors as they are. Raises Unfollowed."""
        if tensor.layout == torch.strided:
            return tensor
        if id(tensor) not in self._dense:
            if tensor.numel() > _MOST_DENSE or isinstance(tensor, torch.nn.Parameter):
                raise Unfollowed(f"a sparse tensor of {tensor.numel()} elements")
            self._dense[id(tensor)] = tensor, tensor.to_dense()
        return self._dense[id(tensor)][1]

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
                same = tensor.shape == root.shape and tensor.stride() == root.stride() and tensor.dtype == root.dtype
                if same and tensor.storage_offset() == root.storage_offset():
                    return
                yield _placed(tensor, root)
                return
            view = self._views[id(tensor)][1]
            before = twin(view.source)
            if view.source.storage_offset() and view.operator is torch.ops.aten.as_strided.default:
                raise Unfollowed("strides of a part of a constant are written through")
            value = view.operator(before, *view.rest, **view.named)
            if not isinstance(value, torch.Tensor):
                raise Unfollowed(f"a result of {view.operator} is written to")
            yield Step(view.operator, (None, *view.rest), view.named, before, value)
            tensor = view.source


def _placed(tensor: torch.Tensor, root: torch.Tensor) -> Step:
    """A view that was made before the run, by its place in memory. Raises Unfollowed."""
    if not root.is_contiguous() or root.storage_offset() or tensor.dtype != root.dtype:
        raise Unfollowed("memory of a constant is shared in two ways")
    before, place = twin(root), (tensor.size(), tensor.stride(), tensor.storage_offset())
    return Step(torch.ops.aten.as_strided.default, (None, *map(_plain, place)), {}, before, before.as_strided(*place))


def _plain(place: Any) -> Any:
    return place if isinstance(place, int) else list(place)


def refuse_many(tensor: torch.Tensor) -> None:
    """Raise Unfollowed for what stands for many tensors, of which only the function that is transformed knows."""
    if is_one_of_many(tensor):
        raise Unfollowed("a function that torch.func transforms uses more than constants of its own")


def _same(first: torch.Tensor, second: torch.Tensor) -> bool:
    """Whether two tensors hold the same, bit by bit."""
    first, second = (tensor.reshape(-1).contiguous().view(torch.uint8) for tensor in (first, second))
    return torch.equal(first, second)
