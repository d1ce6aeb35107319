"""Modules that users have rules for, each call of which is one node of the captured graph.

During a capture, their forward is an operator that makes tensors of the shapes that the rule says; what it looks like
inside does not matter. The operator holds, as JSON, what the rule is called with.
"""

from __future__ import annotations

import contextlib
import inspect
import json
from collections.abc import Callable, Iterator, Sequence
from functools import partial, wraps
from typing import Any

import torch
from torch.fx import Node

from fastrf.frontends.lowering import GraphWalk, Value, without_batch
from fastrf.frontends.own import Table, by_rule, plain
from fastrf.frontends.torch.registry import Walk, rule
from fastrf.ops.rules import MODULES, RULES, Rule, load_packages

__all__ = ["kept_whole"]


def _one(tensors: Sequence[torch.Tensor], call: str) -> torch.Tensor:
    """The only tensor that a call returns."""
    return _several(tensors, call)[0]


def _several(tensors: Sequence[torch.Tensor], call: str) -> list[torch.Tensor]:
    """Tensors of the shapes that are noted, of the type of the first floating tensor; what is in them is unknown."""
    like = next((tensor for tensor in tensors if tensor.is_floating_point()), tensors[0])
    return [like.new_empty(shape) for shape in json.loads(call)["shapes"]]


_LIBRARY = torch.library.Library("fastrf", "FRAGMENT")  # type: ignore[no-untyped-call]
for _name, _kind, _make in (("module", "Tensor", _one), ("modules", "Tensor[]", _several)):
    _schema = f"{_name}(Tensor[] tensors, str call) -> {_kind}"
    _LIBRARY.define(_schema, tags=[torch.Tag.nondeterministic_seeded])  # type: ignore[no-untyped-call]
    for _key in ("CompositeExplicitAutograd", "Meta"):
        _LIBRARY.impl(_name, _make, _key)  # type: ignore[no-untyped-call]


@rule("fastrf::module", "fastrf::modules")
def module(walk: Walk, node: Node) -> Any:
    """One call of a module, by the rule of its class."""
    tensors, call = node.args
    told = json.loads(str(call))
    given = walk.argument(tensors)
    arguments = [(name, _decoded(value, given)) for name, value in told["arguments"]]
    results, several = by_rule(walk, RULES[told["rule"]], arguments, [tuple(shape) for shape in told["shapes"]])
    return results if several else results[0]()


@contextlib.contextmanager
def kept_whole(model: torch.nn.Module) -> Iterator[None]:
    """While it lasts, modules that users have rules for are one operator each."""
    load_packages()
    parts = list(model.modules())
    rules = {kind: _rule_for(kind) for kind in set(map(type, parts))}
    found = [(part, own) for part in parts if (own := rules[type(part)]) is not None]
    before = {part: part.__dict__["forward"] for part, _ in found if "forward" in part.__dict__}
    for part, own in found:
        part.forward = _replaced(part, own)
    try:
        yield
    finally:
        for part, _ in found:
            del part.forward
            part.__dict__.update({"forward": before[part]} if part in before else {})


def _rule_for(kind: type[torch.nn.Module]) -> Rule | None:
    """The rule for a class, or for one that it has its forward from."""
    known = (MODULES[k] for k in kind.__mro__ if k in MODULES and getattr(k, "forward", None) is kind.forward)
    return next((own for own in known if RULES.get(own.name) is own), None)


def _replaced(part: torch.nn.Module, own: Rule) -> Callable[..., Any]:
    """The forward of a module as an operator; parameters of the rule that it does not take are the module's own."""
    forward = part.forward
    signature = inspect.signature(forward)
    taken = {p.name for p in own.parameters} - set(signature.parameters)
    held = {name: getattr(part, name) for name in taken if hasattr(part, name)}
    fixed = [(name, _held(value)) for name, value in held.items()]

    @wraps(forward)
    def replaced(*given: Any, **named: Any) -> Any:
        bound = signature.bind(*given, **named)
        bound.apply_defaults()
        tensors: list[torch.Tensor] = []
        arguments = [*((name, _encoded(value, tensors)) for name, value in bound.arguments.items()), *fixed]
        shapes, several = _shapes(own, arguments, tensors)
        call = json.dumps({"rule": own.name, "arguments": arguments, "shapes": shapes})
        return tuple(torch.ops.fastrf.modules(tensors, call)) if several else torch.ops.fastrf.module(tensors, call)

    return replaced


def _shapes(own: Rule, arguments: Sequence[tuple[str, Any]], tensors: Sequence[torch.Tensor]) -> tuple[list[Any], bool]:
    """Full shapes of what a call returns, and whether it returns several tensors."""
    fulls = [tuple(int(n) for n in tensor.shape) for tensor in tensors]
    values = [Value("", without_batch(full), full, None) for full in fulls]
    walk = GraphWalk()
    walk.begin(own.name)
    results, several = by_rule(walk, own, [(name, _decoded(value, values)) for name, value in arguments])
    return [list(result().full) for result in results], several


def _held(value: Any) -> Any:
    """A module's own tensor as its shape, with values where no training changes them; other attributes as they are."""
    if isinstance(value, list | tuple | dict):
        return [_held(item) for item in (value.values() if isinstance(value, dict) else value)]
    if not isinstance(value, torch.Tensor):
        return plain(value)
    fixed = not isinstance(value, torch.nn.Parameter) and not value.is_meta
    return {"shape": list(value.shape), "values": value.tolist() if fixed else None}


def _encoded(value: Any, tensors: list[torch.Tensor]) -> Any:
    """A plain value for JSON, with numbers in place of tensors, which are collected."""
    if isinstance(value, torch.Tensor):
        tensors.append(value)
        return {"tensor": len(tensors) - 1}
    if isinstance(value, list | tuple | dict):
        return [_encoded(item, tensors) for item in (value.values() if isinstance(value, dict) else value)]
    return plain(value)


def _decoded(value: Any, tensors: Sequence[Any]) -> Any:
    """The value again, with what stands for the tensors."""
    if isinstance(value, list):
        return [_decoded(item, tensors) for item in value]
    if isinstance(value, dict):
        index = value.get("tensor")
        return Table(tuple(value["shape"]), partial(value.get, "values")) if index is None else tensors[index]
    return value
