"""Rules of ONNX's recurrent layers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from fastrf.errors import ShapeError
from fastrf.frontends.lowering import Value
from fastrf.frontends.mixing import one_way
from fastrf.frontends.moving import joined, on_axis, permuted
from fastrf.frontends.onnx.registry import Call, Walk, rule

__all__: list[str] = []


@rule("LSTM", "GRU", "RNN")
def recurrent(walk: Walk, call: Call) -> list[Any]:
    """Recurrent layers over time, either way: every step, and the last ones."""
    full, hidden = call.full(0), call.full(2)[-1]
    batch_first = bool(call.get("layout", 0))
    x = call.value(0)
    steps, batch = (full[1], full[0]) if batch_first else (full[0], full[1])
    ways = 2 if call.get("direction", "forward") == "bidirectional" else 1
    if call.full(1)[0] != ways:
        raise ShapeError(f"weights of shape {call.full(1)} do not fit {ways} directions")
    lengths = call.array(4) if call.has(4) and call.value(4) is None else None
    states = [k for k in (5, 6) if call.value(k) is not None]
    others = [k for k in (1, 2, 3, 4, 7) if call.value(k) is not None]
    if x is None or others or (lengths is not None and (lengths != steps).any()):
        return _everything(walk, call, steps, batch, ways, hidden, batch_first)
    x = permuted(walk, x, [1, 0, 2]) if batch_first else x
    x = walk.spread(x)
    initial = [call.operand(walk, k) if k in states else None for k in (5, 6)]
    initial = [permuted(walk, s, [1, 0, 2]) if s is not None and batch_first else s for s in initial]
    initial = initial if call.op == "LSTM" else initial[:1]
    backward = call.get("direction", "forward") == "reverse"
    found = [one_way(walk, x, initial, way, (hidden, hidden), 0, backward or way == 1) for way in range(ways)]
    apart = [walk.shaped(f, (steps, 1, batch, hidden)) for f in found]
    output = joined(walk, apart, 1) if ways > 1 else apart[0]
    last = [
        on_axis(
            walk, f, 0, "slice", start=(0 if backward or way else steps - 1), stop=(1 if backward or way else steps)
        )
        for way, f in enumerate(found)
    ]
    final = joined(walk, last, 0) if ways > 1 else last[0]
    if batch_first:
        output, final = permuted(walk, output, [2, 0, 1, 3]), permuted(walk, final, [1, 0, 2])
    return [output, final, final][: len(call.node.output)]


def _everything(
    walk: Walk, call: Call, steps: int, batch: int, ways: int, hidden: int, batch_first: bool
) -> list[Callable[[], Value]]:
    """An over-approximation, for weights or lengths that depend on the input."""
    output = (batch, steps, ways, hidden) if batch_first else (steps, ways, batch, hidden)
    final = (batch, ways, hidden) if batch_first else (ways, batch, hidden)
    return [lambda: walk.everything(call, output), *[lambda: walk.everything(call, final)] * 2]
