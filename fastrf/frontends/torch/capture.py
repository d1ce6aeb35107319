"""From a module, a file or a name on the command line to an ExportedProgram."""

from __future__ import annotations

import contextlib
import importlib
import inspect
import logging
import os
import sys
import warnings
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch.export import ExportedProgram

from fastrf.errors import FormatError, NetworkError, ShapeError
from fastrf.frontends.torch.archive import without_code
from fastrf.frontends.torch.returning import gathered, noted

__all__ = ["capture", "load_callable", "load_file"]


def capture(model: torch.nn.Module, input_shape: Any) -> ExportedProgram:
    """Export a module for inference, functional and with composite operators whole.

    `input_shape` is a shape without the batch, a mapping of shapes by argument name, or example inputs with it (a
    tensor, a tuple of tensors, or a mapping of tensors). The module's training flags are put back as they were.
    Raises ShapeError without an input shape and NetworkError where the module cannot be captured.
    """
    arguments, named = _examples(model, input_shape)
    with _evaluating(model), _quiet(), torch.no_grad():
        try:
            with noted(model):
                exported = torch.export.export(model, arguments, named, strict=False)
            exported = gathered(exported.run_decompositions({}), model)
        except Exception as error:
            raise NetworkError(_reason(model, arguments, named, error)) from error
    return exported


def load_file(path: str | os.PathLike[str], trust: bool = False) -> ExportedProgram:
    """Read a `.pt2` file written by `torch.export.save`; nothing in it runs unless `trust` allows it.

    Raises FormatError, and LimitError for more than there is memory for.
    """
    content = path if trust else without_code(path)
    try:
        with _quiet():
            exported: ExportedProgram = torch.export.load(content).run_decompositions({})
    except OSError as error:
        raise FormatError(f"{path}: {error.strerror or error}; check the path") from error
    except Exception as error:
        raise FormatError(f"{path}: not a .pt2 file of torch.export ({_first_line(error)})") from error
    return exported


def load_callable(name: str) -> torch.nn.Module:
    """The module that `package.module:callable` makes, or is. Raises FormatError."""
    package, _, attribute = name.partition(":")
    sys.path.insert(0, str(Path.cwd()))
    try:
        found: Any = importlib.import_module(package)
        for part in attribute.split("."):
            found = getattr(found, part)
        made = found if isinstance(found, torch.nn.Module) else found()
    except (Exception, SystemExit) as error:
        raise FormatError(f"{name}: {_first_line(error)}; write package.module:callable") from error
    finally:
        sys.path.remove(str(Path.cwd()))
    if not isinstance(made, torch.nn.Module):
        raise FormatError(f"{name} gives a {type(made).__name__}, not a torch.nn.Module")
    return made


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Without torch's warnings and logged tracebacks: errors are told in one line."""
    before = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)


@contextlib.contextmanager
def _evaluating(model: torch.nn.Module) -> Iterator[None]:
    """The module in evaluation mode, then every submodule as it was."""
    modes = [(module, module.training) for module in model.modules()]
    model.eval()
    try:
        yield
    finally:
        for module, training in modes:
            module.training = training


def _examples(model: torch.nn.Module, given: Any) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Positional and named example inputs for export."""
    if given is None:
        names = ", ".join(_argument_names(model))
        raise ShapeError(
            f"input_shape is missing; give it as (channels, height, width) for {type(model).__name__}({names})"
        )
    if isinstance(given, torch.Tensor):
        return (given,), {}
    if isinstance(given, Mapping):
        unknown = set(given) - set(_argument_names(model))
        if unknown:
            raise ShapeError(
                f"input {sorted(unknown)[0]!r} is not an argument of {type(model).__name__}.forward; "
                f"it takes {', '.join(_argument_names(model))}"
            )
        return (), {name: _example(model, shape) for name, shape in given.items()}
    if isinstance(given, Sequence) and any(isinstance(item, torch.Tensor) for item in given):
        return tuple(given), {}
    return (_example(model, given),), {}


def _argument_names(model: torch.nn.Module) -> list[str]:
    return list(inspect.signature(model.forward).parameters)


def _example(model: torch.nn.Module, shape: Any) -> torch.Tensor:
    """A batch of one, of the module's own dtype and device."""
    if isinstance(shape, torch.Tensor):
        return shape
    valid = isinstance(shape, Sequence) and all(isinstance(n, int) and not isinstance(n, bool) and n > 0 for n in shape)
    if not valid or isinstance(shape, str):
        raise ShapeError(f"input_shape must be positive integers such as (3, 224, 224), not {shape!r}")
    tensors = (t for t in (*model.parameters(), *model.buffers()) if t.is_floating_point())
    like = next(tensors, torch.empty(0))
    return torch.zeros((1, *shape), dtype=like.dtype, device=like.device)


def _reason(model: torch.nn.Module, arguments: Sequence[Any], named: Mapping[str, Any], error: Exception) -> str:
    """One line: which module, which shapes, and what torch said."""
    shapes = [str(tuple(a.shape)) for a in arguments if isinstance(a, torch.Tensor)]
    shapes += [f"{name}={tuple(a.shape)}" for name, a in named.items() if isinstance(a, torch.Tensor)]
    return (
        f"{type(model).__name__} cannot be captured by torch.export with inputs {', '.join(shapes)}: "
        f"{_first_line(error)}; check that the model runs with these shapes and has no data-dependent control flow"
    )


def _first_line(error: BaseException) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return f"{type(error).__name__}: {lines[0][:300]}" if lines else type(error).__name__
