"""Steps of random PyTorch networks: movements of elements."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn

from tests.random_torch.core import Draw, Function, op


@op
def cat(d: Draw, x: Tensor, y: Tensor) -> Function | None:
    axis, kind = d.axis(x, batch=True), d.pick(["two", "self", "constant", "stack", "mixed"])
    held = d.hold(d.floats(x.shape))
    functions: dict[str, Function] = {
        "two": lambda x, y: torch.cat([x, y], axis),
        "self": lambda x: torch.cat([x, x.flip(axis), x * 2], axis),
        "constant": lambda x: torch.cat([held.value, x], axis),
        "stack": lambda x, y: torch.stack([x, y.flip(-1)], axis),
        "mixed": lambda x: torch.stack([x, held.value], axis),
    }
    return functions[kind]


@op
def pieces(d: Draw, x: Tensor, y: Tensor) -> Function | None:
    axis = d.axis(x)
    n = x.shape[axis]
    kind = d.pick(["chunk", "split", "unbind", "tensor_split", "sizes"])
    if kind == "unbind":
        return lambda x: torch.stack(x.unbind(axis)[::-1], axis)
    if kind == "sizes":
        cut = d.between(0, n)
        return lambda x: torch.cat(x.split([cut, n - cut], axis)[::-1], axis)
    count, drop = d.between(1, 3), d.chance(0.3)
    split = {"chunk": torch.chunk, "split": torch.split, "tensor_split": torch.tensor_split}[kind]

    def run(x: Tensor) -> Tensor:
        parts = split(x, count, axis)
        return parts[0] if drop else torch.cat([parts[-1], *parts[:-1]], axis)

    return run


@op
def slices(d: Draw, x: Tensor, y: Tensor) -> Function | None:
    where: list[Any] = [slice(None)]
    for n in x.shape[1:]:
        start = d.between(0, n - 1) if d.chance() else None
        stop = d.between((start or 0) + 1, n + 1) if d.chance() else None
        where.append(d.pick([slice(None), slice(start, stop, d.between(1, 3)), slice(-min(n, 2), None)]))
    if x.ndim > 2 and d.chance(0.3):
        where[d.between(1, x.ndim - 1)] = d.pick([0, -1])
    if d.chance(0.2):
        where.insert(d.between(1, len(where)), None)
    index = tuple(where)
    return lambda x: x[index]


@op
def turned(d: Draw, x: Tensor, y: Tensor) -> Function | None:
    axes = d.some(range(1, x.ndim)) if x.ndim > 1 else [0]
    kind, shifts = d.pick(["flip", "roll", "roll all", "turn"]), [d.between(-3, 3) for _ in axes]
    if kind == "flip":
        return lambda x: x.flip(axes)
    if kind == "roll all":
        return lambda x: x.roll(shifts[0])
    if kind == "turn" and x.ndim > 2:
        return lambda x: x.flip(1).transpose(1, -1)
    return lambda x: x.roll(shifts, axes)


@op
def permute(d: Draw, x: Tensor, y: Tensor) -> Function | None:
    order = d.order(x.ndim, first=0 if d.chance(0.15) else 1)
    return lambda x: x.permute(order)


@op
def reshape(d: Draw, x: Tensor, y: Tensor) -> Function | None:
    kind = d.pick(["flatten", "unflatten", "view", "squeeze", "unsqueeze"])
    first = d.between(0 if d.chance(0.2) else min(1, x.ndim - 1), x.ndim - 1)
    if kind == "flatten":
        last = d.between(first, x.ndim - 1)
        return lambda x: x.flatten(first, last)
    if kind == "unflatten":
        k = d.divisor(x.shape[first])
        return lambda x: x.unflatten(first, (k, -1))
    if kind == "view":
        n = math.prod(x.shape[1:])
        k = d.divisor(n)
        m = d.divisor(n // k)
        return lambda x: x.reshape(x.shape[0], k, m, -1)
    if kind == "squeeze":
        return (lambda x: x.squeeze()) if x.numel() > 1 else None
    return lambda x: x.unsqueeze(first)


@op
def windows(d: Draw, x: Tensor, y: Tensor) -> Function | None:
    """Window partition, something inside, and (mostly) the way back; shifted as in Swin."""
    if x.ndim != 4 or x.shape[0] != 1:
        return None
    c, h, w = x.shape[1:]
    a, b = d.divisor(h), d.divisor(w)
    shift, back, m = d.between(0, 1), d.chance(0.7), d.module(nn.Linear(c, c))
    mask = d.mask((a * b, a * b), 0.6) | torch.eye(a * b, dtype=torch.bool)
    mode = d.pick(["linear", "attention", "masked", "norm"])

    def run(x: Tensor) -> Tensor:
        x = x.roll((shift, shift), (2, 3))
        t = x.view(1, c, h // a, a, w // b, b).permute(0, 2, 4, 3, 5, 1).reshape(-1, a * b, c)
        t = m(t)
        if mode in ("attention", "masked"):
            scores = t @ t.transpose(1, 2)
            scores = scores if mode == "attention" else scores.masked_fill(~mask, -torch.inf)
            t = scores.softmax(-1) @ t
        elif mode == "norm":
            t = t - t.mean((1, 2), keepdim=True)
        if not back:
            return t
        t = t.view(1, h // a, w // b, a, b, c).permute(0, 5, 1, 3, 2, 4).reshape(1, c, h, w)
        return t.roll((-shift, -shift), (2, 3))

    return run


@op
def repeated(d: Draw, x: Tensor, y: Tensor) -> Function | None:
    times = [1 if d.chance() else d.between(1, 3) for _ in x.shape[1:]]
    axis, k = d.axis(x), d.between(1, 3)
    kind = d.pick(["repeat", "tile", "interleave", "expand", "in front"])
    functions: dict[str, Function] = {
        "repeat": lambda x: x.repeat(1, *times),
        "tile": lambda x: x.tile(times[-2:]) if times else x,
        "interleave": lambda x: x.repeat_interleave(k, axis),
        "expand": lambda x: x.unsqueeze(axis).expand(*widened(x, axis, k)),
        "in front": lambda x: x.expand(k, *x.shape),
    }
    return functions[kind]


def widened(x: Tensor, axis: int, k: int) -> list[int]:
    """The shape with a new axis of k where unsqueeze puts it."""
    shape = list(x.unsqueeze(axis).shape)
    shape[axis] = k
    return shape


@op
def indexed(d: Draw, x: Tensor, y: Tensor) -> Function | None:
    axis = d.between(1, x.ndim - 1) if x.ndim > 1 else 0
    n, count = x.shape[axis], d.between(1, 5)
    picks = d.hold(d.indices(n, (count,)))
    before = (slice(None),) * axis
    kind = d.pick(["select", "one", "table", "pair", "apart"])
    if kind == "select":
        return lambda x: x.index_select(axis, picks.value)
    if kind == "one":
        return lambda x: x[(*before, picks.value)]
    if kind == "table":
        table = d.hold(d.indices(n, (2, d.between(1, 3))))
        return lambda x: x[(*before, table.value)]
    gap = 1 if kind == "apart" else 0
    if axis + 1 + gap >= x.ndim:
        return None
    others = d.hold(d.indices(x.shape[axis + 1 + gap], d.pick([(count,), (2, 1)])))
    return lambda x: x[(*before, picks.value, *[slice(None)] * gap, others.value)]


@op
def gathered(d: Draw, x: Tensor, y: Tensor) -> Function | None:
    axis = d.axis(x)
    shape = [1, *(d.between(1, n) for n in x.shape[1:])] if x.ndim > 1 else [1]
    shape[axis] = d.between(1, 5)
    picks = d.hold(d.indices(x.shape[axis], shape))
    return lambda x: x.gather(axis, picks.value)


@op
def written(d: Draw, x: Tensor, y: Tensor) -> Function | None:
    """In-place changes of slices."""
    if x.ndim < 3:
        return None
    axis = d.between(1, x.ndim - 1)
    n = x.shape[axis]
    start, step = d.between(0, n - 1), d.between(1, 2)
    where = (*[slice(None)] * axis, slice(start, None, step))
    kind = d.pick(["assign", "add", "constant", "copy", "select", "two axes", "fill", "into zeros"])

    def run(x: Tensor, y: Tensor) -> Tensor:
        result = x.clone()
        if kind == "assign":
            result[where] = y.flip(-1)[where] * 2
        elif kind == "add":
            result[where] += y[where].mean(axis, keepdim=True)
        elif kind == "constant":
            result[where] = 1.5
        elif kind == "copy":
            result[where].copy_(y.roll(1, axis)[where])
        elif kind == "select":
            result[:, :, start % x.shape[2]] = y[:, :, 0] - 1
        elif kind == "fill":
            result[..., 0].fill_(0.0)
        elif kind == "into zeros":
            result = torch.zeros_like(x)
            result[:, :, :-1] = x[:, :, 1:]
        else:
            result[:, ::2, 1:] = y[:, ::2, :-1]
        return result

    return run


@op
def put(d: Draw, x: Tensor, y: Tensor) -> Function | None:
    """Writing at constant places; places that repeat only where values are added."""
    axis = d.between(1, x.ndim - 1) if x.ndim > 1 else 0
    n = x.shape[axis]
    kind = d.pick(["put", "accumulate", "scatter", "scatter_add", "scatter value"])
    adds = kind in ("accumulate", "scatter_add")
    count = d.between(1, n)
    picked = d.rng.integers(0, n, count) if adds else d.rng.choice(n, count, replace=False)
    places = d.hold(torch.tensor(picked))
    before = (slice(None),) * axis
    part = (*before, slice(0, count))
    if kind in ("put", "accumulate"):

        def run(x: Tensor, y: Tensor) -> Tensor:
            flat = x.movedim(axis, 0)
            return flat.index_put((places.value,), y.movedim(axis, 0)[:count] * 2, accumulate=adds)

        return run
    shape = list(x.shape)
    shape[axis] = count
    table = d.hold(torch.tensor(picked).view([count if k == axis else 1 for k in range(x.ndim)]).expand(shape).clone())
    if kind == "scatter value":
        return lambda x: x.scatter(axis, table.value, 2.0)
    return lambda x, y: getattr(x, kind)(axis, table.value, y[part] * 2)  # torch wants equal shapes for gradients


@op
def diagonal(d: Draw, x: Tensor, y: Tensor) -> Function | None:
    if x.ndim < 3 or min(x.shape[-2:]) < 2:
        return None
    k = d.between(-1, 1)
    return lambda x: x.diagonal(k, -2, -1)
