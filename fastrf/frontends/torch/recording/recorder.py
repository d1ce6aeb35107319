"""A module to a graph by one run on tensors without data, which takes about as long as a forward pass.

Every operator arrives here before torch takes composite ones apart, and becomes a node. What depends neither on the
inputs nor on parameters is computed for real. Control flow goes where Python goes: where it looks at values, they are
worked out for the given input, and the program says so.
"""

from __future__ import annotations

import contextlib
import operator
import weakref
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from typing import Any

import torch
import torch.utils._pytree as pytree
from torch.fx import Graph, Node
from torch.fx.experimental.proxy_tensor import ProxyTorchDispatchMode

from fastrf.frontends.torch.names import NORMS, OF_ONE, OF_SEVERAL, SCOPE, SOFTMAXES, SUMS, VALUE_FREE, plain_name
from fastrf.frontends.torch.recording.attending import flex_attention
from fastrf.frontends.torch.recording.constants import Constants, draws, refuse_many
from fastrf.frontends.torch.recording.expanding import DENSE, EXPANDED
from fastrf.frontends.torch.recording.layouts import LAID_OUT, joined, key_of, lay_out, like_first, tie
from fastrf.frontends.torch.recording.patching import patched, unpatched
from fastrf.frontends.torch.recording.reading import Values
from fastrf.frontends.torch.recording.tensors import Contents, Recorded, Step, Unfollowed, each_tensor, storage_of, twin
from fastrf.frontends.torch.recording.writing import functional_form, passes, put_back, written
from fastrf.ops.rules import rule_of

__all__ = ["Recorder", "Stopped"]

#: Operators whose results never share memory with their arguments, so that one look at equal ones is enough.
_FRESH = (SUMS | OF_ONE | OF_SEVERAL | NORMS | SOFTMAXES | {"cat", "stack"}) - {"einsum", "imag"}
#: Operators that hand values over to Python.
_READS = frozenset(("item", "_local_scalar_dense", "is_nonzero", "equal", "allclose"))
#: Operators of which values decide how large the result is, beside those that torch marks so.
_SELECTING = frozenset(("torchvision::nms", "nonzero_numpy", "argwhere", "masked_select"))
#: `where` and `split` with what only values tell.
_PLACES = frozenset((torch.ops.aten.where.default, torch.ops.aten.tensor_split.tensor_indices_or_sections))


class Stopped(BaseException):
    """What comes next depends on values: which elements are taken, and how many. What was recorded before stands."""


class Recorder(ProxyTorchDispatchMode):
    """Notes every operator that runs while it is active; of the base class, which torch asks for, nothing is used."""

    def __init__(
        self, module: torch.nn.Module, examples: Mapping[str, torch.Tensor], made: Collection[str] = ()
    ) -> None:
        self._dispatch_key, self._mode_key = torch._C.DispatchKey.PreDispatch, torch._C._TorchDispatchModeKey.PROXY
        self.graph = Graph()
        self.inputs: dict[str, Node] = {}
        self.values = Values(self.graph, examples, made)
        self.stored, self.parameters = self.values.stored, self.values.parameters
        self.scope: tuple[str, ...] = ()
        self.examples = examples
        parameters = list(module.named_parameters())
        self.names = {id(tensor): name for name, tensor in (*parameters, *module.named_buffers())}
        self.owned: dict[Any, torch.Tensor] = {storage_of(p): p for _, p in parameters}
        self._contents: dict[int | None, Contents] = {}  # of storages with data whose contents are recorded
        self._constants = Constants(self._holder, self.stored)
        self._shapes: dict[Any, Any] = {}
        self._adopted: dict[str, torch.Tensor] = {}  # parameters that modules hold packed
        self.assume = self.values.told.append
        self._unsure = False  # whether strides of any tensor are
        self._given: list[weakref.ref[Recorded]] = []
        self._bound_again: dict[int, tuple[torch.Tensor, torch.Tensor]] = {}  # by `data = `, with what they are now

    def placeholder(self, name: str) -> Recorded:
        """An input of the program, as the module gets it."""
        example = self.examples[name]
        meta = twin(example)
        self.inputs[name] = self._note("placeholder", name, (), {}, meta, name)
        return self._wrapped(meta, self.inputs[name], example.device)

    @contextlib.contextmanager
    def active(self) -> Iterator[None]:
        """Record while it lasts: no fused kernels, nothing compiled, no operators that trace functions."""
        with contextlib.ExitStack() as stack:
            if hasattr(torch.compiler, "set_stance"):  # from 2.6 on
                stack.enter_context(torch.compiler.set_stance("force_eager"))
            stack.enter_context(torch.jit.optimized_execution(False))  # type: ignore[attr-defined,no-untyped-call]
            stack.enter_context(patched(self))
            stack.enter_context(self._again())
            yield

    @contextlib.contextmanager
    def _again(self) -> Iterator[None]:
        """Record the operators that run while it lasts."""
        torch._ops._set_mode_pre_dispatch(self)  # type: ignore[no-untyped-call]
        try:
            with torch._C._EnablePythonDispatcher():
                yield
        finally:
            torch._ops.unset_mode_pre_dispatch(self._mode_key)  # type: ignore[no-untyped-call]

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        """Nothing is compiled here, so that no operator need say so."""
        return False

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Run one operator, and note it where its result is no constant."""
        with torch._C._DisablePythonDispatcher():
            return self._run(func, args, kwargs or {})

    def _run(self, func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        if self._bound_again:
            args, kwargs = pytree.tree_map_only(torch.Tensor, self._now, (args, kwargs))
        tensors = list(each_tensor((*args, *kwargs.values())))
        recorded = [t for t in tensors if self._is_recorded(t)]
        if not recorded and not draws(func, args):
            return self._constants.run(func, args, kwargs, tensors)
        if (func in EXPANDED and rule_of(func._schema.name) is None) or any(t.layout != torch.strided for t in tensors):
            return self._expanded(func, args, kwargs)
        name = plain_name(func._schema.name)
        if name in _READS:
            return self._read(func, args, kwargs)
        if name in ("index", "index_put"):
            args = (args[0], self._places(args[1], recorded), *args[2:])
        elif torch.Tag.dynamic_output_shape in func.tags or name in _SELECTING or func in _PLACES:
            raise Stopped(name)
        if func._schema.is_mutable:
            return self._write(func, name, args, kwargs)
        device = recorded[0].device if recorded else torch.device("cpu")
        metas = tuple(map(self._as_meta, args)), {key: self._as_meta(item) for key, item in kwargs.items()}
        if name in VALUE_FREE and "rand" not in name:
            return self._of_shapes(func, metas, device)
        value = self._shape_of(func, name, *metas)
        laid_out = self._contents_of(recorded) if name in LAID_OUT or self._unsure else ()
        same = next((t for t in recorded if value is self.meta_of(t)), None)
        if same is not None:  # such as `contiguous` of what is contiguous
            tie(name, laid_out)
            return same
        node = self._note("call_function", func, *self._as_nodes(args, kwargs), value, _own_name(func))
        if isinstance(value, torch.Tensor):
            made = self._result(node, node, value, () if name in _FRESH else tensors, device)
            if laid_out or name in LAID_OUT:
                self._unsure |= lay_out(name, metas, laid_out, made.contents)
            return made
        if isinstance(value, list | tuple):
            return type(value)(
                self._result(node, (node, k), one, tensors, device) if isinstance(one, torch.Tensor) else one
                for k, one in enumerate(value)
            )
        return value  # a size, or another property

    def _expanded(self, func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """An operator as others, and sparse constants with their zeros."""
        args, kwargs = pytree.tree_map_only(torch.Tensor, self._constants.dense, (args, kwargs))
        if func not in EXPANDED:
            return self._run(DENSE.get(func, func), args, kwargs)
        with self._again():
            return EXPANDED[func](*args, **kwargs)

    # Arguments -------------------------------------------------------------------------------------------

    def _as_meta(self, given: Any) -> Any:
        if isinstance(given, torch.Tensor):
            return self.meta_of(given)
        if isinstance(given, list | tuple):
            return [self._as_meta(item) for item in given]
        return torch.device("meta") if isinstance(given, torch.device) else given

    def _places(self, indices: Sequence[Any], recorded: Sequence[torch.Tensor]) -> list[Any]:
        """Indices, where a constant says by truths which elements are taken."""
        found: list[Any] = []
        for index in indices:
            truths = index is not None and index.dtype in (torch.bool, torch.uint8)
            if truths and any(index is tensor for tensor in recorded):
                raise Stopped("index")
            found += self._constants.current(index).nonzero(as_tuple=True) if truths else [index]
        return found

    def _as_nodes(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[Any, Any]:
        return tuple(map(self._as_node, args)), {key: self._as_node(item) for key, item in kwargs.items()}

    def _as_node(self, given: Any) -> Any:
        if isinstance(given, torch.Tensor):
            return self.node_of(given)
        return [self._as_node(item) for item in given] if isinstance(given, list | tuple) else given

    def meta_of(self, tensor: torch.Tensor) -> torch.Tensor:
        """The tensor's twin, which shares memory with other twins as the tensor does with theirs."""
        if type(tensor) is Recorded:
            return tensor.meta
        contents = self._held(tensor)
        if contents is None:
            return self._constants.lifted(tensor).meta
        root = contents.meta
        if tensor.shape == root.shape and tensor.stride() == root.stride():
            return root
        return root.as_strided(tensor.size(), tensor.stride(), tensor.storage_offset())

    def node_of(self, tensor: torch.Tensor) -> Node:
        """The node that tells a tensor's values at the moment."""
        tensor = self._now(tensor)
        if type(tensor) is not Recorded:
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

    # Memory ----------------------------------------------------------------------------------------------

    def bind_again(self, tensor: torch.Tensor, value: torch.Tensor) -> None:
        """What `tensor.data = value` does: from now on the tensor uses the memory of another one."""
        if (tensor.shape, tensor.dtype) != (value.shape, value.dtype):
            raise Unfollowed(f"a tensor of shape {tuple(tensor.shape)} gets data of shape {tuple(value.shape)}")
        self._bound_again[id(tensor)] = tensor, value.detach()

    def _now(self, tensor: torch.Tensor) -> torch.Tensor:
        found = self._bound_again.get(id(tensor))
        return tensor if found is None else found[1]

    def _is_recorded(self, tensor: torch.Tensor) -> bool:
        return type(tensor) is Recorded or self._held(tensor) is not None

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
        return [t.contents if isinstance(t, Recorded) else self._chain(t)[0] for t in recorded]

    def _along(self, contents: Contents, steps: Sequence[Step]) -> list[Node]:
        """The nodes of the contents and of each view along a chain, as they are now."""
        nodes = [contents.node]
        for step in steps:
            given = (nodes[-1], *step.arguments[1:])
            node = self._note("call_function", step.operator, given, step.named, step.value, _own_name(step.operator))
            nodes.append(node if step.item is None else self._item(node, step.item, step.value[step.item]))
        return nodes

    def _write(self, func: Any, name: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """An operator that writes into one tensor: a node of its functional form, which is the memory's from now on."""
        targets = written(func, args, kwargs)
        if name == "detach" or passes(func, args):
            return targets[0]
        if len(targets) != 1 or targets[0] is not args[0] or torch.Tag.inplace_view in func.tags:
            raise Unfollowed(f"{func} writes into its arguments")
        (target,), form = targets, functional_form(func)
        if type(target) is not Recorded and self._held(target) is None:
            root = self._constants.root(target)
            held = self._constants.lifted(root)
            self._contents[self._constants.memory_of(root)] = Contents(held.node, held.meta, root)
        meta = self.meta_of(target)
        node = self._note("call_function", form, *self._as_nodes(args, kwargs), twin(meta), _own_name(form))
        contents, steps = self._chain(target)
        if contents.tied:
            raise Unfollowed(f"{func} writes to memory that another tensor may share")
        new = node
        bases = self._along(contents, steps[:-1]) if steps else []
        for step, base in zip(reversed(steps), reversed(bases), strict=True):
            new = put_back(self._note_of, step, base, new)
        contents.node = new
        contents.version += 1
        if type(target) is Recorded:
            target.node, target.version = node, contents.version
        return target

    def _note_of(self, func: Any, args: tuple[Any, ...], meta: torch.Tensor) -> Node:
        return self._note("call_function", func, *self._as_nodes(args, {}), meta, _own_name(func))

    # Results ---------------------------------------------------------------------------------------------

    def _note(self, kind: str, target: Any, args: Any, kwargs: Any, value: Any, name: str) -> Node:
        node = self.graph.create_node(kind, target, tuple(args), kwargs, name)
        node.meta["val"], node.meta[SCOPE] = value, self.scope
        return node

    def _result(
        self, node: Node, own: Any, meta: torch.Tensor, sources: Sequence[torch.Tensor], device: torch.device
    ) -> Recorded:
        """A result, which may be a view of an argument."""
        key = storage_of(meta)
        source = next((t for t in sources if storage_of(self.meta_of(t)) == key), None)
        if source is None:
            return self._wrapped(meta, own, device)
        if source is not sources[0] or isinstance(node.args[0], list) or not self._is_recorded(source):
            raise Unfollowed(f"{node.target} views one of several tensors")
        contents, steps = self._chain(source)
        item = own[1] if isinstance(own, tuple) else None
        step = Step(node.target, node.args, node.kwargs, self.meta_of(source), node.meta["val"], item)
        return self._wrapped(meta, own, device, contents, (*steps, step))

    def _wrapped(
        self, meta: torch.Tensor, node: Any, device: torch.device, contents: Any = None, steps: tuple[Step, ...] = ()
    ) -> Recorded:
        made = Recorded(meta, device)
        made.contents = contents or Contents(node, meta)
        made.steps, made.node, made.version = steps, node, made.contents.version
        self._given.append(weakref.ref(made))
        return made

    def has_left(self) -> bool:
        """Whether someone still holds a tensor that the run made."""
        return any(made() is not None for made in self._given)

    def _of_shapes(self, func: Any, metas: tuple[Any, Any], device: torch.device) -> Any:
        """A constant that has its shape and type from recorded tensors."""
        args, kwargs = metas
        made = func(*args, **kwargs)
        if not isinstance(made, torch.Tensor):
            return made
        given = {**kwargs, "device": device} if any(a.name == "device" for a in func._schema.arguments) else kwargs
        result = func(*args, **given)
        return self._constants.run(torch.ops.aten.alias.default, (result,), {}, ())

    def _shape_of(self, func: Any, name: str, args: Any, kwargs: Any) -> Any:
        """The operator's result on tensors without data."""
        told = joined(*args, **kwargs) if name == "cat" else like_first(name, args)
        if told is not None:
            return told
        key = (func, key_of(args), key_of(tuple(kwargs.items()))) if name in _FRESH else None
        if key in self._shapes:
            size, stride, dtype = self._shapes[key]
            return torch.empty_strided(size, stride, dtype=dtype, device="meta")
        try:
            value = func(*args, **kwargs)
        except NotImplementedError as error:
            raise Unfollowed(f"{func} tells no shape") from error
        if key is not None and isinstance(value, torch.Tensor):
            self._shapes[key] = value.size(), value.stride(), value.dtype
        return value

    # Values ----------------------------------------------------------------------------------------------

    def _read(self, func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """An operator that hands values over, for the given input."""
        return func(*(self.values_of(a) if isinstance(a, torch.Tensor) else a for a in args), **kwargs)

    def values_read(self, tensor: torch.Tensor) -> torch.Tensor:
        """The values of any tensor, for the given input where they depend on it."""
        tensor = self._now(tensor)
        return self.values_of(tensor) if self._is_recorded(tensor) else self._constants.current(tensor)

    def array_of(self, tensor: torch.Tensor, *, force: bool) -> Any:
        """The values as an array, which may be written to where it is a constant's memory."""
        tensor = self._now(tensor)
        if not self._is_recorded(tensor):
            return torch._C.TensorBase.numpy(self._constants.exposed(tensor), force=force)
        found = torch._C.TensorBase.numpy(self.values_of(tensor), force=force)
        found.flags.writeable = False
        return found

    def with_function(self, operator: Any, *given: Any, **named: Any) -> Any:
        """Operators that take functions trace these with modes of their own; one is known, where users have no rule."""
        if str(operator) != "flex_attention" or named or rule_of("flex_attention") is not None:
            raise Unfollowed(f"{operator} takes a function")
        return flex_attention(self.plainly, *given)

    def plainly(self, function: Callable[[], Any]) -> Any:
        """What a function does while nothing is recorded."""
        torch._ops.unset_mode_pre_dispatch(self._mode_key)  # type: ignore[no-untyped-call]
        try:
            with unpatched(), torch._C._DisablePythonDispatcher():
                return function()
        finally:
            torch._ops._set_mode_pre_dispatch(self)  # type: ignore[no-untyped-call]

    def values_of(self, tensor: torch.Tensor) -> torch.Tensor:
        """The values that a tensor has for the given input, worked out from the graph; which is noted."""
        with torch._C._DisablePythonDispatcher():
            return self.values.of(self.node_of(tensor), self.scope[-1] if self.scope else "")


def _own_name(func: Any) -> str:
    name: str = func._schema.name.rpartition("::")[2]
    return name
