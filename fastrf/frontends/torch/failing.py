"""Why a model fails in its own forward: in which module, what torch says, and what can be done, in one line."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import NamedTuple

import torch
from torch.nn.modules import module as hooks

from fastrf.frontends.torch.exporting import first_line
from fastrf.frontends.torch.inputs import Inputs, signature_of
from fastrf.frontends.torch.returning import names_of

__all__ = ["own_failure", "reason_of", "runnable", "too_large", "untouched", "watched"]

#: Larger models are not run to find out more.
_MOST_PARAMETERS = 200_000_000
#: What torch says of tensors on several devices, or on one that is not there.
_DEVICES = ("same device", "device meta", "meta tensor", "NVIDIA", "not compiled with", "device type", "devices")


#: Tensors whose memory can be put back.
_PLAIN = (torch.Tensor, torch.nn.Parameter)


class _Failure(NamedTuple):
    """What a model raises by itself, and the innermost module that was running."""

    error: BaseException
    module: str = ""


def own_failure(model: torch.nn.Module, inputs: Inputs) -> str | None:
    """Why the model itself does not run, or None where it does, or where it or its input is too large to try.

    What it writes to its parameters and buffers is put back.
    """
    if not runnable(model, inputs):
        return None
    failure = _failure(model, inputs)
    if failure is None:
        return None
    kind = type(model).__name__
    if isinstance(failure.error, SystemExit):
        return reason_of(model, inputs, failure.error)
    where = ""
    if failure.module:
        where = f", in module {failure.module!r} ({type(model.get_submodule(failure.module)).__name__})"
    failed = f"{kind} fails in its own forward with inputs {inputs}{where}"
    return f"{failed}: {first_line(failure.error)}; {_remedy(model, inputs, failure)}"


def runnable(model: torch.nn.Module, inputs: Inputs) -> bool:
    """Whether neither a model nor its input is too large to run it to find out more."""
    return not inputs.is_large and sum(p.numel() for p in model.parameters()) <= _MOST_PARAMETERS


def reason_of(model: torch.nn.Module, inputs: Inputs, error: SystemExit) -> str:
    """That a model ends the process."""
    kind = type(model).__name__
    return f"{kind} ends the process with inputs {inputs} ({first_line(error)}); it must return its results"


def too_large(error: BaseException) -> str | None:
    """What does not fit into memory, if that is the error."""
    wanted = "allocate memory" in str(error) or isinstance(error, MemoryError)
    return f"{first_line(error)}; use a smaller input_shape" if wanted else None


def _remedy(model: torch.nn.Module, inputs: Inputs, failure: _Failure) -> str:
    """What can be done, as far as that can be found out."""
    said = str(failure.error)
    if any(part in said for part in _DEVICES):
        return "make tensors on the device of its input (device=x.device), and the model with its data on the CPU"
    if inputs.has_shapes_within():
        return "give tensors in place of the shapes within lists and mappings"
    if inputs.made and _failure(model, inputs.whole_numbers(model)) is None:
        return f"give {', '.join(inputs.made)} as tensors of whole numbers"
    fewer = inputs.without_batch(model, least=2)
    if fewer is not None and _failure(model, fewer) is None:
        return f"input_shape is without the batch, and {fewer} fits with it; leave the first number out"
    missing = _left_out(model, inputs)
    bare = inputs.unbatched(model).whole_numbers(model)
    if inputs.made and _failure(model, bare) is None:
        told = f"give {', '.join(inputs.made)} as tensors of one axis less, of whole numbers where those are ids"
        return f"it runs without a batch; {told}, and by values={{name: tensor}} what is constant"
    inner = f"{failure.module}_"
    left = [name for name in missing if name.startswith(inner) and name.removeprefix(inner) in said]
    left = left or [name for name in missing if name in said] or (missing if "NoneType" in said else [])
    if left:
        return f"{' or '.join(left)} was left out; give input_shape as a mapping by argument name"
    wrong = isinstance(failure.error, AttributeError | NameError | NotImplementedError)
    return "correct it, or give inputs that it takes" if wrong else "give inputs that it takes"


def _left_out(model: torch.nn.Module, inputs: Inputs) -> list[str]:
    """Arguments of forward that are None unless they are given."""
    parameters = signature_of(model).parameters
    given = {*list(parameters)[: len(inputs.arguments)], *inputs.named}
    return [name for name, p in parameters.items() if name not in given and p.default is None]


def _failure(model: torch.nn.Module, inputs: Inputs) -> _Failure | None:
    """What the model raises by itself."""
    running: list[str] = []
    try:
        with untouched(model), watched(model, running):
            inputs.run(model)
    except (Exception, SystemExit) as error:
        return _Failure(error, running[-1] if running else "")
    return None


@contextlib.contextmanager
def untouched(model: torch.nn.Module, registered: bool = True) -> Iterator[None]:
    """What is written meanwhile to tensors that the model's modules hold is put back, in the memory that they had.

    Without `registered` only to those that are neither parameters nor buffers, which an export has no fakes of.
    """
    own = [value for part in model.modules() for value in vars(part).values() if isinstance(value, torch.Tensor)]
    tensors = [*model.parameters(), *model.buffers(), *own] if registered else own
    tensors += [tensor.grad for tensor in tensors if tensor.is_leaf and tensor.grad is not None]
    plain = [
        tensor for tensor in tensors if type(tensor) in _PLAIN and not tensor.is_meta and tensor.layout == torch.strided
    ]
    held = [(tensor, tensor.detach(), tensor.detach().clone()) for tensor in plain]
    try:
        yield
    finally:
        for tensor, memory, before in held:
            with torch.no_grad():
                if not torch.equal(memory, before):
                    memory.copy_(before)
                if tensor.data_ptr() != memory.data_ptr() or tensor.shape != memory.shape:
                    tensor.data = memory


@contextlib.contextmanager
def watched(model: torch.nn.Module, running: list[str]) -> Iterator[None]:
    """While it lasts, `running` tells which modules have not returned."""
    names = {module: found[0] for module, found in names_of(model).items()}

    def enter(module: torch.nn.Module, _arguments: object) -> None:
        running.append(names.get(module, ""))

    def leave(module: torch.nn.Module, _arguments: object, _output: object) -> None:
        while running and running.pop() != names.get(module, ""):
            pass  # a module that failed within, which its caller has caught

    handles = [hooks.register_module_forward_pre_hook(enter), hooks.register_module_forward_hook(leave)]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()
