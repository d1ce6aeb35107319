"""A recording run of a module: which modules run, what they return, and where the run ends."""

from __future__ import annotations

import contextlib
import itertools
import threading
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import torch
import torch.utils._pytree as pytree
from torch.fx import Graph, Node
from torch.nn.modules import module as hooks

from fastrf.frontends.torch.inputs import Inputs
from fastrf.frontends.torch.keeping import as_it_was, evaluating
from fastrf.frontends.torch.programs import Program
from fastrf.frontends.torch.quantizing import unobserved
from fastrf.frontends.torch.recording.keras import is_keras, is_seed, layers_of, noticed
from fastrf.frontends.torch.recording.recorder import Recorder, Stopped
from fastrf.frontends.torch.returning import RETURNED, Returned, classes_of, names_of, no_tensor, plain, tensors_in
from fastrf.frontends.torch.rules_own import kept_whole

__all__ = ["WANTS_IDS", "WantsIdsError", "record"]

#: What torch says of embeddings that get no ids.
WANTS_IDS = ("scalar types: Long", "indices to be long or int")


class WantsIdsError(Exception):
    """An embedding read numbers that were made from a shape; `left` tells whether anything of the run is still held."""

    def __init__(self, left: Callable[[], bool]) -> None:
        super().__init__("an embedding wants whole numbers")
        self.left = left


def record(model: torch.nn.Module, inputs: Inputs, constants: Iterable[str]) -> Program:
    """A module as a program, by one run in evaluation mode; `constants` are arguments that are no inputs.

    Raises what the module raises, Unfollowed, and WantsIdsError.
    """
    recorder = Recorder(model, inputs.by_name(model, constants), inputs.made)
    wants_ids: list[bool] = []  # what is left of such a run is looked for by who catches the error
    with as_it_was(model, lambda: not wants_ids and recorder.has_left()), torch.no_grad():
        evaluating(model)
        run = _Run(model, recorder)
        try:
            with unobserved(model), kept_whole(model), run.followed(), recorder.active():
                run.call(inputs)
        except RuntimeError as error:
            if (inputs.made or inputs.arrays) and any(said in str(error) for said in WANTS_IDS):
                wants_ids.append(True)
                raise WantsIdsError(recorder.has_left) from error
            raise
        return run.program()


class _Run:
    """One run; `results` are what the model returns, or what its modules did where the run ends before."""

    def __init__(self, model: torch.nn.Module, recorder: Recorder) -> None:
        self.model, self.recorder = model, recorder
        self.results: Any = None
        self.assumes: list[str] = []
        self._names = layers_of(model) if is_keras(model) else names_of(model)
        self._hooked = {module for module in self._names if module._forward_hooks}
        self._stack: list[tuple[torch.nn.Module, tuple[str, ...]]] = []
        self._counts: dict[str, Iterator[int]] = {}
        self._calls = itertools.count()
        self._thread = threading.get_ident()

    def call(self, inputs: Inputs) -> None:
        """Run the model as far as that goes."""
        made = {id(tensor): name for name, tensor in self.recorder.examples.items()}
        arguments, named = pytree.tree_map_only(
            torch.Tensor,
            lambda t: self.recorder.placeholder(made[id(t)]) if id(t) in made else t,
            (inputs.arguments, inputs.named),
        )
        try:
            output = self.model(*arguments, **named)
        except Stopped as stop:
            self.results = self._heads()
            if not self.results:
                raise
            where = f"module {self.recorder.scope[-1]!r}" if self.recorder.scope else "the model"
            told = f"the operator {str(stop)!r} in {where}, which selects by values"
            self.assumes.append(f"followed up to {told}; what comes after is left out")
            return
        found = plain(output)
        if next(tensors_in(found), None) is None:
            raise no_tensor(self.model, output)
        self.results = pytree.tree_map(lambda t: self.recorder.node_of(t) if t is not None else None, found)

    @contextlib.contextmanager
    def followed(self) -> Iterator[None]:
        """While it lasts, the recorder knows which modules run, and nodes which modules return them."""
        if is_keras(self.model):
            with noticed(self._enter, self._leave):
                yield
            return
        handles: list[Any] = [
            hooks.register_module_forward_pre_hook(self._enter),
            hooks.register_module_forward_hook(self._leave_unless_hooked),
        ]
        # a module's own hooks run after those of all modules, and may return something else
        handles += [module.register_forward_hook(self._leave) for module in self._hooked]
        try:
            yield
        finally:
            for handle in handles:
                handle.remove()

    def _enter(self, module: torch.nn.Module, _arguments: Any) -> None:
        if module not in self._names or threading.get_ident() != self._thread:
            return
        scope, name = self.recorder.scope, self._names[module][0]
        self._stack.append((module, scope))
        if name:
            call = next(self._counts.setdefault(name, itertools.count()))
            self.recorder.scope = (*scope, f"{name}@{call}" if call else name)

    def _leave_unless_hooked(self, module: torch.nn.Module, arguments: Any, output: Any) -> None:
        if module not in self._hooked:
            self._leave(module, arguments, output)

    def _leave(self, module: torch.nn.Module, _arguments: Any, output: Any) -> None:
        if module not in self._names or threading.get_ident() != self._thread:
            return
        if module is not self.model:
            call = next(self._calls)
            for item, tensor in [("", output)] if isinstance(output, torch.Tensor) else tensors_in(plain(output)):
                noted = self.recorder.node_of(tensor).meta.setdefault(RETURNED, [])
                noted += [Returned(name, item, call) for name in self._names[module]]
        while self._stack:  # a module that failed has not been left
            left, self.recorder.scope = self._stack.pop()
            if left is module:
                break

    def _heads(self) -> dict[str, Node]:
        """What modules returned that no module which has returned made anything of."""
        returned = [(found, node) for node in self.recorder.graph.nodes for found in node.meta.get(RETURNED, ())]
        goes_on: set[Node] = set()
        for node in reversed(self.recorder.graph.nodes):
            if node in goes_on or RETURNED in node.meta:
                goes_on.update(node.all_input_nodes)
        ends: dict[str, Node] = {}
        for found, node in reversed(returned):
            if node.op == "call_function" and node not in goes_on and node not in ends.values():
                ends[found.module + found.item.replace("[", ".").replace("]", "")] = node
        return dict(reversed(ends.items()))

    def program(self) -> Program:
        """What was recorded, without what nothing that is returned needs."""
        recorder = self.recorder
        _drop_unused(recorder.graph, [*recorder.inputs.values(), *pytree.tree_leaves(self.results)])
        nodes = set(recorder.graph.nodes)
        owned = [(recorder.names[id(tensor)], tensor) for tensor in recorder.owned.values()]
        return Program(
            recorder.graph,
            recorder.inputs,
            {node: tensor for node, tensor in recorder.stored.items() if node in nodes},
            {node: name for node, name in recorder.parameters.items() if node in nodes},
            self.results,
            classes_of(self.model),
            {name: tensor.numel() for name, tensor in owned if not is_seed(name)},
            [*recorder.values.assumed(), *self.assumes],
        )


def _drop_unused(graph: Graph, wanted: Iterable[Node | None]) -> None:
    """Take nodes away that neither those that are wanted nor what modules return is made of."""
    kept = set(wanted)
    for node in reversed(graph.nodes):
        if node not in kept and not node.users and RETURNED not in node.meta:
            graph.erase_node(node)
