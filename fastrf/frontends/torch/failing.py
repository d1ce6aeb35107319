"""Why a module cannot be captured, in one line that says only what was found out."""

from __future__ import annotations

import contextlib
import io
from unittest.mock import patch

import torch
from torch._subclasses.fake_tensor import DataDependentOutputException, DynamicOutputShapeException
from torch.fx.experimental.symbolic_shapes import GuardOnDataDependentSymNode

from fastrf.frontends.torch.inputs import Inputs

__all__ = ["first_line", "reason"]

#: Larger models are not run to find out more.
_MOST_PARAMETERS = 200_000_000
_BY_VALUES = (DataDependentOutputException, DynamicOutputShapeException, GuardOnDataDependentSymNode)


def reason(model: torch.nn.Module, inputs: Inputs, error: BaseException) -> str:
    """Which module, which inputs, what torch said, and what can be done; the model may be run to find that out."""
    name = type(model).__name__
    if isinstance(error, SystemExit):
        return f"{name} ends the process with inputs {inputs} ({first_line(error)}); it must return its results"
    failed = f"{name} cannot be captured by torch.export with inputs {inputs}: {first_line(error)}"
    small = sum(p.numel() for p in model.parameters()) <= _MOST_PARAMETERS
    if not small or any(p.is_meta for p in model.parameters()):
        return f"{failed}; check that it runs with these inputs and that its control flow needs no values"
    found = _failure(model, inputs)
    if found is not None:
        whole = inputs.made and _failure(model, inputs.whole_numbers(model)) is None
        hint = f"{', '.join(inputs.made)} as tensors of whole numbers" if whole else "inputs that it takes"
        return f"{failed}; the model itself fails ({first_line(found)}): give {hint}"
    why = "its control flow or a shape depends on values" if _needs_values(error) else "it runs with these inputs"
    if _is_traced(model, inputs):
        return f"{failed}; {why}; torch.onnx.export with dynamo=False captures this, as these inputs make it run"
    return f"{failed}; {why}; give values={{name: value}} for arguments that decide, or take the part out"


def _needs_values(error: BaseException | None) -> bool:
    while error is not None:
        if isinstance(error, _BY_VALUES):
            return True
        error = error.__cause__ or error.__context__
    return False


def _failure(model: torch.nn.Module, inputs: Inputs) -> BaseException | None:
    """What the model raises by itself."""
    try:
        inputs.run(model)
    except (Exception, SystemExit) as error:
        return error
    return None


def _is_traced(model: torch.nn.Module, inputs: Inputs) -> bool:
    """Whether the tracing exporter takes the model; a named argument goes last, in a mapping.

    It prints graphs of what it cannot take past every stream of Python's, unless its printer is replaced.
    """
    silent = patch.object(torch._C, "_jit_onnx_log", create=True)
    try:
        with silent, contextlib.redirect_stdout(io.StringIO()):
            torch.onnx.export(model, (*inputs.arguments, inputs.named), io.BytesIO(), dynamo=False)  # type: ignore[arg-type]
    except (Exception, SystemExit):
        return False
    return True


def first_line(error: BaseException) -> str:
    """The type of an error and the first line of what it says."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return f"{type(error).__name__}: {lines[0][:300]}" if lines else type(error).__name__
