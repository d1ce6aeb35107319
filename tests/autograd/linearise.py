"""Exact structural receptive fields of PyTorch models by autograd: an oracle for tests.

A model is captured by ``torch.export``, or recorded, and its graph is run by `Linearised`, an FX interpreter which
replaces every operator on input-dependent tensors by a surrogate that (a) is linear with a Jacobian that has no
negative entry and (b) has a non-zero entry exactly where the operator structurally depends on its operand. What no
input reaches (index tables, masks, position tables, standardised weights) is evaluated for real.

After every node the value and, on the way back, the gradient are reduced to their support (`Support`), so nothing can
underflow, overflow or cancel: depth does not matter and ``gradient != 0`` is compared without a tolerance. A negative
gradient would mean a wrong surrogate and raises. The value of a dependent tensor has three states: 0 is a structural
zero (padding; whatever is multiplied by it does not matter), -inf is a constant that excludes (attention masks), 1 is
anything else.

Conventions: parameters are redrawn from U[0.5, 1.5]; of weights only "zero or not" is used, so a constant or buffer
that is exactly zero (a fixed filter's tap, sin(0) of a rotary table, ``x * 0``) excludes. Boolean and integer tensors
computed from the input (``x > 0``, argmax) carry the dependency of what they are computed from. top-k, sort and gather
with computed indices read the whole axis. An operator that is not in a table raises `UnknownOperatorError`.

Usage::

    exported = capture(model, (torch.rand(1, 3, 64, 64),))
    oracle = Oracle(exported, (torch.rand(1, 3, 64, 64),))
    oracle.mask("conv2d_3", (5, 0, 0))                       # bool array (3, 64, 64)
    masks(exported, (x,), "conv2d_3", [(5, 0, 0), (5, 1, 1)])  # the same in one call
"""

from __future__ import annotations

import operator
from collections.abc import Container, Iterable, Iterator, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, fx
from torch.export import ExportedProgram
from torch.export.graph_signature import InputKind
from torch.utils import _pytree as pytree

from tests.autograd import contractions, operators, spectra  # noqa: F401  (they register)
from tests.autograd.core import (
    HANDLERS,
    Args,
    UnknownOperatorError,
    bind,
    dependent,
    settle,
)

# --------------------------------------------------------------------------------------------- interpreter


RUNNING_STATISTICS = {
    "batch_norm",
    "_native_batch_norm_legit",
    "native_batch_norm",
    "cudnn_batch_norm",
    "instance_norm",
}


class Linearised(fx.Interpreter):
    """Runs a captured graph with surrogates.

    `values` maps node names (in subgraphs: ``outer/inner``) to values; of all nodes, or of those in `keep`.
    """

    def __init__(
        self,
        module: torch.nn.Module,
        keep: Container[str] | None = None,
        prefix: str = "",
        graph: fx.Graph | None = None,
        parameters: Container[fx.Node] = (),
    ) -> None:
        super().__init__(module, garbage_collect_values=True, graph=graph)
        self.keep, self.prefix, self.parameters = keep, prefix, parameters
        self.values: dict[str, Any] = {}

    def run_node(self, n: fx.Node) -> Any:
        """Run a node, check it against the captured one, and keep its value."""
        self.node = n
        value = settle(super().run_node(n))
        if n.op != "output":
            value = conform(n, value)
            if self.keep is None or self.prefix + n.name in self.keep:
                self.values[self.prefix + n.name] = value
        return value

    def call_function(self, target: Any, args: tuple[Any, ...], kwargs: Args) -> Any:
        """Evaluate what no input reaches; replace the rest."""
        if target is operator.getitem or not any(map(dependent, pytree.tree_leaves((args, kwargs)))):
            return target(*args, **kwargs) if not subgraphs(args) else self.subgraph(args)
        if subgraphs(args):
            return self.subgraph(args)
        if not isinstance(target, torch._ops.OpOverload):
            raise UnknownOperatorError(f"{self.node.name}: no surrogate for {target}")
        name = target._schema.name.removeprefix("aten::")
        if name not in HANDLERS or (target._schema.is_mutable and name not in RUNNING_STATISTICS):
            raise UnknownOperatorError(f"{self.node.name}: no surrogate for {target}")
        if name == "where" and not dependent(args[0]) and self.weighty(self.node.args[0]):
            name, args = "add", args[1:3]
            target = torch.ops.aten.add.Tensor
        return HANDLERS[name](target, bind(target, args, kwargs))

    def weighty(self, node: Any) -> bool:
        """Whether a node is computed from parameters, which may be any number, so that either branch may be taken."""
        if not isinstance(node, fx.Node):
            return False
        own = node.name.startswith("p_") or node in self.parameters
        return own or any(map(self.weighty, node.all_input_nodes))

    def subgraph(self, args: tuple[Any, ...]) -> Any:
        """Run the body of wrap_with_autocast, wrap_with_set_grad_enabled and the like."""
        (body,) = subgraphs(args)
        operands = args[args.index(body) + 1 :]
        inner = Linearised(body, self.keep, f"{self.prefix}{self.node.name}/")
        result = inner.run(*operands)
        self.values |= inner.values
        return result


def subgraphs(args: Iterable[Any]) -> list[fx.GraphModule]:
    """The graph modules among a node's arguments."""
    return [a for a in args if isinstance(a, fx.GraphModule)]


def conform(node: fx.Node, value: Any) -> Any:
    """Compare shapes with those seen at capture, and give constants the type seen there."""
    captured = iter(pytree.tree_leaves(node.meta.get("val")))

    def one(tensor: Any) -> Any:
        seen = next(captured, None)
        if not isinstance(tensor, Tensor) or not isinstance(seen, Tensor):
            return tensor
        if tensor.requires_grad and tuple(seen.shape) != tuple(tensor.shape):
            raise ValueError(f"{node.name}: shape {tuple(tensor.shape)}, captured {tuple(seen.shape)}")
        return tensor if tensor.requires_grad else tensor.to(seen.dtype)

    return pytree.tree_map(one, value)


# --------------------------------------------------------------------------------------------- public


def capture(model: torch.nn.Module, example_inputs: tuple[Any, ...]) -> ExportedProgram:
    """Export a model in evaluation mode and make its graph functional (an empty decomposition table)."""
    with torch.no_grad():
        return torch.export.export(model.eval(), tuple(example_inputs)).run_decompositions({})


def graph_inputs(exported: ExportedProgram, example_inputs: tuple[Any, ...], seed: int) -> Iterator[Any]:
    """Values of the graph's placeholders: parameters positive and random, buffers and constants their own."""
    generator = torch.Generator().manual_seed(seed)
    users = iter(pytree.tree_leaves((tuple(example_inputs), {}), is_leaf=lambda v: v is None))
    for spec in exported.graph_signature.input_specs:
        if spec.kind is InputKind.USER_INPUT:
            value = next(users)
            tensor = isinstance(value, Tensor)
            yield torch.ones(value.shape, dtype=torch.float64, requires_grad=True) if tensor else value
            continue
        stored = exported.constants if spec.target in exported.constants else exported.state_dict
        value = stored[str(spec.target)].detach()
        if spec.kind is InputKind.PARAMETER and value.is_floating_point():
            value = drawn(value, generator)
        yield value


def drawn(parameter: Tensor, generator: torch.Generator) -> Tensor:
    """Numbers in place of a parameter's, none of them zero."""
    return torch.empty(parameter.shape, dtype=parameter.dtype).uniform_(0.5, 1.5, generator=generator)


def recorded_inputs(program: Any, seed: int) -> Iterator[Any]:
    """The same of a recorded program, all of whose inputs count."""
    generator = torch.Generator().manual_seed(seed)
    for node in program.graph.find_nodes(op="placeholder"):
        if node not in program.stored:
            like = node.meta["val"]
            tensor = isinstance(like, Tensor)
            yield torch.ones(like.shape, dtype=torch.float64, requires_grad=True) if tensor else like
            continue
        value = program.stored[node].detach()
        yield drawn(value, generator) if node in program.parameters and value.is_floating_point() else value


class Oracle:
    """One linearised forward pass of a captured model; `mask` then costs one backward pass per neuron.

    A recorded program (a graph, `stored` placeholders and which of them are `parameters`) needs no example inputs: what
    is not stored is an input.
    All values stay in memory as float64, which large attention maps make many gigabytes: name the nodes to `keep`.
    """

    def __init__(
        self,
        captured: Any,
        example_inputs: tuple[Any, ...] = (),
        keep: Container[str] | None = None,
        seed: int = 0,
    ) -> None:
        if isinstance(captured, ExportedProgram):
            placeholders = list(graph_inputs(captured, example_inputs, seed))
            interpreter = Linearised(captured.graph_module, keep)
        else:
            placeholders = list(recorded_inputs(captured, seed))
            interpreter = Linearised(
                captured.module or torch.nn.Module(), keep, "", captured.graph, captured.parameters
            )
        self.inputs = [v for v in placeholders if dependent(v)]
        with torch.enable_grad():
            interpreter.run(*placeholders, enable_io_processing=False)
        self.values = interpreter.values

    def names(self, *, reached: bool = True) -> list[str]:
        """Names of nodes with a single tensor as value; of those the input reaches unless told otherwise."""
        return [k for k, v in self.values.items() if isinstance(v, Tensor) and (v.requires_grad or not reached)]

    def mask(self, name: str, index: Sequence[int], wrt: int = 0) -> NDArray[np.bool_]:
        """The elements of input number `wrt` (without batch) that neuron `index` (batch axis optional) depends on."""
        value, source = self.values[name], self.inputs[wrt]
        full = tuple(index) if len(index) == value.ndim else (0, *index)
        if len(full) != value.ndim:
            raise ValueError(f"{name} has shape {tuple(value.shape)}; index {tuple(index)} does not fit")
        if not value.requires_grad:
            return np.zeros(source.shape[1:], bool)
        (gradient,) = torch.autograd.grad(value[full], source, retain_graph=True, allow_unused=True)
        return np.zeros(source.shape[1:], bool) if gradient is None else (gradient != 0).any(0).numpy()


def masks(
    exported: ExportedProgram, example_inputs: tuple[Any, ...], node_name: str, indices: Iterable[Sequence[int]]
) -> list[NDArray[np.bool_]]:
    """For each neuron of a node, the boolean mask over the first input (without batch)."""
    oracle = Oracle(exported, example_inputs, keep={node_name})
    return [oracle.mask(node_name, index) for index in indices]
