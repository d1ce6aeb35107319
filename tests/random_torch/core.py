"""Random PyTorch networks of nearly every operator, determined by a numpy Generator.

A network is a list of steps; each is a plain function of two earlier values, closed over its arguments. Values are run
eagerly while drawing, so a function that makes a step sees the shapes it gets; it returns None where it cannot apply.

Kept out, since a structural zero (padding, a masked element) times something does not depend on that something, which
is beyond what fastrf promises: both factors of a product get a constant added first (`shifted`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

Function = Callable[..., Tensor]  # of one value, or of two
OPS: dict[str, Callable[..., Function | None]] = {}

#: Elements of the largest value.
LARGEST = 1200


class Held(nn.Module):
    """A constant as a buffer."""

    def __init__(self, value: Tensor) -> None:
        super().__init__()
        self.register_buffer("value", value)


class Draw:
    """Choices, and the parts of the step that is being drawn."""

    def __init__(self, rng: np.random.Generator) -> None:
        self.rng, self.parts = rng, []

    def chance(self, p: float = 0.5) -> bool:
        return bool(self.rng.random() < p)

    def between(self, low: int, high: int) -> int:
        return int(self.rng.integers(low, high + 1))

    def pick(self, options: Sequence[Any]) -> Any:
        return options[int(self.rng.integers(len(options)))]

    def some(self, options: Sequence[int]) -> list[int]:
        """A random non-empty subset, ordered."""
        count = self.between(1, len(options))
        return sorted(int(v) for v in self.rng.choice(list(options), count, replace=False))

    def divisor(self, n: int, *, proper: bool = False) -> int:
        return self.pick([k for k in range(2 if proper else 1, n + 1) if n % k == 0])

    def axis(self, x: Tensor, *, batch: bool = False) -> int:
        """An axis, maybe counted from behind; the batch's rarely."""
        first = 0 if x.ndim < 2 or (batch and self.chance(0.1)) else 1
        axis = self.between(first, x.ndim - 1)
        return axis - x.ndim if self.chance() else axis

    def order(self, n: int, *, first: int = 1) -> list[int]:
        return [*range(first), *(int(k) for k in self.rng.permutation(range(first, n)))]

    def floats(self, shape: Sequence[int], zeros: float = 0.0) -> Tensor:
        values = self.rng.uniform(0.5, 1.5, tuple(shape)) * (self.rng.random(tuple(shape)) >= zeros)
        return torch.tensor(values, dtype=torch.float32)

    def mask(self, shape: Sequence[int], p: float = 0.5) -> Tensor:
        return torch.tensor(self.rng.random(tuple(shape)) < p)

    def indices(self, n: int, shape: Sequence[int]) -> Tensor:
        return torch.tensor(self.rng.integers(0, n, tuple(shape)))

    def part(self, shape: Sequence[int]) -> list[int]:
        """A shape that broadcasts to this one, perhaps with fewer axes."""
        kept = list(shape)[self.between(0, len(shape) - 1) :] if self.chance() else list(shape)
        return [1 if self.chance(0.3) else n for n in kept]

    def hold(self, value: Tensor) -> Any:
        """A constant, as a buffer or closed over."""
        return self.module(Held(value)) if self.chance() else SimpleNamespace(value=value)

    def module(self, module: nn.Module) -> Any:
        self.parts.append(module)
        return module


class RandomModule(nn.Module):
    """Runs the steps. `forward` returns the values that no step reads: one, or a tuple of them."""

    def __init__(self) -> None:
        super().__init__()
        self.steps: list[tuple[str, Function, int, int, tuple[int, ...]]] = []
        self.parts = nn.ModuleList()

    def forward(self, x: Tensor) -> Tensor | tuple[Tensor, ...]:
        values = [x]
        for _, function, i, j, _ in self.steps:
            values.append(applied(function, values[i], values[j]))
        read = {k for step in self.steps for k in step[2:4]}
        unread = tuple(v for k, v in enumerate(values) if k not in read)
        return unread[0] if len(unread) == 1 else unread

    def extra_repr(self) -> str:
        return "\n".join(f"{k + 1}: {name}({i}, {j}) -> {shape}" for k, (name, _, i, j, shape) in enumerate(self.steps))


def applied(function: Function, x: Tensor, y: Tensor) -> Tensor:
    """A function of `x` and `y` gets both values, anything else the first."""
    code = getattr(function, "__code__", None)
    return function(x, y) if code is not None and code.co_varnames[:2] == ("x", "y") else function(x)


def random_module(rng: np.random.Generator) -> tuple[RandomModule, tuple[int, ...]]:
    """A network of 4 to 9 steps, and its input shape without the batch."""
    draw = Draw(rng)
    dims = draw.pick([1, 2, 2, 2, 3])
    sides = [1 if draw.chance(0.06) else draw.between(*((3, 5) if dims == 3 else (5, 9))) for _ in range(dims)]
    shape = (draw.between(2, 4), *sides)
    network = RandomModule()
    values, unread = [torch.rand(1, *shape)], {0}
    wanted = draw.between(4, 9)
    names = sorted(OPS)
    while len(network.steps) < wanted:
        i = draw.pick(sorted(unread)) if draw.chance(0.7) else draw.between(0, len(values) - 1)
        same = [k for k, v in enumerate(values) if v.shape == values[i].shape and k != i]
        j = draw.pick(same) if same else i
        name, draw.parts = draw.pick(names), []
        function = OPS[name](draw, values[i], values[j])
        if function is None:
            continue
        with torch.no_grad():
            network.parts.extend(draw.parts)
            network.eval()
            result = applied(function, values[i], values[j])
        if not 0 < result.numel() <= LARGEST or result.ndim > 6:
            continue
        network.steps.append((name, function, i, j, tuple(result.shape)))
        unread = (unread - {i, j}) | {len(values)}
        values.append(result)
    return network.eval(), shape


def op(function: Callable[..., Function | None]) -> Callable[..., Function | None]:
    OPS[function.__name__] = function
    return function


def shifted(x: Tensor) -> Tensor:
    """Nowhere a structural zero."""
    return x + 0.25
