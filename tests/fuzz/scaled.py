"""Random networks that exist at any multiple of a size, and with rows and columns exchanged.

The same choices are made whatever the size, so that two networks of one seed differ in nothing else.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

#: A map that an operator makes smaller must stay at least this long at the smaller size.
SHORTEST = 6
#: Every axis is a multiple of this, so that windows and steps divide it.
UNIT = 48


class Scaled:
    """One network as it grows; `build` gives the spec of a seed."""

    def __init__(self, seed: int, ndim: int, times: int, *, turned: bool = False, swapped: bool = False) -> None:
        self.rng = np.random.default_rng(seed)
        self.ndim, self.times, self.turned, self.swapped = ndim, times, turned, swapped
        sides = [UNIT * int(self.rng.integers(1, 3)) for _ in range(ndim)]
        self.shapes: dict[str, tuple[int, ...]] = {"input": (2, *[side * times for side in self._order(sides)])}
        self.layers: list[dict[str, Any]] = []
        self.maps = ["input"]

    @classmethod
    def build(
        cls, seed: int, ndim: int, times: int = 1, *, turned: bool = False, swapped: bool = False
    ) -> dict[str, Any]:
        """A spec of the seed's network: `times` as large, with its axes `turned` or its operands `swapped`."""
        made = cls(seed, ndim, times, turned=turned, swapped=swapped)
        names = sorted(_STEPS)
        for _ in range(int(made.rng.integers(2, 8))):
            _STEPS[names[int(made.rng.integers(len(names)))]](made)
        if made.rng.random() < 0.3:
            made.joined_levels()
        return {"name": f"scaled {seed}", "input_shape": list(made.shapes["input"]), "layers": made.layers}

    def _order(self, values: list[Any]) -> list[Any]:
        return values[::-1] if self.turned else values

    def axis(self) -> int:
        """A spatial axis of (C, *spatial)."""
        drawn = int(self.rng.integers(self.ndim))
        return 1 + (self.ndim - 1 - drawn if self.turned else drawn)

    def draw(self, low: int, high: int) -> list[int]:
        """A number per spatial axis."""
        return self._order(self.rng.integers(low, high + 1, self.ndim).tolist())

    def pick(self) -> str:
        """A map, mostly the last."""
        last = self.rng.random() < 0.75
        index = int(self.rng.integers(len(self.maps)))
        return self.maps[-1] if last else self.maps[index]

    def add(self, op: str, inputs: list[str], out: tuple[int, ...], *, is_map: bool = True, **attributes: Any) -> str:
        """A layer whose output's shape is known."""
        name = f"n{len(self.layers)}"
        if self.swapped and op in ("add", "mul", "maximum"):
            inputs = inputs[::-1]
        self.layers.append({"name": name, "op": op, "inputs": inputs, **attributes})
        self.shapes[name] = out
        if is_map:
            self.maps.append(name)
        return name

    def is_odd(self, x: str) -> bool:
        """Whether a side cannot be halved at the size that is not multiplied."""
        return any(n // self.times % 2 for n in self.shapes[x][1:])

    def smallest(self, x: str) -> int:
        """The shortest side at the size that is not multiplied."""
        return min(self.shapes[x][1:]) // self.times

    def conv(self, x: str | None = None, *, strided: bool = True, is_map: bool = True) -> str:
        """A convolution whose output is its input's size over the stride."""
        x = self.pick() if x is None else x
        kernel, dilation, step = self.draw(1, 4), self.draw(1, 2), self.draw(1, 2)
        shape = self.shapes[x]
        if not strided or self.smallest(x) < 2 * SHORTEST or self.is_odd(x):
            step = [1] * self.ndim
        shares = self._order(self.rng.random(self.ndim).tolist())
        pads = []
        for k, d, s, share in zip(kernel, dilation, step, shares, strict=True):
            total = max(d * (k - 1) + 1 - s, 0)
            before = round(share * total)
            pads.append([before, total - before])
        out = tuple(n // s for n, s in zip(shape[1:], step, strict=True))
        return self.add(
            "conv", [x], (3, *out), is_map=is_map, out_channels=3, kernel_size=kernel, stride=step, padding=pads,
            dilation=dilation,
        )  # fmt: skip

    def pool(self) -> None:
        """Halving by pooling or by a slice with a step."""
        x = self.pick()
        shape = self.shapes[x]
        start = int(self.rng.integers(2))
        if self.smallest(x) < 2 * SHORTEST or self.is_odd(x):
            return
        if self.rng.random() < 0.5:
            self.add("max_pool", [x], (shape[0], *[n // 2 for n in shape[1:]]), kernel_size=2)
        else:
            axis = self.axis()
            out = tuple(n // 2 if a == axis else n for a, n in enumerate(shape))
            self.add("slice", [x], out, axis=axis, start=start, step=2)

    def enlarge(self) -> None:
        """Doubling, in one of four ways."""
        x = self.pick()
        shape = self.shapes[x]
        out = (shape[0], *[2 * n for n in shape[1:]])
        way = int(self.rng.integers(4))
        if max(shape[1:]) > 4 * UNIT * self.times:
            return
        if way == 0:
            self.add("resize", [x], out, scale=2, mode="nearest")
        elif way == 1:
            self.add("resize", [x], out, scale=2, mode="linear")
        elif way == 2:
            self.add("conv_transpose", [x], (3, *out[1:]), out_channels=3, kernel_size=4, stride=2, padding=1)
        else:
            wide = self.add("conv", [x], (3 * 2**self.ndim, *shape[1:]), out_channels=3 * 2**self.ndim, kernel_size=1)
            self.add("pixel_shuffle", [wide], (3, *out[1:]), factor=2)

    def windows(self) -> None:
        """Attention-like coupling within windows of an axis."""
        x, axis = self.pick(), self.axis()
        shape = self.shapes[x]
        size = int(self.rng.choice([2, 3, 4]))
        if shape[axis] // self.times % size:
            return
        apart = (*shape[:axis], shape[axis] // size, size, *shape[axis + 1 :])
        cut = self.add("reshape", [x], apart, is_map=False, shape=list(apart))
        soft = self.add("softmax", [cut], apart, is_map=False, axis=axis + 1)
        self.add("reshape", [soft], shape, shape=list(shape))

    def turn(self) -> None:
        """A flip, there and maybe back around a convolution."""
        x, axis = self.pick(), self.axis()
        back = self.rng.random() < 0.6
        flipped = self.add("flip", [x], self.shapes[x], axes=[axis])
        if back:
            inner = self.conv(flipped, strided=False)
            self.add("flip", [inner], self.shapes[inner], axes=[axis])

    def gate(self) -> None:
        """A factor that is the same everywhere."""
        x = self.pick()
        first = self.rng.random() < 0.5
        one = (self.shapes[x][0],) + (1,) * self.ndim
        mean = self.add("global_avg_pool", [x], one, is_map=False)
        self.add("mul", [mean, x] if first else [x, mean], self.shapes[x])

    def norm(self) -> None:
        """Statistics of everything, or of what came so far."""
        x = self.pick()
        if self.rng.random() < 0.5:
            self.add("instance_norm", [x], self.shapes[x])
        else:
            self.add("cumsum", [x], self.shapes[x], axis=self.axis())

    def branch(self) -> None:
        """Two ways that meet, in a sum, in channels, or side by side."""
        x = self.pick()
        left, right = self.conv(x, strided=False, is_map=False), self.conv(x, strided=False, is_map=False)
        way = int(self.rng.integers(4))
        shape = self.shapes[left]
        if way == 0:
            self.add("add", [left, right], shape)
            return
        if way in (1, 2):
            both = self.add("concat", [left, right], (6, *shape[1:]), axis=0)
            if way == 2:
                mixed = self.add("channel_shuffle", [both], (6, *shape[1:]), groups=2)
                self.add("slice", [mixed], (3, *shape[1:]), axis=0, start=0, stop=3)
            return
        axis = self.axis()
        raised = (*shape[: axis + 1], 2, *shape[axis + 1 :])
        beside = self.add("stack", [left, right], raised, is_map=False, axis=axis + 1)
        out = (*shape[:axis], 2 * shape[axis], *shape[axis + 1 :])
        self.add("reshape", [beside], out, shape=list(out))

    def blocks(self) -> None:
        """Blocks of pixels as channels."""
        x = self.pick()
        shape = self.shapes[x]
        if self.smallest(x) < 2 * SHORTEST or self.is_odd(x):
            return
        self.add("space_to_depth", [x], (shape[0] * 2**self.ndim, *[n // 2 for n in shape[1:]]), block=2)

    def lone(self) -> None:
        """A map without channels for a while: one of them taken, or all summed, and maybe a gate for it."""
        x = self.pick()
        shape, way = self.shapes[x], int(self.rng.integers(4))
        turns, gated, axis = self.rng.random() < 0.5, self.rng.random() < 0.3, self.axis() - 1
        if way == 3:
            self.add("mean", [x], (1, *shape[1:]), axes=[0], keepdims=True)
            return
        if way == 0:
            flat = self.add("sum", [x], shape[1:], is_map=False, axes=[0], keepdims=False)
        else:
            one = self.conv(x, strided=False, is_map=False) if way == 1 else x
            cut = self.add("slice", [one], (1, *shape[1:]), is_map=False, axis=0, start=0, stop=1)
            flat = self.add("reshape", [cut], shape[1:], is_map=False, shape=list(shape[1:]))
        if turns:
            flat = self.add("flip", [flat], shape[1:], is_map=False, axes=[axis])
        if gated:
            mean = self.add("global_avg_pool", [x], (shape[0],), is_map=False, keepdims=False)
            score = self.add("linear", [mean], (1,), is_map=False, out_features=1)
            gate = self.add("reshape", [score], (1,) * self.ndim, is_map=False, shape=[1] * self.ndim)
            flat = self.add("mul", [gate, flat], shape[1:], is_map=False)
        self.add("unsqueeze", [flat], (1, *shape[1:]), axis=0)

    def joined_levels(self) -> None:
        """Two maps flattened and joined, as detection heads are."""
        x, y = self.pick(), self.pick()
        flat = []
        for level in (x, y):
            head = self.conv(level, strided=False, is_map=False)
            length = math.prod(self.shapes[head][1:])
            flat.append(self.add("reshape", [head], (3, length), is_map=False, shape=[3, length]))
        total = sum(self.shapes[name][1] for name in flat)
        joined = self.add("concat", flat, (3, total), is_map=False, axis=1)
        self.add("permute", [joined], (total, 3), is_map=False, order=[1, 0])


_STEPS: dict[str, Callable[[Scaled], Any]] = {
    step.__name__: step
    for step in (
        Scaled.conv, Scaled.pool, Scaled.enlarge, Scaled.windows, Scaled.turn, Scaled.gate, Scaled.norm, Scaled.branch,
        Scaled.blocks, Scaled.lone,
    )
}  # fmt: skip
