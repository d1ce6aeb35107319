"""Values that are what was typed are taken as they are, and help shows no type of what takes no value.

Typer converts every value by Pydantic since 0.28, also texts and what is not given; and importing Pydantic takes as
long as importing NumPy.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

__all__ = ["convert_when_needed"]


class _AsTyped:
    """Stands before the conversion of one parameter."""

    def __init__(self, parameter: Any) -> None:
        self.kind, self.convert = parameter.type_descriptor.annotation, parameter.get_runtime_param
        self.is_list = parameter.multiple or parameter.nargs != 1

    def __call__(self) -> _AsTyped:
        return self

    def coerce(self, value: Any, **where: Any) -> Any:
        """The value itself where it has the right type, nothing for nothing, otherwise what Typer makes of it."""
        if self.is_list and (not value or self.kind == list[str]):
            return list(value or ())
        if type(value) is self.kind or value is None:
            return value
        return self.convert().coerce(value, **where)


def convert_when_needed(command: Any) -> None:
    """Let a command and its subcommands convert only what is of another type than its parameter."""
    for part in (command, *getattr(command, "commands", {}).values()):
        part.get_params = _prepared(part.get_params)


def _prepared(parameters: Callable[[Any], list[Any]]) -> Callable[[Any], list[Any]]:
    def get_params(context: Any) -> list[Any]:
        found = parameters(context)
        for parameter in found:
            if getattr(parameter, "is_flag", False) and parameter.metavar is None:
                parameter.metavar = ""  # typer would say <bool>
            convert = getattr(parameter, "get_runtime_param", None)
            if convert is not None and not isinstance(convert, _AsTyped):
                parameter.get_runtime_param = _AsTyped(parameter)
        return found

    return get_params
