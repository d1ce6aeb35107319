"""Operators that no rule covers: what they are made of, and which of their arguments they read at all.

Both are found by running torch's own recipe of one operator on tensors without data, so that neither a list of names
nor another pass over the whole program is needed.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar, cast

import torch
import torch.utils._pytree as pytree
from torch._decomp import decomposition_table, get_decompositions
from torch.fx import Graph, Node
from torch.fx.experimental.proxy_tensor import make_fx

from fastrf.frontends.torch.exporting import export, functional, quiet

__all__ = ["arguments_read", "changes_arguments", "simpler"]

_Found = TypeVar("_Found")

#: So many are kept.
_KEPT = 256

#: What recipes end in that makes a tensor like another one: of that, nothing but shape and type is read.
_LIKE = frozenset(f"aten::{name}_like" for name in ("empty", "full", "rand", "randn", "randint"))


#: What was worked out last: a cell of a recurrent layer is called once for each step.
_known: dict[tuple[str, str], Any] = {}


def _remembered(kind: str, node: Node, found: Callable[[], _Found]) -> _Found:
    """What is found of a node's operator on such arguments, worked out once."""
    key = (kind, _signature(node))
    if key not in _known:
        if len(_known) >= _KEPT:
            _known.clear()
        _known[key] = found()
    return cast("_Found", _known[key])


def _signature(node: Node) -> str:
    """What a node's graph of others follows from: its operator, and its arguments, tensors by number and kind."""
    number = {one: k for k, one in enumerate(node.all_input_nodes)}
    fakes = [one.meta["val"] for one in number]
    kinds = [(tuple(fake.shape), tuple(fake.stride()), fake.dtype) for fake in fakes]
    arguments = pytree.tree_map_only(Node, lambda one: f"%{number[one]}", (node.args, node.kwargs))
    return f"{node.target} {kinds} {arguments}"


def simpler(node: Node) -> Graph | None:
    """A graph of others, with a placeholder for each of a node's `all_input_nodes`; None where torch knows none."""
    target = node.target
    if not isinstance(target, torch._ops.OpOverload):
        return None
    return _remembered("simpler", node, lambda: _simpler(node, target))


def _simpler(node: Node, target: torch._ops.OpOverload) -> Graph | None:
    for recipe, whole in _recipes(target):
        graph = _traced(node, target, {target: recipe}, whole=whole)
        if graph is not None and any(changes_arguments(inner) for inner in graph.nodes):
            graph = _exported(node, target)
        if graph is not None and not any(inner.target is target or _primitive(inner) for inner in graph.nodes):
            return graph
    return None


def _recipes(target: torch._ops.OpOverload) -> list[tuple[Callable[..., Any], bool]]:
    """How torch writes an operator in others, and whether composite operators among those stay whole."""
    name = target.name()  # type: ignore[no-untyped-call]
    if torch._C._dispatch_has_kernel_for_dispatch_key(name, "CompositeImplicitAutograd"):
        return [(target.decompose, True)]
    recipe = get_decompositions([target]).get(target)
    return [] if recipe is None else [(recipe, True), (recipe, False)]


def _primitive(node: Node) -> bool:
    """Whether a node is an operator below ATen, of which there are no rules."""
    return isinstance(node.target, torch._ops.OpOverload) and node.target.namespace == "prims"


def arguments_read(node: Node) -> set[Node]:
    """The arguments whose values an operator reads; of the others, only shape, type or device matter."""
    target, everything = node.target, node.all_input_nodes
    if not isinstance(target, torch._ops.OpOverload):
        return set(everything)
    numbers = _remembered("read", node, lambda: _numbers_read(node, target))
    return {outer for k, outer in enumerate(everything) if numbers is None or k in numbers}


def _numbers_read(node: Node, target: torch._ops.OpOverload) -> set[int] | None:
    """Which of a node's `all_input_nodes` are read; None where nothing is known."""
    graph = _traced(node, target, decomposition_table, whole=False)
    if graph is None:
        return None
    read: set[Node] = set()
    stack = [n for n in graph.nodes if n.op == "output" or changes_arguments(n)]
    while stack:
        inner = stack.pop()
        if inner not in read:
            read.add(inner)
            like = isinstance(inner.target, torch._ops.OpOverload) and inner.target._schema.name in _LIKE
            stack += [] if like else inner.all_input_nodes
    placeholders = [n for n in graph.nodes if n.op == "placeholder"]
    return {k for k, inner in enumerate(placeholders) if inner in read}


def changes_arguments(node: Node) -> bool:
    """Whether a node is an operator that works in place."""
    return isinstance(node.target, torch._ops.OpOverload) and node.target._schema.is_mutable


def _traced(node: Node, target: Callable[..., Any], table: Any, *, whole: bool) -> Graph | None:
    """The operators that a node runs, composite ones whole or taken apart as far as they go."""
    try:
        with quiet(), torch.no_grad():
            made = make_fx(_applied(node, target), decomposition_table=table, tracing_mode="fake", pre_dispatch=whole)(
                *_examples(node)
            )
    except Exception:  # the recipe does not work here: nothing is known of the operator
        return None
    return made.graph


def _exported(node: Node, target: torch._ops.OpOverload) -> Graph | None:
    """The same without operators that change their arguments; an export takes ten times as long."""
    single = torch.nn.Module()
    single.forward = _applied(node, target)
    try:
        with quiet(), torch.no_grad():
            exported = functional(export(single, tuple(_examples(node))), target)
    except Exception:  # as above
        return None
    return exported.graph  # type: ignore[no-any-return]


def _applied(node: Node, function: Callable[..., Any]) -> Callable[..., Any]:
    """A function of the node's tensors alone."""

    def apply(*tensors: torch.Tensor) -> Any:
        given = dict(zip(node.all_input_nodes, tensors, strict=True))
        arguments, named = pytree.tree_map_only(Node, lambda n: given[n], (node.args, node.kwargs))
        return function(*arguments, **named)

    return apply


def _examples(node: Node) -> list[torch.Tensor]:
    """Tensors as large as the node's, never looked at."""
    fakes = [n.meta["val"] for n in node.all_input_nodes]
    return [torch.empty_strided(tuple(f.shape), tuple(f.stride()), dtype=f.dtype) for f in fakes]
