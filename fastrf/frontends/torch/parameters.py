"""How many numbers of parameters each layer is the first to use, whatever operators it is written in."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from torch.fx import Node

__all__ = ["Tally"]


class Tally:
    """Parameters are counted once, by their names; what is counted is nan where a module's own is not looked into."""

    def __init__(self, sizes: Mapping[str, int]) -> None:
        self._sizes = sizes
        self._counted: set[str] = set()
        self._due: dict[Node, tuple[float, int]] = {}  # of nodes whose layers are made later, and how many there were

    def count(
        self, node: Node, names: Iterable[str], layers: list[dict[str, Any]], made: bool, known: bool = True
    ) -> None:
        """Count what a node reads, and what those before it have not given to a layer; the last one `made` gets it."""
        fresh = set(names) - self._counted
        self._counted |= fresh
        due = sum(self._sizes[name] for name in fresh) if known else math.nan
        due += sum(self._due.pop(source, (0, 0))[0] for source in node.all_input_nodes if source in self._due)
        if made:
            _add(layers[-1], due)
        elif due:
            self._due[node] = due, len(layers)

    def unused(self, layers: list[dict[str, Any]]) -> dict[str, int]:
        """Give every layer its count, None where it is not known; by module, how many numbers no layer uses."""
        for due, count in self._due.values():
            if layers:
                _add(layers[max(count - 1, 0)], due)
        for layer in layers:
            found = layer.setdefault("parameters", 0)
            layer["parameters"] = None if math.isnan(found) else found
        if any(layer["parameters"] is None for layer in layers):
            return {}
        used = {prefix for name in self._counted for prefix in _prefixes(name)}
        left: dict[str, int] = {}
        for name in sorted(set(self._sizes) - self._counted):
            whole = next((prefix for prefix in _prefixes(name) if prefix not in used), name)
            left[whole] = left.get(whole, 0) + self._sizes[name]
        return left


def _add(layer: dict[str, Any], due: float) -> None:
    layer["parameters"] = layer.get("parameters", 0) + due


def _prefixes(name: str) -> Iterator[str]:
    """The modules that a parameter is in, the outermost first."""
    parts = name.split(".")
    return (".".join(parts[:k]) for k in range(1, len(parts)))
