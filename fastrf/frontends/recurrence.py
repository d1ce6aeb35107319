"""Recurrent layers spelled out: dense over features, cumulated over time."""

from __future__ import annotations

from collections.abc import Sequence

from fastrf.frontends.lowering import GraphWalk, Value

__all__ = ["last_step", "one_way"]


def last_step(walk: GraphWalk, states: Value, time: int, *, backward: bool) -> Value:
    """What the last step gave, along an axis of 1."""
    at = 0 if backward else states.shape[time] - 1
    return walk.emit("slice", states, axis=time, start=at, stop=at + 1)


def one_way(
    walk: GraphWalk,
    x: Value,
    initial: Sequence[Value | None],
    index: int,
    sizes: tuple[int, int],
    time: int,
    backward: bool,
) -> Value:
    """One layer in one direction: `sizes` are those of its result and of its cell."""
    seen = walk.emit("linear", x, out_features=sizes[0])
    seen = walk.emit("flip", seen, axes=[time]) if backward else seen
    total = walk.emit("cumsum", seen, axis=time)
    steps = total.shape[time]
    for kind, state in enumerate(initial):
        if state is None:
            continue
        own = walk.emit("slice", walk.spread(state), axis=0, start=index, stop=index + 1)
        own = walk.emit("permute", own, order=[1, 0, 2]) if time == 1 else own
        dense = walk.emit("linear", own, out_features=sizes[0])
        shape = [*total.shape]
        if kind == 0 or sizes[0] != sizes[1]:
            total = walk.emit("add", total, walk.emit("expand", dense, shape=shape))
            continue
        shape[time] = steps - 1  # a cell adds to itself at the first step, and through the gates to all after
        later = [walk.emit("expand", dense, shape=shape)] if steps > 1 else []
        total = walk.emit("add", total, walk.emit("concat", own, *later, axis=time))
    return walk.emit("flip", total, axes=[time]) if backward else total
