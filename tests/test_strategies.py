"""The random specs that property tests draw: valid, small, reproducible, and of every operator."""

import json
import math

import numpy as np
from hypothesis import given

import fastrf
from tests import reference, strategies


@given(strategies.networks())
def test_random_specs_are_valid_json(spec: dict) -> None:
    spec = json.loads(json.dumps(spec))
    assert all(math.prod(shape) <= 400 for shape in reference.shapes(spec).values())


def test_fewer_layers_are_a_prefix() -> None:
    for seed in range(30):
        long = strategies.random_spec(np.random.default_rng(seed), layers=8)
        short = strategies.random_spec(np.random.default_rng(seed), layers=3)
        assert short["layers"] == long["layers"][:3]
        assert short["input_shape"] == long["input_shape"]


def test_random_specs_cover_every_operator() -> None:
    specs = [strategies.random_spec(np.random.default_rng(seed), layers=10) for seed in range(600)]
    assert {layer["op"] for spec in specs for layer in spec["layers"]} == set(reference.OPERATORS)


def test_reference_defines_the_operators_of_fastrf() -> None:
    assert set(reference.OPERATORS) == set(fastrf.ops.OPERATORS)
