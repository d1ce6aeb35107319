"""From a module to a Program, recorded or exported; or why that cannot be."""

from __future__ import annotations

import contextlib
import io
import logging
from collections.abc import Iterable, Iterator, Mapping
from typing import Any
from unittest.mock import patch

import torch
from torch._subclasses.fake_tensor import DataDependentOutputException, DynamicOutputShapeException
from torch.export import ExportedProgram
from torch.fx.experimental.symbolic_shapes import GuardOnDataDependentSymNode

from fastrf.errors import FastRFError, LimitError, NetworkError
from fastrf.frontends.options import Options
from fastrf.frontends.torch.exporting import export, first_line, functional, quiet
from fastrf.frontends.torch.failing import own_failure, reason_of, runnable, too_large, untouched
from fastrf.frontends.torch.inputs import Inputs
from fastrf.frontends.torch.keeping import as_it_was, evaluating, forget_memoised
from fastrf.frontends.torch.programs import Program
from fastrf.frontends.torch.quantizing import unobserved
from fastrf.frontends.torch.recording.following import WANTS_IDS, WantsIdsError, record
from fastrf.frontends.torch.recording.patching import uncompiled
from fastrf.frontends.torch.recording.recorder import Stopped
from fastrf.frontends.torch.recording.tensors import Unfollowed
from fastrf.frontends.torch.returning import gathered, noted
from fastrf.frontends.torch.rules_own import kept_whole
from fastrf.system.garbage import uncollected

__all__ = ["capture", "captured"]

#: Modules that run another one on several devices.
_PARALLEL = (torch.nn.DataParallel, torch.nn.parallel.DistributedDataParallel)
#: What torch says of whole numbers where it wants others.
_WANTS_REALS = ("Input type", "same dtype", "scalar type")
_log = logging.getLogger(__name__)


def captured(model: torch.nn.Module, input_shape: Any, options: Options) -> ExportedProgram | Program:
    """A module recorded or exported, as `capture` of the options says.

    Raises ShapeError where forward does not take these arguments and NetworkError where the module cannot be captured.
    """
    model = _unwrapped(model)
    _require_parameters(model)
    inputs = Inputs.of(model, input_shape, options.values)
    try:
        return _captured(model, inputs, options)
    except NetworkError as error:
        others = [inputs.without_batch(model, most=1)]
        if options.capture == "export" and any(said in str(error) for said in WANTS_IDS):
            others = [other and other.whole_numbers(model, most=2) for other in (inputs, *others)]
        for other in filter(None, others):
            with contextlib.suppress(NetworkError):
                return _captured(model, other, options)
        last = error
        for other in inputs.real_numbers(model):
            try:
                return _captured(model, other, options)
            except NetworkError as again:  # what is left where the type is right
                last = again if any(said in str(error) for said in _WANTS_REALS) else error
        raise last from last.__cause__


def _captured(model: torch.nn.Module, inputs: Inputs, options: Options) -> ExportedProgram | Program:
    if options.capture != "export":
        try:
            try:
                with quiet(), uncollected():
                    return record(model, inputs, options.values)
            except WantsIdsError as error:
                left = error.left
            inputs = inputs.whole_numbers(model, most=2)
            with quiet(), uncollected():
                if left():
                    forget_memoised()
                return record(model, inputs, options.values)
        except FastRFError:
            raise
        except (Exception, SystemExit, Stopped) as error:
            _raise_too_large(model, inputs, error)
            _raise_own(model, inputs, error)
            scripted = isinstance(model, torch.jit.ScriptModule)
            if scripted or options.capture == "record":
                said = f"{type(model).__name__} cannot be recorded with inputs {inputs}: {_told(error)}"
                remedy = "give the module that it was made from" if scripted else "try capture='export'"
                raise NetworkError(f"{said}; {remedy}") from error
            _log.debug("%s is exported, since recording it fails: %s", type(model).__name__, first_line(error))
    return _exported(model, inputs, options.values if options.capture == "export" else None)


def _told(error: BaseException) -> str:
    """What an error says; of a run that stopped before anything was returned, where."""
    stopped = f"it selects by values ({error}) before any module has returned"
    return stopped if isinstance(error, Stopped) else first_line(error)


def _raise_too_large(model: torch.nn.Module, inputs: Inputs, error: BaseException) -> None:
    """Say where there is not enough memory: another capture would not have more."""
    told = too_large(error)
    if told is not None:
        raise LimitError(f"{type(model).__name__} with inputs {inputs} makes more than memory holds: {told}") from error


def _raise_own(model: torch.nn.Module, inputs: Inputs, error: BaseException) -> None:
    """Say why the model itself fails, if it does: another capture would not follow it either."""
    if isinstance(error, Unfollowed | Stopped):
        return
    with _at_rest(model):
        own = own_failure(model, inputs)
    if own is not None:
        raise NetworkError(own) from error


def capture(model: torch.nn.Module, input_shape: Any, values: Mapping[str, Any] | None = None) -> ExportedProgram:
    """Export a module for inference, functional and with composite operators whole.

    `input_shape` is a shape without the batch, a mapping by argument name (of shapes, tensors or plain values), or
    example inputs with the batch (a tensor, or a tuple with tensors); `values` holds arguments that are constants. The
    module is left as it was. Raises ShapeError where forward does not take these arguments and NetworkError where the
    module cannot be captured.
    """
    model = _unwrapped(model)
    _require_parameters(model)
    return _exported(model, Inputs.of(model, input_shape, values or {}))


def _require_parameters(model: torch.nn.Module) -> None:
    """Raises NetworkError for modules that wait for their first input to be made."""
    for name, tensor in (*model.named_parameters(), *model.named_buffers()):
        if torch.nn.parameter.is_lazy(tensor):
            module = name.rpartition(".")[0] or type(model).__name__
            raise NetworkError(
                f"module {module} has no parameters yet; run the model once on an example, then analyse it"
            )


def _unwrapped(model: torch.nn.Module) -> torch.nn.Module:
    """The module that was compiled, or is run on several devices."""
    while True:
        inner = getattr(model, "_orig_mod", model)
        inner = inner.module if isinstance(inner, _PARALLEL) else inner
        if inner is model:
            return model
        model = inner


def _exported(model: torch.nn.Module, inputs: Inputs, constants: Iterable[str] | None = None) -> ExportedProgram:
    """By torch.export; where that fails, recording is tried too if `constants` says which arguments are no inputs."""
    if isinstance(model, torch.jit.ScriptModule):
        said = f"{type(model).__name__} is TorchScript, which torch.export does not take"
        raise NetworkError(f"{said}; give capture='record', or the module that it was made from")
    try:
        with _at_rest(model):
            with untouched(model, False), unobserved(model), noted(model), kept_whole(model), uncompiled():
                exported = export(model, inputs.arguments, inputs.named)
            return gathered(functional(exported), model)
    except FastRFError:
        raise
    except (Exception, SystemExit) as error:
        _raise_too_large(model, inputs, error)
        with _at_rest(model):
            reason = _reason(model, inputs, error, constants)
        raise NetworkError(reason) from error


@contextlib.contextmanager
def _at_rest(model: torch.nn.Module) -> Iterator[None]:
    """Evaluation mode without gradients or words; the model is as it was afterwards."""
    with quiet(), as_it_was(model), torch.no_grad():
        evaluating(model)
        yield


# Why a module cannot be captured, in one line that says only what was found out ---------------------------

_BY_VALUES = (DataDependentOutputException, DynamicOutputShapeException, GuardOnDataDependentSymNode)


def _reason(model: torch.nn.Module, inputs: Inputs, error: BaseException, constants: Iterable[str] | None) -> str:
    """Which module, which inputs, what torch said, and what can be done; the model may be run to find that out."""
    if isinstance(error, SystemExit):
        return reason_of(model, inputs, error)
    own = own_failure(model, inputs)
    if own is not None:
        return own
    failed = f"{type(model).__name__} cannot be captured by torch.export with inputs {inputs}: {first_line(error)}"
    if any(p.is_meta for p in model.parameters()):
        return f"{failed}; give the model with its data, not on the device meta"
    if inputs.is_large:
        return f"{failed}; give inputs that it takes"
    why = "its control flow or a shape depends on values" if _needs_values(error) else "it runs with these inputs"
    if constants is not None and _is_recorded(model, inputs, constants):
        return f"{failed}; {why}; give capture='record', which follows it"
    if runnable(model, inputs) and _is_traced(model, inputs):
        return f"{failed}; {why}; torch.onnx.export with dynamo=False captures this, as these inputs make it run"
    return f"{failed}; {why}; give values={{name: value}} for arguments that decide, or take the part out"


def _needs_values(error: BaseException | None) -> bool:
    while error is not None:
        if isinstance(error, _BY_VALUES):
            return True
        error = error.__cause__ or error.__context__
    return False


def _is_recorded(model: torch.nn.Module, inputs: Inputs, constants: Iterable[str]) -> bool:
    with contextlib.suppress(Exception, SystemExit, Stopped), untouched(model):
        record(model, inputs, constants)
        return True
    return False


def _is_traced(model: torch.nn.Module, inputs: Inputs) -> bool:
    """Whether the tracing exporter takes the model; a named argument goes last, in a mapping.

    It prints graphs of what it cannot take past every stream of Python's, unless its printer is replaced.
    """
    silent = patch.object(torch._C, "_jit_onnx_log", create=True)
    try:
        with untouched(model), silent, contextlib.redirect_stdout(io.StringIO()):
            torch.onnx.export(model, (*inputs.arguments, inputs.named), io.BytesIO(), dynamo=False)  # type: ignore[arg-type]
    except (Exception, SystemExit):
        return False
    return True
