"""Rules of ONNX's recurrent layers."""

from __future__ import annotations

from functools import partial
from typing import Any

from fastrf.errors import ShapeError
from fastrf.frontends import moving
from fastrf.frontends.onnx.registry import Call, Walk, rule
from fastrf.frontends.recurrence import last_step, one_way

__all__: list[str] = []


@rule("LSTM", "GRU", "RNN")
def recurrent(walk: Walk, call: Call) -> list[Any]:
    """Recurrent layers over time, either way: every step, and the last ones."""
    full, hidden, x = call.full(0), call.full(2)[-1], call.value(0)
    batch_first = bool(call.get("layout", 0))
    steps, batch = (full[1], full[0]) if batch_first else full[:2]
    directions = {"forward": [False], "reverse": [True], "bidirectional": [False, True]}
    ways = directions[call.get("direction", "forward")]
    if call.full(1)[0] != len(ways):
        raise ShapeError(f"weights of shape {call.full(1)} do not fit {len(ways)} directions")
    lengths = call.array(4) if call.has(4) and call.value(4) is None else None
    computed = any(call.value(k) is not None for k in (1, 2, 3, 4, 7))
    if x is None or computed or (lengths is not None and (lengths != steps).any()):
        output, final = (steps, len(ways), batch, hidden), (len(ways), batch, hidden)
        if batch_first:
            output, final = (batch, steps, len(ways), hidden), (batch, len(ways), hidden)
        return [partial(walk.everything, call, shape) for shape in (output, final, final)]
    x = walk.spread(moving.permute(walk, x, [1, 0, 2]) if batch_first else x)
    states = [call.value(k) for k in ((5, 6) if call.op == "LSTM" else (5,))]
    states = [moving.permute(walk, s, [1, 0, 2]) if s is not None and batch_first else s for s in states]
    found = [one_way(walk, x, states, k, (hidden, hidden), 0, backward) for k, backward in enumerate(ways)]
    whole = moving.concat(walk, [walk.shaped(f, (steps, 1, batch, hidden)) for f in found], 1)
    last = moving.concat(walk, [last_step(walk, f, 0, backward=back) for f, back in zip(found, ways, strict=True)], 0)
    if batch_first:
        whole, last = moving.permute(walk, whole, [2, 0, 1, 3]), moving.permute(walk, last, [1, 0, 2])
    return [whole, last, last][: len(call.node.output)]
