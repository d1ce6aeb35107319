"""Exported programs whose operators change nothing, composite ones whole: the same from every release of PyTorch.

From 2.6 on PyTorch does this by itself. 2.5 must be told which operators stay whole, and what they make. What torch
logs and warns of meanwhile is silenced.
"""

from __future__ import annotations

import contextlib
import functools
import io
import itertools
import logging
import os
import re
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest.mock import patch

import torch
from torch._decomp import decompositions, get_decompositions
from torch._functorch import eager_transforms
from torch.export import ExportedProgram
from torch.fx import GraphModule

from fastrf.errors import UnsupportedOpError
from fastrf.system.locks import process_lock

__all__ = ["LEVELS", "NO_DERIVATIVES", "export", "first_line", "functional", "quiet"]

_API: Any = torch.export
#: How composite operators are taken apart; PyTorch 2.5 has no such table.
_RECIPES = getattr(_API, "default_decompositions", None)
#: There, `export` already rewrites operators that work in place, and fails at some.
_EXPORT = _API.export if _RECIPES else _API.export_for_training
_LSTM = decompositions.one_layer_lstm

#: What `torch.func` begins a derivative with.
LEVELS = ("grad_increment_nesting", "jvp_increment_nesting")
NO_DERIVATIVES = (
    "derivatives by torch.func (grad, vjp, jvp, jacrev, hessian) are not followed; use torch.autograd.grad in forward, "
    "or give the module a rule (fastrf.rule)"
)


def export(model: torch.nn.Module, arguments: tuple[Any, ...], named: dict[str, Any] | None = None) -> ExportedProgram:
    """Run a module on tensors without data, and keep its operators as they are."""
    with contextlib.ExitStack() as stack:
        stack.enter_context(patch.object(decompositions, "one_layer_lstm", _lstm))
        for name in LEVELS:  # torch.export keeps no tie between such a derivative and what it is of
            stack.enter_context(patch.object(eager_transforms, name, _refused))
        exported: ExportedProgram = _EXPORT(model, arguments, named, strict=False)
    _without_dropout(exported)
    _einsum_as_permute(exported)
    return exported


def _refused() -> Any:
    raise UnsupportedOpError(NO_DERIVATIVES)


def functional(exported: ExportedProgram, apart: torch._ops.OpOverload | None = None) -> ExportedProgram:
    """The program without operators that change their arguments; of composite ones, only `apart` is taken apart."""
    table: dict[Any, Any] = {} if apart is None else dict(get_decompositions([apart]))
    told: dict[str, Any] = {}
    with contextlib.ExitStack() as stack:
        stack.enter_context(patch.object(decompositions, "one_layer_lstm", _lstm))
        if _RECIPES:
            known = {} if apart is None else _RECIPES()
            table = {apart: known[apart]} if apart in known else table
        else:
            told["_preserve_ops"] = tuple(operator for operator in _composites() if operator is not apart)
            stack.enter_context(_made_by_recipes(told["_preserve_ops"]))
        found: ExportedProgram = exported.run_decompositions(table, **told)
    return found


def _lstm(layer_input: Any, hidden: Any, *rest: Any, **named: Any) -> Any:
    """Final states are as large as the first ones; PyTorch up to 2.9, if not later, gives them an axis too many."""
    result, states = _LSTM(layer_input, hidden, *rest, **named)  # type: ignore[no-untyped-call]
    return result, tuple(state.reshape(first.shape) for state, first in zip(states, hidden, strict=True))


def _without_dropout(exported: ExportedProgram) -> None:
    """Dropout of inference is its argument itself, which PyTorch up to 2.9, if not later, takes for a copy."""
    renamed = exported.graph_signature.get_replace_hook()
    for part in [part for part in exported.graph_module.modules() if isinstance(part, GraphModule)]:
        with part._set_replace_hook(renamed):
            for node in part.graph.find_nodes(op="call_function", target=torch.ops.aten.dropout.default):
                if not node.args[2]:
                    node.replace_all_uses_with(node.args[0])
                    part.graph.erase_node(node)
        part.recompile()


def _einsum_as_permute(exported: ExportedProgram) -> None:
    """An einsum of one tensor that only turns it shares its memory, which PyTorch forgets when it rewrites writes."""
    for part in [part for part in exported.graph_module.modules() if isinstance(part, GraphModule)]:
        for node in part.graph.find_nodes(op="call_function", target=torch.ops.aten.einsum.default):
            letters, _, turned = str(node.args[0]).replace(" ", "").partition("->")
            if sorted(letters) == sorted(turned) and len({*letters}) == len(letters) and letters.isalpha():
                node.target = torch.ops.aten.permute.default
                node.args, node.kwargs = (node.args[1][0], [letters.index(letter) for letter in turned]), {}
        part.recompile()


def _made_by_recipes(operators: tuple[torch._ops.OpOverload, ...]) -> contextlib.AbstractContextManager[Any]:
    """Operators that stay whole have the results, strides and all, that they have on the tensors' own device."""
    from torch._subclasses.fake_impls import op_implementations_dict

    def make(mode: Any, operator: torch._ops.OpOverload, *arguments: Any, **named: Any) -> Any:
        with mode:
            return operator._op_dk(torch._C.DispatchKey.CompositeImplicitAutograd, *arguments, **named)

    unknown = [operator for operator in operators if operator not in op_implementations_dict]
    return patch.dict(op_implementations_dict, dict.fromkeys(unknown, make))


@functools.cache
def _composites() -> list[torch._ops.OpOverload]:
    """Operators that are written in others and change or share no argument, so that a program can hold them."""
    from torch._subclasses.functional_tensor import FunctionalTensor
    from torch.utils._python_dispatch import get_alias_info

    kind: Any = FunctionalTensor
    unsafe = {*kind.maybe_aliasing_or_mutating_ops, *kind.metadata_fns}
    found = []
    for name in torch._C._dispatch_get_registrations_for_dispatch_key("CompositeImplicitAutograd"):
        space, _, rest = name.partition("::")
        packet, _, overload = rest.partition(".")
        operator = getattr(getattr(getattr(torch.ops, space), packet), overload or "default")
        schema = operator._schema
        if not schema.is_mutable and not any(a.alias_info for a in schema.arguments) and operator not in unsafe:
            with contextlib.suppress(AssertionError, RuntimeError):  # it cannot read some of its own schemas
                get_alias_info(operator)
                found.append(operator)
    return found


# Silence ------------------------------------------------------------------------------------------------

_lock = process_lock()


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Nothing is logged, warned of or written to the error stream while it lasts: errors are told in one line.

    This is switched for the whole process, so one thread at a time does it: what captures or traces runs in turn.
    """
    with _lock:
        before = logging.root.manager.disable
        logging.disable(logging.CRITICAL)
        try:
            with warnings.catch_warnings(), contextlib.redirect_stderr(io.StringIO()), _no_error_stream():
                warnings.simplefilter("ignore")
                yield
        finally:
            logging.disable(before)


@contextlib.contextmanager
def _no_error_stream() -> Iterator[None]:
    """What is written past Python, as torch's operators do, goes nowhere."""
    try:
        kept = os.dup(2)
    except OSError:  # there is no such stream
        yield
        return
    try:
        if sys.__stderr__ is not None:
            sys.__stderr__.flush()
        with Path(os.devnull).open("w") as nothing:
            os.dup2(nothing.fileno(), 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)


#: What torch says of itself rather than of the model, and how that is told.
_FAKE = "We found a fake tensor"
_BROKEN = re.compile(r".*INTERNAL ASSERT FAILED.*?report a bug to PyTorch\.?\s*")


def first_line(error: BaseException) -> str:
    """The type of an error and the first sentence of what it says; of one within TorchScript, the last, which says why.

    A sentence that was broken into lines goes on in small letters.
    """
    lines = [line.rstrip() for line in str(error).splitlines() if line.strip()]
    if any("of TorchScript" in line for line in lines):
        lines = [
            next(line for line in reversed(lines) if not line.endswith(":")).strip().removeprefix("RuntimeError: ")
        ]
    if not lines:
        return type(error).__name__
    broken = lines[0][-1].isalnum() or lines[0][-1] == ","
    going = itertools.takewhile(lambda line: broken and line[0].islower(), lines[1:])
    said = _BROKEN.sub("", " ".join([lines[0].strip(), *going])) or "a check within torch failed"
    if said.startswith(_FAKE):
        said = "a tensor was made where torch.export cannot follow (another thread, .data, a constant)"
    said = said.rstrip(".;: ").removesuffix(", but expected one of")
    if len(said) > 300:
        said = f"{said[:300].rpartition(' ')[0] or said[:300]} ..."
    return f"{type(error).__name__}: {said}"
