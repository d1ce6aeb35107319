"""A module by the name of what makes it: `package.module:callable`, or timm's name of a model."""

from __future__ import annotations

import enum
import importlib
import inspect
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from fastrf.errors import FormatError, a_kind, did_you_mean
from fastrf.frontends.torch.exporting import first_line, quiet
from fastrf.system.extras import require

__all__ = ["load_callable", "load_timm"]

#: By these arguments factories are asked for weights, which no receptive field needs.
_WEIGHTS = ("weights", "weights_backbone", "encoder_weights", "backbone_weights")
_PRETRAINED = ("pretrained", "pretrained_backbone")


def load_callable(name: str) -> torch.nn.Module:
    """The module that `package.module:callable` makes, without pretrained weights, or is. Raises FormatError."""
    package, _, attribute = name.partition(":")
    sys.path.insert(0, str(Path.cwd()))
    try:
        found: Any = importlib.import_module(package)
        for part in attribute.split("."):
            found = _part(found, part, name)
        made = found if isinstance(found, torch.nn.Module) else found(**_untrained(found))
    except FormatError:
        raise
    except (Exception, SystemExit) as error:
        raise FormatError(f"{name}: {first_line(error)}; write package.module:callable") from error
    finally:
        sys.path.remove(str(Path.cwd()))
    if not isinstance(made, torch.nn.Module):
        raise FormatError(f"{name} gives {a_kind(made)}, not a torch.nn.Module")
    return made


def _part(found: Any, part: str, name: str) -> Any:
    """An attribute of a module or class, or those that it has."""
    if hasattr(found, part):
        return getattr(found, part)
    known = [key for key, value in vars(found).items() if callable(value) and not key.startswith("_")]
    listed = f"it has {', '.join(known[:8])}" if known else "write package.module:callable"
    raise FormatError(f"{name}: {found.__name__} has no {part!r}; {did_you_mean(part, known, listed)}")


def _untrained(factory: Callable[..., Any]) -> dict[str, Any]:
    """Arguments by which a factory makes its model without pretrained weights, where it has such."""
    try:
        parameters = inspect.signature(factory).parameters
    except (TypeError, ValueError):
        return {}
    defaults = {name: parameter.default for name, parameter in parameters.items()}
    named = {name: None for name in _WEIGHTS if isinstance(defaults.get(name), str | enum.Enum)}
    return {**named, **{name: False for name in _PRETRAINED if defaults.get(name) is True}}


def load_timm(name: str) -> tuple[torch.nn.Module, tuple[int, ...] | None]:
    """The model that `timm/NAME` names, without its weights, and the input shape that timm states for it.

    Raises FormatError for a name that timm does not know, and MissingExtraError without timm.
    """
    timm = require("timm", "torch", "a source such as timm/resnet18")
    model = name.removeprefix("timm/")
    if not timm.is_model(model):
        hint = did_you_mean(model, timm.list_models(), "timm.list_models() lists them")
        raise FormatError(f"{model!r} is not a model of timm; {hint}")
    try:
        with quiet():
            made = timm.create_model(model, pretrained=False)
    except (Exception, SystemExit) as error:
        raise FormatError(f"{name}: {first_line(error)}") from error
    size = (getattr(made, "pretrained_cfg", None) or {}).get("input_size")
    return made, tuple(size) if size else None
