"""A module to a graph by one run on tensors without data, which takes about as long as a forward pass.

Every operator arrives here before torch takes composite ones apart, and becomes a node. What depends neither on the
inputs nor on parameters is computed for real. Control flow goes where Python goes: where it looks at values, they are
worked out for the given input, and the program says so.
"""

from __future__ import annotations

import contextlib
import weakref
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from typing import Any

import torch
import torch.utils._pytree as pytree
from torch.fx import Node
from torch.fx.experimental.proxy_tensor import ProxyTorchDispatchMode

from fastrf.frontends.torch.names import VALUE_FREE
from fastrf.frontends.torch.recording.attending import flex_attention
from fastrf.frontends.torch.recording.expanding import DENSE, EXPANDED
from fastrf.frontends.torch.recording.layouts import joined, lay_out, like_first, tie
from fastrf.frontends.torch.recording.memory import Memory
from fastrf.frontends.torch.recording.patching import patched, uncompiled, unpatched
from fastrf.frontends.torch.recording.results import (
    Found,
    Operator,
    Place,
    Results,
    Unkeyed,
    operator_of,
    place_of,
    worked_out,
)
from fastrf.frontends.torch.recording.tensors import (
    Contents,
    Recorded,
    Step,
    Unfollowed,
    storage_of,
    tensors_of,
    twin,
)
from fastrf.frontends.torch.recording.writing import put_back
from fastrf.ops.rules import rule_of

__all__ = ["Recorder", "Stopped"]

#: Operators that hand values over to Python.
_READS = frozenset(("item", "_local_scalar_dense", "is_nonzero", "equal", "allclose"))


class Stopped(BaseException):
    """What comes next depends on values: which elements are taken, and how many. What was recorded before stands."""


class Recorder(Memory, ProxyTorchDispatchMode):
    """Notes every operator that runs while it is active; of the base class, which torch asks for, nothing is used."""

    def __init__(
        self, module: torch.nn.Module, examples: Mapping[str, torch.Tensor], made: Collection[str] = ()
    ) -> None:
        self._dispatch_key, self._mode_key = torch._C.DispatchKey.PreDispatch, torch._C._TorchDispatchModeKey.PROXY
        super().__init__(module, examples, made)
        self.inputs: dict[str, Node] = {}
        self.examples, self.made = examples, made
        self._shapes = Results()
        self._unsure = False  # whether strides of any tensor are
        self._given: list[weakref.ref[Recorded]] = []

    def placeholder(self, name: str) -> Recorded:
        """An input of the program, as the module gets it."""
        example = self.examples[name]
        meta = twin(example.new_empty(example.shape, device="meta") if name in self.made else example)
        self.inputs[name] = self._note("placeholder", name, (), {}, meta, name)
        return self._wrapped(meta, self.inputs[name], example.device, place_of(meta))

    @contextlib.contextmanager
    def active(self) -> Iterator[None]:
        """Record while it lasts: no fused kernels, nothing compiled, no operators that trace functions."""
        with contextlib.ExitStack() as stack:
            stack.enter_context(uncompiled())
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
        """Run one operator that reaches the mode in torch's own way."""
        with torch._C._DisablePythonDispatcher():
            return self._run(func, args, kwargs or {})

    def run(self, func: Any, /, *args: Any, **kwargs: Any) -> Any:
        """Run one operator, and note it where its result is no constant; those that run within it are as ever."""
        stack: Any = torch._ops.mode_stack_state_for_pre_dispatch()  # type: ignore[no-untyped-call]
        stack.set(0, None)
        torch._C._dispatch_tls_set_dispatch_key_included(self._dispatch_key, False)
        try:
            with torch._C._DisablePythonDispatcher():
                return self._run(func, args, kwargs)
        finally:
            stack.set(0, self)
            torch._C._dispatch_tls_set_dispatch_key_included(self._dispatch_key, True)

    def _run(self, func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        if self._bound_again:
            args, kwargs = pytree.tree_map_only(torch.Tensor, self._now, (args, kwargs))
        about, tensors = operator_of(func), tensors_of(args, kwargs)
        recorded = [t for t in tensors if type(t) is Recorded or self._is_recorded(t)]
        if not recorded and not about.draws(args):
            return self._constants.run(func, args, kwargs, tensors)
        if (about.expanded and rule_of(about.written) is None) or any(
            t.layout != torch.strided for t in tensors if type(t) is not Recorded
        ):
            return self._expanded(func, args, kwargs)
        name = about.name
        if name in _READS:
            return self._read(func, args, kwargs)
        if about.selecting:
            raise Stopped(name)
        if name in ("index", "index_put"):
            args = (args[0], self._places(args[1], recorded), *args[2:])
            tensors = tensors_of(args, kwargs)
        if about.mutable:
            return self._write(about, args, kwargs)
        device = recorded[0].device if recorded else torch.device("cpu")
        if name in VALUE_FREE and "rand" not in name:
            return self._of_shapes(about, self._as_metas(args, kwargs), device)
        found = self._found(about, args, kwargs, tensors)
        sources = self._contents_of(recorded) if about.laid_out or self._unsure else ()
        if found.same:  # such as `contiguous` of what is contiguous
            same = next((t for t in recorded if found.value is self.meta_of(t)), None)
            if same is not None:
                tie(name, sources)
                return same
        node = self._note("call_function", func, *self._as_nodes(args, kwargs), found.value, about.own)
        return self._results(about, node, found, tensors if found.shares else (), device, sources)

    def _results(
        self, about: Operator, node: Node, found: Found, tensors: Sequence[torch.Tensor], device: Any, sources: Any
    ) -> Any:
        """A node's results, as the model gets them."""
        value = found.value
        if isinstance(value, torch.Tensor):
            made = self._result(node, node, value, found.places, tensors, device)
            if sources or about.laid_out:
                self._unsure |= lay_out(about.name, found.plainly, sources, made.contents)
            return made
        if isinstance(value, list | tuple):
            return type(value)(
                self._result(node, (node, k), one, found.places[k], tensors, device)
                if isinstance(one, torch.Tensor)
                else one
                for k, one in enumerate(value)
            )
        return value  # a size, or another property

    def _found(
        self, about: Operator, args: tuple[Any, ...], kwargs: dict[str, Any], tensors: Sequence[torch.Tensor]
    ) -> Found:
        """The operator's result on tensors without data."""
        try:
            key: Any = (
                about,
                torch.get_default_dtype(),
                self._key(args),
                self._key([*kwargs.items()]) if kwargs else (),
            )
        except Unkeyed:
            key = None
        found = self._shapes.remembered(about, key, self.meta_of(tensors[0]) if tensors else None)
        if found is not None:
            return found
        given, named = self._as_metas(args, kwargs)
        told = joined(*given, **named) if about.name == "cat" else like_first(about.name, given)
        value = worked_out(about.func, given, named) if told is None else told
        return self._shapes.noted(about, key, value, [self.meta_of(tensor) for tensor in tensors])

    def _expanded(self, func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """An operator as others, and sparse constants with their zeros."""
        args, kwargs = pytree.tree_map_only(torch.Tensor, self._constants.dense, (args, kwargs))
        if func not in EXPANDED:
            return self._run(DENSE.get(func, func), args, kwargs)
        with self._again():
            return EXPANDED[func](*args, **kwargs)

    def _places(self, indices: Sequence[Any], recorded: Sequence[torch.Tensor]) -> list[Any]:
        """Indices, where a constant says by truths which elements are taken."""
        found: list[Any] = []
        for index in indices:
            truths = index is not None and index.dtype in (torch.bool, torch.uint8)
            if truths and any(index is tensor for tensor in recorded):
                raise Stopped("index")
            found += self._constants.current(index).nonzero(as_tuple=True) if truths else [index]
        return found

    def _write(self, about: Operator, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """An operator that writes into one tensor: a node of its functional form, which is the memory's from now on."""
        targets = about.targets(args, kwargs)
        if about.name == "detach" or about.passes(args):
            return targets[0]
        if len(targets) != 1 or targets[0] is not args[0] or about.resizing:
            raise Unfollowed(f"{about.func} writes into its arguments")
        (target,), form = targets, about.form
        if type(target) is not Recorded and self._held(target) is None:
            root = self._constants.root(target)
            held = self._constants.lifted(root)
            self._contents[self._constants.memory_of(root)] = Contents(held.node, held.meta, root)
            self._settled.clear()
        meta = self.meta_of(target)
        node = self._note("call_function", form, *self._as_nodes(args, kwargs), twin(meta), operator_of(form).own)
        contents, steps = self._chain(target)
        if contents.root is not None:
            self._settled.clear()
        if contents.tied:
            raise Unfollowed(f"{about.func} writes to memory that another tensor may share")
        new = node
        bases = self._along(contents, steps[:-1]) if steps else []
        for step, base in zip(reversed(steps), reversed(bases), strict=True):
            new = put_back(self._note_of, step, base, new)
        contents.node = new
        contents.version += 1
        if type(target) is Recorded:
            target.node, target.version = node, contents.version
        return target

    def _result(
        self, node: Node, own: Any, meta: Any, place: Place, sources: Sequence[torch.Tensor], device: torch.device
    ) -> Recorded:
        """A result, which may be a view of an argument."""
        if not sources:
            return self._wrapped(meta, own, device, place)
        key = storage_of(meta)
        source = next((t for t in sources if storage_of(self.meta_of(t)) == key), None)
        if source is None:
            return self._wrapped(meta, own, device, place)
        if source is not sources[0] or isinstance(node.args[0], list) or not self._is_recorded(source):
            raise Unfollowed(f"{node.target} views one of several tensors")
        contents, steps = self._chain(source)
        item = own[1] if isinstance(own, tuple) else None
        step = Step(node.target, node.args, node.kwargs, self.meta_of(source), node.meta["val"], item)
        return self._wrapped(meta, own, device, place, contents, (*steps, step))

    def _wrapped(
        self, meta: Any, node: Any, device: Any, place: Place, contents: Any = None, steps: tuple[Step, ...] = ()
    ) -> Recorded:
        made = Recorded(meta, device)
        made.place = place
        made.contents = contents or Contents(node, meta)
        made.steps, made.node, made.version = steps, node, made.contents.version
        self._given.append(weakref.ref(made))
        return made

    def has_left(self) -> bool:
        """Whether someone still holds a tensor that the run made."""
        return any(made() is not None for made in self._given)

    def _of_shapes(self, about: Operator, metas: tuple[Any, Any], device: torch.device) -> Any:
        """A constant that has its shape and type from recorded tensors."""
        args, kwargs = metas
        made = about.func(*args, **kwargs)
        if not isinstance(made, torch.Tensor):
            return made
        result = about.func(*args, **({**kwargs, "device": device} if about.takes_device else kwargs))
        return self._constants.run(torch.ops.aten.alias.default, (result,), {}, ())

    # Values ----------------------------------------------------------------------------------------------

    def _read(self, func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """An operator that hands values over, for the given input."""
        return func(*(self.values_of(a) if isinstance(a, torch.Tensor) else a for a in args), **kwargs)

    def values_read(self, tensor: torch.Tensor) -> torch.Tensor:
        """The values of any tensor, for the given input where they depend on it."""
        tensor = self._now(tensor)
        return self.values_of(tensor, leave=True) if self._is_recorded(tensor) else self._constants.current(tensor)

    def array_of(self, tensor: torch.Tensor, *, force: bool) -> Any:
        """The values as an array, which may be written to where it is a constant's memory."""
        tensor = self._now(tensor)
        if not self._is_recorded(tensor):
            return torch._C.TensorBase.numpy(self._constants.exposed(tensor), force=force)
        found = torch._C.TensorBase.numpy(self.values_of(tensor, leave=True), force=force)
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

    def values_of(self, tensor: torch.Tensor, *, leave: bool = False) -> torch.Tensor:
        """The values that a tensor has for the given input, worked out from the graph; which is noted."""
        with torch._C._DisablePythonDispatcher():
            return self.values.of(self.node_of(tensor), self.scope[-1] if self.scope else "", leave=leave)
