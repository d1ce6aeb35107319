"""Random valid network specs over all operators.

A spec grows layer by layer, knowing every shape from the reference; the first layers drawn from a seed do not depend
on how many are asked for, so Hypothesis shrinks to a prefix of the failing network.
"""

import math

import numpy as np
from hypothesis import strategies as st

from tests.strategies.builder import MAKERS, Builder, FullError, UnfitError

FAMILIES = {
    "windows": 6,
    "shape": 7,
    "mixing": 4,
    "reductions": 2,
    "pointwise": 2,
    "nary": 3,
    "resize": 2,
    "dynamic": 1,
    "tokens": 1,
}


def random_image(b: Builder, ndim: int) -> list[int]:
    """(C, *spatial) of odd, even, asymmetric and unit sizes."""
    most = {1: 20, 2: 8, 3: 5}[ndim]
    while True:
        sizes = [1 if b.chance(0.07) else b.integer(2 if b.chance(0.3) else min(4, most), most) for _ in range(ndim)]
        shape = [b.choice([1, 2, 2, 3, 4]), *sizes]
        if math.prod(shape) <= b.max_elements:
            return shape
        most = max(most - 1, 2)
        if most == 2 and math.prod(shape) > b.max_elements:
            return [1] * (ndim + 1)


def random_inputs(b: Builder, ndim: int) -> list[int] | dict[str, list[int]]:
    """One image, or up to three named inputs."""
    shape = random_image(b, ndim)
    if b.chance(0.7):
        return shape
    inputs = {"image": shape}
    for name in ["mask", "aux"][: b.integer(1, 2)]:
        kinds = [shape, [1, *shape[1:]], [b.integer(1, 5)], [b.integer(1, 5), shape[-1]], random_image(b, ndim)]
        inputs[name] = list(b.choice([kind for kind in kinds if math.prod(kind) <= b.max_elements]))
    if b.chance(0.2):  # the image need not be the first input
        inputs = dict(reversed(inputs.items()))
    return inputs


def random_spec(
    rng: np.random.Generator,
    *,
    ndim: int | None = None,
    layers: int = 6,
    max_elements: int = 400,
    input_shape: list[int] | None = None,
) -> dict:
    """A random valid network spec with `layers` layers, over images with ndim spatial axes or of a given shape."""
    b = Builder(rng, layers, max_elements)
    given = input_shape or random_inputs(b, ndim or b.choice([1, 2, 2, 2, 3]))
    b.shapes = {n: tuple(s) for n, s in (given if isinstance(given, dict) else {"input": given}).items()}
    name_outputs = b.chance(0.2)
    weights = np.array(list(FAMILIES.values())) / sum(FAMILIES.values())
    while len(b.layers) < layers:
        family = MAKERS[list(FAMILIES)[int(rng.choice(len(weights), p=weights))]]
        op, make = b.choice(family)
        try:
            make(b, op)
        except UnfitError:
            continue
        except FullError:
            break
    spec = {"name": "random", "input_shape": given, "layers": b.layers}
    if name_outputs:
        spec["outputs"] = [b.layers[i]["name"] for i in sorted(b.subset(len(b.layers))[:3])]
    return spec


def networks(
    *, ndim: int | None = None, min_layers: int = 1, max_layers: int = 6, max_elements: int = 400
) -> st.SearchStrategy[dict]:
    """Hypothesis strategy for random specs: a seed and a number of layers that shrinks to a prefix."""
    return st.builds(
        lambda seed, layers: random_spec(
            np.random.default_rng(seed), ndim=ndim, layers=layers, max_elements=max_elements
        ),
        st.integers(0, 2**32 - 1),
        st.integers(min_layers, max_layers),
    )
