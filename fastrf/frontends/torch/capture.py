"""From a module, a file or a name on the command line to an ExportedProgram."""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch.export import ExportedProgram

from fastrf.errors import FastRFError, FormatError, NetworkError
from fastrf.frontends.torch.archive import without_code
from fastrf.frontends.torch.exporting import export, functional
from fastrf.frontends.torch.failing import first_line, reason
from fastrf.frontends.torch.inputs import Inputs
from fastrf.frontends.torch.keeping import as_it_was
from fastrf.frontends.torch.quiet import quiet
from fastrf.frontends.torch.returning import gathered, noted
from fastrf.frontends.torch.rules_own import kept_whole
from fastrf.system.locks import process_lock

__all__ = ["capture", "load_callable", "load_file"]


#: Torch's captures share state of the process.
_LOCK = process_lock()


def capture(model: torch.nn.Module, input_shape: Any, values: Mapping[str, Any] | None = None) -> ExportedProgram:
    """Export a module for inference, functional and with composite operators whole.

    `input_shape` is a shape without the batch, a mapping by argument name (of shapes, tensors or plain values), or
    example inputs with the batch (a tensor, or a tuple with tensors); `values` holds arguments that are constants. The
    module is left as it was. Raises ShapeError where forward does not take these arguments and NetworkError where the
    module cannot be captured.
    """
    inputs = Inputs.of(model, input_shape, values or {})
    with quiet(), as_it_was(model), torch.no_grad():
        model.eval()
        try:
            with noted(model), kept_whole(model):
                exported = export(model, inputs.arguments, inputs.named)
            return gathered(functional(exported), model)
        except FastRFError:
            raise
        except (Exception, SystemExit) as error:
            raise NetworkError(reason(model, inputs, error)) from error


def load_file(path: str | os.PathLike[str], trust: bool = False) -> ExportedProgram:
    """Read a `.pt2` file written by `torch.export.save`; nothing in it runs unless `trust` allows it.

    Raises FormatError, and LimitError for more than there is memory for.
    """
    content = path if trust else without_code(path)
    try:
        with quiet():
            exported = functional(torch.export.load(content))
    except OSError as error:
        raise FormatError(f"{path}: {error.strerror or error}; check the path") from error
    except Exception as error:
        raise FormatError(f"{path}: not a .pt2 file of torch.export ({first_line(error)})") from error
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
        raise FormatError(f"{name}: {first_line(error)}; write package.module:callable") from error
    finally:
        sys.path.remove(str(Path.cwd()))
    if not isinstance(made, torch.nn.Module):
        raise FormatError(f"{name} gives a {type(made).__name__}, not a torch.nn.Module")
    return made
