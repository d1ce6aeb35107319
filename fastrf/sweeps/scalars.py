"""Scalars: the numbers, truths and texts of configurations as columns of a sweep's table.

`work` asks once for the columns of all candidates, and for the values of each part.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np

from fastrf.errors import shown

__all__ = ["Scalar", "Scalars", "scalars_of", "values_of"]


class Scalar(NamedTuple):
    """A column, the entry that it shows, and its kind: "bool", "int", "float" or "text"."""

    column: str
    name: str
    kind: str


Scalars = tuple[Scalar, ...]

#: No more columns than this, those that are met first.
MAX_COLUMNS = 256
#: Whole numbers up to here are floats, too.
_EXACT = 1 << 53


def scalars_of(configs: Iterable[Any], taken: Collection[str]) -> Scalars:
    """The columns of configurations; `config.` stands before a name that is `taken`."""
    kinds: dict[str, set[str]] = {}
    for config in configs:
        for name, value in _entries(config):
            if name in kinds or len(kinds) < MAX_COLUMNS:
                kinds.setdefault(name, set()).add(_kind(value))
    found: dict[str, Scalar] = {}
    for name, of in kinds.items():
        column = name
        while column in taken or column in found or (column != name and column in kinds):
            column = f"config.{column}"
        found[column] = Scalar(column, name, _common(of))
    return tuple(found.values())


def values_of(configs: Iterable[Any], scalars: Scalars) -> list[list[Any]]:
    """What stands in these columns, None where a configuration has no such entry."""
    rows = [dict(_entries(config)) for config in configs]
    return [[None if row.get(one.name) is None else _as(one.kind, row[one.name]) for row in rows] for one in scalars]


def _entries(config: Any, before: str = "") -> Iterator[tuple[str, Any]]:
    """Names and values of a mapping, data class or named tuple, of those within it by dotted names."""
    if dataclasses.is_dataclass(config) and not isinstance(config, type):
        config = {field.name: getattr(config, field.name) for field in dataclasses.fields(config)}
    elif hasattr(config, "_asdict"):
        config = config._asdict()
    for key, value in config.items() if isinstance(config, Mapping) and before.count(".") < 8 else ():
        name = shown(f"{before}{key}")
        plain = value.item() if isinstance(value, np.generic) else value
        if plain is None or isinstance(plain, bool | int | float | str):
            yield name, plain
        elif type(plain) is not list:
            yield from _entries(plain, f"{name}.")


def _kind(value: Any) -> str:
    if value is None or isinstance(value, bool):
        return "" if value is None else "bool"
    if isinstance(value, int):
        return "small" if abs(value) <= _EXACT else "int" if -(1 << 63) <= value < 1 << 63 else "text"
    return "float" if isinstance(value, float) else "text"


def _common(kinds: set[str]) -> str:
    """The kind that holds all of some without loss."""
    kinds = kinds - {""}
    if kinds <= {"small", "int"} and kinds:
        return "int"
    if kinds <= {"small", "float"} and kinds:
        return "float"
    return "bool" if kinds == {"bool"} else "text"


def _as(kind: str, value: Any) -> Any:
    if kind == "text":
        return shown(value) if isinstance(value, str) else json.dumps(value)
    return float(value) if kind == "float" else value
