"""A recorded graph, run on numbers: it must tell what the model and each of its modules tell."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Mapping
from typing import Any

import torch
import torch.utils._pytree as pytree
from torch import fx
from torch.nn.modules import module as hooks

from bench.models.case import Case
from fastrf.frontends.torch.inputs import Inputs
from fastrf.frontends.torch.programs import Program
from fastrf.frontends.torch.returning import RETURNED, names_of, plain, tensors_in

__all__ = ["unlike"]

#: Of the sum of all magnitudes: single precision, with operators fused in one run and not in the other.
TOLERANCE = 1e-3
Print = tuple[tuple[int, ...], float, float]


def unlike(program: Program, case: Case) -> list[str]:
    """Names of modules (and "output") of which the recorded graph tells other numbers than the model itself."""
    model, inputs = case.model, Inputs.of(case.model, case.given, case.values)
    examples = inputs.by_name(model, case.values)
    drawn = {
        name: torch.randn_like(t) if t.is_floating_point() and name in inputs.made and not program.assumes else t
        for name, t in examples.items()
    }
    by_id = {id(tensor): drawn[name] for name, tensor in examples.items()}
    arguments, named = pytree.tree_map_only(
        torch.Tensor, lambda t: by_id.get(id(t), t), (inputs.arguments, inputs.named)
    )
    seen: dict[tuple[str, str, int], Print] = {}
    with torch.no_grad():
        torch.manual_seed(0)
        with _noted(model, seen):
            output = model.eval()(*arguments, **named)
        torch.manual_seed(0)
        replayed = _Replayed(program, seen)
        replayed.run(*replayed.placeholders(drawn), enable_io_processing=False)
    wanted = [_print(tensor) for _, tensor in tensors_in(plain(output))]
    nodes = [node for node in pytree.tree_leaves(program.results) if node is not None]
    if len(nodes) == len(wanted):
        replayed.wrong += [
            "output" for node, one in zip(nodes, wanted, strict=True) if not _alike(replayed.prints[node], one)
        ]
    return list(dict.fromkeys(replayed.wrong))


class _Replayed(fx.Interpreter):
    """Runs a recorded graph; `wrong` names the modules of which it tells something else than was seen."""

    def __init__(self, program: Program, seen: Mapping[tuple[str, str, int], Print]) -> None:
        super().__init__(torch.nn.Module(), garbage_collect_values=True, graph=program.graph)
        self.program, self.seen, self.wrong = program, seen, list[str]()
        self.prints: dict[fx.Node, Print] = {}
        self._results = {node for node in pytree.tree_leaves(program.results) if node is not None}

    def placeholders(self, given: Mapping[str, Any]) -> Iterator[Any]:
        """The values of the graph's placeholders."""
        for node in self.program.graph.find_nodes(op="placeholder"):
            yield self.program.stored[node] if node in self.program.stored else given[str(node.target)]

    def run_node(self, n: fx.Node) -> Any:
        """Run a node, and compare what modules returned."""
        value = super().run_node(n)
        if n in self._results:
            self.prints[n] = _print(value)
        for note in n.meta.get(RETURNED, ()):
            key = (note.module, note.item, note.call)
            if key in self.seen and not _alike(_print(value), self.seen[key]):
                self.wrong.append(note.module)
        return value


class _noted:  # noqa: N801  (a context manager)
    """While it lasts, what modules return is noted, numbered as the recorder does."""

    def __init__(self, model: torch.nn.Module, seen: dict[tuple[str, str, int], Print]) -> None:
        self.model, self.seen, self.names = model, seen, names_of(model)
        self.calls = itertools.count()

    def __enter__(self) -> None:
        self.handle = hooks.register_module_forward_hook(self._leave)

    def __exit__(self, *_: object) -> None:
        self.handle.remove()

    def _leave(self, module: torch.nn.Module, _arguments: Any, output: Any) -> None:
        if module not in self.names or module is self.model:
            return
        call = next(self.calls)
        for item, tensor in tensors_in(plain(output)):
            told = _print(tensor)
            self.seen.update({(name, item, call): told for name in self.names[module]})


def _print(value: Any) -> Print:
    """Shape, sum, and sum of magnitudes."""
    numbers = value.detach().abs() if value.is_complex() else value.detach()
    numbers = torch.nan_to_num(numbers.double(), nan=1.25, posinf=2.5, neginf=-2.5)
    return tuple(value.shape), float(numbers.sum()), float(numbers.abs().sum())


def _alike(one: Print, other: Print) -> bool:
    near = all(
        math.isclose(a, b, rel_tol=0, abs_tol=TOLERANCE * (1e-3 + other[2]))
        for a, b in zip(one[1:], other[1:], strict=True)
    )
    return one[0] == other[0] and near
