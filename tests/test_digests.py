"""Equal fields have equal digests however they are written down, and others do not."""

from __future__ import annotations

import pickle
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import fastrf
from fastrf.engine.dependency import Dependency
from fastrf.errors import LimitError
from fastrf.queries import digests
from tests.strategies import random_spec

PAIR = [
    [fastrf.conv(4, 3, padding=1), fastrf.conv(4, 3, padding=1)],
    [fastrf.conv(2, 3, padding=1), fastrf.relu(), fastrf.conv(4, 3, padding=1, name="other")],
]


#: A row and a column, which meet in the middle.
CROSS = {
    "input_shape": [1, 9, 9],
    "layers": [
        {"name": "row", "op": "conv", "out_channels": 1, "kernel_size": [1, 5], "padding": [0, 2]},
        {
            "name": "column",
            "op": "conv",
            "out_channels": 1,
            "kernel_size": [5, 1],
            "padding": [2, 0],
            "inputs": ["input"],
        },
        {"name": "both", "op": "add", "inputs": ["row", "column"]},
    ],
}


def by_hand(field: fastrf.ReceptiveField, prime: int) -> int:
    """The sum over all pairs of a neuron and an input element, one by one."""
    found = field.to_csr(channels=True).tocoo()
    places = *np.unravel_index(found.row, field.shape), *np.unravel_index(found.col, field.input_shape)
    sides = [("output", k) for k in range(len(field.shape))] + [("input", k) for k in range(len(field.input_shape))]
    bases = [digests._base(*side, prime) for side in sides]
    total = 0
    for index in zip(*(place.tolist() for place in places), strict=True):
        product = 1
        for base, i in zip(bases, index, strict=True):
            product = product * pow(base, i, prime) % prime
        total += product
    return total % prime


def test_what_two_terms_hold_counts_once() -> None:
    field = fastrf.analyze(CROSS).output
    assert len(field.relations) == 2
    assert digests.fingerprint(field.dependency) == tuple(by_hand(field, prime) for prime in digests.PRIMES)


@pytest.mark.parametrize("seed", range(12))
def test_fingerprints_are_sums_over_the_set(seed: int) -> None:
    analysis = fastrf.analyze(random_spec(np.random.default_rng(seed), layers=5, max_elements=60))
    for name in analysis:
        found = digests.fingerprint(analysis[name].dependency)
        assert found == tuple(by_hand(analysis[name], prime) for prime in digests.PRIMES), name


def test_equal_fields_are_equal_by_whatever_layers() -> None:
    one, other = (fastrf.analyze(layers, (1, 9, 9)).output for layers in PAIR)
    assert one == other
    assert hash(one) == hash(other)
    assert one.name != other.name


def test_terms_in_another_order_or_larger_ones_are_the_same_set() -> None:
    dependency = fastrf.analyze("inception_v3", (3, 75, 75))["Mixed_5b"].dependency
    assert len(dependency.terms) > 1
    found = digests.fingerprint(dependency)
    turned = Dependency(dependency.input_shape, dependency.axes, dependency.terms[::-1])
    twice = Dependency(dependency.input_shape, dependency.axes, dependency.terms + dependency.terms[:1])
    assert digests.fingerprint(turned) == digests.fingerprint(twice) == found


CHANGES = {
    "kernel": ([fastrf.conv(4, 5, padding=2)], (1, 9, 9)),
    "dilation": ([fastrf.conv(4, 3, padding=2, dilation=2)], (1, 9, 9)),
    "channels": ([fastrf.conv(5, 3, padding=1)], (1, 9, 9)),
    "input": ([fastrf.conv(4, 3, padding=1)], (2, 9, 9)),
    "size": ([fastrf.conv(4, 3, padding=1)], (1, 9, 10)),
    "depthwise": ([fastrf.conv(4, 1), fastrf.depthwise_conv(3, padding=1)], (1, 9, 9)),
    "padding": ([fastrf.conv(4, 3, padding=1, padding_mode="circular")], (1, 9, 9)),
}


def test_every_change_is_told() -> None:
    plain = fastrf.analyze([fastrf.conv(4, 3, padding=1)], (1, 9, 9)).output
    found = {name: fastrf.analyze(*given).output for name, given in CHANGES.items()}
    assert found.pop("depthwise") == plain  # which reads what a convolution reads of one channel
    assert all(field != plain for field in found.values())
    assert len({field.digest() for field in found.values()}) == len(found)


def test_channel_axes_are_told_apart() -> None:
    first, none = (fastrf.analyze([fastrf.relu()], (4, 4), channel_axis=axis).output for axis in (0, None))
    assert first.dependency == none.dependency
    assert first != none


def test_digests_are_the_same_elsewhere(tmp_path: Path) -> None:
    field = fastrf.analyze("unet", (1, 32, 32)).output
    field.save(tmp_path / "field.npz")
    assert fastrf.load_field(tmp_path / "field.npz") == pickle.loads(pickle.dumps(field)) == field
    code = "import fastrf; print(fastrf.analyze('unet', (1, 32, 32)).output.digest())"
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip()
    assert told == field.digest() == "ef8ecc4dce2d7a0c"


def test_analyses_are_equal_by_names_and_fields() -> None:
    one, same, other = (fastrf.analyze(name, (3, 64, 64)) for name in ("resnet18", "resnet18", "resnet34"))
    assert one == same
    assert one.digest() == same.digest() != other.digest()
    assert one != other
    assert one != "resnet18"


def test_too_many_terms_that_overlap_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(digests, "MAX_COUNTED_TERMS", 1)
    with pytest.raises(LimitError, match="terms that overlap"):
        fastrf.analyze(CROSS).output.digest()


def test_axes_of_millions() -> None:
    layers = [fastrf.conv(1, 3, dilation=2**k) for k in range(4)]
    assert len(fastrf.analyze(layers, (1, 3_000_000)).output.digest()) == 16
