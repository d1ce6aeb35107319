"""From a network spec to the dependency of every element of every node."""

import math

import numpy as np

from tests.reference.core import OPERATORS, shape_of

Shape = tuple[int, ...]


def input_shapes(spec: dict) -> dict[str, Shape]:
    """The network inputs' shapes by name."""
    given = spec["input_shape"]
    return {name: tuple(s) for name, s in (given if isinstance(given, dict) else {"input": given}).items()}


def attributes(layer: dict) -> dict:
    """A layer's attributes without its name, operator and inputs."""
    return {key: value for key, value in layer.items() if key not in ("name", "op", "inputs")}


def output_shape(op: str, attrs: dict, shapes: list[Shape]) -> Shape:
    """The output shape of one operator; ValueError if it does not fit."""
    return shape_of(OPERATORS[op](attrs, *(np.zeros((*shape, 0), dtype=bool) for shape in shapes)))


def sources(spec: dict) -> list[tuple[dict, list[str]]]:
    """Every layer with the names it reads: by default the previous layer, for the first one the first input."""
    previous, found = next(iter(input_shapes(spec))), []
    for layer in spec["layers"]:
        reads = layer.get("inputs", [previous])
        found.append((layer, [reads] if isinstance(reads, str) else list(reads)))
        previous = layer["name"]
    return found


def shapes(spec: dict) -> dict[str, Shape]:
    """The shape of every input and layer."""
    found = input_shapes(spec)
    for layer, reads in sources(spec):
        found[layer["name"]] = output_shape(layer["op"], attributes(layer), [found[name] for name in reads])
    return found


def propagate(spec: dict, wrt: str | None = None) -> dict[str, np.ndarray]:
    """For every input and layer: which elements of `wrt` (an input or a layer) each of its elements depends on.

    Each array is bool[*shape of the node, *shape of wrt]. Inputs other than `wrt` are constants, and so is what a
    layer `wrt` reads.
    """
    given = input_shapes(spec)
    wrt = next(iter(given)) if wrt is None else wrt
    origin = given[wrt] if wrt in given else shapes(spec)[wrt]
    size = math.prod(origin)
    identity = np.eye(size, dtype=bool).reshape((*origin, size))
    deps = {name: identity if name == wrt else np.zeros((*shape, size), dtype=bool) for name, shape in given.items()}
    for layer, reads in sources(spec):
        name = layer["name"]
        read = [deps[r] for r in reads]
        deps[name] = identity if name == wrt else OPERATORS[layer["op"]](attributes(layer), *read)
    return {name: dep.reshape((*shape_of(dep), *origin)) for name, dep in deps.items()}
