"""What the tensors of a recording run are in its graph: their nodes, their twins, and what memory holds."""

from __future__ import annotations

import operator
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import torch
from torch.fx import Graph, Node

from fastrf.frontends.torch.names import SCOPE
from fastrf.frontends.torch.recording.constants import Constants, refuse_many
from fastrf.frontends.torch.recording.reading import Values
from fastrf.frontends.torch.recording.results import Unkeyed, operator_of, place_of
from fastrf.frontends.torch.recording.tensors import (
    PLAIN,
    Contents,
    Recorded,
    Settled,
    Step,
    Unfollowed,
    is_one_of_many,
    storage_of,
    twin,
)

__all__ = ["Memory"]


class Memory:
    """The tensors of one run, and its graph."""

    def __init__(
        self, module: torch.nn.Module, examples: Mapping[str, torch.Tensor], made: Collection[str] = ()
    ) -> None:
        self.graph = Graph()
        self.values = Values(self.graph, examples, made)
        self.stored, self.parameters = self.values.stored, self.values.parameters
        self.scope: tuple[str, ...] = ()
        parameters = list(module.named_parameters())
        self.names = {id(tensor): name for name, tensor in (*parameters, *module.named_buffers())}
        self.owned: dict[Any, torch.Tensor] = {storage_of(p): p for _, p in parameters}
        self._contents: dict[int | None, Contents] = {}  # of storages with data whose contents are recorded
        self._constants = Constants(self._holder, self.stored)
        self._settled = self._constants.settled
        self._adopted: dict[str, torch.Tensor] = {}  # parameters that modules hold packed
        self.assume = self.values.told.append
        self._bound_again: dict[int, tuple[torch.Tensor, torch.Tensor]] = {}  # by `data = `, with what they are now

    def _note(self, kind: str, target: Any, args: Any, kwargs: Any, value: Any, name: str) -> Node:
        node = self.graph.create_node(kind, target, (), {}, name)
        if args:  # given at once, torch looks through them for what is not here
            node.args = args
        if kwargs:
            node.kwargs = kwargs
        node.meta["val"], node.meta[SCOPE] = value, self.scope
        return node

    def _note_of(self, func: Any, args: tuple[Any, ...], meta: torch.Tensor) -> Node:
        return self._note("call_function", func, *self._as_nodes(args, {}), meta, operator_of(func).own)

    def _as_metas(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[Any, Any]:
        return tuple(map(self._as_meta, args)), {key: self._as_meta(item) for key, item in kwargs.items()}

    def _as_meta(self, given: Any) -> Any:
        if isinstance(given, torch.Tensor):
            return self.meta_of(given)
        if isinstance(given, list | tuple):
            return [self._as_meta(item) for item in given]
        return torch.device("meta") if isinstance(given, torch.device) else given

    def _key(self, given: Any) -> Any:
        """An argument as part of a key; of tensors, what decides what a result looks like. Raises Unkeyed."""
        kind = type(given)
        if kind is Recorded:
            if given.place is None:
                raise Unkeyed
            return given.place
        if kind in PLAIN:
            return kind, given
        if isinstance(given, list | tuple):
            numbers = all(type(item) is int for item in given)
            return (list, *given) if numbers else tuple([self._key(item) for item in given])
        if not isinstance(given, torch.Tensor):
            raise Unkeyed
        place = self._settled[id(given)].place if id(given) in self._settled else place_of(self.meta_of(given))
        if place is None:
            raise Unkeyed
        return place

    def _as_nodes(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[Any, Any]:
        return tuple(map(self._as_node, args)), {key: self._as_node(item) for key, item in kwargs.items()}

    def _as_node(self, given: Any) -> Any:
        if type(given) in PLAIN:
            return given
        if isinstance(given, torch.Tensor):
            return self.node_of(given)
        return [self._as_node(item) for item in given] if isinstance(given, list | tuple) else given

    def meta_of(self, tensor: torch.Tensor) -> torch.Tensor:
        """The tensor's twin, which shares memory with other twins as the tensor does with theirs."""
        if type(tensor) is Recorded:
            return tensor.meta
        settled = self._settle(tensor)
        if settled is not None:
            return settled.meta
        contents = self._held(tensor)
        if contents is None:
            return self._constants.lifted(tensor).meta
        root = contents.meta
        if tensor.shape == root.shape and tensor.stride() == root.stride():
            return root
        return root.as_strided(tensor.size(), tensor.stride(), tensor.storage_offset())

    def node_of(self, tensor: torch.Tensor) -> Node:
        """The node that tells a tensor's values at the moment."""
        tensor = self._now(tensor) if self._bound_again else tensor
        if type(tensor) is not Recorded:
            settled = self._settle(tensor)
            if settled is not None:
                return settled.node  # type: ignore[no-any-return]
            contents = self._held(tensor)
            if contents is None:
                return self._constants.lifted(tensor).node
            return self._along(*self._chain(tensor))[-1]
        if tensor.version != tensor.contents.version:
            tensor.node, tensor.version = self._along(tensor.contents, tensor.steps)[-1], tensor.contents.version
        if isinstance(tensor.node, tuple):  # one of several results, which gets a node when it is asked for
            tensor.node = self._item(tensor.node[0], tensor.node[1], tensor.meta)
            if not tensor.steps:
                tensor.contents.node = tensor.node
        found: Node = tensor.node
        return found

    def _item(self, several: Node, index: int, meta: torch.Tensor) -> Node:
        return self._note("call_function", operator.getitem, (several, index), {}, meta, "getitem")

    def bind_again(self, tensor: torch.Tensor, value: torch.Tensor) -> None:
        """What `tensor.data = value` does: from now on the tensor uses the memory of another one."""
        if (tensor.shape, tensor.dtype) != (value.shape, value.dtype):
            raise Unfollowed(f"a tensor of shape {tuple(tensor.shape)} gets data of shape {tuple(value.shape)}")
        self._bound_again[id(tensor)] = tensor, value.detach()

    def _now(self, tensor: torch.Tensor) -> torch.Tensor:
        found = self._bound_again.get(id(tensor))
        return tensor if found is None else found[1]

    def _is_recorded(self, tensor: torch.Tensor) -> bool:
        if type(tensor) is Recorded:
            return True
        settled = self._settled.get(id(tensor))
        if settled is not None:
            return settled.contents is not None
        contents = self._held(tensor)
        if contents is not None and contents.root is tensor:
            self._settled[id(tensor)] = Settled(tensor, contents, contents.node, contents.meta, place_of(contents.meta))
        return contents is not None

    def _settle(self, tensor: torch.Tensor) -> Settled | None:
        """What stands for a tensor with data until one of these is written to, where nothing but operators may do so.

        A constant gets its place in the graph. None for parts of parameters, and what others may change.
        """
        found = self._settled.get(id(tensor))
        if found is None and not is_one_of_many(tensor):
            contents = self._held(tensor)
            if contents is None:
                held = self._constants.lifted(tensor)
                if held.exposed:
                    return None
                node, meta = held.node, held.meta
            elif contents.root is tensor:
                node, meta = contents.node, contents.meta
            else:
                return None
            found = self._settled[id(tensor)] = Settled(tensor, contents, node, meta, place_of(meta))
        return found

    def _held(self, tensor: torch.Tensor) -> Contents | None:
        """What a tensor with data holds, if that is recorded: parameters, and what recorded values were written to."""
        key = self._constants.memory_of(tensor)
        found = self._contents.get(key)
        if found is None and key in self.owned:
            owner = self.owned[key]
            meta = twin(owner)
            node = self._holder(owner, meta)
            self.parameters[node] = self.names[id(owner)]
            self.stored[node] = owner.detach()
            found = self._contents[key] = Contents(node, meta, owner)
        if found is not None:
            refuse_many(tensor)
        return found

    def adopted(self, name: str, tensor: torch.Tensor, key: str) -> torch.Tensor:
        """A parameter that a module holds packed, the same tensor each time."""
        name = ".".join([*(module.partition("@")[0] for module in self.scope[-1:]), name, key[:16]])
        tensor = self._adopted.setdefault(name, tensor)
        self.names[id(tensor)], self.owned[storage_of(tensor)] = name, tensor
        return tensor

    def _holder(self, tensor: torch.Tensor, meta: torch.Tensor) -> Node:
        name = self.names.get(id(tensor), "constant").replace(".", "_")
        return self._note("placeholder", name, (), {}, meta, name)

    def _chain(self, tensor: Any) -> tuple[Contents, tuple[Step, ...]]:
        """The contents of a tensor's memory, and how the tensor views them."""
        if type(tensor) is not Recorded:
            contents = self._held(tensor)
            assert contents is not None
            assert contents.root is not None
            return contents, self._constants.steps(tensor, contents.root)
        if isinstance(tensor.contents.node, tuple):
            self.node_of(tensor)
        return tensor.contents, tensor.steps

    def _contents_of(self, recorded: Sequence[torch.Tensor]) -> list[Contents]:
        return [t.contents if type(t) is Recorded else self._contents_with(t) for t in recorded]

    def _contents_with(self, tensor: torch.Tensor) -> Contents:
        settled = self._settled.get(id(tensor))
        return self._chain(tensor)[0] if settled is None or settled.contents is None else settled.contents

    def _along(self, contents: Contents, steps: Sequence[Step]) -> list[Node]:
        """The nodes of the contents and of each view along a chain, as they are now."""
        nodes = [contents.node]
        for step in steps:
            given = (nodes[-1], *step.arguments[1:])
            node = self._note(
                "call_function", step.operator, given, step.named, step.value, operator_of(step.operator).own
            )
            nodes.append(node if step.item is None else self._item(node, step.item, step.value[step.item]))
        return nodes
