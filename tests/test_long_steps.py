"""What is told of very long axes without going through them: look-back, causality, the share that borders cut."""

import numpy as np
import pytest

import fastrf
from fastrf.engine.extent import share_cut
from fastrf.engine.nominal import _cut_on
from fastrf.engine.stretched import stretched_from
from tests.conftest import scaled
from tests.strategies import random_spec


def of_steps(field, axis):
    """Look-back, look-ahead and causality; the error where there are no steps."""
    try:
        return [field.lookback(axis), field.lookahead(axis), field.is_causal(axis)]
    except fastrf.FastRFError as error:
        return str(error)


@pytest.mark.parametrize("seed", range(scaled(12)))
def test_steps_are_the_same_however_relations_are_kept(seed, rng):
    layers = []
    for _ in range(int(rng.integers(1, 4))):
        kernel, dilation, stride = (int(n) for n in rng.integers(1, 5, 3))
        padding = [[int(n) for n in rng.integers(0, 6, 2)]]
        layers.append(fastrf.conv(2, kernel, dilation=dilation, stride=stride, padding=padding))
    if rng.random() < 0.4:
        layers.append(fastrf.resize(scale=2))
    shape = (1, int(rng.integers(150, 300)))
    whole = [of_steps(field, 0) for field in fastrf.analyze(layers, shape).values()]
    with stretched_from(int(rng.integers(2, 9))):
        np.testing.assert_equal([of_steps(field, 0) for field in fastrf.analyze(layers, shape).values()], whole)


@pytest.mark.parametrize("seed", range(scaled(20)))
def test_the_share_that_borders_cut_is_that_of_all_positions(seed, rng):
    for field in fastrf.analyze(random_spec(rng)).values():
        for piece in field.nominal.pieces:
            for k, n in enumerate(field.pixel_shape):
                share = share_cut(piece.extents[k], piece.sizes, n)
                if share is not None:
                    assert share == float(_cut_on(piece, k, n).mean())


def test_ten_million_samples_are_not_gone_through():
    layers = [fastrf.conv(4, 3, padding=(2 * 2**k, 0), dilation=2**k) for k in range(8)]
    field = fastrf.analyze(layers, (1, 10_000_000)).output
    assert (field.lookback(), field.lookahead(), field.is_causal()) == (510, 0, True)
    assert field.clipped_share == pytest.approx(510 / 10_000_000)
