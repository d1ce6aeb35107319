"""Steps of random PyTorch networks: functions of single elements."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from tests.random_torch.core import Draw, Function, op, shifted


@op
def activation(d: Draw, x: Tensor, y: Tensor) -> Function | None:
    names = ["relu", "gelu", "silu", "hardswish", "sigmoid", "tanh", "elu", "softplus", "mish", "relu6", "hardtanh"]
    return getattr(functional, d.pick(names))


@op
def residual(d: Draw, x: Tensor, y: Tensor) -> Function | None:
    kind = d.pick(["add", "sub", "max", "mul", "div", "lerp", "addcmul", "inplace"])
    change: Function = (lambda y: y.roll(1, -1)) if x is y and x.ndim else lambda y: y
    functions: dict[str, Function] = {
        "add": lambda x, y: x + change(y),
        "sub": lambda x, y: 0.5 * x - 2 * change(y),
        "max": lambda x, y: torch.maximum(x, change(y)),
        "mul": lambda x, y: shifted(x) * shifted(change(y)),
        "div": lambda x, y: shifted(x) / (change(y).abs() + 2),
        "lerp": lambda x, y: torch.lerp(x, change(y), 0.3),
        "addcmul": lambda x, y: torch.addcmul(x, shifted(x), shifted(change(y))),
        "inplace": lambda x, y: x.clone().add_(change(y)).mul_(0.5),
    }
    return functions[kind]


@op
def broadcast(d: Draw, x: Tensor, y: Tensor) -> Function | None:
    axes = d.some(range(x.ndim))
    f = d.pick([torch.Tensor.mean, torch.Tensor.sum, torch.amax])
    if d.chance():
        return lambda x, y: x + f(y, axes, keepdim=True)
    return lambda x, y: shifted(x) * shifted(f(y, axes, keepdim=True))


@op
def constant_factor(d: Draw, x: Tensor, y: Tensor) -> Function | None:
    held = d.hold(d.floats(d.part(x.shape), zeros=0.4))
    return lambda x: held.value * x


@op
def constant_term(d: Draw, x: Tensor, y: Tensor) -> Function | None:
    held = d.hold(d.floats(d.part(x.shape), zeros=0.4))
    return lambda x: x - held.value


@op
def choose(d: Draw, x: Tensor, y: Tensor) -> Function | None:
    mask = d.hold(d.mask(d.part(x.shape)))
    kind = d.pick(["two", "constant", "fill", "data", "swapped"])
    functions: dict[str, Function] = {
        "two": lambda x, y: torch.where(mask.value, x, y * 2),
        "constant": lambda x: torch.where(mask.value, x, 1.0),
        "swapped": lambda x: torch.where(mask.value, torch.zeros(()), x),
        "fill": lambda x: x.masked_fill(mask.value, 0.0),
        "data": lambda x, y: torch.where(x > 0.5, x, y * 2),
    }
    return functions[kind]


@op
def glu(d: Draw, x: Tensor, y: Tensor) -> Function | None:
    axes = [a for a in range(1, x.ndim) if x.shape[a] % 2 == 0]
    if not axes:
        return None
    axis = d.pick(axes)
    return lambda x: functional.glu(shifted(x), axis)


@op
def triangle(d: Draw, x: Tensor, y: Tensor) -> Function | None:
    if x.ndim < 2:
        return None
    k, cut = d.between(-1, 1), d.pick([torch.tril, torch.triu])
    return lambda x: cut(x, k)
