"""ONNX files of a sweep: parsed once for any number of input shapes, and cut off behind a node."""

from __future__ import annotations

import os
import threading
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from fastrf.budget import limits
from fastrf.errors import FastRFError, UnknownNodeError
from fastrf.network import Network
from fastrf.queries.naming import resolve
from fastrf.system.extras import require
from fastrf.system.locks import process_lock

__all__ = ["last_map", "parsed"]


_lock = process_lock()
_files: OrderedDict[object, _Parsed] = OrderedDict()
if hasattr(os, "register_at_fork"):  # a forked child parses anew: one of these may be locked for ever
    os.register_at_fork(after_in_child=_files.clear)


#: An input shape, or several by input name.
Shapes = Sequence[int] | Mapping[str, Sequence[int]] | None


class _Parsed:
    """A ModelProto, the same cut off behind a node, and what of them no input shape changes."""

    def __init__(self, given: Any) -> None:
        self.is_file = isinstance(given, str | os.PathLike)
        self.given = given
        self.name = Path(given).stem if self.is_file else given.graph.name or "model"
        self._ready: dict[str | None, tuple[Any, Any]] = {}
        self._lock = threading.Lock()

    def network(self, input_shape: Shapes, node: str | None) -> Network:
        from fastrf.frontends import onnx as frontend

        with self._lock:
            if self.is_file:
                self.given, self.is_file = frontend.read(self.given), False
            if node not in self._ready:
                self._ready[node] = frontend.folded(self.given if node is None else self._behind(node, input_shape))
        model, known = self._ready[node]
        return frontend.to_network(model, input_shape, name=self.name, known=known)

    def _behind(self, node: str, input_shape: Shapes) -> Any:
        """The model without what its node does not need: a head for one input size would not fit others."""
        from fastrf.frontends import onnx as frontend

        try:
            whole = frontend.to_network(self.given, None, name=self.name)
        except FastRFError:
            whole = frontend.to_network(self.given, input_shape, name=self.name)
        name = last_map(whole) if node == "map" else resolve(whole, node)
        return frontend.cut(self.given, name)


def parsed(given: Any) -> _Parsed:
    """A file or ModelProto, parsed by an earlier call where it has not changed. Raises MissingExtraError."""
    if isinstance(given, str | os.PathLike):
        try:
            status = Path(given).stat()
            key: object = (os.fspath(given), status.st_mtime_ns, status.st_size)
        except (OSError, ValueError):
            key = None
    else:
        key = id(given)
    require("onnx", "onnx", "an ONNX model")
    with _lock:
        found = _files.setdefault(key, _Parsed(given)) if key is not None else _Parsed(given)
        if key is not None:
            _files.move_to_end(key)
        while len(_files) > limits.parsed:
            _files.popitem(last=False)
    return found


def last_map(network: Network) -> str:
    """The last node on the way to the first output with channels and more than one index on every other axis.

    Raises UnknownNodeError where there is none.
    """
    for node in network.needed([network.outputs[0]]):
        rest = [n for axis, n in enumerate(node.shape) if axis != node.channel_axis]
        if node.channel_axis is not None and rest and min(rest) > 1:
            return node.name
    raise UnknownNodeError("no layer on the way to the output is a map of more than one position; name a node")
