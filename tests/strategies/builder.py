"""The builder of random specs: it knows every shape so far, draws attributes and appends only layers that fit."""

import math
from collections.abc import Callable, Sequence

import numpy as np

from tests.reference import output_shape

MAX_RANK = 6
Shape = tuple[int, ...]


class UnfitError(Exception):
    """The drawn operator does not fit the nodes at hand."""


class FullError(Exception):
    """Enough layers."""


def is_full(shape: Shape) -> bool:
    """No empty axis, and not a scalar."""
    return bool(shape) and math.prod(shape) > 0


def is_image(shape: Shape) -> bool:
    """(C, 1 to 3 spatial axes), nothing empty."""
    return 2 <= len(shape) <= 4 and is_full(shape)


def is_tokens(shape: Shape) -> bool:
    """(..., L, E), nothing empty."""
    return len(shape) >= 2 and is_full(shape)


def has_axis(shape: Shape) -> bool:
    """At least one axis; may be empty."""
    return len(shape) >= 1


class Builder:
    """A growing spec with the shape of every node."""

    def __init__(self, rng: np.random.Generator, layers: int, max_elements: int) -> None:
        """Start without inputs."""
        self.rng, self.limit, self.max_elements = rng, layers, max_elements
        self.shapes: dict[str, Shape] = {}
        self.layers: list[dict] = []

    # ---- random choices (plain Python values, so that a spec is JSON)

    def integer(self, low: int, high: int) -> int:
        """An integer in low..high, both included."""
        return int(self.rng.integers(low, high + 1))

    def choice(self, options: Sequence) -> object:
        """One of the options."""
        return options[self.integer(0, len(options) - 1)]

    def chance(self, p: float) -> bool:
        """True with probability p."""
        return bool(self.rng.random() < p)

    def subset(self, n: int, at_least: int = 1) -> list[int]:
        """A random subset of 0..n-1, in random order."""
        return [int(i) for i in self.rng.permutation(n)[: self.integer(at_least, n)]]

    def axis(self, rank: int) -> int:
        """An axis, sometimes negative."""
        axis = self.integer(0, rank - 1)
        return axis - rank if self.chance(0.3) else axis

    def spatial(self, low: int, high: int, ndim: int) -> int | list[int]:
        """One number for all spatial axes, or a list."""
        if self.chance(0.4):
            return self.integer(low, high)
        return [self.integer(low, high) for _ in range(ndim)]

    def divisor(self, n: int) -> int:
        """A divisor of n."""
        return self.choice([d for d in range(1, n + 1) if n % d == 0])

    def factors(self, n: int, count: int) -> list[int]:
        """A random factorisation of n into count sizes."""
        sizes = []
        for _ in range(count - 1):
            sizes.append(self.divisor(n))
            n //= sizes[-1]
        return [*sizes, n] if self.chance(0.5) else [n, *reversed(sizes)]

    def optional(self, p: float = 0.5, **attrs: object) -> dict:
        """Each attribute with probability p."""
        return {key: value for key, value in attrs.items() if self.chance(p)}

    # ---- nodes

    def nodes(self, fits: Callable[[Shape], bool]) -> list[str]:
        """Names of the nodes whose shape fits."""
        return [name for name, shape in self.shapes.items() if fits(shape)]

    def pick(self, fits: Callable[[Shape], bool]) -> str:
        """A fitting node, rather a recent or large one."""
        names = list(self.shapes)
        found = self.nodes(fits)
        if not found:
            raise UnfitError
        weights = np.array([(1 + names.index(x)) * (1 + min(math.prod(self.shapes[x]), 64)) ** 0.5 for x in found])
        return found[int(self.rng.choice(len(found), p=weights / weights.sum()))]

    def add(self, op: str, inputs: str | list[str], **attrs: object) -> str:
        """Append a layer; UnfitError if its output does not exist or is too large."""
        inputs = [inputs] if isinstance(inputs, str) else inputs
        try:
            shape = output_shape(op, attrs, [self.shapes[x] for x in inputs])
        except ValueError as error:
            raise UnfitError from error
        if math.prod(shape) > self.max_elements or len(shape) > MAX_RANK or any(n > self.max_elements for n in shape):
            raise UnfitError
        if len(self.layers) >= self.limit:
            raise FullError
        default = [self.layers[-1]["name"]] if self.layers else ["input"]
        name = f"{op}_{len(self.layers)}"
        given = {} if inputs == default and self.chance(0.5) else {"inputs": inputs}
        self.layers.append({"name": name, "op": op, **given, **attrs})
        self.shapes[name] = shape
        return name

    def attempt(self, op: str, inputs: str | list[str], draw: Callable[[], dict]) -> str:
        """Append a layer, drawing attributes until they fit."""
        for _ in range(12):
            try:
                return self.add(op, inputs, **draw())
            except UnfitError:
                pass
        raise UnfitError


Maker = Callable[[Builder, str], object]

#: Per family of operators, their names (repeated by weight) and what appends a layer of them.
MAKERS: dict[str, list[tuple[str, Maker]]] = {}


def maker(family: str, *names: str, weight: int = 1) -> Callable[[Maker], Maker]:
    """Register a function that appends a layer of one of the operators (and any layers it needs before it)."""

    def register(function: Maker) -> Maker:
        MAKERS.setdefault(family, []).extend((name, function) for name in names for _ in range(weight))
        return function

    return register


def fits(op: str, attrs: dict, b: Builder, inputs: list[str]) -> bool:
    """Whether an operator takes these inputs."""
    try:
        output_shape(op, attrs, [b.shapes[x] for x in inputs])
    except ValueError:
        return False
    return True


def keep_shape(b: Builder, x: str) -> str:
    """A layer on x that keeps its shape."""
    rank = len(b.shapes[x])
    ways = [
        lambda: b.add("relu", x),
        lambda: b.add("softmax", x, axis=b.axis(rank)),
        lambda: b.add("layer_norm", x, axes=[b.axis(rank)]),
        lambda: b.add("flip", x, axes=[b.axis(rank)]),
        lambda: b.add("roll", x, shifts=b.integer(-3, 3), axes=b.axis(rank)),
        lambda: b.add("cumsum", x, axis=b.axis(rank)),
        lambda: b.add("linear", x, out_features=b.shapes[x][-1]),
    ]
    if rank >= 2:
        ways.append(lambda: b.add("attention", [x, x, x], causal=b.chance(0.5)))
    return b.choice(ways)()
