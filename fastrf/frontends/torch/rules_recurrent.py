"""Rules of recurrent layers: dense over features, cumulated over time."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from torch.fx import Node

from fastrf.frontends import mixing
from fastrf.frontends.lowering import Value
from fastrf.frontends.torch.arguments import bound, fake_shape, short_name
from fastrf.frontends.torch.registry import Walk, rule

__all__: list[str] = []

Thunks = list[Callable[[], Value]]


#: Kinds of recurrent layers by name.
_MODES = {"lstm": "lstm", "gru": "gru", "rnn_tanh": "rnn", "rnn_relu": "rnn"}


@rule(*_MODES)
def recurrent(walk: Walk, node: Node) -> Thunks:
    """Recurrent layers over time; states that are not asked for are not made."""
    a = bound(node)
    x = walk.value(a["input"])
    states = list(a["hx"]) if isinstance(a["hx"], list | tuple) else [a["hx"]]
    if x is None or "batch_first" not in a or len(x.full) != 3:
        raise walk.unsupported(node)
    if x.full[0 if a["batch_first"] else 1] != 1 or walk.dynamic(states):
        return _step_by_step(walk, x, states, a)
    layers, ways = a["num_layers"], 2 if a["bidirectional"] else 1
    along = (x.full[1 if a["batch_first"] else 0], x.full[2])
    time = walk.emit("reshape", x, shape=list(along), full=along)
    sizes = [fake_shape(state)[2] for state in states]
    common: dict[str, Any] = {
        "mode": _MODES[short_name(node)],
        "direction": "bidirectional" if ways == 2 else "forward",
        "bias": bool(a["has_biases"]),
    }

    def output() -> Value:
        result = walk.emit("recurrent", time, num_layers=layers, hidden_size=sizes[0], **common)
        full = (1, *result.shape) if a["batch_first"] else (result.shape[0], 1, result.shape[1])
        return walk.shaped(result, full)

    def final(hidden: int) -> Value:
        parts = []
        for layer in range(layers):
            steps = walk.emit("recurrent", time, num_layers=layer + 1, hidden_size=hidden, **common)
            for way in range(ways):
                last = mixing.last_step(walk, steps, 0, backward=bool(way))
                parts.append(walk.emit("slice", last, axis=1, start=way * hidden, stop=(way + 1) * hidden))
        return walk.shaped(walk.emit("concat", *parts, axis=0), (layers * ways, 1, hidden))

    return [output, lambda: final(sizes[0]), lambda: final(sizes[-1])]


def _step_by_step(walk: Walk, x: Value, states: Sequence[Any], a: dict[str, Any]) -> Thunks:
    """Sequences side by side, or with computed initial states, spelled out layer by layer and way by way."""
    time, ways = 1 if a["batch_first"] else 0, 2 if a["bidirectional"] else 1
    hidden, cell = fake_shape(states[0])[2], fake_shape(states[-1])[2]
    hiddens: list[Value] = []
    cells: list[Value] = []
    value = walk.spread(x)
    for layer in range(a["num_layers"]):
        found = []
        for way in range(ways):
            index = layer * ways + way
            initial = [walk.value(state) for state in states]
            output, kept = (
                mixing.one_way(walk, value, initial, index, (size, cell), time, bool(way)) for size in (hidden, cell)
            )
            found.append(output)
            for states_, steps in ((hiddens, output), (cells, kept)):
                last = mixing.last_step(walk, steps, time, backward=bool(way))
                states_.append(walk.emit("permute", last, order=[time, 1 - time, 2]))
        value = walk.emit("concat", *found, axis=2) if ways > 1 else found[0]
    return [
        lambda: value,
        lambda: walk.emit("concat", *hiddens, axis=0),
        lambda: walk.emit("concat", *cells, axis=0),
    ]
